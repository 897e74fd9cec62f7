"""Searches, verifies and exports the ledger for auditors; what they read is recorded in the same transaction."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import ledger, live_check
from connectors.postgres.ledger import COLUMNS
from connectors.postgres.people import meant
from connectors.postgres.pool import Database
from workflows.domain.approvals import Actor
from workflows.domain.audit import EXPORT_LINES, SUBJECTS, Chain, Found, LedgerLine, Question
from workflows.domain.errors import InvalidInput, NotFound
from workflows.domain.identity import plain
from workflows.domain.ledger import Entry, EntryType, NewEntry, Verification, verify_stream

Cursor = psycopg.AsyncCursor[DictRow]
CHAIN_LINES = 5_000
PATIENCE_MS = 8_000
"""A search that takes longer is given up: narrow it."""
PAGE = 500
NOT_KEPT = "(not kept)"
"""Stands in the record for what was typed and found nothing."""

_SEARCH = f"""
SELECT {COLUMNS} FROM ledger_entry
WHERE (%(streams)s::text[] IS NULL OR stream = ANY(%(streams)s))
  AND (%(person)s = '' OR actor = %(person)s)
  AND (%(types)s::text[] IS NULL OR type = ANY(%(types)s))
  AND recorded_at >= %(first)s AND recorded_at < %(last)s
  AND (%(time)s::text IS NULL OR (recorded_at, stream, seq) < (%(time)s, %(stream)s, %(seq)s::integer))
ORDER BY recorded_at DESC, stream DESC, seq DESC LIMIT %(limit)s
"""  # noqa: S608 - our own column names

_DECISIONS = """
SELECT DISTINCT decision_id FROM (
    SELECT decision_id FROM decision
    WHERE (%(item)s = '' OR item = %(item)s) AND (%(location)s = '' OR location = %(location)s)
      AND (%(model)s = '' OR (model_digest >= %(model)s AND model_digest < %(model)s || '~'))
    ORDER BY decided_at DESC LIMIT %(limit)s) AS newest
"""
_ORDERS = "SELECT DISTINCT order_id FROM order_line WHERE need_id = ANY(%s) LIMIT %s"
_SUBJECT = """
SELECT 'order:' || order_id AS stream FROM purchase_order WHERE order_id = %(subject)s
UNION ALL SELECT 'order:' || order_id FROM purchase_order WHERE supplier_number = %(subject)s
UNION ALL SELECT %(subject)s
"""


class PostgresAudit:
    """The `AuditTrail` port."""

    def __init__(self, database: Database, dsn: str, anchors: Path | None = None) -> None:
        self._database = database
        self._dsn = dsn
        self._anchors = anchors

    async def search(self, question: Question, actor: Actor, *, limit: int = 100, after: str | None = None) -> Found:
        limit = max(1, min(limit, PAGE))
        async with self._database.transaction("audit.search") as cursor:
            question = await self._about(cursor, question)
            rows, capped = await _find(cursor, question, limit + 1, _position(after))
            await _note(cursor, actor, EntryType.AUDIT_READ, "search", question, min(len(rows), limit))
        lines = tuple(_line(row) for row in rows[:limit])
        more = f"{lines[-1].recorded_at}|{lines[-1].seq}|{lines[-1].stream}" if len(rows) > limit else None
        return Found(lines=lines, after=more, capped=capped)

    async def chain(self, stream: str, actor: Actor) -> Chain:
        async with self._database.transaction("audit.chain") as cursor:
            await cursor.execute(
                f"SELECT {COLUMNS} FROM ledger_entry WHERE stream = %s ORDER BY seq LIMIT %s",  # noqa: S608
                [stream, CHAIN_LINES + 1],
            )
            rows = await cursor.fetchall()
            if not rows:
                raise NotFound(f"the ledger has no chain {stream}")
            await _note(cursor, actor, EntryType.AUDIT_READ, "chain", Question(subject=stream[:200]), len(rows))
        shown = rows[:CHAIN_LINES]
        return Chain(
            stream=stream, lines=tuple(_line(row) for row in shown),
            breaks=tuple(verify_stream(Entry(**row) for row in shown)), truncated=len(rows) > len(shown),
        )  # fmt: skip

    async def verify(self, actor: Actor) -> Verification:
        found = await asyncio.to_thread(live_check.check, self._dsn, self._anchors)
        async with self._database.transaction("audit.verify") as cursor:
            body = {"what": "verify", "entries": found.entries, "streams": found.streams, "breaks": len(found.breaks),
                    "leaves": found.leaves, "checkpoints": found.checkpoints}  # fmt: skip
            await _append(cursor, actor, EntryType.AUDIT_READ, body)
        return found

    async def export(self, question: Question, actor: Actor) -> tuple[list[LedgerLine], bool]:
        async with self._database.transaction("audit.export") as cursor:
            question = await self._about(cursor, question)
            rows, capped = await _find(cursor, question, EXPORT_LINES + 1, None)
            await _note(cursor, actor, EntryType.EXPORT_MADE, "ledger", question, min(len(rows), EXPORT_LINES))
        lines = [_line(row) for row in rows[:EXPORT_LINES]]
        return lines[::-1], capped or len(rows) > EXPORT_LINES

    async def _about(self, cursor: Cursor, question: Question) -> Question:
        """The question as it is asked and recorded: of a person by their reference, whatever was typed.

        Raises:
            InvalidInput: no entry could be that person's; what was typed is recorded nowhere.
        """
        kind, _, rest = question.subject.partition(":")
        if kind in {"person", "audit"} and rest and (whose := await meant(cursor, self._database.vault, rest)):
            question = question.model_copy(update={"subject": f"{kind}:{whose}"})
        if not question.person:
            return question
        if found := await meant(cursor, self._database.vault, question.person):
            return question.model_copy(update={"person": found})
        await cursor.execute("SELECT FROM ledger_entry WHERE actor = %s LIMIT 1", [question.person])
        if await cursor.fetchone() is None:
            raise InvalidInput("Nobody of that name is known here, and no entry is theirs.")
        return question


async def _find(
    cursor: Cursor, question: Question, limit: int, position: tuple[str, str, int] | None
) -> tuple[list[DictRow], bool]:
    await cursor.execute(f"SET LOCAL statement_timeout = {PATIENCE_MS}")
    streams, capped = await _streams(cursor, question)
    first = question.first_day.isoformat() if question.first_day else "0"
    last = (question.last_day + timedelta(days=1)).isoformat() if question.last_day else "9999"
    time, stream, seq = position or (None, None, None)
    arguments = {
        "streams": streams, "person": question.person, "types": [str(one) for one in question.types] or None,
        "first": first, "last": last, "time": time, "stream": stream, "seq": seq, "limit": limit,
    }  # fmt: skip
    await cursor.execute(_SEARCH, arguments)
    return await cursor.fetchall(), capped


async def _streams(cursor: Cursor, question: Question) -> tuple[list[str] | None, bool]:
    """The chains that a question is about, and whether there are more of them; None: any."""
    named: set[str] | None = None
    if question.subject:
        await cursor.execute(_SUBJECT, {"subject": question.subject})
        named = {row["stream"] for row in await cursor.fetchall()}
    if not (question.item or question.location or question.model):
        return (None if named is None else sorted(named)), False
    asked = {"item": question.item, "location": question.location, "model": question.model, "limit": SUBJECTS}
    await cursor.execute(_DECISIONS, asked)
    decisions = [row["decision_id"] for row in await cursor.fetchall()]
    await cursor.execute(_ORDERS, [decisions, SUBJECTS])
    about = {*decisions, *(f"order:{row['order_id']}" for row in await cursor.fetchall())}
    return sorted(about if named is None else about & named), len(decisions) == SUBJECTS


def _position(after: str | None) -> tuple[str, str, int] | None:
    if after is None:
        return None
    time, _, rest = after.partition("|")
    seq, _, stream = rest.partition("|")
    if not seq.isdecimal() or len(seq) > 9 or not stream or "\x00" in after:
        raise InvalidInput("`after` is not a place that a page of this search gave")
    return time, stream, int(seq)


def _line(row: DictRow) -> LedgerLine:
    return LedgerLine.model_validate({**row, "body": json.loads(bytes(row["body"]))})


async def _note(cursor: Cursor, actor: Actor, kind: EntryType, what: str, question: Question, lines: int) -> None:
    asked = {name: value for name, value in plain(question).items() if value}
    if not lines:
        # Whatever was typed led to nothing, so it may be anything: a name that is known no more, say.
        asked |= {name: NOT_KEPT for name in ("subject", "item", "location", "model") if name in asked}
    await _append(cursor, actor, kind, {"what": what, "question": asked, "lines": lines})


async def _append(cursor: Cursor, actor: Actor, kind: EntryType, body: dict[str, Any]) -> None:
    entry = NewEntry(
        stream=f"audit:{actor.name}", type=kind, actor=actor.name, occurred_at=datetime.now(UTC), body=body
    )
    await ledger.append(cursor, [entry])
