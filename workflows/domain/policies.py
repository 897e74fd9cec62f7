"""A policy is data: versioned, validated, content-addressed. It says what may be ordered without a person."""

from decimal import Decimal
from enum import StrEnum

from pydantic import Field

from workflows.domain.catalog import Money
from workflows.domain.identity import Payload, digest


class RiskTier(StrEnum):
    """Who must agree before an order goes out."""

    AUTO = "auto"
    REVIEW = "review"
    BLOCKED = "blocked"
    """Recorded but neither released nor asked about: no supplier can be ordered from."""


class RuleCode(StrEnum):
    """A rule that sends a proposal to a person."""

    VALUE_ABOVE_LIMIT = "value_above_limit"
    SOON_OUT_OF_STOCK = "soon_out_of_stock"
    FIRST_ORDER_OF_ITEM = "first_order_of_item"
    FIRST_ORDER_AT_SUPPLIER = "first_order_at_supplier"
    MORE_THAN_USUAL = "more_than_usual"
    LITTLE_HISTORY = "little_history"
    STALE_INPUTS = "stale_inputs"
    SUPPLIER_REFUSED_LATELY = "supplier_refused_lately"
    COSTLY_IF_WRONG = "costly_if_wrong"
    NO_SUPPLIER = "no_supplier"


class RuleFired(Payload):
    """One rule that fired on one proposal, with the figures that made it fire, in words."""

    code: RuleCode
    detail: str


class Policy(Payload):
    """The limits. The defaults are the policy that a new installation starts with (version 1)."""

    version: int = Field(default=1, ge=1)
    auto_value_limit: Money = Decimal("1500")
    """An order line above this value waits for a person."""
    soon_risk_limit: Decimal = Field(default=Decimal("0.60"), ge=0, le=1)
    """Above this probability of running out before any order can arrive, a person decides (expedite, transfer)."""
    soon_lost_value_limit: Money = Decimal("250")
    """... when the lost margin expected is above this too; small losses are not worth a person's minute."""
    usual_quantity_factor: Decimal = Field(default=Decimal("3"), gt=1)
    """More than this times the largest receipt of the last 13 weeks waits for a person."""
    costly_if_wrong_limit: Money = Decimal("400")
    """Expected cost, with the proposed order, that no order could avoid subtracted; above it a person looks."""
    stale_after_hours: int = Field(default=48, ge=1)
    """Inputs older than this on the business clock are stale."""
    refused_memory_days: int = Field(default=14, ge=0)
    tolerance_share: Decimal = Field(default=Decimal("0.20"), ge=0)
    """A waiting proposal is re-scored when available stock moved by more than this share of the proposed units."""
    remind_after_hours: int = Field(default=24, ge=1)
    escalate_after_hours: int = Field(default=48, ge=1)
    expire_after_hours: int = Field(default=96, ge=1)
    """Task deadlines on the business clock. Expiry never approves."""
    promotion_needs_approval: bool = False
    """Whether a model that passed the gate also waits for a person."""

    @property
    def digest(self) -> str:
        """The policy's address: SHA-256 of its canonical form."""
        return digest(self)
