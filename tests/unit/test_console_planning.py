"""Budget and stability over REST and on the home page; what is at stake on the task page."""

from collections.abc import Iterator
from decimal import Decimal

import pytest
from fastapi.testclient import TestClient

from console.auth import api_token, sign_in_token
from console.stakes import stakes_in_words
from tests.fakes.console import KEY, ConsoleOverFakes
from tests.fakes.shop import CLOCK, decided, open_task, stocked_shop
from tests.unit.test_console_pages import visible
from tests.unit.test_supplying import offered, outlook
from workers.commands.planning import _money
from workflows.domain.budgets import Ranking
from workflows.domain.deciding import decide
from workflows.domain.decisions import Decided, Decision, Proposal
from workflows.domain.errors import InvalidInput
from workflows.domain.identity import digest
from workflows.domain.planning import Planning, Stability, Steadiness, budget
from workflows.domain.policies import Policy

RISKY = {"waiting_risk": (Decimal("0.01"), Decimal("0.20")), "stockout_risk_soon": Decimal("0.01")}


class MemoryPlanning:
    """`Planning` over one open proposal and one supplier's figures."""

    async def budget(self, amount: Decimal) -> Ranking:
        """The packs of one proposal."""
        return budget([decided()], amount)

    async def stability(self) -> Stability:
        """Figures that a page can show."""
        acme = Steadiness(
            supplier="acme", days=28, orders=9, order_variance=Decimal("31.5"), demand_variance=Decimal(9),
            variance_ratio=Decimal("3.5"),
        )  # fmt: skip
        young = Steadiness(
            supplier="young", days=1, orders=1, order_variance=Decimal(0), demand_variance=Decimal(0)
        )  # fmt: skip
        return Stability(suppliers=(acme, young), rescored=8, rescored_changed=2)


def of_two_suppliers() -> Decided:
    """A proposal from the second of two suppliers, which is faster and dearer."""
    one = decided()
    slow = offered("slow", unit_cost="4.20", lead_time_days=9, seen=outlook(lost_before="90", lead=9))
    fast = offered("fast", unit_cost="4.50", lead_time_days=2, rank=2)
    inputs = one.inputs.model_copy(
        update={"options": (slow, fast), "scores": one.inputs.scores.model_copy(update=RISKY)}
    )
    decision = Decision(
        decision_id=inputs.need.need_id, revision=1, decided_at=CLOCK, result=decide(inputs, Policy()),
        inputs_digest=digest(inputs), model_digest=digest("model"), policy_digest=Policy().digest,
    )  # fmt: skip
    return Decided(decision=decision, inputs=inputs)


def client_of(planning: Planning | None) -> TestClient:
    shop = stocked_shop()
    shop.put(of_two_suppliers(), "Oat drink barista 1 l", task=open_task())
    return TestClient(ConsoleOverFakes(shop, planning=planning).app)


@pytest.fixture
def client() -> Iterator[TestClient]:
    with client_of(MemoryPlanning()) as made:
        made.get("/sign-in", params={"token": sign_in_token(KEY, "Ada")})
        made.headers["Authorization"] = f"Bearer {api_token(KEY, 'robot')}"
        yield made


def test_a_budget_is_ranked_over_rest(client: TestClient) -> None:
    found = client.get("/api/v1/budget", params={"amount": "200.00"}).json()
    assert Decimal(found["spent"]) <= 200
    assert found["lines"][0]["first_at"] == 1
    assert Decimal(found["shadow_price"]) > 0
    assert client.get("/api/v1/budget", params={"amount": "-1"}).status_code == 422
    assert client.get("/api/v1/budget").status_code == 422


def test_the_figures_come_with_their_definitions(client: TestClient) -> None:
    found = client.get("/api/v1/kpis").json()
    assert found["nervousness"] == "0.250"
    assert {"variance_ratio", "nervousness"} <= set(found["definitions"])
    assert found["stability"]["suppliers"][1]["variance_ratio"] is None


def test_they_need_a_token_and_a_store() -> None:
    with client_of(MemoryPlanning()) as anonymous:
        assert anonymous.get("/api/v1/kpis").status_code == 401
    with client_of(None) as without:
        headers = {"Authorization": f"Bearer {api_token(KEY, 'robot')}"}
        assert without.get("/api/v1/budget?amount=1", headers=headers).status_code == 404
        without.get("/sign-in", params={"token": sign_in_token(KEY, "Ada")})
        assert without.get("/").status_code == 200


def test_the_home_page_says_how_steady_the_orders_are(client: TestClient) -> None:
    page = visible(client.get("/").text)
    assert "acme 9 28 3.5" in page, "orders, days, how many times as variable as demand"
    assert "young" not in page, "a figure that cannot be told is not shown"
    assert "(25 %) came out with another quantity or supplier" in page


def test_the_task_page_says_when_to_order_and_what_each_supplier_would_cost(client: TestClient) -> None:
    html = client.get("/tasks/LEEDS:OAT-1L:1").text
    page = visible(html)
    assert "Order by" in page
    assert 'datetime="2025-11-26T06:00:00' in html, "a day of waiting is accepted, two are not: the cutoff after it"
    assert "the last cutoff that keeps the risk of running out within the target" in page
    assert "Expected loss if nothing is ordered" in page
    assert "Whom to order from" in page
    assert "a unit slow would be chosen" in page


def test_lateness_and_open_ends_are_said_in_words() -> None:
    result = of_two_suppliers().decision.result
    assert isinstance(result, Proposal)
    stakes = result.stakes
    assert stakes is not None

    def said(**changes: object) -> str:
        return stakes_in_words(stakes.model_copy(update=changes), "EUR")[0].meaning

    assert said(late_already=True).startswith("the next cutoff: even an order placed now")
    assert said(late_already=False, order_by_or_later=True).startswith("or later")
    assert stakes_in_words(stakes.model_copy(update={"order_by": None}), "EUR")[0].title != "Order by"


@pytest.mark.parametrize("text", ["a lot", "-1", "NaN", "Infinity"])
def test_an_amount_that_is_none_is_told_so(text: str) -> None:
    with pytest.raises(InvalidInput, match="such as 2500"):
        _money(text)
