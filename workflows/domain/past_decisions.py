"""Decisions of the past, as rows to look through and as cases to learn from: what was decided, done, and came of it."""

from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from workflows.domain.approvals import Meaning, RejectReason, TaskState
from workflows.domain.identity import Code, Instant, Payload
from workflows.domain.policies import RiskTier

SIMILAR = 5
"""So many similar decisions are shown."""


class DecisionKind(StrEnum):
    """What a decision came to."""

    HOLD = "hold"
    PROPOSAL = "proposal"


class DecisionFilters(Payload):
    """Narrows a list of decisions; days are those of the decision's instant, in UTC."""

    item: Code | None = None
    location: Code | None = None
    kind: DecisionKind | None = None
    tier: RiskTier | None = None
    first_day: date | None = None
    last_day: date | None = None


class DecisionRow(Payload):
    """The newest revision of one decision, in a line."""

    decision_id: str
    revision: int
    location: str
    item: str
    item_name: str
    category: str
    decided_at: Instant
    """On the business clock."""
    kind: DecisionKind
    reason: str | None = None
    """Of a hold."""
    tier: RiskTier | None = None
    supplier: str | None = None
    units: int | None = None
    value: Decimal | None = None
    currency: str | None = None
    sentence: str
    proposal_hash: str


class DecisionPage(Payload):
    """Decisions, newest first."""

    rows: tuple[DecisionRow, ...]
    after: str | None = None
    """Where the next page begins; None: this is the last one."""


class SimilarDecision(DecisionRow):
    """An earlier decision about the same item and location, or the same category and location."""

    same_item: bool
    task_state: TaskState | None = None
    """None: no person was asked."""
    meaning: Meaning | None = None
    answered_by: str | None = None
    answered_units: int | None = None
    """What a person ordered instead; None: what was proposed."""
    answer_reason: RejectReason | None = None
    demand_units: int | None = None
    """What was asked for over the decision's horizon; None: not measured yet."""
    forecast_p50: Decimal | None = None
    within_interval: bool | None = None
    """Whether demand lay between the 10th and the 90th percentile that were forecast."""
    days_out_of_stock: int | None = None
    cost: Decimal | None = None


class PastDecisions(Protocol):
    """Reads of decisions; bounded, with a million of them."""

    async def page(self, filters: DecisionFilters, *, limit: int = 100, after: str | None = None) -> DecisionPage:
        """A page of decisions, newest first, then the id descending.

        Raises:
            InvalidInput: `after` is not what a page said.
        """
        ...

    async def similar(self, decision_id: str, limit: int = SIMILAR) -> list[SimilarDecision]:
        """Decisions made before this one: first of the same item and location, then of the same category and location
        among that location's last `LOOKED_AT`, newest first.

        Raises:
            NotFound: no such decision.
        """
        ...


LOOKED_AT = 1_000
"""Decisions of a location that are looked through for those of the same category."""
