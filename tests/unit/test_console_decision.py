"""A decision's page says why in seconds, from the record alone; and programs can ask the same questions."""

import re
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from html import unescape

import pytest
from fastapi.testclient import TestClient

from console.auth import api_token, sign_in_token
from console.decision_words import life
from tests.fakes.console import KEY, ConsoleOverFakes
from tests.fakes.desk import Case
from tests.fakes.shop import CLOCK, POLICY, decided, open_task
from workflows.domain.deciding import decide
from workflows.domain.decisions import Decided, Proposal
from workflows.domain.desk import DecisionView
from workflows.domain.identity import digest

OAT = "LEEDS:OAT-1L:1"
HOLD = "LEEDS:OIL-R:1"


@pytest.fixture
def console() -> ConsoleOverFakes:
    return ConsoleOverFakes()


@pytest.fixture
def client(console: ConsoleOverFakes) -> Iterator[TestClient]:
    with TestClient(console.app) as client:
        client.get("/sign-in", params={"token": sign_in_token(KEY, "Ada")})
        yield client


@pytest.fixture
def api(console: ConsoleOverFakes) -> Iterator[TestClient]:
    with TestClient(console.app, headers={"Authorization": f"Bearer {api_token(KEY, 'Ada')}"}) as client:
        yield client


def visible(html: str) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", html)))


def proposal_of(console: ConsoleOverFakes, decision_id: str = OAT) -> Proposal:
    result = console.shop.cases[decision_id].decided.decision.result
    assert isinstance(result, Proposal)
    return result


def earlier(console: ConsoleOverFakes, number: int, days: int, item: str = "OAT-1L") -> Case:
    """A decision that was made so many days before, approved and measured."""
    one = decided("Oat drink barista 1 l", item=item, daily=30, on_hand=60, number=number)
    decision = one.decision.model_copy(update={"decided_at": CLOCK - timedelta(days=days)})
    case = console.shop.put(
        Decided(decision=decision, inputs=one.inputs), one.inputs.item.name, task=open_task(state="approved")
    )
    case.outcome = {
        "facts": {
            "demand_units": 339, "forecast_p50": "372", "forecast_p10": "290", "forecast_p90": "468",
            "days_out_of_stock": 1, "horizon_days": 12, "closed_at": CLOCK - timedelta(days=days - 12),
        },
        "within_interval": True, "cost": "31.20",
    }  # fmt: skip
    return case


def test_one_sentence_says_what_why_and_by_when(client: TestClient, console: ConsoleOverFakes) -> None:
    text = visible(client.get(f"/tasks/{OAT}").text)

    assert (
        "Order 492 of Oat drink barista 1 l from Northern Foods for 3,148.80 EUR, arrives 29 Nov; "
        "without it 62 % chance of running out by 29 Nov." in text
    )
    hold = visible(client.get(f"/decisions/{HOLD}").text)
    assert "Order nothing now: stock suffices. 500 on hand, <1 % chance of running out by 29 Nov." in hold


def test_evidence_comes_before_its_price_and_the_answer(client: TestClient) -> None:
    html = client.get(f"/tasks/{OAT}").text

    places = [html.index(f'id="{name}"') for name in (
        "forecast", "stock", "numbers", "drivers", "rules", "waterfall", "choices", "similar", "answer", "timeline",
        "digests",
    )]  # fmt: skip
    assert places == sorted(places)
    assert 'class="band95"' in html
    assert "reorder point" in html


def test_the_pane_is_the_same_evidence_without_a_page_around_it(client: TestClient) -> None:
    html = client.get(f"/tasks/{OAT}/evidence").text

    assert "<html" not in html
    assert f'data-decision="{OAT}"' in html
    for part in ('id="forecast"', 'id="approve"', 'id="edit"', 'id="reject"', "data-recompute"):
        assert part in html
    assert "<h1" not in html, "the inbox has its own"


def test_alternatives_stand_beside_the_decision(api: TestClient, client: TestClient, console: ConsoleOverFakes) -> None:
    found = api.get(f"/api/v1/decisions/{OAT}/alternatives").json()
    proposal = proposal_of(console)

    by_course = {one["course"]: one for one in found["alternatives"]}
    assert list(by_course) == ["wait", "half", "pack_less", "now", "pack_more", "half_more"]
    assert by_course["now"]["units"] == proposal.units
    assert Decimal(by_course["now"]["expected_cost"]) == proposal.expected_cost
    assert Decimal(by_course["wait"]["expected_cost"]) == proposal.expected_cost_without
    text = visible(client.get(f"/tasks/{OAT}").text)
    for shown in ("Wait until the next review", "Half of it", "One pack less", "Order now", "Half as much again"):
        assert shown in text


def test_another_quantity_is_recomputed(api: TestClient, client: TestClient) -> None:
    found = api.get(f"/api/v1/tasks/{OAT}/recompute", params={"units": 240}).json()

    assert (found["asked"]["units"], found["asked"]["value"]) == (240, "1536.0000")
    assert found["proposed"]["units"] == 492
    assert Decimal(found["asked"]["expected_cost"]) > Decimal(found["proposed"]["expected_cost"])
    assert found["may_approve"] is True
    assert found["remarks"] == []
    assert "packs of 12" in api.get(f"/api/v1/tasks/{OAT}/recompute", params={"units": 241}).json()["remarks"][0]
    page = visible(client.get(f"/tasks/{OAT}", params={"units": 240}).text)
    assert "1,536.00 EUR" in page, "without a script the page says the same"
    assert "You may approve it" in page


def test_whoever_may_not_approve_is_told_before_they_try(console: ConsoleOverFakes, api: TestClient) -> None:
    known = console.people.known["Ada"]
    console.people.known["Ada"] = known.model_copy(update={"approval_limit": Decimal(1000)})

    little, much = (api.get(f"/api/v1/tasks/{OAT}/recompute", params={"units": units}).json() for units in (120, 240))

    assert little["may_approve"] is True
    assert much["may_approve"] is False
    assert "above 1000.00 EUR" in much["refusal"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"tasks/{OAT}/recompute?units=0", 422), (f"tasks/{OAT}/recompute", 422),
        (f"tasks/{HOLD}/recompute?units=9", 422),
        ("tasks/LEEDS:NONE:1/recompute?units=9", 404), ("decisions/LEEDS:NONE:1/similar", 404),
        ("decisions/LEEDS:NONE:1/alternatives", 404), ("decisions/LEEDS:NONE:1/rerun", 404),
        (f"tasks/{HOLD}", 404), ("decisions?after=nonsense", 422), ("decisions?item=a%20b", 422),
        ("decisions/%00/similar", 422),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_is_said_so(api: TestClient, path: str, status: int) -> None:
    answer = api.get(f"/api/v1/{path}")

    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


def test_decisions_are_listed_page_by_page(api: TestClient, console: ConsoleOverFakes) -> None:
    earlier(console, 7, 30)
    rows, after = [], None
    while True:
        page = api.get("/api/v1/decisions", params={"limit": 4, **({"after": after} if after else {})}).json()
        rows += page["decisions"]
        after = page["next"]
        if after is None:
            break

    assert {row["decision_id"] for row in rows} == set(console.shop.cases)
    assert len(rows) == len(console.shop.cases)
    assert rows[-1]["decision_id"] == "LEEDS:OAT-1L:7", "the oldest comes last"
    holds = api.get("/api/v1/decisions", params={"kind": "hold"}).json()["decisions"]
    assert [row["decision_id"] for row in holds] == [HOLD]
    day = (CLOCK - timedelta(days=1)).date()
    assert len(api.get("/api/v1/decisions", params={"to": day.isoformat()}).json()["decisions"]) == 1


def test_similar_decisions_say_how_they_turned_out(
    api: TestClient, client: TestClient, console: ConsoleOverFakes
) -> None:
    earlier(console, 7, 30)
    earlier(console, 8, 20)
    earlier(console, 9, 10, item="CANDLE-1")

    found = api.get(f"/api/v1/decisions/{OAT}/similar").json()["similar"]

    assert [one["decision_id"] for one in found] == ["LEEDS:OAT-1L:8", "LEEDS:OAT-1L:7", "LEEDS:CANDLE-1:9"]
    text = visible(client.get(f"/tasks/{OAT}").text)
    assert "339 units asked for, 372 forecast" in text
    assert "out of stock 1 days" in text


def test_the_page_of_an_old_decision_stays_when_the_world_moves(client: TestClient, console: ConsoleOverFakes) -> None:
    def told() -> tuple[str, ...]:
        html = client.get(f"/decisions/{OAT}").text
        pictures = re.findall(r"<svg class=\"chart.*?</svg>", html, re.DOTALL)
        assert len(pictures) == 2
        digests = re.search(r"Pictures</dt><dd><code>(\w{64})", html)
        assert digests
        return (*pictures, digests[1], html[html.index('id="numbers"') : html.index('id="similar"')])

    before = told()
    console.shop.clock += timedelta(days=400)
    newer = decided(daily=90, on_hand=2, number=2)
    console.shop.put(newer, "Oat drink, now in green")
    for model in list(console.models._versions):
        del console.models._versions[model]

    assert told() == before


def test_it_is_made_again_and_a_forgery_is_seen(client: TestClient, api: TestClient, console: ConsoleOverFakes) -> None:
    assert api.get(f"/api/v1/decisions/{OAT}/rerun").json() == {
        "decision_id": OAT, "equal": True, "rule": 2, "deviations": [],
    }  # fmt: skip
    assert "every figure, rule and sentence is the same" in visible(client.get(f"/decisions/{OAT}?again=yes").text)

    case = console.shop.cases[OAT]
    forged = proposal_of(console).model_copy(update={"value": Decimal("1.0000")})
    case.decided = Decided(
        decision=case.decided.decision.model_copy(update={"result": forged}), inputs=case.decided.inputs
    )
    text = visible(client.get(f"/decisions/{OAT}?again=yes").text)
    assert "It differs from what was recorded" in text
    assert "value 1.0000 3148.8000" in text


def test_a_guard_asks_for_a_second_press(client: TestClient, console: ConsoleOverFakes) -> None:
    assert "Look twice" not in client.get(f"/tasks/{OAT}").text
    case = console.shop.cases[OAT]
    inputs = case.decided.inputs.model_copy(update={"data_through": CLOCK - timedelta(hours=60)})
    decision = case.decided.decision.model_copy(
        update={"result": decide(inputs, POLICY), "inputs_digest": digest(inputs)}
    )
    case.decided = Decided(decision=decision, inputs=inputs)

    html = client.get(f"/tasks/{OAT}").text

    assert "Look twice" in html
    assert "the newest fact is 60 hours old" in html
    form = re.search(r'<form[^>]*id="approve".*?</form>', html, re.DOTALL)
    assert form
    assert form[0].index("<summary") < form[0].index('name="meaning" value="approve"'), "the summary opens, no more"


def test_its_life_is_told_step_by_step() -> None:
    one = decided()
    order = {
        "order_id": "o:1", "supplier": "northern-foods", "state": "placed", "supplier_number": "NF-7",
        "promised_at": CLOCK + timedelta(days=4), "acknowledged_at": CLOCK + timedelta(hours=2), "shipped_at": None,
        "units": 480, "received_units": 0,
    }  # fmt: skip
    approval = {"meaning": "approve_edited", "units": 300, "actor": "Ada", "recorded_at": CLOCK, "voided_at": None}
    view = DecisionView(
        decision=one.decision, inputs=one.inputs.model_dump(mode="json"), approvals=(approval,), order=order
    )

    steps = {step.name: step for step in life(view)}

    assert [step.state for step in steps.values()] == ["done", "done", "done", "done", "next", "open", "open"]
    assert steps["Approved"].who == "Ada"
    assert "300 units" in steps["Approved"].what
    assert steps["Acknowledged"].what == "number NF-7, promised 28 Nov"
    rejected = view.model_copy(update={"approvals": ({**approval, "meaning": "reject", "units": None},), "order": None})
    assert [step.state for step in life(rejected)][1] == "failed"
    assert "next" not in {step.state for step in life(rejected)}
