"""The first valid verdict counts, is bound to the proposal's hash, and every refused attempt is on the record."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from tests.storeroom import MORNING, PLANNER, Storeroom, catalog, clock, counted, sold
from workflows.domain.approvals import Actor, Meaning, RejectReason, TaskState, VerdictCommand
from workflows.domain.errors import AlreadyAnswered, InvalidInput, NotFound, StaleProposal

DECISION = "LEEDS:ITEM-001:1"


async def waiting(storeroom: Storeroom, items: int = 1) -> None:
    """Tasks that wait."""
    await storeroom.stock(catalog(items))
    storeroom.take(*[counted(9, item=f"ITEM-{n:03}") for n in range(1, items + 1)], clock())
    await storeroom.assess()


def refusals(storeroom: Storeroom) -> list[Any]:
    """What the ledger says of attempts that did not count."""
    return storeroom.rows(
        """SELECT actor, convert_from(body, 'UTF8')::jsonb ->> 'refused' AS refused FROM ledger_entry
           WHERE stream = %s AND type = 'verdict.refused' ORDER BY seq""",
        DECISION,
    )


async def test_of_many_verdicts_at_once_one_counts_and_the_others_are_on_the_record(storeroom: Storeroom) -> None:
    await waiting(storeroom)
    meanings = [Meaning.APPROVE, Meaning.REJECT] * 4
    found = await asyncio.gather(
        *[storeroom.answer(DECISION, meaning, actor=Actor(name=f"p{n}")) for n, meaning in enumerate(meanings)],
        return_exceptions=True,
    )
    counted_ones = [one for one in found if not isinstance(one, BaseException)]
    assert len(counted_ones) == 1
    assert sum(isinstance(one, AlreadyAnswered) for one in found) == 7
    assert [row["refused"] for row in refusals(storeroom)] == ["AlreadyAnswered"] * 7
    (task,) = await storeroom.desk.tasks(state=None)
    assert task.answered_by == counted_ones[0].actor
    assert storeroom.verified().ok


async def test_a_verdict_for_an_earlier_revision_is_refused(storeroom: Storeroom) -> None:
    await waiting(storeroom)
    seen = storeroom.hash_of(DECISION)
    storeroom.take(sold(30), clock(MORNING + timedelta(hours=1)))
    assert (await storeroom.rescore(DECISION)).changed
    with pytest.raises(StaleProposal):
        await storeroom.answer(DECISION, proposal_hash=seen)
    assert [tuple(row.values()) for row in refusals(storeroom)] == [("pat", "StaleProposal")]
    assert (await storeroom.answer(DECISION)).revision == 2


async def test_a_standing_approval_is_voided_when_the_proposal_is_replaced(storeroom: Storeroom) -> None:
    await waiting(storeroom)
    approval = await storeroom.answer(DECISION)
    # The task is made to wait again, as a database that was tampered with or a later policy might.
    storeroom.connection.execute("UPDATE task SET state = 'open'")
    storeroom.take(sold(30), clock(MORNING + timedelta(hours=1)))
    result = await storeroom.rescore(DECISION)
    assert await storeroom.approvals.find(approval.approval_id) is None
    released = await storeroom.orders.release(DECISION, result.ref.proposal_hash)
    assert (released.released, released.reason) == (False, "no standing approval for this proposal")
    assert storeroom.one("SELECT count(*) AS n FROM ledger_entry WHERE type = 'approval.voided'") == {"n": 1}
    await storeroom.answer(DECISION)
    assert (await storeroom.orders.release(DECISION, result.ref.proposal_hash)).released


async def test_the_same_command_again_gives_the_same_answer(storeroom: Storeroom) -> None:
    await waiting(storeroom)
    command = VerdictCommand(
        command_id="click-0001", decision_id=DECISION, proposal_hash=storeroom.hash_of(DECISION),
        meaning=Meaning.APPROVE_EDITED, units=24, comment="é 🚚",
    )  # fmt: skip
    found = await asyncio.gather(*[storeroom.approvals.record(command, PLANNER) for _ in range(6)])
    assert len(set(found)) == 1
    assert found[0].units == 24
    assert refusals(storeroom) == []
    with pytest.raises(InvalidInput):
        await storeroom.approvals.record(command.model_copy(update={"units": 36}), PLANNER)
    with pytest.raises(InvalidInput):
        await storeroom.approvals.record(command, Actor(name="somebody else"))


async def test_one_command_id_answers_one_task(storeroom: Storeroom) -> None:
    await waiting(storeroom, 2)
    found = await asyncio.gather(
        *[storeroom.answer(f"LEEDS:ITEM-00{n}:1", command_id="click-0001") for n in (1, 2)], return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in found) == ["Approval", "InvalidInput"]


async def test_a_task_that_nobody_knows_is_not_found(storeroom: Storeroom) -> None:
    command = VerdictCommand(
        command_id="click-0001", decision_id="nothing", proposal_hash="0" * 64, meaning=Meaning.APPROVE
    )
    with pytest.raises(NotFound):
        await storeroom.approvals.record(command, PLANNER)
    assert await storeroom.approvals.find("nothing") is None


async def test_expiry_ends_a_task_and_never_approves(storeroom: Storeroom) -> None:
    await waiting(storeroom)
    proposal = storeroom.hash_of(DECISION)
    assert await storeroom.approvals.expire(DECISION, proposal) is TaskState.EXPIRED
    assert await storeroom.approvals.expire(DECISION, proposal) is TaskState.EXPIRED
    with pytest.raises(AlreadyAnswered):
        await storeroom.answer(DECISION)
    released = await storeroom.orders.release(DECISION, proposal)
    assert (released.released, released.reason) == (False, "the proposal is expired")
    assert storeroom.relay.replenishments(0) == []
    assert await storeroom.approvals.unheard(0) == []
    assert (await storeroom.desk.counts())["expired"] == 1
    assert storeroom.take(clock(MORNING + timedelta(days=1))).needs == 0, "the item rests"


async def test_expiry_that_meets_an_answer_gives_way(storeroom: Storeroom) -> None:
    await waiting(storeroom)
    await storeroom.answer(DECISION, Meaning.REJECT, reason=RejectReason.TOO_MUCH)
    assert await storeroom.approvals.expire(DECISION, storeroom.hash_of(DECISION)) is TaskState.REJECTED
    found = await asyncio.gather(*[storeroom.orders.close_rejected(DECISION) for _ in range(3)])
    assert found == [True] * 3
    assert storeroom.one("SELECT count(*) AS n FROM ledger_entry WHERE type = 'decision.closed'") == {"n": 1}
    assert storeroom.one("SELECT state FROM need") == {"state": "closed"}


async def test_reminder_and_escalation_are_noted_once_and_only_while_the_task_waits(storeroom: Storeroom) -> None:
    await waiting(storeroom)
    for _ in range(2):
        await storeroom.approvals.remind(DECISION)
        await storeroom.approvals.escalate(DECISION)
    (task,) = await storeroom.desk.tasks()
    assert task.escalated
    kinds = storeroom.rows("SELECT type FROM ledger_entry WHERE type LIKE 'task.%%' ORDER BY recorded_at")
    assert [row["type"] for row in kinds] == ["task.opened", "task.reminded", "task.escalated"]


async def test_the_relay_hears_of_a_verdict_until_its_workflow_did(storeroom: Storeroom) -> None:
    await waiting(storeroom)
    approval = await storeroom.answer(DECISION)
    ((decision_id, notice),) = await storeroom.approvals.unheard(0)
    assert (decision_id, notice.approval_id, notice.proposal_hash) == (
        DECISION, approval.approval_id, approval.proposal_hash,
    )  # fmt: skip
    assert await storeroom.approvals.unheard(60) == [], "not at once: the console tells the workflow itself"
    await storeroom.orders.release(DECISION, storeroom.hash_of(DECISION))
    assert await storeroom.approvals.unheard(0) == [(decision_id, notice)], "its step may be lost after it ordered"
    await storeroom.approvals.heard(approval.approval_id)
    assert await storeroom.approvals.unheard(0) == []


async def test_a_refused_attempt_names_nobody_but_who_made_it(storeroom: Storeroom) -> None:
    await waiting(storeroom)
    await storeroom.answer(DECISION, actor=Actor(name="Alice Smith"))
    with pytest.raises(AlreadyAnswered, match="Alice Smith"):
        await storeroom.answer(DECISION)
    row = storeroom.one(
        "SELECT convert_from(body, 'UTF8')::jsonb AS body FROM ledger_entry WHERE type = 'verdict.refused'"
    )
    assert (row["body"]["refused"], row["body"]["state"]) == ("AlreadyAnswered", "approved")
    assert "Smith" not in str(row["body"])


async def test_comments_stay_out_of_the_ledger(storeroom: Storeroom) -> None:
    await waiting(storeroom)
    await storeroom.answer(DECISION, comment="Mrs Smith in room 4 says no more")
    bodies = storeroom.rows("SELECT convert_from(body, 'UTF8') AS body FROM ledger_entry")
    assert not any("Smith" in row["body"] for row in bodies)
    view = await storeroom.desk.decision(DECISION)
    assert view.approvals[0]["comment"] == "Mrs Smith in room 4 says no more"
