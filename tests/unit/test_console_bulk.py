"""Many tasks in one request: each row for itself, and what wants a look by itself never slips in."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from fastapi.testclient import TestClient

from console.auth import api_token
from tests.fakes.busy_shop import SIGNED_ONCE, busy_shop
from tests.fakes.console import KEY, ConsoleOverFakes
from tests.fakes.shop import decided
from workflows.domain.inbox import Filters, View
from workflows.domain.people import Person, Role
from workflows.domain.policies import RuleCode

PREVIEW, VERDICT = "/api/v1/tasks/bulk-preview", "/api/v1/tasks/bulk-verdict"
CANDLE, OTHER, TEA, MUG = "LEEDS:CANDLE-4:1", "LEEDS:CANDLE-6:1", "LONDON-WEST:22423:1", "YORK:MUG-E:1"


@pytest.fixture
def console() -> ConsoleOverFakes:
    return ConsoleOverFakes(busy_shop())


@pytest.fixture
def client(console: ConsoleOverFakes) -> Iterator[TestClient]:
    with TestClient(console.app) as client:
        yield client


def rows(console: ConsoleOverFakes, *ids: str) -> list[dict[str, str]]:
    found = console.shop.cases
    return [{"decision_id": one, "proposal_hash": found[one].decided.decision.proposal_hash} for one in ids]


def send(client: TestClient, path: str, name: str = "Ada", key: str = "command-1", **body: Any) -> Any:
    token = {"Authorization": f"Bearer {api_token(KEY, name)}", "Idempotency-Key": key}
    return client.post(path, json=body, headers=token)


async def plain_ones(console: ConsoleOverFakes, most: int = 6) -> list[str]:
    """Tasks that no rule guards and that one person may sign."""
    ada = Person(name="Ada", roles=frozenset({Role.APPROVER}))
    page = await console.inbox.page(View.TEAM, Filters(), ada)
    guards = {RuleCode.MORE_THAN_LAST_ORDER, RuleCode.COVER_TOO_LONG, RuleCode.PRICE_DEVIATES, RuleCode.STALE_INPUTS}
    return [row.decision_id for row in page.rows if not guards & set(row.rules) and row.signatures_needed == 1][:most]


async def test_a_preview_adds_up_by_currency_and_supplier_and_answers_nothing(
    console: ConsoleOverFakes, client: TestClient
) -> None:
    ids = await plain_ones(console)
    asked = rows(console, *ids, SIGNED_ONCE)
    preview = send(client, PREVIEW, "Grace", rows=asked).json()
    shown = [await console.inbox.row(one) for one in ids]
    assert preview["tasks"] == len(ids)
    assert Decimal(preview["worst_risk"]) == max(row.stockout_risk for row in shown)
    (total,) = preview["totals"]
    assert (total["currency"], Decimal(total["value"])) == ("EUR", sum(row.value for row in shown))
    groups = {group["supplier"]: Decimal(group["value"]) for group in preview["groups"]}
    assert groups == {
        supplier: sum(row.value for row in shown if row.supplier == supplier)
        for supplier in {row.supplier for row in shown}
    }
    assert [(line["decision_id"], "two people" in line["why"]) for line in preview["apart"]] == [(SIGNED_ONCE, True)]
    assert all(console.shop.cases[one].approvals == [] for one in ids)


async def test_money_of_two_currencies_is_never_added_up(console: ConsoleOverFakes, client: TestClient) -> None:
    one, other = await plain_ones(console, 2)
    case = console.shop.cases[other]
    result = case.decided.decision.result.model_copy(update={"currency": "GBP"})
    decision = case.decided.decision.model_copy(update={"result": result})
    case.decided = case.decided.model_copy(update={"decision": decision})
    preview = send(client, PREVIEW, "Grace", rows=rows(console, one, other)).json()
    assert [(total["currency"], total["tasks"]) for total in preview["totals"]] == [("EUR", 1), ("GBP", 1)]


async def test_each_row_is_answered_or_refused_for_itself(console: ConsoleOverFakes, client: TestClient) -> None:
    good, answered, stale = await plain_ones(console, 3)
    asked = [*rows(console, good, answered, stale), {"decision_id": "LEEDS:NONE:1", "proposal_hash": "0" * 64}]
    asked[2]["proposal_hash"] = "0" * 64
    send(client, VERDICT, "Grace", "command-0", rows=asked[1:2], meaning="approve")
    answer = send(client, VERDICT, "Ada", rows=asked, meaning="approve").json()
    assert (answer["done"], answer["refused"]) == (1, 3)
    assert [(line["decision_id"], line["done"]) for line in answer["lines"]] == [
        (good, True), (answered, False), (stale, False), ("LEEDS:NONE:1", False)]  # fmt: skip
    said = [line["why"] for line in answer["lines"]]
    assert said[0] == ""
    assert "Grace" in said[1]
    assert "changed" in said[2]
    assert "no such task" in said[3]
    assert answer["lines"][0]["receipt"]["meaning"] == "approve"
    assert console.shop.cases[good].approvals[0]["actor"] == "Ada"


async def test_what_is_above_the_persons_amount_or_guarded_never_slips_in(
    console: ConsoleOverFakes, client: TestClient
) -> None:
    guarded = decided("Lamp", item="LAMP", daily=40, on_hand=5, largest_receipt=1)
    console.shop.put(guarded, "Lamp", task=dict(console.shop.cases[OTHER].task or {}))
    lamp = guarded.decision.decision_id
    limits = ["LEEDS:SKU-1003:1", CANDLE, lamp, MUG]
    answer = send(client, VERDICT, "Pia", rows=rows(console, *limits), meaning="approve").json()
    for line in answer["lines"]:
        row = await console.inbox.row(line["decision_id"])
        dear, elsewhere = row.value > 500, row.location != "LEEDS"
        if dear or elsewhere:
            assert not line["done"], line
            assert ("limit" if dear and not elsewhere else "YORK") in line["why"]
    assert answer["refused"] >= 2
    assert console.shop.cases[MUG].approvals == []


async def test_the_same_request_again_answers_nothing_twice(console: ConsoleOverFakes, client: TestClient) -> None:
    asked = rows(console, *await plain_ones(console, 3))
    first = send(client, VERDICT, "Grace", rows=asked, meaning="approve").json()
    again = send(client, VERDICT, "Grace", rows=asked, meaning="approve").json()
    assert first == again
    assert first["done"] == 3
    assert all(len(console.shop.cases[row["decision_id"]].approvals) == 1 for row in asked)
    another = send(client, VERDICT, "Grace", rows=asked, meaning="reject", reason="too_much").json()
    assert another["done"] == 0


async def test_a_rejection_takes_one_reason_for_all(console: ConsoleOverFakes, client: TestClient) -> None:
    asked = rows(console, *await plain_ones(console, 2))
    assert send(client, VERDICT, rows=asked, meaning="reject").status_code == 422
    assert send(client, VERDICT, rows=asked, meaning="approve", reason="too_much").status_code == 422
    answer = send(client, VERDICT, "Grace", rows=asked, meaning="reject", reason="too_much", comment="later").json()
    assert answer["done"] == 2
    stored = console.shop.cases[asked[0]["decision_id"]].approvals[0]
    assert (stored["reason"], stored["comment"]) == ("too_much", "later")


def test_what_cannot_be_asked_is_refused(console: ConsoleOverFakes, client: TestClient) -> None:
    (one,) = rows(console, CANDLE)
    for body in (
        {"rows": [], "meaning": "approve"}, {"rows": [one, one], "meaning": "approve"},
        {"rows": [one], "meaning": "approve_edited"}, {"rows": [one], "meaning": "expire"},
        {"rows": [{**one, "decision_id": f"L:I:{n}"} for n in range(201)], "meaning": "approve"},
        {"rows": [{**one, "proposal_hash": "x"}], "meaning": "approve"}, {"rows": [one], "surprise": 1},
    ):  # fmt: skip
        assert send(client, VERDICT, **body).status_code == 422, body
        assert send(client, PREVIEW, **body).status_code == 422, body
    assert send(client, VERDICT, "Vera", rows=[one], meaning="approve").status_code == 403
