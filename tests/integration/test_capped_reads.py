"""What reads many decisions at once reads a bounded number of them, and says so."""

from decimal import Decimal

import pytest

from connectors.postgres import planning
from connectors.postgres.gauges import Gauges
from connectors.postgres.planning import PostgresPlanning
from tests.storeroom import Storeroom, catalog, clock, counted

STOCK = (("ITEM-001", 2), ("ITEM-002", 9), ("ITEM-003", 500))


async def test_a_budget_over_more_proposals_than_are_ranked_takes_the_dearest_and_says_so(
    storeroom: Storeroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    await storeroom.stock(catalog(3))
    storeroom.take(*[counted(units, item=item) for item, units in STOCK], clock())
    await storeroom.assess()
    dearest, *others = [task.decision_id for task in await storeroom.desk.tasks()]
    assert others
    desk = PostgresPlanning(storeroom.database)
    everything = await desk.budget(Decimal(10**6))
    assert {line.key for line in everything.lines} == {dearest, *others}
    assert not everything.capped
    for decision_id, cost in ((dearest, 1), (others[-1], 9)):
        storeroom.connection.execute("UPDATE task SET cost_of_waiting = %s WHERE decision_id = %s", [cost, decision_id])
    monkeypatch.setattr(planning, "MOST_RANKED", 1)
    capped = await desk.budget(Decimal(10**6))
    assert (capped.capped, [line.key for line in capped.lines]) == (True, [others[-1]])


async def test_decisions_are_counted_by_kind_and_tier_without_opening_them(storeroom: Storeroom) -> None:
    gauges = Gauges(storeroom.connection)
    await storeroom.stock(catalog(3))
    storeroom.take(*[counted(units, item=item) for item, units in STOCK], clock())
    await storeroom.assess()
    before = gauges.read().decisions
    plainly = {
        (row["kind"], row["tier"]): row["n"]
        for row in storeroom.rows(
            """SELECT d.kind, coalesce(r.tier, '') AS tier, count(*) AS n FROM decision d
               LEFT JOIN replenishment r USING (decision_id) GROUP BY 1, 2"""
        )
    }
    assert before == plainly
    assert {kind for kind, _ in before} == {"hold", "proposal"}
