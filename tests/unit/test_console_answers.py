"""REST for answers: two signatures, taking back, and what changed since the caller looked."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from fastapi.testclient import TestClient

from console.auth import api_token
from tests.fakes.console import KEY, ConsoleOverFakes
from tests.fakes.shop import decided
from workflows.domain.policies import Policy

OAT = "LEEDS:OAT-1L:1"
UNDO = f"/api/v1/tasks/{OAT}/undo"


@pytest.fixture
def console() -> ConsoleOverFakes:
    over = ConsoleOverFakes()
    over.approvals.undo_seconds = 10
    return over


@pytest.fixture
def ada(console: ConsoleOverFakes) -> Iterator[TestClient]:
    with TestClient(console.app, headers={"Authorization": f"Bearer {api_token(KEY, 'Ada')}"}) as client:
        yield client


@pytest.fixture
def grace(console: ConsoleOverFakes) -> Iterator[TestClient]:
    with TestClient(console.app, headers={"Authorization": f"Bearer {api_token(KEY, 'Grace')}"}) as client:
        yield client


def answer(api: TestClient, key: str = "command-1", **changes: Any) -> Any:
    """Answer the task with the hash that stands now, unless told otherwise."""
    current = api.get(f"/api/v1/tasks/{OAT}").json()["proposal_hash"]
    body = {"proposal_hash": current, "meaning": "approve"} | changes
    return api.post(f"/api/v1/tasks/{OAT}/verdict", json=body, headers={"Idempotency-Key": key})


def undo(api: TestClient, key: str = "undo-0001", **body: Any) -> Any:
    """Take the caller's answer back."""
    return api.post(UNDO, json=body or None, headers={"Idempotency-Key": key})


def test_a_receipt_says_until_when_the_answer_can_be_taken_back(ada: TestClient) -> None:
    receipt = answer(ada).json()

    assert (receipt["complete"], receipt["undo_seconds"]) == (True, 10)
    assert receipt["undo_until"] is not None


def test_an_answer_is_taken_back_once_and_the_workflow_is_told(ada: TestClient, console: ConsoleOverFakes) -> None:
    receipt = answer(ada).json()

    first, again = undo(ada), undo(ada)

    assert first.status_code == again.status_code == 200
    assert first.json() == again.json()
    assert first.json() == {
        "approval_id": receipt["approval_id"], "decision_id": OAT, "meaning": "approve", "heard": True,
    }  # fmt: skip
    assert set(console.channel.undone) == {(OAT, receipt["approval_id"])}
    assert ada.get(f"/api/v1/tasks/{OAT}").json()["task"]["state"] == "open"
    assert answer(ada, "command-2").status_code == 200


@pytest.mark.parametrize("state", ["unreachable", "broken"])
def test_an_undo_counts_also_when_nobody_can_be_told(ada: TestClient, console: ConsoleOverFakes, state: str) -> None:
    answer(ada)
    console.channel.state = state

    assert undo(ada).json()["heard"] is False
    assert ada.get(f"/api/v1/tasks/{OAT}").json()["task"]["state"] == "open"


def test_what_cannot_be_taken_back_is_a_problem_that_says_why(
    ada: TestClient, grace: TestClient, console: ConsoleOverFakes
) -> None:
    nothing = undo(ada)
    assert (nothing.status_code, nothing.json()["type"]) == (409, "/docs/api#conflict")
    receipt = answer(ada).json()

    theirs = undo(grace, "undo-0002")
    assert (theirs.status_code, theirs.json()["type"]) == (403, "/docs/api#not-allowed")
    other = undo(ada, "undo-0003", approval_id="another-one")
    assert other.status_code == 409
    console.shop.cases[OAT].order = {"order_id": "o"}
    late = undo(ada, "undo-0004", approval_id=receipt["approval_id"])
    assert (late.status_code, "Too late" in late.json()["detail"]) == (409, True)


def test_an_undo_needs_a_key_a_task_and_no_surprises(ada: TestClient) -> None:
    assert ada.post(UNDO).status_code == 400
    assert ada.post("/api/v1/tasks/LEEDS:NONE:1/undo", headers={"Idempotency-Key": "undo-0001"}).status_code == 404
    assert undo(ada, surprise=1).status_code == 422
    assert undo(ada, approval_id="a\x00b").status_code == 422


def test_the_first_of_two_signatures_waits_for_another_person(
    ada: TestClient, grace: TestClient, console: ConsoleOverFakes
) -> None:
    console.shop.policy = Policy(four_eyes_above=Decimal(100))

    first = answer(ada, comment="for the fair").json()

    assert (first["complete"], first["undo_until"]) == (False, None)
    assert console.channel.told == [], "there is nothing to tell yet"
    task = grace.get(f"/api/v1/tasks/{OAT}").json()
    assert (task["task"]["state"], task["task"]["first_signature_by"]) == ("open", "Ada")
    assert task["approvals"][0]["comment"] == "for the fair"
    again = answer(ada, "command-2")
    assert (again.status_code, again.json()["type"]) == (409, "/docs/api#already-answered")
    assert again.json()["current"]["first_signature_by"] == "Ada"

    assert answer(grace, "command-3").json()["complete"] is True
    assert len(console.channel.told) == 1


def test_somebody_without_the_right_hears_what_is_missing(console: ConsoleOverFakes) -> None:
    with TestClient(console.app, headers={"Authorization": f"Bearer {api_token(KEY, 'Pia')}"}) as pia:
        refused = answer(pia)

    assert (refused.status_code, refused.json()["type"]) == (403, "/docs/api#not-allowed")
    assert "which is as much as Pia may approve" in refused.json()["detail"]


def test_a_stale_answer_hears_what_changed_in_words(ada: TestClient, console: ConsoleOverFakes) -> None:
    old = ada.get(f"/api/v1/tasks/{OAT}").json()["proposal_hash"]
    console.shop.rescore(decided(daily=50, on_hand=10, unit_cost="6.40", price="11.50", revision=2))

    refused = answer(ada, proposal_hash=old)

    problem = refused.json()
    assert (refused.status_code, problem["type"]) == (409, "/docs/api#stale-proposal")
    words = {change["what"]: change["words"] for change in problem["changes"]}
    assert words["demand"] == "demand forecast rose 32 %"
    assert words["stock"] == "stock on hand fell from 96 to 10 units"
    assert words["units"].startswith("the order rose from ")
    assert words["demand"] in problem["detail"]
    assert problem["current"]["revision"] == 2


def test_a_hash_that_nobody_ever_saw_is_stale_without_a_comparison(ada: TestClient) -> None:
    refused = answer(ada, proposal_hash="a" * 64)

    assert (refused.status_code, refused.json()["changes"]) == (409, [])


def test_every_answer_is_declared(ada: TestClient) -> None:
    paths = ada.get("/api/v1/openapi.json").json()["paths"]

    for operation in ("verdict", "undo"):
        responses = paths[f"/api/v1/tasks/{{decision_id}}/{operation}"]["post"]["responses"]
        assert {"200", "400", "401", "403", "404", "409", "422", "429", "503"} <= responses.keys()
        assert "application/problem+json" in responses["409"]["content"]
