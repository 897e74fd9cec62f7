"""Models are content-addressed artefacts: a champion in use, candidates waiting to replace it."""

from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from pydantic import Field

from workflows.domain.counterfactual import Counterfactual
from workflows.domain.deliveries import DeliveryRecord
from workflows.domain.drivers import DriverSeries
from workflows.domain.identity import Code, Digest, Instant, Payload
from workflows.domain.scores import DemandHistory, Promotion
from workflows.domain.steadiness import steady


class ModelStatus(StrEnum):
    """Where a model version is in its life."""

    CANDIDATE = "candidate"
    AWAITING_APPROVAL = "awaiting_approval"
    CHAMPION = "champion"
    RETIRED = "retired"
    REFUSED = "refused"


class StockTerms(Payload):
    """What keeping and missing a unit costs, and how it is usually bought: what an order is weighed by."""

    shortage_per_unit: Decimal = Field(ge=0)
    """Cost of one unit not sold: unit margin + goodwill."""
    holding_per_unit_day: Decimal = Field(ge=0)
    lead_days: int = Field(ge=0)
    """The usual ones: the median of what was observed, else what the supplier promises."""
    review_days: int = Field(ge=1)
    pack_units: int = Field(default=1, ge=1)
    minimum_order_units: int = Field(default=0, ge=0)


class TrainingSeries(Payload):
    """The history of one item at one location as it was known at the cut."""

    item: Code
    location: Code
    category: str = "uncategorised"
    history: DemandHistory
    promotions: tuple[Promotion, ...] = ()
    drivers: tuple[DriverSeries, ...] = ()
    """What moves its demand from outside, as known at the instant."""
    country: str | None = None
    subdivision: str | None = None
    """Whose public holidays its location keeps; None: they are not looked at."""
    terms: StockTerms | None = None
    """None where nobody can be asked for it, or nobody said: then its orders are not rehearsed."""


class TrainingSet(Payload):
    """A reference to a point-in-time data set; the table itself never enters history."""

    sha256: Digest
    series: int
    last_day: date
    known_at: Instant
    """Nothing recorded after this instant is in the set."""
    deliveries_sha256: Digest | None = None
    """The orders and what became of them, in a file of their own; None: there were none yet."""


class TrainingRequest(Payload):
    """What somebody (a schedule, a person, an alarm) wants trained."""

    seed: int = 1
    reason: str = "schedule"
    unseen_days: int = 7
    """Days kept back from training to judge the candidate on."""


class TrainingPlan(Payload):
    """A round of training, fixed before it starts so that a retry does the same."""

    training_set: TrainingSet | None = None
    """Everything known, the unseen stretch included; None when there is nothing new to learn."""
    train_through: date | None = None
    seed: int = 1
    champion: str | None = None
    reason: str = ""

    @property
    def nothing_new(self) -> bool:
        """Whether the round ends here."""
        return self.training_set is None


class SegmentScore(Payload):
    """How the forecasters did on one segment's validation stretch: mean pinball loss relative to mean demand."""

    segment: str
    series: int
    chosen: str
    loss_by_forecaster: dict[str, Decimal]


class TrainedModel(Payload):
    """What training returns: the artefact's bytes travel by digest, its facts here."""

    digest: Digest
    trained_through: date
    rows: int
    rounds: int
    seconds: Decimal
    segments: tuple[SegmentScore, ...] = ()
    library: str = ""


class Rescored(Payload):
    """A model's answers asked twice: of the library that made it, and of the reference scorer (science 6.3, gate f)."""

    predictions: int
    differently: int
    """How many differ by as much as one bit."""


class CostComparison(Payload):
    """What the orders that follow from two models cost on one stretch, by the simulator; ratios below 1 favour the
    candidate."""

    series: int
    days: int
    ratio: Decimal
    ratio_lower: Decimal
    ratio_upper: Decimal
    """The 95 % paired bootstrap interval over series."""
    candidate_cost: Decimal
    champion_cost: Decimal


class Comparison(Payload):
    """Candidate against champion on the newest unseen stretch. Ratios below 1 favour the candidate."""

    first_day: date
    last_day: date
    series: int
    loss_ratio: Decimal
    loss_ratio_upper: Decimal
    """Upper end of the 95 % paired bootstrap interval over series."""
    candidate_coverage_90: Decimal
    champion_coverage_90: Decimal
    candidate_loss: Decimal
    champion_loss: Decimal
    costs: CostComparison | None = None
    """Of their orders on the same stretch; None where too little is known of what orders cost, or the stretch is too
    short for them to arrive."""
    rescored: Rescored | None = None
    """The candidate's; None in records of before there was a reference scorer."""
    redecided: Counterfactual | None = None
    """The champion's newest recorded decisions, made again with the candidate; None in records of before that."""


class GateResult(Payload):
    """Whether a candidate may replace the champion, and every check with its figure."""

    passed: bool
    reasons: tuple[str, ...]


class ModelVersion(Payload):
    """A registered model."""

    digest: Digest
    number: int
    status: ModelStatus
    trained_through: date
    created_at: Instant
    facts: TrainedModel
    comparison: Comparison | None = None
    gate: GateResult | None = None


def promotion_gate(
    comparison: Comparison, *, max_ratio_upper: Decimal = Decimal("1.02"),
    max_cost_ratio_upper: Decimal = Decimal("1.01"), asks: bool = False,
) -> GateResult:  # fmt: skip
    """Science 6.3 (b), (c), (d) and (f): not worse overall, its orders are not dearer, its intervals hold, and a scorer
    of our own gives the same bits; and what was decided lately would not have been too different (`steadiness`).

    The point estimate must be below 1, its upper bound at most `max_ratio_upper`, and the 0.9 quantile's coverage
    within 5 points of nominal or no further from it than the champion's. Decisions beyond the bounds of `steadiness`
    are a reason to refuse, or where the policy `asks` a person before promotions, one for that person to look at.
    """
    nominal = Decimal("0.90")
    off = abs(comparison.candidate_coverage_90 - nominal)
    checks = (
        (comparison.loss_ratio < 1, f"loss ratio {comparison.loss_ratio} must be below 1"),
        (
            comparison.loss_ratio_upper <= max_ratio_upper,
            f"upper bound {comparison.loss_ratio_upper} must be at most {max_ratio_upper}",
        ),
        (
            off <= Decimal("0.05") or off <= abs(comparison.champion_coverage_90 - nominal),
            f"coverage {comparison.candidate_coverage_90} must be near {nominal}",
        ),
        *_not_dearer(comparison.costs, max_cost_ratio_upper),
        *_same_bits(comparison.rescored),
    )
    moved = tuple(steady(comparison.redecided)) if comparison.redecided else ()
    beyond = "asks: " if asks else "failed: "
    return GateResult(
        passed=all(ok for ok, _ in checks) and (asks or all(ok for ok, _ in moved)),
        reasons=tuple(
            ("ok: " if ok else otherwise) + text
            for rules, otherwise in ((checks, "failed: "), (moved, beyond))
            for ok, text in rules
        ),
    )


def _not_dearer(costs: CostComparison | None, most: Decimal) -> tuple[tuple[bool, str], ...]:
    """Cheaper, and surely not dearer than `most`; or not to be told from the champion on so short a stretch."""
    if costs is None:
        return ()
    cheaper = costs.ratio < 1 and costs.ratio_upper <= most
    alike = costs.ratio_lower <= 1 <= costs.ratio_upper
    found = (
        f"cost of orders {costs.ratio} of the champion's ({costs.ratio_lower} to {costs.ratio_upper}) must be below 1 "
        f"and surely at most {most}, or equal within its noise"
    )
    return ((cheaper or alike, found),)


def _same_bits(rescored: Rescored | None) -> tuple[tuple[bool, str], ...]:
    if rescored is None:
        return ()
    found = (
        f"{rescored.differently} of {rescored.predictions} predictions differ from the reference scorer's: must be 0"
    )
    return ((rescored.differently == 0, found),)


Progress = Callable[[str, int, int], None]
"""Told what is being done, how much is done and how much there is."""


class Learner(Protocol):
    """Trains and compares models; knows neither storage nor Temporal."""

    def train(
        self, series: Sequence[TrainingSeries], *, last_day: date, seed: int, progress: Progress,
        deliveries: Sequence[DeliveryRecord] = (),
    ) -> bytes:  # fmt: skip
        """A model trained on demand (and on what became of orders) up to and including `last_day`, as bytes.

        Raises:
            InvalidInput: when there is too little history to learn anything from.
        """
        ...

    def describe(self, model: bytes) -> TrainedModel:
        """The facts that the artefact carries about itself."""
        ...

    def compare(
        self, series: Sequence[TrainingSeries], candidate: bytes, champion: bytes, *, first_day: date, last_day: date
    ) -> Comparison:
        """Both models on demand from `first_day` to `last_day`, which neither may have been trained on."""
        ...
