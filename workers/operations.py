"""The operators' desk of a running engine: orders and dead letters in Postgres, and a broker to send letters again."""

import asyncio

from connectors.postgres.letters import page_of_letters
from connectors.postgres.operations import PostgresOrderDesk
from connectors.postgres.pool import Database
from connectors.postgres.redrives import PostgresRedrives
from workers.redriving import send_again
from workers.settings import Settings
from workflows.domain.approvals import Actor
from workflows.domain.errors import InvalidInput
from workflows.domain.operations import DeadLetterPage
from workflows.domain.redrives import Redriven


class LiveOperations(PostgresOrderDesk, PostgresRedrives):
    """The `Operations` port."""

    def __init__(self, database: Database, settings: Settings) -> None:
        super().__init__(database)
        self._settings = settings

    async def dead_letters(
        self, *, reason: str = "", waiting: bool = False, limit: int = 100, after: int | None = None
    ) -> DeadLetterPage:
        page = await page_of_letters(self._database, reason=reason, waiting=waiting, limit=limit, after=after)
        asked = await self.newest_redrives([one.dead_letter_id for one in page.dead_letters])
        rows = (one.model_copy(update={"redrive": asked.get(one.dead_letter_id)}) for one in page.dead_letters)
        return page.model_copy(update={"dead_letters": tuple(rows)})

    async def confirm_redrive(
        self, redrive_id: int, payload_sha256: str, actor: Actor, *, command_id: str | None = None
    ) -> Redriven:
        if self._settings.kafka_bootstrap is None:
            raise InvalidInput("QM_KAFKA_BOOTSTRAP must be set to send a dead letter again")
        before = await self.confirmed_before(redrive_id, payload_sha256, actor, command_id)
        if before is not None:
            return before
        agreed = await self.confirm(redrive_id, payload_sha256, actor)
        if agreed.redrive.sent_at is None:
            # In no transaction: a broker may be slow. Sent twice is accepted once, for the inbox knows the event's id.
            await asyncio.to_thread(send_again, self._settings.kafka_bootstrap, agreed)
        return await self.sent(agreed.redrive, agreed.topic, actor, command_id=command_id)
