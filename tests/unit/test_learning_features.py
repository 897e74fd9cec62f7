"""What a model is shown is what was known then: no future, no confusion of missing with zero, no neighbours."""

from datetime import timedelta

import numpy as np

from activities.learning.cadence import CADENCES, DAY
from activities.learning.features import Context, columns, features, names, sale_periods, scale
from activities.learning.rolling import Sums, demand_class, newest_mean
from activities.learning.windows import Panel, windows_of
from tests.unit.learning_world import LAST_DAY, row, seasonal_world, series
from workflows.domain.scores import Promotion

NAMES = names(DAY)
CODES = Context(codes=({"c0": 0, "c1": 1},))
WORLD = seasonal_world(count=12, days=460)
HORIZONS = np.array([1, 2, 7, 8, 30, 60, 120], dtype=np.int64)


def vectors() -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    windows = windows_of([row(one) for one in WORLD])
    pairs = np.repeat(np.arange(len(WORLD)), len(HORIZONS))
    return features(windows, pairs, np.tile(HORIZONS, len(WORLD)), CODES)


def column(name: str, units: list[int | None], horizon: int = 1) -> float:
    windows = windows_of([row(series("x", units))])
    found = features(windows, np.array([0]), np.array([horizon]), Context(codes=({"tools": 4},)))
    return float(found[0, NAMES.index(name)])


def test_every_feature_has_words_for_a_planner() -> None:
    for cadence in CADENCES.values():
        listed = columns(cadence)
        assert all(words for _, words in listed)
        assert len({name for name, _ in listed}) == len(listed)


def test_training_and_scoring_see_the_same_vector() -> None:
    panel = Panel.of(WORLD, LAST_DAY)
    pairs = np.repeat(np.arange(len(WORLD)), len(HORIZONS))
    trained = features(panel.windows(panel.last), pairs, np.tile(HORIZONS, len(WORLD)), CODES)
    np.testing.assert_array_equal(trained, vectors())


def test_a_row_alone_has_the_vector_that_it_has_in_a_batch() -> None:
    together = vectors()
    for number, one in enumerate(WORLD):
        alone = features(
            windows_of([row(one)]), np.zeros(len(HORIZONS), dtype=np.int64), HORIZONS, CODES
        )  # fmt: skip
        np.testing.assert_array_equal(alone, together[number * len(HORIZONS) : (number + 1) * len(HORIZONS)])


def test_what_happens_after_the_origin_changes_nothing() -> None:
    origin = LAST_DAY - timedelta(days=40)
    panel = Panel.of(WORLD, LAST_DAY)
    before = panel.windows(origin.toordinal())
    for one, window in zip(WORLD, range(len(WORLD)), strict=True):
        known = one.history.model_copy(update={"daily_units": one.history.daily_units[:-40]})
        then = windows_of([row(one.model_copy(update={"history": known}), last_day=origin)])
        np.testing.assert_array_equal(then.units[0], before.units[window])


def test_a_day_without_stock_is_missing_and_not_a_zero() -> None:
    sold: list[int | None] = [4] * 100
    assert column("mean_28", [*sold, *([None] * 14)]) == column("mean_28", sold)
    assert column("mean_28", [*sold, *([0] * 14)]) < column("mean_28", sold)
    assert column("in_stock_share", [*sold, *([None] * 14)]) == 0.5
    assert column("zero_share", [*sold, *([None] * 14)]) == 0
    assert np.isnan(column("lag_1", [*sold, None]))


def test_a_missing_day_is_no_target() -> None:
    panel = Panel.of([series("x", [3] * 60 + [None])], LAST_DAY)
    rows, days = np.zeros(3, dtype=np.int64), panel.last + np.array([-1, 0, 1])
    np.testing.assert_array_equal(panel.targets(rows, days), [3, np.nan, np.nan])


def test_the_same_weekday_is_looked_up_relative_to_the_day_ahead() -> None:
    weekly: list[int | None] = [1, 2, 3, 4, 5, 6, 7] * 20
    for ahead in range(1, 15):
        windows = windows_of([row(series("x", weekly))])
        relative = column("weekday_mean_4", weekly, ahead)
        np.testing.assert_allclose(relative * scale(windows)[0], (ahead - 1) % 7 + 1, rtol=1e-6)


def test_calendar_and_promotion_are_those_of_the_day_ahead() -> None:
    day = LAST_DAY + timedelta(days=3)
    promoted = row(series("x", [3] * 60), promotions=(Promotion(first_day=day, last_day=day),))
    found = features(windows_of([promoted]), np.zeros(4, dtype=np.int64), np.arange(1, 5), Context())
    assert found[:, NAMES.index("promotion")].tolist() == [0, 0, 1, 0]
    ahead = [LAST_DAY + timedelta(days=days) for days in range(1, 5)]
    assert found[:, NAMES.index("weekday")].tolist() == [one.weekday() for one in ahead]
    assert found[:, NAMES.index("day_of_month")].tolist() == [one.day for one in ahead]


def test_an_unknown_category_has_a_code_of_its_own() -> None:
    assert column("category", [1] * 30) == 4
    assert vectors()[-1, NAMES.index("category")] == -1


def test_last_year_is_found_at_the_same_weekday() -> None:
    units: list[int | None] = [0] * DAY.lookback
    units[-364] = 70  # 364 days before the day after the last one is 363 before the last one
    windows = windows_of([row(series("x", units))])
    np.testing.assert_allclose(column("year_ago_narrow", units) * scale(windows)[0], 10, rtol=1e-6)
    assert column("year_ago_narrow", units, 9) == 0


def test_demand_classes_follow_their_cut_offs() -> None:
    made = {
        "smooth": [4, 5, 6] * 40, "erratic": [1, 1, 1, 30] * 30, "intermittent": [0, 0, 0, 5] * 30,
        "lumpy": [0, 0, 0, 1, 0, 0, 0, 40] * 20, "intermittent ": [0] * 60,
    }  # fmt: skip
    windows = windows_of([row(series("x", [int(value) for value in units])) for units in made.values()])
    assert demand_class(windows) == [name.strip() for name in made]


def test_odd_histories_make_finite_windows() -> None:
    odd = [[None] * 50, [0] * 50, [-5, -1] * 30, [10**12] * 30, [7], list(range(2_000))]
    windows = windows_of([row(series("x", units)) for units in odd])  # type: ignore[arg-type]
    assert (scale(windows) > 0).all()
    assert sale_periods(windows).tolist() == [0, 0, 0, 30, 1, DAY.lookback]
    pairs = np.repeat(np.arange(len(odd)), 2)
    found = features(windows, pairs, np.tile(np.array([1, DAY.ahead]), len(odd)), Context())
    assert not np.isinf(found).any()


def test_a_mean_that_is_asked_for_once_is_that_of_the_running_sums() -> None:
    die = np.random.default_rng(3)
    units = np.where(die.random((40, 400)) < 0.2, np.nan, die.integers(0, 10_000_000, (40, 400)).astype(np.float64))
    units[0] = np.nan
    counted = ~np.isnan(units) & (die.random(units.shape) < 0.7)
    for periods in (1, 28, 364, 400, 500):
        np.testing.assert_array_equal(newest_mean(units, counted, periods), Sums(units, counted).mean(periods))
