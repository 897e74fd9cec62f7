"""Another supplier is asked for where a proposal is read and where it is edited, by a plain form, and through REST."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from console.auth import api_token, sign_in_token
from tests.fakes.console import KEY, ConsoleOverFakes
from tests.fakes.desk import Case
from tests.fakes.shop import decided
from workflows.domain.decisions import SupplyOption

OAT = "LEEDS:OAT-1L:1"
PAGE, FORM = f"/tasks/{OAT}", f"/inbox/tasks/{OAT}/supplier"
RESCORE = f"/api/v1/tasks/{OAT}/rescore"


def sold_by(*names: str, blocked: str = "") -> tuple[SupplyOption, ...]:
    options = [decided(supplier=name).inputs.options[0] for name in names]
    return tuple(
        one.model_copy(
            update={"supplier": one.supplier.model_copy(update={"blocked": one.supplier.supplier == blocked})}
        )
        for one in options
    )


@pytest.fixture
def console() -> ConsoleOverFakes:
    console = ConsoleOverFakes()
    console.work.sold_by[OAT] = sold_by("northern-foods", "swift", "shady", blocked="shady")
    return console


@pytest.fixture
def client(console: ConsoleOverFakes) -> Iterator[TestClient]:
    with TestClient(console.app, follow_redirects=False) as client:
        client.get("/sign-in", params={"token": sign_in_token(KEY, "Ada")})
        yield client


def token(page: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found is not None
    return found[1]


def choices(page: str) -> list[str]:
    found = re.search(r'<select id="edit-supplier".*?</select>', page, re.DOTALL)
    return re.findall(r'<option value="([^"]+)"', found[0]) if found else []


def case(console: ConsoleOverFakes) -> Case:
    return console.shop.case(OAT)


def test_the_edit_form_offers_who_else_may_be_asked_and_says_what_comes_of_it(client: TestClient) -> None:
    page = client.get(PAGE).text
    assert choices(page) == ["swift"]
    assert "The proposal is made anew" in page
    assert "Approvals given so far are void" in page
    assert "snooze the task until a day" in page
    assert "it leaves at" in page


def test_a_planner_asks_for_another_supplier_with_a_plain_form(client: TestClient, console: ConsoleOverFakes) -> None:
    csrf = token(client.get(PAGE).text)
    sent = client.post(FORM, data={"csrf": csrf, "supplier": "swift"})
    assert (sent.status_code, sent.headers["location"]) == (303, f"/inbox/tasks/{OAT}?done=supplier")
    assert "made anew by the supplier that you chose" in client.get(sent.headers["location"]).text
    page = client.get(PAGE).text
    assert "A proposal from swift is asked for" in page
    assert choices(page) == ["swift", "*"]
    assert re.search(r"A new score was asked for</b> <span>by Ada</span> <span>swift</span>", page)
    assert (case(console).timeline[-1]["body"], console.work.rescores_asked) == ({"supplier": "swift"}, [OAT])

    assert client.post(FORM, data={"csrf": csrf, "supplier": "*"}).status_code == 303
    assert (case(console).task or {})["wanted_supplier"] is None


@pytest.mark.parametrize("asked", ["shady", "nobody", "", "a\x00b"])
def test_who_cannot_be_asked_is_refused_in_words(client: TestClient, console: ConsoleOverFakes, asked: str) -> None:
    csrf = token(client.get(PAGE).text)
    refused = client.post(FORM, data={"csrf": csrf, "supplier": asked})
    assert refused.status_code == 422
    if asked in ("shady", "nobody"):
        assert "who can: northern-foods, swift" in refused.text
    assert console.work.rescores_asked == []


def test_where_nobody_else_sells_it_the_page_says_so(client: TestClient, console: ConsoleOverFakes) -> None:
    console.work.sold_by.clear()
    page = client.get(PAGE).text
    assert choices(page) == []
    assert "Nobody else who may be asked sells OAT-1L to LEEDS" in page


def test_the_form_is_there_only_for_who_may_use_it_and_while_the_task_is_open(console: ConsoleOverFakes) -> None:
    with TestClient(console.app, follow_redirects=False) as client:
        client.get("/sign-in", params={"token": sign_in_token(KEY, "Vera")})  # approves, works on no task
        assert choices(client.get(PAGE).text) == []
        assert client.post(FORM, data={"csrf": token(client.get(PAGE).text), "supplier": "swift"}).status_code == 403
        client.get("/sign-in", params={"token": sign_in_token(KEY, "Ada")})
        csrf = token(client.get(PAGE).text)
        case(console).task = {**(case(console).task or {}), "state": "rejected", "answered_by": "Bo"}
        assert choices(client.get(PAGE).text) == []
        assert client.post(FORM, data={"csrf": csrf, "supplier": "swift"}).status_code == 409


def test_a_program_asks_for_another_supplier(client: TestClient, console: ConsoleOverFakes) -> None:
    def post(**body: Any) -> Any:
        headers = {"Authorization": f"Bearer {api_token(KEY, 'Ada')}", "Idempotency-Key": "command-1"}
        return client.post(RESCORE, json=body, headers=headers)

    assert post(supplier="swift").status_code == 202
    assert (case(console).task or {})["wanted_supplier"] == "swift"
    assert post().status_code == 202
    assert (case(console).task or {})["wanted_supplier"] is None
    refused = post(supplier="nobody")
    assert (refused.status_code, refused.headers["content-type"]) == (422, "application/problem+json")
    assert "northern-foods, swift" in refused.json()["detail"]
    wrong: list[dict[str, Any]] = [{"supplier": ""}, {"supplier": 5}, {"supplier": "a\x00"}, {"suppliers": "swift"}]
    for body in wrong:
        assert post(**body).status_code == 422, body
