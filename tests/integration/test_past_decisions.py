"""Past decisions: page by page, newest first, each once; and the cases that resemble one, none of them later."""

import pytest

from connectors.postgres.past_decisions import PostgresPastDecisions
from tests.storeroom import Storeroom, catalog, clock, counted
from workflows.domain.approvals import Meaning
from workflows.domain.errors import InvalidInput, NotFound
from workflows.domain.past_decisions import DecisionFilters, DecisionKind, DecisionRow
from workflows.domain.policies import RiskTier

ITEMS = 7


@pytest.fixture
async def past(storeroom: Storeroom) -> PostgresPastDecisions:
    """Decisions about seven items of one category: ITEM-001 twice."""
    await storeroom.stock(catalog(ITEMS))
    storeroom.scoring.of_item = {f"ITEM-{n:03}": {"daily": 10 + n} for n in range(1, ITEMS + 1)}
    storeroom.take(*[counted(9, item=f"ITEM-{n:03}") for n in range(1, ITEMS + 1)], clock())
    await storeroom.assess()
    return PostgresPastDecisions(storeroom.database)


async def every(past: PostgresPastDecisions, filters: DecisionFilters, limit: int) -> list[DecisionRow]:
    rows: list[DecisionRow] = []
    after = None
    while True:
        page = await past.page(filters, limit=limit, after=after)
        assert len(page.rows) <= limit
        rows += page.rows
        after = page.after
        if after is None:
            return rows


async def test_each_decision_is_listed_once_newest_first(past: PostgresPastDecisions) -> None:
    rows = await every(past, DecisionFilters(), 3)

    assert len({row.decision_id for row in rows}) == len(rows) == ITEMS
    order = [(row.decided_at, row.decision_id) for row in rows]
    assert order == sorted(order, reverse=True)
    assert rows[0].item_name == f"Item {rows[0].item}"
    assert rows[0].kind is DecisionKind.PROPOSAL
    assert rows[0].value is not None


async def test_filters_narrow_and_odd_places_are_refused(past: PostgresPastDecisions) -> None:
    day = (await past.page(DecisionFilters())).rows[0].decided_at.date()

    assert [row.item for row in await every(past, DecisionFilters(item="ITEM-003"), 2)] == ["ITEM-003"]
    both = DecisionFilters(item="ITEM-003", location="LEEDS")
    assert [row.item for row in await every(past, both, 1)] == ["ITEM-003"]
    assert await every(past, DecisionFilters(kind=DecisionKind.HOLD), 5) == []
    assert len(await every(past, DecisionFilters(tier=RiskTier.REVIEW), 5)) == ITEMS
    assert len(await every(past, DecisionFilters(first_day=day, last_day=day), 5)) == ITEMS
    assert await every(past, DecisionFilters(last_day=day.replace(year=day.year - 1)), 5) == []
    with pytest.raises(InvalidInput):
        await past.page(DecisionFilters(), after="nonsense")


async def test_similar_cases_are_earlier_ones_of_the_item_first(
    past: PostgresPastDecisions, storeroom: Storeroom
) -> None:
    await storeroom.answer("LEEDS:ITEM-002:1", Meaning.REJECT)
    assert await past.similar("LEEDS:ITEM-001:1") == [], "nothing was decided before"
    storeroom.connection.execute(
        "UPDATE decision SET decided_at = decided_at - interval '1 day' WHERE item <> 'ITEM-001'"
    )

    found = await past.similar("LEEDS:ITEM-001:1", 3)

    assert len(found) == 3
    assert not any(one.same_item for one in found)
    every_one = await past.similar("LEEDS:ITEM-001:1", 50)
    assert {one.item for one in every_one} == {f"ITEM-{n:03}" for n in range(2, ITEMS + 1)}
    answered = next(one for one in every_one if one.item == "ITEM-002")
    assert (answered.meaning, answered.answered_by is None) == (Meaning.REJECT, False)
    with pytest.raises(NotFound):
        await past.similar("LEEDS:NONE:1")
