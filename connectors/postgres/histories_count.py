"""Counts kept histories against the decisions that they carried."""

from connectors.postgres.pool import Database
from workflows.domain.histories_checked import NAMED

_ENDED = "r.state NOT IN ('proposed', 'blocked') AND r.workflow_started_at IS NOT NULL"
"""What is blocked when it is first scored is carried by no workflow."""
_KEPT = "EXISTS (SELECT 1 FROM workflow_history h WHERE h.workflow_id = 'replenishment/' || r.decision_id)"


class PostgresCounts:
    """What Postgres says of histories and decisions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def histories(self) -> tuple[int, int]:
        """(kept, lost)."""
        async with self._database.reading() as cursor:
            await cursor.execute("SELECT count(sha256) AS kept, count(*) - count(sha256) AS lost FROM workflow_history")
            row = await cursor.fetchone()
        return (row["kept"], row["lost"]) if row else (0, 0)

    async def decisions(self) -> tuple[int, int]:
        """(proposals that ended and were carried by a workflow, of these those with a history)."""
        async with self._database.reading() as cursor:
            await cursor.execute(
                f"SELECT count(*) AS ended, count(*) FILTER (WHERE {_KEPT}) AS kept FROM replenishment r WHERE {_ENDED}"  # noqa: S608
            )
            row = await cursor.fetchone()
        return (row["ended"], row["kept"]) if row else (0, 0)

    async def decisions_without(self, after: str, limit: int) -> list[str]:
        """Those that ended and have no history, by id, from after this one."""
        async with self._database.reading() as cursor:
            await cursor.execute(
                f"""SELECT r.decision_id FROM replenishment r
                    WHERE {_ENDED} AND NOT {_KEPT} AND r.decision_id > %s ORDER BY 1 LIMIT %s""",  # noqa: S608
                [after, limit],
            )
            return [row["decision_id"] for row in await cursor.fetchall()]

    async def histories_without(self) -> list[str]:
        """Workflow ids of kept histories whose proposal did not end, at most `NAMED`."""
        async with self._database.reading() as cursor:
            await cursor.execute(
                """SELECT DISTINCT h.workflow_id FROM workflow_history h
                   LEFT JOIN replenishment r ON 'replenishment/' || r.decision_id = h.workflow_id
                   WHERE h.type = 'replenishment' AND coalesce(r.state, 'proposed') = 'proposed'
                   ORDER BY 1 LIMIT %s""",
                [NAMED],
            )
            return [row["workflow_id"] for row in await cursor.fetchall()]
