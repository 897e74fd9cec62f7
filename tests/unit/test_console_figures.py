"""Figures, inventory, demand and sales on pages, over REST and as CSV; figures with their definition and time."""

import csv
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from console.auth import sign_in_token
from tests.fakes.console import KEY, ConsoleOverFakes
from tests.fakes.figures import LAST_DAY, MemoryStock, a_position
from tests.unit.test_console_pages import visible
from workflows.domain.figures import DEFINITIONS, markdown
from workflows.domain.forecasts import LONGEST_DAYS, MOST_SERIES
from workflows.domain.sending_figures import SENDING_DEFINITIONS

API = {"X-Requested-With": "tests"}
ROOT = Path(__file__).parents[2]


@pytest.fixture
def console() -> ConsoleOverFakes:
    return ConsoleOverFakes()


@pytest.fixture
def client(console: ConsoleOverFakes) -> Iterator[TestClient]:
    with TestClient(console.app) as client:
        client.get("/sign-in", params={"token": sign_in_token(KEY, "Ada")})
        yield client


def test_each_figure_leads_to_its_definition(client: TestClient) -> None:
    home, definitions = client.get("/").text, client.get("/definitions").text
    for one in DEFINITIONS:
        assert f'<a href="/definitions#{one.name}">{one.title}</a>' in home
        assert f'id="{one.name}"' in definitions
        for words in (one.counted, one.days, one.left_out, one.formula):
            assert visible(words) in visible(definitions).replace("&gt;", ">").replace("&lt;", "<")
    for one in SENDING_DEFINITIONS:
        assert f'id="{one.name}"' in definitions
    health, reports = client.get("/health").text, client.get("/reconciliation").text
    for one in SENDING_DEFINITIONS:
        assert f'"/definitions#{one.name}"' in health + reports


def test_the_document_says_what_the_pages_say() -> None:
    assert (ROOT / "docs" / "figures.md").read_text() == markdown(SENDING_DEFINITIONS), "write it there"


def test_figures_are_never_shown_without_their_time(client: TestClient, console: ConsoleOverFakes) -> None:
    console.figures.as_of = datetime(2025, 11, 24, 12, 4, tzinfo=UTC)
    html = client.get("/").text
    assert html.count('<time datetime="2025-11-24T12:04:00+00:00">') >= 3, "figures, locations, totals"
    assert "These figures are old" in html
    assert client.get("/api/v1/kpis").json()["as_of"].startswith("2025-11-24T12:04:00")

    console.figures.as_of = datetime.now(UTC) - timedelta(seconds=59)
    assert "These figures are old" not in client.get("/").text

    console.figures.as_of = None
    html = client.get("/").text
    assert "counted for the first time" in html
    assert "Out of stock" not in html
    assert client.get("/api/v1/kpis").json()["figures"] == []


def test_a_location_has_figures_of_its_own_and_the_company_their_sum(client: TestClient) -> None:
    text = visible(client.get("/").text)
    assert "Out of stock 4 % 18 of 500 live positions" in text
    assert "Inventory value 185,706.18 EUR 3 positions without a cost" in text
    assert "Fill rate 95 %" in text
    text = visible(client.get("/", params={"location": "YORK"}).text)
    assert "Out of stock 10 % 10 of 100 live positions" in text
    assert "Fill rate – nothing" not in text  # noqa: RUF001
    assert client.get("/", params={"location": "NOWHERE"}).status_code == 404
    told = {one["name"]: one for one in client.get("/api/v1/kpis", params={"location": "YORK"}).json()["figures"]}
    assert told["stock_out_share"]["value"] == "0.1000"
    assert told["fill_rate"]["value"] is None
    assert told["inventory_value"]["currency"] == "EUR"


def test_positions_come_worst_first_and_page_by_page(client: TestClient) -> None:
    seen: list[str] = []
    url: str | None = "/inventory?critical=true"
    while url:
        html = client.get(url).text
        seen += re.findall(r"<a href=\"/inventory/LEEDS/(ITEM-\d+)\"", html)
        found = re.search(r'<a href="([^"]+)" rel="next"', html)
        url = found[1].replace("&amp;", "&") if found else None
    assert seen == [f"ITEM-{n:03}" for n in range(99, 19, -1)]


def test_filters_stay_in_the_addresses_and_the_download_has_the_same(client: TestClient) -> None:
    html = client.get("/inventory", params={"text": "item-09", "location": "LEEDS"}).text
    assert "/inventory.csv?location=LEEDS&amp;text=item-09" in html
    rows = list(csv.DictReader(client.get("/inventory.csv?location=LEEDS&text=item-09").text.splitlines()))
    assert [row["item"] for row in rows] == [f"ITEM-{n:03}" for n in range(99, 89, -1)]
    assert "No position is like that" in client.get("/inventory", params={"location": "NOWHERE"}).text


def test_the_page_of_a_position_shows_what_moved_it(client: TestClient) -> None:
    html = client.get("/inventory/LEEDS/ITEM-007").text
    text = visible(html)
    assert "Available 50 on hand + on order - reserved" in text
    assert "4 have come" in text
    assert html.count("<tr") == 2 + 1 + 50
    pages = 1
    while found := re.search(r'<a href="([^"]+)" rel="next"', html):
        html, pages = client.get(found[1].replace("&amp;", "&")).text, pages + 1
    assert pages == 3
    assert "counted 100" in visible(html)
    assert client.get("/inventory/LEEDS/NONE").status_code == 404
    assert client.get("/inventory/LEEDS/%00").status_code == 404


def test_rest_gives_positions_with_a_cursor(client: TestClient) -> None:
    first = client.get("/api/v1/positions", params={"limit": 60}).json()
    rest = client.get("/api/v1/positions", params={"limit": 60, "after": first["next"]}).json()
    assert len({row["item"] for row in first["positions"] + rest["positions"]}) == 99
    assert rest["next"] is None
    assert first["positions"][0]["available"] == 50
    assert first["positions"][0]["cover_days"] == "5.0"
    assert client.get("/api/v1/positions", params={"after": "LEEDS:NONE"}).status_code == 422
    one = client.get("/api/v1/positions/LEEDS/ITEM-001").json()
    assert (len(one["movements"]), one["on_order"][0]["units"]) == (50, 12)


def test_demand_is_drawn_with_its_gap_and_told_in_a_table(client: TestClient) -> None:
    html = client.get("/demand/LEEDS/ITEM-001").text
    assert html.count('<polyline class="seen"') == 2, "a day that could not be seen is a gap"
    assert "1 days could not be seen" in html
    assert "missing" in visible(html)
    assert client.get("/demand/LEEDS/NONE").status_code == 404
    rows = list(csv.DictReader(client.get("/demand/LEEDS/ITEM-001/days.csv?days=28").text.splitlines()))
    assert (len(rows), rows[-1]["day"]) == (28, str(LAST_DAY))
    assert len(client.get("/api/v1/demand/LEEDS/ITEM-001").json()["days"]) == 91


def test_a_forecast_is_asked_for_on_the_page(client: TestClient) -> None:
    html = client.get("/demand/forecast", params={"products": "ITEM-001, ITEM-002", "horizon_days": "14"}).text
    assert html.count("<svg") >= 2
    assert "a" * 64 in html, "which model"
    assert "58.8 units expected in all" in visible(html)
    refused = client.get("/demand/forecast", params={"products": "ITEM-001", "horizon_days": "91"}).text
    assert "horizon_days: Input should be less than or equal to 90" in visible(refused)
    assert 'value="ITEM-001"' in refused, "what was typed is kept"
    assert "either" in visible(client.get("/demand/forecast", params={"products": "ITEM-001"}).text)
    many = {"products": "ITEM-001", "locations": ",".join(f"L{n}" for n in range(9)), "horizon_days": "7"}
    assert client.get("/demand/forecast", params=many).text.count('<svg class="chart') == 0, "a table of sums"
    rows = list(csv.DictReader(client.get("/demand/forecast.csv", params=many).text.splitlines()))
    assert (len(rows), rows[0]["p90"], rows[0]["mean"]) == (63, "7.2", "4.2")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"products": ["ITEM-001"], "horizon_days": 6}, "greater than or equal to 7"),
        ({"products": ["ITEM-001"], "horizon_days": 91}, "less than or equal to 90"),
        ({"products": ["ITEM-001"]}, "say either horizon_days, or both"),
        ({"products": ["ITEM-001"], "horizon_days": 7, "first_day": "2025-11-25", "last_day": "2025-11-26"}, "either"),
        ({"products": ["ITEM-001"], "first_day": "2025-11-26", "last_day": "2025-11-25"}, "before first_day"),
        ({"products": ["ITEM-001"], "first_day": "2025-11-01", "last_day": "2025-11-25"}, "known through"),
        ({"products": [f"I{n}" for n in range(MOST_SERIES + 1)], "horizon_days": 7}, "at most 100"),
        ({"products": ["ITEM-001"], "horizon_days": 7, "quantiles": ["0.33"]}, "cannot be told"),
        ({"products": ["\x00"], "horizon_days": 7}, "pattern"),
    ],
)
def test_a_forecast_that_cannot_be_is_refused_in_words(client: TestClient, body: dict[str, object], says: str) -> None:
    answer = client.post("/api/v1/forecasts", json=body, headers={**API, "Idempotency-Key": "a-key-of-mine"})
    assert answer.status_code == 422
    assert says in answer.json()["detail"]


def test_the_same_key_gives_the_same_forecast(client: TestClient) -> None:
    body = {"products": ["ITEM-001"], "locations": ["LEEDS"], "horizon_days": LONGEST_DAYS, "quantiles": ["0.5", "0.9"]}
    headers = {**API, "Idempotency-Key": "a-key-of-mine"}
    first = client.post("/api/v1/forecasts", json=body, headers=headers)
    assert first.status_code == 200
    assert len(first.json()["series"][0]["days"]) == LONGEST_DAYS
    assert set(first.json()["series"][0]["days"][0]["quantiles"]) == {"0.5", "0.9"}
    assert client.post("/api/v1/forecasts", json=body, headers=headers).json() == first.json()
    assert client.post("/api/v1/forecasts", json=body | {"horizon_days": 8}, headers=headers).status_code == 422
    assert client.post("/api/v1/forecasts", json=body, headers=API).status_code == 400


def test_sales_tell_what_today_adds_and_of_which_units_the_price_is_known(client: TestClient) -> None:
    text = visible(client.get("/sales").text)
    assert "6,356 units sold, for 11,900.00 EUR where the price is known (44 % of the units)" in text
    assert "LEEDS 24 Nov 2025, 12:04 UTC 31 45 90" in text
    assert "+50" in text
    assert "by week" in text
    assert client.get("/sales", params={"by": "item", "item": "NONE"}).status_code == 404
    rows = list(csv.DictReader(client.get("/sales.csv?periods=7").text.splitlines()))
    assert len(rows) == 14
    assert {row["location"] for row in rows} == {"LEEDS", "'=YORK"}, "no cell is a formula"
    assert client.get("/api/v1/sales", params={"period": "week", "periods": 4}).json()["today"][0]["sold_units"] == 31


def test_an_empty_installation_says_what_will_come() -> None:
    console = ConsoleOverFakes()
    console.figures.places = ()
    with TestClient(console.app) as client:
        client.get("/sign-in", params={"token": sign_in_token(KEY, "Ada")})
        assert "No event has come in yet" in client.get("/").text


def test_an_item_without_demand_has_no_cover_and_nothing_negative_has_a_value() -> None:
    row = a_position(1, on_hand=-4)
    assert (str(row.days_of_cover), str(row.value)) == ("0.0", "0.00")
    assert row.model_copy(update={"demand_p50_per_day": None}).days_of_cover is None
    assert MemoryStock([]).rows == []
