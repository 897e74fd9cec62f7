"""The scripted planner answers by the desk that people use, and the same task always in the same way."""

from collections import Counter
from datetime import date
from decimal import Decimal
from typing import Any

from console.desk import AnswerDesk
from tests.fakes.desk import MemoryApprovals, MemoryDesk, MemoryShop, MemoryVerdictChannel
from tests.fakes.people import MemoryPeople
from tests.fakes.shop import CLOCK, decided, open_task
from workers.planner import APPROVES, EDITS, HEAD_PLANNER, PLANNER, REJECTS, ScriptedPlanner, answer_to
from workflows.domain.approvals import Meaning, RejectReason, TaskState
from workflows.domain.desk import TaskRow
from workflows.domain.policies import Policy

DAY = date(2025, 11, 24)


def shop(tasks: int) -> MemoryShop:
    """A shop with so many waiting tasks."""
    filled = MemoryShop(CLOCK)
    for number in range(tasks):
        filled.put(decided(item=f"ITEM-{number:03}"), f"Item {number}", task=open_task())
    return filled


def planner(over: MemoryShop, approvals: MemoryApprovals | None = None) -> ScriptedPlanner:
    desk: Any = MemoryDesk(over)
    answers = AnswerDesk(approvals or MemoryApprovals(over), MemoryVerdictChannel())
    return ScriptedPlanner(desk, answers, MemoryPeople())


async def rows(count: int) -> list[TaskRow]:
    return await MemoryDesk(shop(count)).tasks(limit=500)


async def test_most_are_approved_some_edited_some_rejected_and_a_few_left_to_expire() -> None:
    meanings = Counter(command and command.meaning for command in map(answer_to, await rows(400)))

    assert meanings.keys() == {Meaning.APPROVE, Meaning.APPROVE_EDITED, Meaning.REJECT, None}
    shares = [meanings[one] / 4 for one in (Meaning.APPROVE, Meaning.APPROVE_EDITED, Meaning.REJECT)]
    assert all(abs(share - wanted) < 8 for share, wanted in zip(shares, (APPROVES, EDITS, REJECTS), strict=True))


async def test_an_edit_orders_a_fifth_less_and_never_nothing() -> None:
    edited = [
        (task, command)
        for task in await rows(100)
        if (command := answer_to(task)) and command.meaning is Meaning.APPROVE_EDITED
    ]
    assert edited
    for task, command in edited:
        assert command.units == task.units * 4 // 5
        one = answer_to(task.model_copy(update={"units": 1}))
        assert one is not None
        assert one.units == 1


async def test_a_rejection_has_a_reason() -> None:
    rejected = [one for one in map(answer_to, await rows(100)) if one and one.meaning is Meaning.REJECT]

    assert {one.reason for one in rejected} == {RejectReason.TOO_MUCH}


async def test_the_same_task_is_answered_by_the_same_command_and_a_new_revision_by_a_new_one() -> None:
    (task, *_) = [one for one in await rows(20) if answer_to(one)]
    again, revised = answer_to(task), answer_to(task.model_copy(update={"revision": 2}))

    assert again == answer_to(task)
    assert again is not None
    assert revised is not None
    assert revised.command_id != again.command_id
    assert revised.meaning is again.meaning


async def test_going_through_the_inbox_answers_what_is_open_and_twice_is_harmless() -> None:
    over = shop(20)

    await planner(over).work(DAY)
    answered = Counter(case.task["state"] for case in over.cases.values() if case.task)
    await planner(over).work(DAY)

    assert answered[TaskState.APPROVED] > 10
    assert 0 < answered[TaskState.OPEN] < 5
    assert Counter(case.task["state"] for case in over.cases.values() if case.task) == answered


async def test_a_proposal_that_changed_meanwhile_waits_for_tomorrow() -> None:
    over = shop(20)

    class Moved(MemoryApprovals):
        async def record(self, command: Any, actor: Any) -> Any:
            return await super().record(command.model_copy(update={"proposal_hash": "0" * 64}), actor)

    await planner(over, Moved(over)).work(DAY)

    assert {case.task["state"] for case in over.cases.values() if case.task} == {TaskState.OPEN}


async def test_where_two_must_sign_a_second_person_does() -> None:
    over = shop(20)
    over.policy = Policy(four_eyes_above=Decimal(0))
    people = MemoryPeople(())
    approvals = MemoryApprovals(over, people)
    desk: Any = MemoryDesk(over)
    scripted = ScriptedPlanner(desk, AnswerDesk(approvals, MemoryVerdictChannel()), people)
    await scripted.arrive()

    for _ in range(2):
        await scripted.work(DAY)

    states = Counter(case.task["state"] for case in over.cases.values() if case.task)
    assert states[TaskState.APPROVED] > 10
    assert 0 < states[TaskState.OPEN] < 5
    for case in over.cases.values():
        approved = [row for row in case.approvals if row["meaning"] is not Meaning.REJECT]
        assert [row["actor"] for row in approved] in ([], [PLANNER.name, HEAD_PLANNER.name])
        assert len({row["units"] for row in approved}) <= 1
