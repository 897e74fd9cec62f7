"""Keeps the registry of model versions and builds training sets as of an instant."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import evidence, ledger
from connectors.postgres.drivers import calendars_of, drivers_of
from connectors.postgres.histories import histories_at
from connectors.postgres.pool import Database
from connectors.postgres.stock_terms import terms_at
from workflows.domain.errors import Conflict, NotFound
from workflows.domain.identity import canonical
from workflows.domain.ledger import EntryType, NewEntry
from workflows.domain.models import (
    Comparison,
    GateResult,
    ModelStatus,
    ModelVersion,
    TrainedModel,
    TrainingSeries,
    TrainingSet,
)
from workflows.domain.recordable import by_reference

Cursor = psycopg.AsyncCursor[DictRow]
DRIVER_DAYS = 1_500
"""Three years of demand are learned from, and each of its days looks back at a year of drivers."""


class PostgresModels:
    """The `Models` port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def champion(self) -> ModelVersion | None:
        found = await self._select("WHERE status = 'champion'", [])
        return found[0] if found else None

    async def find(self, digest: str) -> ModelVersion | None:
        found = await self._select("WHERE starts_with(digest, %s) LIMIT 2", [digest])
        return found[0] if len(found) == 1 else None

    async def versions(self) -> list[ModelVersion]:
        return await self._select("ORDER BY number DESC", [])

    async def _select(self, tail: str, arguments: Sequence[Any]) -> list[ModelVersion]:
        async with self._database.reading() as cursor:
            await cursor.execute(f"SELECT * FROM model_version {tail}", arguments)  # noqa: S608 - our own tails
            return [_version(row) for row in await cursor.fetchall()]

    async def newest_day(self) -> date | None:
        async with self._database.reading() as cursor:
            await cursor.execute(
                """SELECT coalesce((SELECT min((watermark AT TIME ZONE 'UTC')::date - 1) FROM business_clock),
                                   (SELECT max(day) FROM recorded_demand)) AS day"""
            )
            row = await cursor.fetchone()
            return row["day"] if row else None

    async def training_series(self, known_at: datetime, last_day: date) -> list[TrainingSeries]:
        async with self._database.reading() as cursor:
            await cursor.execute("SELECT item, category FROM item")
            categories = {row["item"]: row["category"] for row in await cursor.fetchall()}
            known = await histories_at(cursor, known_at, last_day)
            midnight = datetime.combine(last_day + timedelta(days=1), time.min, UTC)
            since = last_day - timedelta(days=DRIVER_DAYS)
            outside = await drivers_of(cursor, list(known.days), midnight, since, known_at)
            calendars = await calendars_of(cursor)
            terms = await terms_at(cursor, last_day)
        return [
            TrainingSeries(
                location=location, item=item, category=categories[item], history=history,
                promotions=known.promotions((location, item)), drivers=outside[location, item],
                terms=terms.get((location, item)), country=calendars.get(location, {}).get("country"),
                subdivision=calendars.get(location, {}).get("subdivision"),
            )
            for location, item in known.days
            if item in categories and (history := known.history((location, item)))
        ]  # fmt: skip

    async def register(self, trained: TrainedModel, training_set: TrainingSet) -> ModelVersion:
        async with self._database.transaction("models.register") as cursor:
            await cursor.execute(
                """INSERT INTO model_version (digest, status, trained_through, training_set_sha256, facts)
                   VALUES (%s, 'candidate', %s, %s, %s) ON CONFLICT DO NOTHING""",
                [trained.digest, trained.trained_through, training_set.sha256, canonical(trained)],
            )
            if cursor.rowcount == 1:
                body = {"model": trained.digest, "trained": trained.model_dump(mode="json"),
                        "training_set": training_set.model_dump(mode="json")}  # fmt: skip
                short, kept = by_reference(body, "trained")
                await evidence.keep(cursor, kept)
                await _record(cursor, EntryType.MODEL_TRAINED, trained.digest, "engine", short)
            return await _get(cursor, trained.digest)

    async def judge(
        self, digest: str, status: ModelStatus, comparison: Comparison | None, gate: GateResult | None
    ) -> ModelVersion:
        async with self._database.transaction("models.judge") as cursor:
            await cursor.execute(
                """UPDATE model_version SET status = %s, comparison = %s, gate = %s
                   WHERE digest = %s AND status IN ('candidate', 'awaiting_approval')""",
                [status, canonical(comparison) if comparison else None, canonical(gate) if gate else None, digest],
            )
            if cursor.rowcount == 1:
                body = {
                    "model": digest, "status": str(status),
                    "comparison": comparison.model_dump(mode="json") if comparison else None,
                    "gate": gate.model_dump(mode="json") if gate else None,
                }  # fmt: skip
                await _record(cursor, EntryType.MODEL_JUDGED, digest, "engine", body)
            return await _get(cursor, digest)

    async def promote(self, digest: str, actor: str) -> ModelVersion:
        async with self._database.transaction("models.promote") as cursor:
            await _one_at_a_time(cursor)
            version = await _get(cursor, digest)
            if version.status is ModelStatus.CHAMPION:
                return version
            if version.status is ModelStatus.REFUSED:
                raise Conflict(f"model {digest[:12]} was refused by the gate and cannot be promoted")
            # A retired one was champion before: whatever let it in then lets it in again.
            if version.status is not ModelStatus.RETIRED and not (version.gate and version.gate.passed):
                raise Conflict(f"model {digest[:12]} has not passed the gate yet")
            await _flip(cursor, digest)
            await _record(cursor, EntryType.MODEL_PROMOTED, digest, actor, {"model": digest})
            return await _get(cursor, digest)

    async def rollback(self, actor: str) -> ModelVersion:
        async with self._database.transaction("models.rollback") as cursor:
            await _one_at_a_time(cursor)
            await cursor.execute(
                """SELECT digest FROM model_version WHERE status = 'retired' AND promoted_at IS NOT NULL
                   ORDER BY promoted_at DESC LIMIT 1"""
            )
            row = await cursor.fetchone()
            if row is None:
                raise Conflict("there is no earlier champion to go back to")
            # What was left behind is no champion to go back to: rolling back twice goes back two steps.
            await cursor.execute(
                "UPDATE model_version SET promoted_at = NULL WHERE status = 'champion' RETURNING digest"
            )
            left = await cursor.fetchone()
            await _flip(cursor, row["digest"])
            body = {"model": row["digest"], "left": left["digest"] if left else None}
            await _record(cursor, EntryType.MODEL_ROLLED_BACK, row["digest"], actor, body)
            return await _get(cursor, row["digest"])


async def _one_at_a_time(cursor: Cursor) -> None:
    """Two promotions at once would both retire the same champion."""
    await cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('champion', 13))")


async def _flip(cursor: Cursor, digest: str) -> None:
    await cursor.execute("UPDATE model_version SET status = 'retired' WHERE status = 'champion'")
    await cursor.execute(
        "UPDATE model_version SET status = 'champion', promoted_at = clock_timestamp() WHERE digest = %s", [digest]
    )


async def _get(cursor: Cursor, digest: str) -> ModelVersion:
    await cursor.execute("SELECT * FROM model_version WHERE digest = %s", [digest])
    row = await cursor.fetchone()
    if row is None:
        raise NotFound(f"there is no model {digest[:12]}")
    return _version(row)


async def _record(cursor: Cursor, kind: EntryType, digest: str, actor: str, body: dict[str, Any]) -> None:
    entry = NewEntry(stream=f"model:{digest}", type=kind, actor=actor, occurred_at=datetime.now(UTC), body=body)
    await ledger.append(cursor, [entry])


def _version(row: DictRow) -> ModelVersion:
    return ModelVersion(
        digest=row["digest"], number=row["number"], status=row["status"], trained_through=row["trained_through"],
        created_at=row["created_at"], facts=TrainedModel.model_validate_json(row["facts"]),
        comparison=Comparison.model_validate_json(row["comparison"]) if row["comparison"] else None,
        gate=GateResult.model_validate_json(row["gate"]) if row["gate"] else None,
    )  # fmt: skip
