"""The demand of many items for a decision: one row of arrays per item, read along the primary keys.

A sweep reads a year of a million items. So the days are neither sorted nor grouped nor made into objects: each item's
are added up where they belong. What comes out is, to the unit, what `histories` says of the same items.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import DictRow

from connectors.postgres.histories import ADJUSTMENTS, EVER, KEYS, Key, Known, definition_at, histories_of
from workflows.domain.demand import (
    Adjustment,
    DemandDefinition,
    KnownDay,
    Layer,
    last_words,
    observed_units,
    outliers_cut,
)
from workflows.domain.identity import made
from workflows.domain.scores import DemandHistory, Promotion

Cursor = psycopg.AsyncCursor[DictRow]
_DAYS = """
SELECT k.location, k.item, a.*, b.short, b.exposed, b.exposures
FROM unnest(%(locations)s::text[], %(items)s::text[]) AS k (location, item)
CROSS JOIN LATERAL (
    SELECT array_agg(day - %(since)s::date) AS days, array_agg(units::bigint) AS units,
           array_agg(day - %(since)s::date) FILTER (WHERE NOT in_stock) AS censored,
           array_agg(day - %(since)s::date) FILTER (WHERE promotion) AS promoted,
           bool_or(priced) AS priced
    FROM (
        SELECT day, units, in_stock, promotion, unit_price IS NOT NULL AS priced FROM recorded_demand
            WHERE location = k.location AND item = k.item AND day >= %(since)s AND day < %(today)s
        UNION ALL SELECT day, units, true, promotion, priced_units > 0 FROM daily_demand
            WHERE location = k.location AND item = k.item AND day >= %(since)s AND day < %(today)s
    ) d
) a
CROSS JOIN LATERAL (
    SELECT array_agg(day - %(since)s::date) FILTER (WHERE exposure IS NULL) AS short,
           array_agg(day - %(since)s::date) FILTER (WHERE exposure IS NOT NULL) AS exposed,
           array_agg(exposure) FILTER (WHERE exposure IS NOT NULL) AS exposures
    FROM (
        SELECT day, NULL::int AS exposure FROM stockout_day
            WHERE location = k.location AND item = k.item AND day >= %(since)s AND day < %(today)s
        UNION ALL SELECT day, exposure_permille FROM day_exposure
            WHERE location = k.location AND item = k.item AND day >= %(since)s AND day < %(today)s
    ) o
) b
"""


class _Days(NamedTuple):
    """One item's days, as offsets from the first day asked for."""

    first: int
    net: list[int]
    """Units from the first known day to the last one asked for."""
    short: Mapping[int, int | None]
    """Days that were not in stock throughout, and their exposure in thousandths; counted from `first`."""
    promoted: tuple[int, ...]


@dataclass(frozen=True)
class Sold:
    """Effective demand and promotions of the items asked for."""

    definition: DemandDefinition
    since: date
    end: date
    days: Mapping[Key, _Days]
    adjustments: Mapping[Key, Sequence[Adjustment]]
    priced: frozenset[Key]
    """Items of which a price was told on any of the days."""

    def history(self, key: Key) -> DemandHistory | None:
        """Effective demand; None where nothing was ever recorded."""
        found = self.days.get(key)
        if found is None:
            return None
        first = self.since + timedelta(days=found.first)
        units: list[int | None] = list(outliers_cut(found.net, frozenset(found.short), self.definition.outlier_factor))
        for position, exposure in found.short.items():
            day = KnownDay(first, 0, False, False, exposure)
            units[position] = observed_units(units[position] or 0, day, self.definition)
        for position, said in last_words(self.adjustments.get(key, ()), first, self.end).items():
            units[position] = said.units
        return made(DemandHistory, {"first_day": first, "daily_units": tuple(units)})

    def promotions(self, key: Key) -> tuple[Promotion, ...]:
        """Promotions, the announced ones included."""
        found, said = self.days.get(key), self.adjustments.get(key, ())
        spans = {(one.first_day, one.last_day) for one in said if one.layer is Layer.PROMOTION}
        if found is not None and found.promoted:
            spans |= {(day, day) for day in (self.since + timedelta(days=n) for n in found.promoted)}
        return tuple(Promotion(first_day=first, last_day=last) for first, last in sorted(spans)) if spans else ()


async def sold(cursor: Cursor, keys: Mapping[str, Any]) -> Sold | Known:
    """Everything known by now of these items (`locations`, `items`) from the day `since` to the day before `today`."""
    definition = await definition_at(cursor)
    if not definition.counts_every_sale:
        return await histories_of(cursor, keys)
    since, end = keys["since"], keys["today"]
    await cursor.execute(_DAYS, keys, binary=True)
    rows = await cursor.fetchall()
    length = (end - since).days
    days = {}
    for row in rows:
        if (found := _days(row, length)) is not None:
            days[row["location"], row["item"]] = found
    await cursor.execute(ADJUSTMENTS.format(keys=KEYS), {**keys, "known_at": EVER})
    adjustments: dict[Key, list[Adjustment]] = {}
    for row in await cursor.fetchall():
        adjustments.setdefault((row["location"], row["item"]), []).append(Adjustment.model_validate(row))
    priced = frozenset((row["location"], row["item"]) for row in rows if row["priced"])
    return Sold(definition, since, end, days, adjustments, priced)


def _days(row: DictRow, length: int) -> _Days | None:
    known = row["days"] or []
    unseen = [*(row["censored"] or ()), *(row["short"] or ()), *(row["exposed"] or ())]
    if not known and not unseen:
        return None
    first = min(min(known, default=length), min(unseen, default=length))
    net = [0] * (length - first)
    for day, units in zip(known, row["units"] or (), strict=True):
        net[day - first] += units
    if net and min(net) < 0:  # more came back than was sold: no demand
        net = [max(0, units) for units in net]
    short: dict[int, int | None] = {day - first: None for day in sorted(unseen)}
    for day, exposure in zip(row["exposed"] or (), row["exposures"] or (), strict=True):
        short[day - first] = exposure
    return _Days(first, net, short, tuple(sorted(set(row["promoted"] or ()))))
