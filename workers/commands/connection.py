"""Opens what a command works on: the settings, the state it means, and the engine's parts."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import typer

from workers.commands.output import say
from workers.enrolling import let_in
from workers.failing import listen
from workers.personal_key import database_of
from workers.session import opened
from workers.settings import Settings
from workers.wiring import Engine, engine, required
from workflows.domain.people import Permission

State = Annotated[str | None, typer.Option("--state", help="up, demo or a directory. Default: what runs.")]
"""The option by which a command is told which state it means."""


def settings() -> Settings:
    """The settings of this process, read once at the edge."""
    return Settings.from_environment(os.environ)


@asynccontextmanager
async def addresses(state: str | None, needs: Permission | None = None) -> AsyncIterator[Settings]:
    """Settings with every address of this state; its servers are started for the while if they do not run.

    None: whatever is done with them asks by itself who gives the command.

    Raises:
        NotAllowed: the system's user who gives the command may not do what it needs.
    """
    async with opened(settings(), state, say) as found:
        listen(found)
        if needs is not None:
            async with database_of(
                found, required(found, "postgres_dsn"), name="quartermaster-cli", size=1
            ) as database:
                await let_in(found, database, needs)
        yield found


@asynccontextmanager
async def connected(
    state: str | None, needs: Permission = Permission.SEE, *, worker: bool = False
) -> AsyncIterator[Engine]:
    """The engine's parts on this state, with a worker if the command needs workflows to go on.

    Raises:
        NotAllowed: the system's user who gives the command may not do what it needs.
    """
    async with (
        opened(settings(), state, say, worker=worker) as found,
        engine(found, name="quartermaster-cli", pool_size=2) as parts,
    ):
        listen(found)
        await let_in(found, parts.database, needs)
        yield parts
