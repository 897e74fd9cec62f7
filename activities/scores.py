"""Does an assessment: loads a batch's facts, scores them in one pass, decides each and records all."""

import asyncio
from collections.abc import Mapping, Sequence

from temporalio import activity

from activities.heartbeats import heartbeats
from workflows.domain.deciding import decide
from workflows.domain.decisions import RULE, Decided, Decision, DecisionInputs, NeedFacts, Proposal
from workflows.domain.errors import Unavailable
from workflows.domain.identity import digest
from workflows.domain.joining import join
from workflows.domain.models import ModelVersion
from workflows.domain.needs import AssessmentSummary, NeedBatch
from workflows.domain.policies import RiskTier
from workflows.domain.ports import Assessments, BatchFacts, Launches, Models, ModelStore, RescoreResult
from workflows.domain.scores import Scores, Scoring, ScoringRow
from workflows.domain.supplying import outlook_of, spoken_for


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
        rows = [row for facts in found.facts for row in _rows(facts)]
        scored = await self._score(rows, model, explain=False)
        # In a thread: hashing hundreds of inputs would keep the event loop from everybody else's heartbeats.
        decided = await asyncio.to_thread(_decided_all, found, scored, champion)
        gated = [n for n, one in enumerate(decided) if _needs_a_person(one)]
        speaking = [_spoken(found.facts[n], decided[n]) for n in gated]
        for n, scores in zip(gated, await self._score(speaking, model, explain=True), strict=True):
            inputs = decided[n].inputs.model_copy(update={"scores": scores})
            decided[n] = _decided(inputs, found, champion)
        return decided

    async def _score(self, rows: Sequence[ScoringRow], model: bytes, *, explain: bool) -> list[Scores]:
        return await asyncio.to_thread(self._scoring.score, rows, model, explain=explain) if rows else []


def _needs_a_person(decided: Decided) -> bool:
    result = decided.decision.result
    return isinstance(result, Proposal) and result.tier is RiskTier.REVIEW


def _rows(facts: NeedFacts) -> tuple[ScoringRow, ...]:
    """What is scored of one need: it, and it as it looks with each other supplier."""
    return facts.row, *facts.alternatives


def _spoken(facts: NeedFacts, decided: Decided) -> ScoringRow:
    """The row of the supplier that the decision took."""
    result = decided.decision.result
    supplier = result.supplier if isinstance(result, Proposal) else facts.row.supplier
    return next((row for row in facts.alternatives if row.supplier == supplier), facts.row)


def _decided_all(found: BatchFacts, scored: Sequence[Scores], champion: ModelVersion) -> list[Decided]:
    """Each need with the supplier that is best for it, then the orders that they share, then the decisions."""
    told, policy = iter(scored), found.policy
    inputs = []
    for facts in found.facts:
        by_supplier = {row.supplier: scores for row, scores in zip(_rows(facts), told, strict=False)}
        inputs.append((_inputs(facts, by_supplier, found), by_supplier))
    joined = join([one for one, _ in inputs], policy, proposed=found.revision > 0)
    return [
        _decided(spoken_for(one, by_supplier, policy), found, champion)
        for one, (_, by_supplier) in zip(joined, inputs, strict=True)
    ]


def _inputs(facts: NeedFacts, scores: Mapping[str, Scores], found: BatchFacts) -> DecisionInputs:
    own = facts.row.supplier
    options = tuple(
        option.model_copy(update={"outlook": outlook_of(scores[option.sourcing.supplier])})
        if option.sourcing.supplier in scores and option.sourcing.supplier != own
        else option
        for option in facts.options
    )
    return DecisionInputs(
        need=facts.need,
        item=facts.item,
        position=facts.position,
        options=options,
        scores=scores[own],
        shortage_per_unit=facts.row.shortage_per_unit,
        holding_per_unit_day=facts.row.holding_per_unit_day,
        ordered_before=facts.ordered_before,
        largest_receipt_units=facts.largest_receipt_units,
        data_through=facts.data_through,
        clock=found.batch.clock,
        currency=found.currency,
        demand_definition=facts.row.demand_definition,
        rule=RULE,
        wanted_supplier=facts.wanted_supplier,
        drift_alarms=found.drift_alarms.get(scores[own].segment, ()),
    )


def _decided(inputs: DecisionInputs, found: BatchFacts, champion: ModelVersion) -> Decided:
    decision = Decision(
        decision_id=inputs.need.need_id,
        revision=found.revision + 1,
        decided_at=found.batch.clock,
        result=decide(inputs, found.policy),
        inputs_digest=digest(inputs),
        model_digest=champion.digest,
        policy_digest=found.policy.digest,
    )
    return Decided(decision=decision, inputs=inputs)
