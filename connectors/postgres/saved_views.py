"""Views that people keep under a name: their own, and those that somebody shares with everybody."""

import json

import psycopg
from psycopg.rows import DictRow

from workflows.domain.errors import InvalidInput, NotAllowed, NotFound
from workflows.domain.inbox import SavedView

Cursor = psycopg.AsyncCursor[DictRow]

MOST = 100
"""Views of one person, and shared ones that are listed."""
_COLUMNS = "view_id, name, owner, shared, view, filters"


async def of_person(cursor: Cursor, name: str) -> list[SavedView]:
    """The person's own, then everybody's shared ones, by name."""
    own = f"SELECT {_COLUMNS} FROM saved_view WHERE owner = %(me)s ORDER BY name, view_id LIMIT %(most)s"  # noqa: S608 - our own names
    shared = (
        f"SELECT {_COLUMNS} FROM saved_view WHERE shared AND owner <> %(me)s "  # noqa: S608 - our own names
        "ORDER BY name, view_id LIMIT %(most)s"
    )
    found: list[SavedView] = []
    for query in (own, shared):
        await cursor.execute(query.encode(), {"me": name, "most": MOST})
        found += [SavedView.model_validate(row) for row in await cursor.fetchall()]
    return found


async def save(cursor: Cursor, view: SavedView, owner: str) -> SavedView:
    """Keep it, or change it if it is the owner's.

    Raises:
        NotAllowed: it is somebody else's.
        InvalidInput: the person has as many as anybody may have.
    """
    await cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 17))", [f"saved view of {owner}"])
    await cursor.execute(
        "SELECT count(*) AS n FROM saved_view WHERE owner = %s AND view_id <> %s", [owner, view.view_id]
    )
    row = await cursor.fetchone()
    if row is not None and row["n"] >= MOST:
        raise InvalidInput(f"you keep {MOST} views already: drop one that you no longer need")
    filters = json.dumps(view.filters.model_dump(mode="json", exclude_defaults=True))
    await cursor.execute(
        f"""INSERT INTO saved_view AS v (view_id, name, owner, shared, view, filters)
            VALUES (%s, %s, %s, %s, %s, %s)
            ON CONFLICT (view_id) DO UPDATE SET name = excluded.name, shared = excluded.shared, view = excluded.view,
                filters = excluded.filters, changed_at = clock_timestamp() WHERE v.owner = excluded.owner
            RETURNING {_COLUMNS}""".encode(),  # noqa: S608 - our own names
        [view.view_id, view.name, owner, view.shared, view.view, filters],
    )
    kept = await cursor.fetchone()
    if kept is None:
        raise NotAllowed(f"the view {view.view_id} is somebody else's: save it under another name")
    return SavedView.model_validate(kept)


async def drop(cursor: Cursor, view_id: str, owner: str) -> None:
    """Forget it.

    Raises:
        NotFound: there is no such view.
        NotAllowed: it is somebody else's.
    """
    await cursor.execute("DELETE FROM saved_view WHERE view_id = %s AND owner = %s", [view_id, owner])
    if cursor.rowcount == 1:
        return
    await cursor.execute("SELECT owner FROM saved_view WHERE view_id = %s", [view_id])
    row = await cursor.fetchone()
    if row is None:
        raise NotFound(f"there is no view {view_id}")
    raise NotAllowed(f"this view is {row['owner']}'s")
