"""The console on the real database: every page reads what the storage really says, and an answer is really stored."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from html import unescape
from pathlib import Path

import httpx
import pytest

from connectors.postgres.figures import PostgresFigures
from connectors.postgres.inbox_desk import PostgresInbox
from connectors.postgres.money import PostgresMoney
from connectors.postgres.people import PostgresPeople
from connectors.postgres.policy_changes import PostgresPolicies
from connectors.postgres.sessions import PostgresSessions
from connectors.postgres.tokens import PostgresTokens
from console.app import create_app
from console.auth import api_token, sign_in_token
from console.ports import ConsolePorts, SignIn
from tests.fakes.console import LASTS
from tests.fakes.desk import MemoryVerdictChannel
from tests.fakes.people import ADA, ROBOT
from tests.storeroom import MORNING, Storeroom, clock, counted, received, sold
from workers.operations import LiveOperations
from workers.settings import Settings
from workflows.domain.approvals import Actor, TaskState
from workflows.domain.outcomes import measure

KEY = b"a key of thirty-two bytes or more"
NEED = "LEEDS:ITEM-001:1"


@pytest.fixture
async def waiting(storeroom: Storeroom) -> Storeroom:
    """One hold and one proposal that waits for a person."""
    await storeroom.stock()
    storeroom.scoring.of_item["ITEM-002"] = {"daily": 1}
    storeroom.take(counted(9), counted(500, item="ITEM-002"), sold(3))
    storeroom.take(clock())
    await storeroom.assess()
    return storeroom


@pytest.fixture
async def browser(waiting: Storeroom, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    s = waiting
    people = PostgresPeople(s.database)
    for one in (ADA, ROBOT):
        await people.register(one, Actor(name="installation"))
    sign_in = SignIn(people, PostgresSessions(s.database), PostgresTokens(s.database), LASTS, local=True)
    ports = ConsolePorts(
        desk=s.desk, approvals=s.approvals, verdicts=MemoryVerdictChannel(), models=s.models,
        policies=PostgresPolicies(s.database), sign_in=sign_in, key=KEY, inbox=PostgresInbox(s.database),
        figures=PostgresFigures(s.database, PostgresMoney(s.database, threads=1)),
        operations=LiveOperations(s.database, Settings(home=tmp_path)),
    )  # fmt: skip
    transport = httpx.ASGITransport(app=create_app(ports))
    async with httpx.AsyncClient(transport=transport, base_url="http://console", follow_redirects=True) as client:
        await client.get("/sign-in", params={"token": sign_in_token(KEY, "Ada")})
        yield client


def approve_form(html: str) -> dict[str, str]:
    form = re.search(r'<form[^>]*id="approve".*?</form>', html, re.DOTALL)
    assert form
    return {"meaning": "approve"} | {
        name: unescape(value) for name, value in re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form[0])
    }


async def test_every_page_reads_the_storage(browser: httpx.AsyncClient, waiting: Storeroom) -> None:
    for path, shows in {
        "/": "1 task waits for a person", "/inbox": "Item ITEM-001", f"/tasks/{NEED}": "A person was asked",
        "/decisions/LEEDS:ITEM-002:1": "Why nothing is ordered", "/orders": "No purchase order yet",
        "/dead-letters": "No dead letters", "/models": "Champion",
    }.items():  # fmt: skip
        page = await browser.get(path)
        assert page.status_code == 200, path
        assert shows in page.text, path
    assert "counted by the engine" not in (await browser.get("/")).text, "define the new total in console/totals.py"


async def test_an_approval_is_stored_and_its_whole_story_can_be_read(
    browser: httpx.AsyncClient, waiting: Storeroom
) -> None:
    s = waiting
    page = await browser.post(f"/tasks/{NEED}/verdict", data=approve_form((await browser.get(f"/tasks/{NEED}")).text))
    assert "The engine is acting on it" in page.text
    assert await s.approvals.unheard(0) == [], "the approval is noted as heard"

    released = await s.orders.release(NEED, s.hash_of(NEED))
    assert released.order_id
    order = await s.place(released.order_id)
    assert order
    s.take(received(order.lines[0].units, order.order_id, at=MORNING + timedelta(days=3)))
    s.take(clock(MORNING + timedelta(days=9)))
    await s.outcomes.record([measure(facts) for facts in await s.outcomes.due(100)])

    story = (await browser.get(f"/decisions/{NEED}")).text
    for shown in ("<b>Ada</b>", "The purchase order was sent", "The outcome was measured", "Received", "Out of stock"):
        assert shown in story
    assert released.order_id in (await browser.get("/orders")).text
    of_order = await browser.get(f"/orders/{released.order_id}")
    assert (of_order.status_code, "The purchase order was sent" in of_order.text) == (200, True)
    answered = (await browser.get("/inbox", params={"view": "answered", "state": "approved"})).text
    assert answered.count("by Ada") == 1


async def test_a_rescored_proposal_refuses_the_old_answer_by_page_and_by_rest(
    browser: httpx.AsyncClient, waiting: Storeroom
) -> None:
    s = waiting
    form = approve_form((await browser.get(f"/tasks/{NEED}")).text)
    s.scoring.of_item["ITEM-001"] = {"daily": 9}
    await s.rescore(NEED)

    page = await browser.post(f"/tasks/{NEED}/verdict", data=form)
    rest = await browser.post(
        f"/api/v1/tasks/{NEED}/verdict",
        json={"proposal_hash": form["proposal_hash"], "meaning": "approve"},
        headers={"Authorization": f"Bearer {api_token(KEY, 'robot')}", "Idempotency-Key": "command-1"},
    )

    assert (page.status_code, rest.status_code) == (409, 409)
    assert "The proposal changed while you looked at it" in page.text
    assert rest.json()["current"] | {"units": 0, "value": "0"} == {
        "revision": 2, "proposal_hash": s.hash_of(NEED), "units": 0, "value": "0", "state": TaskState.OPEN.value,
        "answered_by": None, "first_signature_by": None,
    }  # fmt: skip
    assert "A verdict was refused" in (await browser.get(f"/tasks/{NEED}")).text


async def test_every_list_of_the_api_reads_the_storage(browser: httpx.AsyncClient, waiting: Storeroom) -> None:
    for path in ("tasks", f"tasks/{NEED}", f"decisions/{NEED}", "orders", "models", "counts", "dead-letters"):
        answer = await browser.get(f"/api/v1/{path}")
        assert answer.status_code == 200, f"{path}: {answer.text}"
