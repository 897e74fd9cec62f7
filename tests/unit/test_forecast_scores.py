"""Scores by hand, the published seasonal naive to four decimals, and Prophet as a baseline that survives anything."""

from datetime import date
from pathlib import Path

import numpy as np
import pytest

from activities.learning.forecast_contest import contest
from activities.learning.forecast_scores import LEVELS, Forecasts, mase, season_of, seasonal_error, seasonal_naive
from activities.learning.prophet_baseline import ProphetPolicy, prophet_forecast
from activities.learning.simulation import simulate
from connectors.studies.folder import read_study
from tests.bench.study_folders import carparts
from tests.unit.study_world import study_folder, trial
from workflows.domain.errors import InvalidInput
from workflows.domain.studies import Period

CARPARTS = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "carparts.csv"
NAN = np.nan


def quiet(what: str, done: int, total: int) -> None:
    """Nobody watches."""


@pytest.mark.skipif(not CARPARTS.exists(), reason="the public carparts file is not beside the checkout")
def test_the_published_seasonal_naive_comes_out_to_four_decimals(tmp_path: Path) -> None:
    found = contest(read_study(carparts(CARPARTS, tmp_path)), 12, ["seasonal_naive"], None, quiet)
    scores = found["methods"]["seasonal_naive"]

    assert round(scores["mase"], 6) == 1.201464
    assert round(scores["wql"], 6) == 1.599952
    assert found["study"]["series"] == 2_674


def test_the_season_is_a_year_where_there_are_two() -> None:
    assert season_of(Period.MONTH, 5) == 12
    assert [season_of(Period.WEEK, periods) for periods in (103, 104)] == [1, 52]
    assert season_of(Period.DAY, 1_000) == 7


def test_seasonal_error_skips_what_was_not_observed() -> None:
    history = np.array([[1.0, 2.0, 4.0, NAN, 5.0, 9.0], [NAN] * 6, [3.0] * 6])

    np.testing.assert_allclose(seasonal_error(history, 2), [2.0, NAN, 0.0])
    np.testing.assert_allclose(seasonal_error(history, 6), [NAN] * 3)


def test_mase_leaves_out_series_without_a_scale() -> None:
    history = np.array([[1.0, 3.0, 5.0], [4.0, 4.0, 4.0], [1.0, 2.0, 3.0]])
    actual = np.array([[6.0, NAN], [9.0, 9.0], [NAN, NAN]])

    assert mase(actual, np.full((3, 2), 5.0), history, 1) == pytest.approx(0.5)
    assert mase(actual[1:2], np.zeros((1, 2)), history[1:2], 1) is None


def test_scores_by_hand() -> None:
    quantiles = np.tile(np.arange(1.0, 10.0), (1, 2, 1))
    found = Forecasts(quantiles, np.array([[5.0, NAN]]), np.array([[1.0, 2.0]]), Period.WEEK).scores()

    assert found["mase"] == 0.0
    assert found["wape"] == 0.0
    pinball = sum(
        level * (5 - q) if q <= 5 else (1 - level) * (q - 5) for level, q in zip(LEVELS, range(1, 10), strict=True)
    )
    assert found["wql"] == pytest.approx(2 * pinball / 9 / 5)
    assert found["coverage"] == {f"{level:g}": float(level >= 0.5) for level in LEVELS}


def test_nothing_demanded_has_no_relative_error() -> None:
    found = Forecasts(np.zeros((1, 2, 9)), np.zeros((1, 2)), np.zeros((1, 4)), Period.WEEK).scores()

    assert (found["mase"], found["wql"], found["wape"]) == (None, None, None)


def test_seasonal_naive_repeats_the_newest_season_that_was_observed() -> None:
    history = np.array([[1.0, 2, 3, 4, 5, 6, 7, 11, 12, NAN, 14, 15, 16, 17], [NAN] * 13 + [8.0], [NAN] * 14])
    found = seasonal_naive(history, Period.DAY, 9)

    assert found[0, :, 0].tolist() == [11, 12, 3, 14, 15, 16, 17, 11, 12]
    assert set(found[1].ravel()) == {8.0}
    assert set(found[2].ravel()) == {0.0}
    assert (found == found[:, :, :1]).all()


def test_prophet_answers_for_series_that_it_cannot_fit_and_repeats_itself() -> None:
    chance = np.random.default_rng(4)
    steady = chance.poisson(20, 80).astype(float)
    history = np.stack([steady, np.zeros(80), np.full(80, NAN), np.where(np.arange(80) < 79, NAN, 7.0)])
    before = np.random.get_state()[1].copy()  # type: ignore[index]
    found = prophet_forecast(history, Period.WEEK, date(2023, 1, 2), 4, LEVELS)

    assert found.shape == (4, 4, 9)
    assert np.isfinite(found).all()
    assert (np.diff(found, axis=2) >= 0).all()
    assert found[0, :, 4] == pytest.approx(np.full(4, 20.0), abs=5)
    assert set(found[1:3].ravel()) == {0.0}
    assert set(found[3].ravel()) == {7.0}
    assert (found == prophet_forecast(history, Period.WEEK, date(2023, 1, 2), 4, LEVELS)).all()
    assert (np.random.get_state()[1] == before).all(), "the caller's generator is left alone"  # type: ignore[index]


def test_prophet_orders_up_to_its_quantile_of_the_protection_interval() -> None:
    chance = np.random.default_rng(4)
    past = chance.poisson(20, (2, 80)).tolist()
    case = trial([[20] * 6] * 2, past=past, lead=[0, 2], shortage=1.0, holding=0.2)
    run = simulate(case, ProphetPolicy)

    one, three = run.ordered[:, 0].tolist()
    assert 20 <= one <= 32, "one period and 5 of 6 futures"
    assert 60 <= three <= 80, "three periods"


def test_an_unknown_name_and_an_impossible_horizon_are_refused(tmp_path: Path) -> None:
    study = read_study(study_folder(tmp_path, items=1, weeks=10, rounds=2))

    with pytest.raises(InvalidInput, match="oracle is none of prophet, seasonal_naive"):
        contest(study, 2, ["oracle"], None, quiet)
    with pytest.raises(InvalidInput, match="leaves nothing to learn from"):
        contest(study, 10, [], None, quiet)
