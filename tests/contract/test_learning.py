"""What the ports `Learner` and `Scoring` promise, kept by the real learning code."""

import csv
import gzip
from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from activities.learning.demand import QUANTILES
from activities.learning.evaluation import pinball
from activities.learning.forecasting import forecast
from activities.learning.lead_time import lead_time_law
from activities.learning.learner import XgboostLearner
from activities.learning.model_file import unpack
from activities.learning.scoring import XgboostScoring
from activities.learning.windows import Panel, windows_of
from tests.unit.learning_world import LAST_DAY, almanac_world, draw, row, seasonal_world, series, steady_world
from workflows.domain.errors import InvalidInput, ModelUnusable
from workflows.domain.identity import canonical
from workflows.domain.models import Learner, TrainingSeries
from workflows.domain.scores import LeadTimes, OpenReceipt, Promotion, Scores, Scoring, ScoringRow

STEADY, MEANS, DISPERSIONS = steady_world()
RETAIL = Path(__file__).parents[3] / "shared" / "data" / "online_retail.csv.gz"
ODD: dict[str, Sequence[int | None]] = {
    "all-zero": [0] * 300, "new": [1], "unseen": [None], "negative": [-4, -2, 3, -9] * 30, "censored": [None] * 300,
    "exploding": [1, 2, 3, 5, 8, 13] * 10 + [10**9, 10**10, 10**12], "huge": [10**11] * 300, "long": [3] * 3_000,
    "died": [9] * 200 + [0] * 200,
}  # fmt: skip


def train(world: list[TrainingSeries], *, last_day: date = LAST_DAY, rows: int = 16_000, seed: int = 7) -> bytes:
    learner: Learner = XgboostLearner(rows=rows, rounds=60)
    return learner.train(world, last_day=last_day, seed=seed, progress=lambda what, done, of: None)


@pytest.fixture(scope="module")
def model() -> bytes:
    """Trained on steady demand whose law is known."""
    return train(STEADY)


@pytest.fixture
def scoring() -> Scoring:
    """Knows nothing yet."""
    return XgboostScoring()


def rows_of(world: list[TrainingSeries]) -> list[ScoringRow]:
    """Rows of every kind: lead times, receipts, promotions, reviews differ."""
    receipts = (OpenReceipt(units=9, ordered_days_ago=1), OpenReceipt(units=4, ordered_days_ago=9, expected_in_days=3))
    promotion = Promotion(first_day=LAST_DAY + timedelta(days=2), last_day=LAST_DAY + timedelta(days=4))
    made = []
    for number, one in enumerate(world):
        lane = tuple(range(1, 2 + number % 9))
        changes: dict[str, Any] = {
            "lead_times": LeadTimes(lane_days=lane, supplier_days=(4,) * 6, promised_days=number % 36),
            "review_days": 1 + number % 7, "open_receipts": receipts[: number % 3], "reserved_units": number % 4,
            "promotions": (promotion,) * (number % 2),
        }  # fmt: skip
        made.append(row(one, on_hand=number % 30, **changes))
    return made


def sane(scores: Scores) -> None:
    """What holds for every row, whatever its history."""
    assert list(scores.requirement_units) == sorted(scores.requirement_units)
    assert len(scores.requirement_units) == 128
    assert 0 <= scores.stockout_risk <= 1
    assert 0 <= scores.stockout_risk_soon <= 1
    assert scores.expected_lost_units >= 0
    assert scores.watch_level_units >= 1
    assert 0 <= scores.demand_p10 <= scores.demand_p50 <= scores.demand_p90
    assert len(scores.days) == min(scores.protection_days + 7, 35)
    assert all(0 <= day.p10 <= day.p50 <= day.p90 for day in scores.days)
    assert scores.lead_time_p50_days <= scores.lead_time_p95_days
    assert len(scores.stock_p10) == len(scores.stock_p50) == len(scores.stock_p90) == len(scores.days)
    for low, middle, high in zip(scores.stock_p10, scores.stock_p50, scores.stock_p90, strict=True):
        assert low <= middle <= high
    for day in scores.days:
        assert day.wider is not None
        assert list(day.wider) == sorted(day.wider)
        assert day.wider.p025 <= 100 * day.p10 + 1
        assert day.wider.p975 >= 100 * day.p90 - 1


def test_the_same_rows_and_model_give_the_same_scores(model: bytes, scoring: Scoring) -> None:
    rows = rows_of(STEADY)
    first = scoring.score(rows, model, explain=True)
    assert XgboostScoring(cached_models=1).score(rows, model, explain=True) == first
    assert [(one.item, one.location) for one in first] == [(one.item, one.location) for one in rows]
    for scores in first:
        sane(scores)
    assert {scores.forecaster for scores in first} <= {"xgboost", "prophet", "empirical", "recent", "blend"}


def test_scores_are_written_as_they_are_hashed(model: bytes) -> None:
    thin = [series(f"odd-{name}", units) for name, units in ODD.items()]
    rows = rows_of(STEADY + thin)
    rows.append(rows[0].model_copy(update={"category": 'caf\u00e9 "crème"', "on_hand_units": -(2**54)}))
    for explain in (False, True):
        for one in XgboostScoring().score_written(rows, model, explain=explain):
            assert one.text.encode() == canonical(one.scores)
            assert Scores.model_validate(one.scores.model_dump()) == one.scores, "made without being checked, yet valid"


def test_a_row_scored_alone_is_the_row_scored_in_a_batch(model: bytes, scoring: Scoring) -> None:
    thin = [series(f"odd-{name}", units) for name, units in ODD.items()]
    rows = rows_of(STEADY + thin)
    together = scoring.score(rows, model, explain=True)
    assert [scoring.score([one], model, explain=True)[0] for one in rows] == together
    assert scoring.score(rows[::-1], model, explain=True) == together[::-1]


def test_rows_of_one_need_are_forecast_once_and_scored_as_alone(model: bytes, scoring: Scoring) -> None:
    """What another supplier would do differs in lead time and review: neighbours neither lengthen nor shorten it."""
    terms = [(4, 1), (30, 2), (1, 40), (75, 7)]
    several = [
        one.model_copy(update={"lead_times": LeadTimes(promised_days=lead), "review_days": review})
        for one in rows_of(STEADY + [series(name, units) for name, units in ODD.items()])[::3]
        for lead, review in terms
    ]  # fmt: skip
    told = scoring.score(several, model)
    assert len({one.protection_days for one in told}) > 3
    assert told == [scoring.score([one], model)[0] for one in several]


@pytest.mark.parametrize("name", sorted(ODD))
def test_odd_histories_get_sane_answers(name: str, model: bytes, scoring: Scoring) -> None:
    one = series(name, ODD[name], category="never seen")
    for changes in ({}, {"on_hand": -20, "reserved_units": 5}, {"on_hand": 10**9, "review_days": 90}):
        found = scoring.score([row(one, **changes)], model, explain=True)[0]  # type: ignore[arg-type]
        sane(found)
        assert found.novelty == (found.forecaster == "cold_start")
    assert scoring.score([row(one, on_hand=10**9)], model)[0].stockout_risk in (0, 1)


def test_thin_items_are_novel_and_others_are_not(model: bytes, scoring: Scoring) -> None:
    thin, thick = series("x", [0, 1, 0, 2, 0, 0, 1] + [0] * 60), series("y", [0, 1] * 40)
    found = scoring.score([row(thin), row(thick)], model)
    assert [one.novelty for one in found] == [True, False]
    assert found[0].forecaster == "cold_start" != found[1].forecaster


def test_no_rows_give_no_scores(model: bytes, scoring: Scoring) -> None:
    assert scoring.score([], model) == []


def test_long_lead_times_are_projected_to_their_end(model: bytes, scoring: Scoring) -> None:
    far = LeadTimes(lane_days=(100,) * 40, promised_days=100)
    found = scoring.score([row(STEADY[0], on_hand=0, lead_times=far, review_days=7)], model)[0]
    assert (found.lead_time_p50_days, found.protection_days) == (100, 107)
    assert float(found.demand_p50) == pytest.approx(107 * MEANS[0], rel=0.3)


def test_stockout_risk_comes_true_as_often_as_it_says(model: bytes, scoring: Scoring) -> None:
    """On Poisson and negative-binomial demand with a random lead time and a receipt on its way."""
    chance = np.random.default_rng(21)
    seen = LeadTimes(lane_days=(2, 3, 3, 4, 7) * 200, supplier_days=(), promised_days=3)
    law = lead_time_law(seen)
    rows, happened = [], []
    for one, mean, dispersion in zip(STEADY, MEANS, DISPERSIONS, strict=True):
        for cover in (0.7, 1.0, 1.4, 2.0):
            stock = round(mean * 4.6 * cover)
            rows.append(row(one, on_hand=stock, lead_times=seen))
            demand = draw(chance, mean, dispersion, (400, 9))
            lead = chance.choice(len(law.weights), 400, p=law.weights / law.weights.sum())
            inventory = np.full(400, stock)
            for day in range(9):
                short = (day == lead) & (demand[:, day] > inventory)
                happened.append((len(rows) - 1, int(short.sum())))
                inventory = np.maximum(inventory - demand[:, day], 0)
    said = np.array([float(scores.stockout_risk) for scores in scoring.score(rows, model)])
    true = np.bincount([place for place, _ in happened], weights=[count for _, count in happened]) / 400
    assert float(said.mean()) == pytest.approx(float(true.mean()), abs=0.025)
    assert float(np.abs(said - true).mean()) < 0.07
    for low in (0.0, 0.2, 0.4, 0.6, 0.8):
        band = (said >= low) & (said < low + 0.2 + (low == 0.8))
        assert float(true[band].mean()) == pytest.approx(float(said[band].mean()), abs=0.07)


def test_more_stock_never_means_more_risk_or_more_to_order(model: bytes, scoring: Scoring) -> None:
    found = scoring.score([row(STEADY[5], on_hand=stock) for stock in range(0, 40, 4)], model)
    assert [one.stockout_risk for one in found] == sorted((one.stockout_risk for one in found), reverse=True)
    assert [one.requirement_units[96] for one in found] == sorted(
        (one.requirement_units[96] for one in found), reverse=True
    )  # fmt: skip


def test_what_today_sold_already_is_not_expected_a_second_time(model: bytes, scoring: Scoring) -> None:
    morning = row(STEADY[5], on_hand=40)
    evening = row(STEADY[5], on_hand=38, sold_today_units=2)
    counted_twice = row(STEADY[5], on_hand=38)
    before, after, twice = (
        sum(one.requirement_units) for one in scoring.score([morning, evening, counted_twice], model)
    )
    assert before <= after < twice, "two units sold are two units less to come; a slow day may still catch up"


def test_the_watch_level_is_where_need_begins(model: bytes, scoring: Scoring) -> None:
    probe = scoring.score([row(STEADY[5])], model)[0]
    at, below = scoring.score(
        [row(STEADY[5], on_hand=probe.watch_level_units + units) for units in (0, -3)], model
    )  # fmt: skip
    place = int((probe.target * 128).to_integral_value(rounding="ROUND_CEILING")) - 1
    assert at.requirement_units[place] <= 0 < below.requirement_units[place]


def test_explaining_names_drivers_in_a_planners_words(model: bytes, scoring: Scoring) -> None:
    rows = [row(STEADY[0]), row(series("new", [None]))]
    plain, told = scoring.score(rows, model), scoring.score(rows, model, explain=True)
    assert [one.drivers for one in plain] == [(), ()]
    assert [one.model_copy(update={"drivers": ()}) for one in told] == plain
    for scores in told:
        assert 1 <= len(scores.drivers) <= 6
        assert all("_" not in driver.feature and driver.value for driver in scores.drivers)
        effects = [abs(driver.effect_units) for driver in scores.drivers]
        assert effects == sorted(effects, reverse=True)


def test_unusable_bytes_are_refused(scoring: Scoring) -> None:
    with pytest.raises(ModelUnusable):
        scoring.score([row(STEADY[0])], b"damaged")
    with pytest.raises(ModelUnusable):
        XgboostLearner().describe(b"damaged")


def test_training_reports_progress_and_describes_itself() -> None:
    told: list[tuple[str, int, int]] = []
    learner: Learner = XgboostLearner(rows=4_000, rounds=10)
    artefact = learner.train(STEADY, last_day=LAST_DAY, seed=1, progress=lambda *step: told.append(step))
    facts = learner.describe(artefact)
    assert {what for what, _, _ in told} == {"history", "backtest", "segments", "rounds"}
    assert all(0 <= done <= of for _, done, of in told)
    assert (facts.trained_through, facts.rounds) == (LAST_DAY, 10)
    assert facts.rows > 1_000
    assert facts.seconds > 0
    assert "xgboost" in facts.library
    assert XgboostLearner().describe(artefact) == facts.model_copy(update={"seconds": Decimal(0)})


@pytest.mark.parametrize("world", [[], [series("x", [None] * 300)], [series("x", [1, 2] * 10)]])
def test_too_little_history_is_said_so(world: list[TrainingSeries]) -> None:
    with pytest.raises(InvalidInput, match="too little history"):
        train(world)


def test_the_global_model_beats_last_weeks_sales_on_a_seasonal_world() -> None:
    world, cut = seasonal_world(), LAST_DAY - timedelta(days=28)
    loaded = unpack(train(world, last_day=cut), nthread=1)
    panel = Panel.of(world, LAST_DAY)
    windows = panel.windows(cut.toordinal())
    said = forecast(loaded, windows, np.full(len(world), 28, dtype=np.int64)).knots / 1000
    rows, ahead = np.repeat(np.arange(len(world)), 28), np.tile(np.arange(1, 29), len(world))
    actual = panel.targets(rows, cut.toordinal() + ahead)
    ours = float(pinball(actual, said[rows, ahead - 1]).sum())
    # Seasonal naive with its own empirical spread: last week's same day times the ratios it had a week before.
    weekly = windows.units[rows, -7 + (ahead - 1) % 7]
    past, before = windows.units[:, -91:], windows.units[:, -98:-7]
    ratios = np.quantile((past - before).ravel() / np.maximum(before.mean(axis=1), 1).repeat(91), QUANTILES)
    level = np.maximum(before.mean(axis=1), 1)[rows]
    naive = np.maximum(weekly[:, None] + level[:, None] * ratios[None, :], 0)
    assert ours < 0.8 * float(pinball(actual, naive).sum())


def test_prophet_speaks_where_a_calendar_rules_and_nowhere_else(scoring: Scoring) -> None:
    world = almanac_world()
    artefact = train(world)
    segments = XgboostLearner().describe(artefact).segments
    chosen = {score.segment.split("/")[-1]: score for score in segments if "/" in score.segment}
    assert chosen["calendar"].chosen == "prophet"
    losses = chosen["calendar"].loss_by_forecaster
    assert losses["prophet"] < losses["xgboost"]
    assert chosen["restless"].chosen != "prophet"
    assert all(score.chosen != "prophet" for score in segments if "calendar" not in score.segment)
    found = scoring.score([row(one) for one in world], artefact, explain=True)
    for one, scores in zip(world, found, strict=True):
        sane(scores)
        assert (scores.forecaster == "prophet") == (one.category == "calendar" and scores.segment.endswith("/calendar"))
    assert any(driver.feature == "season of similar items" for driver in found[0].drivers)
    # A decision far beyond the stored table is made by the global model rather than by a season it does not know.
    later = LAST_DAY + timedelta(days=300)
    moved = world[0].model_copy(update={"history": world[0].history.model_copy(update={"first_day": date(2024, 1, 1)})})
    assert scoring.score([row(moved, last_day=later)], artefact)[0].forecaster != "prophet"


def test_comparing_says_which_is_better_on_unseen_days() -> None:
    world, cut = seasonal_world(), LAST_DAY - timedelta(days=28)
    first = cut + timedelta(days=1)
    learner: Learner = XgboostLearner(rows=16_000, rounds=60)
    good = train(world, last_day=cut)
    ignorant = XgboostLearner(rows=16_000, rounds=2).train(world, last_day=cut, seed=7, progress=lambda *_: None)
    found = learner.compare(world, good, ignorant, first_day=first, last_day=LAST_DAY)
    assert found.loss_ratio < found.loss_ratio_upper < 1
    assert found.series == len(world)
    assert abs(found.candidate_coverage_90 - Decimal("0.9")) < Decimal("0.06")
    same = learner.compare(world, good, good, first_day=first, last_day=LAST_DAY)
    assert (same.loss_ratio, same.loss_ratio_upper) == (Decimal(1), Decimal(1))
    assert same == learner.compare(world[::-1], good, good, first_day=first, last_day=LAST_DAY)
    with pytest.raises(InvalidInput, match="not unseen"):
        learner.compare(world, good, good, first_day=cut, last_day=LAST_DAY)


@pytest.mark.skipif(not RETAIL.exists(), reason="the public Online Retail file is not in ../shared/data")
def test_training_on_real_sales(scoring: Scoring) -> None:
    sums: dict[str, dict[date, int]] = defaultdict(lambda: defaultdict(int))
    with gzip.open(RETAIL, "rt", encoding="utf-8", errors="replace") as lines:
        for line in csv.DictReader(lines):
            sold, code = int(line["Quantity"]), line["StockCode"]
            if sold > 0 and code[:5].isdigit() and not line["InvoiceNo"].startswith("C"):
                sums[code][datetime.fromisoformat(line["InvoiceDate"]).date()] += sold
    codes = sorted(sums)[::8]
    last = max(max(sums[code]) for code in codes)
    world = []
    for code in codes:
        first = min(sums[code])
        units = [sums[code].get(first + timedelta(days=day), 0) for day in range((last - first).days + 1)]
        world.append(series(code, units, category="gifts", last_day=last))
    cut = last - timedelta(days=28)
    artefact = train(world, last_day=cut)
    found = XgboostLearner().compare(world, artefact, artefact, first_day=cut + timedelta(days=1), last_day=last)
    assert Decimal("0.85") < found.candidate_coverage_90 < Decimal("0.97")
    for scores in scoring.score([row(one, last_day=last) for one in world[:300]], artefact):
        sane(scores)
    assert len(windows_of([row(world[0], last_day=last)])) == 1


def test_the_second_opinion_is_a_mean_that_comes_near_what_is_sold(scoring: Scoring, model: bytes) -> None:
    found = scoring.score(rows_of(STEADY), model)
    again = scoring.score(rows_of(STEADY)[:1], model)[0]
    assert again.second_opinion_units == found[0].second_opinion_units
    said = sum(float(one.second_opinion_units or 0) for one in found)
    usual = sum(
        one.protection_days * float(np.mean([units or 0 for units in row.history.daily_units[-90:]]))
        for one, row in zip(found, rows_of(STEADY), strict=True)
    )
    assert said == pytest.approx(usual, rel=0.1)
