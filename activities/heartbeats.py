"""Tells Temporal that an activity lives while its work lasts, so that a dead worker's work goes on elsewhere."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from temporalio import activity

HEARTBEAT_SECONDS = 5.0


@asynccontextmanager
async def heartbeats() -> AsyncIterator[None]:
    """Beat until the block is left; outside an activity, nothing."""

    async def beat() -> None:
        while True:
            activity.heartbeat()
            await asyncio.sleep(HEARTBEAT_SECONDS)

    beating = asyncio.ensure_future(beat()) if activity.in_activity() else None
    try:
        yield
    finally:
        if beating:
            beating.cancel()
