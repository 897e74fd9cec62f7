"""What-ifs: questions that make sense, answers that repeat, changes that show where they should and nowhere else."""

from array import array
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from activities.learning.simulation import first_view
from activities.learning.what_if import FEW_SERIES, _Worlds, play, scaled
from tests.unit.study_world import trial
from workflows.domain.errors import InvalidInput
from workflows.domain.studies import MISSING, Period, Study, StudyRules, StudySeries, Terms
from workflows.domain.what_if import Answer, Bought, Change, Lane, Question, Stretch, after

DAYS, WEEKS = 150, 2
ROUNDS = 7 * WEEKS


def terms(**more: Any) -> Terms:
    """Ten to buy, fifteen to sell, three days."""
    told = {
        "unit_cost": "10", "price": "15", "shortage_per_unit": "5", "holding_per_unit_period": "0.05",
        "order_cost": "1", "lead_time_periods": 3, "pack": 1, "minimum_order": 0, **more,
    }  # fmt: skip
    return Terms.model_validate(told)


def stretch(items: int = 6, *, second: bool = True, aim: str | None = None, on_hand: int = 40) -> Stretch:
    """Poisson demand of eight a day; from acme, and from a slower second supplier."""
    chance = np.random.default_rng(3)
    own = terms()
    series = tuple(
        StudySeries(
            item=f"item-{number:02}", location="L1", first=0, terms=own, categories=("things",), on_hand=on_hand,
            quantities=array("q", [int(units) for units in chance.poisson(8, DAYS)]), censored=frozenset(),
            arrivals=(20,),
        )
        for number in range(items)
    )  # fmt: skip
    first = date(2025, 1, 1)
    study = Study(
        period=Period.DAY, first_day=first, periods=DAYS, scale=1, series=series, category_names=("category",),
        rules=StudyRules(period=Period.DAY, start=Period.DAY.after(first, DAYS - ROUNDS - 1), rounds=ROUNDS),
    )  # fmt: skip
    lanes = (Lane("acme", own, 4), *((Lane("slow", terms(lead_time_periods=6), 4),) if second else ()))
    return Stretch(study, (Bought(lanes, aim=None if aim is None else Decimal(aim)),) * items)


def ask(asked: Stretch, **fields: object) -> Answer:
    """The answer to these changes."""
    return play(asked, Question.of({**fields, "weeks": WEEKS}))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "nothing is changed"),
        ({"service": "1.2"}, "service: Input should be less than or equal to 0.999"),
        ({"slip_days": "soon"}, "slip days"),
        ({"demand": "0"}, "demand"),
        ({"weeks": "99", "demand": "2"}, "weeks"),
        ({"item": "a/b", "demand": "2"}, "item"),
        ({"colour": "red"}, "colour is not something"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused_in_words(fields: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        Question.of(fields)


def test_a_question_is_told_in_words() -> None:
    question = Question.of({"service": "0.98", "slip_days": 1, "category": "tea", "price": "", "weeks": None})
    assert question.change.words == "a service target of 98 %, deliveries 1 day later"
    assert (question.scope.words, question.weeks) == ("category tea", 8)


def test_scaled_demand_keeps_its_total_and_what_is_unknown() -> None:
    ones = np.array([[1, 0, 1, 1, MISSING, 1, 1]])
    assert scaled(ones, 1.2).tolist() == [[1, 0, 1, 2, MISSING, 1, 1]]
    assert scaled(ones, 1.0).tolist() == ones.tolist()
    assert scaled(np.array([[3, 3, 3, 3]]), 0.5).tolist() == [[2, 1, 2, 1]]


def test_terms_after_a_change() -> None:
    bought = Bought((Lane("acme", terms(), 4), Lane("slow", terms(lead_time_periods=6), 7)), goodwill=Decimal(2))
    blocked = after(bought, Change(block="acme"))
    assert blocked is not None
    assert (blocked.supplier, blocked.cover_days) == ("slow", 7)
    priced = after(bought, Change(price=Decimal(9), slip_days=2, review_days=9))
    assert priced is not None
    assert priced.terms.shortage_per_unit == Decimal("2.01"), "below cost, a lost sale still costs a cent and goodwill"
    assert (priced.terms.lead_time_periods, priced.cover_days) == (5, 9)
    assert after(Bought((Lane("acme", terms(), 4),)), Change(block="acme")) is None


@pytest.fixture(scope="module")
def usual() -> Stretch:
    """The stretch that most questions are about."""
    return stretch()


def test_what_changes_nothing_costs_nothing_and_the_answer_repeats(usual: Stretch) -> None:
    same = ask(usual, order_cost="1")
    assert same.now == same.changed
    assert {same.difference, same.low, same.high} == {Decimal(0)}
    assert same == ask(usual, order_cost="1")
    assert (same.series, same.first_day, same.last_day) == (6, "2025-05-17", "2025-05-30")
    assert same.now.total_cost == same.now.holding_cost + same.now.shortage_cost + same.now.order_cost


def test_a_higher_service_target_holds_more_and_serves_more(usual: Stretch) -> None:
    answer = ask(replace(usual, bought=stretch(aim="0.6").bought), service="0.98")
    assert answer.changed.mean_stock_units > answer.now.mean_stock_units
    assert answer.changed.fill_rate > answer.now.fill_rate
    assert answer.low is not None
    assert answer.high is not None
    assert answer.low <= answer.difference <= answer.high
    assert "a service target of 98 % for everything, 6 items at locations would have cost" in answer.sentence


def test_the_policys_own_target_changes_nothing() -> None:
    answer = ask(stretch(aim="0.9"), service="0.9")
    assert answer.now == answer.changed


def test_a_slip_hurts_and_more_than_one_that_is_known_from_the_start(usual: Stretch) -> None:
    slipped = ask(usual, slip_days=4)
    assert slipped.changed.fill_rate < slipped.now.fill_rate
    slow = replace(usual, bought=tuple(Bought((Lane("acme", terms(lead_time_periods=7), 4),)) for _ in usual.bought))
    series = tuple(replace(one, terms=terms(lead_time_periods=7)) for one in usual.study.series)
    known = ask(replace(slow, study=replace(usual.study, series=series)), order_cost="1")
    assert slipped.changed.shortage_cost > known.now.shortage_cost


def test_a_blocked_supplier_is_replaced_by_the_next_or_by_nobody(usual: Stretch) -> None:
    replaced = ask(usual, block="acme")
    assert replaced.changed.orders > 0
    assert replaced.changed.total_cost > replaced.now.total_cost, "the second one is slower"
    nobody = ask(stretch(second=False), block="acme")
    assert nobody.changed.orders == 0
    assert nobody.now == replaced.now
    assert "6 of 6 have no other supplier and are not ordered at all" in nobody.notes
    assert ask(usual, block="another").difference == 0


def test_more_demand_is_met_as_it_comes(usual: Stretch) -> None:
    answer = ask(usual, demand="1.5")
    assert answer.changed.orders >= answer.now.orders
    assert answer.changed.total_cost > answer.now.total_cost


def test_longer_lasting_orders_are_fewer(usual: Stretch) -> None:
    answer = ask(usual, review_days=10)
    assert answer.changed.orders < answer.now.orders
    assert answer.changed.mean_stock_units > answer.now.mean_stock_units


def test_over_many_items_the_interval_is_drawn_over_items() -> None:
    few, many = ask(stretch(2), slip_days=4), ask(stretch(FEW_SERIES), slip_days=4)
    for answer in (few, many):
        assert answer.low is not None
        assert answer.high is not None
        assert answer.low < answer.difference < answer.high


def test_nothing_is_no_question() -> None:
    empty = stretch(1)
    with pytest.raises(InvalidInput, match="nothing matches"):
        play(Stretch(replace(empty.study, series=()), ()), Question.of({"demand": 2}))


def test_until_the_first_delivery_is_overdue_nobody_sees_the_slip() -> None:
    """Two days of lead time slip to five: what was due tomorrow is still believed to be, and so is the lead time."""
    view = first_view(trial([[1] * 9], lead=5, arrivals=[[0, 0, 0, 7, 0, 3]]))
    engine = _Worlds(
        Any, aims=None, believed=np.array([2]), surprise=3, stopped=np.array([False]), shared=None  # type: ignore[arg-type]
    )  # fmt: skip
    for round_, lead, pipeline in ((0, 2, [7, 0, 3, 0, 0, 0]), (2, 2, [7, 0, 3, 0, 0, 0]), (3, 5, [0, 0, 0, 7, 0, 3])):
        seen = engine._as_believed(replace(view, round=round_))
        assert seen.economics.lead.tolist() == [lead]
        assert seen.pipeline.tolist() == [pipeline]
