"""Does an assessment: loads a batch's facts, scores them in one pass, decides each and records all they rest on."""

import asyncio
from collections.abc import Sequence
from datetime import date

from temporalio import activity

from activities.collecting import without_collector
from activities.heartbeats import heartbeats
from workflows.domain.assessing import decide_all, decided_on, needs_a_person, rows_of, spoken
from workflows.domain.decisions import Decided, NeedFacts
from workflows.domain.errors import ModelUnusable, Unavailable
from workflows.domain.evidence import EvidenceKind, Folder, Kept, Snapshot, Source
from workflows.domain.identity import Digest, canonical, changed, digest, made
from workflows.domain.models import ModelVersion
from workflows.domain.needs import AssessmentSummary, NeedBatch
from workflows.domain.ports import Assessments, BatchFacts, Launches, Models, ModelStore, RescoreResult
from workflows.domain.scores import Calendars, Scored, ScoringRow, WrittenScoring


class AssessmentActivities:
    """Decides needs with the champion model. `source` is the code that runs."""

    def __init__(
        self, assessments: Assessments, models: Models, store: ModelStore, scoring: WrittenScoring, launches: Launches,
        source: Source, calendars: Calendars,
    ) -> None:  # fmt: skip
        self._assessments = assessments
        self._models = models
        self._store = store
        self._scoring = scoring
        self._launches = launches
        self._source = source
        self._calendars = calendars

    @activity.defn
    async def assess(self, batch: NeedBatch) -> AssessmentSummary:
        """Decide every need of the batch that is not decided yet."""
        async with heartbeats():
            with without_collector():
                return await self._assess(batch)

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

    async def _assess(self, batch: NeedBatch) -> AssessmentSummary:
        found = await self._assessments.load(batch.batch_id)
        champion = await self._champion()
        try:
            decided = await self._decide(found, champion)
        except ModelUnusable as unusable:
            # For an operator to mend, by its file or another champion; its needs wait for that as for a first model.
            raise Unavailable(f"the champion cannot be used; put its file back or roll back: {unusable}") from unusable
        return await self._assessments.record(batch.batch_id, champion.digest, decided)

    async def _champion(self) -> ModelVersion:
        champion = await self._models.champion()
        if champion is None:
            raise Unavailable("no model is champion; train one with `quartermaster model train`, or promote one")
        return champion

    async def _decide(self, found: BatchFacts, champion: ModelVersion) -> list[Decided]:
        """All needs, each with every supplier that may be asked, in one vectorised pass; those that a person will look
        at are explained in a second, small one."""
        model = await asyncio.to_thread(self._store.get, champion.digest)
        found = await asyncio.to_thread(self._complete, found)
        rows = [row for facts in found.facts for row in rows_of(facts)]
        scored = await self._score(rows, model, explain=False)
        texts = {id(one.scores): one.text for one in scored}
        # In a thread: hashing hundreds of inputs would keep the event loop from everybody else's heartbeats.
        folded, shared = await asyncio.to_thread(self._folded, found, champion.digest, model)
        snapshots = [sha256 for sha256, _ in folded]
        given = found, [one.scores for one in scored], champion.digest, snapshots, texts
        decided = await asyncio.to_thread(decide_all, *given)
        gated = [n for n, one in enumerate(decided) if needs_a_person(one)]
        speaking = [spoken(found.facts[n], decided[n]) for n in gated]
        for n, explained in zip(gated, await self._score(speaking, model, explain=True), strict=True):
            inputs = decided[n].inputs.model_copy(update={"scores": explained.scores})
            decided[n] = decided_on(inputs, found, champion.digest, {id(explained.scores): explained.text})
        return [
            made(Decided, {**vars(one), "evidence": {**shared, **objects}})
            for one, (_, objects) in zip(decided, folded, strict=True)
        ]

    def _complete(self, found: BatchFacts) -> BatchFacts:
        """With the public holidays in the rows: a later version of the calendar may tell others."""
        # The rows of a batch share the object, so that it is written and hashed once.
        kept: dict[tuple[object, ...], tuple[date, ...] | None] = {}

        def told(row: ScoringRow) -> ScoringRow:
            if not row.country:
                return row
            key = row.country, row.subdivision, row.last_day
            if key not in kept:
                kept[key] = self._calendars.holidays(row)
            return changed(row, {"holidays": kept[key]})

        def complete(facts: NeedFacts) -> NeedFacts:
            if not facts.row.country:
                return facts
            alternatives = tuple(told(row) for row in facts.alternatives)
            return changed(facts, {"row": told(facts.row), "alternatives": alternatives})

        return found.model_copy(update={"facts": tuple(complete(facts) for facts in found.facts)})

    def _folded(
        self, found: BatchFacts, model_digest: Digest, model: bytes
    ) -> tuple[list[tuple[Digest, dict[Digest, Kept]]], dict[Digest, Kept]]:
        """Each need's snapshot with its objects, and what all decisions of the batch rest on."""
        source, policy = canonical(self._source), canonical(found.policy)
        shared = {
            digest(source): Kept(EvidenceKind.SOURCE, source),
            found.policy.digest: Kept(EvidenceKind.POLICY, policy),
            model_digest: Kept(EvidenceKind.MODEL, model),
        }
        folder, folded = Folder(), []
        for facts in found.facts:
            row, *alternatives = rows_of(facts)
            snapshot = Snapshot(row=row, alternatives=tuple(alternatives), source=digest(source))
            sha256, objects = folder.fold(snapshot)
            kinds = {name: EvidenceKind.SNAPSHOT if name == sha256 else EvidenceKind.PART for name in objects}
            folded.append((sha256, {name: Kept(kinds[name], body) for name, body in objects.items()}))
        return folded, shared

    async def _score(self, rows: Sequence[ScoringRow], model: bytes, *, explain: bool) -> list[Scored]:
        return await asyncio.to_thread(self._scoring.score_written, rows, model, explain=explain) if rows else []
