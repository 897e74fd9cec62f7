"""Planning looks at many decisions at once: how money is spent best, and how steady the orders are."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Protocol

from pydantic import Field

from workflows.domain.budgets import Ranking, Want, rank
from workflows.domain.decisions import Decided, Proposal
from workflows.domain.identity import Payload
from workflows.domain.quantities import SupplyTerms
from workflows.domain.supplying import holding_per_cover

STABILITY_DAYS = 28


class Steadiness(Payload):
    """How much a supplier's orders swing beside the demand that they serve."""

    supplier: str
    days: int
    """Closed days that were looked at, at most `STABILITY_DAYS`."""
    orders: int
    order_variance: Decimal
    """Variance of the units ordered a day, days without an order included."""
    demand_variance: Decimal
    """The same of the units demanded a day of the items that were ordered."""
    variance_ratio: Decimal | None = None
    """Var(orders) / Var(demand), the bullwhip: 1 is as steady as demand, more is what suppliers suffer from. None:
    fewer than two days, or demand that does not vary."""


class Stability(Payload):
    """The stability figures."""

    suppliers: tuple[Steadiness, ...]
    rescored: int = Field(ge=0)
    """Times that a proposal was scored again while it waited for a person."""
    rescored_changed: int = Field(ge=0)
    """... and came out with another quantity, another supplier or as a hold."""

    @property
    def nervousness(self) -> Decimal | None:
        """Share of the re-scored proposals that changed; None when none was scored again."""
        if not self.rescored:
            return None
        return (Decimal(self.rescored_changed) / self.rescored).quantize(Decimal("0.001"))


DEFINITIONS = {
    "variance_ratio": f"variance of the units ordered a day from the supplier, divided by the variance of the units "
    f"demanded a day of the same items at the same locations, over the last {STABILITY_DAYS} closed days",
    "nervousness": "share of the times a waiting proposal was scored again that its quantity or supplier changed",
    "shadow_price": "expected cost that one more unit of money would save, at the first packs that the budget refused",
}
"""What each figure means, as pages and commands say it."""


class Planning(Protocol):
    """Figures over many decisions. Never changes anything."""

    async def budget(self, amount: Decimal) -> Ranking:
        """How this much money is spent best on the open proposals."""
        ...

    async def stability(self) -> Stability:
        """How steady orders and plan are."""
        ...


def budget(proposals: Sequence[Decided], amount: Decimal) -> Ranking:
    """Rank the packs of open proposals by what they save per money, and spend `amount` on the best."""
    return rank([want_of(one) for one in proposals], amount)


def want_of(decided: Decided) -> Want:
    """The line that a proposal wants: no more than it proposes, no less than its supplier sells."""
    inputs, proposal = decided.inputs, decided.decision.result
    assert isinstance(proposal, Proposal)  # noqa: S101 - callers pass proposals only
    option = next((o for o in inputs.options if o.sourcing.supplier == proposal.supplier), None)
    terms = SupplyTerms.of(option.sourcing) if option else SupplyTerms()
    return Want(
        key=decided.decision.decision_id, requirement=inputs.scores.requirement_units,
        shortage_per_unit=inputs.shortage_per_unit, holding_per_unit=holding_per_cover(inputs, option),
        unit_cost=proposal.unit_cost, pack_units=terms.pack_units, first_units=min(terms.smallest, proposal.units),
        most_units=proposal.units,
    )  # fmt: skip
