"""A made-up chain for intake's bench: its positions in the database, its tills' messages, and what both must come to.

The messages are generated from a seed, without any of the product's code; so is the fold that positions are held
against: the newest count and everything that moved after it, whatever the order was in which the messages came.
"""

import random
from array import array
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

LOCATIONS = 200
DAY = datetime(2025, 3, 3, tzinfo=UTC)
OPENS, OPEN_S = 8 * 3600, 10 * 3600
DUPLICATES, LATE, COUNTS, OTHERS = 0.10, 0.05, 0.01, 0.02
"""Shares: sent again; told up to three hours late; counts; cancellations, adjustments and reservations together."""
RECENT = 50_000
"""A message is sent again while it is among so many."""
HOT, HOT_SHARE = 20, 0.8
"""Where not all positions are alike: one in so many has this share of the events."""
STOCK = 1_000_000


class Told(NamedTuple):
    """One message: its topic, its key and its bytes."""

    topic: str
    key: bytes
    value: bytes


def place(number: int) -> tuple[str, str]:
    """(location, item) of a position."""
    return f"L{number % LOCATIONS:03}", f"ITEM-{number // LOCATIONS:06}"


class Tills:
    """Messages one after the other, and the books on them. `skewed`: few positions sell most."""

    def __init__(self, positions: int, seed: int, *, skewed: bool) -> None:
        self.positions = positions
        self.duplicates = self.late = 0
        self._chance = random.Random(seed)  # noqa: S311 - the same messages each time
        self._skewed = skewed
        self._recent: deque[Told] = deque(maxlen=RECENT)
        self._keys, self._seconds = array("i"), array("i")
        self._moved, self._reserved, self._counted, self._demand = array("i"), array("i"), array("i"), array("i")

    @property
    def events(self) -> int:
        """Different ones so far."""
        return len(self._keys)

    def messages(self, count: int) -> Iterator[Told]:
        """The next messages, over one trading day if `count` is all that there will be."""
        chance = self._chance.random
        for number in range(count):
            if self._recent and chance() < DUPLICATES:
                self.duplicates += 1
                yield self._recent[self._chance.randrange(len(self._recent))]
                continue
            at = OPENS + number * OPEN_S // count
            if chance() < LATE:
                self.late += 1
                at -= self._chance.randrange(1, 3 * 3600)
            told = self._event(self.events, at)
            self._recent.append(told)
            yield told

    def _event(self, number: int, second: int) -> Told:
        chance = self._chance.random
        wide = not self._skewed or chance() >= HOT_SHARE
        key = int(chance() * (self.positions if wide else max(1, self.positions // HOT)))
        location, item = place(key)
        units, kind = 1 + int(chance() * 4), chance()
        body = f'"item":"{item}","location":"{location}",'
        moved, reserved, counted, demand = -units, 0, -1, units
        topic, name = "qm.stock", "stock.adjusted"
        if kind < COUNTS:
            moved, counted, demand, name = 0, STOCK + units, 0, "stock.counted"
            body += f'"on_hand_units":{counted}'
        elif kind < COUNTS + OTHERS / 3:
            demand = 0
            body += f'"delta_units":{moved},"reason":"damage"'
        elif kind < COUNTS + OTHERS * 2 / 3:
            moved, reserved, demand, name = 0, units, 0, "stock.reserved"
            body += f'"delta_units":{units}'
        elif kind < COUNTS + OTHERS:
            topic, name, moved, demand = "qm.sales", "sale.cancelled", units, -units
            body += f'"sale_id":"S{number}","units":{units},"sold_at":"{_text(second)}"'
        else:
            topic, name = "qm.sales", "sale.recorded"
            body += f'"sale_id":"S{number}","units":{units},"unit_price":"9.90","promotion":false'
        for column, value in zip(self._columns(), (key, second, moved, reserved, counted, demand), strict=True):
            column.append(value)
        text = (
            f'{{"specversion":"1.0","id":"e{number:09}","source":"urn:till/{location}",'
            f'"type":"quartermaster.{name}.v1","time":"{_text(second)}","subject":"{location}/{item}",'
            f'"datacontenttype":"application/json","data":{{{body}}}}}'
        )
        return Told(topic, f"{location}/{item}".encode(), text.encode())

    def _columns(self) -> tuple["array[int]", ...]:
        return self._keys, self._seconds, self._moved, self._reserved, self._counted, self._demand

    def fold(self) -> tuple[dict[tuple[str, str], tuple[int, int]], dict[tuple[str, str], int]]:
        """(on hand, reserved) of each position that was spoken of, and the demand of the day."""
        newest: dict[int, tuple[int, int, int]] = {}
        for number, (key, second, counted) in enumerate(zip(self._keys, self._seconds, self._counted, strict=True)):
            # Of two counts in one second the later id, which is the later number, counts.
            if counted >= 0 and (second, number) > newest.get(key, (-1, -1, 0))[:2]:
                newest[key] = second, number, counted
        stock: dict[int, list[int]] = {}
        for key, second, moved, reserved, _, demand in zip(*self._columns(), strict=True):
            found = stock.get(key)
            if found is None:
                count = newest.get(key)
                found = stock[key] = [count[2] if count else STOCK, 0, 0, count[0] if count else -1]
            if second > found[3]:
                found[0] += moved
            found[1] += reserved
            found[2] += demand
        places = {key: place(key) for key in stock}
        return (
            {places[key]: (found[0], found[1]) for key, found in stock.items()},
            {places[key]: found[2] for key, found in stock.items()},
        )


def _text(second: int) -> str:
    return f"2025-03-03T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}Z"


FILLING: tuple[tuple[str, str], ...] = (
    ("locations", """
        INSERT INTO location (location, name) SELECT 'L' || lpad(n::text, 3, '0'), 'Shop ' || n
        FROM generate_series(0, %(locations)s - 1) n"""),
    ("items", """
        INSERT INTO item (item, name, category, price)
        SELECT 'ITEM-' || lpad(n::text, 6, '0'), 'Item ' || n, 'food', 9.90
        FROM generate_series(0, %(positions)s / %(locations)s - 1) n"""),
    ("supplier", "INSERT INTO supplier (supplier, name) VALUES ('acme', 'Acme')"),
    ("clocks", "INSERT INTO business_clock (location, watermark) SELECT location, %(known)s FROM location"),
    ("sourcing", """
        INSERT INTO sourcing (location, item, supplier, unit_cost, lead_time_days)
        SELECT 'L' || lpad((k %% 200)::text, 3, '0'), 'ITEM-' || lpad((k / 200)::text, 6, '0'), 'acme', 5, 7
        FROM generate_series(0, %(positions)s - 1) k"""),
    # One position in two hundred is below its watch level and gets a need with its first event.
    ("positions", """
        INSERT INTO position (location, item, counted_units, counted_at, counted_source, counted_event,
                              last_assessed_at, watch_level_units, data_through)
        SELECT 'L' || lpad((k %% 200)::text, 3, '0'), 'ITEM-' || lpad((k / 200)::text, 6, '0'), %(stock)s,
               %(known)s - interval '1 day', 'opening', 'opening', %(known)s - interval '6 hours',
               CASE WHEN k %% 199 = 0 THEN 2 * %(stock)s ELSE 40 END, %(known)s - interval '1 day'
        FROM generate_series(0, %(positions)s - 1) k"""),
)  # fmt: skip
A_YEAR = """
    INSERT INTO daily_demand (location, item, day, units, priced_units, revenue)
    SELECT 'L' || lpad((k %% 200)::text, 3, '0'), 'ITEM-' || lpad((k / 200)::text, 6, '0'), %(day)s::date - d,
           1 + (k + d) %% 3, 1 + (k + d) %% 3, 9.90 * (1 + (k + d) %% 3)
    FROM generate_series(0, %(positions)s - 1) k, LATERAL generate_series(1 + k %% 10, 365, 10) d"""
"""Every position sells on every tenth day."""


def filling(positions: int, *, year: bool) -> tuple[tuple[tuple[str, str], ...], dict[str, object]]:
    """What fills the database, in order and with names, and its parameters. `year`: with a year of daily demand."""
    told = {"positions": positions, "locations": LOCATIONS, "stock": STOCK, "day": DAY,
            "known": DAY - timedelta(hours=12)}  # fmt: skip
    return (*FILLING, ("a year of demand", A_YEAR)) if year else FILLING, told
