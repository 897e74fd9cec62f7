"""Reads orders in flight, and what suppliers did in the last year. Changes nothing."""

from collections import defaultdict
from datetime import date
from decimal import Decimal

from connectors.postgres.lead_times import Cursor, Lane, delivery_records, lane_times
from connectors.postgres.pool import Database
from workflows.domain.deliveries import DeliveryRecord, OrderInFlight, SupplierYear, WaitingItem
from workflows.domain.scores import LeadTimes, OpenReceipt

PACE_DAYS = 28

# Days are those of the location's business clock; without one (nothing was ever received there) the server's.
_IN_FLIGHT = """
SELECT o.order_id, o.supplier, u.name AS supplier_name, o.location, o.currency, d.today,
       (o.ordered_at AT TIME ZONE 'UTC')::date AS ordered_on,
       (o.first_promised_at AT TIME ZONE 'UTC')::date AS promised_on,
       (o.promised_at AT TIME ZONE 'UTC')::date - d.today AS expected,
       o.delayed OR coalesce(o.promised_at::date <> o.first_promised_at::date, false) AS revised,
       CASE WHEN o.shipped_at IS NOT NULL THEN greatest(0, d.today - (o.shipped_at AT TIME ZONE 'UTC')::date) END
           AS shipped,
       w.units, w.lines, w.value, w.owed, w.owed_value
FROM purchase_order o
JOIN supplier u USING (supplier)
LEFT JOIN business_clock c ON c.location = o.location
CROSS JOIN LATERAL (SELECT (coalesce(c.watermark, clock_timestamp()) AT TIME ZONE 'UTC')::date AS today) d
CROSS JOIN LATERAL (
    SELECT sum(n.units)::bigint AS units, count(*)::int AS lines, sum(n.units * n.unit_cost) AS value,
           sum(greatest(0, n.units - n.received_units - n.short_units))::bigint AS owed,
           sum(greatest(0, n.units - n.received_units - n.short_units) * n.unit_cost) AS owed_value
    FROM order_line n WHERE n.order_id = o.order_id AND n.refused_reason IS NULL
) w
WHERE o.state = 'placed' AND w.owed > 0
ORDER BY o.promised_at NULLS FIRST, o.ordered_at, o.order_id LIMIT %s
"""

# The pace is that of days that had stock: an empty shelf says nothing about demand.
_ITEMS = """
SELECT l.order_id, l.item, i.name, i.price, p.on_hand_units,
       sum(l.units - l.received_units - l.short_units)::bigint AS units,
       coalesce((SELECT sum(greatest(0, q.units)) FROM daily_demand q
                 WHERE q.location = l.location AND q.item = l.item AND q.day >= d.today - %(days)s AND q.day < d.today
                   AND NOT EXISTS (SELECT 1 FROM stockout_day s
                                   WHERE (s.location, s.item, s.day) = (q.location, q.item, q.day))), 0) AS sold,
       %(days)s - (SELECT count(*) FROM stockout_day s WHERE s.location = l.location AND s.item = l.item
                   AND s.day >= d.today - %(days)s AND s.day < d.today) AS days
FROM order_line l
JOIN unnest(%(orders)s::text[], %(todays)s::date[]) AS d (order_id, today) USING (order_id)
JOIN item i USING (item)
JOIN position p ON p.location = l.location AND p.item = l.item
WHERE l.refused_reason IS NULL AND l.units > l.received_units + l.short_units
GROUP BY l.order_id, l.item, l.location, d.today, i.name, i.price, p.on_hand_units ORDER BY l.order_id, l.item
"""

_SUPPLIERS = """
SELECT u.supplier, u.name, max(s.location) AS location,
       (SELECT count(*) FROM purchase_order o WHERE o.supplier = u.supplier AND o.state = 'placed') AS in_flight
FROM supplier u JOIN sourcing s USING (supplier) GROUP BY u.supplier, u.name ORDER BY u.supplier
"""


class PostgresDeliveries:
    """The `DeliveryHistory` port, and the facts behind the `Deliveries` one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def delivery_records(self, last_day: date) -> list[DeliveryRecord]:
        async with self._database.reading() as cursor:
            return await delivery_records(cursor, last_day)

    async def in_flight(self, limit: int) -> list[OrderInFlight]:
        """Placed orders that have not come in full; those due first come first."""
        async with self._database.reading() as cursor:
            await cursor.execute(_IN_FLIGHT, [limit])
            rows = await cursor.fetchall()
            items = await _items(cursor, {row["order_id"]: row["today"] for row in rows})
            lanes: dict[date, set[Lane]] = defaultdict(set)
            for row in rows:
                lanes[row["today"]].add((row["supplier"], row["location"]))
            times = {today: await lane_times(cursor, wanted, today) for today, wanted in lanes.items()}
        return [
            OrderInFlight(
                order_id=row["order_id"], supplier=row["supplier"], supplier_name=row["supplier_name"],
                location=row["location"], today=row["today"], ordered_on=row["ordered_on"],
                promised_on=row["promised_on"], currency=row["currency"], outstanding_value=row["owed_value"],
                receipt=OpenReceipt(
                    units=row["owed"], ordered_days_ago=max(0, (row["today"] - row["ordered_on"]).days),
                    expected_in_days=row["expected"], supplier=row["supplier"], revised=row["revised"],
                    shipped_days_ago=row["shipped"], dated=row["promised_on"] is not None,
                    promised_days=(row["promised_on"] - row["ordered_on"]).days if row["promised_on"] else None,
                    order_units=row["units"], order_lines=row["lines"], order_value=row["value"],
                ),
                items=tuple(items[row["order_id"]]),
                lead_times=times[row["today"]][row["supplier"], row["location"]],
            )
            for row in rows
        ]  # fmt: skip

    async def years(self) -> list[SupplierYear]:
        """Every supplier of the catalog that was ordered from in the last year."""
        async with self._database.reading() as cursor:
            await cursor.execute(
                "SELECT (coalesce(max(watermark), clock_timestamp()) AT TIME ZONE 'UTC')::date AS today"
                " FROM business_clock"
            )
            clock = await cursor.fetchone()
            await cursor.execute(_SUPPLIERS)
            rows = await cursor.fetchall()
            lanes = [(row["supplier"], row["location"]) for row in rows]
            times = await lane_times(cursor, lanes, clock["today"]) if clock and lanes else {}
        found = []
        for row in rows:
            seen = times[row["supplier"], row["location"]]
            if seen.supplier_days or seen.supplier_waiting:
                found.append(
                    SupplierYear(
                        supplier=row["supplier"], name=row["name"], in_flight=row["in_flight"],
                        lead_times=_all_lanes(seen),
                    )
                )  # fmt: skip
        return found


def _all_lanes(seen: LeadTimes) -> LeadTimes:
    """The supplier over all its locations: no lane of it speaks louder than the others."""
    return seen.model_copy(update={"lane_days": (), "lane_waiting": (), "lane_transport_days": ()})


async def _items(cursor: Cursor, todays: dict[str, date]) -> dict[str, list[WaitingItem]]:
    await cursor.execute(_ITEMS, {"orders": list(todays), "todays": list(todays.values()), "days": PACE_DAYS})
    found: dict[str, list[WaitingItem]] = defaultdict(list)
    for row in await cursor.fetchall():
        pace = Decimal(row["sold"]) / row["days"] if row["days"] else Decimal(0)
        found[row["order_id"]].append(
            WaitingItem(
                item=row["item"], name=row["name"], units=row["units"], on_hand_units=row["on_hand_units"],
                daily_units=pace.quantize(Decimal("0.001")), price=row["price"],
            )
        )  # fmt: skip
    return found
