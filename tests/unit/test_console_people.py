"""The pages about people: an admin changes the rights of others, auditors review, everybody has an own account."""

import json
import re
from collections.abc import Iterator
from decimal import Decimal

import pytest
from fastapi.testclient import TestClient

from console import names
from console.auth import api_token, sign_in_token
from console.names import named_json, named_page
from tests.fakes.console import KEY, ConsoleOverFakes
from workflows.domain.names import is_reference
from workflows.domain.people import Person, Role

NORA = Person(name="p-0123456789ab", display="Nora <Q>", roles=frozenset({Role.PLANNER, Role.APPROVER}))


@pytest.fixture
def console(monkeypatch: pytest.MonkeyPatch) -> ConsoleOverFakes:
    monkeypatch.setattr(names, "KNOWN_FOR_S", -1.0)
    return ConsoleOverFakes()


@pytest.fixture
def client(console: ConsoleOverFakes) -> Iterator[TestClient]:
    with TestClient(console.app, follow_redirects=False) as client:
        client.get("/sign-in", params={"token": sign_in_token(KEY, "Adam")})
        yield client


def csrf_of(client: TestClient) -> str:
    found = re.search(r'name="csrf" value="([0-9a-f]+)"', client.get("/account").text)
    assert found
    return found[1]


def test_an_admin_sees_everybody_and_who_could_do_what(client: TestClient) -> None:
    page = client.get("/people").text
    assert "Who could do what" in page
    assert "Pia (only LEEDS)" in page
    assert "500.00 EUR" in page


def test_an_admin_adds_and_changes_somebody(console: ConsoleOverFakes, client: TestClient) -> None:
    form = {
        "csrf": csrf_of(client), "name": "Nora", "email": "nora@shop.example", "role": ["planner", "viewer"],
        "where": "some", "locations": "LEEDS, YORK", "approval_limit": "1500.50",
    }  # fmt: skip
    answer = client.post("/people", data=form)
    nora = console.people.known[answer.headers["location"].removeprefix("/people/")]
    assert (answer.status_code, nora.display) == (303, "Nora")
    assert is_reference(nora.name), "the name is nothing that the record would keep"
    assert (nora.roles, nora.locations) == (frozenset({Role.PLANNER, Role.VIEWER}), frozenset({"LEEDS", "YORK"}))
    assert nora.approval_limit == Decimal("1500.50")

    assert client.post("/people", data=form).status_code == 422, "there is Nora already"
    page = f"/people/{nora.name}"
    shown = client.get(page).text
    assert "<h1>Nora" in shown
    assert 'value="1500.50"' in shown
    assert 'value="LEEDS YORK"' in shown

    client.post(page, data={"csrf": form["csrf"], "role": "viewer", "where": "all", "disabled": "yes"})
    nora = console.people.known[nora.name]
    assert nora.display == "Nora"
    assert (nora.roles, nora.locations, nora.approval_limit) == (frozenset({Role.VIEWER}), None, None)
    assert nora.disabled_at is not None
    assert "Disabled" in client.get(page).text
    assert [change[2].name for change in console.people.changes] == ["Adam", "Adam"]


@pytest.mark.parametrize(
    ("field", "value"),
    [("name", ""), ("name", "a/b"), ("name", "a\nb"), ("role", "king"), ("approval_limit", "much"),
     ("approval_limit", "-1"), ("approval_limit", "NaN"), ("locations", "LE/EDS")],
)  # fmt: skip
def test_what_cannot_be_is_said_on_the_page(
    console: ConsoleOverFakes, client: TestClient, field: str, value: str
) -> None:
    form = {"csrf": csrf_of(client), "name": "Nora", "role": "viewer", "where": "some", "locations": "", field: value}
    answer = client.post("/people", data=form)
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert "Nora" not in [person.called for person in console.people.known.values()]


def test_nobody_changes_their_own_rights(console: ConsoleOverFakes, client: TestClient) -> None:
    before = console.people.known["Adam"]
    form = {"csrf": csrf_of(client), "role": ["admin", "approver"], "where": "all"}
    assert client.post("/people/Adam", data=form).status_code == 403
    assert console.people.known["Adam"] == before
    assert client.get("/people/nobody").status_code == 404


def test_an_admin_ends_sessions_and_revokes_tokens(console: ConsoleOverFakes, client: TestClient) -> None:
    with TestClient(console.app, follow_redirects=False) as ada:
        ada.get("/sign-in", params={"token": sign_in_token(KEY, "Ada")})
        page = ada.post("/account/tokens", data={"csrf": csrf_of(ada), "label": "a script", "days": "7"}).text
        found = re.search(r"<code>(qm_[^<]+)</code>", page)
        assert found
        bearer = {"Authorization": f"Bearer {found[1]}"}
        assert ada.get("/api/v1/counts", headers=bearer).status_code == 200
        assert found[1] not in ada.get("/account").text

        token = re.search(r"/people/Ada/tokens/([0-9a-f]+)/revoke", client.get("/people/Ada").text)
        assert token
        client.post(f"/people/Ada/tokens/{token[1]}/revoke", data={"csrf": csrf_of(client)})
        with TestClient(console.app) as program:
            assert program.get("/api/v1/counts", headers=bearer).status_code == 401
        client.post("/people/Ada/sign-out", data={"csrf": csrf_of(client)})
        assert ada.get("/account").status_code == 303


def test_an_account_makes_and_revokes_only_its_own_tokens(console: ConsoleOverFakes, client: TestClient) -> None:
    csrf = csrf_of(client)
    for wrong in ({"label": "", "days": "7"}, {"label": "x", "days": "0"}, {"label": "x", "days": "many"}):
        assert client.post("/account/tokens", data={"csrf": csrf, **wrong}).status_code == 422
    client.post("/account/tokens", data={"csrf": csrf, "label": "mine", "days": "7"})
    token = re.search(r"/account/tokens/([0-9a-f]+)/revoke", client.get("/account").text)
    assert token
    with TestClient(console.app, follow_redirects=False) as ada:
        ada.get("/sign-in", params={"token": sign_in_token(KEY, "Ada")})
        ada.post(f"/account/tokens/{token[1]}/revoke", data={"csrf": csrf_of(ada)})
    assert "mine" in client.get("/account").text
    client.post(f"/account/tokens/{token[1]}/revoke", data={"csrf": csrf})
    assert "mine" not in client.get("/account").text
    client.post("/account/sign-out-everywhere", data={"csrf": csrf})
    assert client.get("/account").status_code == 303


def test_an_auditor_reviews_who_could_do_what_and_changes_nothing(console: ConsoleOverFakes) -> None:
    with TestClient(console.app, follow_redirects=False) as client:
        client.get("/sign-in", params={"token": sign_in_token(KEY, "Audrey")})
        assert "Pia (only LEEDS)" in client.get("/access-review").text
        assert client.get("/people").status_code == 403


def test_a_reference_is_shown_as_a_name_and_addresses_keep_it(console: ConsoleOverFakes, client: TestClient) -> None:
    console.people.known[NORA.name] = NORA
    with TestClient(console.app, follow_redirects=False) as nora:
        nora.get("/sign-in", params={"token": sign_in_token(KEY, "nora <q>")})
        assert "Nora &lt;Q&gt;" in nora.get("/account").text, "whoever is written in another case is meant too"
        task = "LEEDS:OAT-1L:1"
        said = {"csrf": csrf_of(nora), "text": "look", "command_id": "c" * 20}
        assert nora.post(f"/inbox/tasks/{task}/comment", data=said).status_code == 303
    page = client.get(f"/inbox/tasks/{task}").text
    assert "<b>Nora &lt;Q&gt;</b>: look" in page
    people = client.get("/people").text
    assert f'href="/people/{NORA.name}">Nora &lt;Q&gt;</a>' in people
    bearer = {"Authorization": f"Bearer {api_token(KEY, 'Ada')}"}
    assert client.get("/api/v1/names", headers=bearer).json() == {"names": {NORA.name: "Nora <Q>"}}
    said = client.get(f"/api/v1/tasks/{task}/comments", headers=bearer).json()
    assert said["comments"][-1]["author"] == NORA.name


def test_an_admin_erases_somebody_by_name_and_for_a_reason(console: ConsoleOverFakes, client: TestClient) -> None:
    console.people.known[NORA.name] = NORA
    form = {"csrf": csrf_of(client), "why": "request", "sure": "Nora <Q>"}
    path = f"/people/{NORA.name}/erase"
    for wrong in ({"sure": "Nora"}, {"why": "because"}):
        refused = client.post(path, data={**form, **wrong})
        assert (refused.status_code, "Nothing was erased" in refused.text) == (422, True)
    assert client.post("/people/Adam/erase", data={**form, "sure": "Adam"}).status_code == 403
    assert not console.people.erased

    for _ in range(2):
        console.people.known[NORA.name] = console.people.known[NORA.name].model_copy(update={"display": "Nora <Q>"})
        assert client.post(path, data=form).status_code == 200
    assert console.people.erased == {NORA.name}
    assert f'href="/people/{NORA.name}"' not in client.get("/people").text


def test_records_and_fields_keep_references() -> None:
    called = {NORA.name: "Nora <Q>"}
    page = (
        f'<p title="{NORA.name} works">by {NORA.name}</p><a href="/people/{NORA.name}">{NORA.name}</a>'
        f'<input value="{NORA.name}"><pre>{{"by": "{NORA.name}"}}</pre><code>{NORA.name}</code><i>{NORA.name}a</i>'
    )
    assert named_page(page, called) == (
        f'<p title="Nora &lt;Q&gt; works">by Nora &lt;Q&gt;</p><a href="/people/{NORA.name}">Nora &lt;Q&gt;</a>'
        f'<input value="{NORA.name}"><pre>{{"by": "{NORA.name}"}}</pre><code>{NORA.name}</code><i>{NORA.name}a</i>'
    )
    assert json.loads(named_json(b'{"by":"p-0123456789ab"}', {NORA.name: 'No"ra'})) == {"by": 'No"ra'}


def test_a_refused_attempt_records_no_name_that_was_typed(console: ConsoleOverFakes) -> None:
    console.people.known[NORA.name] = NORA
    with TestClient(console.app, follow_redirects=False) as client:
        client.get("/sign-in", params={"token": sign_in_token(KEY, "Ada")})
        for typed in ("Xanthippe Canary", NORA.name):
            assert client.get(f"/people/{typed}").status_code == 403
    assert [what for _, what, _ in console.people.refusals] == ["GET /people/{name}", f"GET /people/{NORA.name}"]
