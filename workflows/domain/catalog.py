"""What is bought, where it is kept and from whom: the slow facts that decisions rest on."""

from decimal import Decimal
from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from workflows.domain.identity import Code, Grown, Payload

Money = Annotated[Decimal, Field(max_digits=16, decimal_places=4)]
Name = Annotated[str, StringConstraints(max_length=200)]


class Item(Payload):
    """An article. `price` is what a customer pays; the unit margin is price less the sourcing's unit cost."""

    item: Code
    name: Name
    category: Name = "uncategorised"
    price: Money = Field(ge=0)
    goodwill_per_unit: Money = Field(default=Decimal(0), ge=0)
    """What a lost sale costs beyond its margin."""


class Location(Payload):
    """A place that keeps stock and sells from it."""

    location: Code
    name: Name
    time_zone: str = "UTC"
    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")] | None = None
    """ISO 3166-1 alpha-2: whose public holidays it keeps. None: holidays are not looked at."""
    subdivision: Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{1,10}$")] | None = None
    """The country's part, as the `holidays` library names it: ENG, BY, CA."""


class Supplier(Grown):
    """Whoever takes purchase orders."""

    FIRST_FIELDS: ClassVar[frozenset[str]] = frozenset({"supplier", "name", "blocked", "cost_per_order"})

    supplier: Code
    name: Name
    blocked: bool = False
    cost_per_order: Money = Field(default=Decimal(0), ge=0)
    """What one purchase order costs whatever is on it: handling, freight, goods-in."""
    minimum_order_value: Money = Field(default=Decimal(0), ge=0)
    """Orders below this value are not taken; lines are topped up to reach it, or wait for company."""


class Sourcing(Payload):
    """How one item at one location is bought from one supplier. `rank` 1 is tried first."""

    item: Code
    location: Code
    supplier: Code
    rank: int = Field(default=1, ge=1)
    unit_cost: Money = Field(ge=0)
    pack_units: int = Field(default=1, ge=1)
    minimum_order_units: int = Field(default=0, ge=0)
    lead_time_days: int = Field(ge=0, le=730)
    """What the supplier promises, in calendar days; the engine learns the truth from receipts."""
    review_days: int = Field(default=1, ge=1, le=90)
    """Days that one order should last beyond its lead time: more days, fewer and larger orders."""


class Catalog(Payload):
    """A whole catalog document, as `quartermaster import` takes it."""

    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")] = "EUR"
    items: tuple[Item, ...] = ()
    locations: tuple[Location, ...] = ()
    suppliers: tuple[Supplier, ...] = ()
    sourcing: tuple[Sourcing, ...] = ()
