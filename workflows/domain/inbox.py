"""The inbox is where people work: views of what waits, and what one does with a task besides answering it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Protocol

from pydantic import Field, StringConstraints, model_validator

from workflows.domain.approvals import STORABLE, Actor, TaskState, Text
from workflows.domain.desk import TaskRow
from workflows.domain.errors import Conflict
from workflows.domain.identity import Instant, Payload
from workflows.domain.orders import OrderState
from workflows.domain.people import Person
from workflows.domain.wishes import Rescoring

COUNT_CAP = 5_000
"""Counts stop here: beyond it nobody needs the figure, and counting costs."""


Storable = Annotated[str, StringConstraints(pattern=STORABLE)]
"""A view with its filters may be saved: no NUL, and no half of a surrogate pair, which no pattern lets through."""


class View(StrEnum):
    """Which tasks somebody looks at."""

    NEEDS_ME = "needs_me"
    """Open, not snoozed, at the person's locations, claimed by nobody else, forwarded to nobody else, and not waiting
    for a second signature that this person cannot give."""
    TEAM = "team"
    """All open tasks that are not snoozed."""
    CLAIMED = "claimed"
    """Open and claimed by the person."""
    SNOOZED = "snoozed"
    ESCALATED = "escalated"
    DUE_TODAY = "due_today"
    """Open, with a deadline or a last order time before the end of the location's business day."""
    SAMPLE = "sample"
    """Open only because the policy asks about a sample of what it would have released."""
    ANSWERED = "answered"
    """No longer open, newest answer first."""


class Filters(Payload):
    """Narrows a view; all of them are in the page's address."""

    location: Storable | None = None
    supplier: Storable | None = None
    category: Storable | None = None
    rule: Storable | None = None
    claimed_by: Storable | None = None
    state: TaskState | None = None
    """For `ANSWERED`: only tasks that ended so."""
    text: Annotated[str, StringConstraints(max_length=100, strip_whitespace=True, pattern=STORABLE)] = ""
    """Part of the item's code or name, or the beginning of a decision id."""


class InboxRow(TaskRow):
    """A task as the inbox shows it: everything in one row of one table, so that a page needs no evidence."""

    version: int = 1
    """Raised by everything that changes the row; a live update carries it."""
    category: str = ""
    lead_time_days: int | None = None
    """Median days until an order of now would arrive."""
    order_by: Instant | None = None
    """Last cutoff that keeps the risk within the target."""
    remind_at: Instant | None = None
    escalate_at: Instant | None = None
    answered_at: Instant | None = None
    claimed_by: str | None = None
    claim_ends_at: Instant | None = None
    """Wall clock."""
    snoozed_until: Instant | None = None
    snooze_words: str = ""
    """What wakes it, in words; empty when it is not snoozed."""
    forwarded_to: str | None = None
    signatures_needed: int = 1
    first_signature_by: str | None = None
    comments: int = 0
    asked: tuple[str, ...] = ()
    """Who was asked something about it and has not said anything since."""
    changed_at: Instant | None = None
    """When the proposal was last replaced by another revision (wall clock); None: it is the first."""


class InboxPage(Payload):
    """One page of a view."""

    rows: tuple[InboxRow, ...]
    after: str | None = None
    """Where the next page begins; None: this is the last one."""


class Count(Payload):
    """How many; `capped` says that there are more."""

    n: int
    capped: bool = False


class FailedOrder(Payload):
    """A purchase order that needs a person: refused, in doubt, or given up on until an operator looks."""

    order_id: str
    supplier: str
    location: str
    state: OrderState
    reason: str
    lines: int
    value: Decimal
    currency: str
    since: Instant
    awaits_operator: bool = False


class Inbox(Protocol):
    """Reads of the inbox; fast with 100,000 open tasks."""

    async def page(
        self, view: View, filters: Filters, who: Person, *, limit: int = 100, after: str | None = None
    ) -> InboxPage:
        """A page of a view: dearest to leave waiting first, then the nearest deadline, then the id.

        `ANSWERED` is the newest answer first. A person who stands in for others today finds theirs in `NEEDS_ME` too.

        Raises:
            InvalidInput: `after` is not what a page said.
        """
        ...

    async def counts(self, who: Person) -> Mapping[View, Count]:
        """How many tasks each view has (`ANSWERED` is not counted)."""
        ...

    async def row(self, decision_id: str) -> InboxRow:
        """One task.

        Raises:
            NotFound: there is no such task.
        """
        ...

    async def choices(self) -> Mapping[str, Sequence[str]]:
        """What filters can be set to, by filter name: the values that open tasks have, at most 200 of each."""
        ...

    async def failed(self, limit: int = 100) -> list[FailedOrder]:
        """Orders that need a person, oldest first."""
        ...


class Snooze(Payload):
    """Until when a task is not shown: exactly one of them. Its deadlines go on, and its expiry wakes nobody."""

    until: Instant | None = None
    """On the location's business clock."""
    until_receipt: bool = False
    """Until something of the item arrives at the location."""
    forecast_moves_percent: Annotated[int | None, Field(gt=0, le=500)] = None
    """Until the median demand of a newer revision differs by more than this from the one at the time of snoozing."""

    @model_validator(mode="after")
    def _one(self) -> "Snooze":
        if (self.until is not None) + self.until_receipt + (self.forecast_moves_percent is not None) != 1:
            raise ValueError("say until when: exactly one of until, until_receipt and forecast_moves_percent")
        return self

    @property
    def words(self) -> str:
        """What wakes the task."""
        if self.until is not None:
            return f"until {self.until.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        if self.until_receipt:
            return "until something of the item arrives"
        return f"until the forecast moves by more than {self.forecast_moves_percent} %"


class Comment(Payload):
    """A word on a task, a question to a person, or the note that went with a forwarding."""

    comment_id: str
    decision_id: str
    author: str
    text: str
    to: str | None = None
    """Who is asked, or got it forwarded."""
    kind: str = "comment"
    """comment, question or forward"""
    at: Instant


class SavedView(Payload):
    """A view with filters under a name; shared ones are everybody's to use and their owner's to change."""

    view_id: str
    name: Annotated[str, StringConstraints(min_length=1, max_length=60, strip_whitespace=True, pattern=STORABLE)]
    owner: str
    shared: bool = False
    view: View
    filters: Filters = Filters()


class Substitute(Payload):
    """Somebody answers for somebody else on these days (inclusive); what the substitute may do stays their own."""

    person: str
    substitute: str
    first_day: date
    last_day: date


class ClaimedByAnother(Conflict):
    """Somebody else works on it; the message says who and until when."""


class TaskWork(Rescoring, Protocol):
    """What people do with a task besides answering. Each is one transaction with its ledger entry, safe to repeat.

    All raise NotFound for a task that is not there, and AlreadyAnswered for one that is no longer open.
    """

    async def claim(self, decision_id: str, actor: Actor, *, minutes: int = 15) -> InboxRow:
        """Tell others that somebody works on it. A claim is a courtesy: it holds nobody back from answering.

        Raises:
            ClaimedByAnother: somebody else's claim still runs.
        """
        ...

    async def unclaim(self, decision_id: str, actor: Actor) -> InboxRow:
        """Give the own claim back."""
        ...

    async def snooze(self, decision_id: str, snooze: Snooze, actor: Actor) -> InboxRow:
        """Not now."""
        ...

    async def wake(self, decision_id: str, actor: Actor) -> InboxRow:
        """Now after all."""
        ...

    async def comment(
        self, decision_id: str, text: Text, actor: Actor, *, command_id: str, to: str | None = None
    ) -> Comment:
        """Say something; with `to` it is a question to that person, who finds the task among theirs."""
        ...

    async def comments(self, decision_id: str) -> list[Comment]:
        """What was said, oldest first."""
        ...

    async def forward(self, decision_id: str, to: str, note: Text, actor: Actor, *, command_id: str) -> InboxRow:
        """Hand it to another person.

        Raises:
            InvalidInput: nobody of that name may answer it.
        """
        ...

    async def saved_views(self, who: Person) -> list[SavedView]:
        """The person's own and everybody's shared ones."""
        ...

    async def save_view(self, view: SavedView, actor: Actor) -> SavedView:
        """Keep or change one of the actor's own.

        Raises:
            NotAllowed: it is somebody else's.
        """
        ...

    async def drop_view(self, view_id: str, actor: Actor) -> None:
        """Forget one of the actor's own."""
        ...

    async def substitutes(self) -> list[Substitute]:
        """Who stands in for whom, current and future ones."""
        ...

    async def drop_substitute(self, person: str, first_day: date, actor: Actor) -> None:
        """Take back who stands in for somebody from this day on; nothing happens when nobody was named.

        Raises:
            NotAllowed: it is somebody else's absence.
        """
        ...

    async def substitute(self, substitute: Substitute, actor: Actor) -> Substitute:
        """Name one's own substitute, or as an admin somebody's.

        Raises:
            InvalidInput: somebody stands in for themselves, or the days are in the wrong order.
            NotAllowed: it is somebody else's absence.
        """
        ...
