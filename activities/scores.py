"""Does an assessment: loads a batch's facts, scores them in one pass, decides each and records all."""

import asyncio
from collections.abc import Sequence

from temporalio import activity

from activities.heartbeats import heartbeats
from workflows.domain.assessing import decide_all, decided_on, needs_a_person, rows_of, spoken
from workflows.domain.decisions import Decided
from workflows.domain.errors import Unavailable
from workflows.domain.models import ModelVersion
from workflows.domain.needs import AssessmentSummary, NeedBatch
from workflows.domain.ports import Assessments, BatchFacts, Launches, Models, ModelStore, RescoreResult
from workflows.domain.scores import Scores, Scoring, ScoringRow


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
        async with heartbeats():
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
        async with heartbeats():
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
        """All needs, each with every supplier that may be asked, in one vectorised pass; those that a person will look
        at are explained in a second, small one."""
        model = await asyncio.to_thread(self._store.get, champion.digest)
        rows = [row for facts in found.facts for row in rows_of(facts)]
        scored = await self._score(rows, model, explain=False)
        # In a thread: hashing hundreds of inputs would keep the event loop from everybody else's heartbeats.
        decided = await asyncio.to_thread(decide_all, found, scored, champion.digest)
        gated = [n for n, one in enumerate(decided) if needs_a_person(one)]
        speaking = [spoken(found.facts[n], decided[n]) for n in gated]
        for n, scores in zip(gated, await self._score(speaking, model, explain=True), strict=True):
            inputs = decided[n].inputs.model_copy(update={"scores": scores})
            decided[n] = decided_on(inputs, found, champion.digest)
        return decided

    async def _score(self, rows: Sequence[ScoringRow], model: bytes, *, explain: bool) -> list[Scores]:
        return await asyncio.to_thread(self._scoring.score, rows, model, explain=explain) if rows else []
