"""The policy over REST and on pages: tried, proposed, and brought into force by another person, by one desk."""

import html
import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from fastapi.testclient import TestClient

from console.auth import api_token, sign_in_token
from tests.fakes.console import KEY, ConsoleOverFakes
from workflows.domain.policies import Policy

DRAFT = {"document": {"auto_value_limit": 10000, "costly_if_wrong_limit": 1e5}, "weeks": 4}


@pytest.fixture
def console() -> ConsoleOverFakes:
    return ConsoleOverFakes()


@pytest.fixture
def people(console: ConsoleOverFakes) -> Iterator[dict[str, TestClient]]:
    """Ada and Bob as programs."""
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(
                TestClient(
                    console.app,
                    headers={"Authorization": f"Bearer {api_token(KEY, name)}", "Idempotency-Key": f"key of {name}"},
                )
            )
            for name in ("Ada", "Bob")
        }


@pytest.fixture
def browser(console: ConsoleOverFakes) -> Iterator[TestClient]:
    """Ada at a browser."""
    with TestClient(console.app) as client:
        client.get("/sign-in", params={"token": sign_in_token(KEY, "Ada")})
        yield client


def proposed(ada: TestClient, **changes: Any) -> dict[str, Any]:
    """A change by Ada."""
    said = ada.post("/api/v1/policy/changes", json={**DRAFT, "reason": "people are asked too often", **changes})
    assert said.status_code == 200, said.text
    return dict(said.json())


def answered(who: TestClient, change: dict[str, Any], meaning: str = "approve", reason: str = "") -> Any:
    """Somebody's answer."""
    return who.post(
        f"/api/v1/policy/changes/{change['change_id']}/verdict", json={"meaning": meaning, "reason": reason}
    )


def test_what_is_in_force_is_the_document_that_a_change_starts_from(people: dict[str, TestClient]) -> None:
    found = people["Ada"].get("/api/v1/policy").json()
    assert found["digest"] == Policy().digest
    found["policy"]["auto_value_limit"] = "2000"
    change = proposed(people["Ada"], document=found["policy"])
    assert change["differences"] == [{"limit": "auto_value_limit", "before": "1500", "after": "2000"}]
    assert (change["policy"]["version"], change["state"], change["author"]) == (2, "proposed", "Ada")


def test_a_dry_run_stores_nothing(people: dict[str, TestClient]) -> None:
    trial = people["Ada"].post("/api/v1/policy/dry-run", json=DRAFT).json()
    assert trial["decisions"] == 10
    assert trial["changed"] == len(trial["biggest"]) > 0
    assert trial["after"]["auto"] - trial["before"]["auto"] == trial["changed"], "looser limits only release more"
    assert trial["waiting_before"]["review"] == 9
    assert people["Ada"].get("/api/v1/policy/changes").json() == {"changes": [], "next": None}


def test_another_person_brings_a_change_into_force(people: dict[str, TestClient]) -> None:
    ada, bob = people["Ada"], people["Bob"]
    change = proposed(ada)
    assert proposed(ada) == change, "a repeated request is harmless"
    own = answered(ada, change)
    assert (own.status_code, own.json()["type"]) == (403, "/docs/api#not-allowed")
    assert ada.get("/api/v1/policy").json()["policy"]["version"] == 1
    for _ in range(2):
        adopted = answered(bob, change)
        assert (adopted.status_code, adopted.json()["state"], adopted.json()["decided_by"]) == (200, "adopted", "Bob")
    assert ada.get("/api/v1/policy").json()["digest"] == change["digest"]
    versions = ada.get("/api/v1/policy/history").json()["versions"]
    assert [(v["policy"]["version"], v["approved_by"]) for v in versions] == [(2, "Bob"), (1, None)]


def test_a_stale_change_is_refused_and_can_be_rejected(people: dict[str, TestClient]) -> None:
    ada, bob = people["Ada"], people["Bob"]
    one, other = proposed(ada), proposed(ada, document={"auto_value_limit": 5})
    assert answered(bob, one).status_code == 200
    stale = answered(bob, other)
    assert (stale.status_code, stale.json()["type"]) == (409, "/docs/api#stale-proposal")
    assert answered(bob, other, "reject").status_code == 422, "a rejection needs a reason"
    assert answered(bob, other, "reject", "too late").json()["state"] == "rejected"
    assert answered(ada, other).json()["type"] == "/docs/api#already-answered"
    assert ada.get("/api/v1/policy/changes", params={"state": "rejected"}).json()["changes"][0]["number"] == 2


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"document": {}, "reason": "because"}, 422, "changes nothing"),
        ({"document": {"autonomy": "L9"}, "reason": "because"}, 422, "autonomy: Input should be 'L1'"),
        ({"document": {"auto_value_limit": 5, "x": 1}, "reason": "because"}, 422, "x: Extra inputs"),
        ({"document": {"auto_value_limit": 5, "version": 9}, "reason": "because"}, 422, "version 1 is in force"),
        ({"document": {"auto_value_limit": 5}}, 422, "reason: Field required"),
        ({"document": {"auto_value_limit": 5}, "reason": " a "}, 422, "at least 3"),
        ({"document": [], "reason": "because"}, 422, "dictionary"),
        ({"document": {"auto_value_limit": 5}, "reason": "because", "weeks": 0}, 422, "greater than or equal to 1"),
    ],
)
def test_what_cannot_be_is_refused_in_words(
    people: dict[str, TestClient], body: dict[str, Any], status: int, words: str
) -> None:
    said = people["Ada"].post("/api/v1/policy/changes", json=body)
    assert said.status_code == status
    assert words in said.json()["detail"]


def test_nothing_of_the_policy_is_for_strangers(console: ConsoleOverFakes) -> None:
    with TestClient(console.app, follow_redirects=False) as stranger:
        for path in ("", "/history", "/changes", "/changes/x"):
            assert stranger.get(f"/api/v1/policy{path}").status_code == 401
        for path in ("/dry-run", "/changes", "/changes/x/verdict"):
            assert stranger.post(f"/api/v1/policy{path}", json=DRAFT).status_code == 401
        for path in ("", "/new", "/changes/x"):
            assert stranger.get(f"/policies{path}").status_code == 303


def test_a_form_from_elsewhere_changes_nothing(browser: TestClient, console: ConsoleOverFakes) -> None:
    form = {"document": json.dumps(DRAFT["document"]), "step": "propose", "reason": "because", "weeks": "4"}
    assert browser.post("/policies/new", data=form).status_code == 403
    assert console.policies._changes == {}


def test_pages_show_what_was_written_and_escape_it(browser: TestClient, console: ConsoleOverFakes) -> None:
    written = browser.get("/policies/new").text
    csrf = re.search(r'name="csrf" value="([^"]+)"', written)
    assert csrf
    assert json.loads(html.unescape(re.search(r"<textarea[^>]*>(.*?)</textarea>", written, re.DOTALL)[1])) == (  # type: ignore[index]
        Policy().model_dump(mode="json")
    )
    form = {"csrf": csrf[1], "weeks": "4", "step": "propose", "reason": "<script>alert(1)</script>"}
    for document, weeks, words in (
        ("{", "4", "not JSON"), ("1E+9999999999999999999", "4", "not JSON"),
        ("[]", "4", "a JSON object"), ('{"version": 1, "version": 1}', "4", "version twice"),
        ('{"auto_value_limit": 5}', "many", "from 1 to 104"),
    ):  # fmt: skip
        refused = browser.post("/policies/new", data={**form, "document": document, "weeks": weeks})
        assert refused.status_code == 422
        assert words in refused.text
        assert html.escape(document, quote=False).replace('"', "&#34;") in refused.text, "what was typed is not lost"
    shown = browser.post("/policies/new", data={**form, "document": '{"auto_value_limit": 5}'})
    assert shown.status_code == 200
    assert "&lt;script&gt;" in shown.text
    assert "<script>alert" not in shown.text
    assert "You proposed this" in shown.text
    (change,) = console.policies._changes.values()
    own = browser.post(
        f"/policies/changes/{change.change_id}/verdict", data={"csrf": csrf[1], "meaning": "approve", "reason": ""}
    )
    assert own.status_code == 403
    assert "another person must" in own.text
    assert "Waits for a person" in browser.get("/policies").text
