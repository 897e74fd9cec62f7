"""What commands of auditors work on: the record through the auditor's own role, and who asks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from connectors.postgres.pool import Database
from connectors.postgres.roles import DatabaseRole
from workers.commands.connection import addresses
from workers.databases import dsn_of
from workers.enrolling import let_in
from workers.settings import Settings
from workers.wiring import required
from workflows.domain.approvals import Actor
from workflows.domain.people import Permission


@dataclass(frozen=True)
class Desk:
    """Where an auditor's question is answered."""

    settings: Settings
    dsn: str
    """Connects as the role that sees the ledger and the evidence, and nothing else."""
    actor: Actor


@asynccontextmanager
async def auditing(state: str | None) -> AsyncIterator[Desk]:
    """The desk of whoever gives this command.

    Raises:
        NotAllowed: the system's user may not audit.
    """
    async with addresses(state) as found:
        async with Database(required(found, "postgres_dsn"), name="quartermaster-cli", size=1) as database:
            who = await let_in(found, database, Permission.AUDIT)
        yield Desk(found, dsn_of(found, DatabaseRole.AUDITOR), Actor(name=who.name, channel="cli"))
