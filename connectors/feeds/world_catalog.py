"""The demo world's articles: what they are, how they sell, who supplies them, and the opening stock."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from connectors.feeds.chance import dice
from connectors.feeds.suppliers import (
    ALDER,
    BIRCH,
    CEDAR,
    FAILING,
    LATE,
    OAK,
    PARTNERS,
    PROMISED_DAYS,
    REVIEW_DAYS,
    Partner,
    suppliers,
)
from connectors.feeds.world_demand import Pattern, Series
from workflows.domain.catalog import Catalog, Item, Location, Sourcing
from workflows.domain.feeds import StockKey

LOCATIONS = (("HAMBURG", "Warehouse Hamburg", 1.0), ("LYON", "Warehouse Lyon", 0.7), ("PORTO", "Warehouse Porto", 0.5))
"""Code, name, and how much it sells of what Hamburg sells."""
CENT = Decimal("0.01")
ORDER_DAYS = 12
"""Unit costs are chosen so that about this many days' demand makes an order line of a plausible value."""
LINE_VALUE_EUR, LINE_VALUE_SPREAD = 150.0, 0.95
"""Median and log-spread of such a line: most lines some 50 to 500 EUR, about one in a hundred beyond 1,500."""


@dataclass(frozen=True, slots=True)
class Category:
    """A shelf: its articles' names, its week, its season, and the supplier that most of it comes from."""

    name: str
    nouns: tuple[str, ...]
    week: str
    yearly_swing: float
    peak_day: int
    partner: Partner


CATEGORIES = (
    Category("Kitchen", ("Whisk", "Teapot", "Bread Board", "Measuring Jug"), "even", 0.10, 340, ALDER),
    Category("Stationery", ("Notebook", "Fountain Pen", "Wall Planner", "Letter Tray"), "office", 0.20, 245, BIRCH),
    Category("Garden", ("Watering Can", "Trowel", "Plant Pot", "Bird Table"), "weekend", 0.45, 140, CEDAR),
    Category("Toys", ("Wooden Train", "Puzzle", "Kite", "Puppet"), "weekend", 0.40, 345, LATE),
    Category("Tools", ("Spirit Level", "Screwdriver Set", "Clamp", "Tape Measure"), "even", 0.15, 110, FAILING),
    Category("Lighting", ("Desk Lamp", "Lantern", "Night Light", "String Lights"), "even", 0.30, 350, OAK),
)
FINISHES = ("Classic", "Oak", "Enamel", "Brass", "Linen", "Sky Blue", "Graphite", "Ivory", "Forest", "Copper")
PATTERNS = (
    (Pattern.SMOOTH, 33, (2.0, 14.0)),
    (Pattern.ERRATIC, 19, (2.0, 12.0)),
    (Pattern.INTERMITTENT, 26, (0.12, 0.5)),
    (Pattern.LUMPY, 17, (1.0, 3.0)),
    (Pattern.NEW, 5, (1.5, 6.0)),
)
"""Pattern, how many of a hundred articles have it, and the range of mean units a day in Hamburg."""


@dataclass(frozen=True, slots=True)
class Assortment:
    """The articles of one world."""

    catalog: Catalog
    series: tuple[Series, ...]
    opening: dict[StockKey, int]


def assortment(seed: int, items: int, first_day: date) -> Assortment:
    """The articles that follow from the seed; the first n of a larger world are those of a smaller one."""
    articles: list[Item] = []
    series: list[Series] = []
    sourcing: list[Sourcing] = []
    for number in range(items):
        roll = dice(seed, "article", number)
        category = CATEGORIES[number % len(CATEGORIES)]
        code = f"SKU-{number + 1:04d}"
        pattern, daily_units = _pattern(roll)
        cost = _unit_cost(roll, daily_units)
        price = (cost * Decimal(roll.randint(150, 240)) / 100).quantize(CENT)
        name = f"{roll.choice(FINISHES)} {roll.choice(category.nouns)} {number + 1}"
        articles.append(Item(item=code, name=name, category=category.name, price=price))
        series.extend(_series(roll, code, category, pattern, daily_units, first_day))
        sourcing.extend(_sourcing(roll, code, category, cost, daily_units))
    catalog = Catalog(
        currency="EUR",
        items=tuple(articles),
        locations=tuple(Location(location=code, name=name) for code, name, _ in LOCATIONS),
        suppliers=suppliers(),
        sourcing=tuple(sourcing),
    )
    return Assortment(catalog, tuple(series), _opening(seed, series, sourcing))


def _pattern(roll: random.Random) -> tuple[Pattern, float]:
    chosen = roll.choices(PATTERNS, [weight for _, weight, _ in PATTERNS])[0]
    least, most = chosen[2]
    return chosen[0], least * (most / least) ** roll.random()


def _unit_cost(roll: random.Random, daily_units: float) -> Decimal:
    value = LINE_VALUE_EUR * roll.lognormvariate(0.0, LINE_VALUE_SPREAD)
    return Decimal(min(350.0, max(0.4, value / (daily_units * ORDER_DAYS)))).quantize(CENT)


def _series(
    roll: random.Random, item: str, category: Category, pattern: Pattern, daily_units: float, first_day: date
) -> list[Series]:
    age_days = roll.randint(-4, 12) if pattern is Pattern.NEW else 2000
    return [
        Series(
            item=item,
            location=location,
            pattern=pattern,
            daily_units=daily_units * share,
            week=category.week,
            yearly_swing=category.yearly_swing,
            peak_day=category.peak_day,
            sold_since=first_day - timedelta(days=age_days),
        )
        for location, _, share in LOCATIONS
    ]


def _sourcing(roll: random.Random, item: str, category: Category, cost: Decimal, daily_units: float) -> list[Sourcing]:
    first = category.partner if roll.random() < 0.75 else roll.choice(PARTNERS)
    second = roll.choice([partner for partner in PARTNERS if partner is not first])
    # Most of what the failing supplier sells can be bought elsewhere, dearer: its failure has an answer.
    has_second = roll.random() < (0.7 if first is FAILING else 0.35)
    dearer = (cost * Decimal(roll.randint(106, 125)) / 100).quantize(CENT)
    pack = roll.choice([pack for pack in (1, 1, 6, 10, 12, 24) if pack <= max(1.0, daily_units * 5)])
    minimum = pack * roll.choice((0, 0, 2, 3))
    found: list[Sourcing] = []
    for location, _, _ in LOCATIONS:
        offers = [(1, first, cost), (2, second, dearer)] if has_second else [(1, first, cost)]
        found.extend(
            Sourcing(
                item=item, location=location, supplier=partner.code, rank=rank, unit_cost=unit_cost, pack_units=pack,
                minimum_order_units=minimum, lead_time_days=partner.promised_days, review_days=REVIEW_DAYS,
            )
            for rank, partner, unit_cost in offers
        )  # fmt: skip
    return found


def _opening(seed: int, series: Sequence[Series], sourcing: Sequence[Sourcing]) -> dict[StockKey, int]:
    """About a third opens too low, nearly half will need an order within weeks, the rest has plenty."""
    lead_days = {(s.location, s.item): PROMISED_DAYS[s.supplier] for s in sourcing if s.rank == 1}
    units: dict[StockKey, int] = {}
    for one in series:
        key = (one.location, one.item)
        roll = dice(seed, "opening", *key)
        stocked = roll.random()
        if stocked < 0.3:
            cover_days = lead_days[key] * roll.uniform(0.3, 1.1) + 0.5
        elif stocked < 0.75:
            cover_days = lead_days[key] + roll.uniform(4, 20)
        else:
            cover_days = lead_days[key] + roll.uniform(30, 70)
        units[key] = max(1, round(one.daily_units * cover_days))
    return units
