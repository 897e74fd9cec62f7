"""REST for the inbox: views and counts, what one does with a task, saved views and substitutes."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from console.auth import api_token
from tests.fakes.busy_shop import busy_shop
from tests.fakes.console import KEY, ConsoleOverFakes
from tests.fakes.shop import CLOCK
from workflows.domain.inbox import View

OAT, TEA, MUG, CANDLE = "LEEDS:OAT-1L:1", "LONDON-WEST:22423:1", "YORK:MUG-E:1", "LEEDS:CANDLE-6:1"
TASKS = "/api/v1/tasks"


@pytest.fixture
def console() -> ConsoleOverFakes:
    return ConsoleOverFakes(busy_shop())


@pytest.fixture
def client(console: ConsoleOverFakes) -> Iterator[TestClient]:
    with TestClient(console.app) as client:
        yield client


def headers(name: str, key: str = "command-1") -> dict[str, str]:
    return {"Authorization": f"Bearer {api_token(KEY, name)}", "Idempotency-Key": key}


def get(client: TestClient, path: str, who: str = "Ada", **params: Any) -> Any:
    answer = client.get(path, params=params, headers=headers(who))
    assert answer.status_code == 200, answer.text
    return answer.json()


def post(client: TestClient, path: str, who: str = "Ada", key: str = "command-1", **body: Any) -> Any:
    return client.post(path, json=body, headers=headers(who, key))


def test_a_view_is_read_page_by_page(client: TestClient) -> None:
    first = get(client, TASKS, view="team", limit=5)
    rest = get(client, TASKS, view="team", limit=500, after=first["next"])
    assert rest["next"] is None
    ids = [row["decision_id"] for row in first["tasks"] + rest["tasks"]]
    assert len(ids) == len(set(ids)) == get(client, f"{TASKS}/counts")["counts"]["team"]["n"]
    costs = [float(row["cost_of_waiting"]) for row in first["tasks"] + rest["tasks"]]
    assert costs == sorted(costs, reverse=True)


def test_every_view_and_every_filter_answers(client: TestClient) -> None:
    counts = get(client, f"{TASKS}/counts")["counts"]
    for view in View:
        page = get(client, TASKS, view=view.value)
        if view is not View.ANSWERED:
            assert len(page["tasks"]) == counts[view]["n"], view
    assert [row["item"] for row in get(client, TASKS, view="sample")["tasks"]] == ["SALT-FINE"]
    choices = get(client, f"{TASKS}/choices")["choices"]
    for name in ("location", "supplier", "category", "rule"):
        for value in choices[name]:
            assert get(client, TASKS, view="team", **{name: value})["tasks"] or name == "rule", (name, value)
    assert get(client, TASKS, view="answered", state="rejected")["tasks"] == []
    assert get(client, TASKS, view="answered", state="approved")["tasks"]


def test_the_parameters_of_the_first_release_go_on_working(client: TestClient) -> None:
    first = get(client, TASKS, state="open", limit=4)
    rest = get(client, TASKS, state="open", after=first["next_after"])
    snoozed = [row for row in first["tasks"] + rest["tasks"] if row["item"] == "CANDLE-1"]
    assert snoozed, "all open tasks, snoozed ones too"
    assert get(client, TASKS, state="approved")["tasks"][0]["answered_by"] == "Bo"
    assert get(client, TASKS, state="all")["tasks"]


@pytest.mark.parametrize(
    "params",
    [
        {"view": "nothing"}, {"view": "team", "after": "x"}, {"location": "LEEDS"}, {"limit": 0}, {"limit": 501},
        {"view": "team", "text": "x" * 101}, {"view": "team", "text": "a\x00b"}, {"state": "odd"},
    ],
)  # fmt: skip
def test_odd_questions_are_refused_in_words(client: TestClient, params: dict[str, Any]) -> None:
    answer = client.get(TASKS, params=params, headers=headers("Ada"))
    assert answer.status_code == 422
    assert answer.json()["detail"]


def test_one_claims_and_the_other_is_told(client: TestClient) -> None:
    claimed = post(client, f"{TASKS}/{CANDLE}/claim", minutes=30)
    assert (claimed.status_code, claimed.json()["claimed_by"]) == (200, "Ada")
    refused = post(client, f"{TASKS}/{CANDLE}/claim", "Grace")
    assert refused.status_code == 409
    assert "Ada" in refused.json()["detail"]
    assert post(client, f"{TASKS}/{CANDLE}/unclaim").json()["claimed_by"] is None


def test_a_task_is_snoozed_until_one_of_three_things(client: TestClient) -> None:
    until, over = (CLOCK + timedelta(days=1)).isoformat(), (CLOCK - timedelta(hours=1)).isoformat()
    right: list[dict[str, Any]] = [{"until": until}, {"until_receipt": True}, {"forecast_moves_percent": 20}]
    for body in right:
        row = post(client, f"{TASKS}/{CANDLE}/snooze", **body).json()
        assert row["snooze_words"].startswith("until")
    assert post(client, f"{TASKS}/{CANDLE}/wake").json()["snooze_words"] == ""
    wrong: list[dict[str, Any]] = [
        {}, {"until_receipt": True, "until": until}, {"forecast_moves_percent": 0}, {"until": "soon"},
        {"until": "2025-11-25T06:00:00"}, {"until": over},
    ]  # fmt: skip
    for body in wrong:
        assert post(client, f"{TASKS}/{CANDLE}/snooze", **body).status_code == 422, body


def test_whoever_is_asked_may_say_something_whatever_else_they_may_do(client: TestClient) -> None:
    assert post(client, f"{TASKS}/{MUG}/comments", "Vera", text="Why?").status_code == 403
    asked = post(client, f"{TASKS}/{MUG}/comments", key="question-1", text="In the plan?", to="Vera")
    assert (asked.status_code, asked.json()["kind"]) == (201, "question")
    assert [row["decision_id"] for row in get(client, TASKS, "Vera", view="needs_me")["tasks"]] == [MUG]
    assert post(client, f"{TASKS}/{MUG}/comments", "Vera", key="answer-01", text="Yes.").status_code == 201
    said = get(client, f"{TASKS}/{MUG}/comments")["comments"]
    assert [(one["author"], one["text"]) for one in said] == [("Ada", "In the plan?"), ("Vera", "Yes.")]
    assert post(client, f"{TASKS}/{MUG}/comments", text="   ", key="command-9").status_code == 422


def test_a_task_is_forwarded_only_to_who_may_answer_it(client: TestClient) -> None:
    done = post(client, f"{TASKS}/{MUG}/forward", to="Grace", note="yours")
    assert (done.status_code, done.json()["forwarded_to"]) == (200, "Grace")
    for name in ("Vera", "Pia", "Nobody"):
        assert post(client, f"{TASKS}/{MUG}/forward", key="command-2", to=name).status_code == 422


def test_a_score_is_asked_for(client: TestClient, console: ConsoleOverFakes) -> None:
    assert post(client, f"{TASKS}/{OAT}/rescore").status_code == 202
    assert console.work.rescores_asked == [OAT]


def test_work_is_done_at_ones_own_locations(client: TestClient) -> None:
    for act, body in (
        ("claim", {}), ("unclaim", {}), ("snooze", {"until_receipt": True}), ("wake", {}), ("rescore", {}),
        ("forward", {"to": "Grace"}), ("comments", {"text": "x"}),
    ):  # fmt: skip
        there = post(client, f"{TASKS}/{MUG}/{act}", "Pia", **body)  # Pia works at LEEDS
        assert there.status_code == 403, act
        assert post(client, f"{TASKS}/{OAT}/{act}", "Vera", **body).status_code == 403, act
        assert post(client, f"{TASKS}/LEEDS:NONE:1/{act}", **body).status_code == 404, act
        without = client.post(
            f"{TASKS}/{OAT}/{act}", json=body, headers={"Authorization": headers("Ada")["Authorization"]}
        )
        assert without.status_code == 400, act


def test_nothing_is_done_with_an_answered_task(client: TestClient) -> None:
    done = "LEEDS:OATS-500:1"
    assert post(client, f"{TASKS}/{done}/claim").status_code == 409
    assert get(client, f"{TASKS}/{done}/comments")["comments"] == []


def test_views_are_kept_changed_and_dropped(client: TestClient) -> None:
    body: dict[str, Any] = {"name": "York", "view": "team", "filters": {"location": "YORK"}}
    made = post(client, "/api/v1/views", **body)
    assert made.status_code == 201
    again = post(client, "/api/v1/views", **body)
    assert again.json()["view_id"] == made.json()["view_id"]
    path = f"/api/v1/views/{made.json()['view_id']}"
    assert get(client, "/api/v1/views", "Grace")["views"] == []
    changed = client.put(path, json={**body, "shared": True}, headers=headers("Ada"))
    assert changed.json()["shared"] is True
    assert len(get(client, "/api/v1/views", "Grace")["views"]) == 1
    assert client.delete(path, headers=headers("Grace")).status_code == 403
    assert client.delete(path, headers=headers("Ada")).status_code == 204
    assert client.delete(path, headers=headers("Ada")).status_code == 404
    assert post(client, "/api/v1/views", name="", view="team").status_code == 422


def test_one_names_ones_own_substitute_and_an_admin_anybodys(client: TestClient) -> None:
    today = datetime.now(UTC).date()
    days = {"first_day": today.isoformat(), "last_day": today.isoformat()}
    assert post(client, "/api/v1/substitutes", substitute="Grace", **days).status_code == 201
    assert post(client, "/api/v1/substitutes", person="Grace", substitute="Ada", **days).status_code == 403
    assert post(client, "/api/v1/substitutes", "Adam", person="Grace", substitute="Ada", **days).status_code == 201
    assert post(client, "/api/v1/substitutes", substitute="Ada", **days).status_code == 422
    listed = get(client, "/api/v1/substitutes")["substitutes"]
    assert {(one["person"], one["substitute"]) for one in listed} == {("Ada", "Grace"), ("Grace", "Ada")}
    path = f"/api/v1/substitutes/Ada/{today}"
    assert client.delete(path, headers=headers("Grace")).status_code == 403
    assert client.delete(path, headers=headers("Ada")).status_code == 204
    assert len(get(client, "/api/v1/substitutes")["substitutes"]) == 1
