"""A version's page tells its life and its record; only who may promotes or goes back, and REST says the same."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from console.auth import api_token, sign_in_token
from console.charts_calibration import levels
from tests.fakes.console import KEY, ConsoleOverFakes
from tests.fakes.model_history import MemoryModelHistory
from workflows.domain.models import ModelStatus


@pytest.fixture
def console() -> ConsoleOverFakes:
    return ConsoleOverFakes()


@pytest.fixture
def client(console: ConsoleOverFakes) -> Iterator[TestClient]:
    with TestClient(console.app) as client:
        yield client


def sign_in(client: TestClient, name: str) -> None:
    client.get("/sign-in", params={"token": sign_in_token(KEY, name)})


async def champion(console: ConsoleOverFakes) -> str:
    found = await console.models.champion()
    assert found is not None
    return found.digest


async def test_a_version_s_page_tells_its_life_and_how_it_did(console: ConsoleOverFakes, client: TestClient) -> None:
    sign_in(client, "Ada")

    page = client.get(f"/models/{await champion(console)}").text

    assert "Ada" in page
    assert "12 %" in page, "24 of 200 outcomes at or below P10"
    assert "+2.5 %" in page, "4,000 sold, 3,900 expected"
    assert client.get("/models/0000000000").status_code == 404


async def test_only_who_may_promote_is_offered_the_way_back(console: ConsoleOverFakes, client: TestClient) -> None:
    sign_in(client, "Vera")
    assert "Go back" not in client.get("/models").text

    sign_in(client, "Grace")
    page = client.get("/models").text
    csrf = page.split('name="csrf" value="')[1].split('"')[0]
    before = await champion(console)
    retired = [one for one in await console.models.versions() if one.status is ModelStatus.RETIRED]
    answer = client.post("/models/rollback", data={"csrf": csrf}, follow_redirects=False)

    if retired:
        assert "Go back" in page
        assert answer.status_code == 303
        assert await champion(console) == retired[0].digest != before
    else:
        assert answer.status_code == 409


async def test_rest_gives_the_record_and_pages_the_versions(console: ConsoleOverFakes, client: TestClient) -> None:
    headers = {"Authorization": f"Bearer {api_token(KEY, 'Ada')}"}
    versions = await console.models.versions()

    told = client.get(f"/api/v1/models/{versions[0].digest[:12]}", headers=headers).json()
    first = client.get("/api/v1/models", params={"limit": 1}, headers=headers).json()
    second = client.get("/api/v1/models", params={"limit": 500, "after": first["next"]}, headers=headers).json()

    assert told["model"]["digest"] == versions[0].digest
    assert told["turned_out"][0]["category"] == "drinks"
    assert [one["number"] for one in first["models"] + second["models"]] == [one.number for one in versions]
    assert second["next"] is None


async def test_levels_are_shares_of_outcomes() -> None:
    drinks, ceramics = await MemoryModelHistory().turned_out("")

    assert [round(float(level.share), 2) for level in levels(drinks)] == [0.12, 0.52, 0.89]
    assert levels(ceramics) == ()
