"""Who may answer a policy change at the console: authors withdraw their own, and planners answer nobody else's."""

import asyncio
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from console.auth import COOKIE, sign_in_token
from console.policy_desk import PolicyDesk
from console.signing import csrf
from tests.fakes.console import KEY, ConsoleOverFakes
from workflows.domain.approvals import Actor
from workflows.domain.policy_changes import ChangeState, PolicyChange


@pytest.fixture
def console() -> ConsoleOverFakes:
    return ConsoleOverFakes()


@pytest.fixture
def client(console: ConsoleOverFakes) -> Iterator[TestClient]:
    """Pia, a planner, at a browser."""
    with TestClient(console.app, follow_redirects=False) as client:
        client.get("/sign-in", params={"token": sign_in_token(KEY, "Pia")})
        yield client


def proposed(console: ConsoleOverFakes, author: str) -> PolicyChange:
    desk = PolicyDesk(console.policies)
    return asyncio.run(desk.propose({"auto_value_limit": 5}, "fewer questions", Actor(name=author)))


def answer(client: TestClient, change: PolicyChange, meaning: str) -> int:
    form = {"csrf": csrf(KEY, client.cookies[COOKIE]), "meaning": meaning, "reason": "not like this"}
    return client.post(f"/policies/changes/{change.change_id}/verdict", data=form).status_code


def test_a_planner_withdraws_their_own_change(console: ConsoleOverFakes, client: TestClient) -> None:
    change = proposed(console, "Pia")
    assert "Withdraw" in client.get(f"/policies/changes/{change.change_id}").text
    assert answer(client, change, "approve") == 403
    assert answer(client, change, "reject") == 303
    assert console.policies._changes[change.change_id].state is ChangeState.REJECTED


def test_a_planner_answers_no_change_of_somebody_else(console: ConsoleOverFakes, client: TestClient) -> None:
    change = proposed(console, "Ada")
    page = client.get(f"/policies/changes/{change.change_id}").text
    assert "approver or admin answers it" in page
    assert "/verdict" not in page
    for meaning in ("approve", "reject"):
        assert answer(client, change, meaning) == 403
    assert console.policies._changes[change.change_id].state is ChangeState.PROPOSED
    assert [who for who, _, _ in console.people.refusals] == ["Pia", "Pia"]
