"""Applies what suppliers and warehouses say of orders, in intake's transaction: late, twice or out of order."""

from collections import defaultdict
from collections.abc import Sequence

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import ledger
from workflows.domain.events import Event, ShipmentStatus, ShipmentUpdated, StockReceived, SupplierUpdated
from workflows.domain.ledger import EntryType, NewEntry
from workflows.domain.positions import Movement, MovementKind

CATALOG = "catalog"
"""The ledger's stream of what suppliers say of their conditions."""
EVENTS_PER_ENTRY = 20
"""An entry has at most 64 KiB; a source and an event's id may be long."""


def lock(cursor: psycopg.Cursor[DictRow], events: Sequence[Event]) -> list[tuple[str, str]]:
    """Lock the orders that these events speak of; returns the positions of their lines, which are locked next.

    Whoever writes locks orders before positions, and each kind in name order, so that nobody waits in a circle.
    """
    spoken = {event.data.order_id for event in events if isinstance(event.data, (ShipmentUpdated, StockReceived))}
    orders = sorted(order_id for order_id in spoken if order_id)
    if not orders:
        return []
    cursor.execute(
        "SELECT order_id FROM purchase_order WHERE order_id = ANY(%s) ORDER BY order_id FOR UPDATE", [orders]
    )
    cursor.execute("SELECT DISTINCT location, item FROM order_line WHERE order_id = ANY(%s)", [orders])
    return [(row["location"], row["item"]) for row in cursor.fetchall()]


def apply(cursor: psycopg.Cursor[DictRow], events: Sequence[Event], movements: Sequence[Movement]) -> None:
    """Bring orders, lead times and supplier conditions up to date."""
    orders = set()
    conditions: list[Event] = []
    for event in events:
        if isinstance(event.data, ShipmentUpdated):
            _shipment(cursor, event, event.data)
            orders.add(event.data.order_id)
        elif isinstance(event.data, SupplierUpdated):
            _supplier(cursor, event, event.data)
            conditions.append(event)
    receipts = [m for m in movements if m.kind is MovementKind.RECEIPT and m.order_id]
    for receipt in receipts:
        _lead_time(cursor, receipt)
        orders.add(receipt.order_id or "")
    entries = [*_changed(conditions), *_received(cursor, receipts)]
    for order_id in sorted(orders):
        cursor.execute("SELECT settle_order(%s) AS state", [order_id])
        row = cursor.fetchone()
        if row and row["state"]:
            entries.append(_closed(order_id, row["state"], events))
    ledger.append_now(cursor, entries)


def _received(cursor: psycopg.Cursor[DictRow], receipts: Sequence[Movement]) -> list[NewEntry]:
    """What came in of each order of ours: of a batch one entry an order, or more where it would grow too long."""
    by_order: dict[str, list[Movement]] = defaultdict(list)
    for receipt in receipts:
        by_order[receipt.order_id or ""].append(receipt)
    if not by_order:
        return []
    cursor.execute("SELECT order_id FROM purchase_order WHERE order_id = ANY(%s) ORDER BY 1", [sorted(by_order)])
    ours = [row["order_id"] for row in cursor.fetchall()]
    return [
        _came_in(order_id, by_order[order_id][start : start + EVENTS_PER_ENTRY])
        for order_id in ours
        for start in range(0, len(by_order[order_id]), EVENTS_PER_ENTRY)
    ]


def _came_in(order_id: str, receipts: Sequence[Movement]) -> NewEntry:
    lines = [
        {
            "source": m.source, "event_id": m.event_id, "item": m.item, "location": m.location,
            "units": m.on_hand_delta, "received_at": m.occurred_at,
        }
        for m in receipts
    ]  # fmt: skip
    at = max(m.occurred_at for m in receipts)
    return NewEntry(
        stream=f"order:{order_id}", type=EntryType.ORDER_RECEIVED, actor="intake", occurred_at=at,
        body={"receipts": lines},
    )  # fmt: skip


def _changed(events: Sequence[Event]) -> list[NewEntry]:
    """What suppliers said of their own conditions, with the values as they said them; fields left out stay."""
    return [
        NewEntry(
            stream=CATALOG, type=EntryType.CATALOG_CHANGED, actor="intake",
            occurred_at=max(event.time for event in some),
            body={
                "events": [
                    {"source": event.source, "event_id": event.id, "said_at": event.time,
                     "said": event.data.model_dump(exclude_none=True)}
                    for event in some
                ],
            },
        )
        for start in range(0, len(events), EVENTS_PER_ENTRY)
        for some in [events[start : start + EVENTS_PER_ENTRY]]
    ]  # fmt: skip


def _closed(order_id: str, state: str, events: Sequence[Event]) -> NewEntry:
    at = max(event.time for event in events)
    body = {"state": state, "reason": "nothing more is outstanding"}
    return NewEntry(stream=f"order:{order_id}", type=EntryType.ORDER_CLOSED, actor="intake", occurred_at=at, body=body)


def _shipment(cursor: psycopg.Cursor[DictRow], event: Event, news: ShipmentUpdated) -> None:
    """The newest word about the expected day counts; each kind of news is noted once, at its own time."""
    cursor.execute(
        """UPDATE purchase_order SET
               first_promised_at = coalesce(first_promised_at, promised_at, %(expected)s::timestamptz),
               promised_at = CASE WHEN %(expected)s::timestamptz IS NULL OR promised_news_at > %(at)s
                   THEN promised_at ELSE %(expected)s END,
               promised_news_at = CASE WHEN %(expected)s::timestamptz IS NULL OR promised_news_at > %(at)s
                   THEN promised_news_at ELSE %(at)s END,
               acknowledged_at = CASE WHEN %(status)s = 'acknowledged'
                   THEN least(coalesce(acknowledged_at, %(at)s), %(at)s) ELSE acknowledged_at END,
               shipped_at = CASE WHEN %(status)s = 'shipped'
                   THEN least(coalesce(shipped_at, %(at)s), %(at)s) ELSE shipped_at END,
               delayed = delayed OR %(status)s = 'delayed'
           WHERE order_id = %(order)s""",
        {"at": event.time, "expected": news.expected_at, "status": str(news.status), "order": news.order_id},
    )
    if news.status is ShipmentStatus.SHORTENED:
        for line in news.lines:
            cursor.execute(
                """INSERT INTO order_shortage (source, event_id, order_id, item, units) VALUES (%s, %s, %s, %s, %s)
                   ON CONFLICT DO NOTHING""",
                [event.source, event.id, news.order_id, line.item, line.units],
            )


def _supplier(cursor: psycopg.Cursor[DictRow], event: Event, news: SupplierUpdated) -> None:
    """Fields left out stay; an older word never overrules a newer one."""
    if news.blocked is not None:
        cursor.execute(
            """UPDATE supplier SET blocked = %s, blocked_at = %s
               WHERE supplier = %s AND (blocked_at IS NULL OR blocked_at <= %s)""",
            [news.blocked, event.time, news.supplier, event.time],
        )
    for column, at_column, value in (
        ("lead_time_days", "lead_time_at", news.lead_time_days),
        ("unit_cost", "unit_cost_at", news.unit_cost),
        ("minimum_order_units", "minimum_order_at", news.minimum_order_units),
    ):
        if value is not None:
            cursor.execute(
                f"""UPDATE sourcing SET {column} = %(value)s, {at_column} = %(at)s
                    WHERE supplier = %(supplier)s AND (%(item)s::text IS NULL OR item = %(item)s)
                      AND ({at_column} IS NULL OR {at_column} <= %(at)s)""".encode(),  # noqa: S608 - our own names
                {"value": value, "at": event.time, "supplier": news.supplier, "item": news.item},
            )


def _lead_time(cursor: psycopg.Cursor[DictRow], receipt: Movement) -> None:
    """Ordered to sellable, in calendar days: what the engine learns lead times from. What was promised and shipped
    stays with the order, where later news corrects it."""
    cursor.execute(
        """INSERT INTO observed_lead_time (reference, supplier, location, item, ordered_on, received_on, units,
               order_id)
           SELECT %(reference)s, o.supplier, %(location)s, %(item)s, (o.ordered_at AT TIME ZONE 'UTC')::date,
                  (%(at)s AT TIME ZONE 'UTC')::date, %(units)s, o.order_id
           FROM purchase_order o WHERE o.order_id = %(order)s AND o.ordered_at IS NOT NULL
           ON CONFLICT DO NOTHING""",
        {
            "reference": f"{receipt.source}/{receipt.event_id}", "location": receipt.location, "item": receipt.item,
            "at": receipt.occurred_at, "units": receipt.on_hand_delta, "order": receipt.order_id,
        },
    )  # fmt: skip
