"""Plays a world into the engine, day by day, and waits for the engine at each stroke of the business clock.

A day has these strokes: deliveries and 06:00 (orders are cut off and placed), 18:00 if something happened before
(what moved is swept), midnight (the day is closed and swept for needs). What is published is a function of the
world and of the stock that morning, which is noted before the day begins: a feed that is killed and started again
publishes the same events, and the inbox knows them.
"""

import asyncio
import hashlib
import json
import logging
import os
import time as wall
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby
from pathlib import Path

from connectors.erp.supplier_control import SupplierControl
from connectors.folders import sync_folder
from connectors.kafka.producer import EventProducer
from connectors.postgres.settling import Settling
from workers.progress import Say
from workflows.domain.errors import Unavailable
from workflows.domain.events import ClockAdvanced, Event
from workflows.domain.failpoints import Effect
from workflows.domain.feeds import FeedSource, StockKey
from workflows.domain.orders import CUTOFF_HOUR
from workflows.domain.positions import MovementKind, movement_of

log = logging.getLogger(__name__)

CHUNK = 2000
POLL_SECONDS = 0.1
REPUBLISH_AFTER_SECONDS = 10.0
"""Events that the inbox does not get for so long are published again: the embedded broker forgets when it restarts."""
GIVE_UP_AFTER_SECONDS = 120.0
DELIVERIES_DONE = time(5, 45)
STROKE_HOURS = 12
"""A played clock strikes when so many hours are over, if anything happened in them. A live one follows the wall clock,
and each of its hours is swept; to wait for the inbox every hour would make a demo half as slow again."""
SOURCE = "feed/clock"

Hook = Callable[[date], Awaitable[None]]


async def _nothing(_: date) -> None:
    """Nobody wants to know."""


class Journal:
    """Where a feed stands: the day it is in, and the stock that morning."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, feed: str) -> tuple[date, dict[StockKey, int]] | None:
        """The day to play next and its morning's stock; None when this feed never began."""
        if not self._path.exists():
            return None
        found = json.loads(self._path.read_text())
        if found["feed"] != feed:
            return None
        stock = {(location, item): units for location, item, units in found["on_hand"]}
        return date.fromisoformat(found["day"]), stock

    def write(self, feed: str, day: date, on_hand: Mapping[StockKey, int]) -> None:
        """Note it for good before anything of the day is published."""
        rows = [[location, item, units] for (location, item), units in sorted(on_hand.items())]
        draft = self._path.with_suffix(".tmp")
        with Effect("feed.keep"):
            with draft.open("w") as file:
                file.write(json.dumps({"feed": feed, "day": day.isoformat(), "on_hand": rows}))
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._path)
            sync_folder(self._path.parent)


class WorldDriver:
    """Plays one feed. `answers` is called after each midnight, when all that the day needs is decided."""

    def __init__(
        self,
        source: FeedSource,
        publisher: EventProducer,
        settling: Settling,
        suppliers: SupplierControl,
        journal: Journal,
        *,
        say: Say,
        answers: Hook = _nothing,
        speed: float | None = None,
        patient: bool = True,
    ) -> None:
        self._source = source
        self._publisher = publisher
        self._settling = settling
        self._suppliers = suppliers
        self._journal = journal
        self._say = say
        self._answers = answers
        self._seconds_per_day = 86_400 / speed if speed else 0.0
        self._patient = patient

    async def play(self) -> None:
        """From where the journal stands to the feed's last day."""
        found = self._journal.read(self._source.name)
        if found is None:
            found = self._source.first_day, await self._open()
        day, on_hand = found
        days = (self._source.last_day - self._source.first_day).days + 1
        if day > self._source.last_day:
            self._say("This feed has been played to its end.")
        while day <= self._source.last_day:
            began = wall.monotonic()
            on_hand = await self._day(day, on_hand)
            day += timedelta(days=1)
            await asyncio.to_thread(self._journal.write, self._source.name, day, on_hand)
            self._say.bar("days", (day - self._source.first_day).days, days)
            await asyncio.sleep(max(0.0, self._seconds_per_day - (wall.monotonic() - began)))

    async def _open(self) -> dict[StockKey, int]:
        """The opening counts and the first midnight. Noted when all is done: a killed opening is made again."""
        events = self._source.opening()
        await self._tell(events)
        on_hand: dict[StockKey, int] = {}
        _apply(on_hand, events)
        await self._strike(_midnight(self._source.first_day))
        await self.settle()
        await self._answers(self._source.first_day - timedelta(days=1))
        await self.settle()
        await asyncio.to_thread(self._journal.write, self._source.name, self._source.first_day, on_hand)
        return on_hand

    async def _day(self, day: date, morning: Mapping[StockKey, int]) -> dict[StockKey, int]:
        await self._deliveries(datetime.combine(day, DELIVERIES_DONE, tzinfo=UTC))
        await self._strike(datetime.combine(day, time(CUTOFF_HOUR), tzinfo=UTC))
        await self.settle()
        events = await asyncio.to_thread(self._source.day, day, morning)
        await self._hours(day, events)
        arrived = await asyncio.to_thread(self._suppliers.emitted, _midnight(day + timedelta(days=1)))
        await self._strike(_midnight(day + timedelta(days=1)))
        await self.settle()
        await self._answers(day)
        await self.settle()
        on_hand = dict(morning)
        _apply(on_hand, events)
        received = [one for one in arrived if one.item and one.at.date() == day]
        for one in received:
            key = one.location, str(one.item)
            on_hand[key] = on_hand.get(key, 0) + one.units
        self._say(f"{day}: {len(events):,} events, {len(received)} deliveries")
        return on_hand

    async def _hours(self, day: date, events: Sequence[Event]) -> None:
        """The day's events, some hours at a time. They strike with the events that follow: their own are in by then."""
        morning, midnight = datetime.combine(day, time(CUTOFF_HOUR), tzinfo=UTC), _midnight(day + timedelta(days=1))
        hours = timedelta(hours=STROKE_HOURS)

        def ends(event: Event) -> datetime:
            return min(morning + hours * (max(event.time - morning, timedelta()) // hours + 1), midnight)

        strokes: list[Event] = []
        for through, happened in groupby(events, key=ends):
            await self._tell([*strokes, *happened])
            strokes = self._strokes(through) if through < midnight else []
        await self._tell(strokes)

    async def _deliveries(self, through: datetime) -> None:
        await asyncio.to_thread(self._suppliers.advance, through)
        emitted = await asyncio.to_thread(self._suppliers.emitted, through)
        identities = [(one.source, one.id) for one in emitted]

        def again(missing: set[tuple[str, str]]) -> None:
            self._suppliers.emit_again([event_id for _, event_id in missing])

        await self._until_accepted(identities, again)

    async def _strike(self, through: datetime) -> None:
        """Every location's clock reaches this instant; all of its earlier events are in the inbox already."""
        await self._tell(self._strokes(through))

    def _strokes(self, through: datetime) -> list[Event]:
        return [
            Event.of(
                ClockAdvanced(location=place.location, through=through),
                id=f"{self._source.name}:{place.location}:{through.isoformat()}",
                source=SOURCE,
                time=through,
            )
            for place in self._source.catalog.locations
        ]

    async def _tell(self, events: Sequence[Event]) -> None:
        """Publish what the inbox does not have, and wait until it has all."""
        by_identity = {(event.source, event.id): traced(event) for event in events}
        missing = await asyncio.to_thread(self._settling.missing, list(by_identity))

        def again(which: set[tuple[str, str]]) -> None:
            for chunk in _chunks([event for identity, event in by_identity.items() if identity in which]):
                self._publisher.publish(chunk)

        await asyncio.to_thread(again, missing)
        await self._until_accepted(list(missing), again)

    async def _until_accepted(
        self, identities: Sequence[tuple[str, str]], again: Callable[[set[tuple[str, str]]], None]
    ) -> None:
        began = published = wall.monotonic()
        while missing := await asyncio.to_thread(self._settling.missing, list(identities)):
            now = wall.monotonic()
            if now - published > REPUBLISH_AFTER_SECONDS:
                await asyncio.to_thread(again, missing)
                published = now
            if now - began > GIVE_UP_AFTER_SECONDS:
                raise Unavailable(f"the inbox does not get {len(missing)} published events; does intake run?")
            identities = list(missing)
            await asyncio.sleep(POLL_SECONDS)

    async def settle(self) -> None:
        """Wait until nothing is under way but what waits for a person."""
        began = warned = wall.monotonic()
        while unsettled := await asyncio.to_thread(self._settling.unsettled):
            now = wall.monotonic()
            if now - warned > 15:
                log.info("waiting for %s", ", ".join(f"{count} {kind}" for kind, count in unsettled.items()))
                warned = now
            if now - began > GIVE_UP_AFTER_SECONDS:
                if not self._patient:
                    raise Unavailable(f"still under way after {GIVE_UP_AFTER_SECONDS:.0f} s: {unsettled}")
                log.warning("the feed goes on although something is under way: %s", unsettled)
                return
            await asyncio.sleep(POLL_SECONDS)


def traced(event: Event) -> Event:
    """The event with a trace of its own, made from its identity: publishing it again gives the same bytes."""
    if event.traceparent is not None:
        return event
    seed = hashlib.sha256(f"{event.source}/{event.id}".encode()).hexdigest()
    return event.model_copy(update={"traceparent": f"00-{seed[:32]}-{seed[32:48]}-01"})


def _apply(on_hand: dict[StockKey, int], events: Iterable[Event]) -> None:
    """What these events do to the shelves; counts say what the world knows already."""
    for event in events:
        movement = movement_of(event)
        if movement is None:
            continue
        key = movement.location, movement.item
        if movement.kind is MovementKind.COUNT and key not in on_hand:
            on_hand[key] = movement.counted_units or 0
        on_hand[key] = on_hand.get(key, 0) + movement.on_hand_delta


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=UTC)


def _chunks(events: Sequence[Event]) -> Iterable[Sequence[Event]]:
    return (events[start : start + CHUNK] for start in range(0, len(events), CHUNK))
