"""What one need could be bought for, from whom and in whose company: recorded with the decision, beside its inputs."""

from decimal import Decimal

from pydantic import Field

from workflows.domain.catalog import Money
from workflows.domain.identity import Instant, Payload
from workflows.domain.quantities import Amount
from workflows.domain.scores import Probability


class Outlook(Payload):
    """The part of a score that depends on who delivers: for each option but the one that the full scores speak of.

    The names are those of `Scores`, whose fields they replace.
    """

    target: Probability
    requirement_units: tuple[int, ...] = Field(min_length=1)
    protection_days: int
    cover_days: int = 0
    lead_time_p50_days: int
    lead_time_p95_days: int
    demand_p10: Decimal
    demand_p50: Decimal
    demand_p90: Decimal
    stockout_risk: Probability
    stockout_risk_soon: Probability
    expected_lost_units: Decimal
    lost_before_units: Decimal = Decimal(0)
    waiting_short_units: Decimal | None = Field(default=None, exclude_if=lambda value: value is None)
    waiting_risk: tuple[Probability, ...] = ()
    watch_level_units: int


class Offer(Payload):
    """What it would cost to serve the need by one supplier. `total` is what suppliers are compared by."""

    supplier: str
    units: int
    unit_cost: Money
    lead_time_p50_days: int
    premium: Amount
    """(unit cost - cheapest unit cost) x units: units that are left over are stock, not loss, so only the difference
    counts."""
    lost_before: Amount
    """Margin expected to be lost before this supplier could deliver."""
    expected_cost: Amount
    """EC(q): expected shortage and surplus from its delivery on."""
    order_cost: Amount
    """The line's expected share of the fixed cost of an order."""
    unreliability: Amount
    """What late and short deliveries are expected to cost beyond what the lead times say already."""
    total: Amount


class SupplierChoice(Payload):
    """All that was compared, cheapest first, and what would change the choice."""

    offers: tuple[Offer, ...]
    by_rank: bool = False
    """The policy fixed the order of the suppliers; the totals did not decide."""
    flips_at: Money | None = None
    """Unit cost at or below which the runner-up would be chosen; None: at no price, or there is no runner-up."""


class JointOrder(Payload):
    """The purchase order that a line would join, as it looked when the line was decided."""

    supplier: str
    lines: int = Field(ge=1)
    """Lines of this batch that the order would have."""
    gain: Amount
    """EC(0) - EC(q) over those lines, top-ups included."""
    order_cost: Amount
    """Fixed cost still to be earned: none when an order is on its way to the supplier anyway."""
    share: Amount
    """This line's share of it, in proportion to its gain: so a line pays what it earns exactly when the order does."""
    value: Amount
    """Of the whole order, lines that wait there already included."""
    minimum_value: Amount = Decimal(0)
    top_up_units: int = 0
    """Units added to this line so that the order reaches the supplier's minimum value."""

    @property
    def pays(self) -> bool:
        """Whether the order earns its fixed cost."""
        return self.gain >= self.order_cost

    @property
    def large_enough(self) -> bool:
        """Whether the supplier takes an order of this value."""
        return self.value >= self.minimum_value


class Stakes(Payload):
    """What is at stake with a decision, in money and time (definitions: science 2.2 and 3.3)."""

    order_by: Instant | None = None
    """Last safe order time: the cutoff of the latest order cycle that still keeps the risk within the target."""
    order_by_or_later: bool = False
    """The risk stays within the target as far as was looked: the true last time is this or later."""
    late_already: bool = False
    """Even an order of now leaves more risk than the target before it arrives."""
    expected_lost_value: Amount
    """Margin expected to be lost until an order of tomorrow could help, if nothing is ordered now."""
    unavoidable_lost_value: Amount
    """The part of it that no order of now can save."""
    cost_without: Amount
    """EC(0)."""
    cost_with: Amount
    """EC(q*)."""
    cost_pack_less: Amount | None = None
    cost_pack_more: Amount | None = None
    """EC one pack below and above q*; None where that quantity cannot be ordered."""
    cost_unavoidable: Amount
    """EC_lb: holding what is left over even if nothing is ordered."""
    cvar_95: Amount
    """Mean loss in the worst 5 % of the futures with q*."""
    overstock_days: Decimal
    """Expected surplus at the end of the protection days, in days of expected demand."""
    order_cost_share: Amount = Decimal(0)
