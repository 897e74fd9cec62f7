"""Finds decisions that have their end and whose horizon has passed, and stores what came of them."""

from collections.abc import Sequence

from connectors.postgres import ledger
from connectors.postgres.pool import Database
from workflows.domain.decisions import DecisionInputs
from workflows.domain.identity import canonical
from workflows.domain.ledger import EntryType, NewEntry, merkle_root
from workflows.domain.outcomes import Outcome, OutcomeFacts

# What still waits for an answer has come to nothing yet: it is measured once it was ordered or closed.
_DUE = """
SELECT d.decision_id, d.location, d.item, d.kind, d.horizon_end, c.watermark, e.body AS inputs,
       (d.decided_at AT TIME ZONE 'UTC')::date AS first_day,
       (SELECT coalesce(sum(units), 0) FROM daily_demand q WHERE q.location = d.location AND q.item = d.item
            AND q.day >= (d.decided_at AT TIME ZONE 'UTC')::date AND q.day < d.horizon_end) AS demand,
       (SELECT count(*) FROM stockout_day s WHERE s.location = d.location AND s.item = d.item
            AND s.day >= (d.decided_at AT TIME ZONE 'UTC')::date AND s.day < d.horizon_end) AS days_out,
       coalesce(l.units, 0)::bigint AS ordered, coalesce(l.received_units, 0)::bigint AS received, p.on_hand_units
FROM decision d
JOIN business_clock c ON c.location = d.location
JOIN evidence e ON e.sha256 = d.inputs_sha256
JOIN position p ON p.location = d.location AND p.item = d.item
LEFT JOIN order_line l ON l.need_id = d.decision_id AND l.refused_reason IS NULL
    AND EXISTS (SELECT 1 FROM purchase_order b WHERE b.order_id = l.order_id
                AND b.state IN ('sending', 'in_doubt', 'placed', 'received', 'closed'))
WHERE d.horizon_end <= (c.watermark AT TIME ZONE 'UTC')::date
  AND NOT EXISTS (SELECT 1 FROM outcome o WHERE o.decision_id = d.decision_id)
  AND NOT EXISTS (SELECT 1 FROM decision n WHERE n.decision_id = d.decision_id AND n.revision > d.revision)
  AND NOT EXISTS (SELECT 1 FROM replenishment r WHERE r.decision_id = d.decision_id AND r.state = 'proposed')
ORDER BY d.horizon_end, d.decision_id LIMIT %s
"""


class PostgresOutcomes:
    """The `Outcomes` port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def due(self, limit: int) -> list[OutcomeFacts]:
        async with self._database.reading() as cursor:
            await cursor.execute(_DUE, [limit])
            rows = await cursor.fetchall()
        found = []
        for row in rows:
            inputs = DecisionInputs.model_validate_json(row["inputs"])
            scores = inputs.scores
            found.append(
                OutcomeFacts(
                    decision_id=row["decision_id"], horizon_days=max(1, (row["horizon_end"] - row["first_day"]).days),
                    closed_at=row["watermark"], demand_units=max(0, int(row["demand"])), forecast_p10=scores.demand_p10,
                    forecast_p50=scores.demand_p50, forecast_p90=scores.demand_p90, days_out_of_stock=row["days_out"],
                    ordered_units=row["ordered"], received_units=row["received"], on_hand_units=row["on_hand_units"],
                    shortage_per_unit=inputs.shortage_per_unit, holding_per_unit_day=inputs.holding_per_unit_day,
                )
            )  # fmt: skip
        return found

    async def record(self, outcomes: Sequence[Outcome]) -> int:
        """Proposals get an entry in their own chain; outcomes of holds one entry for all of them."""
        async with self._database.transaction("outcomes.record") as cursor:
            new: list[Outcome] = []
            for outcome in outcomes:
                await cursor.execute(
                    """INSERT INTO outcome (decision_id, measured_at, body, stocked_out, within_interval, cost)
                       VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING""",
                    [outcome.facts.decision_id, outcome.facts.closed_at, canonical(outcome), outcome.stocked_out,
                     outcome.within_interval, outcome.cost],
                )  # fmt: skip
                if cursor.rowcount == 1:
                    new.append(outcome)
            await cursor.execute(
                "SELECT decision_id FROM replenishment WHERE decision_id = ANY(%s)",
                [[o.facts.decision_id for o in new]],
            )
            proposals = {row["decision_id"] for row in await cursor.fetchall()}
            own = [o for o in new if o.facts.decision_id in proposals]
            rest = [o for o in new if o.facts.decision_id not in proposals]
            entries = [_entry(o.facts.decision_id, o, {"outcome": o.model_dump(mode="json")}) for o in own]
            if rest:
                root = merkle_root(canonical(o) for o in rest)
                entries.append(_entry("outcomes", rest[-1], {"holds": len(rest), "merkle_root": root}))
            await ledger.append(cursor, entries)
            return len(new)


def _entry(stream: str, outcome: Outcome, body: dict[str, object]) -> NewEntry:
    at = outcome.facts.closed_at
    return NewEntry(stream=stream, type=EntryType.OUTCOME_MEASURED, actor="engine", occurred_at=at, body=body)
