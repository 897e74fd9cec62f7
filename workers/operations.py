"""The operators' desk of a running engine: orders and dead letters in Postgres, and a broker to send letters again."""

import asyncio

from connectors.postgres import operator_commands
from connectors.postgres.letters import page_of_letters
from connectors.postgres.operations import PostgresOrderDesk
from connectors.postgres.pool import Database
from workers.redriving import send_again
from workers.settings import Settings
from workflows.domain.approvals import Actor
from workflows.domain.operations import DeadLetterPage, Redriven


class LiveOperations(PostgresOrderDesk):
    """The `Operations` port."""

    def __init__(self, database: Database, settings: Settings) -> None:
        super().__init__(database)
        self._settings = settings

    async def dead_letters(
        self, *, reason: str = "", waiting: bool = False, limit: int = 100, after: int | None = None
    ) -> DeadLetterPage:
        return await page_of_letters(self._database, reason=reason, waiting=waiting, limit=limit, after=after)

    async def redrive(self, dead_letter_id: int, actor: Actor, *, command_id: str | None = None) -> Redriven:
        asked: dict[str, object] = {"do": "redrive", "by": actor.name, "dead_letter": dead_letter_id}
        async with self._database.reading() as cursor:
            before = await operator_commands.answered(cursor, command_id, asked, Redriven)
        if before is not None:
            return before
        # Not in the transaction: a broker may be slow. Sent twice is accepted once, for the inbox knows the event's id.
        topic = await asyncio.to_thread(send_again, self._settings, dead_letter_id, None, by=actor.name)
        sent = Redriven(dead_letter_id=dead_letter_id, topic=topic)
        async with self._database.transaction("operations.keep_redriven") as cursor:
            if await operator_commands.answered(cursor, command_id, asked, Redriven) is None:
                await operator_commands.keep(cursor, command_id, asked, sent)
        return sent
