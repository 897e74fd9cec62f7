"""Without a script, too: an answer can be taken back in time, a refusal loses no word, a shared link leads back."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from html import unescape

import pytest
from fastapi.testclient import TestClient

from console.auth import sign_in_token
from tests.fakes.console import KEY, ConsoleOverFakes
from workflows.domain.approvals import TaskState

OAT = "LEEDS:OAT-1L:1"


@pytest.fixture
def console() -> ConsoleOverFakes:
    console = ConsoleOverFakes()
    console.approvals.undo_seconds = 30
    console.shop.clock = datetime.now(UTC)  # answers are recorded by the wall clock
    return console


@pytest.fixture
def client(console: ConsoleOverFakes) -> Iterator[TestClient]:
    with TestClient(console.app) as client:
        yield client


def sign_in(client: TestClient, name: str) -> None:
    client.get("/sign-in", params={"token": sign_in_token(KEY, name)})


def form_of(html: str, marker: str) -> dict[str, str]:
    """The hidden fields of the form with this in its tag."""
    form = re.search(rf"<form[^>]*{re.escape(marker)}.*?</form>", html, re.DOTALL)
    assert form, marker
    fields = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form[0])
    return {name: unescape(value) for name, value in fields}


def test_an_answer_is_taken_back_with_a_plain_form(console: ConsoleOverFakes, client: TestClient) -> None:
    sign_in(client, "Ada")
    approve = form_of(client.get(f"/tasks/{OAT}").text, 'id="approve"')

    inbox = client.post(f"/tasks/{OAT}/verdict", data={**approve, "meaning": "approve"})
    undo = form_of(inbox.text, f"/tasks/{OAT}/undo")
    back = client.post(f"/tasks/{OAT}/undo", data=undo, follow_redirects=False)

    assert (back.status_code, back.headers["location"]) == (303, f"/tasks/{OAT}")
    task = console.shop.cases[OAT].task
    assert task is not None
    assert task["state"] == TaskState.OPEN


def test_nobody_is_offered_the_undo_of_somebody_else_s_answer(console: ConsoleOverFakes, client: TestClient) -> None:
    sign_in(client, "Ada")
    approve = form_of(client.get(f"/tasks/{OAT}").text, 'id="approve"')
    client.post(f"/tasks/{OAT}/verdict", data={**approve, "meaning": "approve"})

    sign_in(client, "Grace")

    assert "Undo</button>" not in client.get("/inbox", params={"answered": OAT, "heard": "yes"}).text


def test_a_refused_approval_keeps_what_was_typed(client: TestClient) -> None:
    sign_in(client, "Pia")
    edit = form_of(client.get(f"/tasks/{OAT}").text, 'id="edit"')
    told = client.post(
        f"/tasks/{OAT}/verdict",
        data={**edit, "meaning": "approve_edited", "units": "90000", "comment": "the whole summer"},
    )

    assert told.status_code == 403
    assert "Not recorded." in told.text
    assert 'value="90000"' in told.text
    assert "the whole summer" in told.text


def test_a_shared_link_leads_to_its_filters_after_signing_in(client: TestClient) -> None:
    told = client.get("/inbox", params={"view": "team", "location": "LEEDS"}, follow_redirects=False)

    assert told.headers["location"] == "/sign-in?next=%2Finbox%3Fview%3Dteam%26location%3DLEEDS"
    signed = client.get(
        "/sign-in", params={"token": sign_in_token(KEY, "Ada"), "next": "/inbox?view=team&location=LEEDS"},
        follow_redirects=False,
    )  # fmt: skip
    assert signed.headers["location"] == "/inbox?view=team&location=LEEDS"
