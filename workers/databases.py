"""Says as whom a process connects to the database: on a server of ours as its own role, elsewhere as it was told."""

import asyncio

from connectors.postgres.pool import unsafe_settings
from connectors.postgres.roles import DatabaseRole, as_role, user_of
from workers.servers.postgres import SUPERUSER, is_own_server
from workers.settings import Settings
from workers.wiring import required


def dsn_of(settings: Settings, role: DatabaseRole) -> str:
    """The DSN with which this role connects. One that leads to a server of the user's own stays as it is: there each
    process is given a DSN of its own, with whatever signs it in.

    Raises:
        InvalidInput: the settings name no database.
    """
    dsn = required(settings, "postgres_dsn")
    return as_role(dsn, role) if is_own_server(dsn) else dsn


def in_role(settings: Settings, role: DatabaseRole) -> Settings:
    """The settings of a process that connects as this role.

    Raises:
        InvalidInput: the settings name no database.
    """
    return settings.model_copy(update={"postgres_dsn": dsn_of(settings, role)})


def owner_of(settings: Settings) -> str | None:
    """The DSN that may change the schema; None for a process whose role owns nothing, on a server of the user's own.

    Raises:
        InvalidInput: the settings name no database.
    """
    dsn = required(settings, "postgres_dsn")
    if is_own_server(dsn):
        return as_role(dsn, SUPERUSER)
    return None if user_of(dsn) in set(DatabaseRole) else dsn


async def unsafe_in(dsn: str) -> str:
    """What PostgreSQL may lose of what it acknowledged, in words: asked as every role on a server of ours, elsewhere as
    whom the DSN says. Empty: nothing.

    Raises:
        Unavailable: it does not answer, or does not let somebody in.
    """
    asked = [as_role(dsn, role) for role in DatabaseRole] if is_own_server(dsn) else [dsn]
    found = await asyncio.gather(*(asyncio.to_thread(unsafe_settings, one) for one in asked))
    words = sorted({word for one in found for word in one})
    return f"PostgreSQL may lose what it has acknowledged: {'; '.join(words)}" if words else ""
