"""Makes scored needs into decisions; whoever decides, live, in a replay or in a question of what if, does it here."""

from collections.abc import Mapping, Sequence

from workflows.domain.deciding import decide
from workflows.domain.decisions import RULE, Decided, Decision, DecisionInputs, Hold, NeedFacts, Proposal, Words
from workflows.domain.identity import Digest, changed, digest, made
from workflows.domain.joining import join, lines_of, with_company
from workflows.domain.plain_holds import held, needs_nothing
from workflows.domain.policies import RiskTier
from workflows.domain.ports import BatchFacts
from workflows.domain.scores import Scores, ScoringRow
from workflows.domain.supplying import outlook_of, spoken_for
from workflows.domain.writing import NO_TEXTS, Texts, written


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
    found: BatchFacts, scored: Sequence[Scores], model_digest: Digest, snapshots: Sequence[Digest] = (),
    texts: Texts = NO_TEXTS,
) -> list[Decided]:  # fmt: skip
    """Each need with the supplier that is best for it, then the orders that they share, then the decisions.

    `scored` are the scores of every need's `rows_of`, one after the other; `snapshots` are the digests of
    what was scored, one per need (none: not recorded); `texts` are scores whose JSON is known.
    """
    told, policy = iter(scored), found.policy
    suppliers = {id(one.supplier): one.supplier for facts in found.facts for one in facts.options}
    texts = {**texts, **{key: written(supplier) for key, supplier in suppliers.items()}}
    everyone: list[tuple[DecisionInputs, dict[str, Scores]]] = []
    plain: list[int] = []
    for n, facts in enumerate(found.facts):
        by_supplier = {row.supplier: scores for row, scores in zip(rows_of(facts), told, strict=False)}
        if not found.revision and needs_nothing(facts, by_supplier[facts.row.supplier], policy):
            plain.append(n)
        everyone.append((_inputs(facts, by_supplier, found, snapshots[n] if snapshots else None), by_supplier))
    left = sorted(set(range(len(everyone))) - set(plain))
    weighed = [everyone[n][0] for n in left]
    might, policy_digest = lines_of(weighed, policy), policy.digest
    results: dict[int, Decided] = {}
    for n, one in zip(left, join(weighed, policy, proposed=found.revision > 0, might=might), strict=True):
        results[n] = decided_on(spoken_for(one, everyone[n][1], policy), found, model_digest, texts, policy_digest)
    for n, one in zip(plain, with_company([everyone[n][0] for n in plain], might), strict=True):
        results[n] = _recorded(one, held(one), found, model_digest, policy_digest, texts)
    return [results[n] for n in range(len(everyone))]


def _inputs(
    facts: NeedFacts, scores: Mapping[str, Scores], found: BatchFacts, snapshot: Digest | None
) -> DecisionInputs:
    own = facts.row.supplier
    options = facts.options
    if len(scores) > 1:
        options = tuple(
            changed(option, {"outlook": outlook_of(scores[option.sourcing.supplier])})
            if option.sourcing.supplier in scores and option.sourcing.supplier != own
            else option
            for option in options
        )
    return made(DecisionInputs, {
        "need": facts.need,
        "item": facts.item,
        "position": facts.position,
        "options": options,
        "scores": scores[own],
        "shortage_per_unit": facts.row.shortage_per_unit,
        "holding_per_unit_day": facts.row.holding_per_unit_day,
        "ordered_before": facts.ordered_before,
        "largest_receipt_units": facts.largest_receipt_units,
        "data_through": facts.data_through,
        "clock": found.batch.clock,
        "currency": found.currency,
        "drift_alarms": found.drift_alarms.get(scores[own].segment, ()),
        "joint": None,
        "demand_definition": facts.row.demand_definition,
        "wanted_supplier": facts.wanted_supplier,
        "rule": RULE,
        "snapshot": snapshot,
    })  # fmt: skip


def decided_on(
    inputs: DecisionInputs, found: BatchFacts, model_digest: Digest, texts: Texts = NO_TEXTS,
    policy_digest: Digest | None = None,
) -> Decided:  # fmt: skip
    """The decision on these inputs, with the digests of all that it rests on."""
    result = decide(inputs, found.policy)
    return _recorded(inputs, result, found, model_digest, policy_digest or found.policy.digest, texts)


def _recorded(
    inputs: DecisionInputs, result: Hold | Proposal, found: BatchFacts, model_digest: Digest, policy_digest: Digest,
    texts: Texts,
) -> Decided:  # fmt: skip
    told = written(inputs, texts).encode()
    decision = made(Decision, {
        "decision_id": inputs.need.need_id,
        "revision": found.revision + 1,
        "decided_at": found.batch.clock,
        "result": result,
        "inputs_digest": digest(told),
        "model_digest": model_digest,
        "policy_digest": policy_digest,
    })  # fmt: skip
    words = Words(told, written(decision).encode(), (inputs, decision))
    return made(Decided, {"decision": decision, "inputs": inputs, "evidence": {}, "words": words})
