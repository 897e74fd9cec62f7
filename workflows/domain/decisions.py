"""One need becomes one decision: a hold, or a proposal with a quantity, a supplier, a tier and every step in words.

How it is reached is in `deciding`; here is what is recorded, and the hash that approvals are bound to.
"""

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, ClassVar, Final, Literal, NamedTuple

from pydantic import Field

from workflows.domain.catalog import Item, Money, Sourcing, Supplier
from workflows.domain.evidence import Kept
from workflows.domain.identity import Digest, Grown, Instant, Payload, canonical, digest
from workflows.domain.needs import Need
from workflows.domain.offers import JointOrder, Outlook, Stakes, SupplierChoice
from workflows.domain.policies import RiskTier, RuleFired
from workflows.domain.positions import Position
from workflows.domain.quantities import Amount, WaterfallStep
from workflows.domain.scores import Scores, ScoringRow

FIRST_RULE: Final = 1
"""Of decisions made before rules had numbers: `first_rule` decides those again as they were decided."""
RULE: Final = 2
"""The rule that decides now (`deciding`): another result for the same inputs and policy needs another number."""


class HoldReason(StrEnum):
    """Why nothing is ordered."""

    COVERED = "covered"
    CHEAPER_TO_WAIT = "cheaper_to_wait"
    BELOW_MINIMUM_VALUE = "below_minimum_value"
    NO_DEMAND = "no_demand"


class SupplyOption(Grown):
    """One way to buy the item, with what the engine knows about the supplier."""

    sourcing: Sourcing
    supplier: Supplier
    ordered_before: bool = True
    refused_at: Instant | None = None
    last_units: int | None = None
    last_unit_cost: Money | None = None
    """Of the newest order of this item for this location that this supplier took; None when there is none."""
    outlook: Outlook | None = None
    """What the future looks like if this option delivers; None: the scores of the inputs are the ones for it."""
    deliveries: int = Field(default=0, ge=0)
    deliveries_kept: int = Field(default=0, ge=0)
    """Deliveries of the supplier that are known, and those of them that came on time and in full."""
    company_lines: int = Field(default=0, ge=0)
    company_value: Money = Decimal(0)
    """Lines, and their value, that will go from this supplier to this location whatever is decided here."""
    lines_expected: int = Field(default=1, ge=1)
    """Lines of this batch among which the fixed cost of an order might be shared."""

    FIRST_FIELDS: ClassVar[frozenset[str]] = frozenset({"sourcing", "supplier", "ordered_before", "refused_at"})


class DecisionInputs(Grown):
    """All that a decision may look at, recorded with it."""

    FIRST_FIELDS: ClassVar[frozenset[str]] = frozenset({
        "need", "item", "position", "options", "scores", "shortage_per_unit", "holding_per_unit_day", "ordered_before",
        "largest_receipt_units", "data_through", "clock", "currency",
    })  # fmt: skip

    need: Need
    item: Item
    position: Position
    options: tuple[SupplyOption, ...]
    scores: Scores
    shortage_per_unit: Decimal = Field(ge=0)
    holding_per_unit_day: Decimal = Field(ge=0)
    ordered_before: bool = True
    largest_receipt_units: int | None = None
    """In the last 13 weeks; None when nothing was received."""
    data_through: Instant
    """Newest fact about this location, on the business clock."""
    clock: Instant
    currency: str = "EUR"
    drift_alarms: tuple[str, ...] = ()
    """Open alarms on the forecasts of this segment, in words."""
    joint: JointOrder | None = None
    """The order that this line would join; None: it is decided alone and bears the whole fixed cost."""
    demand_definition: Digest | None = None
    """Which definition of demand the forecasts saw; None: not recorded."""
    wanted_supplier: str | None = None
    """A person asked for a proposal from this supplier: `options` has no other. None: nobody did."""
    rule: int = Field(default=FIRST_RULE, ge=FIRST_RULE)
    """Which rule decides on them, so that the same one does when the decision is made again."""
    snapshot: Digest | None = None
    """What was scored (`domain.evidence`); None: not recorded, as before there were snapshots."""


class NeedFacts(Payload):
    """One need with everything known about its item and location at the batch's instant, before it is scored."""

    need: Need
    item: Item
    position: Position
    options: tuple[SupplyOption, ...]
    row: ScoringRow
    alternatives: tuple[ScoringRow, ...] = ()
    """The same need with the lead times and the review period of each other supplier that may be asked."""
    ordered_before: bool
    largest_receipt_units: int | None
    data_through: Instant
    wanted_supplier: str | None = None
    """As `DecisionInputs` has it."""


class Hold(Grown):
    """Nothing is ordered; the reason is recorded all the same ("why did you not order?")."""

    FIRST_FIELDS: ClassVar[frozenset[str]] = frozenset({"kind", "reason", "sentence", "waterfall"})

    kind: Literal["hold"] = "hold"
    reason: HoldReason
    sentence: str
    waterfall: tuple[WaterfallStep, ...] = ()
    stakes: Stakes | None = None


class Proposal(Grown):
    """What should be ordered, from whom, and who must agree."""

    FIRST_FIELDS: ClassVar[frozenset[str]] = frozenset({
        "kind", "supplier", "units", "unit_cost", "value", "currency", "tier", "rules", "waterfall", "sentence",
        "expected_cost", "expected_cost_without", "safety_units",
    })  # fmt: skip

    kind: Literal["proposal"] = "proposal"
    supplier: str
    units: int = Field(gt=0)
    unit_cost: Money
    value: Amount
    currency: str
    tier: RiskTier
    rules: tuple[RuleFired, ...]
    waterfall: tuple[WaterfallStep, ...]
    sentence: str
    expected_cost: Amount
    """EC(q*): expected shortage + holding cost with this order."""
    expected_cost_without: Amount
    """EC(0): the same if nothing is ordered."""
    safety_units: int
    """q(tau) - q(1/2): what uncertainty adds."""
    choice: SupplierChoice | None = None
    stakes: Stakes | None = None


Verdictable = Annotated[Hold | Proposal, Field(discriminator="kind")]


class Decision(Payload):
    """One revision of one decision with the digests of everything it rests on. Its hash is what a person approves."""

    decision_id: str
    revision: int = Field(ge=1)
    decided_at: Instant
    """On the business clock."""
    result: Verdictable
    inputs_digest: Digest
    model_digest: Digest
    policy_digest: Digest

    @property
    def proposal_hash(self) -> str:
        """SHA-256 over the whole decision: change anything and every approval given for it is void."""
        return digest(self)


class Words(NamedTuple):
    """The canonical bytes of inputs and decision: what their digests are of."""

    inputs: bytes
    decision: bytes
    of: tuple[DecisionInputs, Decision]


class Decided(Payload):
    """One need's decision with the inputs it rests on: what is recorded in one transaction."""

    decision: Decision
    inputs: DecisionInputs
    evidence: Mapping[Digest, Kept] = Field(default_factory=dict, exclude=True, repr=False)
    """What it rests on beside the inputs, to be kept with it: snapshot, code, model and policy."""
    words: Words | None = Field(default=None, exclude=True, repr=False)
    """Where they were written already."""

    @property
    def written(self) -> Words:
        """Its bytes."""
        words = self.words
        # A changed copy takes the words of its original along.
        if words is not None and words.of[0] is self.inputs and words.of[1] is self.decision:
            return words
        return Words(canonical(self.inputs), canonical(self.decision), (self.inputs, self.decision))
