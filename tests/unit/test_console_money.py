"""Money and what-ifs on pages and over REST: figures with their definitions, questions as addresses."""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal

import pytest
from fastapi.testclient import TestClient

from console.auth import api_token, sign_in_token
from tests.fakes.console import KEY, ConsoleOverFakes
from tests.unit.test_console_pages import visible
from workflows.domain.errors import InvalidInput
from workflows.domain.money import WEEKS, AvoidedWeek, CostAvoided, CostPerDecision, Costs, MoneyReport
from workflows.domain.what_if import Answer, Figures, Question, sentence


class MemoryMoney:
    """`Money` with two weeks."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    async def report(self, weeks: int = WEEKS) -> MoneyReport:
        """The same whatever is asked."""
        self.asked.append(weeks)
        cost = CostPerDecision(
            decisions=1000, compute_seconds=Decimal(72), storage_bytes=50_000_000, verdicts=30, review_minutes=2,
            wage_per_hour=Decimal(40),
        )  # fmt: skip
        found = tuple(
            AvoidedWeek(
                week=date(2025, 3, 10 - 7 * back), decisions=3, days=20, happened=Costs(holding=Decimal("2.50")),
                static=Costs(holding=Decimal(1), shortage=Decimal(4)),
            )
            for back in range(2)
        )  # fmt: skip
        avoided = CostAvoided(weeks=found, places=12, low=Decimal("-1.20"), high=Decimal("11.20"), censored_days=2)
        return MoneyReport(currency="EUR", cost=cost, avoided=avoided)


class MemoryWhatIf:
    """`WhatIf` that remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Question] = []

    async def ask(self, question: Question) -> Answer:
        """One answer for everything; an item that is not there is refused."""
        self.asked.append(question)
        if question.scope.item == "NONE":
            raise InvalidInput("nothing that is kept and can be bought matches item NONE")
        now = Figures(
            total_cost=Decimal("100.00"), holding_cost=Decimal("60.00"), shortage_cost=Decimal("30.00"),
            order_cost=Decimal("10.00"), fill_rate=Decimal("0.97"), mean_stock_units=Decimal("812.5"), orders=31,
        )  # fmt: skip
        changed = now.model_copy(update={"total_cost": Decimal("112.50"), "fill_rate": Decimal("0.985")})
        answer = Answer(
            question=question, currency="EUR", series=7, first_day="2025-01-06", last_day="2025-03-02", now=now,
            changed=changed, difference=Decimal("12.50"), low=Decimal("3.10"), high=Decimal("20.00"), sentence="",
            notes=("1.2% of the days have no known demand",),
        )  # fmt: skip
        return answer.model_copy(update={"sentence": sentence(answer)})


@pytest.fixture
def money() -> MemoryMoney:
    """Figures."""
    return MemoryMoney()


@pytest.fixture
def what_if() -> MemoryWhatIf:
    """Answers."""
    return MemoryWhatIf()


@pytest.fixture
def browser(money: MemoryMoney, what_if: MemoryWhatIf) -> Iterator[TestClient]:
    """Ada, signed in."""
    console = ConsoleOverFakes(money=money, what_if=what_if)
    with TestClient(console.app, base_url="https://testserver") as client:
        client.get(f"/sign-in?token={sign_in_token(KEY, 'Ada')}")
        yield client


BEARER = {"Authorization": f"Bearer {api_token(KEY, 'robot')}"}


def test_home_tells_both_figures_and_leads_to_their_definitions(browser: TestClient) -> None:
    page = browser.get("/")
    shown = visible(page.text)
    assert "A decision costs 0.0" in shown
    assert "+5.00 EUR" in shown
    assert 'href="/money"' in page.text
    shown = visible(browser.get("/money").text)
    assert "+5.00 EUR (95 % interval −1.20 to +11.20)" in shown  # noqa: RUF001 - as pages write it
    assert "each day of an item at a location counts once" in shown
    assert "30 verdicts of 2 minutes" in shown


def test_money_over_rest(browser: TestClient, money: MemoryMoney) -> None:
    found = browser.get("/api/v1/money?weeks=5", headers=BEARER).json()
    assert money.asked[-1] == 5
    assert found["cost_avoided"]["avoided"] == "5.00"
    assert found["cost_per_decision"]["verdicts"] == 30
    assert "interval" in found["definitions"]
    browser.cookies.clear()
    assert browser.get("/api/v1/money").status_code == 401


def test_an_address_is_a_question_and_its_answer_a_sentence(browser: TestClient, what_if: MemoryWhatIf) -> None:
    assert what_if.asked == []
    form = browser.get("/what-if?item=TEAPOT&location=LEEDS")
    assert (form.status_code, what_if.asked) == (200, [])
    assert 'value="TEAPOT"' in form.text
    page = browser.get("/what-if?item=TEAPOT&service=0.98&slip_days=&weeks=4&ask=1")
    (question,) = what_if.asked
    assert (question.scope.item, question.change.service, question.weeks) == ("TEAPOT", Decimal("0.98"), 4)
    shown = visible(page.text)
    assert "7 items at locations would have cost 112.50 EUR instead of 100.00" in shown
    assert "+12.50; 95 % interval +3.10 to +20.00" in shown
    assert "+1.5 points" in shown
    assert "1.2% of the days" in shown


def test_a_question_without_an_answer_says_why_and_keeps_what_was_typed(browser: TestClient) -> None:
    for query, said in (
        ("ask=1", "nothing is changed"), ("service=7", "service: Input should be less than or equal to 0.999"),
        ("item=NONE&demand=2", "matches item NONE"),
    ):  # fmt: skip
        page = browser.get(f"/what-if?{query}")
        assert page.status_code == 422
        assert said in visible(page.text)
    assert 'value="NONE"' in browser.get("/what-if?item=NONE&demand=2").text


def test_what_if_over_rest(browser: TestClient, what_if: MemoryWhatIf) -> None:
    found = browser.get("/api/v1/what-if?supplier=acme&slip_days=7", headers=BEARER).json()
    assert what_if.asked[-1].change.slip_days == 7
    assert (found["difference"], found["series"]) == ("12.50", 7)
    assert "stretch" in found["definitions"]
    refused = browser.get("/api/v1/what-if", headers=BEARER)
    assert refused.status_code == 422
    assert "nothing is changed" in refused.json()["detail"]
    browser.cookies.clear()
    assert browser.get("/api/v1/what-if?demand=2").status_code == 401


def test_the_task_page_leads_to_a_question_about_its_item(browser: TestClient) -> None:
    page = browser.get("/inbox").text
    assert page
    task = browser.get("/tasks/LEEDS:OAT-1L:1").text
    assert 'href="/what-if?item=OAT-1L&amp;location=LEEDS"' in task


def test_an_installation_without_them_says_so() -> None:
    with TestClient(ConsoleOverFakes().app, base_url="https://testserver") as client:
        client.get(f"/sign-in?token={sign_in_token(KEY, 'Ada')}")
        assert client.get("/money").status_code == 404
        assert "answers no what-ifs" in client.get("/what-if").text
        assert client.get("/what-if?demand=2").status_code == 404
        assert client.get("/").status_code == 200
