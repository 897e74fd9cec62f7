"""Decisions are stored with all they rest on, once, and can be re-made from storage to the same bytes."""

import asyncio
from datetime import date, timedelta
from decimal import Decimal

import pytest

from connectors.postgres.catalog import load_history
from connectors.postgres.decisions import PostgresAssessments
from connectors.postgres.lead_times import PARTS
from connectors.postgres.pool import Database
from tests.storeroom import LOCATION, MODEL, MORNING, Storeroom, catalog, clock, counted, event, received, sold
from workflows.domain.catalog import Catalog, Sourcing, Supplier
from workflows.domain.deciding import decide
from workflows.domain.decisions import Decided, Decision, DecisionInputs
from workflows.domain.errors import NotFound
from workflows.domain.events import SaleRecorded, SupplierUpdated
from workflows.domain.feeds import RecordedDemand, RecordedReceipt
from workflows.domain.identity import digest
from workflows.domain.policies import Policy, RiskTier
from workflows.domain.ports import BatchFacts, ReplenishmentRef, RescoreResult

DECISION = "LEEDS:ITEM-001:1"
EASY = Policy(version=2, auto_value_limit=Decimal(10_000), costly_if_wrong_limit=Decimal(10_000))


async def loaded(storeroom: Storeroom) -> BatchFacts:
    """The facts of the one batch that waits."""
    (batch,) = storeroom.relay.batches(0)
    return await storeroom.assessments.load(batch.batch_id)


async def test_facts_are_those_of_the_decisions_instant(storeroom: Storeroom) -> None:
    await storeroom.stock(catalog(2))
    yesterday = MORNING.date() - timedelta(days=1)
    load_history(
        storeroom.connection,
        [
            RecordedDemand(location=LOCATION, item="ITEM-001", day=yesterday - timedelta(days=5), units=4),
            RecordedDemand(
                location=LOCATION, item="ITEM-001", day=yesterday - timedelta(days=3), units=0, in_stock=False
            ),
            RecordedDemand(
                location=LOCATION, item="ITEM-001", day=yesterday - timedelta(days=2), units=7, promotion=True
            ),
        ],
        [
            RecordedReceipt(
                supplier="acme", location=LOCATION, item="ITEM-001", ordered_on=date(2025, 2, 1),
                received_on=date(2025, 2, 5), units=40,
            ),
            RecordedReceipt(
                supplier="acme", location=LOCATION, item="ITEM-002", ordered_on=date(2025, 3, 1),
                received_on=date(2025, 3, 9), units=90,
            ),
        ],
        actor="test",
    )  # fmt: skip
    storeroom.take(
        counted(9),
        sold(2, at=MORNING - timedelta(hours=10)),
        sold(5, at=MORNING - timedelta(hours=1)),
        event(SaleRecorded(item="ITEM-001", location=LOCATION, sale_id="s", units=1), at=MORNING - timedelta(days=2)),
        clock(),
    )
    found = await loaded(storeroom)
    assert (found.currency, found.holding_rate_per_year, found.policy) == ("EUR", Decimal("0.25"), Policy())
    (fact,) = found.facts
    row = fact.row
    assert row.last_day == yesterday
    assert row.history.first_day == yesterday - timedelta(days=5)
    assert row.history.daily_units == (4, 0, None, 7, 1, 2), "no row is a zero, no stock is missing, today is not over"
    assert [promotion.first_day for promotion in row.promotions] == [yesterday - timedelta(days=2)]
    assert (row.lead_times.lane_days, row.lead_times.promised_days) == ((4,) * PARTS, 3), (
        "a receipt of next week is not known"
    )
    assert (fact.ordered_before, fact.largest_receipt_units) == (True, 40)
    assert fact.position.on_hand_units == 9 - 5, "the count of last evening includes the sale before it"
    assert fact.data_through == MORNING - timedelta(hours=1)
    assert row.shortage_per_unit == Decimal("5.7000")
    assert row.holding_per_unit_day == Decimal("0.002877")
    assert row.sold_today_units == 5, "the stock is net of them already"


async def test_a_delivery_is_one_observation_however_many_lines_it_had(storeroom: Storeroom) -> None:
    await storeroom.stock(catalog(2))
    day = MORNING.date() - timedelta(days=100)
    trips = [(day + timedelta(days=n), day + timedelta(days=n + 2 + n % 3)) for n in range(65)]
    receipts = [
        RecordedReceipt(
            supplier="acme", location=LOCATION, item=item, ordered_on=ordered, received_on=arrived, units=6
        )
        for ordered, arrived in trips
        for item in ("ITEM-001", "ITEM-002")
    ]  # fmt: skip
    load_history(storeroom.connection, [], receipts, actor="test")
    storeroom.take(counted(9), clock())
    (fact,) = (await loaded(storeroom)).facts
    expected = tuple((arrived - ordered).days for ordered, arrived in reversed(trips) for _ in range(PARTS))
    assert fact.row.lead_times.lane_days == expected == fact.row.lead_times.supplier_days


async def test_the_conditions_that_are_scored_are_those_of_whom_the_decision_orders_from(storeroom: Storeroom) -> None:
    document = catalog(1)
    dear = document.sourcing[0].model_copy(update={"unit_cost": Decimal("6"), "lead_time_days": 1, "supplier": "aaa"})
    other = Catalog(suppliers=(Supplier(supplier="aaa", name="Dear"),), sourcing=(Sourcing.model_validate(dear),))
    await storeroom.stock(document)
    await storeroom.stock(other)
    storeroom.take(counted(0), clock())
    (fact,) = (await loaded(storeroom)).facts
    assert [option.sourcing.supplier for option in fact.options] == ["aaa", "acme"], "the same rank"
    assert (fact.row.supplier, fact.row.lead_times.promised_days) == ("acme", 3), "the cheaper one"


async def test_a_recorded_decision_can_be_made_again_from_storage_alone(storeroom: Storeroom) -> None:
    await storeroom.stock()
    storeroom.take(counted(9), sold(3), clock())
    await storeroom.assess()
    row = storeroom.one(
        """SELECT d.body, d.proposal_hash, d.inputs_sha256, e.body AS inputs, p.document AS policy, d.model_digest
           FROM decision d JOIN evidence e ON e.sha256 = d.inputs_sha256
           JOIN policy_version p ON p.digest = d.policy_digest"""
    )
    inputs = DecisionInputs.model_validate_json(row["inputs"])
    policy = Policy.model_validate_json(row["policy"])
    decision = Decision.model_validate_json(row["body"])
    assert digest(inputs) == digest(bytes(row["inputs"])) == row["inputs_sha256"] == decision.inputs_digest
    assert digest(policy) == decision.policy_digest
    assert decision.model_digest == row["model_digest"] == digest(MODEL)
    assert decide(inputs, policy) == decision.result
    assert digest(decision) == row["proposal_hash"] == decision.proposal_hash


async def test_recording_twice_records_once(storeroom: Storeroom) -> None:
    await storeroom.stock()
    storeroom.take(counted(9), counted(900, item="ITEM-002"), clock())
    (batch,) = storeroom.relay.batches(0)
    found = await storeroom.assessments.load(batch.batch_id)
    summary = await storeroom.assess()
    entries = storeroom.verified().entries
    assert (await storeroom.assessments.load(batch.batch_id)).facts == ()
    again = await storeroom.assessments.record(batch.batch_id, digest(MODEL), [])
    assert again == summary
    assert storeroom.verified().entries == entries
    assert len(found.facts) == 2


async def test_two_workers_on_one_batch_decide_each_need_once(storeroom: Storeroom) -> None:
    await storeroom.stock(catalog(30))
    storeroom.take(*[counted(9, item=f"ITEM-{n:03}") for n in range(1, 31)], clock())
    await asyncio.gather(storeroom.assess(), storeroom.assess(), storeroom.assess())
    assert storeroom.one("SELECT count(*) AS n FROM decision") == {"n": 30}
    counts = await storeroom.desk.counts()
    assert counts["proposals"] == 30
    assert storeroom.one("SELECT count(*) AS n FROM ledger_entry WHERE type = 'decision.proposed'") == {"n": 30}


async def test_an_unknown_batch_is_not_found(storeroom: Storeroom) -> None:
    with pytest.raises(NotFound):
        await storeroom.assessments.load("nothing")


async def test_holds_share_one_ledger_entry_and_set_the_watch_level(storeroom: Storeroom) -> None:
    await storeroom.stock()
    storeroom.take(counted(900), counted(900, item="ITEM-002"), clock())
    summary = await storeroom.assess()
    assert summary is not None
    assert (summary.holds, summary.proposals) == (2, 0)
    entry = storeroom.one(
        "SELECT convert_from(body, 'UTF8')::jsonb AS body FROM ledger_entry WHERE stream LIKE 'batch:%%'"
    )
    assert entry["body"]["holds"] == 2
    assert storeroom.position()["watch_level_units"] == 52


async def test_the_policy_that_an_installation_starts_with_can_be_looked_up(storeroom: Storeroom) -> None:
    await storeroom.stock()
    # As a replica, because the table's own guard keeps versions from being removed.
    storeroom.connection.execute("SET session_replication_role = replica")
    storeroom.connection.execute("DELETE FROM policy_version")
    storeroom.connection.execute("RESET session_replication_role")
    storeroom.take(counted(9), clock())
    await storeroom.assess()
    assert storeroom.one("SELECT policy_digest FROM decision")["policy_digest"] == Policy().digest


async def test_when_every_supplier_is_blocked_the_need_is_recorded_and_rests(storeroom: Storeroom) -> None:
    await storeroom.stock(catalog(1, blocked=True))
    storeroom.take(counted(0), clock())
    await storeroom.assess()
    row = storeroom.one("SELECT tier, state FROM replenishment")
    assert row == {"tier": "blocked", "state": "blocked"}
    counts = await storeroom.desk.counts()
    assert (counts["blocked"], counts["tasks_opened"], counts["proposals"]) == (1, 0, 1)
    assert storeroom.relay.replenishments(0) == []
    assert storeroom.take(clock(MORNING + timedelta(days=1))).needs == 0
    assert not (await storeroom.orders.release(DECISION, storeroom.hash_of(DECISION))).released


async def waiting(storeroom: Storeroom) -> ReplenishmentRef:
    """A task that waits."""
    await storeroom.stock(catalog(1))
    storeroom.take(counted(9), clock())
    await storeroom.assess()
    ((ref, _),) = storeroom.relay.replenishments(0)
    assert (ref.decision_id, ref.tier) == (DECISION, RiskTier.REVIEW)
    return ref


async def test_a_waiting_proposal_is_scored_again_when_the_world_moved_past_tolerance(storeroom: Storeroom) -> None:
    before = await waiting(storeroom)
    assert storeroom.relay.moved_tasks() == []
    storeroom.take(sold(1), clock(MORNING + timedelta(hours=1)))
    assert storeroom.relay.moved_tasks() == [], "within tolerance"
    storeroom.take(sold(20), clock(MORNING + timedelta(hours=2)))
    assert storeroom.relay.moved_tasks() == [DECISION]
    assert storeroom.relay.moved_tasks() == [], "asked for once per tick"
    result = await storeroom.rescore(DECISION)
    after = result.ref
    assert result.changed
    assert (after.revision, after.remind_at, after.expire_at) == (2, before.remind_at, before.expire_at)
    assert after.proposal_hash != before.proposal_hash
    (task,) = await storeroom.desk.tasks()
    assert (task.revision, task.proposal_hash) == (2, after.proposal_hash)
    assert storeroom.one("SELECT units FROM replenishment")["units"] == task.units
    again = await storeroom.rescore(DECISION)
    assert (again.changed, again.ref) == (False, after)
    storeroom.take(clock(MORNING + timedelta(hours=3)))
    assert storeroom.relay.moved_tasks() == []
    assert storeroom.verified().ok


async def test_of_two_attempts_from_one_revision_the_first_counts_and_the_second_hears_of_it(
    storeroom: Storeroom,
) -> None:
    await waiting(storeroom)
    storeroom.take(sold(20), clock(MORNING + timedelta(hours=1)))
    late = LateAssessments(storeroom.database)
    storeroom.assessments = late
    await storeroom.rescore(DECISION)
    (slow,) = late.kept
    storeroom.assessments = PostgresAssessments(storeroom.database)
    storeroom.take(sold(60), clock(MORNING + timedelta(hours=2)))
    first = await storeroom.rescore(DECISION)
    assert first.changed
    second = await storeroom.assessments.record_rescore(slow)
    assert (second.changed, second.ref) == (False, first.ref)
    stored = storeroom.one("SELECT count(*) AS n, max(proposal_hash) AS hash FROM decision WHERE revision = 2")
    assert stored == {"n": 1, "hash": storeroom.hash_of(DECISION)}


class LateAssessments(PostgresAssessments):
    """Keeps what it is asked to record: a worker that stopped before its transaction."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.kept: list[Decided] = []

    async def record_rescore(self, decided: Decided) -> RescoreResult:
        self.kept.append(decided)
        return RescoreResult(ref=None, changed=False)


async def test_a_task_whose_need_went_away_is_voided(storeroom: Storeroom) -> None:
    await waiting(storeroom)
    storeroom.take(received(500, None), clock(MORNING + timedelta(hours=1)))
    assert storeroom.relay.moved_tasks() == [DECISION]
    assert (await storeroom.rescore(DECISION)).ref is None
    counts = await storeroom.desk.counts()
    assert (counts["tasks_opened"], counts["voided"], counts["open"]) == (1, 1, 0)
    assert await storeroom.assessments.load_waiting(DECISION) is None
    view = await storeroom.desk.decision(DECISION)
    assert (view.decision.revision, view.decision.result.kind) == (2, "hold")
    (closed,) = [entry for entry in view.timeline if entry["type"] == "decision.closed"]
    assert closed["body"]["state"] == "voided"
    assert len(await storeroom.desk.tasks(state=None)) == 1
    storeroom.take(sold(499), clock(MORNING + timedelta(hours=2)))
    assert storeroom.take(sold(1)).needs == 1, "a later need is another decision"


async def test_a_task_whose_supplier_is_blocked_meanwhile_is_voided_and_the_item_rests(storeroom: Storeroom) -> None:
    await waiting(storeroom)
    blocked = event(SupplierUpdated(supplier="acme", blocked=True), at=MORNING + timedelta(hours=1))
    storeroom.take(blocked, sold(30), clock(MORNING + timedelta(hours=1)))
    assert (await storeroom.rescore(DECISION)).ref is None
    assert storeroom.one("SELECT state FROM replenishment") == {"state": "voided"}
    assert storeroom.take(sold(1), clock(MORNING + timedelta(days=1))).needs == 0


async def test_an_answered_task_is_not_scored_again(storeroom: Storeroom) -> None:
    before = await waiting(storeroom)
    found = await storeroom.assessments.load_waiting(DECISION)
    assert found is not None
    await storeroom.answer(DECISION)
    assert (await storeroom.rescore(DECISION)).changed is False
    assert storeroom.hash_of(DECISION) == before.proposal_hash
    storeroom.take(received(500, None), clock(MORNING + timedelta(hours=1)))
    assert storeroom.relay.moved_tasks() == []


async def test_low_risk_is_released_without_a_task(storeroom: Storeroom) -> None:
    await storeroom.stock(catalog(1), policy=EASY)
    past = RecordedReceipt(
        supplier="acme", location=LOCATION, item="ITEM-001", ordered_on=date(2025, 2, 1),
        received_on=date(2025, 2, 5), units=40,
    )  # fmt: skip
    load_history(storeroom.connection, [], [past], actor="test")
    storeroom.take(counted(9), clock())
    await storeroom.assess()
    ((ref, _),) = storeroom.relay.replenishments(0)
    assert (ref.tier, ref.expire_at) == (RiskTier.AUTO, None)
    assert (await storeroom.orders.release(DECISION, ref.proposal_hash)).released
    counts = await storeroom.desk.counts()
    assert (counts["auto_released"], counts["tasks_opened"], counts["proposals"]) == (1, 0, 1)
