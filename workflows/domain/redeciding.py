"""Makes recorded decisions again with another policy or model, by the code that decides live and from the record alone.

What a decision rests on falls into three parts:

- facts of the instant (position, options, terms, history, lead times, alarms): as recorded;
- scores: as recorded for the same model; from the recorded snapshot for another one, and where the policy sets for how
  long an order should last;
- the company of other lines (`joint`, `lines_expected`), which depends on what every other line of the batch comes to.
  A batch is joined anew where its recorded lines, joined as they were, give exactly what was recorded: then all of them
  are there. Elsewhere each line keeps the company that was recorded for it.
"""

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from workflows.domain.assessing import decide_all, rows_of
from workflows.domain.counterfactual import Company, Compared, Other, Past, Unread, standing_of
from workflows.domain.deciding import decide
from workflows.domain.decisions import FIRST_RULE, Decision, DecisionInputs, NeedFacts, SupplyOption
from workflows.domain.evidence import EvidenceDamaged, EvidenceMissing, Snapshot
from workflows.domain.identity import Digest
from workflows.domain.joining import join
from workflows.domain.limits import Place
from workflows.domain.needs import MAX_BATCH, NeedBatch
from workflows.domain.policies import Policy
from workflows.domain.ports import BatchFacts
from workflows.domain.scores import Scoring
from workflows.domain.supplying import choose, cover_days, first_choice, preferred

ALREADY_IN_THE_ROWS = Decimal(0)
"""What holding costs is part of each recorded row; the rate that it came from is looked at no more."""
Bodies = Callable[[Digest], bytes]
"""A model's bytes by their digest. Raises EvidenceMissing, EvidenceDamaged."""

CATALOG_DAYS_UNKNOWN = (
    "the policy that it was decided by set how long an order lasts; what the catalog said then is not recorded"
)


class _Again(NamedTuple):
    """A decision that is made again: the record, its options as the policy would have them, and what is scored."""

    past: Past
    policy: Policy
    options: tuple[SupplyOption, ...]
    snapshot: Snapshot | None
    """With the review periods of the policy; None: there is none."""
    scored: bool
    """Whether its recorded scores hold no more."""


def redecide(
    batch: Sequence[Past], other: Other, bodies: Bodies, scoring: Scoring
) -> tuple[list[Compared], list[Unread]]:
    """What these decisions, recorded together, would have been; and which of them cannot be made again, and why.

    Only those that are `asked` about are in the answer, in order of id.

    Raises:
        ModelUnusable: a model cannot be read here.
    """
    compared, unread = list[Compared](), list[Unread]()
    groups = dict[tuple[Any, ...], list[_Again | Unread]]()
    for past in sorted(batch, key=lambda one: (one.decision.decision_id, one.decision.revision)):
        groups.setdefault(_together(past), []).append(_again(past, other))
    for group in groups.values():
        lines = [one for one in group if isinstance(one, _Again)]
        unread += [one for one in group if isinstance(one, Unread)]
        anew = len(lines) == len(group) and _joins(lines)
        try:
            for part in [lines] if anew else [[one] for one in lines if one.past.asked]:
                compared += _compared(part, other, bodies, scoring, anew=anew)
        except (EvidenceMissing, EvidenceDamaged) as error:  # the model of all of them
            unread += [_unread(one.past, str(error)) for one in lines]
    asked = sorted(compared, key=lambda one: (one.decision_id, one.revision))
    return asked, [one for one in unread if one.asked]


def _together(past: Past) -> tuple[Any, ...]:
    """What all lines of one batch have in common. A proposal that was scored again was a batch of its own."""
    decision = past.decision
    alone = decision.decision_id if decision.revision > 1 else ""
    return (
        past.inputs.position.location, decision.decided_at, decision.model_digest, decision.policy_digest,
        past.inputs.rule, decision.revision, alone,
    )  # fmt: skip


def _again(past: Past, other: Other) -> _Again | Unread:
    inputs, policy = past.inputs, other.policy or past.policy
    place = Place(inputs.item.item, inputs.item.category, "", inputs.position.location)
    days, recorded = policy.limits_for(place).review_days, past.policy.limits_for(place).review_days
    if days is None and recorded is not None:
        return _unread(past, CATALOG_DAYS_UNKNOWN)
    options, snapshot = inputs.options, past.snapshot
    lasting = days is not None and any(one.sourcing.review_days != days for one in options)
    if lasting:
        period = {"review_days": days}
        options = tuple(
            one.model_copy(update={"sourcing": one.sourcing.model_copy(update=period)}) for one in options
        )  # fmt: skip
        snapshot = snapshot and _lasting(snapshot, options)
    scored = lasting or (other.model is not None and other.model != past.decision.model_digest)
    if scored and snapshot is None:
        return _unread(past, past.unscored)
    return _Again(past, policy, options, snapshot, scored)


def _unread(past: Past, why: str) -> Unread:
    return Unread(decision_id=past.decision.decision_id, why=why, asked=past.asked)


def _lasting(snapshot: Snapshot, options: Sequence[SupplyOption]) -> Snapshot:
    """The snapshot with each supplier's order lasting as long as these options say."""
    days = {one.sourcing.supplier: cover_days(one, options) for one in options}
    first = preferred(options) or first_choice(options)
    own = {"review_days": cover_days(first, options) if first else 1}
    others = tuple(
        row.model_copy(update={"review_days": days.get(row.supplier, row.review_days)}) for row in snapshot.alternatives
    )
    return snapshot.model_copy(update={"row": snapshot.row.model_copy(update=own), "alternatives": others})


def _joins(lines: Sequence[_Again]) -> bool:
    """Whether these are all the lines of their batch, and can be joined anew."""
    first = lines[0].past if lines else None
    if first is None or first.inputs.rule == FIRST_RULE or len(lines) > MAX_BATCH:
        return False
    if any(one.scored for one in lines) and any(one.snapshot is None for one in lines):
        return False
    recorded = [one.past.inputs for one in lines]
    again = join([_alone(inputs) for inputs in recorded], first.policy, proposed=first.decision.revision > 1)
    return all(_company(now) == _company(was) for now, was in zip(again, recorded, strict=True))


def _company(inputs: DecisionInputs) -> tuple[Any, ...]:
    return inputs.joint, tuple(one.lines_expected for one in inputs.options)


def _alone(inputs: DecisionInputs) -> DecisionInputs:
    """Without what the other lines of its batch gave it."""
    return inputs.model_copy(update={"joint": None, "options": _nobody_else(inputs.options)})


def _nobody_else(options: Iterable[SupplyOption]) -> tuple[SupplyOption, ...]:
    return tuple(one.model_copy(update={"lines_expected": 1}) for one in options)


def _compared(lines: Sequence[_Again], other: Other, bodies: Bodies, scoring: Scoring, *, anew: bool) -> list[Compared]:
    policy = lines[0].policy
    if any(one.scored for one in lines):
        made = _scored(lines, other, bodies, scoring, anew=anew)
    else:
        made = [one.past.inputs.model_copy(update={"options": one.options}) for one in lines]
        if anew:
            made = join([_alone(one) for one in made], policy, proposed=lines[0].past.decision.revision > 1)
    if not anew:
        made = [_kept_company(one.past, inputs, policy) for one, inputs in zip(lines, made, strict=True)]
    return [_beside(one.past, inputs, policy, anew) for one, inputs in zip(lines, made, strict=True) if one.past.asked]


def _scored(
    lines: Sequence[_Again], other: Other, bodies: Bodies, scoring: Scoring, *, anew: bool
) -> list[DecisionInputs]:
    """The inputs as they would have been assessed from the recorded snapshots."""
    first, facts = lines[0].past, [_facts(one, anew=anew) for one in lines]
    model = other.model or first.decision.model_digest
    rows = [row for one in facts for row in rows_of(one)]
    location, clock = first.inputs.position.location, first.decision.decided_at
    found = BatchFacts(
        batch=NeedBatch(batch_id=location, location=location, clock=clock, needs=len(lines)), facts=tuple(facts),
        policy=lines[0].policy, currency=first.inputs.currency, holding_rate_per_year=ALREADY_IN_THE_ROWS,
        revision=first.decision.revision - 1,
        drift_alarms={one.past.inputs.scores.segment: one.past.inputs.drift_alarms for one in lines},
    )  # fmt: skip
    return [one.inputs for one in decide_all(found, scoring.score(rows, bodies(model)), model)]


def _facts(one: _Again, *, anew: bool) -> NeedFacts:
    inputs, snapshot = one.past.inputs, one.snapshot
    if snapshot is None:
        raise ValueError("what has no snapshot is not scored")
    options = _nobody_else(one.options) if anew else one.options
    return NeedFacts(
        need=inputs.need, item=inputs.item, position=inputs.position,
        options=tuple(option.model_copy(update={"outlook": None}) for option in options),
        row=snapshot.row, alternatives=snapshot.alternatives, ordered_before=inputs.ordered_before,
        largest_receipt_units=inputs.largest_receipt_units, data_through=inputs.data_through,
        wanted_supplier=inputs.wanted_supplier,
    )  # fmt: skip


def _kept_company(past: Past, inputs: DecisionInputs, policy: Policy) -> DecisionInputs:
    """The inputs with the joint order that was recorded, where the line would still be on it."""
    joint = past.inputs.joint
    if joint is not None:
        chosen = choose(inputs, policy)
        if chosen is None or chosen.option.sourcing.supplier != joint.supplier:
            joint = None
    return inputs.model_copy(update={"joint": joint})


def _beside(past: Past, inputs: DecisionInputs, policy: Policy, anew: bool) -> Compared:
    decision: Decision = past.decision
    return Compared(
        decision_id=decision.decision_id, revision=decision.revision, item=inputs.item.item,
        location=inputs.position.location, decided_at=decision.decided_at, currency=inputs.currency,
        before=standing_of(decision.result, past.inputs), after=standing_of(decide(inputs, policy), inputs),
        company=Company.ANEW if anew else Company.RECORDED,
    )  # fmt: skip
