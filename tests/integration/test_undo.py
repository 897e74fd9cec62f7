"""An answer may be taken back until something came of it: row locks decide who was first, and both are on record."""

import asyncio
from typing import Any

import pytest

from connectors.postgres.approvals import PostgresApprovals
from connectors.postgres.pool import Connection, connect
from tests.fakes.engine import until
from tests.integration.test_signatures import DANA, GRACE, NEED, PAT, kinds, refusals, released, waiting
from tests.storeroom import Storeroom
from workflows.domain.approvals import Actor, Meaning, TaskState, UndoCommand, Withdrawal
from workflows.domain.errors import AlreadyAnswered, Conflict, InvalidInput, NotAllowed, NotFound
from workflows.domain.people import Person, Role
from workflows.domain.policies import Policy


async def undo(storeroom: Storeroom, actor: Actor = PAT, **more: Any) -> Withdrawal:
    """Take the actor's answer back."""
    command = UndoCommand.model_validate({"command_id": "undo-0001", "decision_id": NEED, **more})
    return await storeroom.approvals.withdraw(command, actor)


def task_state(storeroom: Storeroom) -> str:
    """Where the task is."""
    return str(storeroom.one("SELECT state FROM task")["state"])


async def simple(storeroom: Storeroom) -> None:
    """One task that one person may approve."""
    await waiting(storeroom, Policy())


@pytest.mark.parametrize("meaning", [Meaning.APPROVE, Meaning.REJECT])
async def test_an_answer_that_is_taken_back_counts_no_more_and_the_task_waits(
    storeroom: Storeroom, meaning: Meaning
) -> None:
    await simple(storeroom)
    approval = await storeroom.answer(NEED, meaning)
    assert approval.undo_until is not None
    assert (approval.undo_until - approval.recorded_at).total_seconds() == pytest.approx(10, abs=0.1)

    taken = await undo(storeroom)

    assert (taken.approval_id, taken.meaning, taken.complete) == (approval.approval_id, meaning, True)
    (task,) = await storeroom.desk.tasks()
    assert (task.state, task.answered_by) == (TaskState.OPEN, None)
    assert await storeroom.approvals.find(approval.approval_id) is None
    assert await storeroom.approvals.unheard(0) == []
    found = await released(storeroom)
    assert (found.released, found.waits) == (False, True)
    assert await storeroom.orders.close_rejected(NEED) is False
    assert storeroom.one("SELECT state FROM replenishment") == {"state": "proposed"}
    assert kinds(storeroom) == ["verdict.recorded", "verdict.withdrawn"]

    await storeroom.answer(NEED, actor=DANA)
    assert (await released(storeroom)).released
    assert storeroom.verified().ok


async def test_undo_twice_is_undo_once(storeroom: Storeroom) -> None:
    await simple(storeroom)
    await storeroom.answer(NEED)
    found = await asyncio.gather(*[undo(storeroom) for _ in range(4)])
    assert len(set(found)) == 1
    with pytest.raises(Conflict, match="nothing to take back"):
        await undo(storeroom, command_id="undo-0002")
    assert kinds(storeroom) == ["verdict.recorded", "verdict.withdrawn", "verdict.refused"]
    with pytest.raises(InvalidInput):
        await undo(storeroom, DANA)
    await storeroom.answer(NEED, actor=DANA)
    assert await undo(storeroom) == found[0], "it answers for what it took back, not for what stands since"
    assert task_state(storeroom) == "approved"


@pytest.mark.parametrize("meaning", [Meaning.APPROVE, Meaning.REJECT])
async def test_what_came_of_an_answer_cannot_be_taken_back(storeroom: Storeroom, meaning: Meaning) -> None:
    await simple(storeroom)
    await storeroom.answer(NEED, meaning)
    if meaning is Meaning.REJECT:
        assert await storeroom.orders.close_rejected(NEED)
    else:
        assert (await released(storeroom)).released
    with pytest.raises(Conflict, match="too late"):
        await undo(storeroom)
    assert refusals(storeroom) == [("pat", "Conflict", "too_late")]
    assert task_state(storeroom) == ("rejected" if meaning is Meaning.REJECT else "approved")


@pytest.mark.parametrize(
    ("actor", "code"), [(DANA, "not_theirs"), (Actor(name="Zoe"), "disabled"), (Actor(name="nobody"), "unknown_person")]
)
async def test_only_its_author_takes_an_answer_back(storeroom: Storeroom, actor: Actor, code: str) -> None:
    await simple(storeroom)
    zoe = Person(name="Zoe", roles=frozenset({Role.PLANNER}))
    storeroom.register(zoe)
    await storeroom.answer(NEED, actor=Actor(name="Zoe") if code == "disabled" else PAT)
    storeroom.connection.execute("UPDATE person SET disabled_at = now() WHERE name = 'Zoe'")
    with pytest.raises(NotAllowed):
        await undo(storeroom, actor)
    assert refusals(storeroom) == [(actor.name, "NotAllowed", code)]
    assert task_state(storeroom) == "approved"


async def test_an_answer_that_is_named_must_be_the_one_that_stands(storeroom: Storeroom) -> None:
    await simple(storeroom)
    first = await storeroom.answer(NEED)
    await undo(storeroom, approval_id=first.approval_id)
    second = await storeroom.answer(NEED)
    with pytest.raises(Conflict):
        await undo(storeroom, command_id="undo-0002", approval_id=first.approval_id)
    assert (await undo(storeroom, command_id="undo-0003", approval_id=second.approval_id)).approval_id == (
        second.approval_id
    )


async def test_where_no_time_is_given_nothing_is_taken_back(storeroom: Storeroom) -> None:
    await simple(storeroom)
    storeroom.approvals = PostgresApprovals(storeroom.database)
    assert (await storeroom.answer(NEED)).undo_until is None
    with pytest.raises(Conflict, match="QM_UNDO_SECONDS is 0"):
        await undo(storeroom)


async def test_there_must_be_a_task_and_an_answer(storeroom: Storeroom) -> None:
    await simple(storeroom)
    with pytest.raises(NotFound):
        await undo(storeroom, decision_id="LEEDS:NOTHING:1")
    with pytest.raises(Conflict):
        await undo(storeroom)
    await storeroom.approvals.expire(NEED, storeroom.hash_of(NEED))
    with pytest.raises(NotAllowed, match="clock gave this answer"):
        await undo(storeroom, command_id="undo-0002")


async def test_signatures_are_taken_back_from_the_last_one(storeroom: Storeroom) -> None:
    await waiting(storeroom)
    first = await storeroom.answer(NEED, actor=PAT)
    await storeroom.answer(NEED, actor=DANA)
    with pytest.raises(NotAllowed, match="dana gave this answer"):
        await undo(storeroom, PAT)
    with pytest.raises(Conflict):
        await undo(storeroom, PAT, approval_id=first.approval_id, command_id="undo-0002")
    assert (await undo(storeroom, DANA, command_id="undo-0003")).complete
    assert task_state(storeroom) == "open"
    view = await storeroom.desk.decision(NEED)
    assert (view.task or {})["first_signature_by"] == "pat", "that one still stands"
    assert not (await undo(storeroom, PAT, command_id="undo-0004")).complete
    assert not (await storeroom.answer(NEED, actor=GRACE)).complete


@pytest.fixture
def second(storeroom: Storeroom) -> Any:
    """Another connection: somebody else in the middle of something."""
    connection = connect(storeroom.connection.info.dsn, name="second")
    yield connection
    connection.close()


async def test_an_undo_that_comes_first_is_seen_by_the_order_that_waited_for_it(
    storeroom: Storeroom, second: Connection
) -> None:
    """The order waits for the proposal's row and must not go by what it read before it waited."""
    await simple(storeroom)
    await storeroom.answer(NEED)
    second.execute("BEGIN")
    second.execute("SELECT 1 FROM task FOR UPDATE")
    second.execute("SELECT 1 FROM replenishment FOR UPDATE")
    ordering = asyncio.create_task(released(storeroom))
    await blocked_on_a_row(storeroom)
    second.execute("UPDATE approval SET voided_at = now()")
    second.execute("UPDATE task SET state = 'open', answered_by = NULL")
    second.execute("COMMIT")
    found = await ordering
    assert (found.released, found.waits) == (False, True)
    assert storeroom.rows("SELECT 1 FROM order_line") == []


async def test_an_undo_that_waited_for_the_order_is_too_late(storeroom: Storeroom, second: Connection) -> None:
    await simple(storeroom)
    await storeroom.answer(NEED)
    second.execute("BEGIN")
    second.execute("SELECT 1 FROM replenishment FOR UPDATE")
    undoing = asyncio.create_task(undo(storeroom))
    await blocked_on_a_row(storeroom)
    second.execute("UPDATE replenishment SET state = 'released'")
    second.execute("COMMIT")
    with pytest.raises(Conflict, match="on the order already"):
        await undoing
    assert task_state(storeroom) == "approved"


async def test_whoever_is_first_the_books_agree(storeroom: Storeroom) -> None:
    await simple(storeroom)
    for round_number in range(8):
        await storeroom.answer(NEED)
        ordering = asyncio.create_task(released(storeroom))
        undoing = asyncio.create_task(undo(storeroom, command_id=f"undo-{round_number:04}"))
        await asyncio.wait([ordering, undoing])
        if isinstance(undoing.exception(), Conflict):
            assert ordering.result().released
            assert task_state(storeroom) == "approved"
            break
        assert undoing.result().complete
        assert not ordering.result().released
        assert task_state(storeroom) == "open"
    assert storeroom.verified().ok


async def blocked_on_a_row(storeroom: Storeroom) -> None:
    """Wait until some session waits for a lock."""
    waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    await until(lambda: bool(storeroom.rows(waiting)), "somebody who waits for a lock")


async def test_a_verdict_and_an_undo_at_once_leave_one_of_them(storeroom: Storeroom) -> None:
    await simple(storeroom)
    await storeroom.answer(NEED)
    found = await asyncio.gather(undo(storeroom), storeroom.answer(NEED, actor=DANA), return_exceptions=True)
    assert not isinstance(found[0], BaseException)
    answered_again = not isinstance(found[1], BaseException)
    assert answered_again or isinstance(found[1], AlreadyAnswered)
    assert task_state(storeroom) == ("approved" if answered_again else "open")
