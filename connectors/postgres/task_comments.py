"""What people say about a task: kept with the task under the client's key, and sealed with the author's own key."""

from typing import Any

import psycopg
from psycopg.rows import DictRow

from connectors.postgres.personal import ERASED_WORDS, SEALED, Vault, Words
from workflows.domain.errors import InvalidInput
from workflows.domain.inbox import Comment

Cursor = psycopg.AsyncCursor[DictRow]

MOST = 1_000
"""Comments that are read of one task."""
_COLUMNS = 'comment_id, decision_id, author, text, to_person AS "to", kind, at'


def words_id(comment_id: str) -> str:
    """Where a comment's words are kept."""
    return f"comment:{comment_id}"


async def known(cursor: Cursor, vault: Vault, said: Comment) -> Comment | None:
    """What was kept under this key; None: nothing yet.

    Raises:
        InvalidInput: something else was.
    """
    await cursor.execute(f"SELECT {_COLUMNS} FROM task_comment WHERE comment_id = %s".encode(), [said.comment_id])  # noqa: S608 - our own names
    row = await cursor.fetchone()
    if row is None:
        return None
    [before] = await _opened(cursor, vault, [row])
    if before != said.model_copy(update={"at": before.at}):
        raise InvalidInput("this command id was used for another command; make a new one")
    return before


async def keep(cursor: Cursor, vault: Vault, said: Comment) -> tuple[Comment, Words | None]:
    """Store it and count it on the task, with its words as the ledger needs them; None: it has none. Whoever was asked
    something has answered by saying anything.

    Raises:
        InvalidInput: the key was used for another task in the same moment.
    """
    await cursor.execute(
        f"""INSERT INTO task_comment (comment_id, decision_id, author, text, to_person, kind)
            VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING RETURNING {_COLUMNS}""".encode(),  # noqa: S608 - our own names
        [said.comment_id, said.decision_id, said.author, SEALED if said.text else "", said.to, said.kind],
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
    kept = Comment.model_validate({**row, "text": said.text})
    if not said.text:
        return kept, None
    return kept, await vault.words(cursor, said.author, words_id(said.comment_id), said.text)


async def of_task(cursor: Cursor, vault: Vault, decision_id: str) -> list[Comment]:
    """All of a task's, oldest first."""
    await cursor.execute(
        f"SELECT {_COLUMNS} FROM task_comment WHERE decision_id = %s ORDER BY at, comment_id LIMIT %s".encode(),  # noqa: S608 - our own names
        [decision_id, MOST],
    )
    return await _opened(cursor, vault, await cursor.fetchall())


async def _opened(cursor: Cursor, vault: Vault, rows: list[DictRow]) -> list[Comment]:
    words = await vault.read(cursor, [words_id(row["comment_id"]) for row in rows if row["text"] == SEALED])
    found = []
    for row in rows:
        kept = words.get(words_id(row["comment_id"]))
        text = kept.text if kept else ERASED_WORDS if row["text"] == SEALED else row["text"]
        found.append(Comment.model_validate({**row, "text": text}))
    return found


def told(said: Comment, words: Words | None) -> dict[str, Any]:
    """What the ledger keeps of it: not the words, because people write names into them."""
    return {
        "comment": said.comment_id,
        "kind": said.kind,
        "to": said.to,
        "text_hmac": words.mac if words else None,
    }
