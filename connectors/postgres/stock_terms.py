"""Reads what keeping and missing a unit costs at each location, and how it is usually bought: today's catalog."""

from datetime import date
from decimal import Decimal

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import facts
from connectors.postgres.catalog import HOLDING_RATE_PER_YEAR
from workflows.domain.models import StockTerms
from workflows.domain.what_if import DAYS_PER_YEAR, shortage_per_unit

Cursor = psycopg.AsyncCursor[DictRow]
MICRO = Decimal("0.000001")
# Whom each item is bought from first, with the median lead time of the lane's newest year.
_TERMS = """
SELECT DISTINCT ON (s.location, s.item) s.location, s.item, s.unit_cost, s.pack_units, s.minimum_order_units,
       s.review_days, i.price, i.goodwill_per_unit, coalesce(own.days, s.lead_time_days)::int AS lead_days
FROM sourcing s JOIN supplier u USING (supplier) JOIN item i USING (item)
LEFT JOIN (
    SELECT supplier, location, percentile_disc(0.5) WITHIN GROUP (ORDER BY received_on - ordered_on) AS days
    FROM observed_lead_time WHERE received_on <= %(last_day)s AND received_on > %(last_day)s::date - 365
    GROUP BY supplier, location
) own ON own.supplier = s.supplier AND own.location = s.location
WHERE NOT u.blocked ORDER BY s.location, s.item, s.rank, s.unit_cost, s.supplier
"""


async def terms_at(cursor: Cursor, last_day: date) -> dict[tuple[str, str], StockTerms]:
    """By (location, item), of what can be bought; lead times as they were known on that day."""
    rate = Decimal(await facts.setting(cursor, "holding_rate_per_year", str(HOLDING_RATE_PER_YEAR)))
    await cursor.execute(_TERMS, {"last_day": last_day})
    return {
        (row["location"], row["item"]): StockTerms(
            shortage_per_unit=shortage_per_unit(row["price"], row["unit_cost"], row["goodwill_per_unit"]),
            holding_per_unit_day=(row["unit_cost"] * rate / DAYS_PER_YEAR).quantize(MICRO),
            lead_days=max(0, row["lead_days"]), review_days=row["review_days"], pack_units=row["pack_units"],
            minimum_order_units=row["minimum_order_units"],
        )
        for row in await cursor.fetchall()
    }  # fmt: skip
