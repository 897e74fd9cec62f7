"""Tells people what needs them: decides what is news, stores it, then sends it until somebody has taken it."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from workflows.domain.errors import InvalidInput, NotAllowed, QuartermasterError, Unavailable
from workflows.domain.inbox import FailedOrder, Filters, Inbox, InboxRow, View
from workflows.domain.live import Live
from workflows.domain.notices import (
    Channel,
    Family,
    NoticeMode,
    Notices,
    Outgoing,
    Sending,
    alert,
    concerns,
    key_of,
    task_digest,
    wants,
)
from workflows.domain.people import People, Permission, Person

log = logging.getLogger(__name__)

ROUND = timedelta(seconds=20)
AT_ONCE = timedelta(minutes=1)
"""What comes within this is one notice."""
GIVE_UP_AFTER = timedelta(hours=24)
KEPT = timedelta(days=30)
TIDY_EVERY = timedelta(minutes=10)
PAGE, PAGES = 100, 5
"""A digest counts up to their product; beyond it says "500+"."""


def _now() -> datetime:
    return datetime.now(UTC)


class Notifying:
    """One loop; several may run: who decides first has decided, and who leases a notice sends it.

    `webhook` is where all notices go besides the mails; None: nowhere. `period` is that of digests. Of `live` it throws
    away what is old, whether or not there is a way to send.
    """

    def __init__(
        self, inbox: Inbox, people: People, notices: Notices, sending: Mapping[Channel, Sending], *, console_url: str,
        webhook: str | None = None, period: timedelta = timedelta(hours=1), live: Live | None = None,
        clock: Callable[[], datetime] = _now,
    ) -> None:  # fmt: skip
        self._inbox, self._people, self._notices, self._sending = inbox, people, notices, sending
        self._console_url, self._webhook, self._period, self._clock = console_url.rstrip("/"), webhook, period, clock
        self._live, self._pruned = live, datetime.min.replace(tzinfo=UTC)
        self._settled: dict[tuple[str, Family], str] = {}
        """The newest key under which each person was told: nothing more comes under it."""

    async def run(self, stop: asyncio.Event) -> None:
        """Go round until told to stop; whatever fails is tried again at the next round."""
        while not stop.is_set():
            for step in (self._tell, self._tidy):
                try:
                    await step()
                except QuartermasterError as error:
                    log.warning("notices wait: %s", error)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), ROUND.total_seconds())

    async def _tell(self) -> None:
        if self._sending:
            await self.look()
            await self.deliver()

    async def _tidy(self) -> None:
        """Throw away what is old. What moves is told to open pages; it must not grow where nobody opens one."""
        await self._notices.prune(self._clock() - KEPT)
        if self._live is not None and self._clock() - self._pruned >= TIDY_EVERY:
            self._pruned = self._clock()
            await self._live.prune()

    async def look(self) -> int:
        """Decide for each person whether there is news; how many notices were stored."""
        stored = 0
        failed = await self._inbox.failed(PAGE)
        for person in await self._people.everyone():
            to = self._addresses(person)
            if not to or not wants(person):
                continue
            mode = await self._notices.mode(person.name)
            if mode is NoticeMode.NONE:
                continue
            stored += await self._alert(person, to, [order for order in failed if concerns(person, order)])
            stored += await self._digest(person, to, AT_ONCE if mode is NoticeMode.AT_ONCE else self._period)
        return stored

    async def deliver(self) -> int:
        """Send what is due; how many were taken."""
        taken = 0
        while due := await self._notices.take(self._clock()):
            for outgoing in due:
                taken += await self._send(outgoing)
        return taken

    async def _send(self, outgoing: Outgoing) -> bool:
        try:
            way = self._sending.get(outgoing.channel)
            if way is None:
                raise InvalidInput(f"nothing is set up any more to send by {outgoing.channel}")
            await way.send(outgoing)
        except Unavailable as error:
            await self._again(outgoing, str(error))
            return False
        except (InvalidInput, NotAllowed) as error:
            log.warning("a notice is given up: %s", error, extra={"notice_id": outgoing.notice_id})
            await self._notices.failed(outgoing.notice_id, str(error), None)
            return False
        await self._notices.sent(outgoing.notice_id, self._clock())
        return True

    async def _again(self, outgoing: Outgoing, problem: str) -> None:
        now = self._clock()
        pause = min(timedelta(hours=1), timedelta(minutes=1) * 2 ** min(outgoing.attempts - 1, 10))
        over = now + pause > outgoing.created_at + GIVE_UP_AFTER
        log.warning("a notice %s: %s", "is given up" if over else "waits", problem)
        await self._notices.failed(outgoing.notice_id, problem, None if over else now + pause)

    def _addresses(self, person: Person) -> dict[Channel, str]:
        found = {}
        if person.email and Channel.MAIL in self._sending:
            found[Channel.MAIL] = person.email
        if self._webhook and Channel.WEBHOOK in self._sending:
            found[Channel.WEBHOOK] = self._webhook
        return found

    async def _alert(self, person: Person, to: Mapping[Channel, str], failed: Sequence[FailedOrder]) -> bool:
        escalated: list[InboxRow] = []
        if person.may(Permission.ANSWER):
            page = await self._inbox.page(View.ESCALATED, Filters(), person, limit=PAGE)
            escalated = [row for row in page.rows if person.may(Permission.ANSWER, row.location)]
        notice, subjects = alert(person, escalated, failed, console_url=self._console_url)
        key = key_of(Family.ALERT, person.name, self._clock(), AT_ONCE)
        return await self._notices.offer(notice, subjects, key, to, self._clock())

    async def _digest(self, person: Person, to: Mapping[Channel, str], period: timedelta) -> bool:
        key = key_of(Family.DIGEST, person.name, self._clock(), period)
        if not person.may(Permission.ANSWER) or self._settled.get((person.name, Family.DIGEST)) == key:
            return False
        rows, beyond = await self._needed(person)
        due_page = await self._inbox.page(View.DUE_TODAY, Filters(), person, limit=PAGE)
        ids = {row.decision_id for row in rows}
        due = sum(row.decision_id in ids for row in due_page.rows)
        notice, subjects = task_digest(person, rows, beyond=beyond, due=due, console_url=self._console_url)
        stored = await self._notices.offer(notice, subjects, key, to, self._clock())
        if stored:
            self._settled[person.name, Family.DIGEST] = key
        return stored

    async def _needed(self, person: Person) -> tuple[list[InboxRow], bool]:
        """What needs the person, dearest first, and whether there is more than is counted."""
        rows: list[InboxRow] = []
        after: str | None = None
        for _ in range(PAGES):
            page = await self._inbox.page(View.NEEDS_ME, Filters(), person, limit=PAGE, after=after)
            rows += page.rows
            after = page.after
            if after is None:
                return rows, False
        return rows, True
