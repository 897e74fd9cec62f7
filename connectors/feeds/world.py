"""The demo world: a small trading company whose customers, stock and suppliers follow from one seed.

A closed loop: what is not on the shelf is not sold, so the engine's own orders shape the days that come.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from connectors.feeds.chance import dice
from connectors.feeds.suppliers import LATE, behaviours, past_receipts
from connectors.feeds.world_catalog import CENT, assortment
from connectors.feeds.world_demand import HISTORY_DAYS, PROMOTION_PRICE, Pattern, Series, past, promotion_days
from workflows.domain.errors import InvalidInput
from workflows.domain.events import (
    FIRST_YEAR,
    LAST_YEAR,
    AnyData,
    Event,
    SaleCancelled,
    SaleRecorded,
    StockAdjusted,
    StockCounted,
    SupplierUpdated,
)
from workflows.domain.feeds import FeedReport, RecordedDemand, RecordedReceipt, StockKey, SupplierBehaviour

NIGHT_RETURNS = timedelta(days=1, seconds=30)
"""After the day's midnight: when a cancellation of the evening is booked. Before the counts of the new day."""
COUNTS_AT = time(0, 1, tzinfo=UTC)
DAMAGE_AT = time(7, 0, tzinfo=UTC)
UPDATES_AT = time(7, 30, tzinfo=UTC)
OPENS_AT = time(8, 0, tzinfo=UTC)
OPEN_SECONDS = 12 * 3600
CANCELLED_SHARE, CANCELLED_NEXT_DAY_SHARE, NOT_RETURNED_SHARE = 0.015, 0.3, 0.1
COUNTED_SHARE, DAMAGED_SHARE, UPDATES_SHARE = 0.006, 0.004, 0.25
INVENTED = ("everything: articles, customers, stock, suppliers, prices and the past all follow from the seed",)


class DemoWorld:
    """A `FeedSource` that is generated: three locations, six suppliers, every pattern of demand.

    `day` is a function of the arguments here, the day and the morning's stock: no call changes another.

    Args:
        seed: of everything.
        days: how many days are played.
        items: articles; each is kept at all three locations.
        first_day: the first day that is played.

    Raises:
        InvalidInput: days not from 1 to 3,660, items not from 1 to 9,999, or a first day that no event could carry.
    """

    name = "demo-world"

    def __init__(self, seed: int = 7, days: int = 28, items: int = 120, first_day: date = date(2025, 3, 3)) -> None:
        if not 1 <= days <= 3_660 or not 1 <= items <= 9_999:
            raise InvalidInput("the demo world needs 1 to 3,660 days and 1 to 9,999 items")
        if not FIRST_YEAR < first_day.year < LAST_YEAR - 10:
            raise InvalidInput(f"the demo world's first day must be between {FIRST_YEAR + 1} and {LAST_YEAR - 11}")
        self.first_day = first_day
        self.last_day = first_day + timedelta(days=days - 1)
        self.behaviours: Sequence[SupplierBehaviour] = behaviours(self.first_day, self.last_day)
        goods = assortment(seed, items, first_day)
        self.catalog = goods.catalog
        self._series = sorted(goods.series, key=lambda one: (one.location, one.item))
        self._opening = goods.opening
        self._prices = {item.item: item.price for item in self.catalog.items}
        begins = first_day - timedelta(days=HISTORY_DAYS)
        self._promotions = {item: promotion_days(seed, item, begins, self.last_day) for item in self._prices}
        self._seed = seed
        self._source = f"feed/{self.name}/seed-{seed}/{items}-items/{days}-days/from-{first_day}"
        self._made: dict[date, int] = {}

    def recorded_demand(self) -> Iterator[RecordedDemand]:
        """About 500 days by item and location, with promotions and the days on which shelves were empty."""
        for one in self._series:
            yield from past(self._seed, one, self._promotions[one.item], self.first_day)

    def recorded_receipts(self) -> Iterator[RecordedReceipt]:
        """Deliveries of the last eight months, late where the supplier is."""
        usual = {(one.location, one.item): one.daily_units for one in self._series if one.pattern is not Pattern.NEW}
        return past_receipts(self._seed, self.catalog.sourcing, usual, self.first_day, every_days=30)

    def opening(self) -> list[Event]:
        """One count per item and location at midnight of `first_day`: some low, some fine, some plenty."""
        midnight = datetime.combine(self.first_day, time(tzinfo=UTC))
        return [
            self._event(
                StockCounted(item=item, location=location, on_hand_units=units),
                f"opening:{location}:{item}", midnight,
            )
            for (location, item), units in sorted(self._opening.items())
        ]  # fmt: skip

    def day(self, day: date, on_hand: Mapping[StockKey, int]) -> list[Event]:
        """The day's counts, damages, supplier updates, sales and cancellations in time order.

        Args:
            day: any day of the stretch; other days are empty.
            on_hand: stock at the day's midnight, before anything of the day. Missing keys count as an empty shelf.

        An evening's sale may be cancelled in the night: that event is half a minute after the day's end, for the day
        itself knows only then that the sale took place. The last day has none.
        """
        if not self.first_day <= day <= self.last_day:
            return []
        events = self._supplier_updates(day)
        for one in self._series:
            events.extend(self._of_series(one, day, max(0, on_hand.get((one.location, one.item), 0))))
        events.sort(key=lambda event: (event.time, event.id))
        self._made[day] = len(events)
        return events

    def report(self) -> FeedReport:
        """Nothing is read or skipped; `events` are those of the days asked for so far."""
        return FeedReport(events=sum(self._made.values()), invented=INVENTED)

    def _of_series(self, one: Series, day: date, on_hand: int) -> Iterator[Event]:
        key = f"{day}:{one.location}:{one.item}"
        roll = dice(self._seed, "day", key)
        promotion = day in self._promotions[one.item]
        wanted = one.wanted(day, roll, promotion=promotion)
        if roll.random() < COUNTED_SHARE:
            count = StockCounted(item=one.item, location=one.location, on_hand_units=on_hand)
            yield self._event(count, f"{key}:count", datetime.combine(day, COUNTS_AT))
        if roll.random() < DAMAGED_SHARE and on_hand:
            broken = min(on_hand, roll.randint(1, 3))
            damage = StockAdjusted(item=one.item, location=one.location, delta_units=-broken, reason="damaged")
            yield self._event(damage, f"{key}:damage", datetime.combine(day, DAMAGE_AT))
            on_hand -= broken
        price = self._prices[one.item]
        if promotion:
            price = (price * PROMOTION_PRICE).quantize(CENT)
        for number, units in enumerate(_baskets(wanted, dice(self._seed, "baskets", key)), start=1):
            sold = min(units, on_hand)
            on_hand -= sold
            if sold:
                yield from self._sale(one, day, f"{key}:{number}", sold, price, promotion)

    def _sale(
        self, one: Series, day: date, sale_id: str, units: int, price: Decimal, promotion: bool
    ) -> Iterator[Event]:
        roll = dice(self._seed, "sale", sale_id)
        opens = datetime.combine(day, OPENS_AT)
        sold_at = opens + timedelta(seconds=roll.randrange(OPEN_SECONDS))
        sale = SaleRecorded(
            item=one.item, location=one.location, sale_id=sale_id, units=units, unit_price=price, promotion=promotion
        )
        yield self._event(sale, f"{sale_id}:sale", sold_at)
        if roll.random() >= CANCELLED_SHARE:
            return
        cancelled_at = sold_at + timedelta(minutes=roll.randint(5, 180))
        if roll.random() < CANCELLED_NEXT_DAY_SHARE:
            cancelled_at = datetime.combine(day, time(tzinfo=UTC)) + NIGHT_RETURNS
            if day == self.last_day:
                return
        cancellation = SaleCancelled(
            item=one.item, location=one.location, sale_id=sale_id, units=units, sold_at=sold_at,
            returned_to_stock=roll.random() >= NOT_RETURNED_SHARE,
        )  # fmt: skip
        yield self._event(cancellation, f"{sale_id}:cancelled", cancelled_at)

    def _supplier_updates(self, day: date) -> list[Event]:
        """Now and then a price changes; once, a fortnight in, the late supplier admits that it takes longer."""
        moment = datetime.combine(day, UPDATES_AT)
        events = []
        roll = dice(self._seed, "updates", day)
        if roll.random() < UPDATES_SHARE:
            source = roll.choice(self.catalog.sourcing)
            cost = (source.unit_cost * Decimal(roll.choice((95, 97, 103, 106))) / 100).quantize(CENT)
            update = SupplierUpdated(supplier=source.supplier, item=source.item, unit_cost=cost)
            events.append(self._event(update, f"{day}:{source.supplier}:{source.item}:cost", moment))
        if day == self.first_day + timedelta(days=13):
            update = SupplierUpdated(supplier=LATE.code, lead_time_days=LATE.promised_days + 2)
            events.append(self._event(update, f"{day}:{LATE.code}:lead-time", moment))
        return events

    def _event(self, body: AnyData, event_id: str, moment: datetime) -> Event:
        return Event.of(body, id=event_id, source=self._source, time=moment)


def _baskets(units: int, roll: random.Random) -> Iterator[int]:
    """The day's demand as customers carry it away: mostly one or two baskets, more when much is wanted."""
    while units > 0:
        basket = min(units, max(1, round(units * roll.uniform(0.35, 1.1))))
        yield basket
        units -= basket
