"""Rights hold for each row where the ids are in the body, and the matrix of rights sees a route that forgets itself."""

from collections.abc import Iterator

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.testclient import TestClient

from console.auth import COOKIE, api_token, sign_in_token
from console.signing import csrf
from tests.fakes.console import KEY, ConsoleOverFakes
from tests.fakes.files import MemoryFiles
from tests.unit.test_console_policy_matrix import ABOUT_ONESELF, APP, ASKED, ELSEWHERE, HERE, named, walk
from workflows.domain.approvals import TaskState
from workflows.domain.people import LOCATED, Permission, Person, Role

HELD = Person(name="held", roles=frozenset({Role.PLANNER, Role.APPROVER}), locations=frozenset({"LEEDS"}))


@pytest.fixture
def console() -> ConsoleOverFakes:
    console = ConsoleOverFakes(files=MemoryFiles())
    console.people.known[HELD.name] = HELD
    return console


@pytest.fixture
def client(console: ConsoleOverFakes) -> Iterator[TestClient]:
    with TestClient(console.app, follow_redirects=False) as client:
        client.get("/sign-in", params={"token": sign_in_token(KEY, HELD.name)})
        yield client


def hashed(console: ConsoleOverFakes, decision_id: str) -> str:
    return console.shop.cases[decision_id].decided.decision.proposal_hash


def states(console: ConsoleOverFakes) -> list[str]:
    return [(console.shop.cases[one].task or {})["state"] for one in (HERE, ELSEWHERE)]


BOTH = [TaskState.REJECTED, TaskState.OPEN]


def test_many_answers_over_rest_reach_ones_own_locations(console: ConsoleOverFakes, client: TestClient) -> None:
    rows = [{"decision_id": one, "proposal_hash": hashed(console, one)} for one in (HERE, ELSEWHERE)]
    headers = {"Authorization": f"Bearer {api_token(KEY, HELD.name)}", "Idempotency-Key": "rows of two places"}
    body = {"rows": rows, "meaning": "reject", "reason": "other"}
    assert client.post("/api/v1/tasks/bulk-verdict", json=body, headers=headers).json()["refused"] == 1
    assert states(console) == BOTH


def test_many_answers_of_a_form_reach_ones_own_locations(console: ConsoleOverFakes, client: TestClient) -> None:
    lines = [f"{one}|{hashed(console, one)}|{one}" for one in (HERE, ELSEWHERE)]
    form = {"csrf": csrf(KEY, client.cookies[COOKIE]), "sure": "yes", "meaning": "reject", "reason": "other"}
    assert "1 of 2 rejected" in client.post("/inbox/bulk", data={**form, "task": lines, "command": "x"}).text
    assert states(console) == BOTH


def test_a_file_with_a_row_of_another_location_answers_nothing(console: ConsoleOverFakes, client: TestClient) -> None:
    rows = "".join(f"{one},{hashed(console, one)},reject,other\n" for one in (HERE, ELSEWHERE))
    headers = {"Idempotency-Key": "file of two places", "X-Requested-With": "test"}
    raw = "decision_id,proposal_hash,meaning,reason\n" + rows
    assert client.post("/api/v1/files/verdicts", content=raw, headers=headers).status_code == 422
    assert states(console) == [TaskState.OPEN, TaskState.OPEN]


def test_one_persons_view_and_substitute_are_nobody_elses_to_change(
    console: ConsoleOverFakes, client: TestClient
) -> None:
    def bearer(name: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {api_token(KEY, name)}", "Idempotency-Key": f"a key of {name}"}

    view = {"name": "Mine", "view": "team", "shared": True}
    kept = client.post("/api/v1/views", json=view, headers=bearer("Ada")).json()
    address = f"/api/v1/views/{kept['view_id']}"
    assert client.put(address, json={**view, "name": "Taken"}, headers=bearer("Bob")).status_code == 403
    assert client.delete(address, headers=bearer("Bob")).status_code == 403
    away = {"person": "Ada", "substitute": "Bob", "first_day": "2099-01-01", "last_day": "2099-01-02"}
    assert client.post("/api/v1/substitutes", json=away, headers=bearer("Bob")).status_code == 403


def test_a_key_of_another_person_opens_no_answer_of_theirs(console: ConsoleOverFakes, client: TestClient) -> None:
    body = {"meaning": "reject", "reason": "other", "proposal_hash": hashed(console, HERE), "comment": "of Ada alone"}
    sent = [
        client.post(
            f"/api/v1/tasks/{HERE}/verdict", json=body,
            headers={"Authorization": f"Bearer {api_token(KEY, name)}", "Idempotency-Key": "one key of two"},
        )
        for name in ("Ada", HELD.name)
    ]  # fmt: skip
    assert [one.status_code for one in sent] == [200, 422]
    assert "Ada" not in sent[1].text


def test_no_route_that_changes_a_task_slips_by_the_matrix() -> None:
    """A replay computes and is noted, hence a POST; it reads the record and changes no task."""
    about = [way for way in ASKED if way.method != "GET" and "{decision_id}" in way.path]
    changing = [way for way in about if not way.path.endswith("/{decision_id}/replay")]
    assert 0 < len(changing) == len(about) - 2
    for way in changing:
        assert way.needs & LOCATED, f"{named(way)} acts on a task: name a permission that locations narrow"


def test_the_matrix_sees_a_route_that_names_nothing() -> None:
    router = APIRouter()
    router.add_api_route("/forgotten", lambda: "open", methods=["POST"])
    app = FastAPI()
    app.include_router(router)
    [way] = [one for one in walk(app.routes) if one.path == "/forgotten"]
    assert not way.doors
    assert not way.needs
    assert way.path not in ABOUT_ONESELF
    assert all(one.doors for one in walk(APP.routes) if one in ASKED)
    assert Permission.SEE in next(one for one in ASKED if one.path == "/inbox").needs
