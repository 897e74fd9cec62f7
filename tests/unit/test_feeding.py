"""A world is played in strokes: what is published is a function of the world, and killed feeds publish it again."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.erp.supplier_control import Delivered
from tests.storeroom import catalog
from workers import feeding
from workers.feeding import Journal, WorldDriver, traced
from workers.session import Silence
from workflows.domain.catalog import Catalog
from workflows.domain.errors import Unavailable
from workflows.domain.events import ClockAdvanced, Event, SaleRecorded, StockCounted
from workflows.domain.feeds import FeedReport, FeedSource, RecordedDemand, RecordedReceipt, StockKey, SupplierBehaviour

MONDAY = date(2025, 3, 3)
LOCATION, ITEM = "LEEDS", "ITEM-001"
KEY = LOCATION, ITEM
Identity = tuple[str, str]


class Killed(Exception):
    """The feed's process died here."""


@dataclass
class SmallWorld:
    """One item of which a tenth of the morning's stock is sold each day."""

    days: int = 2
    name: str = "small-world"
    first_day: date = MONDAY
    last_day: date = field(init=False)
    catalog: Catalog = field(default_factory=lambda: catalog(1))
    behaviours: Sequence[SupplierBehaviour] = ()

    def __post_init__(self) -> None:
        self.last_day = self.first_day + timedelta(days=self.days - 1)

    def recorded_demand(self) -> Iterator[RecordedDemand]:
        yield from ()

    def recorded_receipts(self) -> Iterator[RecordedReceipt]:
        yield from ()

    def opening(self) -> list[Event]:
        body = StockCounted(item=ITEM, location=LOCATION, on_hand_units=100)
        return [Event.of(body, id="opening", source=self.name, time=at(MONDAY, 0))]

    def day(self, day: date, on_hand: Mapping[StockKey, int]) -> list[Event]:
        body = SaleRecorded(item=ITEM, location=LOCATION, sale_id=f"sale-{day}", units=on_hand[KEY] // 10)
        return [Event.of(body, id=f"sale-{day}", source=self.name, time=at(day, 12))]

    def report(self) -> FeedReport:
        return FeedReport()


@dataclass
class Engine:
    """What the feed sees of the engine: an inbox, a supplier and a settling count; everything it does is told."""

    delivered: Sequence[Delivered] = ()
    happened: list[str] = field(default_factory=list)
    inbox: dict[Identity, bytes] = field(default_factory=dict)
    die_at: Callable[[str], bool] = lambda _: False
    deaf: int = 0
    """So many publications are lost: a broker that forgot."""
    unsettled_rounds: int = 0

    def tell(self, what: str) -> None:
        self.happened.append(what)
        if self.die_at(what):
            raise Killed(what)

    def publish(self, events: Sequence[Event]) -> None:
        for event in events:
            through = f" {event.data.through:%d.%H}" if isinstance(event.data, ClockAdvanced) else ""
            self.tell(f"{event.data.kind.split('.')[0]}{through}")
            if self.deaf:
                self.deaf -= 1
                continue
            known = self.inbox.setdefault((event.source, event.id), event.to_bytes())
            assert known == event.to_bytes(), f"{event.id} was published before with another content"

    def missing(self, identities: Sequence[Identity]) -> set[Identity]:
        return set(identities) - set(self.inbox)

    def unsettled(self) -> dict[str, int]:
        self.unsettled_rounds -= 1
        if self.unsettled_rounds >= 0:
            return {"needs": self.unsettled_rounds + 1}
        self.tell("settled")
        return {}

    def advance(self, through: datetime) -> None:
        self.tell(f"deliveries {through:%d.%H:%M}")
        self.emit_again([one.id for one in self.emitted(through)])

    def emitted(self, through: datetime) -> list[Delivered]:
        return [one for one in self.delivered if one.at <= through]

    def emit_again(self, ids: Sequence[str]) -> None:
        self.inbox |= {(one.source, one.id): b"" for one in self.delivered if one.id in ids}


def at(day: date, hour: int) -> datetime:
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC)


def delivery(day: date, units: int, item: str | None = ITEM) -> Delivered:
    return Delivered("acme", f"delivery-{day}-{item}", LOCATION, item, units, at(day, 5))


def driver(engine: Engine, journal: Path, world: FeedSource | None = None, **more: Any) -> WorldDriver:
    """The driver over the fake engine, which plays three ports at once."""
    ports: Any = engine

    async def answers(day: date) -> None:
        engine.tell(f"answers {day:%d}")

    more = {"answers": answers, "patient": False, **more}
    return WorldDriver(world or SmallWorld(), ports, ports, ports, Journal(journal), say=Silence(), **more)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "feed.json"


async def test_a_day_is_deliveries_then_cutoff_then_sales_then_midnight_and_answers(journal: Path) -> None:
    engine = Engine()

    await driver(engine, journal, SmallWorld(days=1)).play()

    assert engine.happened == [
        "stock", "clock 03.00", "settled", "answers 02", "settled",
        "deliveries 03.05:45", "clock 03.06", "settled",
        "sale", "clock 03.18", "clock 04.00", "settled", "answers 03", "settled",
    ]  # fmt: skip


class BusyWorld(SmallWorld):
    """Its sales begin in the night, and the evening's are cancelled after midnight."""

    def day(self, day: date, on_hand: Mapping[StockKey, int]) -> list[Event]:
        def sale(hour: int, minute: int) -> Event:
            moment = at(MONDAY, 0) + timedelta(hours=hour, minutes=minute)
            body = SaleRecorded(item=ITEM, location=LOCATION, sale_id=f"{day}-{moment:%d.%H:%M}", units=1)
            return Event.of(body, id=body.sale_id, source=self.name, time=moment)

        return [sale(*moment) for moment in ((0, 1), (8, 59), (9, 0), (9, 59), (10, 0), (14, 30), (23, 10), (24, 1))]


async def test_hours_strike_when_all_of_them_is_told_and_only_if_something_happened(journal: Path) -> None:
    engine = Engine()

    await driver(engine, journal, BusyWorld(days=1)).play()

    begun = engine.happened.index("clock 03.06")
    assert engine.happened[begun + 2 :] == [
        "sale", "sale", "sale", "sale", "sale", "sale", "clock 03.18", "sale", "sale",
        "clock 04.00", "settled", "answers 03", "settled",
    ]  # fmt: skip


async def test_stock_follows_sales_and_deliveries_into_the_next_morning(journal: Path) -> None:
    engine = Engine(delivered=[delivery(MONDAY, 60), delivery(MONDAY, 0, item=None)])

    await driver(engine, journal).play()

    assert Journal(journal).read("small-world") == (MONDAY + timedelta(days=2), {KEY: 135})  # 100 - 10 + 60, less 15


async def test_the_morning_is_noted_before_anything_of_the_day_is_published(journal: Path) -> None:
    noted: dict[str, object] = {}

    def look(what: str) -> bool:
        noted.setdefault(what, json.loads(journal.read_text())["day"] if journal.exists() else None)
        return False

    await driver(Engine(die_at=look), journal).play()

    assert noted["deliveries 03.05:45"] == "2025-03-03"
    assert noted["deliveries 04.05:45"] == "2025-03-04"


STROKES = 23
"""How often the engine is told something in two days: the feed is killed at each."""


@pytest.mark.parametrize("stroke", range(STROKES))
async def test_a_feed_killed_at_any_stroke_publishes_the_same_events_when_it_goes_on(
    stroke: int, tmp_path: Path
) -> None:
    deliveries = [delivery(MONDAY, 60)]
    whole = Engine(delivered=deliveries)
    await driver(whole, tmp_path / "whole.json").play()
    assert len(whole.happened) == STROKES
    killed = Engine(delivered=deliveries)
    killed.die_at = lambda _: len(killed.happened) == stroke + 1
    with pytest.raises(Killed):
        await driver(killed, tmp_path / "killed.json").play()

    killed.die_at = lambda _: False
    await driver(killed, tmp_path / "killed.json").play()

    assert killed.inbox == whole.inbox
    assert (tmp_path / "killed.json").read_text() == (tmp_path / "whole.json").read_text()


async def test_a_feed_that_was_played_to_its_end_publishes_nothing_more(journal: Path) -> None:
    engine = Engine()
    await driver(engine, journal).play()
    before = list(engine.happened)

    await driver(engine, journal).play()

    assert engine.happened == before


async def test_events_that_the_broker_forgot_are_published_again(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeding, "REPUBLISH_AFTER_SECONDS", 0.0)
    engine = Engine(deaf=2)

    await driver(engine, journal, SmallWorld(days=1)).play()

    assert engine.happened[:4] == ["stock", "stock", "stock", "clock 03.00"]


async def test_a_feed_whose_events_never_arrive_says_so(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeding, "GIVE_UP_AFTER_SECONDS", 0.0)

    with pytest.raises(Unavailable, match="does intake run"):
        await driver(Engine(deaf=1_000), journal).play()


async def test_an_impatient_feed_fails_when_the_engine_does_not_settle(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeding, "GIVE_UP_AFTER_SECONDS", 0.0)

    with pytest.raises(Unavailable, match="'needs': 100"):
        await driver(Engine(unsettled_rounds=100), journal).play()


async def test_a_patient_feed_goes_on_when_the_engine_does_not_settle(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeding, "GIVE_UP_AFTER_SECONDS", 0.0)
    engine = Engine(unsettled_rounds=2)

    await driver(engine, journal, SmallWorld(days=1), patient=True).play()

    assert engine.happened[-1] == "settled"


def test_a_journal_belongs_to_one_feed(journal: Path) -> None:
    Journal(journal).write("one", MONDAY, {KEY: 3})

    assert Journal(journal).read("one") == (MONDAY, {KEY: 3})
    assert Journal(journal).read("another") is None


def test_a_half_written_note_leaves_the_one_before(journal: Path) -> None:
    Journal(journal).write("one", MONDAY, {KEY: 3})
    journal.with_suffix(".tmp").write_text('{"feed": "one", "da')

    assert Journal(journal).read("one") == (MONDAY, {KEY: 3})


def test_an_event_is_traced_by_its_identity_so_that_its_bytes_never_change() -> None:
    (event,) = SmallWorld().opening()

    first = traced(event)

    assert first.traceparent is not None
    assert traced(event).to_bytes() == first.to_bytes()
    assert traced(first) is first
