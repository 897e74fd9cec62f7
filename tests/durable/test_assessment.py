"""A batch is decided once, whatever is repeated, and its proposals become workflows."""

from temporalio.client import WorkflowHandle

from tests.fakes.engine import Engine, until
from tests.fakes.learning import LAST_DAY
from tests.fakes.records import facts_of
from tests.fakes.shop import CLOCK, decided
from workflows import naming
from workflows.assessment import AssessmentWorkflow
from workflows.domain.decisions import Decided
from workflows.domain.errors import Unavailable
from workflows.domain.needs import AssessmentSummary, ClockMode, NeedBatch

OAT = decided(unit_cost="6.40", price="11.50", daily=38, on_hand=96)
"""Too dear to be ordered without a person."""
MUG = decided("Enamel mug", item="MUG-E", daily=2, on_hand=2, unit_cost="3.10", price="6.00", largest_receipt=240)
OIL = decided("Rapeseed oil", item="OIL-R", daily=1, on_hand=500, risk="0.0004", soon="0")


def batch_of(engine: Engine, *needs: Decided) -> NeedBatch:
    """A stored batch of these needs, with a champion to score them."""
    engine.models.crown(engine.store, engine.learner, LAST_DAY)
    engine.scoring.scores = {one.inputs.item.item: one.inputs.scores for one in needs}
    batch = NeedBatch(batch_id="batch-1", location="LEEDS", clock=CLOCK, needs=len(needs))
    engine.records.batches[batch.batch_id] = batch, [facts_of(one) for one in needs]
    return batch


async def assess(engine: Engine, batch: NeedBatch) -> WorkflowHandle[AssessmentWorkflow, AssessmentSummary]:
    await engine.starter(ClockMode.REPLAYED).assessment(batch)
    return engine.client.get_workflow_handle_for(AssessmentWorkflow.run, naming.assessment_id(batch.batch_id))


async def test_holds_are_counted_and_proposals_become_workflows(engine: Engine) -> None:
    handle = await assess(engine, batch_of(engine, OAT, MUG, OIL))

    assert await engine.result(handle) == AssessmentSummary(batch_id="batch-1", holds=1, proposals=2)

    auto = engine.client.get_workflow_handle(naming.replenishment_id(MUG.decision.decision_id))
    assert (await engine.result(auto))["state"] == "released"
    waiting = await engine.client.get_workflow_handle(naming.replenishment_id(OAT.decision.decision_id)).describe()
    assert waiting.typed_search_attributes[naming.RISK_TIER] == "review"
    assert waiting.typed_search_attributes[naming.LOCATION] == "LEEDS"


async def test_one_pass_scores_all_and_a_second_explains_what_a_person_will_look_at(engine: Engine) -> None:
    await engine.result(await assess(engine, batch_of(engine, OAT, MUG, OIL)))

    assert engine.scoring.passes == [(3, False), (1, True)]
    stored = engine.records.decisions
    assert [bool(stored[one.decision.decision_id].inputs.scores.drivers) for one in (OAT, MUG, OIL)] == [
        True,
        False,
        False,
    ]


async def test_an_answer_lost_after_recording_decides_nothing_twice(engine: Engine) -> None:
    batch = batch_of(engine, OAT, OIL)
    engine.assessments.fail("record", Unavailable("connection lost"), done=True)

    summary = await engine.result(await assess(engine, batch))

    assert engine.assessments.fired == 1
    assert (summary.holds, summary.proposals) == (1, 1)
    assert engine.scoring.passes == [(2, False), (1, True)], "the second attempt found nothing left to decide"


async def test_starting_the_same_batch_again_decides_nothing_anew(engine: Engine) -> None:
    batch = batch_of(engine, OAT, MUG)
    first = await engine.result(await assess(engine, batch))
    before = dict(engine.records.decisions)

    assert await engine.result(await assess(engine, batch)) == first
    assert engine.records.decisions == before
    assert engine.assessments.calls["record"] == 2


async def test_starting_a_running_batch_again_starts_nothing(engine: Engine) -> None:
    batch = batch_of(engine, MUG)
    await engine.stop_workers()
    handle = await assess(engine, batch)
    await assess(engine, batch)
    await engine.start_workers()

    await engine.result(handle)
    assert engine.assessments.calls["record"] == 1


async def test_without_a_model_the_batch_waits_for_one(engine: Engine) -> None:
    batch = batch_of(engine, MUG)
    champions, engine.models._versions = engine.models._versions, {}
    handle = await assess(engine, batch)
    await until(lambda: engine.assessments.calls["load"] > 0, "the first attempt")

    engine.models._versions = champions
    summary = await engine.result(handle)
    assert summary.proposals == 1


async def test_a_model_whose_bytes_are_gone_is_waited_for_and_nothing_is_decided_meanwhile(engine: Engine) -> None:
    batch = batch_of(engine, MUG)
    engine.store.bodies, kept = {}, engine.store.bodies
    handle = await assess(engine, batch)
    await until(lambda: engine.assessments.calls["load"] > 1, "another attempt")
    assert engine.assessments.calls["record"] == 0

    engine.store.bodies.update(kept)
    summary = await engine.result(handle, skip=True)
    assert summary.proposals == 1


async def test_a_launch_that_failed_halfway_is_repeated_without_a_second_workflow(engine: Engine) -> None:
    batch = batch_of(engine, MUG)
    engine.launches.fail("replenishments", Unavailable("Temporal is busy"), done=True)

    await engine.result(await assess(engine, batch))

    assert engine.launches.calls["replenishments"] == 2
    handle = engine.client.get_workflow_handle(naming.replenishment_id(MUG.decision.decision_id))
    assert (await engine.result(handle))["state"] == "released"
    assert engine.orders.calls["release"] == 1


async def test_a_decision_names_its_model_and_the_instant_of_its_batch(engine: Engine) -> None:
    batch = batch_of(engine, MUG)
    await engine.result(await assess(engine, batch))

    stored = engine.records.decisions[MUG.decision.decision_id].decision
    champion = await engine.models.champion()
    assert champion is not None
    assert (stored.model_digest, stored.decided_at, stored.revision) == (champion.digest, batch.clock, 1)
