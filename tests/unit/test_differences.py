"""What changed since somebody looked is told in words, and what did not change is not mentioned."""

from decimal import Decimal
from typing import Any

import pytest

from tests.fakes.shop import decided
from workflows.domain.decisions import Decided, Hold
from workflows.domain.differences import Changed, ProposalDifference, proposal_differences


def between(before: Decided, now: Decided) -> tuple[ProposalDifference, ...]:
    return proposal_differences(before.decision, before.inputs, now.decision, now.inputs)


def words(before: Decided, now: Decided) -> dict[Changed, str]:
    return {one.what: one.words for one in between(before, now)}


def test_the_same_proposal_differs_in_nothing() -> None:
    assert between(decided(), decided()) == ()


def test_more_demand_is_told_as_a_share_and_with_what_it_does_to_the_order() -> None:
    found = words(decided(daily=12), decided(daily=24, revision=2))

    assert found[Changed.DEMAND] == "demand forecast rose 100 %"
    assert found[Changed.UNITS].startswith("the order rose from ")
    assert found[Changed.VALUE].startswith("its value rose from ")
    assert found[Changed.VALUE].endswith(" EUR")
    assert Changed.STOCK not in found


def test_demand_that_was_nothing_has_no_share_to_grow_by() -> None:
    before, now = decided(), decided(daily=24, revision=2)
    nothing = before.inputs.model_copy(
        update={"scores": before.inputs.scores.model_copy(update={"demand_p50": Decimal(0)})}
    )

    (demand,) = [
        one for one in proposal_differences(before.decision, nothing, now.decision, now.inputs)
        if one.what is Changed.DEMAND
    ]  # fmt: skip

    assert demand.words.startswith("demand forecast rose from 0.00 to ")
    assert demand.words.endswith(" a day")


@pytest.mark.parametrize(("changes", "what", "said"), [
    ({"on_hand": 20}, Changed.STOCK, "stock on hand fell from 55 to 20 units"),
    ({"on_order": 12}, Changed.ON_ORDER, "on order rose from 0 to 12 units"),
    ({"supplier": "alpha"}, Changed.SUPPLIER, "the supplier is alpha now, not northern-foods"),
    ({"risk": "0.31"}, Changed.RISK, " to 31 %"),
])  # fmt: skip
def test_each_figure_is_told(changes: dict[str, Any], what: Changed, said: str) -> None:
    assert said in words(decided(), decided(revision=2, **changes))[what]


def test_an_order_that_is_not_needed_any_more_says_why() -> None:
    before, now = decided(), decided(revision=2, on_hand=500, risk="0.001")
    assert isinstance(now.decision.result, Hold)

    found = words(before, now)

    assert found[Changed.PROPOSAL] == f"nothing should be ordered any more: {now.decision.result.sentence}"
    assert Changed.UNITS not in found
    assert words(now, before)[Changed.PROPOSAL].endswith(" should be ordered now")
