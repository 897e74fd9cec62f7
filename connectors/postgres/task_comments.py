"""What people say about a task: kept with the task, by the key that the client gave it; the ledger has a digest."""

from typing import Any

import psycopg
from psycopg.rows import DictRow

from workflows.domain.errors import InvalidInput
from workflows.domain.identity import digest
from workflows.domain.inbox import Comment

Cursor = psycopg.AsyncCursor[DictRow]

MOST = 1_000
"""Comments that are read of one task."""
_COLUMNS = 'comment_id, decision_id, author, text, to_person AS "to", kind, at'


async def known(cursor: Cursor, said: Comment) -> Comment | None:
    """What was kept under this key; None: nothing yet.

    Raises:
        InvalidInput: something else was.
    """
    await cursor.execute(f"SELECT {_COLUMNS} FROM task_comment WHERE comment_id = %s".encode(), [said.comment_id])  # noqa: S608 - our own names
    row = await cursor.fetchone()
    if row is None:
        return None
    before = Comment.model_validate(row)
    if before != said.model_copy(update={"at": before.at}):
        raise InvalidInput("this command id was used for another command; make a new one")
    return before


async def keep(cursor: Cursor, said: Comment) -> Comment:
    """Store it and count it on the task. Whoever was asked something has answered by saying anything.

    Raises:
        InvalidInput: the key was used for another task in the same moment.
    """
    await cursor.execute(
        f"""INSERT INTO task_comment (comment_id, decision_id, author, text, to_person, kind)
            VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING RETURNING {_COLUMNS}""".encode(),  # noqa: S608 - our own names
        [said.comment_id, said.decision_id, said.author, said.text, said.to, said.kind],
    )
    row = await cursor.fetchone()
    if row is None:
        raise InvalidInput("this command id was used for another command; make a new one")
    asked = said.to if said.kind == "question" else None
    await cursor.execute(
        """UPDATE task SET comments = comments + 1,
               asked = ARRAY(SELECT DISTINCT name FROM unnest(array_remove(asked, %(author)s)
                             || CASE WHEN %(asked)s::text IS NULL THEN '{}' ELSE ARRAY[%(asked)s::text] END) AS name
                             ORDER BY name)
           WHERE decision_id = %(task)s""",
        {"author": said.author, "asked": asked, "task": said.decision_id},
    )
    return Comment.model_validate(row)


async def of_task(cursor: Cursor, decision_id: str) -> list[Comment]:
    """All of a task's, oldest first."""
    await cursor.execute(
        f"SELECT {_COLUMNS} FROM task_comment WHERE decision_id = %s ORDER BY at, comment_id LIMIT %s".encode(),  # noqa: S608 - our own names
        [decision_id, MOST],
    )
    return [Comment.model_validate(row) for row in await cursor.fetchall()]


def told(said: Comment) -> dict[str, Any]:
    """What the ledger keeps of it: not the words, because people write names into them."""
    return {
        "comment": said.comment_id,
        "kind": said.kind,
        "to": said.to,
        "text_sha256": digest(said.text.encode()) if said.text else None,
    }
