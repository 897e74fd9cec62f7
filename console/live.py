"""Tells open pages what moves: one reader for each process, one bounded queue for each page, and no gap on resuming."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from time import monotonic
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from starlette.responses import PlainTextResponse, StreamingResponse

from console.auth import Gate, Session
from console.names import KnownNames, named_json
from workflows.domain.errors import NotFound, QuartermasterError, Unavailable
from workflows.domain.live import Heard, Live, LiveBatch, LiveEvent, place_of
from workflows.domain.people import Permission

log = logging.getLogger(__name__)

STREAMS_PER_PERSON = 4
"""A browser opens six connections to one server: streams must leave some for the pages."""
BEAT_SECONDS = 15.0
QUEUE = 256
BACKLOG = 1_000
"""Whoever missed more than this reads the page anew."""
GATHER_SECONDS = 0.05
UNSETTLED_SECONDS = 0.25
PRUNE_SECONDS = 600.0
STREAM_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
SESSION_ENDED, TOO_SLOW, RESTARTING, TOO_MANY = "session", "slow", "restart", "many"
"""Why a stream ends: sign in again; resume; resume in a moment; ask in between."""

StillIn = Callable[[], Awaitable[bool]]
"""Whether the session that opened the stream goes on."""


@dataclass(eq=False)
class Seat:
    """One open stream."""

    person: str
    queue: "asyncio.Queue[LiveEvent]" = field(default_factory=lambda: asyncio.Queue(QUEUE))
    ended: str | None = None
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when there is something in the queue, or when it is over."""


class LiveHub:
    """Reads the outbox while somebody looks, and hands what it reads to every stream of this process."""

    def __init__(self, live: Live, *, beat_seconds: float = BEAT_SECONDS) -> None:
        self._live = live
        self._beat_seconds = beat_seconds
        self._seats: set[Seat] = set()
        self._reading: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._place = ""
        self._closed = False
        self._read_at = 0.0

    @property
    def streams(self) -> int:
        """How many are open."""
        return len(self._seats)

    @property
    def fresh(self) -> bool:
        """Whether the outbox was read a moment ago: without, silence means nothing."""
        return monotonic() - self._read_at < 3 * self._beat_seconds

    def full(self, person: str) -> bool:
        """Whether this person has as many streams open as anybody may."""
        return sum(seat.person == person and seat.ended is None for seat in self._seats) >= STREAMS_PER_PERSON

    async def newest(self) -> str:
        """The id that a stream begins after when its client names none."""
        return await self._live.newest()

    async def stream(self, person: str, after: str, still_in: StillIn) -> AsyncGenerator[bytes, None]:
        """The frames of one stream, until its session ends, it is too slow, or this process stops."""
        if self.full(person):  # several asked in the same moment
            yield _frame("bye", None, {"why": TOO_MANY})
            return
        seat = self._join(person)
        checked = monotonic()
        try:
            yield _frame("hello", after, {"beat_seconds": self._beat_seconds})
            # The reader's place is fixed before the past is read: what is told in between is in the queue.
            await asyncio.wait_for(self._ready.wait(), self._beat_seconds)
            events, after, lost = await self._past(after)
            if lost:
                yield _frame("reset", after, {})
            for event in events:
                yield _told(event)
            while seat.ended is None:
                seat.wake.clear()
                while not seat.queue.empty():
                    event = seat.queue.get_nowait()
                    if place_of(event.event_id) > place_of(after):
                        after = event.event_id
                        yield _told(event)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(seat.wake.wait(), max(0.01, checked + self._beat_seconds - monotonic()))
                if monotonic() - checked >= self._beat_seconds:
                    checked = monotonic()
                    seat.ended = seat.ended or (None if await still_in() else SESSION_ENDED)
                    if seat.ended is None:
                        yield _frame("beat", None, {"fresh": self.fresh})
            yield _frame("bye", None, {"why": seat.ended})
        except (TimeoutError, Unavailable):
            yield _frame("bye", None, {"why": RESTARTING})
        finally:
            self._leave(seat)

    async def aclose(self) -> None:
        """End every stream, so that the server can stop; clients resume elsewhere."""
        self._closed = True
        self._end_all()
        self._ready.set()
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.cancel()
            await asyncio.wait({reading})

    def _join(self, person: str) -> Seat:
        seat = Seat(person)
        self._seats.add(seat)
        if self._closed:
            _end(seat, RESTARTING)
        elif self._reading is None or self._reading.done():
            self._ready, self._place = asyncio.Event(), ""
            self._reading = asyncio.create_task(self._read())
        return seat

    def _leave(self, seat: Seat) -> None:
        self._seats.discard(seat)
        if not self._seats and self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _end_all(self) -> None:
        for seat in list(self._seats):
            _end(seat, RESTARTING)

    async def _past(self, after: str) -> tuple[list[LiveEvent], str, bool]:
        """What came after this place, the place that follows, and whether too much did."""
        found: list[LiveEvent] = []
        batch = LiveBatch()
        while len(found) <= BACKLOG:
            batch = await self._live.since(found[-1].event_id if found else after)
            found += batch.events
            if batch.lost or not batch.events:
                break
        if batch.lost or len(found) > BACKLOG:
            return [], await self._live.newest(), True
        return found, found[-1].event_id if found else after, False

    async def _read(self) -> None:
        """Read on whenever something changes; a database that is away is asked again from where it was left."""
        while True:
            try:
                async with self._live.listening() as heard:
                    self._place = self._place or await self._live.newest()
                    self._ready.set()
                    await self._follow(heard)
            except QuartermasterError as error:
                log.warning("live updates wait for the database", extra={"error": str(error)[:200]})
                self._read_at = 0.0
                await asyncio.sleep(1)

    async def _follow(self, heard: Heard) -> None:
        pruned = monotonic() - PRUNE_SECONDS
        while True:
            batch = await self._live.since(self._place)
            self._read_at = monotonic()
            if batch.lost:  # another database, or away for a day: each stream finds out by itself
                self._end_all()
                self._place = await self._live.newest()
                continue
            for event in batch.events:
                self._place = event.event_id
                for seat in list(self._seats):
                    _give(seat, event)
            if batch.events:
                continue
            if monotonic() - pruned >= PRUNE_SECONDS:
                pruned = monotonic()
                await self._live.prune()
            if await heard(UNSETTLED_SECONDS if batch.unsettled else self._beat_seconds):
                await asyncio.sleep(GATHER_SECONDS)  # a burst is one reading


def routes(hub: LiveHub | None, gate: Gate, names: KnownNames) -> APIRouter:
    """`/live/events`: server-sent events for whoever is signed in."""
    router = APIRouter(include_in_schema=False)

    @router.get("/live/events")
    async def events(
        request: Request,
        session: Annotated[Session, Depends(gate.page(Permission.SEE))],
        after: Annotated[str | None, Query(max_length=50)] = None,
        last_event_id: Annotated[str | None, Header(max_length=50)] = None,
    ) -> Response:
        if hub is None:
            raise NotFound("This installation tells no live changes.")
        if hub.full(session.name):
            told = f"{session.name} has {STREAMS_PER_PERSON} streams open; close a page, or ask in between."
            return PlainTextResponse(told, HTTPStatus.TOO_MANY_REQUESTS, {"Retry-After": "30"})

        async def still_in() -> bool:
            try:
                return await gate.goes_on(request)
            except Unavailable:
                return True  # nobody knows: ask again at the next beat

        begin = last_event_id or after
        if begin is None:
            begin = await hub.newest()
        place_of(begin)
        stream = _named(hub.stream(session.name, begin, still_in), names)
        return StreamingResponse(stream, media_type="text/event-stream", headers=STREAM_HEADERS)

    return router


async def _named(frames: AsyncGenerator[bytes, None], names: KnownNames) -> AsyncGenerator[bytes, None]:
    """The same frames; who did something is said by name."""
    async with contextlib.aclosing(frames):
        async for frame in frames:
            yield named_json(frame, await names.now())


def _give(seat: Seat, event: LiveEvent) -> None:
    """Never waits: a client that does not keep up is cut off, and resumes from the outbox."""
    if seat.ended is None:
        try:
            seat.queue.put_nowait(event)
            seat.wake.set()
        except asyncio.QueueFull:
            _end(seat, TOO_SLOW)


def _end(seat: Seat, why: str) -> None:
    seat.ended = seat.ended or why
    seat.wake.set()


def _told(event: LiveEvent) -> bytes:
    return _frame(event.kind, event.event_id, event.body)


def _frame(name: str, event_id: str | None, data: object) -> bytes:
    identity = f"id: {event_id}\n" if event_id is not None else ""
    return f"event: {name}\n{identity}data: {json.dumps(data, separators=(',', ':'))}\n\n".encode()
