"""What commands of auditors work on: the record through the auditor's own role, and who asks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from connectors.postgres.roles import DatabaseRole
from workers.commands import person
from workers.commands.connection import addresses
from workers.databases import dsn_of
from workers.settings import Settings
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
    async with addresses(state, Permission.AUDIT) as found:
        yield Desk(found, dsn_of(found, DatabaseRole.AUDITOR), person.me())
