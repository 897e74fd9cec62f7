"""Does an assessment: loads a batch's facts, scores them in one pass, decides each and records all."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from temporalio import activity

from workflows.domain.deciding import decide
from workflows.domain.decisions import Decided, Decision, DecisionInputs, NeedFacts, Proposal
from workflows.domain.errors import Unavailable
from workflows.domain.identity import digest
from workflows.domain.models import ModelVersion
from workflows.domain.needs import AssessmentSummary, NeedBatch
from workflows.domain.policies import RiskTier
from workflows.domain.ports import Assessments, BatchFacts, Launches, Models, ModelStore, RescoreResult
from workflows.domain.scores import Scores, Scoring

HEARTBEAT_SECONDS = 5.0


class AssessmentActivities:
    """Decides needs with the champion model."""

    def __init__(
        self, assessments: Assessments, models: Models, store: ModelStore, scoring: Scoring, launches: Launches
    ) -> None:
        self._assessments = assessments
        self._models = models
        self._store = store
        self._scoring = scoring
        self._launches = launches

    @activity.defn
    async def assess(self, batch: NeedBatch) -> AssessmentSummary:
        """Decide every need of the batch that is not decided yet."""
        async with _heartbeats():
            found = await self._assessments.load(batch.batch_id)
            champion = await self._champion()
            decided = await self._decide(found, champion)
            return await self._assessments.record(batch.batch_id, champion.digest, decided)

    @activity.defn
    async def launch(self, batch: NeedBatch) -> int:
        """Start the workflow of every proposal of the batch; how many were started."""
        return await self._launches.replenishments(batch.batch_id)

    @activity.defn
    async def rescore(self, decision_id: str) -> RescoreResult:
        """Decide a waiting need again from today's facts; its next revision replaces the proposal."""
        async with _heartbeats():
            found = await self._assessments.load_waiting(decision_id)
            if found is None:
                return RescoreResult(ref=None, changed=False)
            decided = await self._decide(found, await self._champion())
            return await self._assessments.record_rescore(decided[0])

    async def _champion(self) -> ModelVersion:
        champion = await self._models.champion()
        if champion is None:
            raise Unavailable("there is no model yet; train one with `quartermaster model train`")
        return champion

    async def _decide(self, found: BatchFacts, champion: ModelVersion) -> list[Decided]:
        """All needs in one vectorised pass; those that a person will look at are explained in a second, small one."""
        model = await asyncio.to_thread(self._store.get, champion.digest)
        scored = await self._score(found.facts, model, explain=False)
        # In a thread: hashing hundreds of inputs would keep the event loop from everybody else's heartbeats.
        decided = await asyncio.to_thread(_decided_all, found, scored, champion)
        gated = [n for n, one in enumerate(decided) if _needs_a_person(one)]
        explained = await self._score([found.facts[n] for n in gated], model, explain=True)
        for n, scores in zip(gated, explained, strict=True):
            decided[n] = _decided(found.facts[n], scores, found, champion)
        return decided

    async def _score(self, facts: Sequence[NeedFacts], model: bytes, *, explain: bool) -> list[Scores]:
        if not facts:
            return []
        rows = [fact.row for fact in facts]
        return await asyncio.to_thread(self._scoring.score, rows, model, explain=explain)


@asynccontextmanager
async def _heartbeats() -> AsyncIterator[None]:
    """Tell Temporal that we live for as long as this lasts, so that a dead worker's batch is given to another soon."""

    async def beat() -> None:
        while True:
            activity.heartbeat()
            await asyncio.sleep(HEARTBEAT_SECONDS)

    beating = asyncio.ensure_future(beat()) if activity.in_activity() else None
    try:
        yield
    finally:
        if beating:
            beating.cancel()


def _needs_a_person(decided: Decided) -> bool:
    result = decided.decision.result
    return isinstance(result, Proposal) and result.tier is RiskTier.REVIEW


def _decided_all(found: BatchFacts, scored: Sequence[Scores], champion: ModelVersion) -> list[Decided]:
    return [_decided(facts, scores, found, champion) for facts, scores in zip(found.facts, scored, strict=True)]


def _decided(facts: NeedFacts, scores: Scores, found: BatchFacts, champion: ModelVersion) -> Decided:
    inputs = DecisionInputs(
        need=facts.need,
        item=facts.item,
        position=facts.position,
        options=facts.options,
        scores=scores,
        shortage_per_unit=facts.row.shortage_per_unit,
        holding_per_unit_day=facts.row.holding_per_unit_day,
        ordered_before=facts.ordered_before,
        largest_receipt_units=facts.largest_receipt_units,
        data_through=facts.data_through,
        clock=found.batch.clock,
        currency=found.currency,
    )
    decision = Decision(
        decision_id=facts.need.need_id,
        revision=found.revision + 1,
        decided_at=found.batch.clock,
        result=decide(inputs, found.policy),
        inputs_digest=digest(inputs),
        model_digest=champion.digest,
        policy_digest=found.policy.digest,
    )
    return Decided(decision=decision, inputs=inputs)
