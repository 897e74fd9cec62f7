"""Drift is shown with its alarms, its thresholds and what each statistic is, on the page and over REST."""

from collections.abc import Iterator
from datetime import date

import pytest
from fastapi.testclient import TestClient

from console.auth import api_token, sign_in_token
from tests.fakes.console import KEY, ConsoleOverFakes
from tests.fakes.monitoring import reading_of
from tests.unit.test_console_pages import visible
from workflows.domain.monitoring import DEFINITIONS

DAY = date(2025, 3, 2)


@pytest.fixture
def console() -> ConsoleOverFakes:
    return ConsoleOverFakes()


@pytest.fixture
def client(console: ConsoleOverFakes) -> Iterator[TestClient]:
    with TestClient(console.app) as client:
        client.get("/sign-in", params={"token": sign_in_token(KEY, "Ada")})
        yield client


async def test_before_a_day_was_read_nothing_is_said_of_drift(client: TestClient) -> None:
    assert "Drift" not in visible(client.get("/models").text)


async def test_the_models_page_shows_alarms_readings_and_what_they_mean(
    client: TestClient, console: ConsoleOverFakes
) -> None:
    console.monitoring.today = DAY
    await console.monitoring.record(DAY, "m" * 64, [reading_of("cusum"), reading_of("pit", "lumpy", alarm=False)])
    await console.monitoring.retraining_started("smooth:cusum:2025-03-02", "retraining/alarm/smooth")

    html = client.get("/models").text

    text = visible(html)
    for shown in ("open", "cusum is 9, on 200", "retraining/alarm/smooth", "200", "lumpy", *(
        words for _, words in DEFINITIONS.values()
    )):  # fmt: skip
        assert shown in text


async def test_a_day_with_too_few_outcomes_says_so(client: TestClient, console: ConsoleOverFakes) -> None:
    console.monitoring.today = DAY
    await console.monitoring.record(DAY, "m" * 64, [])

    text = visible(client.get("/models").text)

    assert "There has been no alarm." in text
    assert "Too few decisions" in text


async def test_rest_tells_the_same_with_definitions(console: ConsoleOverFakes) -> None:
    console.monitoring.today = DAY
    await console.monitoring.record(DAY, "m" * 64, [reading_of("cusum")])
    headers = {"Authorization": f"Bearer {api_token(KEY, 'robot')}"}
    with TestClient(console.app, headers=headers) as api:
        told = api.get("/api/v1/drift").json()

    assert told["day"] == "2025-03-02"
    assert [(one["statistic"], one["value"], one["alarm"]) for one in told["readings"]] == [("cusum", "9", True)]
    assert told["alarms"][0]["alarm_id"] == "smooth:cusum:2025-03-02"
    assert told["definitions"].keys() == DEFINITIONS.keys()
