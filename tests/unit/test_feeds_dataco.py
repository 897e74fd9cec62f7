"""DataCo: order lines become sales by region, cancelled ones are taken back, and no person is in any event."""

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from connectors.feeds.dataco import COLUMNS, DataCo, location_code
from workflows.domain.errors import InvalidInput
from workflows.domain.events import Event, SaleCancelled, SaleRecorded, parse

PERSONAL = {
    "Customer Email": "ada@example.org",
    "Customer Fname": "Ada",
    "Customer Lname": "Lovelace",
    "Customer Password": "hunter2",
    "Customer Street": "1 Analytical Row",
}
ORDER = {
    "Order Item Id": "78239",
    "Order Region": "West of USA ",
    "Order Status": "PROCESSING",
    "order date (DateOrders)": "4/1/2016 21:05",
    "Order Item Quantity": "2",
    "Order Item Product Price": "199.9900055",
    "Product Card Id": "1073",
    "Product Name": "Pelican Sunstream 100 Kayak",
    "Category Name": "Water Sports",
}
REAL = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "dataco_sample.csv.gz"
needs_real_file = pytest.mark.skipif(not REAL.exists(), reason="the public DataCo sample is not beside the checkout")


def _feed(folder: Path, *orders: dict[str, str], days: int | None = None) -> DataCo:
    columns = [*PERSONAL, *COLUMNS]
    lines = [",".join(columns)]
    lines.extend(",".join({**PERSONAL, **ORDER, **order}[column] for column in columns) for order in orders)
    path = folder / "dataco.csv"
    path.write_text("\n".join(lines) + "\n", encoding="latin-1")
    return DataCo(path, days=days)


def _events(feed: DataCo) -> list[Event]:
    days = (feed.last_day - feed.first_day).days + 1
    return [event for n in range(days) for event in feed.day(feed.first_day + timedelta(days=n), {})]


def test_an_order_line_is_a_sale_at_its_region(tmp_path: Path) -> None:
    (event,) = _events(_feed(tmp_path, {}))
    assert event.data == SaleRecorded(
        item="P1073", location="WEST-OF-USA", sale_id="line-78239", units=2, unit_price=Decimal("199.99")
    )


@pytest.mark.parametrize("status", ["CANCELED", "SUSPECTED_FRAUD"])
def test_cancelled_and_fraudulent_orders_are_sold_and_taken_back(tmp_path: Path, status: str) -> None:
    sale, back = _events(_feed(tmp_path, {"Order Status": status, "order date (DateOrders)": "4/1/2016 23:59"}))
    assert isinstance(back.data, SaleCancelled)
    assert (back.data.sold_at, back.data.units) == (sale.time, 2)
    assert sale.time < back.time
    assert back.time.date() == date(2016, 4, 1)


def test_history_leaves_out_what_was_cancelled(tmp_path: Path) -> None:
    feed = _feed(
        tmp_path,
        {},
        {"Order Item Id": "2", "Order Status": "CANCELED"},
        {"Order Item Id": "3", "order date (DateOrders)": "6/1/2016 8:00"},
        days=5,
    )
    assert [(row.day, row.units) for row in feed.recorded_demand()] == [(date(2016, 4, 1), 2)]
    assert (feed.history_rows, feed.event_rows, feed.report().events) == (2, 1, 1)


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        ({}, "duplicate_order_item"),
        ({"Order Item Id": "9", "Order Item Quantity": "0"}, "quantity_not_positive"),
        ({"Order Item Id": "9", "Order Item Quantity": "two"}, "unreadable_row"),
        ({"Order Item Id": "9", "Order Item Product Price": "0"}, "price_not_positive"),
        ({"Order Item Id": "9", "Order Item Product Price": "nan"}, "unreadable_row"),
        ({"Order Item Id": "9", "order date (DateOrders)": "31/31/2016 1:00"}, "unreadable_row"),
        ({"Order Item Id": "9", "Order Region": " - "}, "unreadable_row"),
        ({"Order Item Id": ""}, "unreadable_row"),
    ],
)
def test_a_row_that_is_no_event_is_counted_with_its_reason(tmp_path: Path, order: dict[str, str], reason: str) -> None:
    feed = _feed(tmp_path, {}, order)
    report = feed.report()
    assert report.skipped == {reason: 1}
    assert report.rows_read == feed.event_rows + feed.history_rows + sum(report.skipped.values())


def test_missing_columns_are_named(tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("Order Item Id,Order Region\n1,Oceania\n")
    with pytest.raises(InvalidInput, match=r"7 of 9 needed columns: Order Status, order date \(DateOrders\)"):
        DataCo(path)


def test_no_person_is_in_anything_that_leaves_the_feed(tmp_path: Path) -> None:
    feed = _feed(tmp_path, {}, {"Order Item Id": "2", "Order Status": "CANCELED"})
    everything = [event.to_bytes().decode() for event in _events(feed) + feed.opening()]
    everything += [feed.catalog.model_dump_json(), feed.report().model_dump_json()]
    assert not [word for word in PERSONAL.values() if any(word in text for text in everything)]


@pytest.mark.parametrize(
    ("region", "code"), [("South of  USA ", "SOUTH-OF-USA"), ("Canada", "CANADA"), ("Méx/1", "M-X-1"), ("  ", "")]
)
def test_a_region_becomes_a_code(region: str, code: str) -> None:
    assert location_code(region) == code


@needs_real_file
def test_the_real_sample_is_read_whole() -> None:
    feed = DataCo(REAL)
    report, events = feed.report(), _events(feed)
    assert report.rows_read == 6_000 == feed.event_rows + sum(report.skipped.values())
    cancelled = sum(isinstance(event.data, SaleCancelled) for event in events)
    assert cancelled == 261, "the sample's 115 cancelled orders and 146 suspected frauds"
    assert len(events) == report.events == 6_261
    assert len({(event.source, event.id) for event in events}) == len(events)
    for event in events[::5]:
        assert parse(event.to_bytes()) == event
    assert len(feed.catalog.locations) == 23


@needs_real_file
def test_the_real_samples_last_year_has_a_past() -> None:
    feed = DataCo(REAL, days=365)
    assert feed.history_rows + feed.event_rows == 6_000
    assert all(row.day < feed.first_day and row.units > 0 for row in feed.recorded_demand())
