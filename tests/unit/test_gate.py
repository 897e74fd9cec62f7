"""Each limit that a policy can switch on asks for a person on its own, and says for whom it was set."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.test_deciding import ANY_INPUTS, POLICY, RULES, inputs, option
from workflows.domain.deciding import decide
from workflows.domain.decisions import DecisionInputs, Hold, HoldReason, Proposal, SupplyOption
from workflows.domain.gate import in_audit_sample, mean_demand, service_target
from workflows.domain.identity import canonical
from workflows.domain.policies import Policy, RiskTier, RuleCode
from workflows.domain.quantities import order_statistic

# An ordinary need: 42 units for 84.00, 40 of demand in 4 days, nothing in stock.
SWITCHED_ON: dict[RuleCode, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    RuleCode.VALUE_ABOVE_ANY_LIMIT: (
        {"auto_value_limit": 83, "review_value_limit": 83}, {"auto_value_limit": 84, "review_value_limit": 84}, {},
    ),
    RuleCode.NEEDS_TWO_SIGNATURES: ({"four_eyes_above": "83.99"}, {"four_eyes_above": "84"}, {}),
    RuleCode.MORE_THAN_LAST_ORDER: ({"last_order_factor": "2"}, {"last_order_factor": "2.1"}, {"last_units": 20}),
    RuleCode.COVER_TOO_LONG: ({"cover_cap_days": 4}, {"cover_cap_days": 5}, {}),
    RuleCode.PRICE_DEVIATES: (
        {"price_deviation_limit": "0.049"}, {"price_deviation_limit": "0.05"}, {"last_unit_cost": Decimal("2.105")},
    ),
    RuleCode.EVERY_ORDER_REVIEWED: ({"autonomy": "L2"}, {"autonomy": "L3"}, {}),
    RuleCode.SUGGESTION_ONLY: ({"autonomy": "L1"}, {"autonomy": "L3"}, {}),
    RuleCode.AUDIT_SAMPLE: ({"autonomy": "L4", "audit_share": "1"}, {"autonomy": "L4", "audit_share": "0"}, {}),
}  # fmt: skip
"""(what makes the rule fire, what just does not, what is known of the last order)."""


def known(last: dict[str, Any]) -> DecisionInputs:
    """The ordinary need, with what is known of the last order."""
    return inputs(option().model_copy(update=last))


def proposal(given_inputs: DecisionInputs, policy: dict[str, Any]) -> Proposal:
    """What is proposed."""
    found = decide(given_inputs, Policy.model_validate(policy))
    assert isinstance(found, Proposal)
    return found


@pytest.mark.parametrize("code", SWITCHED_ON)
@pytest.mark.parametrize("scope", [{}, {"category": "uncategorised"}, {"item": "A", "location": "B"}])
def test_a_limit_that_is_switched_on_fires_and_one_step_looser_it_does_not(
    code: RuleCode, scope: dict[str, str]
) -> None:
    strict, loose, last = SWITCHED_ON[code]
    if scope:
        share = {"audit_share": strict["audit_share"]} if "audit_share" in strict else {}
        strict = {**share, "overrides": [{**scope, **{k: v for k, v in strict.items() if k not in share}}]}
    found = proposal(known(last), strict)
    expected = [RuleCode.VALUE_ABOVE_LIMIT, code] if code is RuleCode.VALUE_ABOVE_ANY_LIMIT else [code]
    assert [rule.code for rule in found.rules] == expected
    nobody = code in (RuleCode.VALUE_ABOVE_ANY_LIMIT, RuleCode.SUGGESTION_ONLY)
    assert found.tier is (RiskTier.BLOCKED if nobody else RiskTier.REVIEW)
    assert all(rule.detail for rule in found.rules)
    assert (found.units, found.value) == (42, Decimal("84.0000"))

    assert proposal(known(last), loose).rules == ()
    assert proposal(known(last), {}).rules == (), "the first policy does not have this limit"


ELSEWHERE = {"no_supplier": "test_deciding", "worth_a_look": "test_stakes", "drift_alarm": "test_monitoring"}
"""Rules that are tried where their figures come from."""


def test_every_rule_of_the_gate_is_tried() -> None:
    assert {str(code) for code in RuleCode} <= {str(code) for code in (*RULES, *SWITCHED_ON)} | set(ELSEWHERE)


def test_the_first_order_at_a_supplier_can_need_two_people_even_where_it_asks_nobody_otherwise() -> None:
    new = inputs(option(ordered_before=False))
    policy = {"new_supplier_asks": False, "four_eyes_for_new_supplier": True}
    assert [rule.code for rule in proposal(new, policy).rules] == [RuleCode.NEEDS_TWO_SIGNATURES]
    assert proposal(inputs(), policy).rules == ()


def test_what_is_not_known_is_no_deviation() -> None:
    policy = {"last_order_factor": "1.01", "price_deviation_limit": "0"}
    assert proposal(inputs(), policy).rules == ()
    assert proposal(known({"last_unit_cost": Decimal(2), "last_units": 42}), policy).rules == ()


@pytest.mark.parametrize(
    ("code", "switch"),
    [
        (RuleCode.FIRST_ORDER_OF_ITEM, "new_item_asks"),
        (RuleCode.FIRST_ORDER_AT_SUPPLIER, "new_supplier_asks"),
        (RuleCode.LITTLE_HISTORY, "little_history_asks"),
    ],
)
def test_an_existence_condition_can_be_switched_off_for_a_category(code: RuleCode, switch: str) -> None:
    changes = dict(RULES[code])
    given_inputs = inputs(*changes.pop("options", ()), **changes)
    assert [rule.code for rule in proposal(given_inputs, {}).rules] == [code]
    assert proposal(given_inputs, {"overrides": [{"category": "uncategorised", switch: False}]}).rules == ()
    assert proposal(given_inputs, {"overrides": [{"category": "dairy", switch: False}]}).rules != ()


def test_a_rule_says_for_whom_its_limit_was_set() -> None:
    found = proposal(inputs(), {"overrides": [{"category": "uncategorised", "location": "B", "auto_value_limit": 50}]})
    assert found.rules[0].detail == "84.00 EUR is above the limit of 50.00 for category uncategorised and location B"


def test_at_l4_the_economic_rules_do_not_ask_and_the_hard_ones_do() -> None:
    for code in (RuleCode.SOON_OUT_OF_STOCK, RuleCode.COSTLY_IF_WRONG):
        assert proposal(inputs(**RULES[code]), {"autonomy": "L4", "audit_share": "0"}).rules == ()
    for code in set(RULES) - {RuleCode.SOON_OUT_OF_STOCK, RuleCode.COSTLY_IF_WRONG}:
        found = proposal(inputs(**RULES[code]), {"autonomy": "L4", "audit_share": "1"})
        assert [rule.code for rule in found.rules] == [code], "who is asked anyway needs no sample"


def test_the_audit_sample_is_a_fixed_share_of_the_decisions() -> None:
    ids = [f"LEEDS:ITEM-{n}:1" for n in range(20_000)]
    picked = {one for one in ids if in_audit_sample(one, Decimal("0.02"))}
    assert 320 <= len(picked) <= 480, "2 % of 20,000, within four standard deviations"
    assert picked == {one for one in ids if in_audit_sample(one, Decimal("0.02"))}
    assert picked < {one for one in ids if in_audit_sample(one, Decimal("0.03"))}
    assert all(in_audit_sample(one, Decimal(1)) for one in ids[:100])
    assert not any(in_audit_sample(one, Decimal(0)) for one in ids)


def test_a_service_target_moves_the_quantity_and_the_accepted_risk() -> None:
    aimed = {"service": {"measure": "cycle", "target": "0.99"}}
    found = proposal(inputs(), aimed)
    assert (found.waterfall[2].units, proposal(inputs(), {}).waterfall[2].units) == (44, 40)
    assert "99 % of the futures" in found.waterfall[2].rule
    held = decide(inputs(), Policy.model_validate({"service": {"measure": "cycle", "target": "0.7"}}))
    assert isinstance(held, Hold), "a risk of 30 % is what 70 % accepts"
    assert held.reason is HoldReason.COVERED


@given(
    st.lists(st.integers(-50, 200), min_size=1, max_size=60), st.decimals("0.5", "0.999", places=3),
    st.integers(0, 100), st.integers(0, 100),
)  # fmt: skip
def test_a_fill_rate_target_takes_the_smallest_sampled_quantity_that_serves_it(
    sample: list[int], beta: Decimal, low: int, spread: int
) -> None:
    given_inputs = inputs(
        sample=tuple(sorted(sample)), demand_p10=low, demand_p50=low + spread, demand_p90=low + 2 * spread
    )
    policy = Policy.model_validate({"service": {"measure": "fill", "target": str(beta)}})
    tau = service_target(given_inputs, policy)
    mean = mean_demand(given_inputs)
    if mean == 0:
        assert tau == given_inputs.scores.target
        return

    def served(units: int) -> bool:
        short = Decimal(sum(max(0, n - units) for n in sample)) / len(sample)
        return 1 - short / mean >= beta

    expected = min(units for units in sample if served(units))
    assert order_statistic(given_inputs.scores.requirement_units, tau) == expected


STRICTER: list[dict[str, Any]] = [
    {"auto_value_limit": 10}, {"soon_risk_limit": "0.1"}, {"soon_lost_value_limit": 0},
    {"usual_quantity_factor": "1.5"}, {"costly_if_wrong_limit": 1}, {"stale_after_hours": 1},
    {"refused_memory_days": 40}, {"cover_cap_days": 1}, {"autonomy": "L2"}, {"autonomy": "L1"},
    {"auto_value_limit": 20, "review_value_limit": 20},
]  # fmt: skip
TIERS = [RiskTier.AUTO, RiskTier.REVIEW, RiskTier.BLOCKED]


@settings(max_examples=100, deadline=None)
@given(ANY_INPUTS, st.sampled_from(STRICTER))
def test_a_stricter_limit_never_lets_more_through(given_inputs: DecisionInputs, stricter: dict[str, Any]) -> None:
    now, then = decide(given_inputs, POLICY), decide(given_inputs, Policy.model_validate(stricter))
    if isinstance(now, Hold):
        assert canonical(then) == canonical(now), "limits say who is asked, never what is needed"
        return
    assert isinstance(then, Proposal)
    assert TIERS.index(then.tier) >= TIERS.index(now.tier)
    assert (then.units, then.supplier, then.value) == (now.units, now.supplier, now.value)
    assert {rule.code for rule in now.rules} <= {rule.code for rule in then.rules}


def test_what_was_not_recorded_leaves_the_evidence_as_it_was() -> None:
    bare = option()
    assert b"last_units" not in canonical(bare)
    told = bare.model_copy(update={"last_units": 3, "last_unit_cost": Decimal("1.10")})
    assert SupplyOption.model_validate_json(canonical(told)) == told
