"""Batch = online: the simulator's engine policy orders what the live engine decides, to the unit, for the same inputs.

Both sides start from the same artefact and the same daily facts. Live: `XgboostScoring.score`, then `decide`.
Simulated: `EnginePolicy`. The test assumes nothing of what they share: it fails where either goes a way of its own.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from activities.learning.engine_policy import EnginePolicy, outlook, usual_parameters
from activities.learning.learner import XgboostLearner
from activities.learning.model_file import Model, unpack
from activities.learning.scoring import XgboostScoring
from activities.learning.simulation import View, first_view
from activities.learning.study_panel import panel_of
from activities.learning.trial import Economics, Facts, Trial
from activities.learning.windows import Ints
from tests.unit.learning_world import LAST_DAY, steady_world
from workflows.domain.catalog import Item, Sourcing, Supplier
from workflows.domain.deciding import decide
from workflows.domain.decisions import DecisionInputs, Proposal, SupplyOption
from workflows.domain.models import TrainingSeries
from workflows.domain.needs import Need, NeedCause
from workflows.domain.policies import Policy
from workflows.domain.positions import Position
from workflows.domain.scores import LeadTimes, OpenReceipt, Scores, ScoringRow
from workflows.domain.studies import Period

DAYS = 400
MORNING = datetime(LAST_DAY.year, LAST_DAY.month, LAST_DAY.day, 5, tzinfo=UTC) + timedelta(days=1)


class Situation(NamedTuple):
    """One item's stock and terms on the morning of a decision."""

    on_hand: int
    arriving: tuple[int, ...]
    """Units that become sellable on day 0, 1, ... of the projection."""
    lead: int
    shortage: Decimal
    holding: Decimal
    order_cost: Decimal
    pack: int
    minimum: int


def at_a_tie(futures: int) -> tuple[Decimal, Decimal]:
    """Costs whose 1 - tau is the rounded share of so many of the 128 futures: where comparisons go wrong first."""
    allowed = round(10_000 * futures / 128)
    return Decimal(13_500 - allowed) / 1_000, Decimal(allowed) / 1_000


COSTS = st.one_of(
    st.tuples(st.decimals("0.01", "60", places=2), st.decimals("0.01", "5", places=2)),
    st.integers(1, 50).map(at_a_tie),
)


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    lead = draw(st.integers(0, 9))
    shortage, holding = draw(COSTS)
    free = draw(st.booleans())
    return Situation(
        draw(st.integers(0, 90)), tuple(draw(st.lists(st.integers(0, 25), max_size=lead))), lead, shortage, holding,
        Decimal(0) if free else draw(st.decimals("0", "30", places=2)),
        1 if free else draw(st.integers(1, 24)), 0 if free else draw(st.integers(0, 40)),
    )  # fmt: skip


class World(NamedTuple):
    """A model, and series that it has not all met."""

    artefact: bytes
    model: Model
    series: list[TrainingSeries]


@pytest.fixture(scope="module")
def world() -> World:
    """Steady and lumpy items; the last ones are new to the model, or hardly ever sold."""
    series, _, _ = steady_world(40, DAYS)
    artefact = XgboostLearner(rows=8_000, rounds=30).train(
        series[:32], last_day=LAST_DAY, seed=7, progress=lambda *_: None
    )  # fmt: skip
    return World(artefact, unpack(artefact, nthread=1), series)


def simulated(world: World, situations: list[Situation]) -> tuple[Ints, Ints]:
    """What the simulator's policy orders, and the days that each order shall last."""
    rows = len(situations)
    series = world.series[:rows]
    history = np.array([one.history.daily_units for one in series], dtype=np.float64)
    arrivals = np.zeros((rows, 12), dtype=np.int64)
    for row, one in enumerate(situations):
        arrivals[row, : len(one.arriving)] = one.arriving
    trial = Trial(
        economics=Economics(
            holding=np.array([float(one.holding) for one in situations]),
            shortage=np.array([float(one.shortage) for one in situations]),
            order_cost=np.array([float(one.order_cost) for one in situations]),
            lead=np.array([one.lead for one in situations]),
            minimum=np.array([max(1, one.minimum) for one in situations]),
            pack=np.array([one.pack for one in situations]),
        ),
        past=history, demand=np.zeros((rows, 1), dtype=np.int64),
        on_hand=np.array([one.on_hand for one in situations]), arrivals=arrivals,
        facts=Facts(
            tuple(one.item for one in series), tuple(one.location for one in series),
            {"category": tuple(one.category for one in series)}, Period.DAY,
            LAST_DAY - timedelta(days=history.shape[1] - 1), 1,
        ),
    )  # fmt: skip
    view: View = first_view(trial)
    policy = EnginePolicy(world.model, usual_parameters(trial.economics), seed=1, nthread=1)
    return policy.order(view), outlook(world.model, panel_of(view.history, view.facts), view).cycle


def live_row(one: TrainingSeries, at: Situation, review_days: int) -> ScoringRow:
    """The same facts as the live engine would gather them."""
    lane = (at.lead,) * 60
    return ScoringRow(
        item=one.item, location=one.location, category=one.category, supplier="S1", last_day=LAST_DAY,
        history=one.history, on_hand_units=at.on_hand,
        open_receipts=tuple(
            OpenReceipt(units=units, ordered_days_ago=max(0, at.lead - day), expected_in_days=day)
            for day, units in enumerate(at.arriving)
        ),
        lead_times=LeadTimes(lane_days=lane, supplier_days=lane, promised_days=at.lead), review_days=review_days,
        shortage_per_unit=at.shortage, holding_per_unit_day=at.holding,
    )  # fmt: skip


def decided(one: TrainingSeries, at: Situation, review_days: int, scores: Scores) -> int:
    """What `decide` would order: 0 for a hold."""
    sourcing = Sourcing(
        item=one.item, location=one.location, supplier="S1", unit_cost=Decimal(1), pack_units=at.pack,
        minimum_order_units=at.minimum, lead_time_days=at.lead, review_days=review_days,
    )  # fmt: skip
    need_id = f"{one.location}:{one.item}:1"
    result = decide(
        DecisionInputs(
            need=Need(
                need_id=need_id, item=one.item, location=one.location, cause=NeedCause.SWEEP, opened_at=MORNING
            ),
            item=Item(item=one.item, name=one.item, price=Decimal(9)),
            position=Position(item=one.item, location=one.location, on_hand_units=at.on_hand),
            options=(
                SupplyOption(
                    sourcing=sourcing, supplier=Supplier(supplier="S1", name="S1", cost_per_order=at.order_cost)
                ),
            ),
            scores=scores, shortage_per_unit=at.shortage, holding_per_unit_day=at.holding, data_through=MORNING,
            clock=MORNING,
        ),
        Policy(),
    )  # fmt: skip
    return result.units if isinstance(result, Proposal) else 0


@settings(
    max_examples=60, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
@given(given_situations=st.lists(situations(), min_size=12, max_size=40))
def test_the_simulators_engine_orders_what_the_live_engine_decides(
    world: World, given_situations: list[Situation]
) -> None:
    live, ordered, _ = both(world, given_situations)
    assert live == ordered


def test_they_agree_where_the_risk_is_just_what_is_accepted(world: World) -> None:
    """The risk of waiting is a share of 128 futures, and tau has four decimals: either side could round it its way."""
    chance = np.random.default_rng(6)
    tried = [
        Situation(int(stock), (), int(lead), Decimal(4), Decimal(1), Decimal(0), 1, 0)
        for stock, lead in zip(chance.integers(0, 60, 40), chance.integers(0, 8, 40), strict=True)
    ]
    _, _, risks = both(world, tried)
    counts = [round(float(risk) * 128) for risk in risks]
    ties = [
        one._replace(shortage=at_a_tie(count)[0], holding=at_a_tie(count)[1]) if 1 <= count <= 50 else one
        for one, count in zip(tried, counts, strict=True)
    ]
    assert sum(one != other for one, other in zip(tried, ties, strict=True)) > 5
    live, ordered, found = both(world, ties)
    assert found == risks
    assert any(Decimal(count) / 128 > risk for count, risk in zip(counts, risks, strict=True)), "one was rounded down"
    assert live == ordered


def test_a_fair_share_of_what_is_compared_is_ordered(world: World) -> None:
    plain = Situation(12, (3,), 3, Decimal(4), Decimal("0.2"), Decimal(0), 1, 0)
    live, ordered, _ = both(world, [plain] * 40)
    assert live == ordered
    assert 10 < sum(units > 0 for units in live) < 40
    assert len(set(live)) > 5


def both(world: World, situations: list[Situation]) -> tuple[list[int], list[int], list[Decimal]]:
    """What the live engine decides, what the simulator's orders, and the risks of waiting, row by row.

    A cycle beyond what the live engine projects (40 days) is left out: such a trial is not of the same inputs.
    """
    ordered, cycle = simulated(world, situations)
    chosen = [index for index in range(len(situations)) if cycle[index] <= 40]
    rows = [live_row(world.series[i], situations[i], int(cycle[i])) for i in chosen]
    scores = XgboostScoring().score(rows, world.artefact)
    live = [
        decided(world.series[i], situations[i], int(cycle[i]), found) for i, found in zip(chosen, scores, strict=True)
    ]
    return live, ordered[chosen].tolist(), [found.stockout_risk for found in scores]
