"""Reads the policy in force and the business clocks."""

from datetime import datetime

from connectors.postgres import facts
from connectors.postgres.pool import Database
from workflows.domain.policies import Policy


async def read_policy(database: Database) -> Policy:
    """The newest adopted policy; the defaults before any was adopted."""
    async with database.transaction() as cursor:
        return await facts.current_policy(cursor)


async def read_clocks(database: Database) -> dict[str, datetime]:
    """Each location's business clock."""
    async with database.transaction() as cursor:
        await cursor.execute("SELECT location, watermark FROM business_clock ORDER BY location")
        return {row["location"]: row["watermark"] for row in await cursor.fetchall()}
