"""Two people sign where the policy wants two, each within their rights, and the database counts them when it sends."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from connectors.postgres.approvals import PostgresApprovals
from connectors.postgres.policy_changes import PostgresPolicies
from connectors.postgres.pool import Database
from console.policy_desk import PolicyDesk
from tests.storeroom import LOCATION, MORNING, SUPPLIER, Storeroom, catalog, clock, counted, sold
from workflows.domain.approvals import Actor, Meaning, TaskState, VerdictCommand
from workflows.domain.errors import AlreadyAnswered, NotAllowed
from workflows.domain.identity import order_id
from workflows.domain.orders import OrderState
from workflows.domain.people import Person, Role
from workflows.domain.policies import Policy, RuleCode

NEED = "LEEDS:ITEM-001:1"
ORDER = order_id(SUPPLIER, LOCATION, "2025-03-03", 1)
PAT, DANA, GRACE = Actor(name="pat"), Actor(name="dana"), Actor(name="Grace")
TWO = Policy(four_eyes_above=Decimal(100), auto_value_limit=Decimal(10), new_item_asks=False, new_supplier_asks=False)
PLANNERS = frozenset({Role.PLANNER})
APPROVERS = frozenset({Role.APPROVER})


async def waiting(storeroom: Storeroom, policy: Policy = TWO) -> None:
    """One task of about 500."""
    await storeroom.stock(catalog(1), policy)
    storeroom.take(counted(9), clock())
    await storeroom.assess()


def refusals(storeroom: Storeroom) -> list[tuple[str, str, str]]:
    """(who, class, code) of the attempts that the ledger says did not count."""
    rows = storeroom.rows(
        """SELECT actor, convert_from(body, 'UTF8')::jsonb AS body FROM ledger_entry
           WHERE stream = %s AND type = 'verdict.refused' ORDER BY seq""",
        NEED,
    )
    return [(row["actor"], row["body"]["refused"], row["body"]["code"]) for row in rows]


def kinds(storeroom: Storeroom) -> list[str]:
    """What the ledger says of answers, in order."""
    rows = storeroom.rows(
        """SELECT type FROM ledger_entry WHERE stream = %s AND (type LIKE 'verdict.%%' OR type = 'approval.voided')
           ORDER BY seq""",
        NEED,
    )
    return [row["type"] for row in rows]


async def released(storeroom: Storeroom) -> Any:
    """What an attempt to order comes to."""
    return await storeroom.orders.release(NEED, storeroom.hash_of(NEED))


async def sent(storeroom: Storeroom) -> bool:
    """Whether the line went out."""
    return bool(await storeroom.orders.prepare(ORDER, passive=False))


def refused_line(storeroom: Storeroom) -> str:
    """Why the line did not go out."""
    return str(storeroom.one("SELECT refused_reason FROM order_line")["refused_reason"])


async def adopt(storeroom: Storeroom, author: str, adopter: str, **changes: Any) -> None:
    """Change the policy, by two people."""
    desk = PolicyDesk(PostgresPolicies(storeroom.database))
    document = {**(await desk.policies.current()).policy.model_dump(), **changes}
    change = await desk.propose(document, "for a test", Actor(name=author))
    await desk.answer(change.change_id, Actor(name=adopter), approve=True)


async def test_two_people_sign_and_only_then_is_anything_ordered(storeroom: Storeroom) -> None:
    await waiting(storeroom)
    (row,) = await storeroom.desk.tasks()
    assert RuleCode.NEEDS_TWO_SIGNATURES in row.rules

    first = await storeroom.answer(NEED, comment="for the fair", actor=PAT)
    assert (first.complete, first.undo_until) == (False, None)
    assert await storeroom.approvals.find(first.approval_id) is None
    assert await storeroom.approvals.unheard(0) == [], "no workflow need hear of it"
    found = await released(storeroom)
    assert (found.released, found.waits) == (False, True)
    view = await storeroom.desk.decision(NEED)
    assert (view.task or {})["state"] == "open"
    assert ((view.task or {})["first_signature_by"], (view.task or {})["signatures_needed"]) == ("pat", 2)
    assert (view.approvals[0]["comment"], view.approvals[0]["complete"]) == ("for the fair", False)

    second = await storeroom.answer(NEED, actor=DANA)
    assert second.complete
    assert second.undo_until is not None
    assert storeroom.one("SELECT standing_signatures(%s) AS n", NEED) == {"n": 2}
    assert (await released(storeroom)).released
    assert await sent(storeroom)
    assert kinds(storeroom) == ["verdict.signed", "verdict.recorded"]
    assert storeroom.verified().ok


async def test_nobody_signs_twice_and_a_planner_does_not_countersign(storeroom: Storeroom) -> None:
    await waiting(storeroom)
    storeroom.register(Person(name="Pia", roles=PLANNERS))
    await storeroom.answer(NEED, actor=PAT)
    with pytest.raises(AlreadyAnswered, match="pat has signed this already"):
        await storeroom.answer(NEED, actor=PAT)
    with pytest.raises(NotAllowed, match="pat signed first"):
        await storeroom.answer(NEED, actor=Actor(name="Pia"))
    assert refusals(storeroom) == [
        ("pat", "AlreadyAnswered", "signed_already"), ("Pia", "NotAllowed", "no_countersign"),
    ]  # fmt: skip
    assert (await storeroom.answer(NEED, actor=DANA)).complete


async def test_other_units_are_another_first_signature_and_the_earlier_one_is_void(storeroom: Storeroom) -> None:
    await waiting(storeroom)
    await storeroom.answer(NEED, actor=PAT)
    edited = await storeroom.answer(NEED, Meaning.APPROVE_EDITED, units=48, actor=DANA)
    assert not edited.complete
    assert (await storeroom.desk.decision(NEED)).task["first_signature_by"] == "dana"  # type: ignore[index]
    again = await storeroom.answer(NEED, actor=GRACE)
    assert not again.complete, "that is for the proposal's own units, which nobody else stands behind"
    own = await storeroom.answer(NEED, Meaning.APPROVE_EDITED, units=48, actor=GRACE)
    assert not own.complete, "one's own edit replaces one's own signature"
    assert (await storeroom.answer(NEED, Meaning.APPROVE_EDITED, units=48, actor=PAT)).complete
    assert (await released(storeroom)).released
    assert storeroom.one("SELECT units FROM order_line") == {"units": 48}
    assert await sent(storeroom)
    assert kinds(storeroom).count("approval.voided") == 3
    voided = storeroom.rows("SELECT actor, void_reason FROM approval WHERE voided_at IS NOT NULL ORDER BY recorded_at")
    assert [row["actor"] for row in voided] == ["pat", "dana", "Grace"]


async def test_units_below_the_threshold_need_one_signature(storeroom: Storeroom) -> None:
    await waiting(storeroom)
    assert (await storeroom.answer(NEED, Meaning.APPROVE_EDITED, units=18, actor=PAT)).complete, "75.60"
    assert (await released(storeroom)).released
    assert await sent(storeroom)


async def test_a_rescore_voids_the_first_signature(storeroom: Storeroom) -> None:
    await waiting(storeroom)
    await storeroom.answer(NEED, actor=PAT)
    storeroom.take(sold(40), clock(MORNING + timedelta(hours=1)))
    assert (await storeroom.rescore(NEED)).changed
    assert (await storeroom.desk.decision(NEED)).task["first_signature_by"] is None  # type: ignore[index]
    assert not (await storeroom.answer(NEED, actor=DANA)).complete
    assert (await storeroom.answer(NEED, actor=PAT)).complete
    assert kinds(storeroom) == ["verdict.signed", "approval.voided", "verdict.signed", "verdict.recorded"]


@pytest.mark.parametrize("who", [PAT, DANA])
async def test_a_rejection_by_either_ends_it(storeroom: Storeroom, who: Actor) -> None:
    await waiting(storeroom)
    await storeroom.answer(NEED, actor=PAT)
    assert (await storeroom.answer(NEED, Meaning.REJECT, actor=who)).complete
    assert await storeroom.orders.close_rejected(NEED)
    assert storeroom.one("SELECT state FROM replenishment") == {"state": "rejected"}
    assert kinds(storeroom) == ["verdict.signed", "approval.voided", "verdict.recorded"]


async def test_expiry_voids_a_first_signature(storeroom: Storeroom) -> None:
    await waiting(storeroom)
    await storeroom.answer(NEED, actor=PAT)
    assert await storeroom.approvals.expire(NEED, storeroom.hash_of(NEED)) is TaskState.EXPIRED
    assert kinds(storeroom) == ["verdict.signed", "approval.voided"]


async def test_two_who_sign_at_once_are_one_first_and_one_second(storeroom: Storeroom) -> None:
    await waiting(storeroom)
    found = await asyncio.gather(*[storeroom.answer(NEED, actor=who) for who in (PAT, DANA)])
    assert sorted(one.complete for one in found) == [False, True]


@pytest.mark.parametrize(
    ("person", "units", "code"),
    [
        (None, None, "unknown_person"),
        (Person(name="Zoe", roles=PLANNERS, disabled_at=MORNING), None, "disabled"),
        (Person(name="Zoe", roles=frozenset({Role.OPERATOR})), None, "no_permission"),
        (Person(name="Zoe", roles=PLANNERS, locations=frozenset({"YORK"})), None, "other_location"),
        (Person(name="Zoe", roles=PLANNERS, approval_limit=Decimal(50)), None, "above_own_limit"),
        (Person(name="Zoe", roles=PLANNERS, approval_limit=Decimal(50)), 12, "above_own_limit"),
    ],
)
async def test_who_may_not_answer_is_refused_where_the_approval_would_exist(
    storeroom: Storeroom, person: Person | None, units: int | None, code: str
) -> None:
    await waiting(storeroom)
    if person:
        storeroom.register(person)
    meaning = Meaning.APPROVE_EDITED if units else Meaning.APPROVE
    with pytest.raises(NotAllowed):
        await storeroom.answer(NEED, meaning, units=units, actor=Actor(name="Zoe"))
    assert refusals(storeroom) == [("Zoe", "NotAllowed", code)]
    assert storeroom.rows("SELECT 1 FROM approval") == []
    if code == "above_own_limit":
        few = await storeroom.answer(NEED, Meaning.APPROVE_EDITED, units=6, actor=Actor(name="Zoe"))
        assert few.complete, "the edited units are what counts"


async def test_a_first_signer_who_lost_the_right_does_not_count_any_more(storeroom: Storeroom) -> None:
    await waiting(storeroom)
    storeroom.register(Person(name="Zoe", roles=PLANNERS))
    await storeroom.answer(NEED, actor=Actor(name="Zoe"))
    storeroom.register(Person(name="Zoe", roles=PLANNERS, disabled_at=MORNING))
    assert not (await storeroom.answer(NEED, actor=DANA)).complete, "it is the first one now"
    assert (await storeroom.desk.decision(NEED)).task["first_signature_by"] == "dana"  # type: ignore[index]


LOST = {
    "disabled": (Person(name="Zoe", roles=APPROVERS, disabled_at=MORNING), "too few people"),
    "another role": (Person(name="Zoe", roles=frozenset({Role.VIEWER})), "may not approve any more"),
    "another place": (Person(name="Zoe", roles=APPROVERS, locations=frozenset({"YORK"})), "for this location any more"),
    "another limit": (Person(name="Zoe", roles=APPROVERS, approval_limit=Decimal(1)), "as much any more"),
}


@pytest.mark.parametrize("which", LOST)
@pytest.mark.parametrize("first", [True, False])
async def test_the_send_gate_asks_again_who_signed(storeroom: Storeroom, which: str, first: bool) -> None:
    await waiting(storeroom)
    storeroom.register(Person(name="Zoe", roles=APPROVERS))
    for who in ("Zoe", "dana") if first else ("dana", "Zoe"):
        await storeroom.answer(NEED, actor=Actor(name=who))
    assert (await released(storeroom)).released
    person, words = LOST[which]
    storeroom.register(person)
    assert not await sent(storeroom)
    assert words in refused_line(storeroom)
    assert "Zoe" not in refused_line(storeroom)
    assert await storeroom.orders.state(ORDER) is OrderState.EMPTY
    assert storeroom.position()["on_order_units"] == 0, "it may be needed again"
    (entry,) = storeroom.rows("SELECT stream FROM ledger_entry WHERE type = 'order.line_refused'")
    assert entry["stream"] == NEED


FORGERIES = {
    "no first signature": "DELETE FROM approval WHERE NOT complete",
    "a void first signature": "UPDATE approval SET voided_at = now() WHERE NOT complete",
    "one person twice": "UPDATE approval SET actor = 'dana'",
    "one person in two spellings": "UPDATE approval SET actor = CASE WHEN complete THEN 'dana' ELSE 'Dana ' END, "
    "signatures_needed = CASE WHEN complete THEN 2 END",
    "other units": "UPDATE approval SET units = 12 WHERE NOT complete",
    "another hash": "UPDATE approval SET proposal_hash = repeat('a', 64) WHERE NOT complete",
    "somebody unknown": "UPDATE approval SET actor = 'nobody' WHERE NOT complete",
    "a rejection": "UPDATE approval SET meaning = 'reject' WHERE NOT complete",
}


@pytest.mark.parametrize("forgery", FORGERIES)
async def test_the_database_itself_counts_who_stands_behind_a_line(storeroom: Storeroom, forgery: str) -> None:
    await waiting(storeroom)
    await storeroom.answer(NEED, actor=PAT)
    await storeroom.answer(NEED, actor=DANA)
    assert (await released(storeroom)).released
    assert storeroom.one("SELECT line_refusal(%s) AS why", NEED) == {"why": None}
    storeroom.connection.execute(FORGERIES[forgery].encode())
    why = storeroom.one("SELECT line_refusal(%s) AS why", NEED)["why"]
    assert why == "too few people who may still approve stand behind it: 1 of 2"
    assert not await sent(storeroom)


async def test_what_was_approved_before_people_were_kept_is_sent(storeroom: Storeroom) -> None:
    """An upgrade stops nothing that is under way."""
    await waiting(storeroom, TWO.model_copy(update={"four_eyes_above": None}))
    await storeroom.answer(NEED)
    assert (await released(storeroom)).released
    storeroom.connection.execute("UPDATE approval SET actor = 'somebody of then', signatures_needed = NULL")
    assert await sent(storeroom)


async def test_a_policy_that_wants_two_by_now_holds_what_one_has_signed(storeroom: Storeroom) -> None:
    await waiting(storeroom, TWO.model_copy(update={"four_eyes_above": None}))
    assert (await storeroom.answer(NEED)).complete
    assert (await released(storeroom)).released
    await adopt(storeroom, "Ada", "Grace", four_eyes_above=Decimal(100))
    assert not await sent(storeroom)
    assert refused_line(storeroom).endswith("which two people must sign; one person did")


async def test_a_policy_that_wants_one_by_now_lets_the_first_signer_answer_alone(storeroom: Storeroom) -> None:
    await waiting(storeroom)
    await storeroom.answer(NEED, actor=PAT)
    await adopt(storeroom, "Ada", "Grace", four_eyes_above=None)
    assert (await storeroom.answer(NEED, actor=PAT)).complete
    assert (await released(storeroom)).released
    assert await sent(storeroom)


async def test_the_first_order_at_a_supplier_needs_two_where_the_policy_says_so(storeroom: Storeroom) -> None:
    policy = TWO.model_copy(update={"four_eyes_above": None, "four_eyes_for_new_supplier": True})
    await waiting(storeroom, policy)
    assert not (await storeroom.answer(NEED, actor=PAT)).complete
    assert (await storeroom.answer(NEED, actor=DANA)).complete
    assert (await released(storeroom)).released
    assert await sent(storeroom)


@pytest.mark.parametrize("who", ["Ada", "Grace"])
@pytest.mark.parametrize("when", ["before the decision", "since"])
async def test_nobody_approves_what_their_own_change_of_the_policy_touches(
    storeroom: Storeroom, who: str, when: str
) -> None:
    await storeroom.stock(catalog(1), TWO)
    own = {"overrides": [{"item": "ITEM-001", "cover_cap_days": 1}]}
    if when == "before the decision":
        await adopt(storeroom, "Ada", "Grace", **own)
    storeroom.take(counted(9), clock())
    await storeroom.assess()
    if when == "since":
        await adopt(storeroom, "Ada", "Grace", **own)
    else:
        await adopt(storeroom, "pat", "dana", overrides=[*own["overrides"], {"item": "OTHER", "cover_cap_days": 1}])
    with pytest.raises(NotAllowed, match="which changed cover_cap_days for this order"):
        await storeroom.answer(NEED, actor=Actor(name=who))
    assert refusals(storeroom) == [(who, "NotAllowed", "own_policy")]
    await storeroom.answer(NEED, actor=PAT), await storeroom.answer(NEED, Meaning.REJECT, actor=Actor(name=who))


async def test_two_planners_race_for_one_task_over_two_connections(storeroom: Storeroom, database: Database) -> None:
    await waiting(storeroom, TWO.model_copy(update={"four_eyes_above": None}))
    dsn = storeroom.connection.info.dsn

    async def planner(name: str) -> Any:
        command = VerdictCommand(
            command_id=f"click-{name}", decision_id=NEED, proposal_hash=storeroom.hash_of(NEED),
            meaning=Meaning.APPROVE,
        )  # fmt: skip
        async with Database(dsn, name=name, size=1) as own:
            return await PostgresApprovals(own).record(command, Actor(name=name))

    found = await asyncio.gather(planner("pat"), planner("dana"), return_exceptions=True)
    (winner,) = [one for one in found if not isinstance(one, BaseException)]
    (told,) = [one for one in found if isinstance(one, BaseException)]
    assert isinstance(told, AlreadyAnswered)
    assert f"approved already, by {winner.actor}" in str(told)
