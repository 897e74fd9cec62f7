"""Operators at the console: health in words, switches with a reason, orders that need somebody, letters sent again."""

import re
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from console.auth import api_token, sign_in_token
from tests.fakes.console import KEY, ConsoleOverFakes
from workflows.domain.arrivals import MASK, masked
from workflows.domain.health import Pile
from workflows.domain.people import Person, Role

IN_DOUBT = "northern-foods:LEEDS:2025-11-22:1"
COLLECTING = "northern-foods:LEEDS:2025-11-21:1"
REFUSED = "northern-foods:LEEDS:2025-11-24:1"


@pytest.fixture
def console() -> ConsoleOverFakes:
    console = ConsoleOverFakes()
    console.people.known["Olga"] = Person(name="Olga", roles=frozenset({Role.OPERATOR}))
    return console


def opened(console: ConsoleOverFakes, name: str = "Otto") -> TestClient:
    client = TestClient(console.app, follow_redirects=True)
    client.get("/sign-in", params={"token": sign_in_token(KEY, name)})
    return client


@pytest.fixture
def client(console: ConsoleOverFakes) -> Iterator[TestClient]:
    with opened(console) as client:
        yield client


@pytest.fixture
def api(console: ConsoleOverFakes) -> Iterator[TestClient]:
    with TestClient(console.app, headers={"Authorization": f"Bearer {api_token(KEY, 'Otto')}"}) as client:
        yield client


def csrf(page: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found
    return found[1]


def post(client: TestClient, page: str, action: str, **fields: str) -> str:
    return client.post(action, data={"csrf": csrf(client.get(page).text), **fields}).text


def keyed(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key}


# Health and the switches.


def test_health_says_what_is_wrong_what_it_means_and_what_to_do(console: ConsoleOverFakes, client: TestClient) -> None:
    console.health.more["orders_awaiting"] = Pile(n=2, oldest_seconds=90)
    page = client.get("/health").text

    assert "2 orders wait for you, the oldest for 90 s" in page
    assert "Act now" in page
    assert "it says what is known and what you can do" in page
    assert "unknown_type" in page


def test_a_switch_is_set_with_a_reason_seen_and_lifted(console: ConsoleOverFakes, client: TestClient) -> None:
    page = post(client, "/health", "/stops", scope="everything", reason="the ERP is being moved")
    assert "all orders (the ERP is being moved)" in page
    assert "Held" in client.get("/orders").text
    assert "Nothing is lost" in client.get(f"/orders/{COLLECTING}").text

    page = post(client, "/health", "/stops/everything:1/lift", reason="it has moved")
    assert "No switch is set" in page
    assert "it has moved" in page
    assert [one.lifted_by for one in console.stops.all] == ["Otto"]


@pytest.mark.parametrize(
    "fields",
    [
        {"scope": "everything", "reason": ""},
        {"scope": "everything", "subject": "LEEDS", "reason": "a mistake"},
        {"scope": "supplier", "subject": "", "reason": "a mistake"},
        {"scope": "model", "subject": "abc", "reason": "a mistake"},
        {"scope": "nonsense", "subject": "x", "reason": "a mistake"},
        {"scope": "supplier", "subject": "no\x00ne", "reason": "a mistake"},
    ],
)
def test_a_switch_that_says_too_little_is_not_set(
    console: ConsoleOverFakes, client: TestClient, fields: dict[str, str]
) -> None:
    token = csrf(client.get("/health").text)

    assert client.post("/stops", data={"csrf": token, **fields}).status_code == 422
    assert console.stops.all == []


def test_who_may_not_operate_sees_everything_and_stops_nothing(console: ConsoleOverFakes) -> None:
    console.operations.awaiting.add(IN_DOUBT)
    with opened(console, "Ada") as ada:
        page = ada.get("/health").text
        assert "Stop all orders" not in page
        assert "What you can do" not in ada.get(f"/orders/{IN_DOUBT}").text
        token = csrf(page)
        said = [f"/orders/{IN_DOUBT}/{word}" for word in ("look", "confirm", "resend")]
        for action in (
            "/stops",
            *said,
            f"/reconciliation/northern-foods:3/differences/{1:064x}",
            f"/orders/{REFUSED}/seen",
            f"/orders/{COLLECTING}/close",
            "/dead-letters/3/redrive",
            "/redrives/1/confirm",
            "/redrives/1/decline",
            "/redrives/1/withdraw",
        ):
            sent = ada.post(action, data={"csrf": token, "scope": "everything", "reason": "why not", "sure": "yes"})
            assert sent.status_code == 403, action
    assert console.stops.all == []


# Orders.


def test_an_order_in_doubt_is_explained(console: ConsoleOverFakes, client: TestClient) -> None:
    console.operations.open_requests.add(IN_DOUBT)
    page = client.get(f"/orders/{IN_DOUBT}").text

    assert "one order, not two" in page
    assert "cannot be closed as not ordered: a request left" in page
    assert "Close as not ordered" not in page


def test_an_order_that_waits_for_an_operator_is_tried_again(console: ConsoleOverFakes, client: TestClient) -> None:
    console.operations.awaiting.add(IN_DOUBT)
    assert "Waits for an operator" in client.get("/orders?state=awaits_operator").text

    post(client, f"/orders/{IN_DOUBT}", f"/orders/{IN_DOUBT}/retry")

    assert console.operations.woken == [IN_DOUBT]
    console.operations.awaiting.add(COLLECTING)
    assert "Try again</button>" in client.get(f"/orders/{COLLECTING}").text, "nothing of it left: there is no doubt"
    assert "Try again</button>" not in client.get(f"/orders/{IN_DOUBT}").text, "looking again says more"


def test_all_orders_that_wait_for_an_operator_are_tried_again_at_once(
    console: ConsoleOverFakes, client: TestClient
) -> None:
    console.operations.awaiting |= {IN_DOUBT, COLLECTING}
    assert "Try all" not in client.get("/orders").text
    page = client.get("/orders?state=awaits_operator").text
    token = re.search(r'name="command_id" value="([^"]+)"', page)
    assert "Try all of these again" in page
    assert token

    said = {"csrf": csrf(page), "command_id": token.group(1), "supplier": "", "location": ""}
    answers = [client.post("/orders/retry", data=said) for _ in range(2)]

    assert sorted(console.operations.woken) == sorted([IN_DOUBT, COLLECTING]), "a form that is sent twice is one word"
    assert "2 orders are looked for" in answers[1].text


def test_who_may_not_operate_sees_no_button_for_all(console: ConsoleOverFakes) -> None:
    console.operations.awaiting.add(IN_DOUBT)
    with opened(console, "Ada") as planner:
        page = planner.get("/orders?state=awaits_operator").text
        assert "Waits for an operator" in page
        assert "Try all" not in page


def test_an_order_is_closed_as_not_ordered_only_by_somebody_who_is_sure(
    console: ConsoleOverFakes, client: TestClient
) -> None:
    token = csrf(client.get(f"/orders/{COLLECTING}").text)
    action = f"/orders/{COLLECTING}/close"
    assert client.post(action, data={"csrf": token, "reason": "a double order"}).status_code == 422

    page = client.post(action, data={"csrf": token, "reason": "a double order", "sure": "yes"}).text

    assert "closed as not ordered by Otto: a double order" in page
    console.operations.open_requests.add(IN_DOUBT)
    refused = client.post(f"/orders/{IN_DOUBT}/close", data={"csrf": token, "reason": "a guess", "sure": "yes"})
    assert refused.status_code == 409


def test_a_refused_order_that_somebody_saw_is_no_task_any_more(client: TestClient) -> None:
    assert REFUSED in client.get("/orders?state=failed").text
    assert "mend the catalog" in client.get(f"/orders/{REFUSED}").text, "the item is what they refuse"

    assert "Seen by Otto" in post(client, f"/orders/{REFUSED}", f"/orders/{REFUSED}/seen")

    assert REFUSED not in client.get("/orders?state=failed").text


def test_the_list_narrows_and_says_when_nothing_is_like_that(client: TestClient) -> None:
    assert "No order is like that" in client.get("/orders?supplier=nobody").text
    assert client.get("/orders?state=nonsense").status_code == 422
    assert client.get("/orders?after=nothing").status_code == 422
    assert client.get("/orders/nothing").status_code == 404


# Dead letters and arrivals.


def test_a_dead_letter_is_sent_again_by_two(console: ConsoleOverFakes, client: TestClient) -> None:
    page = post(client, "/dead-letters", "/dead-letters/3/redrive", reason="they mended it")
    assert "they mended it" in page
    assert "Take back" in page
    assert "Confirm" not in page, "whoever asked is not asked to confirm"
    meant = {"payload_sha256": console.operations.asked[0].payload_sha256}
    alone = client.post("/redrives/1/confirm", data={"csrf": csrf(page), **meant})
    assert (alone.status_code, console.operations.redriven) == (403, [])

    with opened(console, "Olga") as olga:
        page = olga.get("/dead-letters").text
        assert "Otto" in page
        assert f'name="payload_sha256" value="{meant["payload_sha256"]}"' in page
        other = {"csrf": csrf(page), "payload_sha256": "0" * 64}
        assert olga.post("/redrives/1/confirm", data=other).status_code == 409
        post(olga, "/dead-letters", "/redrives/1/confirm", **meant)

    assert console.operations.redriven == [3]
    assert "None is like that" in client.get("/dead-letters?waiting=true").text


def test_what_is_asked_of_a_dead_letter_is_declined_or_taken_back(
    console: ConsoleOverFakes, client: TestClient
) -> None:
    post(client, "/dead-letters", "/dead-letters/3/redrive", reason="they mended it")
    post(client, "/dead-letters", "/redrives/1/withdraw")
    assert "taken back by Otto" in client.get("/dead-letters").text
    post(client, "/dead-letters", "/dead-letters/3/redrive", reason="after all")
    with opened(console, "Olga") as olga:
        assert olga.post("/redrives/2/withdraw", data={"csrf": csrf(olga.get("/dead-letters").text)}).status_code == 403
        assert "they did not" in post(olga, "/dead-letters", "/redrives/2/decline", reason="they did not")
    assert console.operations.redriven == []


def test_live_shows_what_names_stock_and_masks_the_rest(client: TestClient) -> None:
    page = client.get("/live").text

    assert "item=OAT-1L" in page
    assert MASK in page
    assert "Mrs Ada" not in page
    assert "1.99" not in page
    fragment = client.get("/live", headers={"X-Fragment": "1"}).text
    assert "<html" not in fragment
    assert 'id="live-parts"' in fragment


def test_a_body_is_shown_within_bounds() -> None:
    wide = {f"field{n}": "x" * 500 for n in range(50)}

    assert len(masked(wide)) == 12
    assert masked({"item": "x" * 500, "note": "secret", "order_id": None}) == {
        "item": "x" * 80, "note": MASK, "order_id": "",
    }  # fmt: skip


# REST.


def test_programs_stop_and_lift_under_their_own_key(console: ConsoleOverFakes, api: TestClient) -> None:
    body = {"scope": "supplier", "subject": "acme", "reason": "they are closed"}
    first = api.post("/api/v1/stops", json=body, headers=keyed("stop-0001"))
    assert first.status_code == 200
    stop_id = first.json()["stop_id"]
    lifted = api.post(f"/api/v1/stops/{stop_id}/lift", json={"reason": "open again"}, headers=keyed("lift-0001"))
    assert lifted.json()["lifted_by"] == "Otto"

    assert api.post("/api/v1/stops", json=body, headers=keyed("stop-0001")).json() == first.json()
    assert api.post("/api/v1/stops", json={**body, "reason": "other"}, headers=keyed("stop-0001")).status_code == 422
    assert len(console.stops.all) == 1
    assert [one["stop_id"] for one in api.get("/api/v1/stops").json()["stops"]] == [stop_id]
    assert api.get("/api/v1/stops?in_force=true").json()["stops"] == []
    assert api.post("/api/v1/stops", json=body).status_code == 400, "a key is needed"


def test_orders_come_page_by_page(api: TestClient) -> None:
    seen, after = [], None
    while True:
        page = api.get("/api/v1/orders", params={"limit": 2, **({"after": after} if after else {})}).json()
        seen += [one["order_id"] for one in page["orders"]]
        after = page["next"]
        if after is None:
            break

    assert len(seen) == len(set(seen)) == 4
    assert [one["state"] for one in api.get("/api/v1/orders?state=refused").json()["orders"]] == ["refused"]


def test_health_for_machines_is_200_with_lights(api: TestClient) -> None:
    answer = api.get("/api/v1/health")

    assert (answer.status_code, answer.json()["light"]) == (200, "amber")
    assert "postgres" not in answer.text


def test_a_word_about_an_order_under_the_same_key_is_one_word(console: ConsoleOverFakes, api: TestClient) -> None:
    console.operations.awaiting.add(IN_DOUBT)
    path = f"/api/v1/orders/{IN_DOUBT}/retry"

    answers = [api.post(path, headers=keyed("retry-001")).json() for _ in range(2)]

    assert answers[0] == answers[1]
    assert console.operations.woken == [IN_DOUBT]
    assert api.post(f"/api/v1/orders/{COLLECTING}/retry", headers=keyed("retry-002")).status_code == 409
    assert api.post("/api/v1/orders/none/retry", headers=keyed("retry-003")).status_code == 404
    why = {"reason": "they mended it"}
    assert api.post("/api/v1/dead-letters/9/redrive", json=why, headers=keyed("redrive-1")).status_code == 404


def test_programs_ask_and_confirm_a_re_drive_under_their_own_key(console: ConsoleOverFakes, api: TestClient) -> None:
    why, path = {"reason": "they mended it"}, "/api/v1/dead-letters/3/redrive"
    asked = [api.post(path, json=why, headers=keyed(key)).json() for key in ("redrive-1", "redrive-1", "redrive-2")]
    assert asked[0] == asked[1] == asked[2], "one person's wish is one, under whichever key"
    assert api.post(path, json={"reason": "other"}, headers=keyed("redrive-1")).status_code == 422
    assert api.post(path, json={"reason": "other"}, headers=keyed("redrive-3")).status_code == 409
    assert api.get("/api/v1/dead-letters").json()["dead_letters"][0]["redrive"] == asked[0]
    meant = {"payload_sha256": asked[0]["payload_sha256"]}
    assert api.post("/api/v1/redrives/1/confirm", json=meant, headers=keyed("confirm-1")).status_code == 403
    with TestClient(console.app, headers={"Authorization": f"Bearer {api_token(KEY, 'Olga')}"}) as olga:
        sent = [olga.post("/api/v1/redrives/1/confirm", json=meant, headers=keyed(key)).json()
                for key in ("confirm-2", "confirm-2", "confirm-3")]  # fmt: skip
    assert sent == [{"dead_letter_id": 3, "topic": "qm.sales"}] * 3
    assert console.operations.redriven == [3]
    assert api.post("/api/v1/redrives/1/withdraw", headers=keyed("withdraw-1")).status_code == 409
    assert api.post("/api/v1/redrives/9/decline", json=why, headers=keyed("decline-1")).status_code == 404
