"""What the feeds promise, held on the public Online Retail file itself; skipped where it is not beside the checkout."""

from collections import Counter
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from connectors.feeds.online_retail import OnlineRetail
from workflows.domain.events import Event, parse
from workflows.domain.positions import movement_of

REAL = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "online_retail.csv.gz"
pytestmark = pytest.mark.skipif(not REAL.exists(), reason="the public Online Retail file is not beside the checkout")


def events_of(feed: OnlineRetail) -> list[Event]:
    days = (feed.last_day - feed.first_day).days + 1
    return [event for n in range(days) for event in feed.day(feed.first_day + timedelta(days=n), {})]


@pytest.fixture(scope="module")
def real() -> OnlineRetail:
    return OnlineRetail(REAL, days=28)


def test_the_real_files_last_month_is_read_as_it_is(real: OnlineRetail) -> None:
    report = real.report()
    assert report.rows_read == 541_909
    assert report.skipped["exact_duplicate"] == 5_268
    assert report.events > 10_000
    assert report.rows_read == real.event_rows + real.history_rows + sum(report.skipped.values())
    assert (real.first_day, real.last_day) == (date(2011, 11, 12), date(2011, 12, 9))


def test_the_real_files_events_are_unique_ordered_and_readable(real: OnlineRetail) -> None:
    events = events_of(real)
    assert len(events) == real.report().events == real.event_rows
    assert len({(e.source, e.id) for e in events + real.opening()}) == len(events) + len(real.opening())
    assert all(earlier.time <= later.time for earlier, later in pairwise(events))
    for event in events[::7]:
        assert parse(event.to_bytes()) == event
    known = {item.item for item in real.catalog.items}
    assert {movement.item for movement in filter(None, map(movement_of, events))} <= known


def test_80995_paper_birds_sold_and_cancelled_in_minutes_leave_no_demand(real: OnlineRetail) -> None:
    birds = [m for m in map(movement_of, real.day(date(2011, 12, 9), {})) if m and m.item == "23843"]
    assert [movement.demand_units for movement in birds] == [80_995, -80_995]
    assert {movement.demand_day for movement in birds} == {date(2011, 12, 9)}


def test_the_real_history_is_net_and_never_below_zero(real: OnlineRetail) -> None:
    largest: Counter[str] = Counter()
    for row in real.recorded_demand():
        assert row.units > 0
        assert row.day < real.first_day
        largest[row.item] = max(largest[row.item], row.units)
    assert largest["23166"] < 10_000, "74,215 jars were cancelled sixteen minutes after they were sold"


def test_over_fifty_real_articles_run_out_within_the_month_unless_somebody_orders(real: OnlineRetail) -> None:
    stock: Counter[str] = Counter()
    for movement in filter(None, map(movement_of, real.opening() + events_of(real))):
        stock[movement.item] += movement.on_hand_delta + (movement.counted_units or 0)
    assert sum(units <= 0 for units in stock.values()) > 50
