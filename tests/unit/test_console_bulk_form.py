"""The form that answers many tasks is judged where its rows are answered: without a preview nothing slips in either."""

from collections.abc import Iterator, Sequence

import pytest
from fastapi.testclient import TestClient

from console.auth import COOKIE, sign_in_token
from console.signing import csrf
from tests.fakes.busy_shop import SIGNED_ONCE, busy_shop
from tests.fakes.console import KEY, ConsoleOverFakes
from tests.fakes.shop import decided
from tests.unit.test_console_bulk import plain_ones
from workflows.domain.approvals import TaskState
from workflows.domain.decisions import Proposal
from workflows.domain.policies import RuleCode, RuleFired

LAMP = "LEEDS:LAMP:1"


@pytest.fixture
def console() -> ConsoleOverFakes:
    console = ConsoleOverFakes(busy_shop())
    task = dict(console.shop.cases["LEEDS:CANDLE-6:1"].task or {})
    lamp = decided("Lamp", item="LAMP")
    result = lamp.decision.result
    assert isinstance(result, Proposal)
    dearer = RuleFired(code=RuleCode.PRICE_DEVIATES, detail="2.00 EUR a unit; 1.00 was paid last")
    guarded = lamp.decision.model_copy(update={"result": result.model_copy(update={"rules": (dearer,)})})
    console.shop.put(lamp.model_copy(update={"decision": guarded}), "Lamp", task=task)
    return console


@pytest.fixture
def client(console: ConsoleOverFakes) -> Iterator[TestClient]:
    with TestClient(console.app) as client:
        client.get("/sign-in", params={"token": sign_in_token(KEY, "Grace")})
        yield client


def post(console: ConsoleOverFakes, client: TestClient, ids: Sequence[str], **form: str) -> str:
    """What the page says to these tasks, answered without a preview."""
    cases = console.shop.cases
    lines = [f"{one}|{cases[one].decided.decision.proposal_hash}|{one}" for one in ids]
    token = csrf(KEY, client.cookies[COOKIE])
    said = client.post("/inbox/bulk", data={"csrf": token, "sure": "yes", "task": lines, "meaning": "approve", **form})
    return said.text


async def test_what_wants_a_look_by_itself_is_refused_to_a_form_that_skipped_the_preview(
    console: ConsoleOverFakes, client: TestClient
) -> None:
    [plain] = await plain_ones(console, 1)
    page = post(console, client, [plain, LAMP, SIGNED_ONCE], command="form-1")

    assert "1 of 3 approved" in page
    assert "it wants a look by itself" in page
    assert "two people must sign it" in page
    states = [(console.shop.cases[one].task or {})["state"] for one in (plain, LAMP, SIGNED_ONCE)]
    assert states == [TaskState.APPROVED, TaskState.OPEN, TaskState.OPEN]


async def test_the_same_form_again_answers_nothing_twice(console: ConsoleOverFakes, client: TestClient) -> None:
    ids = await plain_ones(console, 2)
    for _ in range(2):
        assert "2 of 2 approved" in post(console, client, ids, command="form-1")
    assert [len(console.shop.cases[one].approvals) for one in ids] == [1, 1]


async def test_a_damaged_form_answers_nothing(console: ConsoleOverFakes, client: TestClient) -> None:
    [plain] = await plain_ones(console, 1)
    token = csrf(KEY, client.cookies[COOKIE])
    form = {"csrf": token, "sure": "yes", "meaning": "approve", "command": "form-1"}
    for task, more in ((f"{plain}|nonsense", {}), (plain, {}), (plain, {"meaning": "reject"})):
        answer = client.post("/inbox/bulk", data={**form, "task": [task], **more})
        assert answer.status_code == 422
    assert console.shop.cases[plain].approvals == []
