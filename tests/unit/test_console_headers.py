"""Every answer has the security headers and is kept by nobody, also those that nobody foresaw; secrets are in none."""

import logging
from collections.abc import Iterator
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient

from console.auth import api_token, sign_in_token
from console.guarded import MAX_BODY_BYTES, SECURITY_HEADERS
from console.rate_limits import Rates
from tests.fakes.console import KEY, ConsoleOverFakes
from workflows.domain.errors import Unavailable

CANARY = "canary-3f9a"


@pytest.fixture
def console() -> ConsoleOverFakes:
    return ConsoleOverFakes(rates=Rates(look="30/minute"))


@pytest.fixture
def client(console: ConsoleOverFakes) -> Iterator[TestClient]:
    with TestClient(console.app, follow_redirects=False, raise_server_exceptions=False) as client:
        client.get("/sign-in", params={"token": sign_in_token(KEY, "Ada")})
        yield client


REQUESTS = (
    ("GET", "/", 200), ("GET", "/api/v1/tasks", 200), ("GET", "/static/console.css", 200), ("GET", "/static/none", 404),
    ("GET", "/static/../app.py", 404), ("GET", "/static/..%2fapp.py", 404), ("GET", "/none", 404),
    ("GET", "/api/v1/none", 404), ("GET", "/api/v1/decisions/x", 404), ("DELETE", "/inbox", 405),
    ("POST", "/inbox/bulk", 403), ("GET", "/people", 403), ("GET", "/livez", 200), ("GET", "/sign-in", 200),
    ("GET", "/sign-in/begin", 404), ("GET", "/sign-in/callback", 401), ("GET", "/live/events", 404),
    ("GET", "/orders?state=nonsense", 422),
)  # fmt: skip


@pytest.mark.parametrize(("method", "path", "status"), REQUESTS)
def test_every_answer_is_guarded_and_kept_by_nobody(client: TestClient, method: str, path: str, status: int) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    for name, value in SECURITY_HEADERS.items():
        assert answer.headers[name] == value
    if not path.startswith("/static/"):
        assert answer.headers["cache-control"] == "no-store"


def test_answers_that_no_page_gives_are_guarded_too(client: TestClient) -> None:
    large = client.post("/inbox/bulk", content=b"x" * (MAX_BODY_BYTES + 1))
    signed_out = TestClient(client.app, follow_redirects=False).get("/")
    many = next(one for one in (client.get("/account") for _ in range(40)) if one.status_code != 200)
    assert [one.status_code for one in (large, signed_out, many)] == [413, 303, 429]
    for one in (large, signed_out, many):
        assert all(one.headers[name] == value for name, value in SECURITY_HEADERS.items())


@pytest.mark.parametrize(("path", "kind"), [("/", "text/html"), ("/api/v1/tasks", "application/problem+json")])
def test_what_nobody_foresaw_tells_nothing_and_is_guarded(
    console: ConsoleOverFakes, client: TestClient, monkeypatch: pytest.MonkeyPatch, path: str, kind: str
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError(f"{CANARY}: postgresql://console:hunter2@db/")

    monkeypatch.setattr(console.sessions, "person", broken)

    answer = client.get(path)

    assert answer.status_code == 500
    assert answer.headers["content-type"].startswith(kind)
    assert answer.headers["cache-control"] == "no-store"
    assert all(answer.headers[name] == value for name, value in SECURITY_HEADERS.items())
    assert CANARY not in answer.text
    assert "hunter2" not in answer.text


@pytest.mark.parametrize("path", ["/", "/api/v1/tasks"])
@pytest.mark.parametrize(
    "words",
    ['PostgreSQL did not answer: connection to server at "10.1.2.3", user "console" failed',
     "Temporal did not answer at 10.1.2.3:7233: refused"],
)  # fmt: skip
def test_where_servers_are_is_for_the_log(
    console: ConsoleOverFakes, client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    path: str, words: str,
) -> None:  # fmt: skip
    async def away(*_: object, **__: object) -> None:
        raise Unavailable(words)

    monkeypatch.setattr(console.sessions, "person", away)
    answer = client.get(path)
    assert answer.status_code == 503
    assert "did not answer." in answer.text
    assert "10.1.2.3" not in answer.text
    assert words in caplog.text


def test_browsers_are_told_to_stay_with_https() -> None:
    fakes = ConsoleOverFakes()
    https = ConsoleOverFakes(sign_in=replace(fakes.sign_in, public_url="https://stock.example"))
    with TestClient(https.app, base_url="https://stock.example") as client:
        assert client.get("/sign-in").headers["strict-transport-security"]


def test_no_secret_of_a_request_is_logged_or_told(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    token = api_token(KEY, "Ada")
    asked = (
        client.get("/api/v1/tasks", headers={"Authorization": f"Bearer {token}{CANARY}"}),
        client.get("/api/v1/tasks", headers={"Authorization": f"Basic {CANARY}"}),
        client.get("/sign-in", params={"token": f"{CANARY}.{CANARY}"}),
        client.get("/sign-in/callback", params={"code": CANARY, "state": CANARY, "error_description": CANARY}),
        client.post("/sign-in", data={"token": CANARY}),
        client.post("/inbox/bulk", data={"csrf": CANARY}),
        client.get("/", headers={"Cookie": f"qm_session={CANARY}"}),
    )
    for answer in asked:
        assert CANARY not in answer.text
        assert CANARY not in str(answer.headers)
    told = "\n".join(
        f"{record.getMessage()} {record.__dict__}" for record in caplog.records if "httpx" not in record.name
    )
    assert CANARY not in told
    assert token not in told
