"""What people read of tasks and decisions, on pages, by REST and on the command line; it never changes anything."""

from decimal import Decimal
from typing import Any, Protocol

from workflows.domain.approvals import TaskState
from workflows.domain.decisions import Decided, Decision
from workflows.domain.identity import Instant, Payload
from workflows.domain.policies import RuleFired


class DecisionView(Payload):
    """One decision with its history, for people: `decision show` and the task page."""

    decision: Decision
    inputs: dict[str, Any]
    task: dict[str, Any] | None = None
    approvals: tuple[dict[str, Any], ...] = ()
    order: dict[str, Any] | None = None
    outcome: dict[str, Any] | None = None
    timeline: tuple[dict[str, Any], ...] = ()
    demand_words: str = ""
    """What counted as demand, in a line; empty for decisions from before that was recorded."""


class TaskRow(Payload):
    """One line of the inbox."""

    decision_id: str
    revision: int
    proposal_hash: str
    location: str
    item: str
    item_name: str
    supplier: str
    units: int
    value: Decimal
    currency: str
    cost_of_waiting: Decimal
    stockout_risk: Decimal
    days_of_cover: Decimal | None = None
    rules: tuple[str, ...] = ()
    sentence: str
    state: TaskState
    opened_at: Instant
    expire_at: Instant
    escalated: bool = False
    answered_by: str | None = None


class BlockedRow(Payload):
    """Something that is needed and that the engine may not order: nobody sells it, or the policy lets nobody release
    it. A person places it by hand, or changes what is in the way."""

    decision_id: str
    location: str
    item: str
    item_name: str
    supplier: str
    units: int
    value: Decimal
    currency: str
    rules: tuple[RuleFired, ...]
    sentence: str
    decided_at: Instant


class Desk(Protocol):
    """What people read: never changes anything."""

    async def tasks(
        self, *, state: TaskState | None = TaskState.OPEN, limit: int = 100, after: str | None = None
    ) -> list[TaskRow]:
        """Tasks by cost of waiting, dearest first; `after` is the decision id that ended the page before."""
        ...

    async def blocked(self, limit: int = 100) -> list[BlockedRow]:
        """What stands blocked, newest first: no later decision was made about the same item and location."""
        ...

    async def decision(self, decision_id: str) -> DecisionView:
        """One decision, newest revision.

        Raises:
            NotFound: no such decision.
        """
        ...

    async def revision(self, decision_id: str, proposal_hash: str) -> Decided | None:
        """The revision that somebody saw under this hash; None when there is none."""
        ...

    async def counts(self) -> dict[str, int]:
        """The running totals that the demo's summary and the home page show, by their glossary names."""
        ...

    async def orders(self, limit: int = 100) -> list[dict[str, Any]]:
        """Purchase orders, newest first."""
        ...

    async def dead_letters(self, limit: int = 100) -> list[dict[str, Any]]:
        """Dead letters, newest first."""
        ...
