"""The simulator keeps the calendar and the books: a unit comes when it is due, and none appears or vanishes."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activities.learning.baselines import MovingAverage, StaticReorderPoint, season_factors
from activities.learning.clairvoyant import Clairvoyant
from activities.learning.order_points import static_level
from activities.learning.simulation import View, first_view, rehearsal, simulate
from activities.learning.simulation_kpis import gap_closed, kpis, saving
from activities.learning.trial import Trial
from activities.learning.windows import Ints
from tests.unit.study_world import Scripted, trial
from workflows.domain.studies import MISSING, Period, Unmet


@pytest.mark.parametrize("lead", [0, 1, 2, 5])
def test_one_unit_ordered_at_the_end_of_t_is_usable_from_the_start_of_t_plus_lead_plus_one(lead: int) -> None:
    for review in range(3):
        script = [[int(number == review)] for number in range(8)]
        run = simulate(trial([[0] * 8], lead=lead), lambda _, script=script: Scripted(script))  # type: ignore[misc]

        # Costed period k is start + 1 + k, and review r takes place at the end of start + r.
        usable = review + lead
        assert run.arrived[0].tolist() == [int(k == usable) for k in range(8)]
        assert run.left[0].tolist() == [int(k >= usable) for k in range(8)]


@pytest.mark.parametrize("lead", [0, 1, 3])
def test_the_unit_serves_exactly_the_first_demand_that_it_can_reach(lead: int) -> None:
    for wanted_in in range(6):
        demand = [[int(k == wanted_in) for k in range(6)]]
        run = simulate(trial(demand, lead=lead), lambda _: Scripted([[1]]))

        assert int(run.served.sum()) == int(wanted_in >= lead)


def test_stock_under_way_at_the_start_is_usable_in_the_periods_that_the_state_says() -> None:
    run = simulate(trial([[0] * 4], on_hand=2, arrivals=[[3, 0, 5]]), lambda _: Scripted([]))

    assert run.left[0].tolist() == [5, 5, 10, 10]


def test_costs_follow_the_order_of_events_within_a_period() -> None:
    case = trial([[3, 1, 9], [0, 0, 0]], on_hand=5, holding=0.5, shortage=2.0, order_cost=7.0)
    run = simulate(case, lambda _: Scripted([[0, 0], [4, 0], [0, 1]]))

    # Row 0: 5 -3 = 2; 2 +4 -1 = 5; 5 -9: 4 unserved.
    assert run.holding.tolist() == [[1.0, 2.5, 0.0], [2.5, 2.5, 3.0]]
    assert run.shortage.tolist() == [[0.0, 0.0, 8.0], [0.0, 0.0, 0.0]]
    assert run.ordering.tolist() == [[0.0, 7.0, 0.0], [0.0, 0.0, 7.0]]
    assert run.costs.dtype == np.float64


def test_backlog_waits_is_charged_each_period_and_is_served_first() -> None:
    case = trial([[4, 1, 1]], on_hand=1, unmet=Unmet.BACKLOG)
    run = simulate(case, lambda _: Scripted([[0], [2], [5]]))

    assert run.left[0].tolist() == [-3, -2, 2]
    assert run.shortage[0].tolist() == [3.0, 2.0, 0.0]
    assert run.unserved[0].tolist() == [3, 1, 0], "of the period's own demand"


def test_a_policy_sees_nothing_that_its_empty_shelf_hid() -> None:
    script = Scripted([])
    simulate(trial([[2, 3, 4, 1]], on_hand=5, past=[[7.0]]), lambda _: script)
    history = [view.history[0].tolist() for view in script.views]

    assert history[1] == [7.0, 2.0]
    assert history[3][:2] == [7.0, 2.0]
    assert np.isnan(history[3][2:]).all(), "the shelf was empty: that 3 was all that was wanted, nobody saw"
    assert script.views[3].sold[0].tolist() == [7.0, 2.0, 3.0, 0.0]


def test_backlog_hides_no_demand() -> None:
    script = Scripted([])
    simulate(trial([[2, 3, 4]], on_hand=1, unmet=Unmet.BACKLOG), lambda _: script)

    assert script.views[2].history[0].tolist() == [2.0, 3.0]


def test_a_policy_cannot_write_into_the_world() -> None:
    class Vandal(Scripted):
        def order(self, view: View) -> Ints:
            view.on_hand[:] = 99
            return super().order(view)

    with pytest.raises(ValueError, match="read-only"):
        simulate(trial([[1]]), lambda _: Vandal([]))


def test_nobody_pays_for_a_period_of_which_nothing_is_known() -> None:
    script = Scripted([])
    run = simulate(trial([[MISSING, 2, MISSING]], on_hand=5), lambda _: script)

    assert run.costs[0].tolist() == pytest.approx([0.0, 0.6, 0.0])
    assert np.isnan(script.views[1].history[0, 0])
    assert kpis(run)["fill_rate"] == 1.0
    assert kpis(run)["mean_stock"] == 3.0


@pytest.mark.parametrize("order", [-1, 3, 8, 14])
def test_an_order_that_may_not_be_placed_is_refused(order: int) -> None:
    with pytest.raises(ValueError, match="at least 10 in packs of 4"):
        simulate(trial([[1]], minimum=10, pack=4), lambda _: Scripted([[order]]))


def test_admissible_orders_are_whole_packs_and_at_least_the_minimum() -> None:
    economics = trial([[1]] * 5, minimum=10, pack=4).economics

    assert economics.admissible(np.array([-3, 0, 1, 12, 13])).tolist() == [0, 0, 12, 12, 16]


DEMANDS = st.lists(st.lists(st.integers(0, 12), min_size=6, max_size=6), min_size=1, max_size=4)


@st.composite
def trials(draw: st.DrawFn, unmet: Unmet | None = None) -> Trial:
    """Tiny trials of every kind."""
    demand = draw(DEMANDS)
    rows = len(demand)
    states = st.lists(st.integers(0, 9), min_size=rows, max_size=rows)
    pipelines = st.lists(st.lists(st.integers(0, 6), min_size=3, max_size=3), min_size=rows, max_size=rows)
    return trial(
        demand, on_hand=draw(states), arrivals=draw(pipelines), past=[[5.0, 3.0, 8.0]] * rows,
        lead=draw(st.lists(st.integers(0, 7), min_size=rows, max_size=rows)),
        holding=draw(st.sampled_from([0.2, 1.0])), shortage=draw(st.sampled_from([0.5, 1.0, 9.0])),
        order_cost=draw(st.sampled_from([0.0, 2.0, 6.0])), pack=draw(st.integers(1, 5)),
        minimum=draw(st.sampled_from([1, 7])), unmet=unmet or draw(st.sampled_from(Unmet)),
    )  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(case=trials(), seed=st.integers(0, 2**32 - 1))
def test_no_unit_appears_or_vanishes(case: Trial, seed: int) -> None:
    chance = np.random.default_rng(seed)
    wishes = case.economics.admissible(chance.integers(-5, 15, (case.rounds, len(case))))
    run = simulate(case, lambda _: Scripted(wishes.tolist()))

    assert (run.served + run.unserved == case.demand).all()
    under_way = case.arrivals.sum(axis=1) + run.ordered.sum(axis=1)
    assert (run.arrived.sum(axis=1) + run.in_transit == under_way).all()
    gone = case.demand if case.economics.unmet is Unmet.BACKLOG else run.served
    before = np.concatenate([case.on_hand[:, None], run.left[:, :-1]], axis=1)
    assert (run.left == before + run.arrived - gone).all()


@settings(max_examples=200, deadline=None)
@given(case=trials(), seed=st.integers(0, 2**32 - 1))
def test_nobody_is_cheaper_than_who_knows_the_future(case: Trial, seed: int) -> None:
    chance = np.random.default_rng(seed)
    wishes = case.economics.admissible(chance.integers(-5, 15, (case.rounds, len(case))))
    least = simulate(case, lambda _: Clairvoyant(case)).costs.sum(axis=1)

    for make in (lambda _: Scripted(wishes.tolist()), StaticReorderPoint, MovingAverage):
        assert (least <= simulate(case, make).costs.sum(axis=1) + 1e-9).all()


@settings(max_examples=30, deadline=None)
@given(
    demand=st.lists(st.integers(0, 4), min_size=3, max_size=3), stock=st.integers(0, 3), pack=st.integers(1, 3),
    order_cost=st.sampled_from([0.0, 0.7, 3.0]), minimum=st.sampled_from([1, 4]), unmet=st.sampled_from(Unmet),
    lead=st.integers(0, 1),
)  # fmt: skip
def test_the_clairvoyants_cost_is_that_of_trying_every_order(
    demand: list[int], stock: int, pack: int, order_cost: float, minimum: int, unmet: Unmet, lead: int
) -> None:
    terms = {"on_hand": stock, "pack": pack, "order_cost": order_cost, "minimum": minimum, "unmet": unmet, "lead": lead}
    one = trial([demand], **terms)  # type: ignore[arg-type]
    choices = [q for q in range(0, 16) if q == 0 or (q >= minimum and q % pack == 0)]
    scripts = np.array(list(product(choices, repeat=3)), dtype=np.int64)
    every = trial([demand] * len(scripts), **terms)  # type: ignore[arg-type]
    tried = simulate(every, lambda _: Scripted(scripts.T.tolist())).costs.sum(axis=1)

    assert simulate(one, lambda _: Clairvoyant(one)).costs.sum() == pytest.approx(tried.min(), abs=1e-9)


def test_a_clairvoyant_too_large_to_plan_by_the_unit_is_close_to_the_least() -> None:
    demand = np.random.default_rng(2).integers(50_000, 150_000, (1, 12))
    case = trial(demand, on_hand=17, order_cost=9_000.0, lead=1)
    found = simulate(case, lambda _: Clairvoyant(case)).costs.sum()
    hundredth = trial(demand // 100, on_hand=0, order_cost=90.0, lead=1)
    exact = simulate(hundredth, lambda _: Clairvoyant(hundredth)).costs.sum() * 100

    assert found == pytest.approx(exact, rel=0.002)


def test_with_a_target_the_clairvoyant_leaves_nothing_unserved_that_can_be_served() -> None:
    case = trial([[3, 4, 5, 6]], lead=1, shortage=0.0, order_cost=50.0, pack=5, target_fill_rate=0.9)

    assert simulate(case, lambda _: Clairvoyant(case)).unserved[0].tolist() == [3, 0, 0, 0]


def test_static_level_is_mean_and_sigmas_of_the_last_year_over_lead_time_plus_review() -> None:
    past = np.concatenate([np.full((1, 30), 1_000.0), np.tile([8.0, 12.0], 26)[None, :]], axis=1)
    deviation = np.std(past[0, -52:], ddof=1)

    assert static_level(past, np.array([3]), Period.WEEK).tolist() == [int(np.ceil(10 * 4 + 1.65 * deviation * 2))]
    assert static_level(np.full((1, 4), np.nan), np.array([3]), Period.WEEK).tolist() == [0]


def test_the_static_point_is_kept_while_the_moving_average_moves() -> None:
    # Stock enough that nothing is hidden, and a level that doubles after the start.
    case = trial([[20] * 20], on_hand=1_000, past=[[10.0] * 40], lead=1)
    static, moving = StaticReorderPoint(first_view(case)), MovingAverage(first_view(case))
    run = simulate(case, lambda _: Scripted([]))
    empty = trial([[20]], on_hand=0, past=np.concatenate([case.past, run.trial.demand], axis=1).tolist(), lead=1)
    later = first_view(empty)

    assert static.order(later).tolist() == [20]
    assert moving.order(later).tolist() == [60], "lead time + 2 periods of 20"


def test_the_moving_averages_season_needs_two_whole_ones() -> None:
    year = np.concatenate([np.full(26, 5.0), np.full(26, 15.0)])
    places = np.arange(104) % 52

    assert season_factors(np.tile(year, 2)[None, :], places, 52)[[0, 51]].tolist() == [0.5, 1.5]
    assert set(season_factors(np.tile(year, 2)[None, 1:], places[1:], 52)) == {1.0}


def test_a_rehearsal_is_the_last_known_stretch_as_a_trial() -> None:
    case = trial([[9]], past=[[1.0, 2.0, np.nan, 4.0]], lead=2)
    again = rehearsal(first_view(case), 2)

    assert again.demand.tolist() == [[MISSING, 4]]
    assert again.past.tolist() == [[1.0, 2.0]]
    assert again.on_hand.tolist() == static_level(np.array([[1.0, 2.0]]), np.array([2]), Period.WEEK).tolist()


def test_rows_taken_alone_do_what_they_do_in_company() -> None:
    chance = np.random.default_rng(3)
    case = trial(
        chance.poisson(4, (20, 8)), past=chance.poisson(4, (20, 60)).tolist(), on_hand=9, lead=[0, 1, 2, 3] * 5
    )
    whole = simulate(case, StaticReorderPoint)
    rows = np.array([3, 11, 17])

    assert (simulate(case.take(rows), StaticReorderPoint).costs == whole.costs[rows]).all()


def test_figures_by_hand_in_units_even_on_a_lattice_of_thousandths() -> None:
    case = trial([[500, 1_500], [0, 0]], on_hand=[1_000, 0], scale=1_000, holding=0.001, shortage=0.002)
    found = kpis(simulate(case, lambda _: Scripted([[0, 0], [500, 0]])))

    assert found["holding_cost"] == pytest.approx(0.5)
    assert found["shortage_cost"] == pytest.approx(1.0)
    assert found["total_cost"] == pytest.approx(1.5)
    assert found["costs_by_round"] == pytest.approx([0.5, 1.0])
    assert (found["fill_rate"], found["cycle_service"], found["mean_stock"]) == (0.75, 0.75, 0.125)
    assert found["order_variance_ratio"] == pytest.approx(0.25)
    assert (found["ordered_units"], found["order_lines"], found["in_transit_units"]) == (0.5, 1, 0.0)


def test_the_saving_is_paired_and_repeats_itself() -> None:
    baseline = np.random.default_rng(1).gamma(1.0, 100.0, 300)
    constant = saving(baseline * 0.9, baseline)

    assert (constant.share, constant.low, constant.high) == pytest.approx((0.1, 0.1, 0.1))
    noisy = baseline * np.random.default_rng(2).normal(0.9, 0.3, 300)
    found = saving(noisy, baseline)
    assert found == saving(noisy, baseline)
    assert found.low is not None
    assert found.share is not None
    assert found.high is not None
    assert found.low < found.share < found.high
    assert saving(baseline, np.zeros(300)).share is None


def test_the_interval_of_very_many_series_is_that_of_groups_of_them() -> None:
    chance = np.random.default_rng(1)
    baseline = chance.gamma(1.0, 100.0, 24_000)
    found = saving(baseline * chance.normal(0.9, 0.3, 24_000), baseline)
    half_width = 1.96 * 0.3 * np.sqrt((baseline**2).sum()) / baseline.sum()

    assert found.low is not None
    assert found.high is not None
    assert found.high - found.low == pytest.approx(2 * half_width, rel=0.1)


def test_the_gap_closed_is_a_share_of_what_could_be_avoided() -> None:
    assert gap_closed(70.0, 100.0, 40.0) == 0.5
    assert gap_closed(70.0, 100.0, 100.0) is None
