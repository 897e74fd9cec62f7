"""Reads closed decisions for monitoring, and stores readings and alarms, each alarm with its ledger entries."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import ledger
from connectors.postgres.pool import Database
from workflows.domain.ledger import EntryType, NewEntry
from workflows.domain.monitoring import (
    RETRAINING_REST,
    RETRAINS,
    DriftAlarm,
    DriftReading,
    DriftView,
    Recorded,
    WatchedOutcome,
    alarm_id,
)

Cursor = psycopg.AsyncCursor[DictRow]

NEWEST = 20_000
"""Outcomes that are read at most: what is older says little about today."""
PAST_DAYS = 120
SHOWN_ALARMS = 50

# The newest outcomes through their index; what was forecast is in the decision's evidence. A position "ran out" when
# the first day on which an order of that decision could have been sold closed without stock: that is what the risk of
# ordering nothing speaks of. (Days before it nobody could help any more, days after it the next order could.)
_OUTCOMES = """
WITH newest AS (
    SELECT decision_id, body FROM outcome ORDER BY measured_at DESC LIMIT %(newest)s
)
SELECT d.decision_id, d.location, d.item, d.model_digest, d.kind = 'hold' AS held,
       (d.decided_at AT TIME ZONE 'UTC')::date AS decided_on, d.horizon_end AS closed_on,
       s.scores ->> 'segment' AS segment, s.scores ->> 'forecaster' AS forecaster,
       (s.facts ->> 'demand_units')::bigint AS demand_units, (s.facts ->> 'forecast_p10')::numeric AS p10,
       (s.facts ->> 'forecast_p50')::numeric AS p50, (s.facts ->> 'forecast_p90')::numeric AS p90,
       (s.facts ->> 'days_out_of_stock')::int AS days_out_of_stock,
       (s.scores ->> 'stockout_risk')::numeric AS stockout_risk,
       EXISTS (SELECT 1 FROM stockout_day o WHERE o.location = d.location AND o.item = d.item
               AND o.day = (d.decided_at AT TIME ZONE 'UTC')::date + (s.scores ->> 'lead_time_p50_days')::int
              ) AS ran_out,
       coalesce(r.tier = 'review', false) AS gated,
       coalesce(t.state IN ('approved', 'rejected'), false) AS answered,
       EXISTS (SELECT 1 FROM approval a WHERE a.decision_id = d.decision_id AND a.voided_at IS NULL
               AND a.meaning IN ('approve_edited', 'reject')) AS overridden
FROM newest n
JOIN LATERAL (SELECT * FROM decision d WHERE d.decision_id = n.decision_id ORDER BY d.revision DESC LIMIT 1) d ON true
JOIN evidence e ON e.sha256 = d.inputs_sha256
CROSS JOIN LATERAL (SELECT convert_from(e.body, 'UTF8')::jsonb -> 'scores' AS scores,
                           convert_from(n.body, 'UTF8')::jsonb -> 'facts' AS facts) s
LEFT JOIN replenishment r ON r.decision_id = d.decision_id
LEFT JOIN task t ON t.decision_id = d.decision_id
WHERE d.horizon_end <= %(day)s::date + 1 AND d.horizon_end > %(day)s::date - %(past)s
ORDER BY d.horizon_end, d.decision_id
"""


class PostgresMonitoring:
    """The `Monitoring` port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def due(self) -> tuple[date, str] | None:
        async with self._database.reading() as cursor:
            await cursor.execute(
                """SELECT c.day, m.digest FROM model_version m,
                       (SELECT min((watermark AT TIME ZONE 'UTC')::date) - 1 AS day FROM business_clock) c
                   WHERE m.status = 'champion' AND c.day IS NOT NULL
                     AND NOT EXISTS (SELECT 1 FROM drift_day d WHERE d.day >= c.day)"""
            )
            row = await cursor.fetchone()
            return (row["day"], row["digest"]) if row else None

    async def outcomes(self, day: date) -> list[WatchedOutcome]:
        async with self._database.reading() as cursor:
            await cursor.execute(_OUTCOMES, {"newest": NEWEST, "day": day, "past": PAST_DAYS})
            return [WatchedOutcome.model_validate(row) for row in await cursor.fetchall()]

    async def record(self, day: date, model_digest: str, readings: Sequence[DriftReading]) -> Recorded:
        async with self._database.transaction("monitoring.record") as cursor:
            await cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('drift', 13))")
            await cursor.execute("INSERT INTO drift_day (day) VALUES (%s) ON CONFLICT DO NOTHING", [day])
            if cursor.rowcount == 0:
                return Recorded()  # another attempt has stored this day
            await cursor.executemany(
                """INSERT INTO drift_report (day, segment, statistic, kind, value, threshold, observations, alarm,
                                             detail, model_digest) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)""",
                [
                    (day, r.segment, r.statistic, r.kind, r.value, r.threshold, r.observations, r.alarm, r.detail,
                     model_digest)
                    for r in readings
                ],
            )  # fmt: skip
            loud = {(r.segment, r.statistic): r for r in readings if r.alarm}
            ended = await _end(cursor, day, loud)
            raised = await _raise(cursor, day, loud)
            entries = [_entry(EntryType.DRIFT_ALARMED, one, day, model_digest) for one in raised]
            entries += [_entry(EntryType.DRIFT_ENDED, one, day, model_digest) for one in ended]
            await ledger.append(cursor, entries)
            return Recorded(raised=len(raised), ended=len(ended))

    async def retraining_owed(self) -> DriftAlarm | None:
        async with self._database.reading() as cursor:
            await cursor.execute(
                """SELECT a.* FROM drift_alarm a
                   WHERE a.ended_on IS NULL AND a.retraining_id IS NULL AND a.kind = ANY(%s)
                     AND NOT EXISTS (SELECT 1 FROM drift_alarm b
                                     WHERE b.retraining_on > (SELECT max(day) FROM drift_day) - %s::int)
                   ORDER BY a.started_on, a.alarm_id LIMIT 1""",
                [[str(kind) for kind in RETRAINS], RETRAINING_REST.days],
            )
            row = await cursor.fetchone()
            return DriftAlarm.model_validate(row) if row else None

    async def retraining_started(self, alarm_id: str, retraining_id: str) -> None:
        async with self._database.transaction("monitoring.retraining_started") as cursor:
            await cursor.execute(
                """UPDATE drift_alarm SET retraining_id = %s, retraining_on = (SELECT max(day) FROM drift_day)
                   WHERE alarm_id = %s AND retraining_id IS NULL""",
                [retraining_id, alarm_id],
            )

    async def view(self) -> DriftView:
        async with self._database.reading() as cursor:
            await cursor.execute(
                """SELECT * FROM drift_report WHERE day = (SELECT max(day) FROM drift_day)
                   ORDER BY alarm DESC, segment, kind, statistic"""
            )
            readings = [DriftReading.model_validate(row) for row in await cursor.fetchall()]
            await cursor.execute("SELECT max(day) AS day FROM drift_day")
            newest = await cursor.fetchone()
            await cursor.execute(
                """SELECT * FROM drift_alarm ORDER BY ended_on IS NOT NULL, started_on DESC, alarm_id LIMIT %s""",
                [SHOWN_ALARMS],
            )
            alarms = [DriftAlarm.model_validate(row) for row in await cursor.fetchall()]
        return DriftView(day=newest["day"] if newest else None, readings=tuple(readings), alarms=tuple(alarms))


async def alarmed_segments(cursor: Cursor) -> dict[str, tuple[str, ...]]:
    """Segments whose forecasts are under alarm, with the details: what the gate asks a person about."""
    await cursor.execute(
        "SELECT segment, detail FROM drift_alarm WHERE ended_on IS NULL AND kind = ANY(%s) ORDER BY alarm_id",
        [[str(kind) for kind in RETRAINS]],
    )
    found: dict[str, tuple[str, ...]] = {}
    for row in await cursor.fetchall():
        found[row["segment"]] = (*found.get(row["segment"], ()), row["detail"])
    return found


async def _end(cursor: Cursor, day: date, loud: dict[tuple[str, str], DriftReading]) -> list[DriftAlarm]:
    """Alarms that nothing raises any more (or whose model was replaced, so that there is nothing to read yet)."""
    await cursor.execute("SELECT * FROM drift_alarm WHERE ended_on IS NULL ORDER BY alarm_id FOR UPDATE")
    quiet = [
        alarm
        for alarm in (DriftAlarm.model_validate(row) for row in await cursor.fetchall())
        if (alarm.segment, alarm.statistic) not in loud
    ]
    await cursor.execute(
        "UPDATE drift_alarm SET ended_on = %s WHERE alarm_id = ANY(%s)", [day, [alarm.alarm_id for alarm in quiet]]
    )
    return quiet


async def _raise(cursor: Cursor, day: date, loud: dict[tuple[str, str], DriftReading]) -> list[DriftAlarm]:
    raised = []
    for (segment, statistic), reading in sorted(loud.items()):
        alarm = DriftAlarm(
            alarm_id=alarm_id(segment, statistic, day), segment=segment, statistic=statistic, kind=reading.kind,
            started_on=day, detail=reading.detail,
        )  # fmt: skip
        await cursor.execute(
            """INSERT INTO drift_alarm (alarm_id, segment, statistic, kind, started_on, detail)
               VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING""",
            [alarm.alarm_id, segment, statistic, alarm.kind, day, alarm.detail],
        )
        if cursor.rowcount == 1:
            raised.append(alarm)
    return raised


def _entry(kind: EntryType, alarm: DriftAlarm, day: date, model_digest: str) -> NewEntry:
    body = {"alarm": alarm.model_dump(mode="json"), "day": day.isoformat(), "model": model_digest}
    at = datetime.combine(day, time(), tzinfo=UTC)
    return NewEntry(stream=f"drift:{alarm.segment}", type=kind, actor="engine", occurred_at=at, body=body)
