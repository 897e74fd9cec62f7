"""Lines share an order: it goes if together they earn its cost, and grows where the supplier's minimum asks for it."""

from decimal import Decimal
from itertools import permutations
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.test_deciding import inputs, option
from workflows.domain.catalog import Supplier
from workflows.domain.deciding import decide
from workflows.domain.decisions import DecisionInputs, Hold, HoldReason, Proposal
from workflows.domain.identity import canonical
from workflows.domain.joining import join
from workflows.domain.needs import Need, NeedCause
from workflows.domain.policies import Policy
from workflows.domain.quantities import expected_cost, order_statistic

POLICY = Policy()


def line(
    number: int, *, supplier: str = "acme", cost: str = "0", least: str = "0", company: int = 0, waiting: str = "0",
    needed: int = 40, **terms: Any,
) -> DecisionInputs:  # fmt: skip
    """One need of a batch; its order would cost `cost` and must be worth `least`."""
    changes = {name: terms.pop(name) for name in list(terms) if name == "sample"}
    made = option(supplier, **terms).model_copy(
        update={
            "supplier": Supplier(
                supplier=supplier, name=supplier, cost_per_order=Decimal(cost), minimum_order_value=Decimal(least)
            ),
            "company_lines": company, "company_value": Decimal(waiting),
        }
    )  # fmt: skip
    found = inputs(made, needed=needed, **changes)
    need = Need(
        need_id=f"B:A{number}:1", item="A", location="B", cause=NeedCause.SWEEP, opened_at=found.need.opened_at
    )  # fmt: skip
    return found.model_copy(update={"need": need})


def decided(*batch: DecisionInputs) -> list[Hold | Proposal]:
    return [decide(one, POLICY) for one in join(batch, POLICY)]


def gain(one: DecisionInputs, units: int) -> Decimal:
    holding = one.holding_per_unit_day
    without, cost = (expected_cost(one.scores.requirement_units, q, one.shortage_per_unit, holding) for q in (0, units))
    return without - cost


def test_lines_that_do_not_pay_for_an_order_alone_pay_for_it_together() -> None:
    alone = gain(line(1), 42)
    fixed = str(alone * 2)
    (single,) = decided(line(1, cost=fixed))
    assert isinstance(single, Hold)
    assert single.reason is HoldReason.CHEAPER_TO_WAIT
    assert "one line for acme would save" in single.sentence
    several = decided(*(line(n, cost=fixed) for n in (1, 2)))
    assert [one.kind for one in several] == ["proposal", "proposal"], "at equality the order goes"
    assert [one.kind for one in decided(*(line(n, cost=str(alone * 2 + Decimal("0.0001"))) for n in (1, 2)))] == [
        "hold", "hold",
    ]  # fmt: skip


def test_the_fixed_cost_is_shared_in_proportion_to_what_each_line_saves() -> None:
    small, large = line(1, cost="5", sample=tuple(range(-90, 10))), line(2, cost="5")
    found = join([small, large], POLICY)
    shares = [one.joint.share for one in found if one.joint]
    assert sum(shares) == Decimal(5)
    gains = [gain(small, _units(found[0])), gain(large, _units(found[1]))]
    assert shares[0] / gains[0] - shares[1] / gains[1] < Decimal("0.001")
    for one, share in zip(found, shares, strict=True):
        proposal = decide(one, POLICY)
        (trigger,) = [step for step in proposal.waterfall if step.step == "economic trigger"]
        assert trigger.cost == share
        assert proposal.stakes is not None
        assert proposal.stakes.order_cost_share == share


def _units(one: DecisionInputs) -> int:
    found = decide(one, POLICY)
    assert isinstance(found, Proposal)
    return found.units


def test_an_order_that_goes_anyway_costs_nothing_more() -> None:
    (found,) = decided(line(1, cost="1000", company=1))
    assert isinstance(found, Proposal)
    assert decided(line(1, cost="1000"))[0].kind == "hold"


def test_what_waits_for_a_person_is_not_dropped_for_being_scored_again_alone() -> None:
    dear = line(1, cost="1000", least="5000")
    assert decided(dear)[0].kind == "hold"
    (again,) = join([dear], POLICY, proposed=True)
    assert decide(again, POLICY).kind == "proposal"


def test_other_suppliers_orders_are_no_company() -> None:
    fixed = str(gain(line(1), 42) * 2)
    assert {one.kind for one in decided(line(1, cost=fixed), line(2, supplier="other", cost=fixed))} == {"hold"}


def test_below_the_minimum_value_the_cheapest_packs_are_added() -> None:
    """42 + 42 units at 2.00 come to 168.00; two packs more of one line reach 190.00."""
    batch = [line(1, least="190"), line(2, least="190", needed=44)]
    before = [_units(one) for one in join([line(1), line(2, needed=44)], POLICY)]
    found = [_units(one) for one in join(batch, POLICY)]
    assert sum(found) * 2 >= 190 > sum(found) * 2 - 12
    assert all(after >= units for units, after in zip(before, found, strict=True))
    grown = next(one for one in join(batch, POLICY) if one.joint and one.joint.top_up_units)
    proposal = decide(grown, POLICY)
    assert proposal.waterfall[-1].step == "joint order"
    assert "190.00" in proposal.waterfall[-1].rule
    most = order_statistic(grown.scores.requirement_units, Decimal("0.99"))
    assert proposal.waterfall[-1].units - 6 < most


def test_what_waits_there_already_counts_towards_the_minimum() -> None:
    found = join([line(1, least="190", company=1, waiting="120")], POLICY)
    assert found[0].joint is not None
    assert (found[0].joint.top_up_units, found[0].joint.value) == (0, Decimal("204.0000"))


def test_an_order_that_cannot_become_large_enough_waits_and_says_so() -> None:
    (found,) = decided(line(1, least="5000"))
    assert isinstance(found, Hold)
    assert found.reason is HoldReason.BELOW_MINIMUM_VALUE
    assert "5000.00" in found.sentence


def test_a_cap_on_cover_limits_top_ups() -> None:
    capped = Policy(cover_cap_days=3)
    found = join([line(1, least="90", needed=40)], capped)
    assert found[0].joint is not None
    assert not found[0].joint.large_enough


LINES = st.builds(
    lambda needed, pack, price, supplier: {
        "needed": needed, "pack_units": pack, "unit_cost": price, "supplier": supplier,
    },
    st.integers(-20, 90), st.integers(1, 12), st.decimals("0.10", "9", places=2), st.sampled_from(["acme", "other"]),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(LINES, min_size=1, max_size=4), st.decimals("0", "90", places=2), st.decimals("0", "400", places=2))
def test_a_batch_keeps_its_promises(terms: list[dict[str, Any]], fixed: Decimal, least: Decimal) -> None:
    batch = [line(n, cost=str(fixed), least=str(least), **one) for n, one in enumerate(terms)]
    joined = join(batch, POLICY)
    found = [decide(one, POLICY) for one in joined]
    for order in list(permutations(range(len(batch))))[:6]:
        shuffled = join([batch[n] for n in order], POLICY)
        assert [canonical(shuffled[order.index(n)]) for n in range(len(batch))] == [canonical(one) for one in joined]
    for supplier in ("acme", "other"):
        lines = [
            (one, result) for one, result in zip(joined, found, strict=True)
            if one.joint and one.joint.supplier == supplier
        ]  # fmt: skip
        assert len({result.kind for _, result in lines}) <= 1, "all lines of an order go, or none"
        bought = [(one, result) for one, result in lines if isinstance(result, Proposal)]
        if bought:
            assert sum((gain(one, result.units) for one, result in bought), Decimal(0)) >= fixed
            assert sum((result.value for _, result in bought), Decimal(0)) >= least
    for one, result in zip(joined, found, strict=True):
        again = DecisionInputs.model_validate_json(canonical(one))
        assert canonical(decide(again, POLICY)) == canonical(result), "from its own record alone"
