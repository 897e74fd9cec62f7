"""Items without a past: the category's rate, updated by what was shown, whole through a scenario."""

from collections.abc import Sequence

import numpy as np
import pytest

from activities.learning.cold_start import OVERALL, cold_forecast, fit_priors, posterior
from activities.learning.demand import MEDIAN, MILLI, QUANTILES
from activities.learning.risk import RATE_COLUMN, SCENARIOS, permutations
from activities.learning.windows import Ints, windows_of
from tests.unit.learning_world import draw, row, series

CHANCE = np.random.default_rng(9)
FAST = [series(f"f{i}", CHANCE.poisson(CHANCE.gamma(4, 1.0), 200).tolist(), category="fast") for i in range(60)]
SLOW = [series(f"s{i}", CHANCE.poisson(CHANCE.gamma(2, 0.02), 200).tolist(), category="slow") for i in range(60)]
PRIORS = fit_priors(windows_of([row(one) for one in FAST + SLOW]))


def scenarios(units: Sequence[int | None], category: str, days: int = 30) -> Ints:
    windows = windows_of([row(series("new", units, category=category))])
    table = permutations()[:1]
    found: Ints = cold_forecast(PRIORS, windows).scenarios(table[:, :days], table[:, RATE_COLUMN], days)[0]
    return found


def test_the_prior_recovers_the_spread_of_rates() -> None:
    fast = PRIORS["fast"]
    assert fast.shape / fast.periods == pytest.approx(4, rel=0.2)
    assert fast.shape == pytest.approx(4, rel=0.6)
    assert fast.dispersion == pytest.approx(1, abs=0.2)
    assert PRIORS["slow"].shape / PRIORS["slow"].periods == pytest.approx(0.04, rel=0.4)


def test_a_new_item_sells_like_its_category_and_an_unknown_category_like_all() -> None:
    assert scenarios([None], "fast").mean() == pytest.approx(4, rel=0.25)
    assert scenarios([None], "slow").mean() == pytest.approx(0.04, rel=0.6)
    assert scenarios([None], "never seen").mean() == pytest.approx(
        PRIORS[OVERALL].shape / PRIORS[OVERALL].periods, rel=0.35
    )  # fmt: skip


def test_what_it_has_shown_counts_more_the_longer_it_has_been_shown() -> None:
    shown = [float(scenarios([0] * days, "fast").mean()) for days in (0, 3, 30, 300)]
    assert shown == sorted(shown, reverse=True)
    assert shown[-1] < 0.2
    assert scenarios([0] * 300 + [1] * 3, "slow").mean() == pytest.approx(5 / 403, rel=1.0)


def test_not_knowing_the_rate_does_not_average_out_over_the_days() -> None:
    month = scenarios([None], "fast").sum(axis=0)
    # 30 Poisson days of a known rate 4 would have a deviation of 11; not knowing the rate makes it about 60.
    assert float(month.std()) > 40


def test_dispersed_categories_give_dispersed_days() -> None:
    chance = np.random.default_rng(4)
    lumps = [series(f"l{i}", draw(chance, 3.0, 12.0, 200).tolist(), category="lumps") for i in range(30)]
    priors = fit_priors(windows_of([row(one) for one in lumps]))
    assert priors["lumps"].dispersion == pytest.approx(12, rel=0.25)
    law = cold_forecast(priors, windows_of([row(series("new", [None], category="lumps"))]))
    assert law.knots(1)[0, 0, QUANTILES.index(0.95)] >= 12 * MILLI


def test_a_day_on_which_the_category_never_sells_is_quiet() -> None:
    weekly = [series(f"w{i}", [5, 5, 5, 5, 5, 0, 5] * 20, category="shut") for i in range(8)]
    priors = fit_priors(windows_of([row(one) for one in weekly]))
    law = cold_forecast(priors, windows_of([row(series("new", [None], category="shut"))]))
    medians = law.knots(7)[0, :, MEDIAN]
    assert medians[5] == 0
    assert (np.delete(medians, 5) > 0).all()


@pytest.mark.parametrize("units", [[None] * 40, [0] * 400, [-3] * 5, [10**9], [10**12, 0, 3], [5], [None, 1, None]])
def test_any_thin_history_gives_finite_whole_numbers(units: list[int | None]) -> None:
    found = scenarios(units, "fast")
    assert found.shape == (30, SCENARIOS)
    assert found.min() >= 0
    windows = windows_of([row(series("new", units, category="slow"))])
    knots = cold_forecast(PRIORS, windows).knots(30)
    assert (np.diff(knots, axis=2) >= 0).all()
    assert np.isfinite(posterior(PRIORS, windows)[0]).all()


def test_no_observed_item_at_all_still_gives_a_prior() -> None:
    priors = fit_priors(windows_of([row(series("x", [None] * 30))]))
    law = cold_forecast(priors, windows_of([row(series("x", [None] * 30))]))
    assert law.knots(3).min() >= 0


@pytest.mark.parametrize("batch", [1, 20, 1000])
def test_batches_and_thousandths_are_no_more_evidence_than_the_customers_behind_them(batch: int) -> None:
    """Four weeks of some dozen customers leave the rate open, whether each buys one unit or a thousand."""
    chance = np.random.default_rng(17)
    rates = chance.gamma(2, 1, 300)
    shown = chance.poisson(rates[:, None], (300, 60)) * batch
    told = [series(f"b{i}", shown[i].tolist(), category="batch") for i in range(200)]
    new = [series(f"n{i}", shown[i, :4].tolist(), category="batch") for i in range(200, 300)]
    priors = fit_priors(windows_of([row(one) for one in told]))
    windows = windows_of([row(one) for one in new])
    tables = permutations()[np.arange(100) % 16]
    month = cold_forecast(priors, windows).scenarios(tables[:, :14], tables[:, RATE_COLUMN], 14).sum(axis=1)
    came = chance.poisson(rates[200:, None], (100, 14)).sum(axis=1) * batch
    assert float((came <= np.quantile(month, 0.9, axis=1)).mean()) >= 0.82


def test_items_that_sell_hundreds_of_millions_have_a_prior_too() -> None:
    chance = np.random.default_rng(18)
    told = [series(f"h{i}", (chance.gamma(2, 4e6, 60)).round().tolist(), category="huge") for i in range(30)]
    priors = fit_priors(windows_of([row(one) for one in told]))
    assert priors["huge"].shape / priors["huge"].periods == pytest.approx(8e6, rel=0.2)
    law = cold_forecast(priors, windows_of([row(series("new", [None], category="huge"))]))
    assert (law.knots(3) > 0).any()
    assert law.knots(3).max() < 1e12


@pytest.mark.parametrize("days", [1, 3])
def test_where_nobody_was_observed_for_long_what_little_there_is_beats_a_guess(days: int) -> None:
    chance = np.random.default_rng(19)
    rates = chance.gamma(3, 4, 60)
    told = [series(f"s{i}", chance.poisson(rates[i], days).tolist(), category="short") for i in range(60)]
    windows = windows_of([row(one) for one in told])
    priors = fit_priors(windows)
    assert priors["short"].shape / priors["short"].periods == pytest.approx(12, rel=0.25)
    shape, periods, _ = posterior(priors, windows)
    assert float((shape / periods).sum()) == pytest.approx(float(rates.sum()), rel=0.1)
