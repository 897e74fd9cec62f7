"""Holidays, prices and outside numbers: relative to their past, blind to what was not known yet, and learned from."""

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import pytest

from activities.learning.cadence import DAY, MONTH, WEEK
from activities.learning.features import Context, features, names
from activities.learning.learner import XgboostLearner
from activities.learning.model_file import read_manifest
from activities.learning.outside import Calendar, gathered, outside_columns, worth_learning
from activities.learning.scoring import XgboostScoring
from activities.learning.windows import Panel, windows_of
from tests.unit.learning_world import LAST_DAY, row, series
from workflows.domain.drivers import PRICE, DriverSeries
from workflows.domain.errors import InvalidInput
from workflows.domain.models import TrainingSeries

ENGLAND = Calendar("GB", "ENG")
CHRISTMAS = date(2025, 12, 25).toordinal()
ORIGIN = LAST_DAY.toordinal()


def test_days_know_how_far_the_next_and_the_last_public_holiday_is() -> None:
    columns = ENGLAND.columns(CHRISTMAS - 2, 6)
    assert columns.tolist() == [[0, 0, 1, 1, 0, 0], [2, 1, 0, 0, 5, 4], [15, 15, 0, 0, 1, 2]]


def test_a_day_knows_the_same_whatever_stretch_it_is_asked_in() -> None:
    whole = ENGLAND.columns(CHRISTMAS - 400, 800)
    for begin in range(0, 790, 37):
        assert np.array_equal(ENGLAND.columns(CHRISTMAS - 400 + begin, 10), whole[:, begin : begin + 10])


def test_weeks_and_months_count_their_holidays() -> None:
    january = 2025 * 12
    assert ENGLAND.per_period(MONTH, january, 12).tolist() == [1, 0, 0, 2, 2, 0, 0, 1, 0, 0, 0, 2]
    weeks = ENGLAND.per_period(WEEK, CHRISTMAS // 7, 2)
    assert weeks.sum() == ENGLAND.flags(CHRISTMAS // 7 * 7, 14).sum() == 3
    assert Calendar("GB", "SCT").per_period(MONTH, january, 1).tolist() == [2], "Scotland keeps the second of January"


def test_a_place_that_the_calendar_does_not_know_is_said() -> None:
    with pytest.raises(InvalidInput, match="does not know the country 'XX'"):
        Calendar("XX").flags(CHRISTMAS, 1)
    with pytest.raises(InvalidInput, match=r"knows no 'BY' in GB; it has ENG"):
        Calendar("GB", "BY").flags(CHRISTMAS, 1)


def told(name: str, values: Mapping[int, float], *, known_ahead: bool) -> DriverSeries:
    """Values by day, counted from the origin (0)."""
    by_day = {LAST_DAY + timedelta(days=n): Decimal(str(value)) for n, value in values.items()}
    return DriverSeries.of(name, by_day, known_ahead=known_ahead)


def at(horizons: list[int], *drivers: DriverSeries, ask: str) -> list[float]:
    """The feature of one row at these days ahead."""
    first = ORIGIN - DAY.lookback + 1
    found = gathered([drivers], [None], [first], DAY.lookback + DAY.ahead, [ORIGIN])
    rows = np.zeros(len(horizons), dtype=np.int64)
    return [float(x) for x in outside_columns(found, (ask,), DAY, rows, np.array(horizons))[ask]]


def test_a_given_number_is_told_by_how_unusual_it_is_for_its_place() -> None:
    past = {-n: 10 + 4 * (n % 2) for n in range(20)}
    weather = told("temperature", past | {1: 16, 2: 12, 4: 1e9}, known_ahead=True)
    assert at([1, 2, 3, 4], weather, ask="temperature") == pytest.approx([2, 0, np.nan, 10], nan_ok=True)
    assert np.isnan(at([1], told("temperature", {0: 3, 1: 4}, known_ahead=True), ask="temperature")).all()
    assert np.isnan(at([1], weather, ask="footfall")).all()
    steady = told("temperature", dict.fromkeys(range(-9, 2), 3.0) | {2: 4.0}, known_ahead=True)
    assert at([1, 2], steady, ask="temperature") == [0, 10], "what never varied did: much, but finite"


def test_what_is_not_known_ahead_is_not_looked_at_beyond_the_origin() -> None:
    past = {-n: 10 + 4 * (n % 2) for n in range(20)}
    assert np.isnan(at([1], told("footfall", past | {1: 16}, known_ahead=False), ask="footfall")).all()
    panel_says = Panel.of([with_drivers(told("footfall", past, known_ahead=False))], LAST_DAY)
    earlier = panel_says.windows(ORIGIN - 5).outside
    assert earlier
    assert np.isnan(earlier.values[:, :, DAY.lookback :]).all()
    assert not np.isnan(earlier.values[:, :, DAY.lookback - 5 : DAY.lookback]).any()


def test_a_price_is_told_against_the_median_of_a_quarter_and_is_the_usual_one_where_nobody_tells() -> None:
    assert at([1, 9], told(PRICE, {-9: 4, -5: 4, -1: 2}, known_ahead=False), ask=PRICE) == [0.5, 0.5]
    assert at([1], told(PRICE, {-200: 4, -100: 2}, known_ahead=False), ask=PRICE) == [1], "older than a quarter"
    assert at([1], ask=PRICE) == [1]
    assert at([1], told(PRICE, {-1: 0}, known_ahead=False), ask=PRICE) == [1]


def with_drivers(*drivers: DriverSeries, name: str = "a", units: list[int | None] | None = None) -> TrainingSeries:
    """A series with drivers."""
    return series(name, units or [1, 2, 3] * 40).model_copy(update={"drivers": drivers})


def test_a_row_is_told_the_same_as_the_panel_it_was_taught_from() -> None:
    weather = told("temperature", {n: 10 + (n * n) % 7 for n in range(-300, 30)}, known_ahead=True)
    price = told(PRICE, {n: 4 - (n % 11 == 0) for n in range(-300, 1)}, known_ahead=False)
    world = [with_drivers(weather, price), with_drivers(weather, name="b"), with_drivers(name="c")]
    world = [one.model_copy(update={"country": "DE", "subdivision": "HH"}) for one in world]
    panel = Panel.of(world, LAST_DAY)
    assert panel.outside
    learned = worth_learning(panel.outside, 28)
    assert learned == ("is_holiday", "days_to_holiday", "days_since_holiday", "price", "temperature")
    context = Context(drivers=learned)
    pairs, ahead = np.repeat(np.arange(3), 9), np.tile(np.arange(1, 10), 3)
    taught = features(panel.windows(panel.last), pairs, ahead, context)
    fields = {"country": "DE", "subdivision": "HH"}
    rows = [row(one).model_copy(update={"drivers": one.drivers, **fields}) for one in world]
    asked = features(windows_of(rows), pairs, ahead, context)
    assert np.array_equal(taught, asked, equal_nan=True)
    for number in range(3):
        alone = features(windows_of([rows[number]]), pairs[:9], ahead[:9], context)
        assert np.array_equal(alone, asked[9 * number : 9 * number + 9], equal_nan=True)
    cut = panel.through(panel.last - 3)
    assert np.array_equal(
        features(cut.windows(cut.last), pairs, ahead, context),
        features(panel.windows(panel.last - 3), pairs, ahead, context),
        equal_nan=True,
    )
    assert names(DAY, learned)[: len(names(DAY))] == names(DAY), "a model without drivers keeps its schema"


def test_what_is_hardly_known_is_not_learned() -> None:
    world = [with_drivers(told("temperature", {n: n for n in range(-9, 9)}, known_ahead=True))]
    assert worth_learning(Panel.of(world, LAST_DAY).outside, 28) == ()
    assert worth_learning(None, 28) == ()


def test_a_model_learns_what_the_weather_does_and_expects_it_on_the_day() -> None:
    """Ice cream: four times as much on hot days, which fall by chance, so that nothing else can tell them."""
    chance, days = np.random.default_rng(3), 500
    hot = chance.random(days + 40) < 0.3
    weather = told("temperature", {n - days + 1: 30.0 if hot[n] else 15.0 for n in range(days + 40)}, known_ahead=True)
    world = []
    for number in range(30):
        mean = 4.0 + number / 3
        units = [int(chance.poisson(mean * (4 if hot[n] else 1))) for n in range(days)]
        world.append(with_drivers(weather, name=f"i{number:02}", units=list(units)))
    model = XgboostLearner(rows=12_000, rounds=40).train(
        world, last_day=LAST_DAY, seed=3, progress=lambda what, done, of: None
    )
    assert read_manifest(model).drivers == ("temperature",)
    rows = [row(one).model_copy(update={"drivers": one.drivers}) for one in world]
    told_of = XgboostScoring().score(rows, model, explain=True)
    median = np.array([[float(day.p50) for day in one.days[:14]] for one in told_of]).sum(axis=0)
    ahead = hot[days : days + len(median)]
    assert ahead.any()
    assert not ahead.all()
    assert median[ahead].min() > 2.0 * median[~ahead].max()
    assert any(driver.feature == "temperature against the usual" for one in told_of for driver in one.drivers)
    untold = XgboostScoring().score([row(one) for one in world], model)
    assert all(np.isfinite(float(one.demand_p50)) for one in untold), (
        "without a forecast of the weather it still speaks"
    )
