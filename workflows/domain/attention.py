"""Attention is the scarce resource: a person is asked when the look is expected to save more than it costs.

Science 3.3 (a Chow-type reject rule): ask if

    kappa [EC(q*) - EC_lb] + lambda CVaR_95  >  c_review + c_delay

with EC_lb the cost that no order can avoid and c_delay the margin lost if the order slips by a day meanwhile.
"""

from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field, field_validator

from workflows.domain.limits import Document, MoneyLimit, Share, spelled
from workflows.domain.offers import Stakes


class Attention(Document):
    """The constants of the rule; the defaults are the science notes' starting values, to be estimated from outcomes."""

    removable_share: Share = Decimal("0.15")
    """Kappa: the share of the avoidable cost that a planner removes."""
    risk_aversion: Annotated[Decimal, Field(ge=0, le=Decimal("0.1"), max_digits=6)] = Decimal("0.02")
    """Lambda: what a unit of money in the worst twentieth of the futures weighs beyond its share in the mean."""
    minutes: Annotated[int, Field(ge=1, le=240)] = 2
    wage_per_hour: MoneyLimit = Decimal(40)
    delayed_share: Share = Decimal("0.5")
    """Share of the orders that miss their cycle because they waited for a person."""

    @field_validator("*", mode="after")
    @classmethod
    def _one_spelling(cls, value: Any) -> Any:
        return spelled(value)

    @property
    def review_cost(self) -> Decimal:
        """c_review: minutes at the wage."""
        return self.wage_per_hour * self.minutes / 60

    def benefit(self, stakes: Stakes) -> Decimal:
        """What the look is expected to save."""
        avoidable = stakes.cost_with - stakes.cost_unavoidable
        return self.removable_share * avoidable + self.risk_aversion * stakes.cvar_95

    def price(self, stakes: Stakes) -> Decimal:
        """What the look costs: the person's time, and the margin lost where the order misses its cycle."""
        slipping = max(Decimal(0), stakes.expected_lost_value - stakes.unavoidable_lost_value)
        return self.review_cost + self.delayed_share * slipping
