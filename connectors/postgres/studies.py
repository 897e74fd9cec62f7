"""Reads a stretch of the live business as a study: demand as the definition counts it, and what was there at its start.

Point in time: the stretch ends with the last day that is over at every location of the scope; what was in stock and
under way at its start is the fold over the movements up to then. Terms are today's catalog and policy.
"""

from array import array
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import facts
from connectors.postgres.catalog import HOLDING_RATE_PER_YEAR
from connectors.postgres.histories import Known, histories_of
from connectors.postgres.pool import Database
from workflows.domain.errors import InvalidInput
from workflows.domain.limits import Place, ServiceMeasure
from workflows.domain.policies import Policy
from workflows.domain.studies import MISSING, Period, Study, StudyRules, StudySeries, Terms
from workflows.domain.what_if import (
    DAYS_PER_YEAR,
    MOST_SERIES,
    Bought,
    Lane,
    Scope,
    Stretch,
    shortage_per_unit,
)

Cursor = psycopg.AsyncCursor[DictRow]
Key = tuple[str, str]
LEARNED_DAYS = 420
"""Days before the stretch that the model learns from: a year and its neighbourhood, as in production."""
LEAST_DAYS = 56
"""With fewer days before the stretch there is nothing to learn from."""
DELIVERIES = 60
MICRO = Decimal("0.000001")

# What is kept at a location and can be bought for it, with whom it is bought from first.
_SERIES = """
SELECT p.location, p.item, i.category, i.price, i.goodwill_per_unit FROM position p JOIN item i USING (item)
CROSS JOIN LATERAL (
    SELECT s.supplier FROM sourcing s JOIN supplier u USING (supplier)
    WHERE s.location = p.location AND s.item = p.item AND NOT u.blocked
    ORDER BY s.rank, s.unit_cost, s.supplier LIMIT 1
) first
WHERE (%(item)s::text IS NULL OR p.item = %(item)s) AND (%(location)s::text IS NULL OR p.location = %(location)s)
  AND (%(category)s::text IS NULL OR i.category = %(category)s)
  AND (%(supplier)s::text IS NULL OR first.supplier = %(supplier)s) {sold_by}
ORDER BY p.item, p.location LIMIT %(most)s
"""
# Without it, everything that is kept would be asked who it is bought from first.
_SOLD_BY = """AND EXISTS (SELECT FROM sourcing b
                WHERE b.supplier = %(supplier)s AND b.location = p.location AND b.item = p.item)"""
_KEYS = "JOIN unnest(%(locations)s::text[], %(items)s::text[]) AS k (location, item) USING (location, item)"
# An order's fixed cost is shared by as many lines as the supplier's orders to the location have had.
_LANES = f"""
SELECT s.*, u.cost_per_order / coalesce(company.lines, 1) AS order_cost, coalesce(own.days, s.lead_time_days) AS days
FROM sourcing s {_KEYS} JOIN supplier u USING (supplier)
LEFT JOIN LATERAL (
    SELECT count(*)::numeric / count(DISTINCT o.order_id) AS lines FROM purchase_order o JOIN order_line l
    USING (order_id) WHERE o.supplier = s.supplier AND o.location = s.location AND l.refused_reason IS NULL
      AND o.state IN ('placed', 'received', 'closed') HAVING count(*) > 0
) company ON true
LEFT JOIN LATERAL (
    SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY t.received_on - t.ordered_on) AS days FROM (
        SELECT received_on, ordered_on FROM observed_lead_time t
        WHERE t.supplier = s.supplier AND t.location = s.location ORDER BY received_on DESC LIMIT {DELIVERIES}
    ) t
) own ON true
WHERE NOT u.blocked ORDER BY s.rank, s.unit_cost, s.supplier
"""  # noqa: S608 - constants
# The newest count before the stretch and all that moved after it; nothing where nobody ever counted.
_STOCK = f"""
SELECT k.location, k.item, c.counted_units + coalesce((
    SELECT sum(m.on_hand_delta) FROM movement m WHERE m.location = k.location AND m.item = k.item
      AND m.occurred_at > c.occurred_at AND m.occurred_at < %(begin)s), 0) AS units
FROM (SELECT * FROM position {_KEYS}) k CROSS JOIN LATERAL (
    SELECT counted_units, occurred_at FROM movement m WHERE m.location = k.location AND m.item = k.item
      AND m.kind = 'count' AND m.occurred_at < %(begin)s ORDER BY occurred_at DESC, source DESC, event_id DESC LIMIT 1
) c
"""  # noqa: S608
# What came of orders from before the stretch: under way at its start, on the days on which it really came.
_UNDER_WAY = f"""
SELECT m.location, m.item, (m.occurred_at AT TIME ZONE 'UTC')::date AS day, sum(m.on_hand_delta)::bigint AS units
FROM movement m {_KEYS} LEFT JOIN purchase_order o ON o.order_id = m.order_id
WHERE m.kind = 'receipt' AND m.occurred_at >= %(begin)s AND m.occurred_at < %(end)s
  AND (o.order_id IS NULL OR o.ordered_at < %(begin)s)
GROUP BY m.location, m.item, 3
"""  # noqa: S608


class PostgresStudies:
    """The `Stretches` port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def newest(self, scope: Scope, weeks: int) -> Stretch:
        """See the port."""
        async with self._database.transaction("studies.newest") as cursor:
            rows = await _series(cursor, scope)
            last = await _last_day(cursor, {row["location"] for row in rows})
            start = last - timedelta(weeks=weeks)
            keys = {
                "locations": [row["location"] for row in rows], "items": [row["item"] for row in rows],
                "since": start - timedelta(days=LEARNED_DAYS), "today": last + timedelta(days=1),
                "begin": _midnight(start + timedelta(days=1)), "end": _midnight(last + timedelta(days=1)),
            }  # fmt: skip
            policy = await facts.current_policy(cursor)
            rate = Decimal(await facts.setting(cursor, "holding_rate_per_year", str(HOLDING_RATE_PER_YEAR)))
            currency = await facts.setting(cursor, "currency", "EUR")
            await cursor.execute(_LANES, keys)
            lanes: dict[Key, list[DictRow]] = defaultdict(list)
            for row in await cursor.fetchall():
                lanes[row["location"], row["item"]].append(row)
            await cursor.execute(_STOCK, keys)
            stock = {(row["location"], row["item"]): int(row["units"]) for row in await cursor.fetchall()}
            await cursor.execute(_UNDER_WAY, keys)
            coming: dict[Key, dict[date, int]] = defaultdict(dict)
            for row in await cursor.fetchall():
                coming[row["location"], row["item"]][row["day"]] = row["units"]
            known = await histories_of(cursor, keys)
        bought = {key: _bought(row, lanes[key], policy, rate) for row in rows if lanes[key := _key(row)]}
        return _stretch(rows, known, bought, stock, coming, (start, last), currency)


def _key(row: Mapping[str, Any]) -> Key:
    return row["location"], row["item"]


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


async def _series(cursor: Cursor, scope: Scope) -> list[DictRow]:
    query = _SERIES.format(sold_by=_SOLD_BY if scope.supplier is not None else "")
    await cursor.execute(query.encode(), {**dict(scope), "most": MOST_SERIES + 1})
    rows = await cursor.fetchall()
    if not rows:
        raise InvalidInput(f"nothing that is kept and can be bought matches {scope.words or 'the question'}")
    if len(rows) > MOST_SERIES:
        raise InvalidInput(
            f"more than {MOST_SERIES} items at locations match {scope.words or 'everything'}: "
            "narrow the question by item, location, category or supplier"
        )
    return rows


async def _last_day(cursor: Cursor, locations: set[str]) -> date:
    await cursor.execute(
        """SELECT (min(watermark) AT TIME ZONE 'UTC')::date - 1 AS day FROM business_clock
           WHERE location = ANY(%s)""",
        [sorted(locations)],
    )
    row = await cursor.fetchone()
    if row is None or row["day"] is None:
        raise InvalidInput("no business clock has struck at these locations yet: there is no past to replay")
    found: date = row["day"]
    return found


def _bought(row: DictRow, lanes: Sequence[DictRow], policy: Policy, rate: Decimal) -> Bought:
    limits = policy.limits_for(Place(row["item"], row["category"], "", row["location"]))
    aim = limits.service
    return Bought(
        lanes=tuple(_lane(row, lane, limits.review_days, rate) for lane in lanes),
        goodwill=row["goodwill_per_unit"],
        aim=aim.target if aim and aim.measure is ServiceMeasure.CYCLE else None,
    )


def _lane(row: DictRow, lane: DictRow, review_days: int | None, rate: Decimal) -> Lane:
    cost: Decimal = lane["unit_cost"]
    terms = Terms(
        unit_cost=cost, price=row["price"], lead_time_periods=lane["days"], minimum_order=lane["minimum_order_units"],
        shortage_per_unit=shortage_per_unit(row["price"], cost, row["goodwill_per_unit"]),
        holding_per_unit_period=(cost * rate / DAYS_PER_YEAR).quantize(MICRO), pack=lane["pack_units"],
        order_cost=lane["order_cost"].quantize(MICRO),
    )  # fmt: skip
    return Lane(lane["supplier"], terms, review_days or lane["review_days"])


def _stretch(
    rows: Sequence[DictRow], known: Known, bought: Mapping[Key, Bought], stock: Mapping[Key, int],
    coming: Mapping[Key, Mapping[date, int]], span: tuple[date, date], currency: str,
) -> Stretch:  # fmt: skip
    start, last = span
    histories = {key: found for key in bought if (found := known.history(key)) and found.first_day <= start}
    if not histories:
        raise InvalidInput(f"no demand is known up to {start}, the day before the stretch: ask about fewer weeks")
    first = min(history.first_day for history in histories.values())
    if (start - first).days < LEAST_DAYS:
        raise InvalidInput(
            f"demand is known from {first}: before {start} that is less than the {LEAST_DAYS} days that a model needs; "
            "ask about fewer weeks"
        )
    series = []
    for row in rows:
        key = _key(row)
        history = histories.get(key)
        if history is None:
            continue
        days = coming.get(key, {})
        on_hand = stock.get(key)
        arrivals = [days.get(start + timedelta(days=ahead), 0) for ahead in range(1, (last - start).days + 1)]
        units = [MISSING if value is None else max(0, value) for value in history.daily_units]
        offset = (history.first_day - first).days
        series.append(
            StudySeries(
                item=row["item"], location=row["location"], first=offset, quantities=array("q", units),
                censored=frozenset(), terms=bought[key].lanes[0].terms, categories=(row["category"],),
                on_hand=None if on_hand is None else max(0, on_hand),
                # What was under way counts only where stock is known: the level elsewhere is all that is assumed.
                arrivals=() if on_hand is None else tuple(arrivals),
            )
        )  # fmt: skip
    left_out = len(rows) - len(series)
    study = Study(
        period=Period.DAY, first_day=first, periods=(last - first).days + 1, scale=1, series=tuple(series),
        category_names=("category",),
        rules=StudyRules(period=Period.DAY, start=start, rounds=(last - start).days),
    )  # fmt: skip
    notes = (f"{left_out} more match, but have no demand from before the stretch",) if left_out else ()
    return Stretch(study, tuple(bought[one.location, one.item] for one in series), currency, notes)
