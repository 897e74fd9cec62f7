"""Whoever stores verdicts: the first valid one counts, for the proposal it was given for, and expiry never approves."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.fakes.desk import MemoryApprovals, MemoryShop
from tests.fakes.records import RecordedApprovals, Records, ref_of
from tests.fakes.shop import CLOCK, decided, open_task
from tests.storeroom import MORNING, Storeroom, catalog, clock, counted, sold
from workflows.domain.approvals import Actor, Meaning, RejectReason, TaskState, UndoCommand, VerdictCommand
from workflows.domain.errors import AlreadyAnswered, Conflict, InvalidInput, NotAllowed, NotFound, StaleProposal
from workflows.domain.identity import canonical
from workflows.domain.policies import Policy, RiskTier
from workflows.domain.ports import Approvals

PAT, DANA = Actor(name="pat"), Actor(name="dana")
TWO = Policy(four_eyes_above=Decimal(10))


@dataclass
class Waiting:
    """A port with one task that waits, and how to make its proposal change."""

    approvals: Approvals
    decision_id: str
    proposal_hash: str
    change: Callable[[], Awaitable[str]]
    """Replace the proposal by another revision; its hash."""
    checks_commands: bool = True
    two: Callable[[], None] = lambda: None
    """Let the policy want two signatures."""

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

    def two() -> None:
        shop.policy = TWO

    approvals = MemoryApprovals(shop, undo_seconds=10)
    return Waiting(approvals, first.decision.decision_id, first.decision.proposal_hash, change, two=two)


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

    def two() -> None:
        storeroom.connection.execute("ALTER TABLE policy_version DISABLE TRIGGER policy_version_guard")
        storeroom.connection.execute("UPDATE policy_version SET document = %s", [canonical(TWO)])

    return Waiting(storeroom.approvals, decision_id, storeroom.hash_of(decision_id), change, two=two)


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


def taking_back(waiting: Waiting, command_id: str = "undo-0001", **more: Any) -> UndoCommand:
    return UndoCommand.model_validate({"command_id": command_id, "decision_id": waiting.decision_id, **more})


@pytest.mark.parametrize("meaning", [Meaning.APPROVE, Meaning.REJECT])
async def test_an_answer_that_is_taken_back_makes_room_for_another(waiting: Waiting, meaning: Meaning) -> None:
    first = await waiting.approvals.record(waiting.command(meaning), PAT)
    taken = await waiting.approvals.withdraw(taking_back(waiting), PAT)
    assert (taken.approval_id, taken.meaning, taken.actor) == (first.approval_id, meaning, "pat")
    assert await waiting.approvals.find(first.approval_id) is None
    second = await waiting.approvals.record(waiting.command(command_id="click-0002"), DANA)
    assert await waiting.approvals.find(second.approval_id) == second


@pytest.fixture
def careful(waiting: Waiting) -> Waiting:
    """Those who look at who asks."""
    if not waiting.checks_commands:
        pytest.skip("this fake asks nobody who they are")
    return waiting


async def test_taking_back_twice_is_taking_back_once(careful: Waiting) -> None:
    await careful.approvals.record(careful.command(), PAT)
    first = await careful.approvals.withdraw(taking_back(careful), PAT)
    assert await careful.approvals.withdraw(taking_back(careful), PAT) == first
    with pytest.raises(InvalidInput):
        await careful.approvals.withdraw(taking_back(careful), DANA)
    with pytest.raises(Conflict):
        await careful.approvals.withdraw(taking_back(careful, "undo-0002"), PAT)


async def test_only_the_author_takes_an_answer_back(careful: Waiting) -> None:
    with pytest.raises(Conflict):
        await careful.approvals.withdraw(taking_back(careful), PAT)
    await careful.approvals.record(careful.command(), PAT)
    with pytest.raises(NotAllowed):
        await careful.approvals.withdraw(taking_back(careful, "undo-0002"), DANA)
    with pytest.raises(Conflict):
        await careful.approvals.withdraw(taking_back(careful, "undo-0003", approval_id="another"), PAT)
    with pytest.raises(NotFound):
        await careful.approvals.withdraw(taking_back(careful, decision_id="LEEDS:NOTHING:1"), PAT)


async def test_two_people_sign_where_the_policy_wants_two(careful: Waiting) -> None:
    careful.two()
    first = await careful.approvals.record(careful.command(), PAT)
    assert (first.complete, first.undo_until) == (False, None)
    assert await careful.approvals.find(first.approval_id) is None
    with pytest.raises(AlreadyAnswered):
        await careful.approvals.record(careful.command(command_id="click-0002"), PAT)
    second = await careful.approvals.record(careful.command(command_id="click-0003"), DANA)
    assert second.complete
    assert second.undo_until is not None
    assert await careful.approvals.find(second.approval_id) == second


async def test_other_units_start_anew_and_a_first_signature_can_be_taken_back(careful: Waiting) -> None:
    careful.two()
    await careful.approvals.record(careful.command(), PAT)
    edited = careful.command(Meaning.APPROVE_EDITED, units=36, command_id="click-0002")
    assert not (await careful.approvals.record(edited, DANA)).complete
    taken = await careful.approvals.withdraw(taking_back(careful), DANA)
    assert (taken.approval_id, taken.complete) == ("click-0002", False)
    assert not (await careful.approvals.record(careful.command(command_id="click-0004"), DANA)).complete


async def test_a_stranger_answers_nothing(careful: Waiting) -> None:
    with pytest.raises(NotAllowed, match="Nobody knows nobody here"):
        await careful.approvals.record(careful.command(), Actor(name="nobody"))
