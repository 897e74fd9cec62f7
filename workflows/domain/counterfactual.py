"""A counterfactual says what recorded decisions would have been with another policy or model, from what was known then.

It reads the record alone: the ledger's entries and the evidence that they name. What the live business knows by now
plays no part, and nothing that was decided is changed by asking. (`what_if` is another question: the newest weeks of
the live business, replayed day by day with a change.)
"""

from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from pydantic import Field, model_validator

from workflows.domain.decisions import Decision, DecisionInputs, Hold, Proposal
from workflows.domain.evidence import Snapshot
from workflows.domain.identity import Digest, Instant, Payload
from workflows.domain.policies import Policy
from workflows.domain.quantities import Amount
from workflows.domain.scores import Probability

SHOWN = 25
"""Changed decisions that an answer names; the rest it counts."""


class Which(Payload):
    """Which recorded decisions are asked about: one, those of a stretch, or the newest. Days are of the business clock
    (`decided_at`), in UTC and inclusive."""

    decision_id: str | None = None
    since: date | None = None
    until: date | None = None
    newest: int | None = Field(default=None, ge=1)
    """So many of the newest, and the rest of the batch that the last of them was decided in."""
    model: Digest | None = None
    """Only those that this model scored."""

    @model_validator(mode="after")
    def _says_which(self) -> "Which":
        if self.since and self.until and self.until < self.since:
            raise ValueError("the last day lies before the first")
        if self.decision_id is not None and (self.since or self.until or self.newest):
            raise ValueError("ask about one decision or about a stretch, not both")
        return self


class Past(Payload):
    """A decision as it was recorded, with all that it rests on."""

    decision: Decision
    inputs: DecisionInputs
    policy: Policy
    snapshot: Snapshot | None = None
    unscored: str = ""
    """Why there is no snapshot, in words; empty where there is one."""
    asked: bool = True
    """False: it is here for its batch's sake alone, because what shares an order is decided together."""


class Unread(Payload):
    """Decisions that the record does not say enough of."""

    decision_id: str
    """Or the batch, where the decisions are not named one by one."""
    why: str
    decisions: int = Field(default=1, ge=1)
    asked: bool = True


class Recorded(Payload):
    """Decisions that were recorded in one transaction: a batch, or as much of it as is recorded."""

    read: tuple[Past, ...] = ()
    unread: tuple[Unread, ...] = ()
    entries: int = 0
    """Of the ledger that they are recorded in."""


class Recordings(Protocol):
    """Where recorded decisions are read from: a store, or a pack that was taken from it."""

    def read(self, which: Which) -> Iterator[Recorded]:
        """Batch by batch in the order of their instants (the newest first where the newest are asked for), then of
        location and id; memory does not grow with how many there are.

        Raises:
            NotFound: nothing is recorded under the id that was asked about.
        """
        ...

    def count(self, which: Which) -> int:
        """How many entries of the ledger `read` will go through, for a bar of progress."""
        ...


class Outcome(StrEnum):
    """Where a decision leads."""

    HOLD = "hold"
    AUTO = "auto"
    """Ordered without a person."""
    REVIEW = "review"
    """A person is asked."""
    BLOCKED = "blocked"


class Company(StrEnum):
    """Whose company a line was decided in: lines of one supplier and location share one order."""

    ANEW = "anew"
    """All lines of its batch are recorded, and were joined again."""
    RECORDED = "recorded"
    """The joint order as it was recorded; dropped where the line would go to another supplier."""


class Standing(Payload):
    """What one decision came to."""

    outcome: Outcome
    units: int = 0
    supplier: str | None = None
    value: Amount = Decimal(0)
    rules: tuple[str, ...] = ()
    expected_cost: Amount | None = None
    """Shortage and surplus expected with it, by the model that scored it; None: not recorded."""
    stockout_risk: Probability | None = None
    """The share of that model's futures in which the units do not last until the next review's order arrives."""

    @property
    def ordered(self) -> bool:
        """Whether an order follows, a person willing."""
        return self.outcome in (Outcome.AUTO, Outcome.REVIEW)


class Compared(Payload):
    """One decision as it was recorded beside what it would have been."""

    decision_id: str
    revision: int
    item: str
    location: str
    decided_at: Instant
    currency: str
    before: Standing
    after: Standing
    company: Company

    @property
    def changed(self) -> bool:
        """Whether somebody would have seen something else happen."""
        was, now = self.before, self.after
        return (was.outcome, was.units, was.supplier) != (now.outcome, now.units, now.supplier)

    @property
    def flipped(self) -> bool:
        """Whether it would have ended elsewhere: held, automatic, before a person, blocked."""
        return self.before.outcome is not self.after.outcome

    @property
    def moved(self) -> Decimal:
        """Money that would have been ordered more or less; all of both where the supplier is another one."""
        was, now = (one.value if one.ordered else Decimal(0) for one in (self.before, self.after))
        return was + now if self.before.supplier != self.after.supplier else abs(now - was)


class Sums(Payload):
    """Decisions by outcome, and what is ordered with them, in one currency."""

    hold: int = 0
    auto: int = 0
    review: int = 0
    blocked: int = 0
    auto_value: Decimal = Decimal(0)
    """Ordered without a person."""
    review_value: Decimal = Decimal(0)
    """Put before people."""
    auto_units: int = 0
    review_units: int = 0
    expected_cost: Decimal = Decimal(0)

    @property
    def value(self) -> Decimal:
        """All that is ordered."""
        return self.auto_value + self.review_value

    @property
    def units(self) -> int:
        """All that is ordered."""
        return self.auto_units + self.review_units


class Totals(Payload):
    """One currency's decisions as they were and as they would have been. Currencies are never added up."""

    currency: str
    before: Sums = Sums()
    after: Sums = Sums()
    newly_automatic: int = 0
    """Held, put before a person or blocked then; they would have gone out without anybody's look."""
    newly_automatic_value: Decimal = Decimal(0)
    no_longer_automatic: int = 0


class Reason(Payload):
    """Why so many decisions cannot be made again."""

    why: str
    decisions: int


class Other(Payload):
    """What would be different; None: as it was for each decision."""

    policy: Policy | None = None
    model: Digest | None = None

    @model_validator(mode="after")
    def _is_another(self) -> "Other":
        if self.policy is None and self.model is None:
            raise ValueError("nothing would be different: name a policy, a model, or both")
        return self


class Counterfactual(Payload):
    """The answer."""

    which: Which
    policy: Digest | None
    model: Digest | None
    compared: int = 0
    not_possible: tuple[Reason, ...] = ()
    changed: int = 0
    flipped: int = 0
    quantity_changed: int = 0
    supplier_changed: int = 0
    company_recorded: int = 0
    """Decisions whose joint order was kept as recorded, because its lines are not all there."""
    totals: tuple[Totals, ...] = ()
    biggest: tuple[Compared, ...] = ()
    """The changed ones with the most money moved, at most `SHOWN`."""
    sha256: Digest
    """Over the canonical bytes of every comparison and every reason, in order: the same question of the same record has
    the same answer."""
    notes: tuple[str, ...] = ()


def standing_of(result: Hold | Proposal, inputs: DecisionInputs) -> Standing:
    """What a decision on these inputs came to."""
    if isinstance(result, Hold):
        cost = result.stakes.cost_without if result.stakes else None
        return Standing(outcome=Outcome.HOLD, expected_cost=cost, stockout_risk=_risk(inputs.scores.requirement_units))
    return Standing(
        outcome=Outcome(str(result.tier)), units=result.units, supplier=result.supplier, value=result.value,
        rules=tuple(str(rule.code) for rule in result.rules), expected_cost=result.expected_cost,
        stockout_risk=_risk(_futures(inputs, result), result.units),
    )  # fmt: skip


def _futures(inputs: DecisionInputs, result: Proposal) -> Sequence[int]:
    option = next((one for one in inputs.options if one.sourcing.supplier == result.supplier), None)
    seen = option.outlook if option else None
    return (seen or inputs.scores).requirement_units


def _risk(futures: Sequence[int], units: int = 0) -> Decimal:
    return (Decimal(sum(1 for need in futures if need > units)) / len(futures)).quantize(Decimal("0.0001"))
