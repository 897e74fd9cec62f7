"""The answer desk: recorded first, told second, and an unreachable workflow loses nothing."""

import subprocess
import sys

import pytest

from console.desk import AnswerDesk
from tests.fakes.desk import MemoryApprovals, MemoryShop, MemoryVerdictChannel
from tests.fakes.shop import CLOCK, decided, open_task
from workflows.domain.approvals import Actor, Meaning, RejectReason, TaskState, VerdictCommand
from workflows.domain.errors import AlreadyAnswered, InvalidInput, NotFound, StaleProposal

ADA = Actor(name="Ada", channel="cli")


class Desk:
    """One waiting proposal and the desk that takes answers to it."""

    def __init__(self) -> None:
        self.shop = MemoryShop(CLOCK)
        self.case = self.shop.put(decided(), "Oat drink", task=open_task())
        self.decision = self.case.decided.decision
        self.approvals, self.channel = MemoryApprovals(self.shop), MemoryVerdictChannel()
        self.answers = AnswerDesk(self.approvals, self.channel)

    def command(self, command_id: str = "command-1", **changes: object) -> VerdictCommand:
        fields = {
            "command_id": command_id, "decision_id": self.decision.decision_id,
            "proposal_hash": self.decision.proposal_hash, "meaning": Meaning.APPROVE,
        }  # fmt: skip
        return VerdictCommand.model_validate(fields | changes)


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_an_answer_is_stored_and_then_told(desk: Desk) -> None:
    receipt = await desk.answers.answer(desk.command(), ADA)

    assert receipt.heard
    assert desk.case.task is not None
    assert desk.case.task["state"] == TaskState.APPROVED
    assert desk.channel.told[0][1].proposal_hash == desk.decision.proposal_hash
    assert desk.shop.heard == [receipt.approval_id]
    assert desk.case.approvals[0]["channel"] == "cli"


@pytest.mark.parametrize("state", ["unreachable", "broken"])
async def test_a_workflow_out_of_reach_leaves_the_answer_standing(desk: Desk, state: str) -> None:
    desk.channel.state = state

    receipt = await desk.answers.answer(desk.command(), ADA)

    assert not receipt.heard
    assert await desk.approvals.find(receipt.approval_id) is not None
    assert desk.shop.heard == []


async def test_the_same_command_again_gives_the_same_approval_and_tells_the_workflow_again(desk: Desk) -> None:
    desk.channel.state = "unreachable"
    first = await desk.answers.answer(desk.command(), ADA)
    desk.channel.state = "reachable"

    second = await desk.answers.answer(desk.command(), ADA)

    assert second == first.model_copy(update={"heard": True})
    assert len(desk.case.approvals) == 1


async def test_only_the_first_verdict_counts(desk: Desk) -> None:
    await desk.answers.answer(desk.command(), ADA)
    reject = desk.command("command-2", meaning=Meaning.REJECT, reason=RejectReason.TOO_MUCH)

    with pytest.raises(AlreadyAnswered, match="approved by Ada"):
        await desk.answers.answer(reject, Actor(name="Grace"))

    assert len(desk.channel.told) == 1


async def test_an_answer_to_an_earlier_revision_is_refused_and_nothing_is_told(desk: Desk) -> None:
    command = desk.command()
    desk.shop.rescore(decided(daily=20, revision=2))

    with pytest.raises(StaleProposal):
        await desk.answers.answer(command, ADA)

    assert desk.channel.told == []


async def test_a_command_id_belongs_to_one_command(desk: Desk) -> None:
    await desk.answers.answer(desk.command(), ADA)

    with pytest.raises(InvalidInput):
        await desk.answers.answer(desk.command(comment="on second thoughts"), ADA)


async def test_there_is_no_answer_without_a_task(desk: Desk) -> None:
    with pytest.raises(NotFound):
        await desk.answers.answer(desk.command(decision_id="LEEDS:NOTHING:1"), ADA)


def test_the_command_line_can_use_the_desk_without_the_web() -> None:
    code = "import console.desk, sys; print([m for m in ('fastapi', 'starlette', 'jinja2') if m in sys.modules])"

    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "[]", "console.desk pulls in the web framework; the CLI answers through it too"
