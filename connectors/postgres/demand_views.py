"""Reads demand for people, layer by layer, and the facts that a forecast on request is made from."""

import json
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import psycopg
from psycopg.rows import DictRow

from connectors.postgres.drivers import calendars_of, drivers_of
from connectors.postgres.histories import histories_of
from connectors.postgres.models import DRIVER_DAYS
from connectors.postgres.pool import Database
from workflows.domain.demand import layers
from workflows.domain.errors import InvalidInput, NotFound
from workflows.domain.forecasts import MOST_SERIES, ForecastFacts, ForecastRequest
from workflows.domain.models import TrainingSeries
from workflows.domain.stock_views import DemandHistoryView

Cursor = psycopg.AsyncCursor[DictRow]
KEPT_ANSWERS = timedelta(days=30)

_NEWEST_DAY = """
SELECT coalesce((SELECT min((watermark AT TIME ZONE 'UTC')::date - 1) FROM business_clock
                 WHERE %(all)s OR location = ANY(%(locations)s)),
                (SELECT max(day) FROM recorded_demand WHERE location = ANY(%(locations)s)),
                (SELECT min((watermark AT TIME ZONE 'UTC')::date - 1) FROM business_clock),
                (SELECT max(day) FROM recorded_demand)) AS day
"""
# Wherever an item was sold, ever: by look-ups, one per item and location.
_CARRIED = """
SELECT l.location, i.item FROM location l CROSS JOIN unnest(%(items)s::text[]) AS i (item)
WHERE EXISTS (SELECT 1 FROM position p WHERE p.location = l.location AND p.item = i.item)
   OR EXISTS (SELECT 1 FROM recorded_demand r WHERE r.location = l.location AND r.item = i.item)
ORDER BY i.item, l.location LIMIT %(most)s
"""
_NEWEST_DECISION = """
SELECT d.decision_id, d.decided_at, e.body AS inputs FROM decision d JOIN evidence e ON e.sha256 = d.inputs_sha256
WHERE d.location = %s AND d.item = %s ORDER BY d.decided_at DESC, d.revision DESC LIMIT 1
"""


class PostgresDemandViews:
    """The `Demand` port, and what `Forecasts` needs to know."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def history(self, location: str, item: str, days: int) -> DemandHistoryView:
        """See the port."""
        async with self._database.reading() as cursor:
            end = await _newest_day(cursor, [location]) + timedelta(days=1)
            # The whole history is read: an outlier is cut by the days before it.
            keys = {"locations": [location], "items": [item], "since": date.min, "today": end}
            known = await histories_of(cursor, keys)
            key = location, item
            if not known.days.get(key):
                raise NotFound(f"No demand of {item} at {location} was ever recorded.")
            found = layers(known.days[key], end, known.definition, known.adjustments.get(key, ()))
            await cursor.execute("SELECT name, category FROM item WHERE item = %s", [item])
            named = await cursor.fetchone() or {"name": item, "category": ""}
            await cursor.execute(_NEWEST_DECISION, [location, item])
            row = await cursor.fetchone()
        return DemandHistoryView.model_validate({
            "location": location, "item": item, "item_name": named["name"], "category": named["category"],
            "days": [one for one in found if one.day >= end - timedelta(days=days)],
            "forecast": json.loads(row["inputs"])["scores"]["days"] if row else (),
            "decision_id": row["decision_id"] if row else None, "decided_at": row["decided_at"] if row else None,
            "definition_words": known.definition.words, "definition_digest": known.definition.digest,
        })  # fmt: skip

    async def facts(self, request: ForecastRequest) -> ForecastFacts:
        """All that is known by now of what was asked for, up to the newest day that is over at all its locations.

        Raises:
            NotFound: the catalog does not have an item or a location, or there is no demand yet.
            InvalidInput: more than `MOST_SERIES` series.
        """
        async with self._database.reading() as cursor:
            await _in_catalog(cursor, request)
            keys = await _asked_for(cursor, request)
            last_day = await _newest_day(cursor, sorted({location for location, _ in keys}))
            given: dict[str, Any] = {
                "locations": [key[0] for key in keys], "items": [key[1] for key in keys], "since": date.min,
                "today": last_day + timedelta(days=1),
            }  # fmt: skip
            known = await histories_of(cursor, given)
            midnight = datetime.combine(given["today"], time.min, UTC)
            outside = await drivers_of(cursor, keys, midnight, last_day - timedelta(days=DRIVER_DAYS))
            calendars = await calendars_of(cursor)
            await cursor.execute("SELECT item, category FROM item WHERE item = ANY(%s)", [given["items"]])
            categories = {row["item"]: row["category"] for row in await cursor.fetchall()}
        told = {key: history for key in keys if (history := known.history(key))}
        series = tuple(
            TrainingSeries(
                location=location, item=item, category=categories[item], history=history,
                promotions=known.promotions((location, item)), drivers=outside[location, item],
                country=calendars.get(location, {}).get("country"),
                subdivision=calendars.get(location, {}).get("subdivision"),
            )
            for (location, item), history in told.items()
        )  # fmt: skip
        return ForecastFacts(
            series=series, data_through=last_day, demand_definition=known.definition.digest,
            unknown=tuple(f"{location}:{item}" for location, item in keys if (location, item) not in told),
        )  # fmt: skip

    async def answer_of(self, actor: str, command_id: str, request_digest: str) -> bytes | None:
        """What was answered under this id; None when nothing was.

        Raises:
            InvalidInput: the id was used for another question.
        """
        async with self._database.reading() as cursor:
            await cursor.execute(
                "SELECT request_digest, answer FROM forecast_answer WHERE actor = %s AND command_id = %s",
                [actor, command_id],
            )
            row = await cursor.fetchone()
        if row is None:
            return None
        if row["request_digest"] != request_digest:
            raise InvalidInput(f"The id {command_id} was used for another forecast; take a new one.")
        return bytes(row["answer"])

    async def keep_answer(self, actor: str, command_id: str, request_digest: str, answer: bytes) -> None:
        """Remember what was answered, for a while; the first answer under an id stays."""
        async with self._database.transaction("demand_views.keep_answer") as cursor:
            await cursor.execute("DELETE FROM forecast_answer WHERE recorded_at < now() - %s", [KEPT_ANSWERS])
            await cursor.execute(
                """INSERT INTO forecast_answer (actor, command_id, request_digest, answer) VALUES (%s, %s, %s, %s)
                   ON CONFLICT DO NOTHING""",
                [actor, command_id, request_digest, answer],
            )


async def _newest_day(cursor: Cursor, locations: list[str]) -> date:
    await cursor.execute(_NEWEST_DAY, {"locations": locations, "all": not locations})
    row = await cursor.fetchone()
    if row is None or row["day"] is None:
        raise NotFound("There is no demand yet: nothing was recorded and no event has come in.")
    day: date = row["day"]
    return day


async def _in_catalog(cursor: Cursor, request: ForecastRequest) -> None:
    for kind, names, query in (
        ("item", request.products, "SELECT item AS name FROM item WHERE item = ANY(%s)"),
        ("location", request.locations, "SELECT location AS name FROM location WHERE location = ANY(%s)"),
    ):
        await cursor.execute(query, [list(names)])
        there = {row["name"] for row in await cursor.fetchall()}
        if absent := [name for name in names if name not in there]:
            raise NotFound(f"The catalog has no {kind} {', '.join(absent[:5])}.")


async def _asked_for(cursor: Cursor, request: ForecastRequest) -> list[tuple[str, str]]:
    products = list(dict.fromkeys(request.products))
    if request.locations:
        keys = [(location, item) for item in products for location in dict.fromkeys(request.locations)]
    else:
        await cursor.execute(_CARRIED, {"items": products, "most": MOST_SERIES + 1})
        keys = [(row["location"], row["item"]) for row in await cursor.fetchall()]
    if len(keys) > MOST_SERIES:
        raise InvalidInput(
            f"That is more than {MOST_SERIES} series (items x locations), the most that one request may ask for; "
            "ask for fewer items, or name the locations"
        )
    return keys
