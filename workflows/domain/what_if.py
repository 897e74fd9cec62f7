"""A what-if replays the newest known stretch twice, as it is and changed, and says what the change would have cost.

Nothing is decided, ordered or stored by it. Its answer is about the past: the same demand, the same stock at the start.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Protocol, Self

from pydantic import ConfigDict, Field, ValidationError, model_validator

from workflows.domain.errors import InvalidInput
from workflows.domain.identity import Code, Payload
from workflows.domain.studies import Study, Terms

MOST_SERIES = 500
"""Items at locations that one question may be about: it is answered while somebody waits."""
WEEKS = 8
MOST_WEEKS = 26
LEAST_SHORTAGE = Decimal("0.01")
"""What a unit short costs at least, also where an item is sold below cost: as for decisions."""
DAYS_PER_YEAR = 365

Amount = Annotated[Decimal, Field(ge=0, le=1_000_000, max_digits=16, decimal_places=4)]
Watch = Callable[[int, int], None]
"""Told how many of how many replayed days are done."""


class Scope(Payload):
    """What a question is about: everything that matches all that is given."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    item: Code | None = None
    location: Code | None = None
    category: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    supplier: Code | None = None
    """Whom the item is bought from at the location."""

    @property
    def words(self) -> str:
        """In words, empty for everything."""
        given = {name: value for name, value in self if value is not None}
        return ", ".join(f"{name} {value}" for name, value in given.items())


class Change(Payload):
    """What would be different. At least one of these."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    service: Annotated[Decimal, Field(ge=Decimal("0.5"), le=Decimal("0.999"), max_digits=6)] | None = None
    """The share of futures in which one order should suffice, instead of what the costs or the policy say."""
    slip_days: Annotated[int, Field(ge=1, le=90)] | None = None
    """Deliveries take so much longer, those under way too; the engine learns of it with the first one overdue."""
    block: Code | None = None
    """This supplier takes no orders: the next one in the catalog's order takes its place, where there is one."""
    demand: Annotated[Decimal, Field(gt=0, le=10, max_digits=6)] | None = None
    """Demand of the stretch times this, to nobody's knowledge: the engine sees it as it comes."""
    review_days: Annotated[int, Field(ge=1, le=90)] | None = None
    """Days that one order should last beyond its lead time."""
    order_cost: Amount | None = None
    """Of each order line."""
    price: Amount | None = None
    """The selling price: what a lost sale costs follows from it."""

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if all(value is None for _, value in self):
            raise ValueError(f"nothing is changed: give at least one of {', '.join(type(self).model_fields)}")
        return self

    @property
    def words(self) -> str:
        """In words, as they follow "with"."""
        told = {
            "service": lambda value: f"a service target of {value * 100:.3f}".rstrip("0").rstrip(".") + " %",
            "slip_days": lambda value: f"deliveries {value} day{'s' if value > 1 else ''} later",
            "block": lambda value: f"no orders to {value}",
            "demand": lambda value: f"demand times {value}",
            "review_days": lambda value: f"orders that last {value} day{'s' if value > 1 else ''}",
            "order_cost": lambda value: f"an order cost of {value:.2f} a line",
            "price": lambda value: f"a price of {value:.2f}",
        }
        return ", ".join(told[name](value) for name, value in self if value is not None)


class Question(Payload):
    """What if?"""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scope: Scope = Scope()
    change: Change
    weeks: Annotated[int, Field(ge=1, le=MOST_WEEKS)] = WEEKS
    """How long the replayed stretch is; it ends with the last day that is over."""

    @classmethod
    def of(cls, fields: Mapping[str, object]) -> "Question":
        """From loose fields (an empty text is none), as commands and forms have them.

        Raises:
            InvalidInput: says which field is wrong and what it may be.
        """
        given = {name: value for name, value in fields.items() if value is not None and value != ""}
        unknown = given.keys() - {*Scope.model_fields, *Change.model_fields, "weeks"}
        if unknown:
            raise InvalidInput(f"{min(unknown)} is not something that can be asked about")
        parts = [{name: given[name] for name in kind.model_fields if name in given} for kind in (Scope, Change)]
        rest = {"weeks": given["weeks"]} if "weeks" in given else {}
        try:
            return cls.model_validate({"scope": parts[0], "change": parts[1], **rest})
        except ValidationError as error:
            first = error.errors()[0]
            text = first["msg"].removeprefix("Value error, ")
            name = str(first["loc"][-1]) if len(first["loc"]) > 1 or first["loc"] == ("weeks",) else ""
            raise InvalidInput(f"{name.replace('_', ' ')}: {text}" if name else text) from None


class Figures(Payload):
    """What one replay came to."""

    total_cost: Decimal
    holding_cost: Decimal
    shortage_cost: Decimal
    order_cost: Decimal
    fill_rate: Decimal
    """Units served / units demanded, days with known demand only."""
    mean_stock_units: Decimal
    """Of all items together, mean over the days' ends."""
    orders: int
    """Order lines."""


class Answer(Payload):
    """As it is beside as it would be."""

    question: Question
    currency: str
    series: int
    """Items at locations that were replayed."""
    first_day: str
    last_day: str
    now: Figures
    changed: Figures
    difference: Decimal
    """Total cost changed - total cost now."""
    low: Decimal | None
    high: Decimal | None
    """95 % interval of the difference: paired bootstrap; None where as it is costs nothing."""
    sentence: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Lane:
    """One way to buy an item for a location."""

    supplier: str
    terms: Terms
    cover_days: int
    """Days that one order should last beyond its lead time."""


@dataclass(frozen=True, slots=True)
class Bought:
    """What a study does not say of one of its series."""

    lanes: tuple[Lane, ...]
    """In the order of preference, those that may be asked; empty: nobody may."""
    goodwill: Decimal = Decimal(0)
    aim: Decimal | None = None
    """The service target of the policy; None: what the costs say."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """The newest known stretch, ready to be replayed."""

    study: Study
    """Its rules say where the stretch begins."""
    bought: tuple[Bought, ...]
    """Of each series, in order."""
    currency: str = "EUR"
    notes: tuple[str, ...] = field(default=())


def shortage_per_unit(price: Decimal, unit_cost: Decimal, goodwill: Decimal) -> Decimal:
    """What a unit short costs: the margin, and what the customer's anger costs."""
    return max(LEAST_SHORTAGE, price - unit_cost) + goodwill


def after(bought: Bought, change: Change) -> Lane | None:
    """The lane that is used once the change holds, with its terms; None where nobody may be asked."""
    lane = next((one for one in bought.lanes if one.supplier != change.block), None)
    if lane is None:
        return None
    told: dict[str, object] = {}
    if change.slip_days:
        told["lead_time_periods"] = (lane.terms.lead_time_periods or 0) + change.slip_days
    if change.order_cost is not None:
        told["order_cost"] = change.order_cost
    if change.price is not None:
        cost = lane.terms.unit_cost or Decimal(0)
        told |= {"price": change.price, "shortage_per_unit": shortage_per_unit(change.price, cost, bought.goodwill)}
    terms = lane.terms.model_copy(update=told)
    return Lane(lane.supplier, terms, change.review_days or lane.cover_days)


def sentence(answer: Answer) -> str:
    """The answer in one sentence."""
    now, changed, currency = answer.now, answer.changed, answer.currency
    about = answer.question.scope.words or "everything"
    if answer.low is None or answer.high is None:
        sure = "no interval"
    else:
        sure = f"95 % interval {answer.low:+,.2f} to {answer.high:+,.2f}"
    return (
        f"With {answer.question.change.words} for {about}, {answer.series} item"
        f"{'s at locations' if answer.series != 1 else ''} would have cost {changed.total_cost:,.2f} {currency} "
        f"instead of {now.total_cost:,.2f} from {answer.first_day} to {answer.last_day} "
        f"({answer.difference:+,.2f}; {sure}), with {changed.fill_rate * 100:.1f} % of demand served instead of "
        f"{now.fill_rate * 100:.1f} % and {changed.mean_stock_units:,.0f} units in stock instead of "
        f"{now.mean_stock_units:,.0f}."
    )


DEFINITIONS = {
    "stretch": "the last weeks that are over, replayed day by day with the demand that they had; days on which demand "
    "is not known, because the shelf was empty, cost and count nothing in either replay",
    "as it is": "the engine's own order rule with a model trained on what was known before the stretch, on today's "
    "catalog and policy, each item bought from its preferred supplier at the lead time that its deliveries usually "
    "took; the budget, the gate, people and joint orders play no part",
    "total_cost": "holding + shortage + order cost",
    "holding_cost": "stock at each day's end x unit cost x holding rate / 365",
    "shortage_cost": "units not served x (price - unit cost + goodwill)",
    "order_cost": "order lines x the supplier's cost per order, shared by as many lines as its orders have had",
    "interval": "the middle 95 % of 2,000 resamples of the difference, pairs kept together; drawn over items, or over "
    "an item's weeks where there are fewer than 30 items",
}
"""What each figure means, as pages and commands say it."""


class Stretches(Protocol):
    """Reads what is known of the live business."""

    async def newest(self, scope: Scope, weeks: int) -> Stretch:
        """The newest stretch of everything in the scope.

        Raises:
            InvalidInput: more than `MOST_SERIES` match, nothing matches, or too little history is known.
        """
        ...


class WhatIf(Protocol):
    """Answers questions."""

    async def ask(self, question: Question) -> Answer:
        """The answer; takes seconds, and is the same whenever the same is known.

        Raises:
            InvalidInput: what is asked about is too much, not there, or without enough history.
        """
        ...
