"""Makes scored needs into decisions; whoever decides, live, in a replay or in a question of what if, does it here."""

from collections.abc import Mapping, Sequence

from workflows.domain.deciding import decide
from workflows.domain.decisions import RULE, Decided, Decision, DecisionInputs, NeedFacts, Proposal
from workflows.domain.identity import Digest, digest
from workflows.domain.joining import join
from workflows.domain.policies import RiskTier
from workflows.domain.ports import BatchFacts
from workflows.domain.scores import Scores, ScoringRow
from workflows.domain.supplying import outlook_of, spoken_for


def needs_a_person(decided: Decided) -> bool:
    """Whether somebody will look at it, so that its forecast must be explained."""
    result = decided.decision.result
    return isinstance(result, Proposal) and result.tier is RiskTier.REVIEW


def rows_of(facts: NeedFacts) -> tuple[ScoringRow, ...]:
    """What is scored of one need: it, and it as it looks with each other supplier."""
    return facts.row, *facts.alternatives


def spoken(facts: NeedFacts, decided: Decided) -> ScoringRow:
    """The row of the supplier that the decision took."""
    result = decided.decision.result
    supplier = result.supplier if isinstance(result, Proposal) else facts.row.supplier
    return next((row for row in facts.alternatives if row.supplier == supplier), facts.row)


def decide_all(
    found: BatchFacts, scored: Sequence[Scores], model_digest: Digest, snapshots: Sequence[Digest] = ()
) -> list[Decided]:
    """Each need with the supplier that is best for it, then the orders that they share, then the decisions.

    `scored` are the scores of every need's `rows_of`, one after the other; `snapshots` are the digests of
    what was scored, one per need (none: not recorded).
    """
    told, policy = iter(scored), found.policy
    inputs = []
    for n, facts in enumerate(found.facts):
        by_supplier = {row.supplier: scores for row, scores in zip(rows_of(facts), told, strict=False)}
        inputs.append((_inputs(facts, by_supplier, found, snapshots[n] if snapshots else None), by_supplier))
    joined = join([one for one, _ in inputs], policy, proposed=found.revision > 0)
    return [
        decided_on(spoken_for(one, by_supplier, policy), found, model_digest)
        for one, (_, by_supplier) in zip(joined, inputs, strict=True)
    ]


def _inputs(
    facts: NeedFacts, scores: Mapping[str, Scores], found: BatchFacts, snapshot: Digest | None
) -> DecisionInputs:
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
        snapshot=snapshot,
    )


def decided_on(inputs: DecisionInputs, found: BatchFacts, model_digest: Digest) -> Decided:
    """The decision on these inputs, with the digests of all that it rests on."""
    decision = Decision(
        decision_id=inputs.need.need_id,
        revision=found.revision + 1,
        decided_at=found.batch.clock,
        result=decide(inputs, found.policy),
        inputs_digest=digest(inputs),
        model_digest=model_digest,
        policy_digest=found.policy.digest,
    )
    return Decided(decision=decision, inputs=inputs)
