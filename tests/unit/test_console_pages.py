"""The pages as a planner without JavaScript sees them."""

import re
from collections.abc import Iterator
from decimal import Decimal
from html import unescape
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

import console as console_package
from console import words
from console.auth import sign_in_token
from tests.fakes.console import KEY, ConsoleOverFakes
from tests.fakes.desk import MemoryShop
from tests.fakes.shop import CLOCK, decided
from workflows.domain.approvals import Meaning, RejectReason, TaskState
from workflows.domain.decisions import HoldReason
from workflows.domain.ledger import EntryType
from workflows.domain.models import ModelStatus
from workflows.domain.orders import OrderState
from workflows.domain.policies import RuleCode

OAT = "LEEDS:OAT-1L:1"
HOME = Path(console_package.__path__[0])


@pytest.fixture
def console() -> ConsoleOverFakes:
    return ConsoleOverFakes()


@pytest.fixture
def client(console: ConsoleOverFakes) -> Iterator[TestClient]:
    with TestClient(console.app) as client:
        client.get("/sign-in", params={"token": sign_in_token(KEY, "Ada")})
        yield client


def form_of(html: str, form_id: str) -> dict[str, str]:
    """The fields that a browser would send with this form."""
    form = re.search(rf'<form[^>]*id="{form_id}".*?</form>', html, re.DOTALL)
    assert form, f"there is no form {form_id}"
    hidden = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form[0])
    meaning = re.search(r'name="meaning" value="(\w+)"', form[0])
    assert meaning
    return {**{name: unescape(value) for name, value in hidden}, "meaning": meaning[1]}


def visible(html: str) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", html)))


def test_the_inbox_is_a_real_table_with_reasons_in_words(client: TestClient) -> None:
    html = client.get("/inbox").text

    assert "<caption>9 tasks, dearest to leave waiting first</caption>" in html
    assert html.count('<th scope="col"') == 7, "six facts, and the box that selects"
    assert html.count('<th scope="row"') == 9
    text = visible(html)
    assert text.index("Regency teapot") < text.index("Oat drink")
    for shown in ("168 units", "6,468.00 EUR", "97 % high", "Soon out of stock", "In 9 h", "escalated", "1.4 days"):
        assert shown in text


def test_an_empty_inbox_says_what_happens_next() -> None:
    empty = ConsoleOverFakes(MemoryShop(CLOCK))
    with TestClient(empty.app) as client:
        client.get("/sign-in", params={"token": sign_in_token(KEY, "Ada")})

        assert "What happens next" in client.get("/inbox").text
        assert client.get("/").status_code == 200


def test_the_task_page_shows_the_evidence(client: TestClient, console: ConsoleOverFakes) -> None:
    html = client.get(f"/tasks/{OAT}").text
    decision = console.shop.cases[OAT].decided.decision

    text = visible(html)
    assert decision.result.sentence in text
    for shown in ("On hand", "On order", "reserved", "Demand in 12 days", "Safety", "24 / 12"):
        assert shown in text
    for digest in (decision.proposal_hash, decision.inputs_digest, decision.model_digest, decision.policy_digest):
        assert digest in text
    for step in decision.result.waterfall:
        assert step.rule in text
    assert "Average of the last week" in text
    assert '<title id="fan-title">' in html
    assert "<desc" in html
    assert html.count("P50") == 1, "the picture has a table beside it"
    assert "A person was asked" in text


def test_approving_records_the_verdict_under_the_persons_name(client: TestClient, console: ConsoleOverFakes) -> None:
    form = form_of(client.get(f"/tasks/{OAT}").text, "approve")

    page = client.post(f"/tasks/{OAT}/verdict", data=form)

    assert page.status_code == 200
    assert "Your answer is recorded" in page.text
    assert "The engine is acting on it" in page.text
    stored = console.shop.cases[OAT].approvals
    assert [(a["actor"], a["channel"], a["meaning"]) for a in stored] == [("Ada", "console", Meaning.APPROVE)]
    assert "by <b>Ada</b>" in client.get(f"/tasks/{OAT}").text


def test_pressing_twice_is_pressing_once(client: TestClient, console: ConsoleOverFakes) -> None:
    form = form_of(client.get(f"/tasks/{OAT}").text, "approve")

    answers = [client.post(f"/tasks/{OAT}/verdict", data=form) for _ in range(2)]

    assert [a.status_code for a in answers] == [200, 200]
    assert len(console.shop.cases[OAT].approvals) == 1


def test_another_quantity_is_approved_beside_the_proposed_one(client: TestClient, console: ConsoleOverFakes) -> None:
    form = form_of(client.get(f"/tasks/{OAT}").text, "edit") | {"units": "240", "comment": "shelf space"}

    client.post(f"/tasks/{OAT}/verdict", data=form)

    assert console.shop.cases[OAT].approvals[0]["units"] == 240
    text = visible(client.get(f"/tasks/{OAT}").text)
    assert "240 units instead of 492" in text
    assert "shelf space" in text


def test_a_rejection_keeps_its_reason_and_comment(client: TestClient, console: ConsoleOverFakes) -> None:
    form = form_of(client.get(f"/tasks/{OAT}").text, "reject") | {"reason": "too_much", "comment": "<b>no</b>"}

    client.post(f"/tasks/{OAT}/verdict", data=form)

    html = client.get(f"/tasks/{OAT}").text
    assert console.shop.cases[OAT].approvals[0]["reason"] is RejectReason.TOO_MUCH
    assert "Reason: Too much" in visible(html)
    assert "<b>no</b>" not in html, "what people type is never markup"


def test_an_unreachable_engine_is_said_and_the_answer_stands(client: TestClient, console: ConsoleOverFakes) -> None:
    console.channel.state = "unreachable"
    form = form_of(client.get(f"/tasks/{OAT}").text, "approve")

    assert "it will be told" in client.post(f"/tasks/{OAT}/verdict", data=form).text


@pytest.mark.parametrize(
    ("form_id", "fields", "says"),
    [("reject", {"comment": "kept"}, "reason"), ("edit", {"units": "x"}, "units"), ("edit", {"units": "-5"}, "units")],
)
def test_a_form_with_a_mistake_says_what_is_missing(
    client: TestClient, console: ConsoleOverFakes, form_id: str, fields: dict[str, str], says: str
) -> None:
    form = form_of(client.get(f"/tasks/{OAT}").text, form_id) | fields

    page = client.post(f"/tasks/{OAT}/verdict", data=form)

    assert page.status_code == 422
    alert = re.search(r'role="alert">(.*?)</p>', page.text, re.DOTALL)
    assert alert
    assert says in alert[1]
    assert fields.get("comment", "") in page.text
    assert console.shop.cases[OAT].approvals == []


def test_a_stale_answer_shows_what_changed_and_can_look_again(client: TestClient, console: ConsoleOverFakes) -> None:
    form = form_of(client.get(f"/tasks/{OAT}").text, "approve")
    now = decided(daily=50, on_hand=10, revision=2).decision
    console.shop.rescore(decided(daily=50, on_hand=10, revision=2))

    page = client.post(f"/tasks/{OAT}/verdict", data=form)

    text = visible(page.text)
    assert page.status_code == 409
    assert "The proposal changed while you looked at it" in text
    assert "Units 492" in text
    for shown in (str(now.result.units), form["proposal_hash"][:12], now.proposal_hash[:12]):  # type: ignore[union-attr]
        assert shown in text
    assert f'href="/tasks/{OAT}"' in page.text
    assert console.shop.cases[OAT].approvals == []


def test_a_second_answer_says_who_was_first(client: TestClient, console: ConsoleOverFakes) -> None:
    html = client.get(f"/tasks/{OAT}").text
    client.post(f"/tasks/{OAT}/verdict", data=form_of(html, "approve"))

    page = client.post(f"/tasks/{OAT}/verdict", data=form_of(html, "reject") | {"reason": "other"})

    assert page.status_code == 409
    assert "Approved by Ada" in visible(page.text)


def test_a_hold_has_a_page_and_nothing_to_answer(client: TestClient) -> None:
    text = visible(client.get("/decisions/LEEDS:OIL-R:1").text)

    assert "Why nothing is ordered" in text
    assert "Your answer" not in text


def test_an_unknown_decision_is_a_page_that_says_so(client: TestClient) -> None:
    page = client.get("/decisions/LEEDS:NONE:1")

    assert page.status_code == 404
    assert "There is no decision LEEDS:NONE:1" in page.text


def test_a_decision_is_found_by_its_id(client: TestClient) -> None:
    assert client.get("/decisions", params={"id": f" {OAT} "}).url.path == f"/decisions/{OAT}"


def test_the_home_page_defines_every_total(client: TestClient, console: ConsoleOverFakes) -> None:
    text = visible(client.get("/").text)

    assert "9 tasks wait for a person" in text
    for figure in console.shop.counts.values():
        assert f"{figure:,}" in text
    assert "counted by the engine" not in text, "a total without a definition of its own"


def test_the_lists_show_state_and_reason(client: TestClient) -> None:
    assert "item discontinued" in client.get("/orders").text
    assert "In doubt" in client.get("/orders").text
    assert "com.example.weather is not known" in client.get("/dead-letters").text


def test_only_a_model_that_waits_for_a_person_can_be_promoted(client: TestClient, console: ConsoleOverFakes) -> None:
    html = client.get("/models").text
    actions = re.findall(r'action="(/models/\w+/promote)"', html)
    csrf = re.findall(r'name="csrf" value="(\w+)"', html)[0]
    assert len(actions) == 1

    refused = next(m for m in console.models._versions.values() if m.status is ModelStatus.REFUSED)
    assert client.post(f"/models/{refused.digest}/promote", data={"csrf": csrf}).status_code == 409
    assert client.post(actions[0], data={"csrf": csrf}).status_code == 200
    assert console.models.promoted_by[0][1] == "Ada"
    assert "/promote" not in client.get("/models").text


def test_passive_mode_is_said_on_every_page() -> None:
    with TestClient(ConsoleOverFakes(passive=True).app) as client:
        client.get("/sign-in", params={"token": sign_in_token(KEY, "Ada")})

        assert "nothing is sent to a supplier" in client.get("/inbox").text


def test_the_api_page_lists_the_operations_without_a_cdn(client: TestClient) -> None:
    html = client.get("/docs/api").text

    assert "POST /api/v1/tasks/{decision_id}/verdict" in html
    assert 'id="stale-proposal"' in html
    assert "http" not in re.sub(r"HTTP|http-equiv", "", "".join(re.findall(r'(?:src|href)="([^"]*)"', html)))


@pytest.mark.parametrize(
    "path", ["/", "/inbox", f"/tasks/{OAT}", "/orders", "/models", "/dead-letters", "/docs/api", "/sign-in", "/nowhere"]
)
def test_no_page_has_inline_script_or_style_or_another_origin(client: TestClient, path: str) -> None:
    html = client.get(path).text

    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:|<script(?![^>]*src=)", html)
    assert not re.search(r'(?:src|href|action)="(?!/|#)', html)


def test_every_code_has_words_and_every_word_its_icon() -> None:
    sprite = (HOME / "static" / "icons.svg").read_text()
    named = ((RuleCode, words.RULES), (TaskState, words.TASKS), (OrderState, words.ORDERS), (ModelStatus, words.MODELS))
    for codes, known in named:
        assert set(known) == set(codes)
        for word in known.values():
            assert f'id="{word.icon}"' in sprite, word
    assert set(words.MEANINGS) == set(Meaning)
    assert set(words.REASONS) == set(RejectReason)
    assert set(words.HOLDS) == set(HoldReason)
    assert set(words.ENTRIES) == set(EntryType)
    assert words.risk(Decimal("0.7")).text == "high"
