"""Finds waiting tasks whose stock has moved since their proposal, a stretch at a time: a look takes a few milliseconds.

With a hundred thousand waiting tasks one look at all of them would take half a second of every round of the relay. So
each look goes on where the one before ended, the dearest to leave waiting first; few tasks are all seen by every look.
"""

from typing import Any

from connectors.postgres.pool import Connection, transaction
from connectors.postgres.task_views import ORDER

STRETCH = 1_000
"""Waiting tasks that one look goes through."""

_MOVED = """
WITH stretch AS MATERIALIZED (
    SELECT t.decision_id, t.location, t.item, t.available_units, t.tolerance_units, t.rescore_asked_at, t.opened_at,
           t.cost_of_waiting, t.expire_at, row_number() OVER (ORDER BY {order}) AS n
    FROM task t WHERE t.state = 'open' {after} ORDER BY {order} LIMIT %(stretch)s
), moved AS (
    UPDATE task t SET rescore_asked_at = m.watermark, rescore_wanted = true
    FROM (SELECT s.decision_id, c.watermark FROM stretch s
          JOIN business_clock c ON c.location = s.location
          JOIN position p ON p.location = s.location AND p.item = s.item
          WHERE (s.rescore_asked_at IS NULL OR s.rescore_asked_at < c.watermark) AND c.watermark > s.opened_at
            AND abs(p.on_hand_units + p.on_order_units - p.reserved_units - s.available_units) > s.tolerance_units) m
    WHERE t.decision_id = m.decision_id AND t.state = 'open'
      AND (t.rescore_asked_at IS NULL OR t.rescore_asked_at < m.watermark)
    RETURNING t.decision_id
)
SELECT ARRAY(SELECT decision_id FROM moved ORDER BY decision_id) AS moved, last.cost_of_waiting AS cost,
       last.expire_at AS deadline, last.decision_id AS last
FROM (SELECT 1) one LEFT JOIN stretch last ON last.n = %(stretch)s
"""
_AFTER = f"AND ({ORDER}) > (-%(cost)s, %(deadline)s, %(last)s)"


class MovedTasks:
    """Where the looks have come to; a new one begins with the dearest task."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._place: dict[str, Any] = {}

    def look(self) -> list[str]:
        """The tasks of the next stretch whose available stock moved past tolerance; each once per clock tick.

        Each is wanted scored again until its workflow was told: it may not be there yet, or whoever tells it may die.
        """
        query = _MOVED.format(order=ORDER, after=_AFTER if self._place else "")
        with transaction(self._connection, "moved_tasks.ask") as cursor:
            cursor.execute(query.encode(), {**self._place, "stretch": STRETCH})
            row = cursor.fetchone() or {"moved": [], "last": None}
        self._place = {name: row[name] for name in ("cost", "deadline", "last")} if row["last"] is not None else {}
        return list(row["moved"])
