"""Readings and alarms are stored once a day, in the ledger too; a segment under alarm asks a person."""

from datetime import date, timedelta
from decimal import Decimal

from activities.learning.watching import DriftWatching
from connectors.postgres.monitoring import PostgresMonitoring
from tests.fakes.monitoring import reading_of
from tests.storeroom import MORNING, Storeroom, catalog, clock, counted, received, sold
from workflows.domain.approvals import Meaning
from workflows.domain.decisions import Proposal
from workflows.domain.monitoring import EVERYTHING, DriftKind, alarm_id
from workflows.domain.outcomes import measure
from workflows.domain.policies import RiskTier, RuleCode

DAY = date(2025, 3, 2)
LOUD = [reading_of("cusum"), reading_of("psi_forecast_level"), reading_of("coverage_90", "lumpy", alarm=False)]


def monitoring_of(storeroom: Storeroom) -> PostgresMonitoring:
    return PostgresMonitoring(storeroom.database)


async def opened(storeroom: Storeroom, items: int = 1) -> PostgresMonitoring:
    await storeroom.stock(catalog(items))
    storeroom.take(*[counted(9, item=f"ITEM-{n:03}") for n in range(1, items + 1)], clock())
    return monitoring_of(storeroom)


async def test_a_business_day_is_due_once_and_only_with_a_model(storeroom: Storeroom) -> None:
    monitoring = monitoring_of(storeroom)
    assert await monitoring.due() is None, "no clock"
    monitoring = await opened(storeroom)
    champion = await storeroom.models.champion()
    assert champion is not None
    assert await monitoring.due() == (DAY, champion.digest)
    await monitoring.record(DAY, champion.digest, [])
    assert await monitoring.due() is None
    storeroom.take(clock(MORNING + timedelta(days=1)))
    assert await monitoring.due() == (DAY + timedelta(days=1), champion.digest)


async def test_an_alarm_lasts_from_the_day_that_raised_it_to_the_first_that_did_not(storeroom: Storeroom) -> None:
    monitoring = await opened(storeroom)
    first = await monitoring.record(DAY, "m" * 64, LOUD)
    again = await monitoring.record(DAY, "m" * 64, LOUD)
    assert (first.raised, first.ended, again.raised) == (2, 0, 0), "a repeated attempt changes nothing"
    await monitoring.record(DAY + timedelta(days=1), "m" * 64, LOUD)
    last = await monitoring.record(DAY + timedelta(days=2), "m" * 64, LOUD[1:])
    assert (last.raised, last.ended) == (0, 1)
    view = await monitoring.view()
    assert view.day == DAY + timedelta(days=2)
    assert [(alarm.statistic, alarm.started_on, alarm.ended_on) for alarm in view.alarms] == [
        ("psi_forecast_level", DAY, None), ("cusum", DAY, DAY + timedelta(days=2)),
    ]  # fmt: skip
    assert [(one.statistic, one.alarm) for one in view.readings] == [
        ("psi_forecast_level", True),
        ("coverage_90", False),
    ]
    types = storeroom.rows("SELECT type FROM ledger_entry WHERE stream = 'drift:smooth' ORDER BY seq")
    assert [row["type"] for row in types] == ["drift.alarmed", "drift.alarmed", "drift.ended"]
    assert storeroom.verified().ok


async def test_one_retraining_is_owed_and_then_none_for_a_week(storeroom: Storeroom) -> None:
    monitoring = await opened(storeroom)
    await monitoring.record(DAY, "m" * 64, LOUD)
    owed = await monitoring.retraining_owed()
    assert owed is not None
    assert (owed.alarm_id, owed.kind) == (alarm_id("smooth", "cusum", DAY), DriftKind.ERROR)
    assert await monitoring.retraining_owed() == owed, "until it is noted"
    await monitoring.retraining_started(owed.alarm_id, "retraining/alarm/1")
    await monitoring.retraining_started(owed.alarm_id, "retraining/alarm/2")
    both = [*LOUD, reading_of("adwin", "lumpy")]
    for days, expected in ((1, None), (6, None), (7, "adwin")):
        await monitoring.record(DAY + timedelta(days=days), "m" * 64, both)
        found = await monitoring.retraining_owed()
        assert (found and found.statistic) == expected, f"after {days} days"
    kept = storeroom.one("SELECT retraining_id FROM drift_alarm WHERE alarm_id = %s", owed.alarm_id)
    assert kept == {"retraining_id": "retraining/alarm/1"}


async def test_a_segment_under_alarm_sends_its_proposals_to_a_person(storeroom: Storeroom) -> None:
    monitoring = await opened(storeroom)
    await monitoring.record(DAY, "m" * 64, [reading_of("psi_forecast_level"), reading_of("coverage_90", "lumpy")])
    batch = (await storeroom.assessments.load(storeroom.relay.batches(0)[0].batch_id)).drift_alarms
    assert batch == {"lumpy": ("coverage_90 is 9, on 200",)}, "a finding asks nobody"
    await monitoring.record(DAY + timedelta(days=1), "m" * 64, LOUD)
    await storeroom.assess()
    view = await storeroom.desk.decision("LEEDS:ITEM-001:1")
    result = view.decision.result
    assert isinstance(result, Proposal)
    assert result.tier is RiskTier.REVIEW
    fired = {rule.code: rule.detail for rule in result.rules}
    assert "smooth are under alarm: cusum is 9, on 200" in fired[RuleCode.DRIFT_ALARM]


async def test_what_became_of_decisions_is_read_with_what_they_said(storeroom: Storeroom) -> None:
    monitoring = await opened(storeroom, 2)
    storeroom.scoring.of_item = {"ITEM-002": {"daily": 0.5}}
    await storeroom.assess()
    await storeroom.answer("LEEDS:ITEM-001:1", Meaning.REJECT)
    await storeroom.orders.close_rejected("LEEDS:ITEM-001:1")
    storeroom.take(sold(9, at=MORNING + timedelta(hours=3)), sold(1, item="ITEM-002", at=MORNING + timedelta(hours=4)))
    storeroom.take(clock(MORNING + timedelta(days=6)))
    await storeroom.outcomes.record([measure(facts) for facts in await storeroom.outcomes.due(9)])
    found = await monitoring.outcomes(date(2025, 3, 8))
    rejected, held = found
    assert (rejected.item, rejected.demand_units, rejected.p50, rejected.ran_out) == ("ITEM-001", 9, Decimal(40), True)
    assert (rejected.gated, rejected.answered, rejected.overridden, rejected.held) == (True, True, True, False)
    assert (held.item, held.held, held.gated, held.ran_out, held.days_out_of_stock) == (
        "ITEM-002",
        True,
        False,
        False,
        0,
    )
    assert (held.segment, held.forecaster, held.decided_on) == ("smooth", "xgboost", MORNING.date())
    assert DriftWatching().read(found, date(2025, 3, 8), found[0].model_digest) == [], f"too few for {EVERYTHING}"


async def test_only_the_day_that_an_order_would_have_served_counts_as_running_out(storeroom: Storeroom) -> None:
    monitoring = await opened(storeroom)
    await storeroom.assess()
    await storeroom.answer("LEEDS:ITEM-001:1", Meaning.REJECT)
    await storeroom.orders.close_rejected("LEEDS:ITEM-001:1")
    storeroom.take(sold(9, at=MORNING + timedelta(hours=3)), clock(MORNING + timedelta(days=2)))
    storeroom.take(received(20, None, at=MORNING + timedelta(days=2, hours=2)), clock(MORNING + timedelta(days=6)))
    await storeroom.outcomes.record([measure(facts) for facts in await storeroom.outcomes.due(9)])
    (found,) = [one for one in await monitoring.outcomes(date(2025, 3, 8)) if one.decision_id == "LEEDS:ITEM-001:1"]
    assert found.days_out_of_stock == 2
    assert not found.ran_out, "out on the first two days, which no order could have helped"
