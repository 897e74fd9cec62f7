"""Demand histories, layer upon layer: no sales are zeros, not gaps; no stock is missing, not zero; people come last.

One query for the facts and one for what people said; what becomes of them is in `workflows.domain.demand`. What was
recorded after `known_at` is not there, so that a training set can be made again.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import psycopg
from psycopg.rows import DictRow

from workflows.domain.demand import (
    Adjustment,
    Cancelled,
    DemandDefinition,
    KnownDay,
    effective_units,
    promoted_days,
)
from workflows.domain.scores import DemandHistory, Promotion

KEYS = "JOIN unnest(%(locations)s::text[], %(items)s::text[]) AS k (location, item) USING (location, item)"

Cursor = psycopg.AsyncCursor[DictRow]
Key = tuple[str, str]
"""(location, item)."""
EVER = "infinity"
"""`known_at` of who wants all that is known by now."""

# The sum that intake keeps; only for those who ask for what is known by now.
_SUMMED = "SELECT location, item, day, units, true, promotion, NULL::int FROM daily_demand {keys}"
# Single sales: for a definition that does not count them all, and for those who ask about an instant.
_COUNTED = """
SELECT location, item, demand_day,
       CASE WHEN kind = 'sale' THEN least(demand_units, %(sale_cap)s::int) ELSE demand_units END,
       true, promotion, NULL::int
FROM movement {keys}
WHERE demand_day IS NOT NULL AND recorded_at <= %(known_at)s::timestamptz
  AND (kind <> 'cancellation' OR (%(cancelled_leave)s AND (%(return_after)s::int IS NULL
       OR (occurred_at AT TIME ZONE 'UTC')::date - demand_day <= %(return_after)s::int)))
UNION ALL
SELECT location, item, (occurred_at AT TIME ZONE 'UTC')::date, -on_hand_delta, true, false, NULL::int
FROM movement {keys}
WHERE reason IS NOT NULL AND on_hand_delta < 0 AND recorded_at <= %(known_at)s::timestamptz
  AND lower(btrim(reason)) = ANY(%(reasons)s::text[])
"""
_DAYS = """
SELECT location, item, day, sum(units)::bigint AS units, bool_and(in_stock) AS in_stock,
       bool_or(promotion) AS promotion, min(exposure) AS exposure
FROM (
    SELECT location, item, day, units, in_stock, promotion, NULL::int AS exposure FROM recorded_demand {keys}
        WHERE recorded_at <= %(known_at)s::timestamptz
    UNION ALL {sales}
    UNION ALL SELECT location, item, day, 0, false, false, NULL::int FROM stockout_day {keys}
        WHERE recorded_at <= %(known_at)s::timestamptz
    UNION ALL SELECT location, item, day, 0, false, false, exposure_permille FROM day_exposure {keys}
        WHERE recorded_at <= %(known_at)s::timestamptz
) d WHERE day >= %(since)s AND day < %(today)s GROUP BY location, item, day ORDER BY location, item, day
"""
ADJUSTMENTS = """
SELECT a.* FROM demand_adjustment a {keys} LEFT JOIN demand_withdrawal w USING (adjustment_id)
WHERE a.recorded_at <= %(known_at)s::timestamptz
  AND (w.recorded_at IS NULL OR w.recorded_at > %(known_at)s::timestamptz)
"""
_DEFINITION = """
SELECT document FROM demand_definition WHERE recorded_at <= %s::timestamptz ORDER BY version DESC LIMIT 1
"""


@dataclass(frozen=True)
class Known:
    """What is known of the demand of many items: facts and words, before and after the definition is applied."""

    definition: DemandDefinition
    end: date
    """The day after the last one."""
    days: Mapping[Key, Sequence[KnownDay]]
    adjustments: Mapping[Key, Sequence[Adjustment]] = field(default_factory=dict)

    @property
    def priced(self) -> frozenset[Key]:
        """Items of which prices may be known: nobody looked."""
        return frozenset(self.days)

    def history(self, key: Key) -> DemandHistory | None:
        """Effective demand; None where nothing was ever recorded."""
        known = self.days.get(key)
        if not known:
            return None
        units = effective_units(known, self.end, self.definition, self.adjustments.get(key, ()))
        return DemandHistory(first_day=known[0].day, daily_units=tuple(units))

    def promotions(self, key: Key) -> tuple[Promotion, ...]:
        """Promotions, the announced ones included."""
        spans = promoted_days(self.days.get(key, ()), self.adjustments.get(key, ()))
        return tuple(Promotion(first_day=first, last_day=last) for first, last in spans)


async def definition_at(cursor: Cursor, known_at: datetime | str = EVER) -> DemandDefinition:
    """The definition of demand in force at an instant; the default one before any was adopted."""
    await cursor.execute(_DEFINITION, [known_at])
    row = await cursor.fetchone()
    return DemandDefinition.model_validate_json(row["document"]) if row else DemandDefinition()


async def definition_named(cursor: Cursor, digest: str) -> DemandDefinition | None:
    """The definition with this digest; None when there is none."""
    if digest == DemandDefinition().digest:
        return DemandDefinition()
    await cursor.execute("SELECT document FROM demand_definition WHERE digest = %s", [digest])
    row = await cursor.fetchone()
    return DemandDefinition.model_validate_json(row["document"]) if row else None


async def histories_of(cursor: Cursor, keys: Mapping[str, Any]) -> Known:
    """Everything known by now of these items (`locations`, `items`) from the day `since` to the day before `today`."""
    return await _known(cursor, KEYS, keys, EVER)


async def histories_at(cursor: Cursor, known_at: datetime, last_day: date) -> Known:
    """Everything of every item up to `last_day` as it was known at the instant `known_at`."""
    end = date.fromordinal(last_day.toordinal() + 1)
    return await _known(cursor, "", {"since": date.min, "today": end}, known_at)


async def _known(cursor: Cursor, keys: str, given: Mapping[str, Any], known_at: datetime | str) -> Known:
    definition = await definition_at(cursor, known_at)
    arguments = {
        **given,
        "known_at": known_at,
        "sale_cap": definition.sale_cap_units,
        "reasons": list(definition.counted_reasons),
        "cancelled_leave": definition.cancelled_sales is Cancelled.LEAVES_ITS_DAY,
        "return_after": definition.return_after_days,
    }  # fmt: skip
    summed = known_at == EVER and definition.counts_every_sale
    sales = (_SUMMED if summed else _COUNTED).format(keys=keys)
    await cursor.execute(_DAYS.format(keys=keys, sales=sales), arguments)
    days: dict[Key, list[KnownDay]] = defaultdict(list)
    for row in await cursor.fetchall():
        known = KnownDay(row["day"], row["units"], row["in_stock"], row["promotion"], row["exposure"])
        days[row["location"], row["item"]].append(known)
    await cursor.execute(ADJUSTMENTS.format(keys=keys), arguments)
    said: dict[Key, list[Adjustment]] = defaultdict(list)
    for row in await cursor.fetchall():
        said[row["location"], row["item"]].append(Adjustment.model_validate(row))
    return Known(definition, given["today"], days, said)
