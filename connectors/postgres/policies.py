"""Reads what is in force: the policy, the business clocks, and what of the data is invented."""

from datetime import datetime

from connectors.postgres import facts
from connectors.postgres.pool import Connection, Database, transaction
from workflows.domain.policies import Policy


async def read_policy(database: Database) -> Policy:
    """The newest adopted policy; the defaults before any was adopted."""
    async with database.transaction("policies.read_policy") as cursor:
        return await facts.current_policy(cursor)


async def read_clocks(database: Database) -> dict[str, datetime]:
    """Each location's business clock."""
    async with database.reading() as cursor:
        await cursor.execute("SELECT location, watermark FROM business_clock ORDER BY location")
        return {row["location"]: row["watermark"] for row in await cursor.fetchall()}


async def read_zones(database: Database) -> dict[str, str]:
    """The time zone of each location that keeps another one than UTC, by its IANA name."""
    async with database.reading() as cursor:
        await cursor.execute("SELECT location, time_zone FROM location WHERE time_zone <> 'UTC'")
        return {row["location"]: row["time_zone"] for row in await cursor.fetchall()}


INVENTED = "invented"


async def read_invented(database: Database) -> str:
    """What of the data a feed generated, in words; empty when nothing is."""
    async with database.reading() as cursor:
        return await facts.setting(cursor, INVENTED, "")


def note_invented(connection: Connection, words: str) -> None:
    """Remember what a feed generated, so that it can be said wherever figures are shown."""
    with transaction(connection, "policies.note_invented") as cursor:
        cursor.execute(
            "INSERT INTO setting (key, value) VALUES (%s, %s) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            [INVENTED, words],
        )
