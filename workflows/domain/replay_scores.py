"""Computes what a decision looked at again, from its snapshot and its model: features, forecast, risk, and drivers.

The steps are those of `assessing`, taken for one need at a time: what its company in an order was, is recorded with it.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from workflows.domain.assessing import needs_a_person, rows_of, spoken
from workflows.domain.deciding import decide
from workflows.domain.decisions import Decided, DecisionInputs, NeedFacts
from workflows.domain.errors import InvalidInput, ModelUnusable
from workflows.domain.evidence import EvidenceDamaged, EvidenceMissing, EvidenceSource, Snapshot, Source, unfold
from workflows.domain.identity import Digest
from workflows.domain.replay import MODEL, SNAPSHOT, SOURCE, Findings, Missing, Opened
from workflows.domain.scores import Scores, Scoring, ScoringRow
from workflows.domain.supplying import outlook_of, spoken_for

NO_SNAPSHOT = "what was scored: features, forecast, risk and drivers stand as they were recorded"


@dataclass
class Scored:
    """One decision on its way through the model."""

    opened: Opened
    found: Findings
    snapshot: Snapshot | None = None
    source: Source | None = None
    inputs: DecisionInputs | None = None
    """As they come out now; None while, or because, they cannot be computed."""

    @property
    def facts(self) -> NeedFacts:
        """The need as the assessment saw it."""
        inputs, snapshot = self.opened.inputs, self.snapshot
        assert snapshot is not None  # noqa: S101 - only what has a snapshot is scored
        return NeedFacts(
            need=inputs.need, item=inputs.item, position=inputs.position, options=inputs.options, row=snapshot.row,
            alternatives=snapshot.alternatives, ordered_before=inputs.ordered_before,
            largest_receipt_units=inputs.largest_receipt_units, data_through=inputs.data_through,
            wanted_supplier=inputs.wanted_supplier,
        )  # fmt: skip


class Models:
    """Model bytes, the newest one only: decisions of one model are replayed together."""

    def __init__(self, evidence: EvidenceSource) -> None:
        self._evidence = evidence
        self._kept: tuple[Digest, bytes] | None = None

    def fetch(self, sha256: Digest, found: Findings) -> bytes | None:
        """The bytes, read and hashed once however many decisions rest on them."""
        if self._kept is None or self._kept[0] != sha256:
            raw = found.fetch(self._evidence, MODEL, sha256)
            self._kept = None if raw is None else (sha256, raw)
            return raw
        found.compare(f"digest of the {MODEL}", sha256, self._kept[0])
        return self._kept[1]


def score_all(cases: Sequence[Scored], evidence: EvidenceSource, scoring: Scoring) -> None:
    """Give each case the inputs that come out now, in one pass for each model and a second, small one that explains."""
    models, by_model = Models(evidence), defaultdict[Digest, list[Scored]](list)
    for case in cases:
        _unfold(case, evidence)
        if case.snapshot is not None:
            by_model[case.opened.decision.model_digest].append(case)
    for model_digest, group in by_model.items():
        usable = [(case, raw) for case in group if (raw := models.fetch(model_digest, case.found)) is not None]
        if usable:
            _score([case for case, _ in usable], usable[0][1], scoring)


def _unfold(case: Scored, evidence: EvidenceSource) -> None:
    sha256, found = case.opened.inputs.snapshot, case.found
    if sha256 is None:
        found.not_recorded.append(NO_SNAPSHOT)
        return
    if found.fetch(evidence, SNAPSHOT, sha256) is None:
        return
    try:
        case.snapshot = unfold(sha256, evidence)
    except EvidenceMissing as missing:
        found.missing.append(Missing(what=f"part of the {SNAPSHOT}: {missing}"))
        return
    except EvidenceDamaged as damage:
        found.wrong(f"bytes of a part of the {SNAPSHOT}", "as they were kept", damage)
        return
    except (ValueError, KeyError, TypeError) as error:
        found.wrong(SNAPSHOT, "readable", f"cannot be read: {str(error)[:200]}")
        return
    raw = found.fetch(evidence, SOURCE, case.snapshot.source)
    case.source = None if raw is None else Source.model_validate_json(raw)
    _agree(case)


def _agree(case: Scored) -> None:
    """What the inputs took from the row that was scored, they took as it was."""
    row, inputs, found = case.facts.row, case.opened.inputs, case.found
    for what, told, scored in (
        ("item", inputs.need.item, row.item),
        ("location", inputs.need.location, row.location),
        ("shortage_per_unit", inputs.shortage_per_unit, row.shortage_per_unit),
        ("holding_per_unit_day", inputs.holding_per_unit_day, row.holding_per_unit_day),
        ("demand_definition", inputs.demand_definition, row.demand_definition),
    ):
        found.compare(f"inputs.{what}", told, scored)


def _score(group: Sequence[Scored], model: bytes, scoring: Scoring) -> None:
    rows = [row for case in group for row in rows_of(case.facts)]
    scored = _asked(group, rows, model, scoring, explain=False)
    if scored is None:
        return
    told = iter(scored)
    for case in group:
        by_supplier = {row.supplier: next(told) for row in rows_of(case.facts)}
        case.inputs = rebuilt(case.opened, case.facts, by_supplier)
    speaking = [(case, row) for case in group if (row := _spoken(case)) is not None]
    explained = _asked([case for case, _ in speaking], [row for _, row in speaking], model, scoring, explain=True)
    for (case, _), scores in zip(speaking, explained or (), strict=explained is not None):
        assert case.inputs is not None  # noqa: S101 - it was rebuilt above
        case.inputs = case.inputs.model_copy(update={"scores": scores})


def rebuilt(opened: Opened, facts: NeedFacts, scores: dict[str, Scores]) -> DecisionInputs:
    """The inputs with these scores by supplier, as `assessing` and `supplying.spoken_for` make them."""
    own, inputs = facts.row.supplier, opened.inputs
    options = tuple(
        option.model_copy(update={"outlook": outlook_of(scores[supplier]) if supplier != own else None})
        if (supplier := option.sourcing.supplier) in scores
        else option
        for option in inputs.options
    )
    fresh = inputs.model_copy(update={"options": options, "scores": scores[own]})
    return spoken_for(fresh, scores, opened.policy)


def _spoken(case: Scored) -> ScoringRow | None:
    """The row that is explained, because a person looks at what comes out; None where nobody does."""
    if case.inputs is None:
        return None
    try:
        result = decide(case.inputs, case.opened.policy)
    except InvalidInput:
        return None  # said where the decision itself is made again
    decided = Decided(decision=case.opened.decision.model_copy(update={"result": result}), inputs=case.inputs)
    return spoken(case.facts, decided) if needs_a_person(decided) else None


def _asked(
    group: Sequence[Scored], rows: Sequence[ScoringRow], model: bytes, scoring: Scoring, *, explain: bool
) -> list[Scores] | None:
    """The scores; None after telling each case why there are none."""
    try:
        return scoring.score(rows, model, explain=explain) if rows else []
    except ModelUnusable as unusable:
        for case in group:
            digest = case.opened.decision.model_digest
            case.found.missing.append(Missing(what=f"a library that reads the model: {unusable}", digest=digest))
            case.inputs = None
        return None
