"""Reads what planning looks at: the open proposals with their inputs, and what was ordered beside what was demanded."""

import asyncio
from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal

from psycopg.rows import DictRow

from connectors.postgres.pool import Database
from connectors.postgres.task_views import ORDER
from workflows.domain.budgets import Ranking
from workflows.domain.decisions import Decided, Decision, DecisionInputs
from workflows.domain.planning import STABILITY_DAYS, Stability, Steadiness, budget

MILLI = Decimal("0.001")
MOST_RANKED = 2_000
"""Proposals that a budget is spread over: those that are dearest to leave waiting. Ranking these takes a second."""

# What waits for a person by the inbox's index, and what is about to be released without one.
_OPEN = f"""
SELECT d.body, e.body AS inputs FROM (
    (SELECT t.decision_id, t.cost_of_waiting AS cost FROM task t WHERE t.state = 'open' ORDER BY {ORDER} LIMIT %(most)s)
    UNION ALL
    (SELECT decision_id, NULL FROM replenishment WHERE state = 'proposed' AND tier = 'auto' LIMIT %(most)s)
) open JOIN replenishment r ON r.decision_id = open.decision_id AND r.state = 'proposed'
JOIN decision d ON (d.decision_id, d.revision) = (r.decision_id, r.revision)
JOIN evidence e ON e.sha256 = d.inputs_sha256
ORDER BY open.cost DESC NULLS FIRST, r.decision_id LIMIT %(most)s
"""  # noqa: S608 - our own names


class PostgresPlanning:
    """The `Planning` port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def budget(self, amount: Decimal) -> Ranking:
        async with self._database.reading() as cursor:
            await cursor.execute(_OPEN.encode(), {"most": MOST_RANKED + 1})
            rows = await cursor.fetchall()
        # Reading and ranking is all work: in a thread of its own it lets others be answered in between.
        ranking = await asyncio.to_thread(_ranked, rows[:MOST_RANKED], amount)
        return ranking.model_copy(update={"capped": len(rows) > MOST_RANKED})

    async def stability(self) -> Stability:
        """Days are those of the demand that came in as events, up to the last one that is over at every location."""
        async with self._database.reading() as cursor:
            await cursor.execute(
                """WITH span AS (
                       SELECT greatest(min(d.day), c.today - %(days)s) AS first, c.today AS today
                       FROM daily_demand d, (SELECT (min(watermark) AT TIME ZONE 'UTC')::date AS today
                                             FROM business_clock) c
                       WHERE d.day < c.today GROUP BY c.today
                   ), ordered AS (
                       SELECT o.order_id, o.supplier, l.location, l.item, l.units,
                              (o.ordered_at AT TIME ZONE 'UTC')::date AS day
                       FROM purchase_order o JOIN order_line l USING (order_id) JOIN span ON true
                       WHERE o.state IN ('placed', 'received', 'closed') AND l.refused_reason IS NULL
                         AND (o.ordered_at AT TIME ZONE 'UTC')::date >= span.first
                         AND (o.ordered_at AT TIME ZONE 'UTC')::date < span.today
                   ), day AS (
                       SELECT generate_series(first, today - 1, interval '1 day')::date AS day FROM span
                   ), per_day AS (
                       SELECT s.supplier, d.day, coalesce(o.units, 0) AS ordered, coalesce(m.units, 0) AS demanded
                       FROM (SELECT DISTINCT supplier FROM ordered) s CROSS JOIN day d
                       LEFT JOIN (SELECT supplier, day, sum(units) AS units FROM ordered GROUP BY supplier, day) o
                           USING (supplier, day)
                       LEFT JOIN (
                           SELECT i.supplier, m.day, sum(m.units) AS units
                           FROM (SELECT DISTINCT supplier, location, item FROM ordered) i
                           JOIN daily_demand m USING (location, item) GROUP BY i.supplier, m.day
                       ) m USING (supplier, day)
                   )
                   SELECT p.supplier, count(*) AS days, var_pop(p.ordered) AS ordered, var_pop(p.demanded) AS demanded,
                          (SELECT count(DISTINCT order_id) FROM ordered o WHERE o.supplier = p.supplier) AS orders
                   FROM per_day p GROUP BY p.supplier ORDER BY p.supplier""",
                {"days": STABILITY_DAYS},
            )
            suppliers = tuple(
                _steadiness(row["supplier"], row["days"], row["orders"], row["ordered"], row["demanded"])
                for row in await cursor.fetchall()
            )
            await cursor.execute(
                "SELECT coalesce(sum(rescores), 0) AS rescored, coalesce(sum(rescores_changed), 0) AS changed FROM task"
            )
            row = await cursor.fetchone() or {"rescored": 0, "changed": 0}
            return Stability(suppliers=suppliers, rescored=row["rescored"], rescored_changed=row["changed"])


def _ranked(rows: Sequence[DictRow], amount: Decimal) -> Ranking:
    open_proposals = [
        Decided(
            decision=Decision.model_validate_json(row["body"]),
            inputs=DecisionInputs.model_validate_json(row["inputs"]),
        )
        for row in rows
    ]
    return budget(open_proposals, amount)


def _steadiness(supplier: str, days: int, orders: int, ordered: Decimal, demanded: Decimal) -> Steadiness:
    ratio = (ordered / demanded).quantize(MILLI, rounding=ROUND_HALF_EVEN) if days > 1 and demanded else None
    return Steadiness(
        supplier=supplier, days=days, orders=orders, variance_ratio=ratio,
        order_variance=ordered.quantize(MILLI, rounding=ROUND_HALF_EVEN),
        demand_variance=demanded.quantize(MILLI, rounding=ROUND_HALF_EVEN),
    )  # fmt: skip
