"""Each durable test has an engine, a server and a clock of its own."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.fakes.engine import Engine, running_engine


@pytest_asyncio.fixture
async def engine() -> AsyncIterator[Engine]:
    """A running engine over fakes."""
    async with running_engine() as running:
        yield running
