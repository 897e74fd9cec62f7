"""Reads the figures that operators watch. Totals over all that ever was take at most a hundredth of the time."""

from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic

from connectors.postgres.pool import Connection, reading

REST = 99
"""Totals rest so many times as long as counting them took: a million decisions are counted in half a second."""

# Without opening the decisions themselves, which are large: what has a row in replenishment began as a proposal, and
# only the few later revisions are asked what they are.
_DECISIONS = """
SELECT kind, tier, sum(n) AS n FROM (
    SELECT 'proposal' AS kind, tier, count(*) AS n FROM replenishment GROUP BY tier
    UNION ALL
    SELECT 'hold', '', (SELECT count(*) FROM decision WHERE revision = 1) - (SELECT count(*) FROM replenishment)
    UNION ALL
    SELECT d.kind, coalesce(r.tier, ''), count(*) FROM decision d LEFT JOIN replenishment r USING (decision_id)
    WHERE d.revision > 1 GROUP BY 1, 2
) counted GROUP BY kind, tier
"""


@dataclass(frozen=True)
class Reading:
    """What the database says now."""

    decisions: dict[tuple[str, str], int]
    """Decisions recorded so far by (kind, tier); holds have no tier. As last counted: see `REST`."""
    orders: dict[str, int]
    """Purchase orders by state, as last counted."""
    answered: list[tuple[str, float]]
    """(state, seconds on the wall clock from opening to answer) of tasks answered since the last reading."""
    model_age_days: int | None
    """Days on the business clock since the last day that the champion was trained on."""
    at: datetime
    histories: tuple[float, int] | None = None
    """Seconds since everything that was closed is kept, and Temporal's retention in seconds."""


class Gauges:
    """Remembers when it last looked, so that each answer is counted once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        with reading(connection) as cursor:
            cursor.execute("SELECT clock_timestamp() AS now")
            row = cursor.fetchone()
        self._since: datetime = row["now"] if row else datetime.now(UTC)
        self._decisions: dict[tuple[str, str], int] = {}
        self._orders: dict[str, int] = {}
        self._count_from = 0.0

    def read(self) -> Reading:
        """Look now."""
        if monotonic() >= self._count_from:
            self._count()
        with reading(self._connection) as cursor:
            cursor.execute("SELECT clock_timestamp() AS now")
            row = cursor.fetchone()
            now = row["now"] if row else self._since
            cursor.execute(
                """SELECT t.state, extract(epoch FROM t.answered_at - r.recorded_at)::float AS seconds
                   FROM task t JOIN replenishment r USING (decision_id)
                   WHERE t.state <> 'open' AND t.answered_at > %s AND t.answered_at <= %s""",
                [self._since, now],
            )
            answered = [(one["state"], one["seconds"]) for one in cursor.fetchall()]
            cursor.execute(
                """SELECT max((c.watermark AT TIME ZONE 'UTC')::date) - max(m.trained_through) AS days
                   FROM business_clock c, model_version m WHERE m.status = 'champion'"""
            )
            age = cursor.fetchone()
            cursor.execute(
                """SELECT extract(epoch FROM clock_timestamp() - swept_through)::float AS ago, retention_seconds
                   FROM history_sweep"""
            )
            swept = cursor.fetchone()
        self._since = now
        return Reading(
            self._decisions, self._orders, answered, age["days"] if age else None, now,
            (swept["ago"], swept["retention_seconds"]) if swept else None,
        )  # fmt: skip

    def _count(self) -> None:
        begun = monotonic()
        with reading(self._connection) as cursor:
            cursor.execute(_DECISIONS)
            self._decisions = {(one["kind"], one["tier"]): int(one["n"]) for one in cursor.fetchall() if one["n"]}
            cursor.execute("SELECT state, count(*) AS n FROM purchase_order GROUP BY state")
            self._orders = {one["state"]: one["n"] for one in cursor.fetchall()}
        now = monotonic()
        self._count_from = now + REST * (now - begun)
