"""Shows reconciliation reports to people, and takes down why a difference is no fault."""

from connectors.postgres import ledger
from connectors.postgres.pool import Database
from connectors.postgres.reconciliation import REPORT, stream_of
from workflows.domain.approvals import Actor
from workflows.domain.errors import Conflict, InvalidInput, NotFound
from workflows.domain.ledger import EntryType, NewEntry
from workflows.domain.reconciliation import Difference
from workflows.domain.reconciling import Reading, Report

MAX_EXPLANATION_CHARS = 500
_NEWEST = """
SELECT * FROM (
    SELECT DISTINCT ON (supplier) * FROM reconciliation_report WHERE finished_at IS NOT NULL
    ORDER BY supplier, begun_at DESC
) AS newest
"""


class PostgresReconciliationDesk:
    """The `ReconciliationDesk` port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def newest(self) -> list[Report]:
        """See the port."""
        async with self._database.reading() as cursor:
            await cursor.execute(
                f"WITH r AS ({_NEWEST}) "
                + REPORT.replace("FROM reconciliation_report r", "FROM r")
                + "ORDER BY open DESC, supplier LIMIT 1000"
            )
            return [Report.model_validate(row) for row in await cursor.fetchall()]

    async def under_way(self) -> list[Reading]:
        """See the port."""
        async with self._database.reading() as cursor:
            await cursor.execute(
                "SELECT * FROM reconciliation_report WHERE finished_at IS NULL ORDER BY begun_at, supplier LIMIT 1000"
            )
            return [Reading.model_validate(row) for row in await cursor.fetchall()]

    async def report(self, report_id: str) -> Report:
        """See the port."""
        async with self._database.reading() as cursor:
            await cursor.execute(REPORT + "WHERE r.report_id = %s AND r.finished_at IS NOT NULL", [report_id])
            row = await cursor.fetchone()
            if row is None:
                raise NotFound(f"there is no report {report_id}")
            return Report.model_validate(row)

    async def differences(self, report_id: str, *, after: int = 0, limit: int = 100) -> list[Difference]:
        """See the port."""
        async with self._database.reading() as cursor:
            await cursor.execute("SELECT 1 FROM reconciliation_report WHERE report_id = %s", [report_id])
            if await cursor.fetchone() is None:
                raise NotFound(f"there is no report {report_id}")
            await cursor.execute(
                """SELECT d.difference_id, d.kind, d.key, d.order_id, d.supplier_number, d.says,
                          coalesce(d.explained, e.explanation) AS explained, e.explained_by
                   FROM reconciliation_difference d LEFT JOIN difference_explanation e USING (difference_id)
                   WHERE d.report_id = %s AND d.number > %s ORDER BY d.number LIMIT %s""",
                [report_id, after, limit],
            )
            return [Difference.model_validate(row) for row in await cursor.fetchall()]

    async def explain(self, difference_id: str, explanation: str, actor: Actor) -> None:
        """See the port."""
        explanation = explanation.strip()
        if not 3 <= len(explanation) <= MAX_EXPLANATION_CHARS or not explanation.isprintable():
            raise InvalidInput(f"say why in one line of 3 to {MAX_EXPLANATION_CHARS} characters")
        async with self._database.transaction("reconciliation.explain") as cursor:
            await cursor.execute(
                """SELECT r.supplier, d.report_id, d.kind, d.key FROM reconciliation_difference d
                   JOIN reconciliation_report r USING (report_id) WHERE d.difference_id = %s
                   ORDER BY r.begun_at DESC LIMIT 1""",
                [difference_id],
            )
            row = await cursor.fetchone()
            if row is None:
                raise NotFound(f"no report has a difference {difference_id[:64]}")
            await cursor.execute(
                """INSERT INTO difference_explanation (difference_id, supplier, explanation, explained_by)
                   VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING RETURNING explained_at""",
                [difference_id, row["supplier"], explanation, actor.name],
            )
            told = await cursor.fetchone()
            if told is None:
                await cursor.execute(
                    "SELECT explanation, explained_by FROM difference_explanation WHERE difference_id = %s",
                    [difference_id],
                )
                before = await cursor.fetchone()
                if before is not None and before["explanation"] != explanation:
                    raise Conflict(f"{before['explained_by']} explained it already: {before['explanation']}")
                return
            body = {
                "difference": difference_id, "report": row["report_id"], "kind": row["kind"], "key": row["key"],
                "explanation": explanation, "channel": actor.channel,
            }  # fmt: skip
            entry = NewEntry(
                stream=stream_of(row["supplier"]), type=EntryType.DIFFERENCE_EXPLAINED, actor=actor.name,
                occurred_at=told["explained_at"], body=body,
            )  # fmt: skip
            await ledger.append(cursor, [entry])
