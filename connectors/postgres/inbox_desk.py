"""Reads the inbox: views, counts and single rows from one table, in a few milliseconds however many tasks are open."""

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg.rows import DictRow

from connectors.postgres.pool import Database
from connectors.postgres.task_views import (
    COLUMNS,
    FIRST_DUE,
    ID,
    ORDER,
    Condition,
    as_row,
    condition,
    names_of,
    narrowed,
)
from workflows.domain.errors import NotFound
from workflows.domain.inbox import COUNT_CAP, Count, FailedOrder, Filters, InboxPage, InboxRow, View
from workflows.domain.paging import Place, PlaceAnswered
from workflows.domain.people import Person

Cursor = psycopg.AsyncCursor[DictRow]

MOST = 500
"""Rows of one page."""
LOOKED_THROUGH = 20_000
"""Answered tasks that a page with filters looks through; the page after goes on from there."""
_COUNTED = tuple(view for view in View if view is not View.ANSWERED)

# Values of a column that open tasks have, each found by one step in an index (a loose index scan).
_VALUES = """
WITH RECURSIVE found AS (
    (SELECT {column} AS value FROM task WHERE state = 'open' AND snoozed_at IS NULL ORDER BY {column} LIMIT 1)
    UNION ALL
    SELECT (SELECT {column} FROM task WHERE state = 'open' AND snoozed_at IS NULL AND {column} > found.value
            ORDER BY {column} LIMIT 1) FROM found WHERE found.value IS NOT NULL
) SELECT value FROM found WHERE value IS NOT NULL LIMIT 200
"""
_CATEGORIES = """
WITH RECURSIVE found AS (
    (SELECT category AS value FROM item WHERE category > '' ORDER BY category LIMIT 1)
    UNION ALL
    SELECT (SELECT category FROM item WHERE category > found.value ORDER BY category LIMIT 1)
    FROM found WHERE found.value IS NOT NULL
) SELECT value AS category FROM found WHERE value IS NOT NULL LIMIT 200
"""
_FAILED = """
SELECT o.order_id, o.supplier, o.location, o.state, o.reason, o.currency,
       o.awaits_operator_at IS NOT NULL AS awaits_operator,
       coalesce(o.awaits_operator_at, o.last_sent_at, o.ordered_at, o.cutoff_at) AS since,
       (SELECT count(*) FROM order_line l WHERE l.order_id = o.order_id) AS lines,
       (SELECT coalesce(sum(l.units * l.unit_cost), 0) FROM order_line l WHERE l.order_id = o.order_id) AS value
FROM purchase_order o
WHERE o.attended_at IS NULL AND (o.state IN ('refused', 'in_doubt') OR o.awaits_operator_at IS NOT NULL)
ORDER BY o.cutoff_at, o.order_id LIMIT %s
"""


class PostgresInbox:
    """The `Inbox` port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, view: View, filters: Filters, who: Person, *, limit: int = 100, after: str | None = None
    ) -> InboxPage:
        limit = max(1, min(limit, MOST))
        async with self._database.reading() as cursor:
            shown = condition(view, who, await names_of(cursor, who.name))
            wanted = narrowed(view, filters)
            if view is View.ANSWERED:
                return await _answered(cursor, wanted, limit, after)
            if view is View.DUE_TODAY:
                shown = await _if_few(cursor, shown)
            return await _waiting(cursor, shown, wanted, limit, after)

    async def counts(self, who: Person) -> Mapping[View, Count]:
        async with self._database.reading() as cursor:
            names = await names_of(cursor, who.name)
            asked = {view: condition(view, who, names) for view in _COUNTED}
            columns = ", ".join(
                f"(SELECT count(*) FROM ({_some(view, one)}) n) AS {view}"  # noqa: S608 - our own names
                for view, one in asked.items()
            )
            values = {**asked[View.NEEDS_ME].values, "most": COUNT_CAP + 1}
            await cursor.execute(f"SELECT {columns}".encode(), values)
            row = await cursor.fetchone() or {}
        return {view: Count(n=min(row[view], COUNT_CAP), capped=row[view] > COUNT_CAP) for view in _COUNTED}

    async def row(self, decision_id: str) -> InboxRow:
        async with self._database.reading() as cursor:
            return await row_of(cursor, decision_id)

    async def choices(self) -> Mapping[str, Sequence[str]]:
        found: dict[str, list[str]] = {}
        async with self._database.reading() as cursor:
            for column in ("location", "supplier"):
                await cursor.execute(_VALUES.format(column=column).encode())
                found[column] = [row["value"] for row in await cursor.fetchall()]
            await cursor.execute(_CATEGORIES)
            found["category"] = [row["category"] for row in await cursor.fetchall()]
            await cursor.execute(
                """SELECT DISTINCT claimed_by FROM task WHERE state = 'open' AND claimed_by IS NOT NULL
                   AND claim_ends_at > now() ORDER BY claimed_by LIMIT 200"""
            )
            found["claimed_by"] = [row["claimed_by"] for row in await cursor.fetchall()]
            # Rules come from a short list of codes: those of the dearest tasks say which are at work.
            await cursor.execute(
                f"""SELECT DISTINCT rule FROM (SELECT rules FROM task t WHERE state = 'open' AND snoozed_at IS NULL
                    ORDER BY {ORDER} LIMIT 500) dearest, unnest(rules) AS rule ORDER BY rule LIMIT 200""".encode()  # noqa: S608 - our own names
            )
            found["rule"] = [row["rule"] for row in await cursor.fetchall()]
        return found

    async def failed(self, limit: int = 100) -> list[FailedOrder]:
        async with self._database.reading() as cursor:
            await cursor.execute(_FAILED, [max(1, min(limit, MOST))])
            return [FailedOrder.model_validate(row) for row in await cursor.fetchall()]


async def row_of(cursor: Cursor, decision_id: str) -> InboxRow:
    """One task as the inbox shows it.

    Raises:
        NotFound: there is no such task.
    """
    await cursor.execute(f"SELECT {COLUMNS} FROM task t WHERE t.decision_id = %s".encode(), [decision_id])  # noqa: S608 - our own names
    row = await cursor.fetchone()
    if row is None:
        raise NotFound(f"there is no task {decision_id}")
    return as_row(row)


def _some(view: View, shown: Condition) -> str:
    """A view's tasks in no order, one more than are counted."""
    return FIRST_DUE if view is View.DUE_TODAY else f"SELECT 1 FROM task t WHERE {shown.words} LIMIT %(most)s"  # noqa: S608 - our own names


async def _if_few(cursor: Cursor, shown: Condition) -> Condition:
    """Few tasks are named one by one: to meet them on the way through all tasks, the dearest first, takes long. Many
    are soon met there."""
    await cursor.execute(FIRST_DUE.encode(), {"most": COUNT_CAP + 1})
    few = [row["decision_id"] for row in await cursor.fetchall()]
    return shown if len(few) > COUNT_CAP else Condition("t.decision_id = ANY (%(few)s)", {"few": few})


async def _waiting(cursor: Cursor, shown: Condition, wanted: Condition, limit: int, after: str | None) -> InboxPage:
    words = [shown.words, wanted.words] if wanted.words else [shown.words]
    values: dict[str, Any] = {**shown.values, **wanted.values, "limit": limit + 1}
    if after is not None:
        cost, deadline, decision_id = Place.of(after)
        words.append(f"({ORDER}) > (%(cost)s, %(deadline)s, %(last)s)")
        values |= {"cost": -cost, "deadline": deadline, "last": decision_id}
    where = " AND ".join(words)
    query = f"SELECT {COLUMNS} FROM task t WHERE {where} ORDER BY {ORDER} LIMIT %(limit)s"  # noqa: S608
    await cursor.execute(query.encode(), values)
    rows = await cursor.fetchall()
    last = rows[limit - 1] if len(rows) > limit else None
    token = Place(last["cost_of_waiting"], last["expire_at"], last["decision_id"]).token() if last else None
    return InboxPage(rows=tuple(as_row(row) for row in rows[:limit]), after=token)


async def _answered(cursor: Cursor, wanted: Condition, limit: int, after: str | None) -> InboxPage:
    """The newest first. Filters look through a bounded stretch, so a page may have fewer rows and still a next one."""
    values: dict[str, Any] = {**wanted.values, "limit": limit + 1, "stretch": LOOKED_THROUGH}
    place = ""
    if after is not None:
        answered_at, decision_id = PlaceAnswered.of(after)
        place = f"AND (t.answered_at, {ID}) < (%(answered_at)s, %(last)s)"
        values |= {"answered_at": answered_at, "last": decision_id}
    newest = f"ORDER BY t.answered_at DESC, {ID} DESC"
    stretch = f"SELECT t.* FROM task t WHERE t.state <> 'open' AND t.answered_at IS NOT NULL {place} {newest}"  # noqa: S608 - our own names
    where = f"WHERE {wanted.words}" if wanted.words else ""
    query = f"SELECT {COLUMNS} FROM ({stretch} LIMIT %(stretch)s) t {where} {newest} LIMIT %(limit)s"  # noqa: S608
    await cursor.execute(query.encode(), values)
    rows = await cursor.fetchall()
    last = rows[limit - 1] if len(rows) > limit else None
    if last is None and wanted.words:
        await cursor.execute(f"{stretch} OFFSET %(stretch)s - 1 LIMIT 1".encode(), values)
        last = await cursor.fetchone()
    token = PlaceAnswered(last["answered_at"], last["decision_id"]).token() if last else None
    return InboxPage(rows=tuple(as_row(row) for row in rows[:limit]), after=token)
