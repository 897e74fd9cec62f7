"""One need becomes one decision: a hold, or a proposal with a quantity, a supplier, a tier and every step in words.

How it is reached is in `deciding`; here is what is recorded, and the hash that approvals are bound to.
"""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from workflows.domain.catalog import Item, Money, Sourcing, Supplier
from workflows.domain.identity import Digest, Instant, Payload, digest
from workflows.domain.needs import Need
from workflows.domain.offers import JointOrder, Outlook, Stakes, SupplierChoice
from workflows.domain.policies import RiskTier, RuleFired
from workflows.domain.positions import Position
from workflows.domain.quantities import Amount, WaterfallStep
from workflows.domain.scores import Scores, ScoringRow


class HoldReason(StrEnum):
    """Why nothing is ordered."""

    COVERED = "covered"
    CHEAPER_TO_WAIT = "cheaper_to_wait"
    BELOW_MINIMUM_VALUE = "below_minimum_value"
    NO_DEMAND = "no_demand"


class SupplyOption(Payload):
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

    @model_serializer(mode="wrap")
    def _as_before_where_nothing_is_known(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Evidence from before a field was recorded keeps its bytes, and so its digest."""
        fields = type(self).model_fields
        return {
            name: value
            for name, value in handler(self).items()
            if name in self.FIRST_FIELDS or getattr(self, name) != fields[name].default
        }


class DecisionInputs(Payload):
    """All that a decision may look at, recorded with it."""

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

    @model_serializer(mode="wrap")
    def _as_before_where_nothing_is_known(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Evidence from before the definition was recorded keeps its bytes, and so its digest."""
        document: dict[str, Any] = handler(self)
        if self.demand_definition is None:
            document.pop("demand_definition", None)
        return document


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


class Hold(Payload):
    """Nothing is ordered; the reason is recorded all the same ("why did you not order?")."""

    kind: Literal["hold"] = "hold"
    reason: HoldReason
    sentence: str
    waterfall: tuple[WaterfallStep, ...] = ()
    stakes: Stakes | None = None


class Proposal(Payload):
    """What should be ordered, from whom, and who must agree."""

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


class Decided(Payload):
    """One need's decision with the inputs it rests on: what is recorded in one transaction."""

    decision: Decision
    inputs: DecisionInputs
