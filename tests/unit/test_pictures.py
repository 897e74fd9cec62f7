"""Pictures are drawn from the evidence alone; decisions that are made again come out to the same figure."""

import json
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from activities.learning.pictures import RECENT_DAYS, recent_units, stock_courses
from tests.fakes.shop import POLICY, decided
from workflows.domain.decisions import Decision, DecisionInputs, Proposal
from workflows.domain.identity import canonical
from workflows.domain.pictures import on_shelf, picture_of
from workflows.domain.policies import Policy
from workflows.domain.rerun import rerun
from workflows.domain.scores import DemandHistory, Scores

RECORDED: list[dict[str, Any]] = json.loads(Path(__file__).with_name("first_decisions.json").read_bytes())


@pytest.mark.parametrize("record", RECORDED, ids=[record["name"] for record in RECORDED])
def test_a_decision_of_the_first_release_comes_out_again(record: dict[str, Any]) -> None:
    decision, inputs = (
        Decision.model_validate(record["decision"]),
        DecisionInputs.model_validate(record["inputs"]),
    )

    found = rerun(decision, inputs, Policy.model_validate(record["policy"]))

    assert found.equal, found.deviations
    assert found.rule == 1


def test_what_was_altered_is_named() -> None:
    case = decided(daily=38, on_hand=96)
    assert isinstance(case.decision.result, Proposal)
    assert rerun(case.decision, case.inputs, POLICY).equal

    more = case.decision.result.model_copy(update={"units": case.decision.result.units + 12})
    forged = rerun(case.decision.model_copy(update={"result": more}), case.inputs, POLICY)
    assert [(one.what, one.recorded, one.now) for one in forged.deviations] == [
        ("units", str(more.units), str(case.decision.result.units))
    ]

    position = case.inputs.position.model_copy(update={"on_hand_units": 95})
    moved = rerun(case.decision, case.inputs.model_copy(update={"position": position}), POLICY)
    assert "inputs digest" in {one.what for one in moved.deviations}
    assert "policy digest" in {
        one.what for one in rerun(case.decision, case.inputs, Policy(auto_value_limit=Decimal(1))).deviations
    }


def test_evidence_of_before_keeps_its_bytes() -> None:
    for record in RECORDED:
        stored = canonical(record["inputs"])
        assert canonical(DecisionInputs.model_validate_json(stored)) == stored


def test_the_picture_is_the_evidence_and_nothing_else() -> None:
    case = decided(daily=38, on_hand=96)
    picture = picture_of(case.inputs, case.decision.result)
    again = picture_of(DecisionInputs.model_validate_json(canonical(case.inputs)), case.decision.result)

    assert picture.digest == again.digest
    fuller = case.inputs.scores.model_copy(update={"watch_level_units": 1})
    changed = picture_of(case.inputs.model_copy(update={"scores": fuller}), case.decision.result)
    assert changed.digest != picture.digest
    assert picture.runs_out is not None
    assert picture.may_run_out is not None
    assert picture.may_run_out <= picture.runs_out
    assert picture.stock[0].p50 == picture.stock[0].with_p50, "an order has to arrive first"
    assert picture.stock[picture.arrives_after_days].with_p50 > picture.stock[picture.arrives_after_days].p50


def test_a_picture_of_evidence_without_the_stocks_course_is_drawn_without_it() -> None:
    case = decided()
    bare: Scores = case.inputs.scores.model_copy(
        update={"stock_p10": (), "stock_p50": (), "stock_p90": (), "recent_units": ()}
    )
    picture = picture_of(case.inputs.model_copy(update={"scores": bare}), case.decision.result)

    assert (picture.stock, picture.recent, picture.runs_out) == ((), (), None)
    assert picture.first_recent is None


def test_what_is_asked_for_in_vain_does_not_come_back() -> None:
    assert on_shelf([4, 1, -2, -5, -6]) == [4, 1, 0, 0, 0]
    assert on_shelf([4, 1, -2, -5, -6], units=10, arrives_after_days=3) == [4, 1, 0, 7, 6]


def test_the_stocks_course_counts_what_comes_and_goes() -> None:
    demand = np.tile(np.arange(128, dtype=np.int64), (1, 3, 1))
    arrivals = np.zeros((1, 3, 128), dtype=np.int64)
    arrivals[0, 1] = 100

    low, middle, high = stock_courses(demand, arrivals, np.array([50]))

    # 50 - k a day, with 100 on day 1: the 13th, 64th and 116th smallest of 128.
    assert low.tolist() == [[50 - 115, 150 - 230, 150 - 345]]
    assert middle.tolist() == [[50 - 64, 150 - 128, 150 - 192]]
    assert high.tolist() == [[50 - 12, 150 - 24, 150 - 36]]


def test_the_last_weeks_end_on_the_last_day() -> None:
    first = date(2025, 1, 1)
    history = DemandHistory(first_day=first, daily_units=tuple(range(60)))

    assert recent_units(history, first + timedelta(days=59)) == tuple(range(60 - RECENT_DAYS, 60))
    assert recent_units(history, first + timedelta(days=61))[-3:] == (59, None, None)
    assert recent_units(history, first + timedelta(days=2)) == (0, 1, 2)
