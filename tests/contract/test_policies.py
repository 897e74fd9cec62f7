"""Whoever keeps policies: four eyes change them, on top of what is in force, once."""

from decimal import Decimal

import pytest

from connectors.postgres.policy_changes import PostgresPolicies
from tests.fakes.policies import MemoryPolicies
from tests.storeroom import Storeroom
from workflows.domain.approvals import Actor
from workflows.domain.errors import AlreadyAnswered, NotAllowed, NotFound, StaleProposal
from workflows.domain.policies import Policy
from workflows.domain.policy_changes import ChangeKind, ChangeState, NewChange, Policies, PolicyChange, ServiceRecord
from workflows.domain.policy_trials import Trial

ADA, BOB, CAT = Actor(name="Ada"), Actor(name="Bob"), Actor(name="Cat")
MEASURED = ServiceRecord(category="dairy", decisions=40, stocked_out=8, target=Decimal("0.95"), weeks=4)


@pytest.fixture(params=["memory", "postgres"])
def policies(request: pytest.FixtureRequest) -> Policies:
    """Each of them."""
    if request.param == "memory":
        return MemoryPolicies()
    storeroom: Storeroom = request.getfixturevalue("storeroom")
    return PostgresPolicies(storeroom.database)


async def proposed(policies: Policies, limit: int = 2000, *, by: Actor = ADA, version: int = 2) -> PolicyChange:
    """A change of the value limit on top of what is in force."""
    base = (await policies.current()).digest
    policy = Policy(version=version, auto_value_limit=Decimal(limit))
    trial = Trial(base_digest=base, digest=policy.digest, weeks=4, decisions=7)
    new = NewChange(base_digest=base, policy=policy, reason="fewer questions", trial=trial, evidence=(MEASURED,),
                    kind=ChangeKind.SERVICE_TARGET)  # fmt: skip
    return await policies.propose(new, by)


async def test_the_first_policy_is_in_force_without_a_change(policies: Policies) -> None:
    (first,) = await policies.history()
    assert first == await policies.current() == await policies.version(first.digest)
    assert (first.policy, first.digest, first.change_id) == (Policy(), Policy().digest, None)
    assert await policies.changes() == []


async def test_a_proposal_keeps_everything_and_changes_nothing(policies: Policies) -> None:
    change = await proposed(policies)
    assert (change.state, change.author, change.reason) == (ChangeState.PROPOSED, "Ada", "fewer questions")
    assert (change.kind, change.evidence, change.trial.decisions) == (ChangeKind.SERVICE_TARGET, (MEASURED,), 7)
    assert (change.number, change.decided_by) == (1, None)
    assert change.policy.auto_value_limit == 2000
    assert await policies.change(change.change_id) == change
    assert await policies.changes(ChangeState.PROPOSED) == [change]
    assert await policies.changes(ChangeState.REJECTED) == []
    assert (await policies.current()).policy == Policy()


async def test_proposing_again_is_the_change_that_waits(policies: Policies) -> None:
    first = await proposed(policies)
    assert await proposed(policies) == await proposed(policies, by=BOB) == first
    assert len(await policies.changes()) == 1
    await policies.decide(first.change_id, BOB, approve=False, reason="not now")
    again = await proposed(policies)
    assert (again.state, again.number) == (ChangeState.PROPOSED, 2)
    assert again.change_id != first.change_id


async def test_another_person_brings_it_into_force(policies: Policies) -> None:
    change = await proposed(policies)
    adopted = await policies.decide(change.change_id, BOB, approve=True, reason="agreed")
    assert (adopted.state, adopted.decided_by, adopted.decided_reason) == (ChangeState.ADOPTED, "Bob", "agreed")
    assert adopted.decided_at is not None
    now = await policies.current()
    assert (now.digest, now.policy.version) == (change.digest, 2)
    assert (now.change_id, now.author, now.approved_by) == (change.change_id, "Ada", "Bob")
    assert [version.policy.version for version in await policies.history()] == [2, 1]
    assert (await policies.version(Policy().digest)).policy == Policy(), "decisions still find what they name"


async def test_the_same_answer_again_changes_nothing(policies: Policies) -> None:
    one, other = await proposed(policies), await proposed(policies, 3000)
    for change, approve in ((one, True), (other, False)):
        answered = await policies.decide(change.change_id, BOB, approve=approve, reason="so")
        assert await policies.decide(change.change_id, BOB, approve=approve, reason="so") == answered
    assert len(await policies.history()) == 2


@pytest.mark.parametrize("same", ["Ada", "ada", " ADA "])
async def test_nobody_approves_what_they_proposed(policies: Policies, same: str) -> None:
    change = await proposed(policies)
    with pytest.raises(NotAllowed, match="another person"):
        await policies.decide(change.change_id, Actor(name=same), approve=True)
    assert (await policies.current()).policy == Policy()
    assert (await policies.change(change.change_id)).state is ChangeState.PROPOSED
    withdrawn = await policies.decide(change.change_id, Actor(name=same), approve=False, reason="withdrawn")
    assert withdrawn.state is ChangeState.REJECTED


async def test_what_was_answered_is_not_answered_otherwise(policies: Policies) -> None:
    change = await proposed(policies)
    await policies.decide(change.change_id, BOB, approve=False, reason="no")
    for actor, approve in ((BOB, True), (CAT, True), (CAT, False)):
        with pytest.raises(AlreadyAnswered, match="rejected already, by Bob"):
            await policies.decide(change.change_id, actor, approve=approve, reason="yes")
    assert (await policies.current()).policy == Policy()


async def test_a_change_on_top_of_what_is_no_longer_in_force_is_refused(policies: Policies) -> None:
    one, other = await proposed(policies), await proposed(policies, 3000)
    await policies.decide(one.change_id, BOB, approve=True)
    with pytest.raises(StaleProposal, match="the policy moved"):
        await policies.decide(other.change_id, BOB, approve=True)
    trial = Trial(base_digest=Policy().digest, digest=one.digest, weeks=4)
    stale = NewChange(base_digest=Policy().digest, policy=one.policy, reason="late", trial=trial)
    with pytest.raises(StaleProposal, match="in force by now"):
        await policies.propose(stale, ADA)
    assert (await policies.decide(other.change_id, BOB, approve=False, reason="late")).state is ChangeState.REJECTED
    third = await proposed(policies, 3000, version=3)
    await policies.decide(third.change_id, BOB, approve=True)
    assert (await policies.current()).policy.version == 3


async def test_what_nobody_knows_is_not_found(policies: Policies) -> None:
    with pytest.raises(NotFound):
        await policies.change("none")
    with pytest.raises(NotFound):
        await policies.decide("none", BOB, approve=True)
    with pytest.raises(NotFound):
        await policies.version("0" * 64)


async def test_where_nothing_was_decided_there_is_nothing_to_try(policies: Policies) -> None:
    assert await policies.recorded_ids(4, 10) == ([], 0)
    assert await policies.recorded([]) == []
    assert await policies.service_records(4) == []
