"""The Deliveries page and its REST twin over the real odds of made-up orders."""

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from fastapi.testclient import TestClient

from activities.learning.deliveries import DeliveryForecasts
from console.auth import api_token, sign_in_token
from tests.fakes.console import KEY, ConsoleOverFakes
from tests.unit.test_console_pages import visible
from workflows.domain.deliveries import Deliveries, Delivery, OrderInFlight, SupplierRecord, SupplierYear, WaitingItem
from workflows.domain.scores import KeptPromises, LeadTimes, OpenReceipt

TODAY = date(2025, 11, 24)
LATE = LeadTimes(
    promised_days=7, supplier_days=(7, 8, 8, 9, 14) * 12, lane_days=(7, 8, 8, 9, 14) * 12, slips=(0, 0, 6) * 20,
    supplier_transport_days=(1,) * 60, supplier_handling_days=(6, 7, 7) * 20, delivered_permille=(1000,) * 50,
    supplier_kept=KeptPromises(judged=60, late=27),
)  # fmt: skip
GOOD = LeadTimes(
    promised_days=3, supplier_days=(3,) * 80, lane_days=(3,) * 80, supplier_kept=KeptPromises(judged=80, late=0)
)


def order(number: int, seen: LeadTimes, ago: int, promised: int, **receipt: Any) -> OrderInFlight:
    on = TODAY - timedelta(days=ago)
    facts = {
        "units": 240, "ordered_days_ago": ago, "expected_in_days": promised - ago, "promised_days": promised,
        "dated": True, "order_units": 240, "order_lines": 2, "order_value": 1008,
    }  # fmt: skip
    return OrderInFlight(
        order_id=f"S{number}:LEEDS:{on}:1", supplier=f"S{number}", supplier_name=f"Supplier <{number}>",
        location="LEEDS", today=TODAY, ordered_on=on, promised_on=on + timedelta(days=promised), currency="EUR",
        receipt=OpenReceipt.model_validate(facts | receipt), outstanding_value=Decimal("1008.00"), lead_times=seen,
        items=(
            WaitingItem(item="OAT-1L", name="Oat drink", units=120, on_hand_units=20, daily_units=Decimal(6),
                        price=Decimal("2.50")),
            WaitingItem(item="MUG", name="Enamel mug", units=120, on_hand_units=900, daily_units=Decimal(2),
                        price=Decimal("9.00")),
        ),
    )  # fmt: skip


ORDERS = (
    order(1, LATE, 4, 7), order(2, GOOD, 2, 3, shipped_days_ago=1),
    order(3, LATE, 10, 7, expected_in_days=2, revised=True),
)  # fmt: skip


class MemoryDeliveries(Deliveries):
    """`Deliveries` over three orders, judged by the real forecaster."""

    async def in_flight(self, limit: int = 200) -> list[Delivery]:
        return DeliveryForecasts().assess(ORDERS, None)[:limit]

    async def suppliers(self) -> list[SupplierRecord]:
        year = SupplierYear(supplier="S1", name="Supplier <1>", in_flight=1, lead_times=LATE)
        return DeliveryForecasts().records([year])


@pytest.fixture
def browser() -> Iterator[TestClient]:
    console = ConsoleOverFakes(deliveries=MemoryDeliveries())
    with TestClient(console.app, base_url="http://127.0.0.1") as client:
        client.get("/sign-in", params={"token": sign_in_token(KEY, "Ada")})
        yield client


def test_the_page_says_what_is_late_and_what_runs_out(browser: TestClient) -> None:
    answer = browser.get("/deliveries")
    text = visible(answer.text)
    assert "Orders in flight 3" in text
    assert "At risk of being late 2" in text
    assert "Supplier <1> to LEEDS" in text
    assert "Called late" in text and "On its way" in text and "Not shipped yet" in text  # noqa: PT018 - one thought
    assert "Oat drink" in text
    assert "Enamel mug" not in text, "900 mugs last"
    assert "now said: 26 Nov 2025" in text
    assert "27 of 60" in text
    assert "What the figures mean" in text
    assert "Supplier <1>" not in answer.text, "names are escaped"


def test_the_odds_are_those_of_the_suppliers_words() -> None:
    unreliable, reliable, revised = DeliveryForecasts().assess(ORDERS, None)
    assert float(unreliable.late_probability) == pytest.approx((20 + 10 * 0.75) / 70, abs=0.05)
    assert unreliable.likely_on == unreliable.promised_on
    assert reliable.late_probability == 0
    assert (revised.late_probability, revised.called_late) == (Decimal(1), True)
    assert revised.days_late >= 5
    (threat,) = unreliable.threats
    assert threat.item == "OAT-1L"
    assert float(threat.probability) == pytest.approx(float(unreliable.late_probability), abs=1e-3)


def test_programs_get_the_same_figures(browser: TestClient) -> None:
    headers = {"Authorization": f"Bearer {api_token(KEY, 'robot')}"}
    found = browser.get("/api/v1/deliveries", params={"limit": 2}, headers=headers).json()
    assert [one["order_id"] for one in found["deliveries"]] == [one.order_id for one in ORDERS[:2]]
    assert found["suppliers"][0]["late"] == 27
    assert found["deliveries"][0]["threats"][0]["item"] == "OAT-1L"
    browser.cookies.clear()
    assert browser.get("/api/v1/deliveries").status_code == 401


def test_without_orders_the_page_says_so() -> None:
    with TestClient(ConsoleOverFakes().app, base_url="http://127.0.0.1") as client:
        client.get("/sign-in", params={"token": sign_in_token(KEY, "Ada")})
        assert "Nothing is on its way" in client.get("/deliveries").text
