"""Reports against suppliers' lists at the console, and what bounds sending: circuits and caps."""

import csv
import io
import re
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from console.auth import api_token, sign_in_token
from tests.fakes.console import KEY, ConsoleOverFakes
from workflows.domain.health import Pile
from workflows.domain.reconciliation import Difference, DifferenceKind

REPORT = "/reconciliation/northern-foods:3"


@pytest.fixture
def console() -> ConsoleOverFakes:
    return ConsoleOverFakes()


def opened(console: ConsoleOverFakes, name: str) -> TestClient:
    client = TestClient(console.app, follow_redirects=True)
    client.get("/sign-in", params={"token": sign_in_token(KEY, name)})
    return client


@pytest.fixture
def client(console: ConsoleOverFakes) -> Iterator[TestClient]:
    with opened(console, "Otto") as client:
        yield client


@pytest.fixture
def api(console: ConsoleOverFakes) -> Iterator[TestClient]:
    with TestClient(console.app, headers={"Authorization": f"Bearer {api_token(KEY, 'Otto')}"}) as client:
        yield client


def csrf(page: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found
    return found[1]


def test_the_newest_reports_say_who_has_to_look(console: ConsoleOverFakes, client: TestClient) -> None:
    page = client.get("/reconciliation").text

    assert page.index("northern-foods:3") < page.index("acme:3")
    assert "Both agree" in page
    assert "it tells no list" in page
    assert "slow (since" in page
    console.health.more["differences_open"] = Pile(n=3)
    console.health.more["reports_unfinished"] = Pile(n=1, oldest_seconds=400_000)
    assert client.get("/health").text.count('<a href="/reconciliation">') >= 2


def test_a_difference_is_explained_once_and_by_whom_is_told(console: ConsoleOverFakes, client: TestClient) -> None:
    page = client.get(REPORT).text
    assert "Missing there" in page
    assert "the engine looks for it by itself" in page
    action, form = f"{REPORT}/differences/{2:064x}", {"csrf": csrf(page), "reason": "ordered by phone", "after": "0"}

    for _ in range(2):
        answer = client.post(action, data=form)
        assert (answer.status_code, answer.url.path) == (200, REPORT)
    assert "ordered by phone" in answer.text
    assert "said by Otto" in answer.text

    second = client.post(action, data=form | {"reason": "no idea <b>"})
    assert second.status_code == 409
    assert "Otto explained it already: ordered by phone" in second.text
    short = client.post(f"{REPORT}/differences/{1:064x}", data=form | {"reason": "x"})
    assert (short.status_code, "Nothing was noted." in short.text) == (422, True)
    assert 'value="x"' in short.text
    assert client.post(f"{REPORT}/differences/{9:064x}", data=form).status_code == 404
    assert list(console.reconciliations.explanations) == [f"{2:064x}"]


def test_who_may_only_look_explains_nothing(console: ConsoleOverFakes) -> None:
    with opened(console, "Vera") as vera:
        page = vera.get(REPORT).text
        assert "Unexplained." in page
        assert "Explain</button>" not in page
    assert opened(console, "Vera").get("/reconciliation/nobody:1").status_code == 404


def test_many_differences_come_in_pages_and_as_a_file(console: ConsoleOverFakes, client: TestClient) -> None:
    console.reconciliations.found = [
        Difference(
            difference_id=f"{n:064x}",
            kind=DifferenceKind.UNKNOWN_ORIGIN,
            key="",
            supplier_number=f"=cmd{n}",
            says="who?",
        )
        for n in range(1, 1_251)
    ]
    first = client.get(REPORT).text
    assert "Differences 1 to 100 of 1,250" in first
    assert f'href="{REPORT}?after=100" rel="next"' in first
    last = client.get(f"{REPORT}?after=1200").text
    assert "Differences 1,201 to 1,250" in last
    assert 'rel="next"' not in last
    assert "No further difference" in client.get(f"{REPORT}?after=1250").text
    assert client.get(f"{REPORT}?after=-1").status_code in (400, 422)

    file = client.get(f"{REPORT}/differences.csv")
    rows = list(csv.DictReader(io.StringIO(file.text)))
    assert file.headers["content-disposition"] == 'attachment; filename="differences.csv"'
    assert len(rows) == 1_250
    assert rows[0]["supplier_number"] == "'=cmd1", "no formula for a spreadsheet to run"


def test_programs_read_reports_page_by_page_and_explain(console: ConsoleOverFakes, api: TestClient) -> None:
    told = api.get("/api/v1/reconciliations").json()
    assert [one["open"] for one in told["reports"]] == [3, 0, 0]
    assert told["under_way"][0]["supplier"] == "slow"
    path = "/api/v1/reconciliations/northern-foods:3"
    after: int | None = 0
    seen: list[str] = []
    while after is not None:
        page = api.get(f"{path}/differences", params={"limit": 3, "after": after}).json()
        seen, after = seen + [one["difference_id"] for one in page["differences"]], page["next"]
    assert seen == [one.difference_id for one in console.reconciliations.found]
    key = {"Idempotency-Key": "explain-1"}
    explain = f"/api/v1/differences/{1:064x}/explain"
    assert api.post(explain, json={"reason": "ordered by phone"}, headers=key).json()["explained"] == "ordered by phone"
    assert api.post(explain, json={"reason": "ordered by fax"}, headers=key).status_code == 409
    assert api.post(explain, json={"reason": "two\nlines"}, headers=key).status_code == 422
    assert api.get(path).json()["open"] == 2


def test_health_says_who_does_not_answer_and_what_the_caps_leave(client: TestClient, api: TestClient) -> None:
    page = client.get("/health").text
    assert page.index("blech-und-co") < page.index("Left alone") < page.index(">Answers<")
    assert "The order was sent: no usable answer" in page
    assert "96 %" in page
    assert "4,800.50 EUR" in page
    assert [one["phase"] for one in api.get("/api/v1/circuits").json()["circuits"]] == ["open", "closed", "closed"]
    assert api.get("/api/v1/caps").json()["caps"][0]["used"] == "4800.50"


def test_an_installation_without_them_shows_none() -> None:
    bare = ConsoleOverFakes(order_words=None, reconciliations=None, circuits=None, caps=None)
    with opened(bare, "Otto") as client:
        assert client.get("/reconciliation").status_code == 404
        assert client.get("/health").status_code == 200
        page = client.get("/orders/northern-foods:LEEDS:2025-11-22:1")
        assert (page.status_code, "one order, not two" in page.text) == (200, True)
