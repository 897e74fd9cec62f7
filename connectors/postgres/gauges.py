"""Reads the figures that operators watch, in one pass over small counts."""

from dataclasses import dataclass
from datetime import UTC, datetime

from connectors.postgres.pool import Connection, transaction


@dataclass(frozen=True)
class Reading:
    """What the database says now."""

    decisions: dict[tuple[str, str], int]
    """Decisions recorded so far by (kind, tier); holds have no tier."""
    orders: dict[str, int]
    """Purchase orders by state."""
    answered: list[tuple[str, float]]
    """(state, seconds on the wall clock from opening to answer) of tasks answered since the last reading."""
    model_age_days: int | None
    """Days on the business clock since the last day that the champion was trained on."""
    at: datetime


class Gauges:
    """Remembers when it last looked, so that each answer is counted once."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        with transaction(connection) as cursor:
            cursor.execute("SELECT clock_timestamp() AS now")
            row = cursor.fetchone()
        self._since: datetime = row["now"] if row else datetime.now(UTC)

    def read(self) -> Reading:
        """Look now."""
        with transaction(self._connection) as cursor:
            cursor.execute("SELECT clock_timestamp() AS now")
            row = cursor.fetchone()
            now = row["now"] if row else self._since
            cursor.execute(
                """SELECT d.kind, coalesce(r.tier, '') AS tier, count(*) AS n FROM decision d
                   LEFT JOIN replenishment r USING (decision_id) GROUP BY 1, 2"""
            )
            decisions = {(one["kind"], one["tier"]): one["n"] for one in cursor.fetchall()}
            cursor.execute("SELECT state, count(*) AS n FROM purchase_order GROUP BY state")
            orders = {one["state"]: one["n"] for one in cursor.fetchall()}
            cursor.execute(
                """SELECT t.state, extract(epoch FROM t.answered_at - r.recorded_at)::float AS seconds
                   FROM task t JOIN replenishment r USING (decision_id)
                   WHERE t.answered_at > %s AND t.answered_at <= %s""",
                [self._since, now],
            )
            answered = [(one["state"], one["seconds"]) for one in cursor.fetchall()]
            cursor.execute(
                """SELECT max((c.watermark AT TIME ZONE 'UTC')::date) - max(m.trained_through) AS days
                   FROM business_clock c, model_version m WHERE m.status = 'champion'"""
            )
            age = cursor.fetchone()
        self._since = now
        return Reading(decisions, orders, answered, age["days"] if age else None, now)
