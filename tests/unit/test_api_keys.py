"""Idempotency keys: the same request under the same key has one answer; another request under it is refused."""

from collections.abc import Iterator
from typing import Any, get_args

import pytest
from fastapi.testclient import TestClient

from console.api_problems import FreeKey, KeptKey
from tests.contract.api_consoles import ALL_ROLES, TASK, as_person, known_ids, whole
from tests.fakes.console import ConsoleOverFakes

KEPT_WORDS, FREE_WORDS = (get_args(one)[1].description for one in (KeptKey, FreeKey))
TASKS, ORDERS = "/api/v1/tasks/{decision_id}", "/api/v1/orders/{order_id}"
KEPT: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    f"{TASKS}/verdict": ({"meaning": "approve"}, {"meaning": "reject", "reason": "other"}),
    f"{TASKS}/comments": ({"text": "two pallets"}, {"text": "three pallets"}),
    f"{TASKS}/forward": ({"to": "Bob", "note": "yours"}, {"to": "Grace", "note": "yours"}),
    "/api/v1/stops": ({"scope": "everything", "reason": "stocktaking"}, {"scope": "everything", "reason": "a fire"}),
    "/api/v1/forecasts": ({"products": ["OAT-1L"], "horizon_days": 7}, {"products": ["OAT-1L"], "horizon_days": 8}),
    "/api/v1/waiting-orders/retry": ({"supplier": "acme"}, {"supplier": "northern-foods"}),
    "/api/v1/views": ({"name": "Mine", "view": "team"}, {"name": "Mine", "view": "sample"}),
}
"""Operations that keep the key and take a body, with two requests each."""
ELSEWHERE = {
    f"{TASKS}/undo", "/api/v1/tasks/bulk-verdict", f"{ORDERS}/retry", f"{ORDERS}/close", f"{ORDERS}/seen",
    f"{ORDERS}/look", f"{ORDERS}/confirm", f"{ORDERS}/resend",
    "/api/v1/stops/{stop_id}/lift", "/api/v1/dead-letters/{dead_letter_id}/redrive",
    "/api/v1/redrives/{redrive_id}/confirm", "/api/v1/redrives/{redrive_id}/decline",
    "/api/v1/redrives/{redrive_id}/withdraw",
}  # fmt: skip
"""Those that keep it too, and are proven where the tests of their desks are: they need something to have happened."""


@pytest.fixture
def console() -> ConsoleOverFakes:
    return whole()


@pytest.fixture
def client(console: ConsoleOverFakes) -> Iterator[TestClient]:
    with TestClient(console.app, headers=as_person(ALL_ROLES.name)) as client:
        yield client


def test_every_operation_that_keeps_its_key_is_proven_here_or_with_its_desk(console: ConsoleOverFakes) -> None:
    kept = {
        path
        for path, methods in console.app.openapi()["paths"].items()
        for one in methods.get("post", {}).get("parameters", [])
        if one.get("description") == KEPT_WORDS
    }
    assert kept == set(KEPT) | ELSEWHERE
    assert KEPT_WORDS != FREE_WORDS


@pytest.mark.parametrize("path", KEPT)
def test_a_key_has_one_answer_and_takes_no_other_request(
    client: TestClient, console: ConsoleOverFakes, path: str
) -> None:
    hashed = {"proposal_hash": console.shop.cases[TASK].decided.decision.proposal_hash} if "verdict" in path else {}
    first_body, other_body = (body | hashed for body in KEPT[path])
    for name, value in known_ids(console).items():
        path = path.replace(f"{{{name}}}", value)
    key = {"Idempotency-Key": "the key of a test"}

    first, again = (client.post(path, json=first_body, headers=key) for _ in range(2))
    other = client.post(path, json=other_body, headers=key)

    assert first.status_code in (200, 201), first.text
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert other.status_code == 422, other.text
