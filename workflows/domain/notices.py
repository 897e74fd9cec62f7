"""Whoever is needed is told with numbers, once for all that is new, and never with a link that decides anything."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from workflows.domain.identity import Instant, Payload, digest
from workflows.domain.inbox import FailedOrder, InboxRow
from workflows.domain.people import Permission, Person

LISTED = 20
"""Tasks that a notice names; the inbox has the others."""


class NoticeMode(StrEnum):
    """How often somebody wants to be told."""

    NONE = "none"
    DIGEST = "digest"
    """One a period, when something new needs the person; escalations and failed orders at once."""
    AT_ONCE = "at_once"
    """Everything within a minute."""


class Channel(StrEnum):
    """How a notice travels."""

    MAIL = "mail"
    WEBHOOK = "webhook"


class Family(StrEnum):
    """What a notice is about."""

    DIGEST = "digest"
    ALERT = "alert"


class NoticeLine(Payload):
    """One thing that waits, with where to look at it."""

    subject: str
    """decision_id or order_id"""
    words: str
    url: str


class Notice(Payload):
    """What one person is told at one time."""

    family: Family
    person: str
    title: str
    """The subject line: it has the numbers."""
    lines: tuple[NoticeLine, ...]
    more: int = 0
    """Further ones that are not listed."""
    url: str
    """Where all of them are."""

    @property
    def text(self) -> str:
        """The whole message in plain text."""
        listed = "\n\n".join(f"{line.words}\n{line.url}" for line in self.lines)
        further = f"\n\n... and {self.more} more." if self.more else ""
        return (
            f"{self.title}.\n\n{listed}{further}\n\nAll of them: {self.url}\n\n"
            "Nothing is approved from this message: open the task to answer it.\n"
        )


class Outgoing(Payload):
    """A stored intent to send."""

    notice_id: str
    """The same for every attempt: servers recognise a repetition by it."""
    channel: Channel
    address: str
    notice: Notice
    created_at: Instant
    attempts: int = 0


class Sending(Protocol):
    """A way to send."""

    async def send(self, outgoing: Outgoing) -> None:
        """Hand it over; returning means that the other side has it.

        Raises:
            Unavailable: it may be tried again.
            InvalidInput: it will never be taken.
        """
        ...


class Preferences(Protocol):
    """What each person chose."""

    async def mode(self, person: str) -> NoticeMode:
        """The person's choice; digests before any was made."""
        ...

    async def choose(self, person: str, mode: NoticeMode) -> None:
        """Remember it."""
        ...


class Notices(Preferences, Protocol):
    """The outbox of notices. Each method is one transaction."""

    async def offer(
        self, notice: Notice, subjects: Sequence[str], key: str, to: Mapping[Channel, str], now: datetime
    ) -> bool:
        """Store the notice if one of its subjects is news to the person and nothing was stored under this key; whether
        it was. Subjects that are no longer among these are forgotten."""
        ...

    async def take(self, now: datetime, *, limit: int = 20, lease: timedelta = timedelta(minutes=2)) -> list[Outgoing]:
        """What is due, for this process alone until the lease ends."""
        ...

    async def sent(self, notice_id: str, now: datetime) -> None:
        """The other side has it."""
        ...

    async def failed(self, notice_id: str, problem: str, next_at: datetime | None) -> None:
        """Try again then; None: give up."""
        ...

    async def prune(self, before: datetime) -> int:
        """Forget what was sent or given up before; how many."""
        ...


def key_of(family: Family, person: str, now: datetime, period: timedelta) -> str:
    """One key per person, kind and period of wall-clock time: whoever repeats it is recognised."""
    number = int(now.timestamp() // period.total_seconds())
    return digest([str(family), person, int(period.total_seconds()), number])


def notice_id_of(key: str, channel: Channel) -> str:
    """The message's identity for the server that takes it."""
    return digest([key, str(channel)])[:40]


def wants(person: Person) -> bool:
    """Whether somebody can be needed at all."""
    return person.may(Permission.ANSWER) or person.may(Permission.OPERATE)


def task_digest(
    person: Person, rows: Sequence[InboxRow], *, beyond: bool, due: int, console_url: str
) -> tuple[Notice, list[str]]:
    """What waits for this person: `rows` is what needs them, dearest first, `beyond` says that there is more."""
    n = f"{len(rows)}{'+' if beyond else ''}"
    parts = [f"{n} task{'s wait' if len(rows) != 1 or beyond else ' waits'} for you"]
    if due:
        parts.append(f"{due} due today")
    parts += [f"{amount} at stake" for amount in at_stake(rows)]
    lines = tuple(_task_line(row, console_url) for row in rows[:LISTED])
    notice = Notice(
        family=Family.DIGEST, person=person.name, title=", ".join(parts), lines=lines, more=len(rows) - len(lines),
        url=f"{console_url}/inbox",
    )  # fmt: skip
    return notice, [row.decision_id for row in rows]


def alert(
    person: Person, escalated: Sequence[InboxRow], failed: Sequence[FailedOrder], *, console_url: str
) -> tuple[Notice, list[str]]:
    """What cannot wait for the digest: escalated tasks and orders that need a person."""
    parts = []
    if escalated:
        parts.append(f"{len(escalated)} escalated task{'s' if len(escalated) != 1 else ''}")
    if failed:
        parts.append(f"{len(failed)} order{'s' if len(failed) != 1 else ''} that failed")
    parts += [f"{amount} at stake" for amount in at_stake(escalated)]
    lines = [_order_line(order, console_url) for order in failed]
    lines += [_task_line(row, console_url) for row in escalated]
    notice = Notice(
        family=Family.ALERT, person=person.name, title=", ".join(parts), lines=tuple(lines[:LISTED]),
        more=max(0, len(lines) - LISTED), url=f"{console_url}/inbox",
    )  # fmt: skip
    subjects = [f"escalated:{row.decision_id}" for row in escalated]
    return notice, subjects + [f"{order.state}:{order.order_id}:{order.awaits_operator}" for order in failed]


def concerns(person: Person, order: FailedOrder) -> bool:
    """Whether this person can do something about the order."""
    return person.may(Permission.OPERATE) or (
        not order.awaits_operator and person.may(Permission.ANSWER, order.location)
    )


def at_stake(rows: Sequence[InboxRow]) -> list[str]:
    """What waiting is expected to cost, by currency: amounts of different currencies are never added."""
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        sums[row.currency] += row.cost_of_waiting
    return [f"{round(amount):,} {currency}" for currency, amount in sorted(sums.items()) if round(amount) > 0]


def _task_line(row: InboxRow, console_url: str) -> NoticeLine:
    words = f"{row.item_name} ({row.item}) at {row.location}: {row.sentence}"
    return NoticeLine(subject=row.decision_id, words=words, url=f"{console_url}/tasks/{row.decision_id}")


def _order_line(order: FailedOrder, console_url: str) -> NoticeLine:
    what = "waits for an operator" if order.awaits_operator else str(order.state).replace("_", " ")
    words = (
        f"Order {order.order_id} of {order.lines} lines, {order.value} {order.currency}, at {order.supplier} "
        f"{what}: {order.reason}"
    )
    return NoticeLine(subject=order.order_id, words=words, url=f"{console_url}/orders")
