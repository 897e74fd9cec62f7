"""Whoever stores verdicts: the first valid one counts, for the proposal it was given for, and expiry never approves."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.fakes.desk import MemoryApprovals, MemoryShop
from tests.fakes.records import RecordedApprovals, Records, ref_of
from tests.fakes.shop import CLOCK, decided, open_task
from tests.storeroom import MORNING, Storeroom, catalog, clock, counted, sold
from workflows.domain.approvals import Actor, Meaning, RejectReason, TaskState, VerdictCommand
from workflows.domain.errors import AlreadyAnswered, InvalidInput, NotFound, StaleProposal
from workflows.domain.policies import RiskTier
from workflows.domain.ports import Approvals

PAT = Actor(name="pat")


@dataclass
class Waiting:
    """A port with one task that waits, and how to make its proposal change."""

    approvals: Approvals
    decision_id: str
    proposal_hash: str
    change: Callable[[], Awaitable[str]]
    """Replace the proposal by another revision; its hash."""
    checks_commands: bool = True

    def command(self, meaning: Meaning = Meaning.APPROVE, **changes: Any) -> VerdictCommand:
        """A verdict on the proposal as it was first seen."""
        fields: dict[str, Any] = {
            "command_id": "click-0001", "decision_id": self.decision_id, "proposal_hash": self.proposal_hash,
            "meaning": meaning, "reason": RejectReason.OTHER if meaning is Meaning.REJECT else None,
        }  # fmt: skip
        return VerdictCommand.model_validate(fields | changes)


def over_shop() -> Waiting:
    """The console's fake."""
    shop = MemoryShop(CLOCK)
    first, second = decided(), decided(revision=2, on_hand=20)
    shop.put(first, "Oat drink", task=open_task())

    async def change() -> str:
        shop.rescore(second)
        return second.decision.proposal_hash

    return Waiting(MemoryApprovals(shop), first.decision.decision_id, first.decision.proposal_hash, change)


def over_records() -> Waiting:
    """The durable tests' fake, which stores no command but its answer."""
    records = Records(lambda: datetime.now(UTC), CLOCK)
    first, second = decided(), decided(revision=2, on_hand=20)
    row = records.propose(ref_of(first, tier=RiskTier.REVIEW))

    async def change() -> str:
        row.ref = ref_of(second, tier=RiskTier.REVIEW)
        return second.decision.proposal_hash

    return Waiting(
        RecordedApprovals(records), first.decision.decision_id, first.decision.proposal_hash, change,
        checks_commands=False,
    )  # fmt: skip


async def over_postgres(storeroom: Storeroom) -> Waiting:
    """The real one."""
    await storeroom.stock(catalog(1))
    storeroom.take(counted(9), clock())
    await storeroom.assess()
    decision_id = "LEEDS:ITEM-001:1"

    async def change() -> str:
        storeroom.take(sold(40), clock(MORNING + timedelta(hours=1)))
        assert (await storeroom.rescore(decision_id)).changed
        return storeroom.hash_of(decision_id)

    return Waiting(storeroom.approvals, decision_id, storeroom.hash_of(decision_id), change)


@pytest.fixture(params=["shop", "records", "postgres"])
def place(request: pytest.FixtureRequest) -> str | Storeroom:
    """Which of them; a database only for the one that needs it."""
    if request.param != "postgres":
        return str(request.param)
    storeroom: Storeroom = request.getfixturevalue("storeroom")
    return storeroom


@pytest.fixture
async def waiting(place: str | Storeroom) -> Waiting:
    """Each of them, with a task that waits."""
    if isinstance(place, Storeroom):
        return await over_postgres(place)
    return over_shop() if place == "shop" else over_records()


async def test_a_verdict_is_stored_and_found(waiting: Waiting) -> None:
    approval = await waiting.approvals.record(waiting.command(Meaning.APPROVE_EDITED, units=48), PAT)
    assert (approval.decision_id, approval.units, approval.actor) == (waiting.decision_id, 48, "pat")
    assert (approval.meaning, approval.proposal_hash) == (Meaning.APPROVE_EDITED, waiting.proposal_hash)
    assert await waiting.approvals.find(approval.approval_id) == approval
    assert await waiting.approvals.find("another-command") is None
    await waiting.approvals.heard(approval.approval_id)
    await waiting.approvals.heard(approval.approval_id)


async def test_the_same_command_again_gives_the_same_approval(waiting: Waiting) -> None:
    first = await waiting.approvals.record(waiting.command(), PAT)
    assert await waiting.approvals.record(waiting.command(), PAT) == first


async def test_a_command_id_is_good_for_one_command(waiting: Waiting) -> None:
    if not waiting.checks_commands:
        pytest.skip("this fake is told each command once")
    await waiting.approvals.record(waiting.command(), PAT)
    with pytest.raises(InvalidInput):
        await waiting.approvals.record(waiting.command(Meaning.REJECT), PAT)


async def test_the_first_valid_verdict_counts(waiting: Waiting) -> None:
    verdicts = [(Meaning.APPROVE, "click-aaaa"), (Meaning.REJECT, "click-bbbb"), (Meaning.APPROVE, "click-cccc")]
    found = await asyncio.gather(
        *[waiting.approvals.record(waiting.command(meaning, command_id=name), PAT) for meaning, name in verdicts],
        return_exceptions=True,
    )
    assert sum(not isinstance(one, BaseException) for one in found) == 1
    assert sum(isinstance(one, AlreadyAnswered) for one in found) == 2


async def test_a_verdict_for_another_revision_does_not_count(waiting: Waiting) -> None:
    newer = await waiting.change()
    with pytest.raises(StaleProposal):
        await waiting.approvals.record(waiting.command(), PAT)
    assert await waiting.approvals.find("click-0001") is None
    approval = await waiting.approvals.record(waiting.command(command_id="click-0002", proposal_hash=newer), PAT)
    assert approval.revision == 2


async def test_there_must_be_a_task(waiting: Waiting) -> None:
    with pytest.raises(NotFound):
        await waiting.approvals.record(waiting.command(decision_id="LEEDS:NOTHING:1"), PAT)


async def test_expiry_closes_the_task_and_approves_nothing(waiting: Waiting) -> None:
    await waiting.approvals.remind(waiting.decision_id)
    await waiting.approvals.escalate(waiting.decision_id)
    for _ in range(2):
        state = await waiting.approvals.expire(waiting.decision_id, waiting.proposal_hash)
        assert state is TaskState.EXPIRED
    with pytest.raises(AlreadyAnswered):
        await waiting.approvals.record(waiting.command(), PAT)


@pytest.mark.parametrize(
    ("meaning", "state"), [(Meaning.APPROVE, TaskState.APPROVED), (Meaning.REJECT, TaskState.REJECTED)]
)
async def test_expiry_that_comes_second_changes_nothing(waiting: Waiting, meaning: Meaning, state: TaskState) -> None:
    approval = await waiting.approvals.record(waiting.command(meaning), PAT)
    assert await waiting.approvals.expire(waiting.decision_id, waiting.proposal_hash) is state
    assert await waiting.approvals.find(approval.approval_id) == approval
