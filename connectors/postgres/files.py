"""Spreadsheet files over PostgreSQL: pages of what is exported, and catalog changes taken whole or not at all."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import evidence, ledger
from connectors.postgres.catalog import INSTALLATION
from connectors.postgres.pool import Database
from workflows.domain.approvals import Actor
from workflows.domain.catalog import Sourcing
from workflows.domain.evidence import EvidenceKind, Kept
from workflows.domain.files import CATALOG, KEYS, CatalogChange, CatalogRow, DecisionFilters, FileKind
from workflows.domain.identity import canonical, plain
from workflows.domain.identity import digest as sha256_of
from workflows.domain.ledger import EntryType, NewEntry
from workflows.domain.tables import Problem, Unusable

Cursor = psycopg.AsyncCursor[DictRow]
EXPORTS = "exports"
"""The ledger's stream of files that were taken away."""
_TABLES = {FileKind.ITEMS: "item", FileKind.SUPPLIERS: "supplier", FileKind.SOURCING: "sourcing"}
_DECISIONS = """
SELECT d.decision_id, d.revision, d.location, d.item, d.kind, d.decided_at, d.horizon_end, d.proposal_hash,
       d.model_digest, d.policy_digest, r.supplier, r.units, r.unit_cost, r.tier, r.state
FROM decision d
LEFT JOIN replenishment r ON r.decision_id = d.decision_id AND r.revision = d.revision
WHERE (%(id)s::text IS NULL OR (d.decision_id, d.revision) > (%(id)s, %(revision)s))
  AND (%(location)s::text IS NULL OR d.location = %(location)s)
  AND (%(item)s::text IS NULL OR d.item = %(item)s)
  AND (%(since)s::timestamptz IS NULL OR d.decided_at >= %(since)s)
  AND (%(until)s::timestamptz IS NULL OR d.decided_at < %(until)s)
ORDER BY d.decision_id, d.revision LIMIT %(limit)s
"""


class PostgresFiles:
    """The `Files` port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def catalog(self, kind: FileKind, after: Sequence[str] | None, limit: int) -> list[CatalogRow]:
        key = ", ".join(KEYS[kind])
        where = f"WHERE ({key}) > ({', '.join(['%s'] * len(KEYS[kind]))})" if after else ""
        query = f"SELECT {_columns(kind)} FROM {_TABLES[kind]} {where} ORDER BY {key} LIMIT %s"  # noqa: S608
        async with self._database.reading() as cursor:
            await cursor.execute(query.encode(), [*(after or ()), limit])
            return [CATALOG[kind].model_validate(row) for row in await cursor.fetchall()]

    async def change_catalog(
        self, kind: FileKind, rows: Sequence[tuple[int, CatalogRow]], digest: str, actor: Actor, *, check: bool
    ) -> CatalogChange:
        async with self._database.transaction("files.change_catalog") as cursor:
            # One after the other: what a file changes is told against what the one before it left.
            await cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('catalog', 20))")
            if await _last(cursor) == digest:
                return CatalogChange(new=0, changed=0, same=len(rows), repeated=True)
            if kind is FileKind.SOURCING:
                await _refuse_unknown(cursor, rows)
            known = await _known(cursor, kind, [row for _, row in rows])
            new = [row for _, row in rows if _key(kind, row) not in known]
            changed = [row for _, row in rows if _key(kind, row) in known and known[_key(kind, row)] != row]
            found = CatalogChange(new=len(new), changed=len(changed), same=len(rows) - len(new) - len(changed))
            if check or not (new or changed):
                return found
            await _write(cursor, kind, [*new, *changed])
            told = canonical([[plain(known.get(_key(kind, row))), plain(row)] for row in [*new, *changed]])
            await evidence.keep(cursor, {sha256_of(told): Kept(EvidenceKind.ITEMS, told)})
            body = {
                "digest": digest, "file": str(kind), "channel": actor.channel, "rows": len(rows), "new": found.new,
                "changed": found.changed, "rows_sha256": sha256_of(told),
            }  # fmt: skip
            await _record(cursor, INSTALLATION, EntryType.CATALOG_CHANGED, actor, body)
            return found

    async def decisions(
        self, filters: DecisionFilters, after: tuple[str, int] | None, limit: int
    ) -> list[dict[str, Any]]:
        place = {"id": after[0] if after else None, "revision": after[1] if after else None}
        async with self._database.reading() as cursor:
            await cursor.execute(_DECISIONS, {**dict(filters), **place, "limit": limit})
            return list(await cursor.fetchall())

    async def exported(self, kind: FileKind, filters: Mapping[str, str], actor: Actor) -> None:
        body = {"what": str(kind), "filters": dict(filters), "channel": actor.channel}
        async with self._database.transaction("files.exported") as cursor:
            await _record(cursor, EXPORTS, EntryType.EXPORT_MADE, actor, body)


def _columns(kind: FileKind) -> str:
    return ", ".join(CATALOG[kind].model_fields)


def _key(kind: FileKind, row: CatalogRow) -> tuple[str, ...]:
    return tuple(str(getattr(row, name)) for name in KEYS[kind])


async def _known(cursor: Cursor, kind: FileKind, rows: Sequence[CatalogRow]) -> dict[tuple[str, ...], CatalogRow]:
    """What is stored under the keys of these rows."""
    keys = KEYS[kind]
    given = ", ".join(["%s::text[]"] * len(keys))
    query = f"""SELECT {_columns(kind)} FROM {_TABLES[kind]}
                JOIN unnest({given}) AS given ({", ".join(keys)}) USING ({", ".join(keys)})"""  # noqa: S608
    columns = [[str(getattr(row, name)) for row in rows] for name in keys]
    await cursor.execute(query.encode(), columns)
    found = [CATALOG[kind].model_validate(row) for row in await cursor.fetchall()]
    return {_key(kind, row): row for row in found}


async def _write(cursor: Cursor, kind: FileKind, rows: Sequence[CatalogRow]) -> None:
    fields, keys = list(CATALOG[kind].model_fields), KEYS[kind]
    values = [list(dict(row).values()) for row in rows]
    if kind is FileKind.SUPPLIERS:  # a person's word in a row that differs counts, whatever an event said before
        fields.append("blocked_in_catalog")
        for line in values:
            line.append(line[fields.index("blocked")])
    sets = ", ".join(f"{name} = excluded.{name}" for name in fields if name not in keys)
    query = f"""INSERT INTO {_TABLES[kind]} ({", ".join(fields)}) VALUES ({", ".join(["%s"] * len(fields))})
                ON CONFLICT ({", ".join(keys)}) DO UPDATE SET {sets}"""  # noqa: S608
    await cursor.executemany(query.encode(), values)


async def _refuse_unknown(cursor: Cursor, rows: Sequence[tuple[int, CatalogRow]]) -> None:
    problems: list[Problem] = []
    for table in ("item", "location", "supplier"):
        named = sorted({str(getattr(row, table)) for _, row in rows})
        await cursor.execute(
            f"SELECT {table} AS code FROM {table} WHERE {table} = ANY(%s)".encode(), [named]  # noqa: S608
        )  # fmt: skip
        known = {row["code"] for row in await cursor.fetchall()}
        problems += [
            Problem(line=line, column=table, reason=f"there is no {table} {getattr(row, table)} in the catalog")
            for line, row in rows
            if isinstance(row, Sourcing) and getattr(row, table) not in known
        ]
    if problems:
        raise Unusable(sorted(problems, key=lambda one: one.line))


async def _last(cursor: Cursor) -> str | None:
    """The digest of what changed the catalog last."""
    await cursor.execute(
        "SELECT body FROM ledger_entry WHERE stream = %s AND type = %s ORDER BY seq DESC LIMIT 1",
        [INSTALLATION, str(EntryType.CATALOG_CHANGED)],
    )
    row = await cursor.fetchone()
    return str(json.loads(row["body"])["digest"]) if row else None


async def _record(cursor: Cursor, stream: str, kind: EntryType, actor: Actor, body: dict[str, Any]) -> None:
    entry = NewEntry(stream=stream, type=kind, actor=actor.name, occurred_at=datetime.now(UTC), body=body)
    await ledger.append(cursor, [entry])
