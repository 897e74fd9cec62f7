"""Finds stored rows that a workflow must hear of, and notes what was told: the relay's eyes.

Nothing here decides; everything may be asked and told twice.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from psycopg.rows import DictRow

from connectors.postgres import needs, task_waking
from connectors.postgres.launching import DUE_ORDER, UNSTARTED_REF, Started
from connectors.postgres.moved_tasks import MovedTasks
from connectors.postgres.pool import Connection, reading, transaction
from workflows.domain.needs import NeedBatch
from workflows.domain.orders import OrderRef
from workflows.domain.ports import ReplenishmentRef

_LOST_ORDER = b"""
UPDATE purchase_order SET workflow_started_at = NULL
WHERE order_id = %s AND state IN ('collecting', 'sending', 'in_doubt', 'placed')
"""
_LOST_REPLENISHMENT = b"""
UPDATE replenishment SET workflow_started_at = NULL WHERE decision_id = %s AND state = 'proposed'
"""


class OrderToWake(NamedTuple):
    """An order whose workflow is to try again: because of the lifted or ended switch that held it, or of what a person
    asked for at this instant."""

    order_id: str
    held_by: str | None
    wake_at: datetime | None


class RelayStore:
    """What the relay reads and notes, on one connection of its own."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._wanted: dict[str, str] = {}
        self._moved = MovedTasks(connection)

    def batches(self, retry_after_s: float) -> list[NeedBatch]:
        """New batches of unassessed needs, and old ones whose workflow is not known to have finished."""
        with transaction(self._connection, "batches.make") as cursor:
            needs.make_batches(cursor)
            return needs.unfinished_batches(cursor, retry_after_s)

    def batches_started(self, batch_ids: Sequence[str]) -> None:
        """Note that these batches' workflows run."""
        self._run(
            "batches.started",
            "UPDATE need_batch SET started_at = clock_timestamp() WHERE batch_id = ANY(%s)",
            [list(batch_ids)],
        )

    def replenishments(self, older_than_s: float) -> list[tuple[ReplenishmentRef, str | None]]:
        """Proposals whose workflow is not noted as running, with their trace context."""
        rows = self._rows(
            UNSTARTED_REF
            + """WHERE r.workflow_started_at IS NULL AND r.state = 'proposed'
                      AND r.recorded_at < clock_timestamp() - make_interval(secs => %s)
                      ORDER BY r.recorded_at LIMIT 200""",
            [older_than_s],
        )
        return [(ReplenishmentRef.model_validate(row), row["traceparent"]) for row in rows]

    def replenishments_started(self, decision_ids: Sequence[str]) -> None:
        """Note that these proposals' workflows run."""
        self._run(
            "replenishments.started",
            "UPDATE replenishment SET workflow_started_at = clock_timestamp() WHERE decision_id = ANY(%s)",
            [list(decision_ids)],
        )

    def lost(self, subject: str, subject_id: str) -> bool:
        """Offer a subject for another start: its workflow runs no more. Whatever it was told is told to the next one.

        False when nothing is owed any more: the subject is over.
        """
        with transaction(self._connection, "workflow.lost") as cursor:
            cursor.execute(_LOST_ORDER if subject == "order" else _LOST_REPLENISHMENT, [subject_id])
            if cursor.rowcount == 0:
                return False
            cursor.execute(
                "UPDATE clock_wait SET ticked_at = NULL WHERE subject = %s AND subject_id = %s", [subject, subject_id]
            )
            if subject != "order":
                cursor.execute(
                    "UPDATE approval SET heard_at = NULL WHERE decision_id = %s AND voided_at IS NULL", [subject_id]
                )
            return True

    def unseen(self, older_than_s: float, limit: int) -> list[tuple[str, str]]:
        """(subject, id) of what is not over and whose workflow nobody has seen running for so long."""
        rows = self._rows(
            """(SELECT 'order' AS subject, order_id AS id, workflow_started_at AS seen_at FROM purchase_order
                WHERE state IN ('collecting', 'sending', 'in_doubt', 'placed')
                  AND workflow_started_at < now() - make_interval(secs => %(age)s)
                ORDER BY workflow_started_at LIMIT %(most)s)
               UNION ALL
               (SELECT 'replenishment', decision_id, workflow_started_at FROM replenishment
                WHERE state = 'proposed' AND workflow_started_at < now() - make_interval(secs => %(age)s)
                ORDER BY workflow_started_at LIMIT %(most)s)
               ORDER BY seen_at LIMIT %(most)s""",
            {"age": older_than_s, "most": limit},
        )
        return [(row["subject"], row["id"]) for row in rows]

    def orders(self) -> list[Started]:
        """Orders whose workflow is not noted as running."""
        rows = self._rows(
            DUE_ORDER + "WHERE o.workflow_started_at IS NULL ORDER BY o.created_at LIMIT 200",
            [],
        )
        return [(OrderRef.model_validate(row), row["traceparent"]) for row in rows]

    def orders_started(self, order_ids: Sequence[str]) -> None:
        """Note that these orders' workflows run."""
        self._run(
            "orders.started",
            "UPDATE purchase_order SET workflow_started_at = clock_timestamp() WHERE order_id = ANY(%s)",
            [list(order_ids)],
        )

    def due_ticks(self) -> list[tuple[str, str, datetime, datetime]]:
        """(subject, id, instant, watermark) of waits that the business clock has passed."""
        rows = self._rows(
            """SELECT w.subject, w.subject_id, w.instant, c.watermark
               FROM clock_wait w JOIN business_clock c USING (location)
               WHERE w.ticked_at IS NULL AND w.instant <= c.watermark ORDER BY w.instant LIMIT 500""",
            [],
        )
        return [(row["subject"], row["subject_id"], row["instant"], row["watermark"]) for row in rows]

    def ticked(self, subject: str, subject_id: str, instant: datetime) -> None:
        """Note that the workflow was told, or is over."""
        self._run(
            "clock.ticked",
            """UPDATE clock_wait SET ticked_at = clock_timestamp()
               WHERE subject = %s AND subject_id = %s AND instant <= %s AND ticked_at IS NULL""",
            [subject, subject_id, instant],
        )

    def settled_orders(self) -> list[str]:
        """Orders that came to their end through events and whose workflow has not heard of it."""
        rows = self._rows(
            """SELECT order_id FROM purchase_order WHERE settled_at IS NOT NULL AND told_at IS NULL
               ORDER BY settled_at LIMIT 200""",
            [],
        )
        return [row["order_id"] for row in rows]

    def order_told(self, order_id: str) -> None:
        """Note that the order's workflow has heard of its end."""
        self._run("order.told", "UPDATE purchase_order SET told_at = clock_timestamp() WHERE order_id = %s", [order_id])

    def orders_to_wake(self) -> list[OrderToWake]:
        """Orders whose workflow is to try again."""
        rows = self._rows(
            """SELECT o.order_id, o.held_by, o.wake_at
               FROM send_stop s JOIN purchase_order o ON o.held_by = s.stop_id
               WHERE s.lifted_at IS NOT NULL OR s.ends_at <= clock_timestamp()
               UNION SELECT order_id, NULL, wake_at FROM purchase_order WHERE wake_at IS NOT NULL
               LIMIT 200""",
            [],
        )
        return [OrderToWake(**row) for row in rows]

    def order_woken(self, order: OrderToWake) -> None:
        """Note that the order's workflow was told. A switch that holds it meanwhile stays noted, and so does what a
        person asked for meanwhile: the workflow may have been told just before."""
        self._run(
            "order.woken",
            """UPDATE purchase_order SET wake_at = CASE WHEN wake_at <= %(at)s THEN NULL ELSE wake_at END,
                   held_at = CASE WHEN held_by = %(by)s THEN NULL ELSE held_at END,
                   held_by = CASE WHEN held_by = %(by)s THEN NULL ELSE held_by END
               WHERE order_id = %(order)s""",
            {"by": order.held_by, "order": order.order_id, "at": order.wake_at},
        )

    def moved_tasks(self) -> list[str]:
        """Waiting tasks whose available stock moved past tolerance since their proposal; each once per clock tick. Of
        many tasks each call looks through the next ones."""
        return self._moved.look()

    def wake_tasks(self) -> int:
        """Show snoozed tasks again whose instant or receipt has come; how many."""
        return task_waking.wake_due(self._connection)

    def rescores_wanted(self) -> list[str]:
        """Tasks that a person wants scored again."""
        self._wanted = task_waking.rescores_wanted(self._connection)
        return list(self._wanted)

    def rescore_told(self, decision_id: str) -> None:
        """Note that the workflow was told."""
        if state := self._wanted.pop(decision_id, None):
            task_waking.rescore_told(self._connection, decision_id, state)

    def advance_live_clocks(self, now: datetime, lateness: timedelta) -> int:
        """Live: an idle location's business clock follows the wall clock less the allowed lateness."""
        opened = 0
        with transaction(self._connection, "clocks.advance") as cursor:
            cursor.execute("SELECT location FROM location ORDER BY location")
            for row in cursor.fetchall():
                opened += len(needs.advance_clock(cursor, row["location"], now.astimezone(UTC) - lateness))
        return opened

    def note_lag(self, behind: Mapping[tuple[str, int], int]) -> None:
        """Keep how far behind the log's end each partition was just now, for people: apart from accepting."""
        places = sorted(behind)
        self._run(
            "lag.note",
            """INSERT INTO intake_lag (topic, partition, behind)
               SELECT * FROM unnest(%s::text[], %s::int[], %s::bigint[])
               ON CONFLICT (topic, partition) DO UPDATE SET behind = excluded.behind, looked_at = clock_timestamp()""",
            [[topic for topic, _ in places], [part for _, part in places], [behind[place] for place in places]],
        )

    def depth(self) -> int:
        """Needs that wait for an assessment: what intake slows down for."""
        rows = self._rows("SELECT count(*) AS n FROM need WHERE state = 'open'", [])
        return int(rows[0]["n"])

    def _rows(self, query: str, arguments: Sequence[Any] | Mapping[str, Any]) -> list[DictRow]:
        with reading(self._connection) as cursor:
            cursor.execute(query.encode(), arguments)
            return cursor.fetchall()

    def _run(self, at: str, query: str, arguments: Sequence[Any] | Mapping[str, Any]) -> None:
        with transaction(self._connection, at) as cursor:
            cursor.execute(query.encode(), arguments)
