"""REST: the same desk and the same rules as the pages; errors are problem documents."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest
from fastapi.testclient import TestClient

from console.auth import api_token, sign_in_token
from tests.fakes.console import KEY, ConsoleOverFakes
from tests.fakes.shop import decided

OAT = "LEEDS:OAT-1L:1"
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def console() -> ConsoleOverFakes:
    return ConsoleOverFakes()


@pytest.fixture
def api(console: ConsoleOverFakes) -> Iterator[TestClient]:
    headers = {"Authorization": f"Bearer {api_token(KEY, 'robot')}"}
    with TestClient(console.app, headers=headers) as client:
        yield client


def answer(api: TestClient, key: str | None = "command-1", task: str = OAT, **changes: Any) -> Any:
    """Answer the task with the hash that stands now, unless told otherwise."""
    current = api.get(f"/api/v1/tasks/{OAT}").json()["proposal_hash"]
    body = {"proposal_hash": current, "meaning": "approve"} | changes
    headers = {} if key is None else {"Idempotency-Key": key}
    return api.post(f"/api/v1/tasks/{task}/verdict", json=body, headers=headers)


def test_tasks_come_dearest_first_and_page_by_page(api: TestClient) -> None:
    first = api.get("/api/v1/tasks", params={"limit": 4}).json()
    rest = api.get("/api/v1/tasks", params={"after": first["next_after"]}).json()

    costs = [float(task["cost_of_waiting"]) for task in first["tasks"] + rest["tasks"]]
    assert len(costs) == 9
    assert costs == sorted(costs, reverse=True)
    assert rest["next_after"] is None
    assert first["tasks"][0]["value"] == "6468.0000", "money is a decimal string"


def test_a_verdict_counts_once_and_says_that_the_workflow_heard_it(api: TestClient, console: ConsoleOverFakes) -> None:
    first, again = answer(api), answer(api)

    assert first.status_code == again.status_code == 200
    assert first.json() == again.json()
    assert first.json()["heard"] is True
    stored = console.shop.cases[OAT].approvals
    assert [(a["actor"], a["channel"]) for a in stored] == [("robot", "api")]


def test_a_key_with_another_body_is_refused(api: TestClient) -> None:
    answer(api)

    other = answer(api, comment="another")

    assert other.status_code == 422
    assert other.json()["type"] == "/docs/api#invalid-input"


def test_a_stale_answer_gets_what_stands_now(api: TestClient, console: ConsoleOverFakes) -> None:
    old = api.get(f"/api/v1/tasks/{OAT}").json()["proposal_hash"]
    console.shop.rescore(decided(daily=50, on_hand=10, revision=2))

    refused = answer(api, proposal_hash=old)

    problem = refused.json()
    assert refused.status_code == 409
    assert refused.headers["content-type"] == "application/problem+json"
    assert problem["type"] == "/docs/api#stale-proposal"
    assert problem["current"]["revision"] == 2
    assert problem["current"]["proposal_hash"] == console.shop.cases[OAT].decided.decision.proposal_hash != old


def test_the_second_verdict_hears_who_was_first(api: TestClient) -> None:
    answer(api)

    second = answer(api, key="command-2", meaning="reject", reason="too_much")

    assert (second.status_code, second.json()["type"]) == (409, "/docs/api#already-answered")
    assert second.json()["current"]["answered_by"] == "robot"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"meaning": "reject"}, "reason"),
        ({"meaning": "approve_edited"}, "units"),
        ({"meaning": "approve", "units": 5}, "units"),
        ({"meaning": "expire"}, "business clock"),
        ({"meaning": "approve_edited", "units": 0}, "units"),
        ({"proposal_hash": "abc"}, "proposal_hash"),
        ({"surprise": 1}, "surprise"),
        ({"decision_id": "LEEDS:OTHER:1"}, "decision_id"),
    ],
)
def test_an_incomplete_verdict_is_refused_by_name(api: TestClient, changes: dict[str, Any], says: str) -> None:
    refused = answer(api, **changes)

    assert refused.status_code == 422
    assert says in refused.json()["detail"]


def test_a_verdict_without_a_key_or_without_json_is_a_bad_request(api: TestClient) -> None:
    assert answer(api, key=None).status_code == 400
    assert answer(api, key="short").status_code == 400
    broken = api.post(f"/api/v1/tasks/{OAT}/verdict", content=b"{", headers=JSON | {"Idempotency-Key": "command-1"})
    assert (broken.status_code, broken.json()["type"]) == (400, "/docs/api#bad-request")


def test_the_whole_command_may_be_the_body(api: TestClient) -> None:
    assert answer(api, decision_id=OAT, command_id="command-1").status_code == 200


def test_unknown_ids_are_problems_too(api: TestClient) -> None:
    assert api.get("/api/v1/decisions/LEEDS:NONE:1").json()["type"] == "/docs/api#not-found"
    assert api.get("/api/v1/tasks/LEEDS:OIL-R:1").status_code == 404, "a hold has a decision but no task"
    assert api.get("/api/v1/decisions/LEEDS:OIL-R:1").json()["decision"]["result"]["kind"] == "hold"
    assert api.get("/api/v1/nothing").headers["content-type"] == "application/problem+json"
    assert answer(api, task="LEEDS:OIL-R:1").status_code == 404


def test_the_lists_are_served(api: TestClient) -> None:
    assert len(api.get("/api/v1/orders").json()["orders"]) == 4
    assert api.get("/api/v1/dead-letters").json()["dead_letters"][0]["error_code"] == "unknown_type"
    assert [m["number"] for m in api.get("/api/v1/models").json()["models"]] == [3, 2, 1]
    assert api.get("/api/v1/counts").json()["events"] == 128_412


def test_the_contract_describes_the_api_and_nothing_else(api: TestClient) -> None:
    paths = api.get("/api/v1/openapi.json").json()["paths"]

    assert all(path.startswith("/api/v1/") for path in paths)
    assert "/api/v1/tasks/{decision_id}/verdict" in paths


@pytest.mark.parametrize("path", ["/api/v1/openapi.json", "/docs/api"])
def test_nobody_waits_while_the_description_is_made(
    path: str, console: ConsoleOverFakes, api: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.get("/sign-in", params={"token": sign_in_token(KEY, "Ada")})
    begun, answered, made = Event(), Event(), console.app.openapi

    def slow() -> dict[str, Any]:
        begun.set()
        assert answered.wait(10), "somebody else's answer waited for it"
        return made()

    monkeypatch.setattr(console.app, "openapi", slow)
    with ThreadPoolExecutor() as pool:
        described = pool.submit(api.get, path)
        assert begun.wait(10)
        assert api.get("/api/v1/counts").status_code == 200
        answered.set()
        assert described.result().status_code == 200


def test_an_unknown_token_is_told_how_to_sign_in(console: ConsoleOverFakes) -> None:
    with TestClient(console.app) as client:
        refused = client.get("/api/v1/counts", headers={"Authorization": "Basic abc"})

    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
