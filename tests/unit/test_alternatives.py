"""Alternatives: the decision's own figures come out exactly, and every other quantity is weighed as it was."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.shop import POLICY, decided
from workflows.domain.alternatives import Course, alternatives, recompute
from workflows.domain.deciding import decide
from workflows.domain.decisions import FIRST_RULE, Decided, Proposal
from workflows.domain.limits import Override
from workflows.domain.offers import JointOrder
from workflows.domain.policies import Policy, RuleCode

CASES = st.builds(
    decided, daily=st.floats(0.3, 60), on_hand=st.integers(-20, 400), pack=st.integers(1, 48),
    minimum=st.integers(0, 96), lead_days=st.integers(0, 20),
)  # fmt: skip


def with_terms(case: Decided, order_cost: str, rule: int | None, joint: bool) -> Decided:
    """The same need with a fixed cost of an order, decided by another rule, or as one line of an order."""
    option = case.inputs.options[0]
    supplier = option.supplier.model_copy(update={"cost_per_order": Decimal(order_cost)})
    changes: dict[str, object] = {"options": (option.model_copy(update={"supplier": supplier}),)}
    if rule:
        changes["rule"] = rule
    if joint:
        changes["joint"] = JointOrder(
            supplier=supplier.supplier, lines=2, gain=Decimal(90), order_cost=Decimal(order_cost),
            share=Decimal("1.5000"), value=Decimal(900),
        )  # fmt: skip
    inputs = case.inputs.model_copy(update=changes)
    result = decide(inputs, POLICY)
    return Decided(decision=case.decision.model_copy(update={"result": result}), inputs=inputs)


@settings(max_examples=120, deadline=None)
@given(CASES, st.sampled_from(["0", "7.50", "40"]), st.sampled_from([None, FIRST_RULE]), st.booleans())
def test_ordering_now_is_what_was_recorded(case: Decided, order_cost: str, rule: int | None, joint: bool) -> None:
    case = with_terms(case, order_cost, rule, joint)
    result = case.decision.result
    found = {one.course: one for one in alternatives(case.decision, case.inputs, POLICY)}

    assert list(found.values()) == sorted(found.values(), key=lambda one: one.units)
    assert found[Course.WAIT].units == 0
    if isinstance(result, Proposal):
        now = found[Course.NOW]
        assert (now.units, now.value) == (result.units, result.value)
        assert now.expected_cost == result.expected_cost
        assert now.difference == 0
        assert found[Course.WAIT].expected_cost == result.expected_cost_without
        if result.stakes:
            assert (
                Course.PACK_MORE not in found or found[Course.PACK_MORE].expected_cost == result.stakes.cost_pack_more
            )
            if Course.PACK_LESS in found and result.stakes.cost_pack_less is not None:
                assert found[Course.PACK_LESS].expected_cost == result.stakes.cost_pack_less
    elif result.stakes:
        assert found[Course.WAIT].expected_cost == result.stakes.cost_without
    risks = [one.stockout_risk for one in found.values()]
    assert risks == sorted(risks, reverse=True), "more units never last shorter"


@settings(max_examples=60, deadline=None)
@given(CASES, st.integers(1, 2_000))
def test_the_proposed_quantity_recomputed_is_the_proposal(case: Decided, units: int) -> None:
    proposal = case.decision.result
    if not isinstance(proposal, Proposal):
        return
    same = recompute(proposal, case.inputs, POLICY, POLICY, proposal.units)
    assert (same.gated.tier, same.gated.rules) == (proposal.tier, proposal.rules)
    assert same.asked.expected_cost == proposal.expected_cost
    assert same.remarks == ()

    other = recompute(proposal, case.inputs, POLICY, POLICY, units)
    assert other.asked.value == units * proposal.unit_cost
    assert other.asked.difference == other.asked.expected_cost - proposal.expected_cost
    terms = case.inputs.options[0].sourcing
    assert bool(other.remarks) == bool(units % terms.pack_units or units < terms.minimum_order_units)


def test_another_quantity_asks_other_people() -> None:
    case = decided(daily=38, on_hand=96, unit_cost="6.40", price="11.50")
    proposal = case.decision.result
    assert isinstance(proposal, Proposal)
    strict = Policy(four_eyes_above=Decimal(500), review_value_limit=Decimal(4_000),
                    overrides=(Override(item="OAT-1L", auto_value_limit=Decimal(100)),))  # fmt: skip

    little, much, most = (recompute(proposal, case.inputs, POLICY, strict, units) for units in (12, 240, 840))

    assert RuleCode.VALUE_ABOVE_LIMIT not in {rule.code for rule in little.gated.rules}
    assert (little.needs_two, little.above_everybody) == (None, None)
    assert RuleCode.VALUE_ABOVE_LIMIT in {rule.code for rule in much.gated.rules}
    assert much.needs_two is not None
    assert much.needs_two.startswith("1536.00 EUR is above 500.00")
    assert most.above_everybody is not None
    assert little.remarks == ("the supplier takes at least 24 units",)
    assert recompute(proposal, case.inputs, POLICY, strict, 241).remarks == (
        "the supplier sells packs of 12: 240 or 252 units",
    )


def test_nothing_is_no_quantity() -> None:
    case = decided(daily=38, on_hand=96)
    assert isinstance(case.decision.result, Proposal)
    with pytest.raises(ValueError, match="above zero"):
        recompute(case.decision.result, case.inputs, POLICY, POLICY, 0)


def test_a_hold_is_shown_beside_the_least_that_could_be_ordered() -> None:
    case = decided("Rapeseed oil", item="OIL-R", daily=1, on_hand=500, risk="0.0004", soon="0")

    wait, least, more = alternatives(case.decision, case.inputs, POLICY)

    assert (wait.course, wait.difference) == (Course.WAIT, Decimal(0))
    assert (least.course, least.units, more.units) == (Course.NOW, 24, 36)
    assert least.difference > 0
