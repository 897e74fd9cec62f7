"""The outbox of notices in memory, and a way to send that remembers, refuses or is away."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from workflows.domain.notices import Channel, Family, Notice, NoticeMode, Outgoing, notice_id_of


class MemoryNotices:
    """`Notices` in memory."""

    def __init__(self) -> None:
        self.modes: dict[str, NoticeMode] = {}
        self.told: dict[tuple[str, Family], set[str]] = {}
        self.stored: dict[str, dict[str, Any]] = {}

    async def mode(self, person: str) -> NoticeMode:
        return self.modes.get(person, NoticeMode.DIGEST)

    async def choose(self, person: str, mode: NoticeMode) -> None:
        self.modes[person] = mode

    async def offer(
        self, notice: Notice, subjects: Sequence[str], key: str, to: Mapping[Channel, str], now: datetime
    ) -> bool:
        told = self.told.setdefault((notice.person, notice.family), set())
        told &= set(subjects)
        if not set(subjects) - told:
            return False
        ids = {notice_id_of(key, channel): channel for channel in to}
        if any(notice_id in self.stored for notice_id in ids):
            return False
        for notice_id, channel in ids.items():
            outgoing = Outgoing(
                notice_id=notice_id, channel=channel, address=to[channel], notice=notice, created_at=now
            )
            self.stored[notice_id] = {"outgoing": outgoing, "state": "waiting", "next_at": now, "problem": ""}
        told |= set(subjects)
        return True

    async def take(self, now: datetime, *, limit: int = 20, lease: timedelta = timedelta(minutes=2)) -> list[Outgoing]:
        due = [one for one in self.stored.values() if one["state"] == "waiting" and one["next_at"] <= now][:limit]
        for one in due:
            outgoing = one["outgoing"]
            one["outgoing"] = outgoing.model_copy(update={"attempts": outgoing.attempts + 1})
            one["next_at"] = now + lease
        return [one["outgoing"] for one in due]

    async def sent(self, notice_id: str, now: datetime) -> None:
        self.stored[notice_id]["state"] = "sent"

    async def failed(self, notice_id: str, problem: str, next_at: datetime | None) -> None:
        one = self.stored[notice_id]
        one["problem"] = problem
        if next_at is None:
            one["state"] = "given_up"
        else:
            one["next_at"] = next_at

    async def prune(self, before: datetime) -> int:
        return 0


class MemorySending:
    """`Sending` to nobody. `error` is what the other side says instead of taking it."""

    def __init__(self) -> None:
        self.taken: list[Outgoing] = []
        self.error: Exception | None = None

    async def send(self, outgoing: Outgoing) -> None:
        if self.error is not None:
            raise self.error
        self.taken.append(outgoing)
