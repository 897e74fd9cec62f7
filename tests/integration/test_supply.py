"""Suppliers beside each other, orders that lines share, and the figures over many decisions, on the real database."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from connectors.postgres.catalog import load_history
from connectors.postgres.planning import PostgresPlanning
from tests.integration.test_orders import ORDER, need, released
from tests.storeroom import LOCATION, MORNING, SUPPLIER, Storeroom, catalog, clock, counted, received, sold
from workflows.domain.catalog import Catalog, Supplier
from workflows.domain.deciding import decide
from workflows.domain.decisions import Decision, DecisionInputs, Hold, HoldReason, Proposal
from workflows.domain.feeds import RecordedReceipt
from workflows.domain.identity import canonical
from workflows.domain.orders import OrderState
from workflows.domain.policies import Policy

SWIFT = "swift"
EASY = Policy(auto_value_limit=Decimal(10**6), soon_risk_limit=Decimal(1), new_item_asks=False, new_supplier_asks=False)


def terms(document: Catalog, **changes: Any) -> Catalog:
    """The same catalog with other terms of its one supplier."""
    supplier = document.suppliers[0].model_copy(update={name: Decimal(value) for name, value in changes.items()})
    return document.model_copy(update={"suppliers": (supplier,)})


def with_a_second(document: Catalog, **changes: Any) -> Catalog:
    """Each item can be bought from a second supplier too."""
    second = tuple(one.model_copy(update={"supplier": SWIFT, "rank": 2, **changes}) for one in document.sourcing)
    suppliers = (*document.suppliers, Supplier(supplier=SWIFT, name="Swift"))
    return document.model_copy(update={"suppliers": suppliers, "sourcing": (*document.sourcing, *second)})


def delivered(ordered_on: date, days: int, supplier: str = SUPPLIER) -> RecordedReceipt:
    return RecordedReceipt(
        supplier=supplier, location=LOCATION, item="ITEM-001", ordered_on=ordered_on,
        received_on=ordered_on + timedelta(days=days), units=40,
    )  # fmt: skip


def results(storeroom: Storeroom) -> list[Hold | Proposal]:
    """The newest results, by item; each is made again from its record first."""
    rows = storeroom.rows(
        """SELECT DISTINCT ON (d.decision_id) d.body, e.body AS inputs FROM decision d
           JOIN evidence e ON e.sha256 = d.inputs_sha256 ORDER BY d.decision_id, d.revision DESC"""
    )
    found = []
    for row in rows:
        decision = Decision.model_validate_json(row["body"])
        again = decide(DecisionInputs.model_validate_json(row["inputs"]), EASY)
        assert canonical(again) == canonical(decision.result), "re-made from its own record alone"
        found.append(decision.result)
    return found


async def assessed(storeroom: Storeroom, document: Catalog, items: int, on_hand: int = 9) -> list[Hold | Proposal]:
    await storeroom.stock(document, EASY)
    storeroom.take(*[counted(on_hand, item=f"ITEM-{n:03}") for n in range(1, items + 1)], clock())
    await storeroom.assess()
    return results(storeroom)


async def test_each_supplier_is_scored_with_its_own_lead_time_and_cover(storeroom: Storeroom) -> None:
    document = with_a_second(catalog(1, lead_time_days=12), lead_time_days=2, unit_cost=Decimal("4.60"))
    await storeroom.stock(document, EASY)
    past = [delivered(date(2025, 1, n), 12) for n in (2, 3, 4)]
    late = [delivered(date(2025, 1, 5), 13), delivered(date(2023, 1, 5), 90), delivered(date(2025, 1, 2), 2, SWIFT)]
    load_history(storeroom.connection, [], [*past, *late], actor="test")
    storeroom.take(counted(9), clock())
    (batch,) = storeroom.relay.batches(0)
    (facts,) = (await storeroom.assessments.load(batch.batch_id)).facts
    assert (facts.row.supplier, facts.row.lead_times.promised_days, facts.row.review_days) == (SUPPLIER, 12, 1)
    (other,) = facts.alternatives
    assert (other.supplier, other.lead_times.promised_days) == (SWIFT, 2)
    assert other.review_days == 12 + 1 - 2, "it must last until the cheaper one could deliver"
    assert other.history == facts.row.history
    kept = {o.supplier.supplier: (o.deliveries, o.deliveries_kept) for o in facts.options}
    assert kept == {SUPPLIER: (4, 3), SWIFT: (1, 1)}, "of a year; one of them late"


async def test_the_supplier_that_costs_least_in_all_is_taken_and_the_other_recorded(storeroom: Storeroom) -> None:
    document = with_a_second(catalog(1), unit_cost=Decimal("4.00"))
    (found,) = await assessed(storeroom, document, 1)
    assert isinstance(found, Proposal)
    assert found.supplier == SWIFT, "cheaper, though ranked second"
    assert found.choice is not None
    assert [offer.supplier for offer in found.choice.offers] == [SWIFT, SUPPLIER]
    assert storeroom.one("SELECT supplier FROM replenishment") == {"supplier": SWIFT}


async def gain_of_one(storeroom: Storeroom) -> Decimal:
    (found,) = await assessed(storeroom, catalog(1), 1)
    assert isinstance(found, Proposal)
    storeroom.clear()
    return found.expected_cost_without - found.expected_cost


async def test_a_batch_shares_one_order_and_waits_when_it_does_not_pay(storeroom: Storeroom) -> None:
    gain = await gain_of_one(storeroom)
    fixed = str(gain * Decimal("1.5"))
    (alone,) = await assessed(storeroom, terms(catalog(1), cost_per_order=fixed), 1)
    assert isinstance(alone, Hold)
    assert alone.reason is HoldReason.CHEAPER_TO_WAIT
    storeroom.clear()
    several = await assessed(storeroom, terms(catalog(2), cost_per_order=fixed), 2)
    assert [one.kind for one in several] == ["proposal", "proposal"]
    shares = [one.stakes.order_cost_share for one in several if one.stakes]
    assert sum(shares) == pytest.approx(Decimal(fixed), abs=Decimal("0.0002"))


async def test_a_line_joins_an_order_that_is_collecting_without_paying_for_it_again(storeroom: Storeroom) -> None:
    gain = await gain_of_one(storeroom)
    document = terms(catalog(3), cost_per_order=str(gain * Decimal("1.5")))
    await assessed(storeroom, document, 2)
    for number in (1, 2):
        assert (await storeroom.orders.release(need(number), storeroom.hash_of(need(number)))).released
    storeroom.take(counted(9, item="ITEM-003"), clock(MORNING + timedelta(minutes=1)))
    await storeroom.assess()
    third = results(storeroom)[2]
    assert isinstance(third, Proposal)
    assert third.stakes is not None
    assert third.stakes.order_cost_share == 0
    assert (await storeroom.orders.release(need(3), storeroom.hash_of(need(3)))).order_id == ORDER


async def test_an_order_is_topped_up_to_the_suppliers_minimum_and_not_sent_below_it(storeroom: Storeroom) -> None:
    loose = catalog(1, pack_units=1, minimum_order_units=0)
    (small,) = await assessed(storeroom, loose, 1)
    storeroom.clear()
    assert isinstance(small, Proposal)
    least = small.value + 1
    document = terms(loose, minimum_order_value=str(least))
    (grown,) = await assessed(storeroom, document, 1)
    assert isinstance(grown, Proposal)
    assert (grown.units, grown.waterfall[-1].step) == (small.units + 1, "joint order")
    assert grown.value >= least
    # The supplier asks for more by the time of the cutoff.
    released_order = await storeroom.orders.release(need(1), storeroom.hash_of(need(1)))
    assert released_order.released
    storeroom.connection.execute("UPDATE supplier SET minimum_order_value = 10000")
    assert await storeroom.orders.prepare(ORDER, passive=False) is None
    assert await storeroom.orders.state(ORDER) is OrderState.EMPTY
    (line,) = storeroom.rows("SELECT refused_reason FROM order_line")
    assert line["refused_reason"] == f"the order comes to {grown.value:.2f}, and acme takes none below 10000.00"
    assert storeroom.position()["on_order_units"] == 0, "it is needed again"
    assert storeroom.verified().ok


async def test_a_task_is_not_voided_because_its_company_has_left(storeroom: Storeroom) -> None:
    gain = await gain_of_one(storeroom)
    await storeroom.stock(terms(catalog(2), cost_per_order=str(gain * Decimal("1.5"))))
    storeroom.take(*[counted(9, item=f"ITEM-00{n}") for n in (1, 2)], clock())
    await storeroom.assess()
    await released(storeroom, 2)
    await storeroom.place(ORDER)
    storeroom.take(sold(1), clock(MORNING + timedelta(hours=2)))
    assert (await storeroom.rescore(need(1))).ref is not None
    assert storeroom.one("SELECT state FROM task WHERE decision_id = %s", need(1)) == {"state": "open"}


async def test_a_budget_is_spent_on_open_proposals_only(storeroom: Storeroom) -> None:
    await storeroom.stock(catalog(3))
    storeroom.take(*[counted(units, item=f"ITEM-00{n}") for n, units in ((1, 2), (2, 9), (3, 14))], clock())
    await storeroom.assess()
    planning = PostgresPlanning(storeroom.database)
    everything = await planning.budget(Decimal(10**6))
    assert {line.key for line in everything.lines} == {need(n) for n in (1, 2, 3)}
    assert everything.shadow_price is None
    assert everything.spent == sum(row["v"] for row in storeroom.rows("SELECT value AS v FROM task"))
    tight = await planning.budget(everything.spent / 3)
    assert 0 < tight.spent <= everything.spent / 3
    assert tight.shadow_price is not None
    await released(storeroom, 1)
    assert need(1) not in {line.key for line in (await planning.budget(Decimal(100))).lines}


async def test_stability_figures_are_what_their_definitions_say(storeroom: Storeroom) -> None:
    planning = PostgresPlanning(storeroom.database)
    assert (await planning.stability()).suppliers == ()
    await storeroom.stock(catalog(1), EASY)
    storeroom.take(counted(9), sold(4, at=MORNING - timedelta(hours=8)), clock())
    await storeroom.assess()
    assert (await storeroom.orders.release(need(1), storeroom.hash_of(need(1)))).released
    order = await storeroom.place(ORDER)
    assert order is not None
    units = order.lines[0].units
    two_days = MORNING + timedelta(days=2)
    storeroom.take(sold(2, at=MORNING + timedelta(hours=3)), sold(6, at=MORNING + timedelta(days=1)), clock(two_days))
    found = await planning.stability()
    (acme,) = found.suppliers
    # 2 March: 4 sold, nothing ordered; 3 March: 2 sold, the order; 4 March: 6 sold.
    assert (acme.days, acme.orders) == (3, 1)
    assert acme.order_variance == (Decimal(units * units) * 2 / 9).quantize(Decimal("0.001"))
    assert acme.demand_variance == (Decimal(8) / 3).quantize(Decimal("0.001"))
    assert acme.variance_ratio == (Decimal(units * units) / 12).quantize(Decimal("0.001"))
    assert (found.rescored, found.nervousness) == (0, None)


async def test_nervousness_counts_rescores_that_changed(storeroom: Storeroom) -> None:
    await storeroom.stock(catalog(1))
    storeroom.take(counted(9), clock())
    await storeroom.assess()
    await storeroom.rescore(need(1))
    planning = PostgresPlanning(storeroom.database)
    calm = await planning.stability()
    assert (calm.rescored, calm.rescored_changed) == (1, 0)
    storeroom.take(sold(7), clock(MORNING + timedelta(minutes=5)))
    await storeroom.rescore(need(1))
    storeroom.take(received(500, None), clock(MORNING + timedelta(minutes=9)))
    await storeroom.rescore(need(1))
    assert (await planning.stability()).nervousness == Decimal("0.667")
