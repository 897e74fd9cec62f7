"""Whoever keeps drift readings: a day is stored once, an alarm lasts, and retrains once and not too often."""

from datetime import date, timedelta

import pytest

from connectors.postgres.monitoring import PostgresMonitoring
from tests.fakes.monitoring import MemoryMonitoring, reading_of
from tests.storeroom import Storeroom
from workflows.domain.monitoring import Monitoring, Recorded, alarm_id

DAY = date(2025, 3, 2)
MODEL = "m" * 64


@pytest.fixture(params=["memory", "postgres"])
def monitoring(request: pytest.FixtureRequest) -> Monitoring:
    """Each of the two."""
    if request.param == "memory":
        return MemoryMonitoring()
    storeroom: Storeroom = request.getfixturevalue("storeroom")
    return PostgresMonitoring(storeroom.database)


async def read(monitoring: Monitoring, day: int, *statistics: str) -> Recorded:
    """A day on which these statistics alarm."""
    loud = [reading_of(statistic) for statistic in statistics]
    return await monitoring.record(DAY + timedelta(days=day), MODEL, [*loud, reading_of("pit", "calm", alarm=False)])


async def open_alarms(monitoring: Monitoring) -> list[str]:
    return sorted(one.alarm_id for one in (await monitoring.view()).alarms if one.ended_on is None)


async def test_a_day_is_stored_once(monitoring: Monitoring) -> None:
    assert await read(monitoring, 0, "cusum") == Recorded(raised=1)
    assert await read(monitoring, 0) == Recorded()
    assert await open_alarms(monitoring) == [alarm_id("smooth", "cusum", DAY)]


async def test_an_alarm_goes_on_until_a_day_without_it_and_may_begin_again(monitoring: Monitoring) -> None:
    assert await read(monitoring, 0, "cusum", "pit") == Recorded(raised=2)
    assert await read(monitoring, 1, "cusum", "pit") == Recorded()
    assert await read(monitoring, 2, "pit") == Recorded(ended=1)
    assert await read(monitoring, 3, "pit", "cusum") == Recorded(raised=1)
    assert await open_alarms(monitoring) == [
        alarm_id("smooth", "cusum", DAY + timedelta(days=3)), alarm_id("smooth", "pit", DAY),
    ]  # fmt: skip
    (over,) = [one for one in (await monitoring.view()).alarms if one.ended_on is not None]
    assert (over.alarm_id, over.ended_on) == (alarm_id("smooth", "cusum", DAY), DAY + timedelta(days=2))


async def test_the_oldest_alarm_on_errors_or_intervals_is_owed_a_retraining(monitoring: Monitoring) -> None:
    await read(monitoring, 0, "psi_forecast_level", "risk_promised")
    assert await monitoring.retraining_owed() is None
    await read(monitoring, 1, "pit")
    await read(monitoring, 2, "pit", "cusum")
    owed = await monitoring.retraining_owed()
    assert owed is not None
    assert owed.alarm_id == alarm_id("smooth", "pit", DAY + timedelta(days=1))


async def test_no_alarm_retrains_twice_and_none_within_a_week_of_another(monitoring: Monitoring) -> None:
    await read(monitoring, 0, "pit")
    owed = await monitoring.retraining_owed()
    assert owed is not None
    await monitoring.retraining_started(owed.alarm_id, "first")
    await monitoring.retraining_started(owed.alarm_id, "second")
    await read(monitoring, 6, "pit", "cusum")
    assert await monitoring.retraining_owed() is None
    await read(monitoring, 7, "pit", "cusum")
    after = await monitoring.retraining_owed()
    assert after is not None
    assert after.statistic == "cusum"
    kept = [one.retraining_id for one in (await monitoring.view()).alarms if one.statistic == "pit"]
    assert kept == ["first"]


async def test_an_alarm_that_is_over_is_owed_nothing(monitoring: Monitoring) -> None:
    await read(monitoring, 0, "pit")
    await read(monitoring, 1)
    assert await monitoring.retraining_owed() is None
