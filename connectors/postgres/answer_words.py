"""The comments that go with answers: sealed with their author's key, and opened where a decision is shown."""

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.rows import DictRow

from connectors.postgres.personal import ERASED_WORDS, SEALED, Vault

Cursor = psycopg.AsyncCursor[DictRow]


def words_id(approval_id: str) -> str:
    """Where the comment of an answer is kept."""
    return f"approval:{approval_id}"


async def with_comments(cursor: Cursor, vault: Vault, approvals: Sequence[DictRow]) -> list[dict[str, Any]]:
    """Rows of `approval` with the words that people wrote; of erased ones, that they are."""
    sealed = [words_id(row["approval_id"]) for row in approvals if row["comment"] == SEALED]
    words = await vault.read(cursor, sealed)
    found = []
    for row in approvals:
        kept = words.get(words_id(row["approval_id"]))
        said = kept.text if kept else ERASED_WORDS if row["comment"] == SEALED else row["comment"]
        found.append({**row, "comment": said})
    return found
