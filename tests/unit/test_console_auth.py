"""Who gets in: a signed link, a signed token, nobody else; and a form only from its own session."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from itsdangerous import TimestampSigner

from console.auth import (
    API_TOKEN_LASTS,
    COOKIE,
    SECURE_COOKIE,
    SIGN_IN_LASTS,
    Gate,
    api_token,
    sign_in_token,
)
from console.rate_limits import RateLimits, Rates
from tests.fakes.console import KEY, LASTS, ConsoleOverFakes
from workflows.domain.files import GIVEN, NEEDS
from workflows.domain.people import Role

OPEN_TO_ALL = {"/sign-in", "/sign-in/begin", "/sign-in/callback", "/livez", "/readyz"}
OTHER_KEY = b"another key of thirty-two bytes .."


@pytest.fixture
def console() -> ConsoleOverFakes:
    return ConsoleOverFakes()


@pytest.fixture
def client(console: ConsoleOverFakes) -> Iterator[TestClient]:
    with TestClient(console.app, follow_redirects=False) as client:
        yield client


@pytest.fixture
def signed_in(client: TestClient) -> TestClient:
    client.get("/sign-in", params={"token": sign_in_token(KEY, "Ada")})
    return client


def past(monkeypatch: pytest.MonkeyPatch, age: timedelta) -> None:
    """Tokens are made so long ago until `undo`."""
    now = TimestampSigner.get_timestamp
    monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda self: now(self) - int(age.total_seconds()))


def test_the_link_opens_a_session_and_the_token_leaves_the_address_bar(client: TestClient) -> None:
    answer = client.get("/sign-in", params={"token": sign_in_token(KEY, "Ada")})

    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert f"Max-Age={8 * 3600}" in cookie
    assert "Ada" in client.get("/").text


FILE_PAGES = ("/files", "/notices", *(f"/files/{kind}.csv" for kind in GIVEN))
FILE_FORMS = tuple(f"/files/{kind}" for kind in NEEDS)


def test_every_page_and_every_operation_needs_somebody(console: ConsoleOverFakes, client: TestClient) -> None:
    paths = console.app.openapi()["paths"]
    pages = [
        "/", "/inbox", "/tasks/LEEDS:OAT-1L:1", "/decisions/LEEDS:OAT-1L:1", "/decisions", "/orders", "/dead-letters",
        "/tasks/LEEDS:OAT-1L:1/evidence",
        "/models", "/models/abc", "/docs/api", "/deliveries", "/policies", "/policies/new", "/policies/changes/abc",
        "/money", "/what-if", "/live/events", *FILE_PAGES,
        "/people", "/people/Ada", "/access-review", "/account", "/orders/acme:LEEDS:1", "/health", "/live",
        "/reconciliation", "/reconciliation/acme:3", "/reconciliation/acme:3/differences.csv",
        *(path.format(location="LEEDS", item="ITEM-001") for path in FIGURE_PAGES),
        *(path.format(decision_id="LEEDS:OAT-1L:1") for path in INBOX_PAGES),
        "/audit", "/audit/chain?stream=policy", "/audit/export.json", "/audit/export.csv",
        "/audit/proof?stream=policy&seq=1", "/audit/proof.json?stream=policy&seq=1", "/audit/population",
        "/audit/access", "/audit/access.csv",
    ]  # fmt: skip
    for page in pages:
        answer = client.get(page)
        assert (answer.status_code, answer.headers["location"][:8]) == (303, "/sign-in"), page
    for path, operations in paths.items():
        for method in operations:
            answer = client.request(method, path.replace("{decision_id}", "LEEDS:OAT-1L:1"), json={})
            assert answer.status_code == 401, path
            assert answer.headers["content-type"] == "application/problem+json"
    for action in (
        *FILE_FORMS,
        "/tasks/LEEDS:OAT-1L:1/verdict",
        "/tasks/LEEDS:OAT-1L:1/undo",
        "/models/abc/promote",
        "/models/rollback",
        "/sign-out",
        "/audit/verify",
        "/audit/pack",
        "/audit/population",
        "/decisions/LEEDS:OAT-1L:1/replay",
        *POLICY_FORMS,
        *OPERATOR_FORMS,
    ):
        assert client.post(action).headers["location"] == "/sign-in", action
    assert client.get("/api/v1/openapi.json").status_code == 401


INBOX_PAGES = ("/inbox/list", "/inbox/rows/{decision_id}", "/inbox/tasks/{decision_id}", "/inbox/away")
INBOX_FORMS = ("/inbox/tasks/{decision_id}/{act}", "/inbox/views", "/inbox/views/{view_id}/drop", "/inbox/bulk")
PEOPLE_FORMS = (
    "/people", "/people/Ada", "/people/Ada/sign-out", "/people/Ada/tokens/abc/revoke", "/account/tokens",
    "/account/tokens/abc/revoke", "/account/sign-out-everywhere",
)  # fmt: skip
REDRIVE_FORMS = ("/redrives/1/confirm", "/redrives/1/decline", "/redrives/1/withdraw")
OPERATOR_FORMS = (
    "/orders/retry", "/orders/acme:LEEDS:1/retry", "/orders/acme:LEEDS:1/close", "/orders/acme:LEEDS:1/seen", "/stops",
    "/stops/everything:1/lift", "/dead-letters/3/redrive", *REDRIVE_FORMS, "/orders/acme:LEEDS:1/look",
    "/orders/acme:LEEDS:1/confirm",
    "/orders/acme:LEEDS:1/resend", "/reconciliation/acme:3/differences/ab12",
)  # fmt: skip
FIGURE_PAGES = (
    "/definitions", "/inventory", "/inventory.csv", "/inventory/{location}/{item}", "/demand", "/demand/forecast",
    "/demand/forecast.csv", "/demand/{location}/{item}", "/demand/{location}/{item}/days.csv", "/sales", "/sales.csv",
)  # fmt: skip
POLICY_FORMS = ("/policies/new", "/policies/changes/abc/verdict")


def test_no_route_is_forgotten_by_the_test_above(console: ConsoleOverFakes) -> None:
    def walk(routes: object) -> Iterator[str]:
        for route in routes:  # type: ignore[attr-defined]
            if isinstance(route, APIRoute):
                yield route.path
            elif hasattr(route, "original_router"):
                yield from walk(route.original_router.routes)

    known = {
        "/", "/inbox", "/tasks/{decision_id}", "/decisions/{decision_id}", "/decisions", "/orders", "/dead-letters",
        "/models", "/docs/api", "/deliveries", "/tasks/{decision_id}/evidence",
        "/tasks/{decision_id}/verdict", "/tasks/{decision_id}/undo", "/models/{digest}", "/models/{digest}/promote",
        "/models/rollback", "/sign-out",
        "/policies", "/policies/new", "/policies/changes/{change_id}", "/policies/changes/{change_id}/verdict",
        "/money", "/what-if", "/live/events", *FILE_PAGES, *FILE_FORMS,
        "/people", "/people/{name}", "/people/{name}/sign-out", "/people/{name}/erase",
        "/people/{name}/tokens/{token_id}/revoke",
        "/access-review", "/account", "/account/tokens", "/account/tokens/{token_id}/revoke",
        "/account/sign-out-everywhere",
        *FIGURE_PAGES, *INBOX_PAGES, *INBOX_FORMS,
        "/audit", "/audit/chain", "/audit/verify", "/audit/export.json", "/audit/export.csv",
        "/audit/proof", "/audit/proof.json", "/audit/population", "/audit/pack", "/audit/access", "/audit/access.csv",
        "/decisions/{decision_id}/replay",
        "/orders/{order_id}/look", "/orders/{order_id}/confirm", "/orders/{order_id}/resend", "/reconciliation",
        "/reconciliation/{report_id}", "/reconciliation/{report_id}/differences.csv",
        "/reconciliation/{report_id}/differences/{difference_id}",
        "/orders/retry",
        "/orders/{order_id}", "/orders/{order_id}/retry", "/orders/{order_id}/close", "/orders/{order_id}/seen",
        "/health", "/live", "/stops", "/stops/{stop_id}/lift", "/dead-letters/{dead_letter_id}/redrive",
        *(path.replace("1", "{redrive_id}") for path in REDRIVE_FORMS),
    }  # fmt: skip
    found = {path for path in walk(console.app.routes) if not path.startswith("/api/v1")}

    assert found - OPEN_TO_ALL == known, "a new page: say in the test above that it needs a session"


def test_health_needs_nobody(client: TestClient) -> None:
    assert client.get("/livez").status_code == 200
    assert client.get("/readyz").text == "ready"


def test_a_link_of_another_key_or_purpose_opens_nothing(client: TestClient) -> None:
    for token in (sign_in_token(OTHER_KEY, "Ada"), api_token(KEY, "Ada"), "nonsense"):
        answer = client.get("/sign-in", params={"token": token})
        assert answer.status_code == 401
        assert COOKIE not in client.cookies
        assert token not in answer.text


def test_a_link_expires(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        past(patch, SIGN_IN_LASTS + timedelta(seconds=5))
        token = sign_in_token(KEY, "Ada")

    assert client.get("/sign-in", params={"token": token}).status_code == 401


def test_a_link_opens_one_session(client: TestClient) -> None:
    token = sign_in_token(KEY, "Ada")
    assert client.get("/sign-in", params={"token": token}).status_code == 303
    assert client.get("/sign-in", params={"token": token}).status_code == 401


def test_a_link_for_nobody_who_is_known_opens_nothing(console: ConsoleOverFakes, client: TestClient) -> None:
    answer = client.get("/sign-in", params={"token": sign_in_token(KEY, "Mallory")})
    assert answer.status_code == 401
    assert "quartermaster people add" in answer.text
    assert console.people.refusals == []


def test_links_and_signed_tokens_are_worth_nothing_where_nobody_holds_everything() -> None:
    console = ConsoleOverFakes()
    elsewhere = ConsoleOverFakes(sign_in=replace(console.sign_in, local=False))
    with TestClient(elsewhere.app, follow_redirects=False) as client:
        assert client.get("/sign-in", params={"token": sign_in_token(KEY, "Ada")}).status_code == 401
        bearer = {"Authorization": f"Bearer {api_token(KEY, 'Ada')}"}
        assert client.get("/api/v1/counts", headers=bearer).status_code == 401


def test_a_session_ends_without_requests_and_after_the_longest_time(
    console: ConsoleOverFakes, signed_in: TestClient
) -> None:
    step = timedelta(minutes=14)
    for _ in range(LASTS.longest // step):
        console.sessions.clock.forward(step)
        assert signed_in.get("/account").status_code == 200
    console.sessions.clock.forward(step)
    assert signed_in.get("/account").status_code == 303

    signed_in.get("/sign-in", params={"token": sign_in_token(KEY, "Ada")})
    console.sessions.clock.forward(LASTS.idle + timedelta(seconds=1))
    assert signed_in.get("/account").status_code == 303


def test_a_new_sign_in_makes_a_new_session_and_ends_the_old_one(
    console: ConsoleOverFakes, signed_in: TestClient
) -> None:
    before = signed_in.cookies[COOKIE]
    signed_in.get("/sign-in", params={"token": sign_in_token(KEY, "Ada")})
    assert signed_in.cookies[COOKIE] != before
    assert list(console.sessions.kept) == [signed_in.cookies[COOKIE]]


def test_rights_are_those_of_the_moment(console: ConsoleOverFakes, signed_in: TestClient) -> None:
    ada = console.people.known["Ada"]
    assert signed_in.get("/people").status_code == 403
    console.people.known["Ada"] = ada.model_copy(update={"roles": ada.roles | {Role.ADMIN}})
    assert signed_in.get("/people").status_code == 200
    console.people.known["Ada"] = ada.model_copy(update={"disabled_at": console.sessions.clock.now()})
    assert signed_in.get("/inbox").headers["location"].startswith("/sign-in")


def test_a_cookie_behind_https_is_of_this_host_alone() -> None:
    console = ConsoleOverFakes()
    public = replace(console.sign_in, public_url="https://orders.example", local=True)
    served = ConsoleOverFakes(sign_in=public)
    with TestClient(served.app, base_url="https://orders.example", follow_redirects=False) as client:
        answer = client.get("/sign-in", params={"token": sign_in_token(KEY, "Ada")})
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith(f"{SECURE_COOKIE}=")
        assert "Secure" in cookie
        assert "Path=/" in cookie
        assert "Domain" not in cookie
        assert answer.headers["strict-transport-security"].startswith("max-age=")
        assert client.get("/inbox").status_code == 200
        form = {"csrf": csrf_of(client)}
        assert client.post("/sign-out", data=form, headers={"Origin": "http://orders.example"}).status_code == 403
        assert client.get("/inbox", headers={"Host": "evil.example"}).status_code == 421
        assert client.get("/livez", headers={"Host": "10.1.2.3:8642"}).status_code == 200
        assert client.post("/sign-out", data=form, headers={"Origin": "https://orders.example"}).status_code == 303


def test_too_many_requests_are_told_when_to_come_again(console: ConsoleOverFakes) -> None:
    slow = ConsoleOverFakes(rates=Rates(look="3/minute", change="2/minute", sign_in="2/minute"))
    bearer = {"Authorization": f"Bearer {api_token(KEY, 'Ada')}"}
    with TestClient(slow.app, follow_redirects=False) as client:
        answers = [client.get("/api/v1/counts", headers=bearer) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert answers[-1].headers["content-type"] == "application/problem+json"
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
        other = {"Authorization": f"Bearer {api_token(KEY, 'Grace')}"}
        assert client.get("/api/v1/counts", headers=other).status_code == 200

        tried = [client.get("/sign-in", params={"token": "nonsense"}).status_code for _ in range(3)]
        assert tried == [401, 401, 429]
        assert client.get("/sign-in", params={"token": sign_in_token(KEY, "Ada")}).status_code == 429
        wrong = {"Authorization": "Bearer nonsense"}
        assert client.get("/api/v1/counts", headers=wrong).status_code == 429
        assert client.get("/api/v1/counts", headers=other).status_code == 200, "others share the address of a proxy"
    assert slow.people.refusals == []


def test_what_is_refused_to_a_known_person_is_on_record(console: ConsoleOverFakes, signed_in: TestClient) -> None:
    assert signed_in.get("/people").status_code == 403
    assert signed_in.post("/sign-out", data={"csrf": "stolen"}).status_code == 403
    assert signed_in.post("/sign-out", headers={"Origin": "https://evil.example"}).status_code == 403
    ada = console.people.known["Ada"]
    console.people.known["Ada"] = ada.model_copy(update={"roles": frozenset()})
    signed_in.get("/sign-in", params={"token": sign_in_token(KEY, "Ada")})

    assert [(who, what) for who, what, _ in console.people.refusals] == [
        ("Ada", "GET /people"), ("Ada", "POST /sign-out"), ("Ada", "POST /sign-out"), ("Ada", "sign in"),
    ]  # fmt: skip


def test_an_api_token_expires_and_is_no_session(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        past(patch, API_TOKEN_LASTS + timedelta(seconds=5))
        old = api_token(KEY, "Ada")

    assert client.get("/api/v1/counts", headers={"Authorization": f"Bearer {old}"}).status_code == 401
    assert (
        client.get("/api/v1/counts", headers={"Authorization": f"Bearer {api_token(KEY, 'Grace')}"}).status_code == 200
    )
    client.cookies.set(COOKIE, api_token(KEY, "Ada"))
    assert client.get("/inbox").status_code == 303


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example/", "/\\evil.example", "inbox", "/\nx"])
def test_signing_in_never_leads_to_another_site(client: TestClient, target: str) -> None:
    answer = client.get("/sign-in", params={"token": sign_in_token(KEY, "Ada"), "next": target})

    assert answer.headers["location"] == "/"


def test_signing_in_leads_back_to_where_one_wanted_to_go(client: TestClient) -> None:
    asked = client.get("/tasks/LEEDS:OAT-1L:1").headers["location"]
    assert asked == "/sign-in?next=%2Ftasks%2FLEEDS:OAT-1L:1"

    answer = client.post("/sign-in", data={"token": sign_in_token(KEY, "Ada"), "next": "/tasks/LEEDS:OAT-1L:1"})

    assert answer.headers["location"] == "/tasks/LEEDS:OAT-1L:1"


def csrf_of(client: TestClient) -> str:
    found = re.search(r'name="csrf" value="([0-9a-f]+)"', client.get("/").text)
    assert found
    return found[1]


def test_signing_out_ends_the_session(signed_in: TestClient) -> None:
    assert signed_in.post("/sign-out", data={"csrf": csrf_of(signed_in)}).status_code == 303
    assert signed_in.get("/").status_code == 303


def test_a_form_of_another_session_is_refused(console: ConsoleOverFakes, signed_in: TestClient) -> None:
    with TestClient(console.app) as other:
        other.get("/sign-in", params={"token": sign_in_token(KEY, "Vera")})
        stolen = csrf_of(other)

    for data in ({}, {"csrf": ""}, {"csrf": stolen}, {"csrf": "ä"}):
        assert signed_in.post("/sign-out", data=data).status_code == 403


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}]
)
def test_a_form_sent_from_another_site_is_refused(signed_in: TestClient, headers: dict[str, str]) -> None:
    answer = signed_in.post("/sign-out", data={"csrf": csrf_of(signed_in)}, headers=headers)

    assert answer.status_code == 403


def test_the_api_takes_a_change_by_cookie_only_with_the_header(signed_in: TestClient) -> None:
    path = "/api/v1/tasks/LEEDS:OAT-1L:1/verdict"
    body = {"proposal_hash": "0" * 64, "meaning": "approve"}
    key = {"Idempotency-Key": "command-1"}

    assert signed_in.get("/api/v1/counts").status_code == 200
    assert signed_in.post(path, json=body, headers=key).status_code == 403
    with_header = {**key, "X-Requested-With": "fetch"}
    assert signed_in.post(path, json=body, headers=with_header).status_code == 409
    assert signed_in.post(path, json=body, headers={**with_header, "Origin": "https://e.example"}).status_code == 403


def test_a_short_key_is_refused_at_the_start() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Gate(b"short", ConsoleOverFakes().sign_in, RateLimits(Rates()))


def test_every_answer_carries_the_security_headers(client: TestClient) -> None:
    for path in ("/livez", "/sign-in", "/static/keys.js", "/nowhere", "/api/v1/counts", "/inbox"):
        headers = client.get(path).headers
        assert "default-src 'self'" in headers["content-security-policy"], path
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"


def test_a_body_that_is_too_large_or_of_unknown_size_is_refused(client: TestClient) -> None:
    assert client.post("/sign-in", content=b"x" * 70_000).status_code == 413
    assert client.post("/sign-in", content=iter([b"x"])).status_code == 411
    assert client.post("/sign-in", headers={"Content-Length": "-1"}).status_code == 400
