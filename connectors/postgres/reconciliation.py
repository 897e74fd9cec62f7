"""Makes reconciliation reports: puts the supplier's list aside page by page, compares it by key, stores what differs.

The list may be longer than memory, so it lies in a table until the report is finished, and both sides are read a
stretch of keys at a time. How far the list was read is committed with the page, so that a killed attempt is gone on
with and no page counts twice.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import ledger
from connectors.postgres.pool import Database
from workflows.domain.errors import Unavailable
from workflows.domain.identity import canonical, rfc3339
from workflows.domain.ledger import EntryType, NewEntry
from workflows.domain.order_lists import ListedOrder, ListedPage
from workflows.domain.orders import PurchaseOrder
from workflows.domain.reconciliation import Difference, OurLine, OurOrder, compare
from workflows.domain.reconciling import DAYS, Reading, Report, ReportDigest

Cursor = psycopg.AsyncCursor[DictRow]
KEYS = 500
"""Keys that are compared at once."""
ENTRIES_OF_A_KEY = 20
"""Entries under one key that are looked at: two are too many already."""
STALE_SECONDS = 3_600
"""A list that was begun to be read so long ago is read again from its beginning."""
MOVING_SECONDS = 900
"""Orders that left so shortly before the reading began may be missing on either side for now."""

REPORT = """
SELECT r.*, r.found - (SELECT count(*) FROM reconciliation_difference d
                       LEFT JOIN difference_explanation e USING (difference_id)
                       WHERE d.report_id = r.report_id AND (d.explained IS NOT NULL OR e.difference_id IS NOT NULL)
                      ) AS open
FROM reconciliation_report r
"""
_SUPPLIERS = """
SELECT DISTINCT supplier FROM purchase_order
WHERE cutoff_at >= (SELECT max(watermark) FROM business_clock) - make_interval(days => %s) ORDER BY supplier
"""
_BEGIN = """
INSERT INTO reconciliation_report (report_id, supplier, since)
SELECT %(supplier)s || ':' || count(*) + 1, %(supplier)s,
       coalesce((SELECT max(watermark) FROM business_clock), clock_timestamp()) - make_interval(days => %(days)s)
FROM reconciliation_report WHERE supplier = %(supplier)s
"""
_AGAIN = """
UPDATE reconciliation_report SET begun_at = clock_timestamp(), read_to = NULL, read_whole = false, pages = 0
WHERE report_id = %s AND begun_at < clock_timestamp() - make_interval(secs => %s) RETURNING *
"""
_NEXT_KEYS = """
SELECT key FROM (
    (SELECT DISTINCT key COLLATE "C" AS key FROM purchase_order
     WHERE supplier = %(supplier)s AND key COLLATE "C" > %(after)s AND cutoff_at >= %(since)s ORDER BY 1 LIMIT %(most)s)
    UNION
    (SELECT DISTINCT key COLLATE "C" FROM reconciliation_listed
     WHERE report_id = %(report)s AND key COLLATE "C" > %(after)s ORDER BY 1 LIMIT %(most)s)
) AS both_sides ORDER BY key LIMIT %(most)s
"""
_OURS = """
SELECT key, order_id, state, supplier_number, currency, payload,
       state = 'in_doubt' OR (state = 'sending' AND open_requests > 0) AS in_doubt,
       coalesce(last_sent_at > %(begun)s - make_interval(secs => %(moving)s), false) AS moving
FROM purchase_order WHERE supplier = %(supplier)s AND key COLLATE "C" = ANY(%(keys)s)
"""
_THEIRS = """
SELECT key, body FROM (
    SELECT key, number, body, row_number() OVER (PARTITION BY key ORDER BY number) AS rank
    FROM reconciliation_listed WHERE report_id = %(report)s AND key COLLATE "C" = ANY(%(keys)s)
) AS listed WHERE rank <= %(most)s ORDER BY key, number
"""


class PostgresReconciliations:
    """The `Reconciliations` port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def suppliers(self) -> list[str]:
        """See the port."""
        async with self._database.reading() as cursor:
            await cursor.execute(_SUPPLIERS, [DAYS])
            return [row["supplier"] for row in await cursor.fetchall()]

    async def begin(self, supplier: str) -> Reading:
        """See the port."""
        async with self._database.transaction("reconciliation.begin") as cursor:
            await cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 61))", [supplier])
            unfinished = "SELECT * FROM reconciliation_report WHERE supplier = %s AND finished_at IS NULL"
            await cursor.execute(unfinished, [supplier])
            row = await cursor.fetchone()
            if row is None:
                await cursor.execute(_BEGIN + " RETURNING *", {"supplier": supplier, "days": DAYS})
                row = await cursor.fetchone()
            else:
                await cursor.execute(_AGAIN, [row["report_id"], STALE_SECONDS])
                if (again := await cursor.fetchone()) is not None:
                    await cursor.execute("DELETE FROM reconciliation_listed WHERE report_id = %s", [row["report_id"]])
                    row = again
            return Reading.model_validate(row)

    async def keep(self, reading: Reading, page: ListedPage) -> Reading:
        """See the port."""
        kept = [one for one in page.orders if one.ordered_at is None or one.ordered_at >= reading.since]
        async with self._database.transaction("reconciliation.keep") as cursor:
            await cursor.execute(
                """UPDATE reconciliation_report SET read_to = %(next)s, read_whole = %(whole)s, pages = pages + 1,
                       theirs = CASE WHEN pages = 0 THEN 0 ELSE theirs END + %(n)s
                   WHERE report_id = %(report)s AND pages = %(pages)s AND begun_at = %(begun)s
                     AND finished_at IS NULL AND NOT read_whole RETURNING *""",
                {
                    "next": page.next, "whole": page.next is None, "n": len(kept), "report": reading.report_id,
                    "pages": reading.pages, "begun": reading.begun_at,
                },
            )  # fmt: skip
            row = await cursor.fetchone()
            if row is None:
                raise Unavailable(f"somebody else goes on with report {reading.report_id}")
            before = row["theirs"] - len(kept)
            # What has no key of ours is looked at by itself: the tilde comes after all hex digits.
            await cursor.executemany(
                "INSERT INTO reconciliation_listed (report_id, number, key, body) VALUES (%s, %s, %s, %s)",
                [
                    (reading.report_id, n, one.key or f"~{n:012}", canonical(one.model_dump(mode="json")))
                    for n, one in enumerate(kept, before + 1)
                ],
            )
            return Reading.model_validate(row)

    async def finish(self, reading: Reading, *, not_listed: str | None = None) -> Report:
        """See the port."""
        async with self._database.transaction("reconciliation.finish") as cursor:
            await cursor.execute(
                "SELECT * FROM reconciliation_report WHERE report_id = %s FOR UPDATE", [reading.report_id]
            )
            row = await cursor.fetchone()
            if row is None or row["begun_at"] != reading.begun_at or not (row["read_whole"] or not_listed):
                raise Unavailable(f"somebody else goes on with report {reading.report_id}")
            if row["finished_at"] is None:
                made = ReportDigest(reading)
                counts = {"ours": 0, "agreed": 0}
                if not_listed is None:
                    counts = await _compared(cursor, reading, made)
                await self._close(cursor, reading, made, counts, not_listed)
            await cursor.execute(REPORT + "WHERE r.report_id = %s", [reading.report_id])
            return Report.model_validate(await cursor.fetchone())

    @staticmethod
    async def _close(
        cursor: Cursor, reading: Reading, made: ReportDigest, counts: dict[str, int], not_listed: str | None
    ) -> None:
        found = made.kinds.total()
        await cursor.execute("DELETE FROM reconciliation_listed WHERE report_id = %s", [reading.report_id])
        await cursor.execute(
            """UPDATE reconciliation_report SET finished_at = clock_timestamp(), ours = %s, agreed = %s, found = %s,
                   digest = %s, not_listed = %s WHERE report_id = %s RETURNING *""",
            [counts["ours"], counts["agreed"], found, made.hexdigest(), not_listed, reading.report_id],
        )
        row = await cursor.fetchone()
        assert row is not None  # noqa: S101 - it is locked
        body: dict[str, Any] = {
            "report": reading.report_id, "since": rfc3339(reading.since), "begun_at": rfc3339(reading.begun_at),
            "ours": counts["ours"], "theirs": row["theirs"], "agreed": counts["agreed"], "found": found,
            "explained": made.explained, "kinds": dict(sorted(made.kinds.items())), "digest": row["digest"],
            **({} if not_listed is None else {"not_listed": not_listed}),
        }  # fmt: skip
        entry = NewEntry(
            stream=stream_of(reading.supplier), type=EntryType.RECONCILIATION_REPORTED, actor="engine",
            occurred_at=row["finished_at"], body=body,
        )  # fmt: skip
        await ledger.append(cursor, [entry])


def stream_of(supplier: str) -> str:
    """The chain of a supplier's reports."""
    return f"reconciliation:{supplier}"


async def _compared(cursor: Cursor, reading: Reading, made: ReportDigest) -> dict[str, int]:
    """Both sides a stretch of keys at a time; each difference stored and in the digest."""
    counts, number, after = {"ours": 0, "agreed": 0}, 0, ""
    asked = {"supplier": reading.supplier, "since": reading.since, "report": reading.report_id, "most": KEYS}
    while True:
        await cursor.execute(_NEXT_KEYS, {**asked, "after": after})
        keys = [row["key"] for row in await cursor.fetchall()]
        if not keys:
            return counts
        after = keys[-1]
        ours = await _ours(cursor, reading, keys)
        theirs = await _theirs(cursor, reading, keys)
        differences: list[Difference] = []
        for key in keys:
            found = compare(reading.supplier, ours.get(key), theirs.get(key, ()))
            differences += found
            counts["ours"] += key in ours
            counts["agreed"] += not found
        made.take(differences)
        await cursor.executemany(
            """INSERT INTO reconciliation_difference
                   (report_id, number, difference_id, kind, key, order_id, supplier_number, says, explained)
               VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)""",
            [
                (reading.report_id, n, one.difference_id, one.kind, one.key, one.order_id, one.supplier_number,
                 one.says, one.explained)
                for n, one in enumerate(differences, number + 1)
            ],
        )  # fmt: skip
        number += len(differences)


async def _ours(cursor: Cursor, reading: Reading, keys: Sequence[str]) -> dict[str, OurOrder]:
    await cursor.execute(
        _OURS,
        {"begun": reading.begun_at, "moving": MOVING_SECONDS, "supplier": reading.supplier, "keys": list(keys)},
    )
    return {row["key"]: _our(row) for row in await cursor.fetchall()}


def _our(row: DictRow) -> OurOrder:
    lines: tuple[OurLine, ...] = ()
    if row["payload"] is not None:
        sent = PurchaseOrder.model_validate_json(row["payload"])
        lines = tuple(OurLine(item=one.item, units=one.units, unit_cost=one.unit_cost) for one in sent.lines)
    return OurOrder.model_validate({**row, "supplier_number": row["supplier_number"] or "", "lines": lines})


async def _theirs(cursor: Cursor, reading: Reading, keys: Sequence[str]) -> dict[str, list[ListedOrder]]:
    await cursor.execute(_THEIRS, {"report": reading.report_id, "keys": list(keys), "most": ENTRIES_OF_A_KEY})
    found: dict[str, list[ListedOrder]] = defaultdict(list)
    for row in await cursor.fetchall():
        found[row["key"]].append(ListedOrder.model_validate_json(row["body"]))
    return found
