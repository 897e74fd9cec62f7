"""The figures about money: what deciding cost, as measured, and what the static reorder point would have cost.

Comparing is work: it is done once per half-year of an item at a location, again when more of its decisions were
measured, and kept by week; a report only adds up. A crash between measuring and comparing loses nothing: the measured
decisions that were not compared are found by their own mark.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import facts
from connectors.postgres.places import Key, places_of
from connectors.postgres.pool import Database
from workflows.domain.attention import Attention
from workflows.domain.money import WEEKS, AvoidedWeek, CostAvoided, CostPerDecision, Costs, MoneyReport, interval
from workflows.domain.outcomes import Outcome, OutcomeFacts
from workflows.domain.ports import Outcomes
from workflows.domain.static_replay import Compared, replay

Cursor = psycopg.AsyncCursor[DictRow]
AT_ONCE = 100
"""Half-years of items at locations in one transaction."""
SETTLED = timedelta(days=3)
"""Decisions that were measured so long before the newest one are compared: not each day's anew for every item."""
ROUNDS = 50
"""Transactions that one measuring may add: what is left over is found by the next."""

_MEASURED = """
SELECT (SELECT count(*) FROM decision WHERE revision = 1) AS decisions,
       (SELECT coalesce(sum(extract(epoch FROM finished_at - started_at)), 0) FROM need_batch
        WHERE finished_at > started_at) AS assessing,
       (SELECT coalesce(sum((convert_from(facts, 'UTF8')::jsonb ->> 'seconds')::numeric), 0) FROM model_version)
           AS training,
       (SELECT count(*) FROM approval WHERE meaning <> 'expire') AS verdicts,
       pg_database_size(current_database()) AS bytes
"""
_DUE = """
SELECT d.location, d.item, s.stretch::date AS stretch, array_agg(decision_id) AS decisions FROM (
    SELECT decision_id FROM outcome WHERE compared_at IS NULL AND measured_at <= (
        SELECT max(measured_at) FROM outcome) - %(settled)s::interval
    ORDER BY measured_at, decision_id LIMIT %(limit)s
) o JOIN decision d USING (decision_id) CROSS JOIN LATERAL unnest(ARRAY[
    date_trunc('year', d.decided_at AT TIME ZONE 'UTC')
        + CASE WHEN extract(month FROM d.decided_at AT TIME ZONE 'UTC') > 6 THEN interval '6 months'
               ELSE interval '0' END,
    date_trunc('year', (d.horizon_end - 1)::timestamp)
        + CASE WHEN extract(month FROM d.horizon_end - 1) > 6 THEN interval '6 months' ELSE interval '0' END
]) AS s (stretch) GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""
_WEEKS = """
SELECT week, sum(decisions)::int AS decisions, sum(days)::int AS days, sum(holding) AS holding,
       sum(shortage) AS shortage, sum(ordering) AS ordering, sum(static_holding) AS static_holding,
       sum(static_shortage) AS static_shortage, sum(static_ordering) AS static_ordering
FROM compared_week WHERE week > %(since)s GROUP BY week ORDER BY week DESC
"""
_PLACES = """
SELECT count(*) AS places, stddev_samp(difference) AS deviation, coalesce(sum(censored), 0) AS censored,
       coalesce(sum(wanted), 0) AS wanted, coalesce(sum(imputed), 0) AS imputed
FROM (
    SELECT sum(static_holding + static_shortage + static_ordering - holding - shortage - ordering) AS difference,
           sum(censored_days) AS censored, sum(wanted_units) AS wanted, sum(imputed_units) AS imputed
    FROM compared_week WHERE week > %(since)s GROUP BY location, item
) p
"""


class PostgresMoney:
    """The `Money` port, and the comparing behind it."""

    def __init__(self, database: Database, *, threads: int = 1) -> None:
        self._database = database
        self._threads = threads
        """On which models are trained here."""

    async def report(self, weeks: int = WEEKS) -> MoneyReport:
        """See the port."""
        async with self._database.transaction("money.report") as cursor:
            await cursor.execute(_MEASURED)
            measured = await cursor.fetchone() or {}
            attention = (await facts.current_policy(cursor)).attention or Attention()
            currency = await facts.setting(cursor, "currency", "EUR")
            cost = CostPerDecision(
                decisions=measured["decisions"], storage_bytes=measured["bytes"], verdicts=measured["verdicts"],
                compute_seconds=measured["assessing"] + measured["training"] * self._threads,
                review_minutes=attention.minutes, wage_per_hour=attention.wage_per_hour,
            )  # fmt: skip
            return MoneyReport(currency=currency, cost=cost, avoided=await _avoided(cursor, weeks))

    async def compare(self, *, settled: timedelta = SETTLED, rounds: int = ROUNDS) -> int:
        """Compare what was measured and not compared yet; how many half-years of items at locations that were."""
        compared = 0
        for _ in range(rounds):
            done = await self._compare_some(settled)
            compared += done
            if not done:
                break
        return compared

    async def _compare_some(self, settled: timedelta) -> int:
        async with self._database.transaction("money.compare") as cursor:
            # Two who compare at once would write the same rows: the second waits, and finds nothing left.
            await cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('comparing money', 17))")
            await cursor.execute(_DUE, {"settled": settled, "limit": AT_ONCE})
            due: dict[date, list[Key]] = defaultdict(list)
            decisions: set[str] = set()
            for row in await cursor.fetchall():
                due[row["stretch"]].append((row["location"], row["item"]))
                decisions.update(row["decisions"])
            for stretch, keys in due.items():
                await _compare(cursor, stretch, keys)
            await cursor.execute(
                "UPDATE outcome SET compared_at = clock_timestamp() WHERE decision_id = ANY(%s)", [sorted(decisions)]
            )
            return sum(map(len, due.values()))


class ComparedOutcomes(Outcomes):
    """The `Outcomes` port of the worker: what is measured is compared soon after."""

    def __init__(self, outcomes: Outcomes, money: PostgresMoney) -> None:
        self._outcomes = outcomes
        self._money = money

    async def due(self, limit: int) -> list[OutcomeFacts]:
        return await self._outcomes.due(limit)

    async def record(self, outcomes: Sequence[Outcome]) -> int:
        stored = await self._outcomes.record(outcomes)
        await self._money.compare()
        return stored


def half_year_after(stretch: date) -> date:
    """The first day of the half-year after the one that begins on this day."""
    return date(stretch.year, 7, 1) if stretch.month == 1 else date(stretch.year + 1, 1, 1)


async def _compare(cursor: Cursor, stretch: date, keys: Sequence[Key]) -> None:
    end = half_year_after(stretch)
    places = await places_of(cursor, keys, stretch, end)
    rows = []
    for key in keys:
        place = places.get(key)
        compared = replay(place, stretch, end) if place else []
        by_week: dict[date, list[Compared]] = defaultdict(list)
        for one in compared:
            by_week[one.day - timedelta(days=one.day.weekday())].append(one)
        taken = {one.day for one in compared}
        for week, days in by_week.items():
            decisions = sum(
                1 for one in (place.decisions if place else ()) if one.day in taken and 0 <= (one.day - week).days < 7
            )
            rows.append((*key, stretch, week, decisions, *_sums(days)))
    locations, items = zip(*keys, strict=True)
    chosen = {"locations": list(locations), "items": list(items), "stretch": stretch, "end": end}
    joined = "JOIN unnest(%(locations)s::text[], %(items)s::text[]) AS k (location, item) USING (location, item)"
    await cursor.execute(
        """DELETE FROM compared_week w USING unnest(%(locations)s::text[], %(items)s::text[]) AS k (location, item)
           WHERE (w.location, w.item, w.stretch) = (k.location, k.item, %(stretch)s)""",
        chosen,
    )
    await cursor.executemany(
        f"INSERT INTO compared_week VALUES ({', '.join(['%s'] * 15)})",  # noqa: S608 - placeholders
        rows,
    )
    # What lies wholly in the stretch was compared along; what reaches beyond it waits until it is due itself.
    await cursor.execute(
        f"""UPDATE outcome o SET compared_at = clock_timestamp() FROM decision d {joined}
            WHERE d.decision_id = o.decision_id AND o.compared_at IS NULL
              AND d.horizon_end <= %(end)s AND (d.decided_at AT TIME ZONE 'UTC')::date >= %(stretch)s""",  # noqa: S608
        chosen,
    )


def _sums(days: Sequence[Compared]) -> tuple[int | Decimal, ...]:
    happened = sum((one.happened for one in days), Costs())
    static = sum((one.static for one in days), Costs())
    return (
        len(days), sum(one.censored for one in days), sum((one.wanted for one in days), Decimal(0)),
        sum((one.imputed for one in days), Decimal(0)), happened.holding, happened.shortage, happened.ordering,
        static.holding, static.shortage, static.ordering,
    )  # fmt: skip


async def _avoided(cursor: Cursor, weeks: int) -> CostAvoided:
    await cursor.execute("SELECT max(week) AS week FROM compared_week")
    newest = (await cursor.fetchone() or {}).get("week")
    await cursor.execute("SELECT count(*) AS n FROM outcome WHERE compared_at IS NULL")
    uncounted = (await cursor.fetchone() or {"n": 0})["n"]
    if newest is None:
        return CostAvoided(uncounted=uncounted)
    since = {"since": newest - timedelta(weeks=weeks)}
    await cursor.execute(_WEEKS, since)
    found = tuple(
        AvoidedWeek(
            week=row["week"], decisions=row["decisions"], days=row["days"],
            happened=Costs(holding=row["holding"], shortage=row["shortage"], ordering=row["ordering"]),
            static=Costs(
                holding=row["static_holding"], shortage=row["static_shortage"], ordering=row["static_ordering"]
            ),
        )
        for row in await cursor.fetchall()
    )  # fmt: skip
    await cursor.execute(_PLACES, since)
    row = await cursor.fetchone() or {}
    total = sum((week.avoided for week in found), Decimal(0))
    low, high = interval(total, row["places"], row["deviation"])
    return CostAvoided(
        weeks=found, low=low, high=high, places=row["places"], censored_days=row["censored"],
        wanted_units=row["wanted"], imputed_units=row["imputed"], uncounted=uncounted,
    )  # fmt: skip
