"""Keeps the definition of demand and what people say about single days: nothing is changed, everything is on record."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import ledger
from connectors.postgres.histories import definition_at, definition_named, histories_of
from connectors.postgres.pool import Database
from workflows.domain.demand import Adjustment, DayLayers, DemandDefinition, Layer, layers
from workflows.domain.errors import Conflict, InvalidInput, NotFound
from workflows.domain.identity import canonical
from workflows.domain.ledger import EntryType, NewEntry

Cursor = psycopg.AsyncCursor[DictRow]
DEFINITIONS = "demand"
"""The ledger's stream of definitions."""
_STANDING = """
SELECT a.*, w.recorded_at AS withdrawn_at, w.author AS withdrawn_by, w.reason AS withdrawn_reason
FROM demand_adjustment a LEFT JOIN demand_withdrawal w USING (adjustment_id)
"""


@dataclass(frozen=True)
class Said:
    """An adjustment, and who took it back when, if anybody did."""

    adjustment: Adjustment
    withdrawn_at: datetime | None
    withdrawn_by: str | None
    withdrawn_reason: str | None


class PostgresDemand:
    """Definitions, adjustments and the layers that follow from them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def definition(self, digest: str | None = None) -> DemandDefinition:
        """The definition in force, or the one with this digest.

        Raises:
            NotFound: no definition has this digest.
        """
        async with self._database.reading() as cursor:
            if digest is None:
                return await definition_at(cursor)
            found = await definition_named(cursor, digest)
        if found is None:
            raise NotFound(f"there is no definition of demand {digest[:12]}")
        return found

    async def adopt(self, definition: DemandDefinition, author: str) -> bool:
        """Put a definition into force; whether it was another one.

        Raises:
            Conflict: its version is not the next one.
        """
        async with self._database.transaction("demand.adopt") as cursor:
            await cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('demand definition', 13))")
            current = await definition_at(cursor)
            if definition.digest == current.digest:
                return False
            if definition.version != current.version + 1:
                raise Conflict(
                    f"version {current.version} is in force: the next one is {current.version + 1}, not "
                    f"{definition.version}; what was defined once is never changed"
                )
            await cursor.execute(
                "INSERT INTO demand_definition (digest, version, document, author) VALUES (%s, %s, %s, %s)",
                [definition.digest, definition.version, canonical(definition), author],
            )
            body = {"digest": definition.digest, "definition": definition.model_dump(mode="json"),
                    "instead_of": current.digest}  # fmt: skip
            await _record(cursor, DEFINITIONS, EntryType.DEMAND_DEFINED, author, body)
            return True

    async def adjust(
        self, location: str, item: str, first_day: date, last_day: date, layer: Layer, units: int | None, *,
        reason: str, author: str,
    ) -> Adjustment:  # fmt: skip
        """Say something about days of an item at a location. Saying the newest standing word again changes nothing.

        Raises:
            NotFound: the catalog does not have the item or the location.
            InvalidInput: the words make no sense, such as units for days that are missing.
        """
        async with self._database.transaction("demand.adjust") as cursor:
            await _locked(cursor, location, item)
            await cursor.execute(
                """SELECT (SELECT count(*) FROM item WHERE item = %s) AS items,
                          (SELECT count(*) FROM location WHERE location = %s) AS locations""",
                [item, location],
            )
            counted = await cursor.fetchone() or {}
            if not counted.get("items") or not counted.get("locations"):
                raise NotFound(
                    f"the catalog has no {'location ' + location if counted.get('items') else 'item ' + item}"
                )
            said = await _said(cursor, location, item)
            given: dict[str, Any] = {
                "location": location, "item": item, "first_day": first_day, "last_day": last_day, "layer": layer,
                "units": units, "reason": reason, "author": author,
            }  # fmt: skip
            adjustment = _valid(
                {**given, "adjustment_id": f"{location}:{item}:a{len(said) + 1}", "recorded_at": datetime.now(UTC)}
            )
            standing = [one.adjustment for one in said if one.withdrawn_at is None]
            if standing and _same(standing[-1], adjustment):
                return standing[-1]
            await cursor.execute(
                """INSERT INTO demand_adjustment (adjustment_id, location, item, first_day, last_day, layer, units,
                                                  reason, author)
                   VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING recorded_at""",
                [adjustment.adjustment_id, location, item, first_day, last_day, str(layer), units, adjustment.reason,
                 author],
            )  # fmt: skip
            row = await cursor.fetchone()
            stored = adjustment.model_copy(update={"recorded_at": row["recorded_at"] if row else None})
            body = {"adjustment": stored.model_dump(mode="json")}
            await _record(cursor, _stream(location, item), EntryType.DEMAND_ADJUSTED, author, body)
            return stored

    async def find(self, adjustment_id: str) -> Adjustment:
        """What was said under this id, taken back or not.

        Raises:
            NotFound: there is no such adjustment.
        """
        async with self._database.reading() as cursor:
            return await _found(cursor, adjustment_id)

    async def withdraw(self, adjustment_id: str, *, reason: str, author: str) -> Adjustment:
        """Take an adjustment back; training sets of before still have it.

        Raises:
            NotFound: there is no such adjustment.
            InvalidInput: without a reason.
        """
        if not reason.strip():
            raise InvalidInput("say why: --reason TEXT")
        async with self._database.transaction("demand.withdraw") as cursor:
            found = await _found(cursor, adjustment_id)
            await cursor.execute(
                """INSERT INTO demand_withdrawal (adjustment_id, reason, author) VALUES (%s, %s, %s)
                   ON CONFLICT DO NOTHING""",
                [adjustment_id, reason.strip(), author],
            )
            if cursor.rowcount == 1:
                body = {"adjustment_id": adjustment_id, "reason": reason.strip()}
                stream = _stream(found.location, found.item)
                await _record(cursor, stream, EntryType.DEMAND_WITHDRAWN, author, body)
            return found

    async def said(self, location: str, item: str) -> list[Said]:
        """Everything that was ever said about an item at a location, oldest first."""
        async with self._database.reading() as cursor:
            return await _said(cursor, location, item)

    async def layers(self, location: str, item: str, since: date, end: date) -> list[DayLayers]:
        """The layers of the days from `since` to the day before `end`; none where nothing was ever recorded.

        The whole history is read: an outlier is cut by the days before it.
        """
        async with self._database.reading() as cursor:
            keys = {"locations": [location], "items": [item], "since": date.min, "today": end}
            known = await histories_of(cursor, keys)
        key = location, item
        found = layers(known.days.get(key, ()), end, known.definition, known.adjustments.get(key, ()))
        return [one for one in found if one.day >= since]


def _same(one: Adjustment, other: Adjustment) -> bool:
    apart = {"adjustment_id", "recorded_at"}
    return one.model_dump(exclude=apart) == other.model_dump(exclude=apart)


def _valid(given: dict[str, Any]) -> Adjustment:
    try:
        return Adjustment.model_validate(given)
    except ValueError as error:
        first = error.errors()[0] if hasattr(error, "errors") else {"loc": (), "msg": str(error)}
        where = ".".join(str(part) for part in first["loc"])
        text = str(first["msg"]).removeprefix("Value error, ")
        raise InvalidInput(f"{where}: {text}" if where else text) from None


async def _said(cursor: Cursor, location: str, item: str) -> list[Said]:
    await cursor.execute(
        f"{_STANDING} WHERE a.location = %s AND a.item = %s ORDER BY a.recorded_at, a.adjustment_id", [location, item]
    )
    rows: Sequence[DictRow] = await cursor.fetchall()
    return [
        Said(Adjustment.model_validate(row), row["withdrawn_at"], row["withdrawn_by"], row["withdrawn_reason"])
        for row in rows
    ]


async def _locked(cursor: Cursor, location: str, item: str) -> None:
    """Two people who speak at once get different numbers."""
    await cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 13))", [_stream(location, item)])


def _stream(location: str, item: str) -> str:
    return f"demand:{location}:{item}"


async def _found(cursor: Cursor, adjustment_id: str) -> Adjustment:
    await cursor.execute(f"{_STANDING} WHERE a.adjustment_id = %s", [adjustment_id])
    row = await cursor.fetchone()
    if row is None:
        raise NotFound(f"there is no adjustment {adjustment_id}; `quartermaster demand show` lists them")
    return Adjustment.model_validate(row)


async def _record(cursor: Cursor, stream: str, kind: EntryType, author: str, body: dict[str, Any]) -> None:
    entry = NewEntry(stream=stream, type=kind, actor=author, occurred_at=datetime.now(UTC), body=body)
    await ledger.append(cursor, [entry])
