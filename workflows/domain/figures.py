"""Every figure has one definition, said here: the page, the REST answer and the document all tell this one.

Figures are taken together, as of one instant, and never shown without it.
"""

from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from pydantic import Field

from workflows.domain.identity import Instant, Payload
from workflows.domain.money import MoneyReport
from workflows.domain.planning import Stability

WINDOW_DAYS = 28
"""Closed days that the fill rate and the decisions by tier look back."""
DEFAULT_CAP_DAYS = 90
"""Days beyond the protection days that stock may last where the policy sets no cap on cover."""
REFRESH_SECONDS = 60
"""Figures are taken anew at most so often ..."""
LOAD_SHARE = 20
"""... and never more than one part in so many of the time."""
SWANSON = (Decimal("0.3"), Decimal("0.4"), Decimal("0.3"))
"""Mean from P10, P50 and P90: Swanson's rule (Hurst, Brown and Swanson 2000, J. Petroleum Technology)."""
THOUSANDTH = Decimal("0.001")


class Unit(StrEnum):
    """What a figure is told in."""

    SHARE = "share"
    MONEY = "money"
    COUNT = "count"


class Definition(Payload):
    """What a figure means, for people: everything they need in order to recompute it."""

    name: str
    title: str
    unit: Unit
    counted: str
    days: str
    left_out: str
    formula: str


_LIVE = "live positions"
_NOW = "now: positions as they are at the instant of the figures"
_UNASSESSED = "positions that were never assessed, and those whose newest decision expects no demand at all"

DEFINITIONS: tuple[Definition, ...] = (
    Definition(
        name="live_positions",
        title="Live positions",
        unit=Unit.COUNT,
        counted="items at locations that the engine has stock facts of, and of which something is expected to sell",
        days=_NOW,
        left_out=_UNASSESSED + "; items that a catalog lists and of which no event ever spoke",
        formula="positions whose newest decision has a P90 of demand over its protection days above zero; protection "
        "days are the median lead time and the review period",
    ),
    Definition(
        name="stock_out_share",
        title="Out of stock",
        unit=Unit.SHARE,
        counted="live positions with nothing on hand",
        days=_NOW,
        left_out=_UNASSESSED,
        formula=f"positions with on hand <= 0 / {_LIVE}",
    ),
    Definition(
        name="below_reorder_share",
        title="Below reorder point",
        unit=Unit.SHARE,
        counted="live positions whose stock, what is ordered included, is below the watch level",
        days=_NOW,
        left_out=_UNASSESSED + "; what waits for a person is not ordered and counts as not there",
        formula=f"positions with on hand + on order - reserved < watch level / {_LIVE}; the watch level is set by the "
        "newest decision from the forecast of the lead time and one day",
    ),
    Definition(
        name="understock_share",
        title="Understocked",
        unit=Unit.SHARE,
        counted="live positions that would sell empty before the next order can come in 1 of 10 futures or more",
        days=_NOW,
        left_out=_UNASSESSED,
        formula=f"positions with on hand + on order - reserved < P90 of demand over the protection days / {_LIVE}",
    ),
    Definition(
        name="overstock_share",
        title="Overstocked",
        unit=Unit.SHARE,
        counted="live positions with more on hand than demand takes in a long time, even if it is high",
        days=_NOW,
        left_out=_UNASSESSED + "; goods on order",
        formula="positions with on hand - reserved > P90 of demand over the protection days + cap x mean daily demand "
        f"/ {_LIVE}; cap: the policy's cap on days of cover, {DEFAULT_CAP_DAYS} days where it sets none; mean daily "
        "demand = (0.3 P10 + 0.4 P50 + 0.3 P90) / protection days (Swanson's rule)",
    ),
    Definition(
        name="inventory_value",
        title="Inventory value",
        unit=Unit.MONEY,
        counted="all goods on hand, at what they cost, in the catalog's currency",
        days=_NOW,
        left_out="positions below zero count as nothing; those without a supplier in the catalog have no cost and are "
        "told apart",
        formula="sum of on hand x unit cost of the item's first supplier there (lowest rank, then by its id)",
    ),
    Definition(
        name="fill_rate",
        title="Fill rate",
        unit=Unit.SHARE,
        counted="units sold, of the units that would have sold had there been stock",
        days=f"the last {WINDOW_DAYS} days that are over at the location, by its business clock",
        left_out="demand on days that closed with stock is what was sold: nobody recorded who went away before; days "
        "before the engine got events",
        formula="sold / (sold + lost), lost = on each day that closed without stock, the newest decision's mean daily "
        "demand (Swanson's rule) less what was sold that day, at least zero",
    ),
    Definition(
        name="cost_avoided",
        title="Cost avoided",
        unit=Unit.MONEY,
        counted="what the static reorder point would have cost on the same days, less what happened",
        days="the newest 13 weeks of which decisions' horizons have passed",
        left_out="decisions whose horizon is still open; those with too little history to compare (see Money)",
        formula="static (holding + shortage + order lines) - happened (the same); day by day as the page Money says",
    ),
    Definition(
        name="decisions_by_tier",
        title="Decisions by tier",
        unit=Unit.COUNT,
        counted="needs that were decided: held, ordered by the policy alone, shown to a person, or blocked",
        days=f"the last {WINDOW_DAYS} days before the location's business clock, and today",
        left_out="earlier revisions: a proposal that was scored again counts once, with the tier it has now",
        formula="hold: needs held, by when they were opened; auto, review, blocked: proposals, by when they were made",
    ),
    Definition(
        name="waiting",
        title="Waiting for people",
        unit=Unit.COUNT,
        counted="proposals that need a person's word and have none yet, and what they are worth",
        days=_NOW,
        left_out="tasks that were answered, that expired, or whose need went away",
        formula="open tasks; value = sum of units x unit cost of each",
    ),
)
"""In the order of the page. Their names are the anchors of the page of definitions."""


def markdown(further: tuple[Definition, ...] = ()) -> str:
    """The definitions as a document, those of the home page first."""
    parts = [
        f"## {one.title} (`{one.name}`)\n\n- Counted: {one.counted}.\n- Days: {one.days}.\n"
        f"- Left out: {one.left_out}.\n- Formula: {one.formula}.\n"
        for one in (*DEFINITIONS, *further)
    ]
    opening = (
        "The figures of the home page and of `GET /api/v1/kpis`, and those about sending on the pages *Health* and"
    )
    return f"# Figures\n\n{opening}\n*Reconciliation*, as they define themselves.\n\n" + "\n".join(parts)


class PlaceFigures(Payload):
    """What is counted at one location; figures are made of these sums, so a company's are sums of its locations'."""

    location: str
    positions: int = 0
    unassessed: int = 0
    live: int = 0
    out_of_stock: int = 0
    below_reorder: int = 0
    understocked: int = 0
    overstocked: int = 0
    value: Decimal = Decimal(0)
    unpriced: int = 0
    """Positions with goods and no supplier in the catalog: they are not in the value."""
    sold_units: int = 0
    lost_units: Decimal = Decimal(0)
    held: int = 0
    auto: int = 0
    review: int = 0
    blocked: int = 0
    waiting: int = 0
    waiting_value: Decimal = Decimal(0)
    avoided: Decimal | None = None

    def share(self, count: int) -> Decimal | None:
        """Of the live positions; None where there are none."""
        return (Decimal(count) / self.live).quantize(Decimal("0.0001")) if self.live else None

    @property
    def fill_rate(self) -> Decimal | None:
        """None where nothing was wanted."""
        wanted = self.sold_units + self.lost_units
        return (self.sold_units / wanted).quantize(Decimal("0.0001")) if wanted > 0 else None

    def __add__(self, other: "PlaceFigures") -> "PlaceFigures":
        apart = {"location", "avoided"}
        sums = {
            name: getattr(self, name) + getattr(other, name) for name in type(self).model_fields if name not in apart
        }
        told = [one.avoided for one in (self, other) if one.avoided is not None]
        return PlaceFigures(location=self.location, avoided=sum(told, Decimal(0)) if told else None, **sums)


class Figure(Payload):
    """One figure with what stands beside it."""

    name: str
    title: str
    unit: Unit
    value: Decimal | None
    """None: there is nothing to tell it of."""
    currency: str | None = None
    detail: str = ""


class Snapshot(Payload):
    """All figures as of one instant."""

    as_of: Instant
    seconds: Decimal = Field(ge=0)
    """How long it took to count."""
    currency: str
    cap_days: int
    """The cap on days of cover that overstock was judged by."""
    places: tuple[PlaceFigures, ...]
    counts: dict[str, int] = Field(default_factory=dict)
    stability: Stability | None = None
    money: MoneyReport | None = None

    def at(self, location: str | None) -> PlaceFigures | None:
        """The sums of one location, or of all; None for a location that is not there."""
        if location is None:
            return sum(self.places, PlaceFigures(location=""))
        return next((place for place in self.places if place.location == location), None)

    def figures(self, location: str | None = None) -> list[Figure]:
        """The figures of a location, or of all, in the order of their definitions."""
        place = self.at(location)
        return figures_of(place, self.currency) if place else []


def figures_of(place: PlaceFigures, currency: str) -> list[Figure]:
    """The figures that follow from these sums."""
    of_live = f"of {place.live:,} live positions"
    decided = place.held + place.auto + place.review + place.blocked
    told: dict[str, tuple[Decimal | None, str]] = {
        "live_positions": (Decimal(place.live), f"of {place.positions:,}, {place.unassessed:,} never assessed"),
        "stock_out_share": (place.share(place.out_of_stock), f"{place.out_of_stock:,} {of_live}"),
        "below_reorder_share": (place.share(place.below_reorder), f"{place.below_reorder:,} {of_live}"),
        "understock_share": (place.share(place.understocked), f"{place.understocked:,} {of_live}"),
        "overstock_share": (place.share(place.overstocked), f"{place.overstocked:,} {of_live}"),
        "inventory_value": (place.value, f"{place.unpriced:,} positions without a cost" if place.unpriced else ""),
        "fill_rate": (place.fill_rate, f"{place.sold_units:,} units sold, {place.lost_units:,.0f} lost"),
        "cost_avoided": (place.avoided, ""),
        "decisions_by_tier": (
            Decimal(decided),
            f"{place.held:,} held, {place.auto:,} auto, {place.review:,} review, {place.blocked:,} blocked",
        ),
        "waiting": (Decimal(place.waiting), f"worth {place.waiting_value:,.2f} {currency}" if place.waiting else ""),
    }
    return [
        Figure(
            name=one.name, title=one.title, unit=one.unit, value=told[one.name][0], detail=told[one.name][1],
            currency=currency if one.unit is Unit.MONEY else None,
        )
        for one in DEFINITIONS
    ]  # fmt: skip


class Figures(Protocol):
    """The figures of the home page. Reading them counts nothing: they are counted outside of requests."""

    async def snapshot(self) -> Snapshot | None:
        """The newest figures, however old; None before they were counted for the first time. Old ones are counted
        anew meanwhile, by one process at a time."""
        ...

    async def waiting(self, most: int) -> int:
        """Open tasks at this moment, at most so many."""
        ...
