"""What PostgreSQL alone can show: snoozed tasks wake by what happens, and tasks of old releases get their rows."""

from datetime import timedelta
from decimal import Decimal

import pytest

from connectors.postgres.inbox_desk import PostgresInbox
from connectors.postgres.judging import PostgresJudging
from connectors.postgres.migrating import migrate
from connectors.postgres.pool import Database
from connectors.postgres.relay import RelayStore
from tests.fakes.people import ADA, PIA, VERA
from tests.fakes.shop import CLOCK
from tests.inbox_cases import MORNING, InPostgres
from tests.integration.test_upgrade import REVIEW, first_dsn
from tests.storeroom import MORNING as DAY
from tests.storeroom import Storeroom, catalog, clock, counted, sold
from workflows.domain.approvals import Actor
from workflows.domain.decisions import DecisionInputs
from workflows.domain.errors import AlreadyAnswered
from workflows.domain.inbox import Filters, Snooze, View
from workflows.domain.policies import Policy
from workflows.domain.urgency import cost_of_waiting, days_of_cover

__all__ = ["first_dsn"]

TEA, OAT = "LEEDS:TEA:1", "LEEDS:OAT:1"
A = Actor(name="Ada")


@pytest.fixture
def desk(storeroom: Storeroom) -> InPostgres:
    """The morning's tasks."""
    found = InPostgres(storeroom)
    found.put(*MORNING)
    return found


async def snoozed(desk: InPostgres) -> list[str]:
    return [row.item for row in (await desk.inbox.page(View.SNOOZED, Filters(), ADA)).rows]


async def test_a_task_wakes_when_the_business_clock_reaches_its_instant(desk: InPostgres) -> None:
    await desk.work.snooze(TEA, Snooze(until=CLOCK + timedelta(hours=2)), A)
    assert desk.advance(CLOCK + timedelta(hours=1)) == 0
    assert await snoozed(desk) == ["TEA"]
    assert desk.advance(CLOCK + timedelta(hours=2)) == 1
    assert desk.round() == 0
    assert await snoozed(desk) == []
    assert desk.ledger(TEA) == ["task.snoozed", "task.woken"]


async def test_a_task_wakes_when_something_of_the_item_arrives_there(desk: InPostgres) -> None:
    desk.receive("LEEDS", "TEA")
    await desk.work.snooze(TEA, Snooze(until_receipt=True), A)
    assert desk.round() == 0, "what came before was known"
    assert desk.receive("YORK", "TEA") == 0
    assert desk.receive("LEEDS", "OAT") == 0
    assert desk.receive("LEEDS", "TEA") == 1
    assert await snoozed(desk) == []


async def test_an_answered_task_wakes_no_more(desk: InPostgres) -> None:
    await desk.work.snooze(TEA, Snooze(until_receipt=True), A)
    desk.end(TEA)
    assert desk.receive("LEEDS", "TEA") == 0


@pytest.mark.parametrize(("percent", "wakes"), [(10, True), (200, False)])
async def test_a_task_wakes_when_a_new_score_moves_the_forecast_far_enough(
    storeroom: Storeroom, percent: int, wakes: bool
) -> None:
    desk = InPostgres(storeroom)
    await storeroom.stock(catalog(1))
    storeroom.take(counted(9), clock())
    await storeroom.assess()
    task = "LEEDS:ITEM-001:1"
    before = await desk.inbox.row(task)
    assert before.changed_at is None
    await desk.work.snooze(task, Snooze(forecast_moves_percent=percent), A)

    storeroom.scoring.of_item["ITEM-001"] = {"daily": 14.0}
    storeroom.take(sold(40), clock(DAY + timedelta(hours=1)))
    assert (await storeroom.rescore(task)).changed

    after = await desk.inbox.row(task)
    assert (after.snooze_words == "") is wakes
    assert (after.revision, after.units > before.units, after.version > before.version) == (2, True, True)
    assert after.changed_at is not None
    kinds = [entry for entry in desk.ledger(task) if entry.startswith("task.") and entry != "task.opened"]
    assert kinds == (["task.snoozed", "task.woken"] if wakes else ["task.snoozed"])


async def test_a_row_of_the_engines_own_task_says_what_its_decision_says(storeroom: Storeroom) -> None:
    await storeroom.stock(catalog(2))
    storeroom.take(counted(9), counted(3, item="ITEM-002"), clock())
    await storeroom.assess()
    desk = InPostgres(storeroom)
    rows = (await desk.inbox.page(View.TEAM, Filters(), ADA)).rows
    assert [row.item for row in rows] == [task.item for task in await storeroom.desk.tasks()]
    assert len(rows) == 2
    for row in rows:
        view = await storeroom.desk.decision(row.decision_id)
        inputs = view.inputs
        assert (row.item_name, row.category) == (inputs["item"]["name"], "things")
        assert row.sentence == view.decision.result.sentence
        assert row.cost_of_waiting > 0
        assert row.lead_time_days == 3


async def test_the_database_works_the_figures_out_as_the_domain_does(desk: InPostgres) -> None:
    for task in MORNING:
        row = await desk.inbox.row(task.decision_id)
        assert row.cost_of_waiting == cost_of_waiting(task.decided.inputs)
        assert row.days_of_cover == days_of_cover(task.decided.inputs)


async def test_approvals_are_judged_before_they_are_given_by_the_rules_that_store_them(storeroom: Storeroom) -> None:
    await storeroom.stock(catalog(1), Policy(four_eyes_above=Decimal(1)))
    storeroom.register(ADA, VERA, PIA.model_copy(update={"approval_limit": Decimal(1)}))
    storeroom.take(counted(9), clock())
    await storeroom.assess()
    task, judging = "LEEDS:ITEM-001:1", PostgresJudging(storeroom.database)
    told = {name: (await judging.judge([task, "LEEDS:NONE:1"], name)) for name in ("Ada", "Vera", "Pia", "Nobody")}
    assert all(set(one) == {task} for one in told.values())
    assert (told["Ada"][task].refused, told["Ada"][task].signatures) == ("", 2)
    assert "approver" in told["Vera"][task].refused
    assert "above 1.00" in told["Pia"][task].refused
    assert "Nobody" in told["Nobody"][task].refused
    assert storeroom.rows("SELECT 1 FROM approval") == []


async def test_a_score_that_somebody_asked_for_is_passed_on_once(desk: InPostgres, storeroom: Storeroom) -> None:
    relay = RelayStore(storeroom.connection)
    await desk.work.rescore(TEA, A)
    await desk.work.rescore(TEA, A)
    assert relay.rescores_wanted() == [TEA]
    relay.rescore_told(TEA)
    assert relay.rescores_wanted() == []
    assert desk.ledger(TEA) == ["task.rescore_asked"]
    desk.end(OAT)
    with pytest.raises(AlreadyAnswered):
        await desk.work.rescore(OAT, A)


async def test_what_people_write_is_not_in_the_ledger_but_its_digest_is(desk: InPostgres, storeroom: Storeroom) -> None:
    await desk.work.comment(TEA, "Mrs Miller is ill", A, command_id="comment-1")
    body = storeroom.one("SELECT body FROM ledger_entry WHERE stream = %s", TEA)["body"]
    assert b"Miller" not in body
    assert b"text_hmac" in body
    assert storeroom.verified().ok


async def test_orders_that_need_a_person_are_listed_oldest_first(desk: InPostgres) -> None:
    for number, state in enumerate(("in_doubt", "refused", "placed", "refused")):
        desk._put(
            "purchase_order", order_id=f"o{number}", key=f"k{number}", supplier="acme", location="LEEDS",
            cycle=str(number), part=1, state=state, currency="EUR", cutoff_at=CLOCK - timedelta(days=number),
            reason="said no" if state == "refused" else "", attended_at=CLOCK if number == 3 else None,
        )  # fmt: skip
    desk._put(
        "order_line", order_id="o1", need_id=TEA, item="TEA", location="LEEDS", units=10, unit_cost="2.5",
        proposal_hash="x",
    )  # fmt: skip
    found = await desk.inbox.failed()
    assert [(one.order_id, one.state, one.reason, one.lines) for one in found] == [
        ("o1", "refused", "said no", 1), ("o0", "in_doubt", "", 0),
    ]  # fmt: skip
    assert found[0].value == 25


async def test_a_task_of_the_first_release_gets_its_row_from_the_stored_decision(first_dsn: str) -> None:
    migrate(first_dsn)
    inputs, result = DecisionInputs.model_validate(REVIEW["inputs"]), REVIEW["decision"]["result"]
    async with Database(first_dsn, name="test", size=2) as database:
        (row,) = (await PostgresInbox(database).page(View.TEAM, Filters(), ADA)).rows
    assert row.cost_of_waiting == cost_of_waiting(inputs)
    assert row.days_of_cover == days_of_cover(inputs)
    assert (row.supplier, row.units, row.currency) == (result["supplier"], result["units"], result["currency"])
    assert row.rules == tuple(rule["code"] for rule in result["rules"])
    assert (row.item_name, row.sentence) == (inputs.item.name, result["sentence"])
    assert (row.version, row.changed_at, row.order_by) == (1, None, None)
