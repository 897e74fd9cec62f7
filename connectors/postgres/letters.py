"""Reads dead letters for people, a page at a time; `dead_letters` keeps them for intake."""

from typing import Any

from connectors.postgres.pool import Database
from workflows.domain.operations import DeadLetterPage, DeadLetterRow

_LARGEST = 2**63 - 1


async def page_of_letters(
    database: Database, *, reason: str, waiting: bool, limit: int, after: int | None
) -> DeadLetterPage:
    """Newest first; only of this reason, only those that nobody sent again."""
    where, most = ["dead_letter_id < %(after)s"], min(limit, 500)
    if reason:
        where.append("error_code = %(reason)s")
    if waiting:
        where.append("redriven_at IS NULL")
    query = f"""SELECT dead_letter_id, topic, partition, kafka_offset, message_key, error_code, error_detail,
                       length(payload) AS bytes, first_seen, redriven_at
                FROM dead_letter WHERE {" AND ".join(where)} ORDER BY dead_letter_id DESC LIMIT %(limit)s"""  # noqa: S608
    arguments: dict[str, Any] = {"after": _LARGEST if after is None else after, "reason": reason, "limit": most + 1}
    async with database.reading() as cursor:
        await cursor.execute(query.encode(), arguments)
        rows = [DeadLetterRow.model_validate(row) for row in await cursor.fetchall()]
    shown = rows[:most]
    return DeadLetterPage(dead_letters=tuple(shown), next=shown[-1].dead_letter_id if len(rows) > most else None)
