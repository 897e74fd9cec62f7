"""Counts what is still under way, so that whoever plays a world waits for the engine before the next hour strikes."""

from collections.abc import Sequence

from connectors.postgres.pool import Connection, reading

_UNSETTLED = """
SELECT
    (SELECT count(*) FROM need WHERE state = 'open') AS needs,
    (SELECT count(*) FROM need_batch WHERE finished_at IS NULL) AS batches,
    (SELECT count(*) FROM replenishment r LEFT JOIN task t USING (decision_id)
     WHERE r.state = 'proposed' AND (r.tier = 'auto' OR t.state <> 'open')) AS releases,
    (SELECT count(*) FROM approval a JOIN replenishment r USING (decision_id)
     WHERE a.heard_at IS NULL AND a.voided_at IS NULL AND a.complete AND r.state = 'proposed') AS verdicts,
    (SELECT count(*) FROM clock_wait w JOIN business_clock c USING (location)
     WHERE w.ticked_at IS NULL AND w.instant <= c.watermark) AS ticks,
    (SELECT count(*) FROM task t JOIN business_clock c USING (location)
     WHERE t.state = 'open' AND t.expire_at <= c.watermark) AS expiries,
    (SELECT count(*) FROM purchase_order o JOIN business_clock c USING (location)
     WHERE o.cutoff_at <= c.watermark AND o.state IN ('collecting', 'sending', 'in_doubt')
       AND o.held_by IS NULL) AS orders
"""

_OUTCOMES_DUE = """
SELECT count(DISTINCT d.decision_id) AS n FROM decision d JOIN business_clock c USING (location)
WHERE d.horizon_end <= (c.watermark AT TIME ZONE 'UTC')::date
  AND NOT EXISTS (SELECT 1 FROM outcome o WHERE o.decision_id = d.decision_id)
  AND NOT EXISTS (SELECT 1 FROM decision later WHERE later.decision_id = d.decision_id AND later.revision > d.revision)
  AND NOT EXISTS (SELECT 1 FROM replenishment r WHERE r.decision_id = d.decision_id AND r.state = 'proposed')
"""


class Settling:
    """What a driver of events waits for."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def unsettled(self) -> dict[str, int]:
        """What is under way, by kind; only kinds with something in them. Tasks that wait for a person do not count."""
        with reading(self._connection) as cursor:
            cursor.execute(_UNSETTLED)
            row = cursor.fetchone() or {}
        return {kind: count for kind, count in row.items() if count}

    def outcomes_due(self) -> int:
        """Decisions with an end whose horizon has passed and that are not measured yet: those of `Outcomes.due`."""
        with reading(self._connection) as cursor:
            cursor.execute(_OUTCOMES_DUE)
            row = cursor.fetchone()
            return int(row["n"]) if row else 0

    def missing(self, identities: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        """Those of these events (source, id) that the inbox does not have."""
        if not identities:
            return set()
        with reading(self._connection) as cursor:
            cursor.execute(
                """SELECT k.source, k.event_id FROM unnest(%s::text[], %s::text[]) AS k (source, event_id)
                   LEFT JOIN inbox i USING (source, event_id) WHERE i.source IS NULL""",
                [[source for source, _ in identities], [event for _, event in identities]],
            )
            return {(row["source"], row["event_id"]) for row in cursor.fetchall()}
