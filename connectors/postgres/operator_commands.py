"""An operator's command under a key of the caller's own is carried out once: the same key gets the same answer."""

from typing import TypeVar

import psycopg
from psycopg.rows import DictRow

from workflows.domain.errors import InvalidInput
from workflows.domain.identity import Payload, canonical, digest

Cursor = psycopg.AsyncCursor[DictRow]
Answer = TypeVar("Answer", bound=Payload)


async def answered(
    cursor: Cursor, command_id: str | None, asked: dict[str, object], kind: type[Answer]
) -> Answer | None:
    """What this command was answered before; None: it is new, and nobody else is at it until the transaction ends.

    Raises:
        InvalidInput: the key was used for another command.
    """
    if command_id is None:
        return None
    await cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 19))", [command_id])
    await cursor.execute("SELECT asked_sha256, answer FROM operator_command WHERE command_id = %s", [command_id])
    row = await cursor.fetchone()
    if row is None:
        return None
    if row["asked_sha256"] != digest(asked):
        raise InvalidInput(f"the key {command_id} was used for another command; take a new one")
    return kind.model_validate_json(row["answer"])


async def keep(cursor: Cursor, command_id: str | None, asked: dict[str, object], answer: Payload) -> None:
    """Remember the answer in the transaction that gives it."""
    if command_id is not None:
        await cursor.execute(
            "INSERT INTO operator_command (command_id, asked_sha256, answer) VALUES (%s, %s, %s)",
            [command_id, digest(asked), canonical(answer)],
        )
