"""Orders in doubt at the console: what is known, what happens next, and what a person may say of it, once."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient

from console import doubt_words
from console.auth import api_token, sign_in_token
from tests.fakes.console import KEY, ConsoleOverFakes
from tests.fakes.sending import L0, L1, L3
from workflows.domain.capabilities import DedupeLevel, Manifest
from workflows.domain.caps import CapName
from workflows.domain.doubt import Doubt, sends_again_itself
from workflows.domain.requests import Request, RequestState
from workflows.domain.stops import Stop, StopScope

ORDER = "northern-foods:LEEDS:2025-11-22:1"
COLLECTING = "northern-foods:LEEDS:2025-11-21:1"
PLACED = "northern-foods:LEEDS:2025-11-23:1"
NOW = datetime(2025, 11, 21, 9, tzinfo=UTC)


@pytest.fixture
def console() -> ConsoleOverFakes:
    return ConsoleOverFakes()


@pytest.fixture
def client(console: ConsoleOverFakes) -> Iterator[TestClient]:
    with TestClient(console.app, follow_redirects=True) as client:
        client.get("/sign-in", params={"token": sign_in_token(KEY, "Otto")})
        yield client


@pytest.fixture
def api(console: ConsoleOverFakes) -> Iterator[TestClient]:
    with TestClient(console.app, headers={"Authorization": f"Bearer {api_token(KEY, 'Otto')}"}) as client:
        yield client


def fields(page: str, action: str) -> dict[str, str]:
    """The hidden fields of one form."""
    found = re.search(rf'<form[^>]*action="[^"]*/{action}".*?</form>', page, re.DOTALL)
    assert found, f"no form {action}"
    return dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', found[0]))


def test_what_is_known_is_told_with_what_happens_by_itself(console: ConsoleOverFakes, client: TestClient) -> None:
    page = client.get(f"/orders/{ORDER}").text
    assert "There will be one order, not two" in page
    assert "Their system (L1)" in page
    assert "not sent twice unless a person says so" in page
    assert "nothing that was sent can be carried out any more" in page
    assert "No usable answer" in page
    assert "They do not have it" in page
    assert "a person is asked: sending it twice could order it twice" in page

    console.order_words.left(ORDER, seconds_ago=20, manifest=L3)
    page = client.get(f"/orders/{ORDER}").text
    assert "may still be carried out until" in page
    assert "it is sent again by itself" in page
    assert "not now: what was sent may still be carried out for 60 s (until " in page
    assert 'action="/orders/northern-foods:LEEDS:2025-11-22:1/resend"' not in page


def test_an_order_that_nobody_can_look_for_says_so(console: ConsoleOverFakes, client: TestClient) -> None:
    console.order_words.left(ORDER, seconds_ago=600, manifest=L0)
    console.operations.awaiting.add(ORDER)
    page = client.get(f"/orders/{ORDER}").text

    assert "Nothing: it waits for a person." in page
    assert "nobody can look for an order in the supplier&#39;s system" in page
    assert "Your word stands for what their system cannot say" in page


def test_a_placed_order_shows_what_was_sent_and_asks_for_no_word(client: TestClient) -> None:
    page = client.get(f"/orders/{PLACED}").text

    assert "Requests to the supplier" in page
    assert "They have it" in page
    assert "/confirm" not in page


@pytest.mark.parametrize(
    ("word", "typed", "said"),
    [
        ("look", {"reason": "their site is up again"}, ("look", "their site is up again")),
        ("confirm", {"reason": "Mia told me", "number": "NF-1", "sure": "yes"}, ("confirm", "NF-1: Mia told me")),
        ("resend", {"reason": "Mia looked for it", "sure": "yes"}, ("send", "Mia looked for it")),
    ],
)
def test_a_word_is_carried_out_once_however_often_the_form_comes(
    console: ConsoleOverFakes, client: TestClient, word: str, typed: dict[str, str], said: tuple[str, str]
) -> None:
    form = fields(client.get(f"/orders/{ORDER}").text, word) | typed
    assert len(form["command_id"]) > 8

    first = client.post(f"/orders/{ORDER}/{word}", data=form)
    again = client.post(f"/orders/{ORDER}/{word}", data=form)

    assert (first.status_code, again.status_code) == (200, 200)
    assert 'role="status"' in first.text
    assert console.order_words.said == [(said[0], ORDER, said[1], "Otto")]


@pytest.mark.parametrize(
    ("word", "typed", "words"),
    [
        ("look", {"reason": ""}, "Give a reason of 3 to 500 characters"),
        ("confirm", {"reason": "Mia told me", "number": "NF-1"}, "Tick that you are sure"),
        ("confirm", {"reason": "Mia told me", "number": " ", "sure": "yes"}, "Give the number"),
        ("resend", {"reason": "Mia looked"}, "Tick that you are sure: if the supplier has it after all"),
    ],
)
def test_a_word_that_says_too_little_is_refused_with_what_was_typed(
    console: ConsoleOverFakes, client: TestClient, word: str, typed: dict[str, str], words: str
) -> None:
    form = fields(client.get(f"/orders/{ORDER}").text, word)
    refused = client.post(f"/orders/{ORDER}/{word}", data=form | typed)

    assert refused.status_code == 422
    assert "Nothing was done." in refused.text
    assert words in refused.text
    assert typed["reason"] in refused.text
    assert "<details open>" in refused.text
    assert console.order_words.said == []


def test_a_refusal_of_the_engine_is_told_on_the_order(console: ConsoleOverFakes, client: TestClient) -> None:
    form = fields(client.get(f"/orders/{ORDER}").text, "resend") | {"reason": "Mia looked", "sure": "yes"}
    console.order_words.left(ORDER, seconds_ago=5)

    refused = client.post(f"/orders/{ORDER}/resend", data=form)

    assert refused.status_code == 409
    assert "may still be carried out for 75 s" in refused.text
    assert client.post("/orders/nobody/look", data={**form, "reason": "why not"}).status_code == 404
    assert client.post(f"/orders/{ORDER}/look", data={**form, "command_id": "a\x00b"}).status_code in (400, 422)


def test_the_list_and_home_lead_to_orders_in_doubt(console: ConsoleOverFakes, client: TestClient) -> None:
    console.operations.awaiting.add(ORDER)
    home = client.get("/").text
    assert 'href="/orders?state=awaits_operator">1 needs a person' in home
    assert 'href="/orders?state=in_doubt">1 in doubt' in home
    listed = client.get("/orders?state=in_doubt").text
    assert ORDER in listed
    assert PLACED not in listed
    assert "Need a person" in listed


def test_an_order_held_by_a_cap_says_which_and_who_lets_it_go(console: ConsoleOverFakes, client: TestClient) -> None:
    stop = Stop(
        stop_id=f"order:{COLLECTING}:1", scope=StopScope.ORDER, subject=COLLECTING, reason="above the cap",
        stopped_by="engine", stopped_at=NOW, over_cap=CapName.HOUR,
    )  # fmt: skip
    console.stops.all.append(stop)
    page = client.get(f"/orders/{COLLECTING}").text
    assert "Held by a value cap" in page
    assert "Used now: 4,800.50 EUR of 5,000.00 EUR; this order is worth 1,204.50 EUR" in page
    assert "role <i>operator</i>" in page

    form = fields(page, "lift") | {"reason": "checked with the buyer"}
    answer = client.post(f"/stops/{stop.stop_id}/lift", data=form)

    assert answer.url.path == f"/orders/{COLLECTING}"
    assert "Its stop is lifted" in answer.text
    assert console.stops.all[0].lifted_by == "Otto"


def test_one_order_is_held_back_for_some_minutes(console: ConsoleOverFakes, client: TestClient) -> None:
    form = fields(client.get(f"/orders/{COLLECTING}").text, "stops") | {"reason": "wrong price", "minutes": "30"}
    for wrong in ("0", "44641", "ten", "-5", "9" * 19):
        assert client.post("/stops", data=form | {"minutes": wrong}).status_code == 422
    before = datetime.now(UTC)

    answer = client.post("/stops", data=form)

    (stop,) = console.stops.all
    assert (stop.scope, stop.subject) == (StopScope.ORDER, COLLECTING)
    assert stop.ends_at is not None
    assert timedelta(minutes=29) < stop.ends_at - before < timedelta(minutes=31)
    assert answer.url.path == f"/orders/{COLLECTING}"
    assert "ends by itself at" in client.get("/health").text
    elsewhere = client.post("/stops", data=form | {"scope": "everything", "subject": "", "minutes": ""})
    assert elsewhere.url.path == "/health"
    assert console.stops.all[1].ends_at is None


def test_programs_say_the_same_under_their_own_key(console: ConsoleOverFakes, api: TestClient) -> None:
    (known,) = api.get("/api/v1/doubts").json()["orders"]
    assert (known["order_id"], known["in_doubt"], known["why_not_send"]) == (ORDER, True, "")
    told = api.get(f"/api/v1/orders/{ORDER}/doubt").json()
    assert [one["outcome"] for one in told["sent"]] == ["unknown", "absent"]
    body, key = {"number": "NF-1", "reason": "Mia told me"}, {"Idempotency-Key": "confirm-1"}

    answers = [api.post(f"/api/v1/orders/{ORDER}/confirm", json=body, headers=key) for _ in range(2)]

    assert [one.status_code for one in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    other = api.post(f"/api/v1/orders/{ORDER}/confirm", json={**body, "number": "NF-2"}, headers=key)
    assert other.status_code == 422
    late = api.post(
        f"/api/v1/orders/{ORDER}/look", json={"reason": "why not"}, headers={"Idempotency-Key": "look-0001"}
    )
    assert (late.status_code, "no doubt" in late.json()["detail"]) == (409, True)
    assert api.post("/api/v1/stops", headers={"Idempotency-Key": "pause-01"}, json={
        "scope": "order", "subject": COLLECTING, "reason": "too late", "ends_at": "2020-01-01T00:00:00Z",
    }).status_code == 422  # fmt: skip


def test_every_level_outcome_and_cap_has_its_words() -> None:
    assert set(doubt_words.LEVELS) == set(DedupeLevel)
    assert set(doubt_words.CAPS) == set(CapName)
    kinds = {"send", "draft", "cancel", "confirm", "reconcile"}
    assert set(doubt_words.KINDS) == kinds
    noted = {"confirmed", "rejected", "unknown", "absent", "duplicate_detected", "not_carried_out", "drafted"}
    noted |= {"cancelled", "listed", "not_asked", ""}
    assert set(doubt_words.OUTCOMES) == noted, "what 0060 lets be noted"


@pytest.mark.parametrize(
    ("manifest", "seconds_ago", "itself"),
    [
        (L1, 20, False),
        (L1.model_copy(update={"drafts": True}), 20, True),
        (L1.model_copy(update={"level": DedupeLevel.L2}), 20, True),
        (L3, 20, True),
        (L3, 90_000, False),
        (L0, 20, False),
    ],
)
def test_whether_it_is_sent_again_by_itself_follows_the_level(
    manifest: Manifest, seconds_ago: int, itself: bool
) -> None:
    at = NOW - timedelta(seconds=seconds_ago)
    request = Request(state=RequestState.UNKNOWN, n=1, open=1, first_sent_at=at, last_sent_at=at)
    assert sends_again_itself(request, manifest, NOW) is itself
    twice = request.model_copy(update={"state": RequestState.DUPLICATE_DETECTED})
    assert not sends_again_itself(twice, manifest, NOW)


def test_what_comes_next_says_who_moves() -> None:
    doubt = Doubt(order_id="o", supplier="s", location="l", request=RequestState.UNKNOWN, level=DedupeLevel.L2,
                  sends_again_itself=True)  # fmt: skip
    calm = {"waits": False, "taken_up": False, "held": False}
    assert "sent again by itself" in doubt_words.next_step(doubt, **calm)
    assert "when its stop is lifted" in doubt_words.next_step(doubt, **calm | {"held": True})
    assert "within seconds" in doubt_words.next_step(doubt, **calm | {"taken_up": True})
    assert doubt_words.next_step(doubt, **calm | {"waits": True}).startswith("Nothing")
    twice = doubt.model_copy(update={"request": RequestState.DUPLICATE_DETECTED})
    assert "which of the orders stays" in doubt_words.next_step(twice, **calm)
    assert "wait for a person" in doubt_words.next_step(doubt.model_copy(update={"level": DedupeLevel.L0}), **calm)
    assert doubt_words.system(doubt.model_copy(update={"level": None})) == doubt_words.ASSUMED
    assert doubt_words.system(doubt.model_copy(update={"drafts": True})) == doubt_words.DRAFTS
