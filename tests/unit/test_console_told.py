"""Pages say what is invented, and show a location's instants on its own clock, whatever the season."""

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from fastapi.testclient import TestClient

from console.auth import sign_in_token
from console.formats import instant
from tests.fakes.console import KEY, ConsoleOverFakes
from workflows.domain.errors import Unavailable

OAT = "LEEDS:OAT-1L:1"
PAGES = ("/", "/inbox", f"/tasks/{OAT}", "/orders", "/models", "/policies", "/inventory", "/health", "/account")


@pytest.mark.parametrize(
    ("when", "zone", "shown"),
    [
        (datetime(2025, 3, 30, 0, 59, tzinfo=UTC), "Europe/Berlin", "30 Mar 2025, 01:59 CET"),
        (datetime(2025, 3, 30, 1, 0, tzinfo=UTC), "Europe/Berlin", "30 Mar 2025, 03:00 CEST"),
        (datetime(2025, 10, 26, 0, 30, tzinfo=UTC), "Europe/Berlin", "26 Oct 2025, 02:30 CEST"),
        (datetime(2025, 10, 26, 1, 30, tzinfo=UTC), "Europe/Berlin", "26 Oct 2025, 02:30 CET"),
        (datetime(2025, 3, 30, 20, 0, tzinfo=UTC), "Asia/Kathmandu", "31 Mar 2025, 01:45 UTC+05:45"),
        (datetime(2025, 3, 30, 20, 0, tzinfo=UTC), "Not/AZone", "30 Mar 2025, 20:00 UTC"),
        (datetime(2025, 3, 30, 20, 0, tzinfo=UTC), None, "30 Mar 2025, 20:00 UTC"),
    ],
)
def test_an_instant_is_on_the_clock_of_its_place(when: datetime, zone: str | None, shown: str) -> None:
    machines = when.isoformat(timespec="seconds")
    assert instant(when, zone).unescape() == f'<time datetime="{machines}">{shown}</time>'


async def everything() -> str:
    return "everything, by a test"


async def nothing() -> str:
    return ""


async def winter_and_summer() -> Mapping[str, str]:
    return {"LEEDS": "Pacific/Auckland"}


async def away() -> Mapping[str, str]:
    raise Unavailable("the database does not answer")


def test_every_page_says_that_its_data_are_invented() -> None:
    with TestClient(ConsoleOverFakes(invented=everything).app) as client:
        client.get("/sign-in", params={"token": sign_in_token(KEY, "Ada")})
        for page in PAGES:
            assert client.get(page).text.count("Invented here: everything, by a test.") == 1, page


def test_real_data_carry_no_banner() -> None:
    with TestClient(ConsoleOverFakes(invented=nothing).app) as client:
        client.get("/sign-in", params={"token": sign_in_token(KEY, "Ada")})
        assert not [page for page in PAGES if "Invented here" in client.get(page).text]


def test_a_decision_is_told_on_the_clock_of_its_location() -> None:
    with TestClient(ConsoleOverFakes(zones=winter_and_summer).app) as client:
        client.get("/sign-in", params={"token": sign_in_token(KEY, "Ada")})
        page = client.get(f"/tasks/{OAT}").text
    assert "NZDT</time>" in page
    assert "UTC</time>" not in page, "one page, one clock"


def test_pages_are_shown_when_nobody_can_say_the_time_zones() -> None:
    with TestClient(ConsoleOverFakes(invented=everything, zones=away).app) as client:
        client.get("/sign-in", params={"token": sign_in_token(KEY, "Ada")})
        assert client.get("/orders").status_code == 200
