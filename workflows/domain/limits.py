"""Limits of a scope and of one place, and which of two is the stricter. The document around them is `policies`."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from operator import attrgetter
from typing import Annotated, Any, NamedTuple, Self

from pydantic import (
    ConfigDict,
    Field,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from workflows.domain.catalog import Money, Name
from workflows.domain.identity import Code, Payload

MoneyLimit = Annotated[Money, Field(ge=0)]
Share = Annotated[Decimal, Field(ge=0, le=1, max_digits=9)]
Factor = Annotated[Decimal, Field(gt=1, le=1_000_000, max_digits=12)]
Hours = Annotated[int, Field(ge=1, le=24 * 365)]
Days = Annotated[int, Field(ge=1, le=3650)]


class Place(NamedTuple):
    """What a limit is asked for: one item of a category, from a supplier (empty: whoever it is), for a location."""

    item: str
    category: str
    supplier: str
    location: str


class Document(Payload):
    """A part of the policy: unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Autonomy(StrEnum):
    """How far the engine goes by itself (science 3.3). L0, shadow, is the engine's passive mode, not a policy."""

    L1 = "L1"
    """It suggests: proposals are recorded and nothing is released; people place these orders themselves."""
    L2 = "L2"
    """A person approves each order."""
    L3 = "L3"
    """It orders what no rule of the gate objects to."""
    L4 = "L4"
    """As L3, but the two economic rules (soon out of stock, costly if wrong) only speak up, a sample is audited."""


class ServiceMeasure(StrEnum):
    """What a service target counts."""

    CYCLE = "cycle"
    """The share of order cycles without a stock-out: tau itself."""
    FILL = "fill"
    """The share of demand that is served: beta."""


class ServiceAim(Document):
    """A service level that the company wants, whatever the costs say."""

    measure: ServiceMeasure
    target: Annotated[Decimal, Field(ge=Decimal("0.5"), le=Decimal("0.999"), max_digits=6)]

    @field_validator("target", mode="after")
    @classmethod
    def _one_spelling(cls, value: Decimal) -> Decimal:
        return _plain(value)


class Limits(Payload):
    """What holds for one place. The meaning of each is told in `policies.Policy`."""

    auto_value_limit: Decimal
    review_value_limit: Decimal | None
    soon_risk_limit: Decimal
    soon_lost_value_limit: Decimal
    usual_quantity_factor: Decimal
    last_order_factor: Decimal | None
    cover_cap_days: int | None
    price_deviation_limit: Decimal | None
    costly_if_wrong_limit: Decimal
    stale_after_hours: int
    refused_memory_days: int
    new_item_asks: bool
    new_supplier_asks: bool
    little_history_asks: bool
    autonomy: Autonomy
    service: ServiceAim | None
    review_days: int | None
    four_eyes_above: Decimal | None
    four_eyes_for_new_supplier: bool
    supplier_value_per_day: Decimal | None = None

    _scopes: Mapping[str, str] = PrivateAttr(default_factory=dict)

    @classmethod
    def of(cls, values: Mapping[str, Any], scopes: Mapping[str, str]) -> "Limits":
        """Limits that were validated already, and the scope of each that an override set."""
        limits = Limits.model_construct(**values)
        limits._scopes = scopes
        return limits

    def scope_of(self, name: str) -> str:
        """For whom this limit was set, as the end of a sentence; empty when it is the company's."""
        return f" for {self._scopes[name]}" if name in self._scopes else ""

    def above_everybody(self, value: Decimal, currency: str) -> str | None:
        """Why nobody may release a line of this value; None where somebody may."""
        highest = self.review_value_limit
        if highest is None or value <= highest:
            return None
        return f"{value:.2f} {currency} is above {highest:.2f}, which nobody may release" + self.scope_of(
            "review_value_limit"
        )

    def needs_two(self, value: Decimal, currency: str, *, new_supplier: bool) -> str | None:
        """Why two people must sign an order of this value; None where one is enough. `new_supplier`: nothing was ever
        ordered from the supplier."""
        limit = self.four_eyes_above
        if limit is not None and value > limit:
            found = f"{value:.2f} {currency} is above {limit:.2f}, which two people must sign"
            return found + self.scope_of("four_eyes_above")
        if self.four_eyes_for_new_supplier and new_supplier:
            return "two people must sign the first order at a supplier" + self.scope_of("four_eyes_for_new_supplier")
        return None

    def needs_one(self, value: Decimal, currency: str) -> str | None:
        """Why a person must release an order of this value, whatever else it is like; None where none needs to."""
        if self.autonomy is Autonomy.L2:
            return f"at autonomy L2{self.scope_of('autonomy')} a person approves each order"
        if value > self.auto_value_limit:
            found = f"{value:.2f} {currency} is above {self.auto_value_limit:.2f}, beyond which a person is asked"
            return found + self.scope_of("auto_value_limit")
        return None

    def suggestion_only(self) -> str | None:
        """Why no order of the engine's goes out at all here; None where some do."""
        if self.autonomy is not Autonomy.L1:
            return None
        return f"at autonomy L1{self.scope_of('autonomy')} people place the orders themselves"


class Override(Document):
    """Limits of a scope: of everything that has all of the named `item`, `category`, `supplier` and `location`."""

    item: Code | None = None
    category: Name | None = None
    supplier: Code | None = None
    location: Code | None = None

    auto_value_limit: MoneyLimit | None = None
    review_value_limit: MoneyLimit | None = None
    soon_risk_limit: Share | None = None
    soon_lost_value_limit: MoneyLimit | None = None
    usual_quantity_factor: Factor | None = None
    last_order_factor: Factor | None = None
    cover_cap_days: Days | None = None
    price_deviation_limit: Share | None = None
    costly_if_wrong_limit: MoneyLimit | None = None
    stale_after_hours: Hours | None = None
    refused_memory_days: Annotated[int, Field(ge=0)] | None = None
    new_item_asks: bool | None = None
    new_supplier_asks: bool | None = None
    little_history_asks: bool | None = None
    autonomy: Autonomy | None = None
    service: ServiceAim | None = None
    review_days: Annotated[int, Field(ge=1, le=90)] | None = None
    four_eyes_above: MoneyLimit | None = None
    four_eyes_for_new_supplier: bool | None = None
    supplier_value_per_day: MoneyLimit | None = None

    @property
    def scope(self) -> Place:
        """What it names; empty where it names nothing."""
        return Place(self.item or "", self.category or "", self.supplier or "", self.location or "")

    @property
    def rank(self) -> tuple[bool, int]:
        """How specific it is."""
        return self.item is not None, sum(map(bool, self.scope))

    @property
    def words(self) -> str:
        """Its scope in words."""
        return " and ".join(f"{name} {value}" for name, value in self.scope._asdict().items() if value)

    @model_validator(mode="after")
    def _means_something(self) -> Self:
        if not any(self.scope):
            raise ValueError("an override names an item, a category, a supplier or a location (or several of them)")
        if not any(getattr(self, name) is not None for name in Limits.model_fields):
            raise ValueError(f"the override for {self.words} sets no limit; take it out")
        if self.supplier and (self.service is not None or self.review_days is not None):
            raise ValueError(
                "service and review_days go with an item, a category or a location, not with a supplier: "
                "what is needed is known before it is known who delivers it"
            )
        if self.supplier_value_per_day is not None and (not self.supplier or sum(map(bool, self.scope)) > 1):
            raise ValueError(
                "supplier_value_per_day goes with a supplier alone: it caps what leaves for the supplier, "
                f"not what is ordered of {self.words}"
            )
        return self

    @field_validator("*", mode="after")
    @classmethod
    def _one_spelling(cls, value: Any) -> Any:
        return spelled(value)

    @model_serializer(mode="wrap")
    def _only_what_is_set(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in handler(self).items() if value is not None}


def _service_key(aim: ServiceAim) -> tuple[Decimal, bool]:
    return aim.target, aim.measure is ServiceMeasure.CYCLE


_LARGER_IS_STRICTER = frozenset({
    "refused_memory_days", "new_item_asks", "new_supplier_asks", "little_history_asks", "four_eyes_for_new_supplier",
})  # fmt: skip
"""Of every other limit the smaller value is the stricter; of a service aim the one that promises more."""


def strictest(name: str, settings: Sequence[Override]) -> Override:
    """The one that sets this limit most strictly; equal values are one value, told of the first scope by name."""
    value = attrgetter(name)
    ordered = sorted(settings, key=attrgetter("scope"))
    if name == "service":
        return max(ordered, key=lambda setting: _service_key(value(setting)))
    return max(ordered, key=value) if name in _LARGER_IS_STRICTER else min(ordered, key=value)


def spelled(value: Any) -> Any:
    """A value in the one spelling that is hashed: decimals without trailing zeros."""
    return _plain(value) if isinstance(value, Decimal) else value


def _plain(value: Decimal) -> Decimal:
    return value.quantize(Decimal(1)) if value == value.to_integral_value() else value.normalize()
