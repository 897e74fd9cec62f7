"""A policy is data: versioned, validated, content-addressed. It says what may be ordered without a person.

Limits hold for the whole company and may be overridden for a category, a supplier, a location, an item or any
combination of them. Per limit, the most specific override wins: one that names an item before one that does not, then
the one that names more. Among equally specific ones the strictest wins, so that the order in which they are written
never matters. An override may loosen what the company says; that takes the same approved change as everything else.

The document grows by fields whose default changes nothing, and its canonical form leaves out what is at such a
default: a policy that was adopted years ago still reads, decides and hashes as it did. It never ignores a key: a
worker that does not know a limit must not decide without it.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from functools import cached_property
from itertools import pairwise, product
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    Field,
    field_validator,
    model_validator,
)

from workflows.domain.attention import Attention
from workflows.domain.identity import Grown, Payload, digest
from workflows.domain.limits import (
    Autonomy,
    Days,
    Document,
    Factor,
    Hours,
    Limits,
    MoneyLimit,
    Override,
    Place,
    ServiceAim,
    Share,
    spelled,
    strictest,
)


class RiskTier(StrEnum):
    """Who must agree before an order goes out."""

    AUTO = "auto"
    REVIEW = "review"
    BLOCKED = "blocked"
    """Recorded but neither released nor asked about: there is nobody to order from, or the policy lets nobody order."""


class RuleCode(StrEnum):
    """A rule that sends a proposal to a person."""

    VALUE_ABOVE_LIMIT = "value_above_limit"
    VALUE_ABOVE_ANY_LIMIT = "value_above_any_limit"
    NEEDS_TWO_SIGNATURES = "needs_two_signatures"
    SOON_OUT_OF_STOCK = "soon_out_of_stock"
    FIRST_ORDER_OF_ITEM = "first_order_of_item"
    FIRST_ORDER_AT_SUPPLIER = "first_order_at_supplier"
    MORE_THAN_USUAL = "more_than_usual"
    MORE_THAN_LAST_ORDER = "more_than_last_order"
    COVER_TOO_LONG = "cover_too_long"
    PRICE_DEVIATES = "price_deviates"
    LITTLE_HISTORY = "little_history"
    STALE_INPUTS = "stale_inputs"
    DRIFT_ALARM = "drift_alarm"
    SUPPLIER_REFUSED_LATELY = "supplier_refused_lately"
    SUPPLIER_ASKED_FOR = "supplier_asked_for"
    COSTLY_IF_WRONG = "costly_if_wrong"
    WORTH_A_LOOK = "worth_a_look"
    EVERY_ORDER_REVIEWED = "every_order_reviewed"
    AUDIT_SAMPLE = "audit_sample"
    SUGGESTION_ONLY = "suggestion_only"
    NO_SUPPLIER = "no_supplier"


class RuleFired(Payload):
    """One rule that fired on one proposal, with the figures that made it fire, in words."""

    code: RuleCode
    detail: str


class Policy(Grown, Document):
    """The limits. The defaults are the policy that a new installation starts with (version 1)."""

    version: int = Field(default=1, ge=1)
    auto_value_limit: MoneyLimit = Decimal("1500")
    """An order line above this value waits for a person."""
    soon_risk_limit: Share = Decimal("0.60")
    """Above this probability of running out before any order can arrive, a person decides (expedite, transfer)."""
    soon_lost_value_limit: MoneyLimit = Decimal("250")
    """... when the lost margin expected is above this too; small losses are not worth a person's minute."""
    usual_quantity_factor: Factor = Decimal("3")
    """More than this times the largest receipt of the last 13 weeks waits for a person."""
    costly_if_wrong_limit: MoneyLimit = Decimal("400")
    """Expected cost, with the proposed order, that no order could avoid subtracted; above it a person looks."""
    stale_after_hours: Hours = 48
    """Inputs older than this on the business clock are stale."""
    refused_memory_days: Annotated[int, Field(ge=0)] = 14
    tolerance_share: Share = Decimal("0.20")
    """A waiting proposal is re-scored when available stock moved by more than this share of the proposed units."""
    remind_after_hours: Hours = 24
    escalate_after_hours: Hours = 48
    expire_after_hours: Hours = 96
    """Task deadlines on the business clock. Expiry never approves."""
    promotion_needs_approval: bool = False
    """Whether a model that passed the gate also waits for a person."""

    # Everything below came after the first stage: its default changes nothing, and is left out of the canonical form.
    review_value_limit: MoneyLimit | None = None
    """An order line above this value is nobody's to release: it is recorded as blocked. None: no such limit."""
    last_order_factor: Factor | None = None
    """More than this times the last order of the item for the location waits for a person. None: not asked."""
    cover_cap_days: Days | None = None
    """An order that lasts longer than this, with the stock and what is on order, waits for a person. None: no cap."""
    price_deviation_limit: Share | None = None
    """A price this share above or below the one last paid to the supplier waits for a person. None: not asked."""
    new_item_asks: bool = True
    new_supplier_asks: bool = True
    little_history_asks: bool = True
    """Existence conditions: whether the first order of an item, at a supplier, or on little history asks a person."""
    autonomy: Autonomy = Autonomy.L3
    audit_share: Share = Decimal("0.02")
    """At L4: the share of orders that a person looks at all the same, picked by the hash of the decision's id."""
    service: ServiceAim | None = None
    """What to aim at instead of the economic target. None: what the costs of shortage and holding say."""
    review_days: Annotated[int, Field(ge=1, le=90)] | None = None
    """Days that one order should last beyond its lead time. None: what the catalog says for each sourcing."""
    suppliers_by_rank: bool = False
    """Order from the best-ranked supplier that is not blocked, whatever another one would cost."""
    attention: Attention | None = None
    """What a person's look is worth and costs: below that price the economic rule does not ask. None: not asked."""
    four_eyes_above: MoneyLimit | None = None
    """An order line above this value waits until two people have signed it. None: one is always enough."""
    four_eyes_for_new_supplier: bool = False
    """Whether the first order at a supplier waits for two signatures, whatever its value."""
    sent_value_per_hour: MoneyLimit | None = None
    sent_value_per_day: MoneyLimit | None = None
    """Caps on what leaves within an hour or 24 hours of the wall clock, over all suppliers: an order that would exceed
    one waits for a person. None: no cap. Each currency is counted by itself; see `workflows.domain.caps`."""
    supplier_value_per_day: MoneyLimit | None = None
    """The same for the orders to one supplier."""
    overrides: tuple[Override, ...] = ()

    FIRST_FIELDS: ClassVar[frozenset[str]] = frozenset({
        "version", "auto_value_limit", "soon_risk_limit", "soon_lost_value_limit", "usual_quantity_factor",
        "costly_if_wrong_limit", "stale_after_hours", "refused_memory_days", "tolerance_share", "remind_after_hours",
        "escalate_after_hours", "expire_after_hours", "promotion_needs_approval",
    })  # fmt: skip
    """Always in the canonical form, because the first documents had them all."""

    @field_validator("*", mode="after")
    @classmethod
    def _one_spelling(cls, value: Any, info: Any) -> Any:
        """Equal policies have equal digests: 1500 and 1500.00 are one number."""
        default = cls.model_fields[info.field_name].default
        return default if type(default) is Decimal and value == default else spelled(value)

    @field_validator("overrides", mode="after")
    @classmethod
    def _sorted(cls, overrides: tuple[Override, ...]) -> tuple[Override, ...]:
        found = sorted(overrides, key=lambda override: override.scope)
        for one, other in pairwise(found):
            if one.scope == other.scope:
                raise ValueError(f"there are two overrides for {one.words}; put their limits into one")
        return tuple(found)

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if not self.remind_after_hours <= self.escalate_after_hours <= self.expire_after_hours:
            raise ValueError("a task is reminded of, then escalated, then expires: those hours must not fall")
        for words, auto, review in _pairs(self):
            if auto is not None and review is not None and review < auto:
                raise ValueError(
                    f"{words}review_value_limit {review} is below auto_value_limit {auto}: "
                    "nobody could be asked about what lies between"
                )
        return self

    @property
    def digest(self) -> str:
        """The policy's address: SHA-256 of its canonical form."""
        return digest(self)

    def limits_for(self, place: Place) -> Limits:
        """The limits of one place: per limit the most specific override, the strictest among equals."""
        matching = self._matching(place)
        chosen: dict[str, Any] = {}
        scopes: dict[str, str] = {}
        for name in Limits.model_fields:
            chosen[name] = getattr(self, name)
            setting = [override for override in matching if getattr(override, name) is not None]
            if setting:
                rank = max(override.rank for override in setting)
                equals = [override for override in setting if override.rank == rank]
                winner = strictest(name, equals)
                chosen[name], scopes[name] = getattr(winner, name), winner.words
        return Limits.of(chosen, scopes)

    @cached_property
    def _index(self) -> tuple[tuple[Override, ...], Mapping[Place, Override]]:
        return self.overrides, _by_scope(self.overrides)

    def _matching(self, place: Place) -> Sequence[Override]:
        """The overrides whose scope holds this place: looked up, because there may be thousands of them."""
        if not self.overrides:
            return ()
        known, index = self._index
        if known is not self.overrides:  # a changed copy of a policy takes the index of its original along
            index = _by_scope(self.overrides)
        scopes = (Place(*names) for names in product(*((name, "") if name else ("",) for name in place)))
        return [index[scope] for scope in scopes if scope in index]


def _by_scope(overrides: Sequence[Override]) -> Mapping[Place, Override]:
    return {override.scope: override for override in overrides}


def _pairs(policy: Policy) -> Sequence[tuple[str, Decimal | None, Decimal | None]]:
    """(of whom, auto, review) wherever both value limits are set in one place."""
    return [
        ("", policy.auto_value_limit, policy.review_value_limit),
        *((f"for {o.words}: ", o.auto_value_limit, o.review_value_limit) for o in policy.overrides),
    ]
