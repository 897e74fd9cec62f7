"""Online Retail: every kind of dirt comes out as the event it means, or is skipped and counted with its reason."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from connectors.feeds.online_retail import LOCATION, OnlineRetail
from workflows.domain.errors import InvalidInput
from workflows.domain.events import Event, SaleCancelled, SaleRecorded, StockAdjusted
from workflows.domain.feeds import FeedSource

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"


def _row(
    invoice: str, code: str, quantity: int | str, when: str, price: str = "2.55", customer: str = "17850.0"
) -> str:
    return f"{invoice},{code},WHITE MUG,{quantity},{when},{price},{customer},United Kingdom"


def _feed(folder: Path, *rows: str, days: int | None = None, seed: int = 7) -> OnlineRetail:
    path = folder / "online_retail.csv"
    path.write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    return OnlineRetail(path, days=days, seed=seed)


def _events(feed: FeedSource) -> list[Event]:
    days = (feed.last_day - feed.first_day).days + 1
    return [event for n in range(days) for event in feed.day(feed.first_day + timedelta(days=n), {})]


def _assert_every_row_is_accounted_for(feed: OnlineRetail) -> None:
    report = feed.report()
    assert report.rows_read == feed.event_rows + feed.history_rows + sum(report.skipped.values())


SALE = _row("536365", "85123a", 6, "2010-12-01 08:26:00")


def test_a_line_becomes_a_sale_of_the_normalised_article(tmp_path: Path) -> None:
    feed = _feed(tmp_path, SALE)
    (event,) = _events(feed)
    assert event.data == SaleRecorded(
        item="85123A", location=LOCATION, sale_id="536365-85123A-1", units=6, unit_price=Decimal("2.5500")
    )
    assert event.time == datetime(2010, 12, 1, 8, 26, tzinfo=UTC)
    assert [item.item for item in feed.catalog.items] == ["85123A"]
    assert feed.report().invented


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (SALE, "exact_duplicate"),
        (_row("1", "POST", 1, "2010-12-02 09:00:00"), "not_an_article"),
        (_row("1", "gift_0001_20", 1, "2010-12-02 09:00:00"), "not_an_article"),
        (_row("A563185", "B", 1, "2010-12-02 09:00:00", "11062.06"), "not_an_article"),
        (_row("1", "85123A", 5, "2010-12-02 09:00:00", "0.0"), "zero_price"),
        (_row("1", "85123A", 5, "2010-12-02 09:00:00", "-1.0"), "negative_price"),
        (_row("1", "85123A", 0, "2010-12-02 09:00:00"), "zero_quantity"),
        (_row("1", "85123A", "many", "2010-12-02 09:00:00"), "unreadable_row"),
        (_row("1", "85123A", "999999999", "2010-12-02 09:00:00"), "unreadable_row"),
        (_row("1", "85123A", 1, "tomorrow"), "unreadable_row"),
        (_row("1", "85123A", 1, "2010-12-02 09:00:00", "NaN"), "unreadable_row"),
        ("1,85123A", "unreadable_row"),
        (_row("C1", "85123A", -7, "2010-12-02 09:00:00"), "cancellation_unmatched"),
        (_row("C1", "85123A", -1, "2010-12-01 08:25:00"), "cancellation_unmatched"),
        (_row("C1", "85123A", -1, "2010-12-02 09:00:00", customer="99.0"), "cancellation_unmatched"),
        (_row("C1", "85123A", -1, "2010-12-02 09:00:00", customer=""), "cancellation_without_customer"),
        (_row("C1", "85123A", 1, "2010-12-02 09:00:00"), "cancellation_of_nothing"),
        (_row("1", "85123A", -1, "2010-12-02 09:00:00"), "negative_quantity_unexplained"),
        (_row("1", "99999", -1, "2010-12-02 09:00:00", "0.0", ""), "write_off_of_item_never_sold"),
    ],
)
def test_a_row_that_is_no_event_is_counted_with_its_reason(tmp_path: Path, row: str, reason: str) -> None:
    feed = _feed(tmp_path, SALE, row)
    assert feed.report().skipped == {reason: 1}
    assert len(_events(feed)) == feed.report().events == 1
    _assert_every_row_is_accounted_for(feed)


def test_the_shops_own_articles_are_articles(tmp_path: Path) -> None:
    feed = _feed(
        tmp_path, _row("1", "DCGSSGIRL", 1, "2010-12-02 09:00:00"), _row("1", "15056BL", 1, "2010-12-02 09:00:00")
    )
    assert [item.item for item in feed.catalog.items] == ["15056BL", "DCGSSGIRL"]


def test_a_cancellation_takes_back_the_latest_sale_that_still_has_the_units(tmp_path: Path) -> None:
    feed = _feed(
        tmp_path,
        _row("1", "85123A", 10, "2010-12-01 09:00:00"),
        _row("2", "85123A", 6, "2010-12-02 09:00:00"),
        _row("3", "85123A", 2, "2010-12-03 09:00:00"),
        _row("C4", "85123A", -4, "2010-12-04 09:00:00"),
        _row("C5", "85123A", -4, "2010-12-05 09:00:00"),
        _row("C6", "85123A", -7, "2010-12-06 09:00:00"),
    )
    taken_back = [event.data for event in _events(feed) if isinstance(event.data, SaleCancelled)]
    assert [(c.sale_id, c.units, c.sold_at.day) for c in taken_back] == [("2-85123A-1", 4, 2), ("1-85123A-1", 4, 1)]
    assert feed.report().skipped == {"cancellation_unmatched": 1}, "6 of the first sale are left, not 7"


def test_a_write_off_is_an_adjustment_with_the_shops_words(tmp_path: Path) -> None:
    row = "1,85123A,thrown away,-30,2010-12-02 09:00:00,0.0,,United Kingdom"
    assert _events(_feed(tmp_path, SALE, row))[1].data == StockAdjusted(
        item="85123A", location=LOCATION, delta_units=-30, reason="thrown away"
    )


def test_history_is_net_of_what_was_cancelled_before_the_first_day(tmp_path: Path) -> None:
    feed = _feed(
        tmp_path,
        _row("1", "23166", 74215, "2011-01-18 10:01:00", "1.04", "12346.0"),
        _row("C2", "23166", -74215, "2011-01-18 10:17:00", "1.04", "12346.0"),
        _row("3", "23166", 12, "2011-01-19 10:00:00"),
        _row("4", "23166", 8, "2011-01-19 12:00:00"),
        "5,23166,damaged,-3,2011-01-19 13:00:00,0.0,,United Kingdom",
        _row("C6", "23166", -8, "2011-01-30 12:00:00"),
        _row("7", "23166", 5, "2011-02-10 12:00:00"),
        days=12,
    )
    assert (feed.first_day, feed.last_day) == (date(2011, 1, 30), date(2011, 2, 10))
    assert [(row.day, row.units) for row in feed.recorded_demand()] == [(date(2011, 1, 19), 20)]
    cancelled, sold = (event.data for event in _events(feed))
    assert isinstance(cancelled, SaleCancelled)
    assert cancelled.sold_at.date() == date(2011, 1, 19), "the event takes recorded demand back on the day of the sale"
    assert isinstance(sold, SaleRecorded)
    assert feed.report().skipped == {"write_off_before_first_day": 1}
    assert (feed.history_rows, feed.event_rows) == (4, 2)
    _assert_every_row_is_accounted_for(feed)


def test_one_article_on_several_lines_of_an_invoice_is_several_sales(tmp_path: Path) -> None:
    feed = _feed(tmp_path, SALE, _row("536365", "85123A", 2, "2010-12-01 08:26:00"))
    assert [event.id for event in _events(feed)] == ["536365-85123A-1", "536365-85123A-2"]


def test_the_spreadsheets_header_and_dates_are_read_too(tmp_path: Path) -> None:
    path = tmp_path / "second.csv"
    path.write_text(
        "Invoice,StockCode,Description,Quantity,InvoiceDate,Price,Customer ID,Country\n"
        "1,85123A,MUG,6,12/1/2010 8:26,2.55,17850,United Kingdom\n"
    )
    assert _events(OnlineRetail(path))[0].time == datetime(2010, 12, 1, 8, 26, tzinfo=UTC)


def test_a_file_without_a_sale_and_an_impossible_stretch_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="not_an_article"):
        _feed(tmp_path, _row("1", "POST", 1, "2010-12-02 09:00:00"))
    with pytest.raises(InvalidInput, match="days"):
        _feed(tmp_path, SALE, days=0)


def test_a_longer_stretch_than_the_file_plays_the_whole_file(tmp_path: Path) -> None:
    feed = _feed(tmp_path, SALE, days=400)
    assert feed.first_day == feed.last_day == date(2010, 12, 1)


def test_another_seed_invents_another_stock_under_another_source(tmp_path: Path) -> None:
    rows = [_row(str(n), str(20_000 + n), 40, "2010-12-01 08:26:00") for n in range(20)]
    one, same, other = _feed(tmp_path, *rows), _feed(tmp_path, *rows), _feed(tmp_path, *rows, seed=8)
    assert one.opening() == same.opening()
    assert [e.data for e in one.opening()] != [e.data for e in other.opening()]
    assert not {e.source for e in one.opening()} & {e.source for e in other.opening()}
