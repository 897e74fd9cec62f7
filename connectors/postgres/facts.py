"""Reads everything known about needs at their batch's instant: point in time, one query per kind of fact."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import rhythm, supply
from connectors.postgres.columns import literal
from connectors.postgres.drivers import calendars_of, drivers_of
from connectors.postgres.lead_times import lane_times, open_receipts, owed
from connectors.postgres.sold import sold
from workflows.domain.catalog import Item, Sourcing, Supplier
from workflows.domain.deciding import first_choice, preferred
from workflows.domain.decisions import NeedFacts, SupplyOption
from workflows.domain.identity import canonical, made
from workflows.domain.limits import Limits, Place
from workflows.domain.needs import Need, NeedCause
from workflows.domain.policies import Policy
from workflows.domain.positions import Position
from workflows.domain.scores import DemandHistory, LeadTimes, ScoringRow
from workflows.domain.supplying import cover_days
from workflows.domain.wishes import within_wish

HISTORY_DAYS = 420
"""Days of demand that scoring looks at: a year and its neighbourhood."""
DAYS_PER_YEAR = 365
_KEYS = "JOIN unnest(%(locations)s::text[], %(items)s::text[]) AS k (location, item) USING (location, item)"

_SOURCING, _POSITION = tuple(Sourcing.model_fields), tuple(Position.model_fields)

Cursor = psycopg.AsyncCursor[DictRow]
Key = tuple[str, str]


async def current_policy(cursor: Cursor) -> Policy:
    """The newest adopted policy."""
    await cursor.execute("SELECT document FROM policy_version ORDER BY version DESC LIMIT 1")
    row = await cursor.fetchone()
    if row is not None:
        return Policy.model_validate_json(row["document"])
    default = Policy()
    # A decision names its policy by digest, so even the default one must be there to be looked up.
    await cursor.execute(
        "INSERT INTO policy_version (digest, version, document) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
        [default.digest, default.version, canonical(default)],
    )
    return default


async def setting(cursor: Cursor, key: str, default: str) -> str:
    """A setting that lives with the data."""
    await cursor.execute("SELECT value FROM setting WHERE key = %s", [key])
    row = await cursor.fetchone()
    return str(row["value"]) if row else default


async def gather(
    cursor: Cursor, rows: Sequence[DictRow], clock: datetime, holding_rate: Decimal, policy: Policy
) -> list[NeedFacts]:
    """The facts of these needs (rows of `need`) as of `clock`; the policy may set how long an order should last."""
    keys: dict[str, Any] = {
        "locations": literal([row["location"] for row in rows]),
        "items": literal([row["item"] for row in rows]),
        "today": clock.astimezone(UTC).date(),
        "clock": clock,
        "since": clock.astimezone(UTC).date() - timedelta(days=HISTORY_DAYS),
    }
    positions = await _positions(cursor, keys)
    items = await _items(cursor, keys)
    options = await _options(cursor, keys)
    options = await supply.with_history(cursor, options, clock, keys["today"])
    demand = await sold(cursor, keys)
    definition = demand.definition.digest
    outside = await drivers_of(cursor, list(positions), clock, keys["since"], priced=demand.priced)
    calendars = await calendars_of(cursor)
    receipts = await open_receipts(cursor, keys)
    sold_today = await _sold_today(cursor, keys)
    past = await _past_orders(cursor, keys)
    lanes = {(option.sourcing.supplier, location) for (location, _), listed in options.items() for option in listed}
    lanes |= {(one.supplier, location) for (location, _), listed in receipts.items() for one in listed if one.supplier}
    lead_times = _Promised(await lane_times(cursor, lanes, keys["today"]))
    await cursor.execute(rhythm.SELECT)
    rhythms = await cursor.fetchall()
    so_far = {
        location: rhythm.so_far(rhythms, location, clock, through)
        for location, through in {key[0]: through for key, (_, through) in positions.items()}.items()
    }
    yesterday = keys["today"] - timedelta(days=1)
    nothing = DemandHistory(first_day=keys["today"], daily_units=())
    causes = {str(cause): cause for cause in NeedCause}
    gathered = []
    for row in rows:
        key = row["location"], row["item"]
        position, through = positions[key]
        item = items[row["item"]]
        offered = options.get(key, [])
        if policy.overrides or policy.review_days is not None:
            offered = _lasting(offered, policy.limits_for(Place(item.item, item.category, "", key[0])))
        offered, wanted = within_wish(offered, row.get("wanted_supplier"))
        ordered_before, largest = past.get(key, (False, None))
        first = preferred(offered) or first_choice(offered)
        cost = first.sourcing.unit_cost if first else Decimal(0)
        kept = calendars.get(key[0], {})
        # Read from columns that hold nothing else: not checked again.
        scoring = made(ScoringRow, {
            "item": row["item"],
            "location": row["location"],
            "category": item.category,
            "supplier": first.sourcing.supplier if first else "none",
            "last_day": yesterday,
            "history": demand.history(key) or nothing,
            "promotions": demand.promotions(key),
            "drivers": outside[key],
            "country": kept.get("country"),
            "subdivision": kept.get("subdivision"),
            "demand_definition": definition,
            "on_hand_units": position.on_hand_units,
            "reserved_units": position.reserved_units,
            "sold_today_units": sold_today.get(key, 0),
            **so_far[key[0]],
            "open_receipts": owed(receipts.get(key, ()), lead_times.lanes, row["location"]),
            "lead_times": lead_times.of(first.sourcing) if first else LeadTimes(promised_days=0),
            "review_days": cover_days(first, offered) if first else 1,
            "shortage_per_unit": max(Decimal("0.01"), item.price - cost) + item.goodwill_per_unit,
            "holding_per_unit_day": (cost * holding_rate / DAYS_PER_YEAR).quantize(Decimal("0.000001")),
        })  # fmt: skip
        need = made(Need, {
            "need_id": row["need_id"], "item": row["item"], "location": row["location"], "cause": causes[row["cause"]],
            "opened_at": row["opened_at"], "traceparent": row["traceparent"],
        })  # fmt: skip
        gathered.append(made(NeedFacts, {
            "need": need, "item": item, "position": position, "options": tuple(offered), "row": scoring,
            "alternatives": supply.alternatives(scoring, offered, lead_times.of) if first else (),
            "ordered_before": ordered_before, "largest_receipt_units": largest, "data_through": through,
            "wanted_supplier": wanted,
        }))  # fmt: skip
    return gathered


class _Promised:
    """Each lane's lead times with what a supplier promises of an item: rows of one lane and promise share the object,
    so that what is learned, written and hashed of it is so once."""

    def __init__(self, lanes: Mapping[Key, LeadTimes]) -> None:
        self.lanes = lanes
        self._made: dict[tuple[str, str, int], LeadTimes] = {}

    def of(self, sourcing: Sourcing) -> LeadTimes:
        """What is known of deliveries by this sourcing."""
        key = sourcing.supplier, sourcing.location, sourcing.lead_time_days
        found = self._made.get(key)
        if found is None:
            promised = {"promised_days": sourcing.lead_time_days}
            found = self._made[key] = self.lanes[sourcing.supplier, sourcing.location].model_copy(update=promised)
        return found


async def _positions(cursor: Cursor, keys: dict[str, Any]) -> dict[Key, tuple[Position, datetime]]:
    """Positions, and how new their location's newest fact is: a quiet article is no stale feed, a quiet shop is."""
    await cursor.execute(
        f"""WITH newest AS (
                SELECT location, greatest(max(data_through), '1990-01-01'::timestamptz) AS data_through
                FROM position WHERE location = ANY(%(locations)s) GROUP BY location
            )
            SELECT p.location, p.item, p.on_hand_units, p.reserved_units, p.on_order_units, p.watch_level_units,
                   newest.data_through
            FROM position p {_KEYS} JOIN newest USING (location)""",  # noqa: S608 - a constant
        keys,
    )
    return {
        (r["location"], r["item"]): (made(Position, {name: r[name] for name in _POSITION}), r["data_through"])
        for r in await cursor.fetchall()
    }


async def _items(cursor: Cursor, keys: dict[str, Any]) -> dict[str, Item]:
    await cursor.execute("SELECT * FROM item WHERE item = ANY(%(items)s)", keys)
    return {row["item"]: Item(**row) for row in await cursor.fetchall()}


async def _options(cursor: Cursor, keys: dict[str, Any]) -> dict[Key, list[SupplyOption]]:
    await cursor.execute(
        f"""WITH offered AS MATERIALIZED (SELECT s.* FROM sourcing s {_KEYS}), told AS MATERIALIZED (
                SELECT u.supplier, u.name, u.blocked, u.cost_per_order, u.minimum_order_value,
                       EXISTS (SELECT 1 FROM observed_lead_time t WHERE t.supplier = u.supplier)
                       OR EXISTS (SELECT 1 FROM purchase_order o WHERE o.supplier = u.supplier
                                  AND o.state IN ('placed', 'received', 'closed')) AS ordered_before,
                       (SELECT max(o.ordered_at) FROM purchase_order o
                        WHERE o.supplier = u.supplier AND o.state = 'refused' AND o.ordered_at <= %(clock)s)
                           AS refused_at
                FROM supplier u WHERE u.supplier IN (SELECT supplier FROM offered)
            )
            SELECT s.*, u.name, u.blocked, u.cost_per_order, u.minimum_order_value, u.ordered_before, u.refused_at,
                   newest.units AS last_units, newest.unit_cost AS last_unit_cost
            FROM offered s JOIN told u USING (supplier) LEFT JOIN LATERAL (
                SELECT l.units, l.unit_cost FROM order_line l JOIN purchase_order o USING (order_id)
                WHERE l.location = s.location AND l.item = s.item AND o.supplier = s.supplier
                  AND l.refused_reason IS NULL AND o.state IN ('placed', 'received', 'closed')
                  AND o.ordered_at <= %(clock)s
                ORDER BY o.ordered_at DESC, o.order_id DESC LIMIT 1
            ) newest ON true ORDER BY s.rank, s.supplier""",  # noqa: S608
        keys,
    )
    found: dict[Key, list[SupplyOption]] = defaultdict(list)
    suppliers: dict[str, Supplier] = {}
    for row in await cursor.fetchall():
        supplier = suppliers.get(row["supplier"]) or Supplier.model_validate(row)
        suppliers[row["supplier"]] = supplier
        option = made(SupplyOption, {
            "sourcing": made(Sourcing, {name: row[name] for name in _SOURCING}), "supplier": supplier,
            "ordered_before": row["ordered_before"], "refused_at": row["refused_at"],
            "last_units": row["last_units"], "last_unit_cost": row["last_unit_cost"],
        })  # fmt: skip
        found[row["location"], row["item"]].append(option)
    return found


def _lasting(offered: Sequence[SupplyOption], limits: Limits) -> list[SupplyOption]:
    """The options, with the policy's review period where it sets one."""
    if limits.review_days is None:
        return list(offered)
    period = {"review_days": limits.review_days}
    return [o.model_copy(update={"sourcing": o.sourcing.model_copy(update=period)}) for o in offered]


async def _sold_today(cursor: Cursor, keys: dict[str, Any]) -> dict[Key, int]:
    """Demand of the day that is not over yet: the stock is net of it, the forecast of the day is not."""
    await cursor.execute(
        f"SELECT location, item, greatest(0, units) AS units FROM daily_demand {_KEYS} WHERE day = %(today)s",  # noqa: S608
        keys,
    )
    return {(row["location"], row["item"]): int(row["units"]) for row in await cursor.fetchall()}


async def _past_orders(cursor: Cursor, keys: dict[str, Any]) -> dict[Key, tuple[bool, int | None]]:
    await cursor.execute(
        f"""SELECT location, item, bool_or(true) AS ordered,
                   max(units) FILTER (WHERE received_on > %(today)s - 91) AS largest
            FROM observed_lead_time {_KEYS} WHERE received_on <= %(today)s GROUP BY location, item""",  # noqa: S608
        keys,
    )
    return {(r["location"], r["item"]): (r["ordered"], r["largest"]) for r in await cursor.fetchall()}
