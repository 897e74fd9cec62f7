"""Goods that come in are in the chain of their order: each receipt once, whatever is delivered twice or late."""

import json
from datetime import timedelta
from typing import Any

from connectors.postgres import shipments
from connectors.postgres.ledger import read_entries
from tests.storeroom import MORNING, Storeroom, catalog, clock, counted, received
from workflows.domain.ledger import EntryType

ORDER = "acme:LEEDS:2025-03-03:1"


async def placed(storeroom: Storeroom, items: int = 2) -> None:
    """An order with a line for each item, at the supplier."""
    await storeroom.stock(catalog(items))
    names = [f"ITEM-{n:03}" for n in range(1, items + 1)]
    storeroom.take(*(counted(9, item=name) for name in names), clock())
    await storeroom.assess()
    for name in names:
        decision_id = f"LEEDS:{name}:1"
        await storeroom.answer(decision_id)
        await storeroom.orders.release(decision_id, storeroom.hash_of(decision_id))
    await storeroom.place(ORDER)


def told(storeroom: Storeroom) -> list[list[dict[str, Any]]]:
    entries = read_entries(storeroom.connection, f"order:{ORDER}")
    return [json.loads(entry.body)["receipts"] for entry in entries if entry.type == EntryType.ORDER_RECEIVED]


async def test_each_receipt_is_told_once_with_its_units(storeroom: Storeroom) -> None:
    await placed(storeroom)
    first = received(5, ORDER, at=MORNING + timedelta(days=1))
    second = received(7, ORDER, item="ITEM-002", at=MORNING + timedelta(days=1, hours=1))
    storeroom.take(first, second, first)
    storeroom.take(second)
    storeroom.take(received(9, None), received(3, "somebody:elses:order:1"))
    later = received(2, ORDER, at=MORNING + timedelta(days=2))
    storeroom.take(later)

    batch, alone = told(storeroom)
    assert [(line["event_id"], line["item"], line["units"]) for line in batch] == [
        (first.id, "ITEM-001", 5), (second.id, "ITEM-002", 7),
    ]  # fmt: skip
    assert [(line["source"], line["event_id"], line["location"]) for line in alone] == [
        (later.source, later.id, "LEEDS")
    ]
    assert not storeroom.rows("SELECT 1 FROM ledger_entry WHERE stream = 'order:somebody:elses:order:1'")
    assert storeroom.verified().ok


async def test_the_last_receipt_comes_before_the_closing(storeroom: Storeroom) -> None:
    await placed(storeroom)
    lines = storeroom.rows("SELECT item, units FROM order_line")
    storeroom.take(*(received(row["units"], ORDER, item=row["item"]) for row in lines))

    kinds = [entry.type for entry in read_entries(storeroom.connection, f"order:{ORDER}")]
    assert kinds[-2:] == ["order.received", "order.closed"]


async def test_a_delivery_in_many_parts_stays_within_an_entry_s_size(storeroom: Storeroom) -> None:
    await placed(storeroom)
    parts = 2 * shipments.EVENTS_PER_ENTRY + 1
    longest = [
        received(1, ORDER, at=MORNING + timedelta(seconds=n)).model_copy(
            update={"id": f"{n:03}" + "\x01" * 197, "source": "\x02" * 200}
        )
        for n in range(parts)
    ]
    storeroom.take(*longest)

    assert [len(lines) for lines in told(storeroom)] == [shipments.EVENTS_PER_ENTRY] * 2 + [1]
    longest_entry = storeroom.one("SELECT max(octet_length(body)) AS n FROM ledger_entry WHERE type = 'order.received'")
    assert 30_000 < longest_entry["n"] < 65_536
    assert storeroom.verified().ok
