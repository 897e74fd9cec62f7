"""A shop that goes on as forecast is left in peace; one that changes is told of, by segment and within a few weeks."""

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.learning.watching import DriftWatching, apart, pit_of
from workflows.domain.monitoring import DEFINITIONS, EVERYTHING, RETRAINS, DriftKind, DriftReading, WatchedOutcome

FIRST = date(2025, 3, 3)
MODEL = "m" * 64
HORIZON = 5
ITEMS = 60
MEAN = 12.0
Mean = Callable[[int], float]


@cache
def quantiles(mean: float) -> tuple[Decimal, ...]:
    sample = np.sort(np.random.default_rng(1).poisson(mean, 200_001))
    return tuple(Decimal(int(sample[int(level * 200_000)])) for level in (0.1, 0.5, 0.9))


def outcome(item: int, day: int, demand: int, segment: str = "smooth", **changes: object) -> WatchedOutcome:
    p10, p50, p90 = quantiles(MEAN)
    fields = {
        "decision_id": f"LEEDS:{segment}-{item}:{day}", "location": "LEEDS", "item": f"{segment}-{item}",
        "segment": segment, "forecaster": "xgboost", "model_digest": MODEL,
        "decided_on": FIRST + timedelta(days=day), "closed_on": FIRST + timedelta(days=day + HORIZON),
        "demand_units": demand, "p10": p10, "p50": p50, "p90": p90, "days_out_of_stock": 0,
        "stockout_risk": Decimal("0.1"), "ran_out": False, "held": True,
    }  # fmt: skip
    return WatchedOutcome.model_validate({**fields, **changes})


def shop(seed: int, days: int, mean: Mean, segment: str = "smooth") -> list[WatchedOutcome]:
    """A fifth of the items is decided each day; the risk of one in ten comes true one time in ten."""
    roll = np.random.default_rng(seed)
    return [
        outcome(item, day, int(roll.poisson(mean(day))), segment, ran_out=bool(roll.random() < 0.1))
        for day in range(days)
        for item in range(day % HORIZON, ITEMS, HORIZON)
    ]


def loud(outcomes: list[WatchedOutcome], days: int) -> list[DriftReading]:
    return [one for one in DriftWatching().read(outcomes, FIRST + timedelta(days=days + 4), MODEL) if one.alarm]


def test_a_shop_that_goes_on_as_forecast_hardly_ever_starts_a_retraining() -> None:
    alarmed = [loud(shop(seed, 60, lambda _: MEAN), 60) for seed in range(60)]
    retraining = [found for found in alarmed if any(one.kind in RETRAINS for one in found)]
    assert len(retraining) <= 4, [one.detail for found in retraining for one in found]
    assert sum(bool(found) for found in alarmed) <= 9, "findings included"


@pytest.mark.parametrize(("factor", "within"), [(1.4, 12), (0.6, 12), (1.2, 30)])
def test_demand_that_leaves_its_forecast_raises_an_alarm_within_weeks(factor: float, within: int) -> None:
    def mean(day: int) -> float:
        return MEAN * (factor if day >= 40 else 1)

    for seed in range(3):
        days = 40 + within
        found = {one.statistic for one in loud(shop(seed, days, mean), days) if one.kind in RETRAINS}
        assert found, f"nothing after {within} days (seed {seed})"


def test_the_alarm_is_the_segments_that_changed() -> None:
    both = shop(1, 56, lambda day: MEAN * (1.4 if day >= 40 else 1), "lumpy") + shop(2, 56, lambda _: MEAN)
    segments = {one.segment for one in loud(both, 56) if one.kind in RETRAINS}
    assert "lumpy" in segments
    assert "smooth" not in segments
    read = {one.segment for one in DriftWatching().read(both, FIRST + timedelta(days=60), MODEL)}
    assert read == {"lumpy", "smooth", EVERYTHING}


def test_risks_that_come_true_twice_as_often_are_a_finding() -> None:
    roll = np.random.default_rng(4)
    outcomes = [one.model_copy(update={"ran_out": bool(roll.random() < 0.25)}) for one in shop(3, 40, lambda _: MEAN)]
    found = loud(outcomes, 40)
    assert {"risk_calibration", "risk_promised"} <= {one.statistic for one in found}
    assert not any(one.kind in RETRAINS for one in found)


def test_people_who_stop_going_along_are_a_finding() -> None:
    outcomes = [
        outcome(
            item, day, 12, held=False, gated=True, answered=True, overridden=(item + day) % 10 < (1 if day < 40 else 5)
        )
        for day in range(60)
        for item in range(day % HORIZON, ITEMS, HORIZON)
    ]
    assert "override_rate" in {one.statistic for one in loud(outcomes, 60)}


def test_days_without_stock_and_other_models_say_nothing_of_the_forecast() -> None:
    off = [one.model_copy(update={"demand_units": 90}) for one in shop(5, 60, lambda _: MEAN)]
    masked = [one.model_copy(update={"days_out_of_stock": 2}) for one in off]
    replaced = [one.model_copy(update={"model_digest": "o" * 64}) for one in off]
    assert DriftKind.COVERAGE in {one.kind for one in loud(off, 60)}
    for outcomes in (masked, replaced):
        assert not any(one.kind in RETRAINS for one in loud(outcomes, 60))


def test_a_few_outcomes_say_nothing() -> None:
    assert DriftWatching().read([outcome(1, 0, 90)], FIRST + timedelta(days=9), MODEL) == []


def test_outcomes_that_overlap_count_once() -> None:
    kept = apart([outcome(1, day, 12) for day in range(20)] + [outcome(2, 3, 12)])
    assert [(one.item, (one.decided_on - FIRST).days) for one in kept] == [
        ("smooth-1", 0), ("smooth-2", 3), ("smooth-1", 5), ("smooth-1", 10), ("smooth-1", 15),
    ]  # fmt: skip


@given(demand=st.integers(0, 40))
def test_demand_falls_between_its_neighbours(demand: int) -> None:
    one = outcome(1, 0, demand)
    level = pit_of(one)
    assert 0 <= level <= 1
    assert (level > 0.9) == (demand > one.p90) or demand == one.p90
    assert pit_of(one) == level


def test_every_reading_is_defined_in_words() -> None:
    read = DriftWatching().read(shop(6, 60, lambda _: MEAN), FIRST + timedelta(days=64), MODEL)
    assert {one.statistic for one in read} <= DEFINITIONS.keys()
    assert len(read) >= 12
