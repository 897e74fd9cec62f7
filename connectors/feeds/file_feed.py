"""A file's facts become a world: its last days are events, the days before are recorded history, the rest is invented.

The law of rows: every row that was read became an event, became recorded history, or was skipped with one reason:
`rows_read == event_rows + history_rows + sum(skipped.values())`.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from statistics import median
from typing import NamedTuple

from connectors.feeds.invented import INVENTED, opening_units, sourcing_for
from connectors.feeds.suppliers import behaviours, past_receipts, suppliers
from workflows.domain.catalog import Catalog, Item, Location
from workflows.domain.errors import InvalidInput
from workflows.domain.events import Event, SaleCancelled, SaleRecorded, StockAdjusted, StockCounted
from workflows.domain.feeds import FeedReport, RecordedDemand, RecordedReceipt, StockKey, SupplierBehaviour

ONE_DAY = timedelta(days=1)
RATE_DAYS = 91
"""Daily sales, for the stock and packs that we invent, are the mean of this many days before the first event."""


class FactKind(StrEnum):
    """What a row of a file says."""

    SALE = "sale"
    CANCELLATION = "cancellation"
    WRITE_OFF = "write-off"


class Fact(NamedTuple):
    """One readable row, or half of one: a cancelled order line is a sale and its cancellation with the same `row`.

    A named tuple because a file has half a million of them.
    """

    kind: FactKind
    row: int
    at: datetime
    id: str
    item: str
    location: str
    units: int
    price: Decimal | None = None
    sale_id: str = ""
    sold_at: datetime | None = None
    """For cancellations: when the units were sold."""
    reason: str = ""

    def event(self, source: str) -> Event:
        """The fact in its envelope."""
        return Event.of(self._body(), id=self.id, source=source, time=self.at)

    def _body(self) -> SaleRecorded | SaleCancelled | StockAdjusted:
        item, location, units = self.item, self.location, self.units
        if self.kind is FactKind.SALE:
            return SaleRecorded(item=item, location=location, sale_id=self.sale_id, units=units, unit_price=self.price)
        if self.kind is FactKind.CANCELLATION:
            return SaleCancelled(
                item=item, location=location, sale_id=self.sale_id, units=units, sold_at=self.sold_at or self.at
            )
        return StockAdjusted(item=item, location=location, delta_units=-units, reason=self.reason)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a file's reader found. `names` maps each item to its name and category."""

    world: str
    digest: str
    rows_read: int
    facts: Sequence[Fact]
    """In time order; a cancellation comes after its sale."""
    skipped: Mapping[str, int]
    names: Mapping[str, tuple[str, str]]
    locations: Mapping[str, str]
    currency: str
    invented: tuple[str, ...] = ()


class FileFeed:
    """A `FeedSource` over a reading. Events are facts: what is on the shelf does not change them.

    Args:
        reading: the file's facts.
        days: how many last days are played; None plays all of them and leaves no history.
        seed: of everything the file lacks.
        low_share: the share of items that open with too little stock.

    Raises:
        InvalidInput: no sale in the file, or `days` below 1.
    """

    def __init__(self, reading: Reading, *, days: int | None, seed: int, low_share: float) -> None:
        if days is not None and days < 1:
            raise InvalidInput("days must be 1 or more, or left out to play the whole file")
        sales = [fact for fact in reading.facts if fact.kind is FactKind.SALE]
        if not sales:
            raise InvalidInput(f"no sale could be read from {reading.rows_read} rows; skipped: {dict(reading.skipped)}")
        begins, self.last_day = reading.facts[0].at.date(), reading.facts[-1].at.date()
        self.first_day = begins if days is None else max(begins, self.last_day - (days - 1) * ONE_DAY)
        self.name = reading.world
        self.event_rows = 0
        self.history_rows = 0
        # Counts and words only: keeping the reading would keep every row of the file in memory.
        self._rows_read, self._invented = reading.rows_read, INVENTED + reading.invented
        self._seed = seed
        # The file's text, the seed and the first day make the world: other counts on opening need other ids.
        self._source = f"feed/{reading.world}/{reading.digest[:12]}/seed-{seed}/from-{self.first_day}"
        self._skipped = Counter(reading.skipped)
        self._history: dict[tuple[StockKey, date], int] = defaultdict(int)
        self._by_day: dict[date, list[Fact]] = defaultdict(list)
        self._divide(reading.facts, {(fact.location, fact.item) for fact in sales})
        prices = _median_prices(sales)
        self._rates = self._daily_units()
        self.behaviours: Sequence[SupplierBehaviour] = behaviours(self.first_day, self.last_day)
        self.catalog = Catalog(
            currency=reading.currency,
            items=tuple(
                Item(item=item, name=reading.names[item][0], category=reading.names[item][1], price=price)
                for item, price in sorted(prices.items())
            ),
            locations=tuple(Location(location=code, name=name) for code, name in sorted(reading.locations.items())),
            suppliers=suppliers(),
            sourcing=sourcing_for(seed, prices, self._rates),
        )
        self._low_share = low_share

    def recorded_demand(self) -> Iterator[RecordedDemand]:
        """Units a day before `first_day`, net of what was cancelled before `first_day`."""
        for ((location, item), day), units in self._history.items():
            if units:
                yield RecordedDemand(item=item, location=location, day=day, units=units)

    def recorded_receipts(self) -> Iterator[RecordedReceipt]:
        """Invented: deliveries by the invented suppliers."""
        return past_receipts(self._seed, self.catalog.sourcing, self._rates, self.first_day, every_days=80)

    def opening(self) -> list[Event]:
        """Invented: one count per item and location at midnight of `first_day`."""
        midnight = datetime.combine(self.first_day, time(), UTC)
        units = opening_units(self._seed, self.catalog.sourcing, self._rates, self._low_share)
        return [
            Event.of(
                StockCounted(item=item, location=location, on_hand_units=count),
                id=f"opening:{location}:{item}", source=self._source, time=midnight,
            )
            for (location, item), count in sorted(units.items())
        ]  # fmt: skip

    def day(self, day: date, on_hand: Mapping[StockKey, int]) -> list[Event]:
        """The day's facts in time order; a day without facts, or outside the stretch, is empty."""
        return [fact.event(self._source) for fact in self._by_day.get(day, ())]

    def report(self) -> FeedReport:
        """The whole file: `events` are those of all days from `first_day` on, opening counts not among them."""
        return FeedReport(
            rows_read=self._rows_read,
            events=sum(len(facts) for facts in self._by_day.values()),
            skipped=dict(sorted(self._skipped.items())),
            invented=self._invented,
        )

    def _divide(self, facts: Sequence[Fact], sold: set[StockKey]) -> None:
        event_rows, history_rows = set(), set()
        for fact in facts:
            key, today = (fact.location, fact.item), fact.at.date()
            if fact.kind is FactKind.WRITE_OFF and key not in sold:
                self._skipped["write_off_of_item_never_sold"] += 1
            elif today >= self.first_day:
                self._by_day[today].append(fact)
                event_rows.add(fact.row)
            elif fact.kind is FactKind.WRITE_OFF:
                self._skipped["write_off_before_first_day"] += 1
            else:
                history_rows.add(fact.row)
                if fact.kind is FactKind.SALE:
                    self._history[key, today] += fact.units
                elif fact.sold_at is not None:
                    self._history[key, fact.sold_at.date()] -= fact.units
        self.event_rows, self.history_rows = len(event_rows), len(history_rows)

    def _daily_units(self) -> dict[StockKey, float]:
        """Mean net sales a day just before the stretch; of the whole file for what did not sell then."""
        recent: dict[StockKey, int] = defaultdict(int)
        ever: dict[StockKey, int] = defaultdict(int)
        since = self.first_day - RATE_DAYS * ONE_DAY
        earliest = self.first_day
        for (key, day), units in self._history.items():
            ever[key] += units
            earliest = min(earliest, day)
            if day >= since:
                recent[key] += units
        for facts in self._by_day.values():
            for fact in facts:
                if fact.kind is not FactKind.WRITE_OFF:
                    ever[fact.location, fact.item] += fact.units if fact.kind is FactKind.SALE else -fact.units
        all_days = (self.last_day - earliest).days + 1
        recent_days = min(RATE_DAYS, max(1, (self.first_day - earliest).days))
        return {
            key: recent[key] / recent_days if recent.get(key, 0) > 0 else max(0, units) / all_days
            for key, units in ever.items()
        }


def _median_prices(sales: Sequence[Fact]) -> dict[str, Decimal]:
    prices: dict[str, list[Decimal]] = defaultdict(list)
    for sale in sales:
        if sale.price is not None:
            prices[sale.item].append(sale.price)
    return {item: median(found).quantize(Decimal("0.0001")) for item, found in prices.items()}
