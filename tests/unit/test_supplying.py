"""The supplier is chosen by what the need costs in all: premiums, waiting, shares of an order and broken promises."""

from decimal import Decimal
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.test_deciding import inputs, option
from workflows.domain.deciding import decide
from workflows.domain.decisions import DecisionInputs, Hold, Proposal, SupplyOption
from workflows.domain.identity import canonical
from workflows.domain.offers import Outlook
from workflows.domain.policies import Policy
from workflows.domain.supplying import (
    bridging_days,
    choose,
    kept_at_least,
    outlook_of,
    spoken_for,
)

POLICY = Policy()
SAMPLE = tuple(range(-54, 46))


def outlook(*, sample: tuple[int, ...] = SAMPLE, lost_before: str = "0", lead: int = 3, **changes: Any) -> Outlook:
    """What the scores say if this supplier delivers."""
    seen = outlook_of(inputs(sample=sample, lost_before_units=lost_before, lead_time_p50_days=lead).scores)
    return seen.model_copy(update=changes)


def offered(supplier: str, *, seen: Outlook | None = None, **terms: Any) -> SupplyOption:
    facts = {name: terms.pop(name) for name in list(terms) if name in SupplyOption.model_fields}
    cost = terms.pop("cost_per_order", None)
    made: SupplyOption = option(supplier, **terms)
    if cost is not None:
        made = made.model_copy(
            update={"supplier": made.supplier.model_copy(update={"cost_per_order": Decimal(cost)})}
        )  # fmt: skip
    return made.model_copy(update={"outlook": seen, **facts})


def taken(*options: SupplyOption, policy: Policy = POLICY, **changes: Any) -> Proposal:
    found = decide(inputs(*options, **changes), policy)
    assert isinstance(found, Proposal)
    return found


def test_equal_suppliers_are_taken_by_rank_then_price_then_name() -> None:
    assert taken(offered("b", rank=1), offered("a", rank=2)).supplier == "b"
    assert taken(offered("b"), offered("a")).supplier == "a"


def test_a_dearer_supplier_is_taken_only_for_what_it_saves() -> None:
    slow = offered("slow", rank=1, unit_cost="2.00", seen=outlook(lost_before="30", lead=12))
    fast = offered("fast", rank=2, unit_cost="2.50", seen=outlook(lost_before="1", lead=2))
    found = taken(slow, fast)
    assert found.supplier == "fast", "42 units at 0.50 more cost 21.00; 29 units lost at 1.00 each cost 29.00"
    assert found.choice is not None
    best, second = found.choice.offers
    assert (best.premium, best.lost_before, second.premium, second.lost_before) == (
        Decimal("21.0000"), Decimal("1.0000"), Decimal("0.0000"), Decimal("30.0000"),
    )  # fmt: skip
    calm = slow.model_copy(update={"outlook": outlook(lost_before="20", lead=12)})
    assert taken(calm, fast).supplier == "slow", "19 units of loss do not pay for 21.00"
    assert "lead" not in found.sentence
    assert "expected in 2 days" in found.sentence, "the sentence speaks of the supplier that was taken"


@pytest.mark.parametrize("pack", [6, 24])
@pytest.mark.parametrize("lost", ["30", "20", "21.5", "45"])
def test_at_the_flip_price_the_choice_flips_and_just_above_it_does_not(lost: str, pack: int) -> None:
    def pair(price: Decimal | None, second: str) -> tuple[SupplyOption, SupplyOption]:
        made = (
            offered("slow", rank=1, unit_cost="2.00", seen=outlook(lost_before=lost, lead=12), pack_units=pack),
            offered("fast", rank=2, unit_cost="2.50", seen=outlook(lost_before="1", lead=2)),
        )
        if price is None:
            return made
        return tuple(  # type: ignore[return-value]
            o.model_copy(update={"sourcing": o.sourcing.model_copy(update={"unit_cost": price})})
            if o.sourcing.supplier == second else o
            for o in made
        )  # fmt: skip

    found = taken(*pair(None, ""))
    assert found.choice is not None
    runner_up, price = found.choice.offers[1].supplier, found.choice.flips_at
    assert price is not None
    step = Decimal("0.0005")
    assert taken(*pair(price - step, runner_up)).supplier == runner_up
    assert taken(*pair(price + step, runner_up)).supplier == found.supplier


def test_company_saves_the_fixed_cost_of_an_order() -> None:
    alone = offered("alone", cost_per_order="9", unit_cost="2.00")
    joined = offered("joined", cost_per_order="9", unit_cost="2.00", company_lines=1, rank=2)
    assert taken(alone, joined).supplier == "joined"
    shared = offered("alone", cost_per_order="9", unit_cost="2.00", lines_expected=3)
    found = choose(inputs(shared, joined), POLICY)
    assert found is not None
    assert {offer.supplier: offer.order_cost for offer in found.choice.offers} == {
        "alone": Decimal("3.0000"), "joined": Decimal("0.0000"),
    }  # fmt: skip


def test_broken_promises_cost() -> None:
    good = offered("good", rank=2, deliveries=40, deliveries_kept=40)
    bad = offered("bad", rank=1, deliveries=40, deliveries_kept=10)
    assert taken(good, bad).supplier == "good"


def test_a_policy_may_order_by_rank_whatever_it_costs() -> None:
    first = offered("first", rank=1, unit_cost="2.20")
    cheap = offered("cheap", rank=2, unit_cost="1.00")
    assert taken(first, cheap).supplier == "cheap"
    found = taken(first, cheap, policy=Policy(suppliers_by_rank=True))
    assert found.supplier == "first"
    assert found.choice is not None
    assert (found.choice.by_rank, found.choice.flips_at) == (True, None)


@pytest.mark.parametrize(
    ("deliveries", "kept", "exact"),
    [
        (0, 0, 0.71687),
        (1, 0, 0.60584),
        (1, 1, 0.74113),
        (12, 11, 0.79327),
        (60, 60, 0.95751),
        (60, 3, 0.10353),
        (240, 200, 0.79608),
    ],
)
def test_the_lower_bound_is_the_beta_quantile(deliveries: int, kept: int, exact: float) -> None:
    """The exact values are SciPy's beta.ppf(0.05, 9 + kept, 1 + broken)."""
    assert float(kept_at_least(deliveries, kept)) == pytest.approx(exact, abs=1.01e-4)


def test_a_dearer_faster_supplier_bridges_until_the_cheapest_could_deliver() -> None:
    slow = option("slow", unit_cost="2", lead_time_days=14, review_days=7)
    fast = option("fast", unit_cost="3", lead_time_days=2, review_days=7, rank=2)
    gone = option("gone", unit_cost="1", lead_time_days=30, review_days=7, blocked=True)
    assert bridging_days(slow, [slow, fast, gone]) == 7
    assert bridging_days(fast, [slow, fast, gone]) == 14 + 7 - 2
    assert bridging_days(fast, [fast]) == 7
    nearer = option("near", unit_cost="2", lead_time_days=1, review_days=2)
    assert bridging_days(fast, [nearer, fast]) == 7, "never less than its own"


OUTLOOKS = st.builds(
    lambda sample, lost, target: outlook(sample=tuple(sorted(sample)), lost_before=str(lost), target=target),
    st.lists(st.integers(-100, 300), min_size=1, max_size=30), st.integers(0, 80),
    st.decimals("0.5", "0.995", places=4),
)  # fmt: skip
OFFERED = st.builds(
    lambda supplier, seen, cost, lines, company, kept, blocked, rank, pack, price: offered(
        supplier, seen=seen, cost_per_order=cost, lines_expected=lines, company_lines=company, deliveries=40,
        deliveries_kept=kept, blocked=blocked, rank=rank, pack_units=pack, unit_cost=price,
    ),
    st.sampled_from("abcd"), OUTLOOKS, st.decimals("0", "40", places=2), st.integers(1, 9), st.integers(0, 2),
    st.integers(0, 40), st.booleans(), st.integers(1, 2), st.integers(1, 24), st.decimals("0", "9", places=2),
)  # fmt: skip
SEVERAL = st.lists(OFFERED, min_size=1, max_size=3, unique_by=lambda o: o.sourcing.supplier)


@settings(max_examples=100, deadline=None)
@given(SEVERAL)
def test_the_choice_does_not_depend_on_the_order_of_the_options(options: list[SupplyOption]) -> None:
    found = {canonical(decide(inputs(*shuffled), POLICY)) for shuffled in permutations(options)}
    assert len(found) == 1


@settings(max_examples=100, deadline=None)
@given(SEVERAL)
def test_the_choice_is_the_cheapest_and_re_made_from_the_record(options: list[SupplyOption]) -> None:
    given_inputs = inputs(*options)
    found = choose(given_inputs, POLICY)
    if found is None:
        assert all(one.supplier.blocked for one in options)
        return
    totals = [offer.total for offer in found.choice.offers]
    assert totals == sorted(totals)
    scores = {
        one.sourcing.supplier: given_inputs.scores.model_copy(update=dict(one.outlook or {}))
        for one in options
        if not one.supplier.blocked
    }
    recorded = spoken_for(given_inputs, scores, POLICY)
    again = DecisionInputs.model_validate_json(canonical(recorded))
    assert canonical(decide(again, POLICY)) == canonical(decide(given_inputs, POLICY)), "whoever the scores speak of"
    result = decide(given_inputs, POLICY)
    assert isinstance(result, Hold) or result.supplier == found.option.sourcing.supplier
