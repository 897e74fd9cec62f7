"""Keeps the stop switches, and holds an order at one in the transaction that would have let it go."""

from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import ledger, operator_commands
from connectors.postgres.pool import Database
from workflows.domain.approvals import Actor
from workflows.domain.errors import InvalidInput, NotFound
from workflows.domain.identity import rfc3339
from workflows.domain.ledger import EntryType, NewEntry
from workflows.domain.stops import Held, Stop, StopCommand, StopScope, why_held

Cursor = psycopg.AsyncCursor[DictRow]
SWITCHES = 0x73746F7073
"""The advisory lock between whoever throws a switch (exclusive) and whoever lets an order go (shared), each until
commit: once a stop has returned, every request that leaves later was authorised in a transaction that saw it."""
STREAM = "stops"
ENGINE = Actor(name="engine", channel="engine")

_STOPS = """
SELECT s.*, (SELECT count(*) FROM (SELECT 1 FROM purchase_order o WHERE o.held_by = s.stop_id LIMIT 5000) AS held)
    AS held_orders
FROM send_stop s
"""
_IN_FORCE = "WHERE s.lifted_at IS NULL AND (s.ends_at IS NULL OR s.ends_at > clock_timestamp()) "
_KNOWN = {
    StopScope.LOCATION: b"SELECT 1 FROM location WHERE location = %s",
    StopScope.SUPPLIER: b"SELECT 1 FROM supplier WHERE supplier = %s",
    StopScope.MODEL: b"SELECT 1 FROM model_version WHERE digest = %s",
    StopScope.ORDER: b"SELECT 1 FROM purchase_order WHERE order_id = %s",
}


async def hold(cursor: Cursor, order: DictRow) -> bool:
    """Whether a switch holds this (locked) order now; noted on the order, and on the record when it is another one."""
    await cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", [SWITCHES])
    # A statement of its own: its snapshot is taken after the lock was waited for.
    await cursor.execute("SELECT * FROM stop_of_order(%s)", [order["order_id"]])
    stop = await cursor.fetchone()
    if stop is None:
        if order["held_by"] is not None:
            await cursor.execute(
                "UPDATE purchase_order SET held_by = NULL, held_at = NULL WHERE order_id = %s", [order["order_id"]]
            )
        return False
    if order["held_by"] != stop["stop_id"]:
        await cursor.execute(
            """UPDATE purchase_order SET held_by = %s, held_at = clock_timestamp(), awaits_operator_at = NULL
               WHERE order_id = %s""",
            [stop["stop_id"], order["order_id"]],
        )
        body = {"stop": stop["stop_id"], "reason": stop["reason"]}
        await ledger.append(cursor, [_of_order(order, EntryType.ORDER_HELD, body)])
    return True


async def held(cursor: Cursor, order_id: str) -> Held | None:
    """The switch that held the order when it last wanted to go."""
    await cursor.execute(
        """SELECT o.order_id, s.stop_id, s.scope, s.subject, s.reason, s.over_cap FROM purchase_order o
           JOIN send_stop s ON s.stop_id = o.held_by WHERE o.order_id = %s""",
        [order_id],
    )
    row = await cursor.fetchone()
    if row is None:
        return None
    reason = why_held(StopScope(row["scope"]), row["subject"], row["reason"])
    return Held(order_id=order_id, stop_id=row["stop_id"], reason=reason, over_cap=row["over_cap"])


async def await_operator(cursor: Cursor, order: DictRow) -> None:
    """Note that patience with this (locked) order ended. Safe to repeat."""
    await cursor.execute(
        """UPDATE purchase_order SET awaits_operator_at = clock_timestamp(), wake_at = NULL
           WHERE order_id = %s AND awaits_operator_at IS NULL AND state IN ('collecting', 'sending', 'in_doubt')""",
        [order["order_id"]],
    )
    if cursor.rowcount == 1:
        body = {"state": order["state"], "reason": order["reason"]}
        await ledger.append(cursor, [_of_order(order, EntryType.ORDER_AWAITS_OPERATOR, body)])


class PostgresStops:
    """The `Stops` port."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def in_force(self) -> list[Stop]:
        async with self._database.reading() as cursor:
            await cursor.execute(_STOPS + _IN_FORCE + "ORDER BY s.stopped_at, s.stop_id LIMIT 500")
            return [_stop(row) for row in await cursor.fetchall()]

    async def history(self, *, limit: int = 100, after: str | None = None) -> list[Stop]:
        async with self._database.reading() as cursor:
            if after is None:
                await cursor.execute(_STOPS + "ORDER BY s.stopped_at DESC, s.stop_id LIMIT %s", [limit])
            else:
                await cursor.execute("SELECT stopped_at FROM send_stop WHERE stop_id = %s", [after])
                last = await cursor.fetchone()
                if last is None:
                    raise InvalidInput(f"after: there is no stop {after[:100]}")
                await cursor.execute(
                    _STOPS
                    + """WHERE s.stopped_at <= %(at)s AND (s.stopped_at < %(at)s OR s.stop_id > %(after)s)
                         ORDER BY s.stopped_at DESC, s.stop_id LIMIT %(limit)s""",
                    {"at": last["stopped_at"], "after": after, "limit": limit},
                )
            return [_stop(row) for row in await cursor.fetchall()]

    async def stop(self, command: StopCommand, actor: Actor, *, command_id: str | None = None) -> Stop:
        asked: dict[str, object] = {
            "do": "stop",
            "by": actor.name,
            **command.model_dump(mode="json", exclude_none=True),
        }
        if command.ends_at is not None and command.ends_at <= datetime.now(UTC):
            raise InvalidInput(f"a pause ends in the future, and {rfc3339(command.ends_at)} is over")
        async with self._database.transaction("stops.stop") as cursor:
            before = await operator_commands.answered(cursor, command_id, asked, Stop)
            if before is not None:
                return before
            if command.scope is not StopScope.EVERYTHING:
                await cursor.execute(_KNOWN[command.scope], [command.subject])
                if await cursor.fetchone() is None:
                    raise NotFound(f"there is no {command.scope} {command.subject}")
            await cursor.execute("SELECT pg_advisory_xact_lock(%s)", [SWITCHES])
            await self._end_shorter(cursor, command, actor)
            row = await self._standing(cursor, command) or await self._throw(cursor, command, actor)
            await cursor.execute(
                """SELECT count(*) AS n FROM purchase_order
                   WHERE state = 'sending' AND open_requests > 0 AND lease_until > clock_timestamp()"""
            )
            leaving = await cursor.fetchone()
            answer = _stop(row, under_way=leaving["n"] if leaving else 0)
            await operator_commands.keep(cursor, command_id, asked, answer)
            return answer

    async def lift(self, stop_id: str, reason: str, actor: Actor, *, command_id: str | None = None) -> Stop:
        asked: dict[str, object] = {"do": "lift", "by": actor.name, "stop": stop_id, "reason": reason}
        async with self._database.transaction("stops.lift") as cursor:
            before = await operator_commands.answered(cursor, command_id, asked, Stop)
            if before is not None:
                return before
            # The orders that it held are told by the relay, which finds them by their switch.
            await cursor.execute("SELECT pg_advisory_xact_lock(%s)", [SWITCHES])
            await cursor.execute(
                """UPDATE send_stop SET lifted_by = %s, lifted_reason = %s, lifted_at = clock_timestamp()
                   WHERE stop_id = %s AND lifted_at IS NULL""",
                [actor.name, reason, stop_id],
            )
            lifted_now = cursor.rowcount == 1
            await cursor.execute(_STOPS + "WHERE s.stop_id = %s", [stop_id])
            row = await cursor.fetchone()
            if row is None:
                raise NotFound(f"there is no stop {stop_id}")
            if lifted_now:
                body = {"stop": stop_id, "scope": row["scope"], "subject": row["subject"], "reason": reason}
                await ledger.append(cursor, [_of_switch(EntryType.SENDING_RESUMED, actor, row["lifted_at"], body)])
            answer = _stop(row)
            await operator_commands.keep(cursor, command_id, asked, answer)
            return answer

    @staticmethod
    async def _end_shorter(cursor: Cursor, command: StopCommand, actor: Actor) -> None:
        """A pause whose time is over holds nothing; here it is written down, so that the next switch can be set. One
        that would end before what is asked for now gives way to it, in the same transaction: nothing leaves between."""
        await cursor.execute(
            """UPDATE send_stop SET lifted_at = least(ends_at, clock_timestamp()),
                   lifted_by = CASE WHEN ends_at <= clock_timestamp() THEN %(engine)s ELSE %(name)s END,
                   lifted_reason = CASE WHEN ends_at <= clock_timestamp() THEN 'the pause was over'
                                        ELSE 'a longer stop takes its place' END
               WHERE scope = %(scope)s AND subject = %(subject)s AND lifted_at IS NULL AND over_cap IS NULL
                 AND (ends_at <= clock_timestamp() OR ends_at < coalesce(%(until)s::timestamptz, 'infinity'))
               RETURNING stop_id, lifted_by, lifted_reason, lifted_at""",
            {
                "scope": command.scope, "subject": command.subject, "until": command.ends_at, "engine": ENGINE.name,
                "name": actor.name,
            },
        )  # fmt: skip
        for row in await cursor.fetchall():
            body = {
                "stop": row["stop_id"], "scope": command.scope, "subject": command.subject,
                "reason": row["lifted_reason"],
            }  # fmt: skip
            by = actor if row["lifted_by"] == actor.name else ENGINE
            await ledger.append(cursor, [_of_switch(EntryType.SENDING_RESUMED, by, row["lifted_at"], body)])

    @staticmethod
    async def _standing(cursor: Cursor, command: StopCommand) -> DictRow | None:
        """The switch that a person set already; one that a cap set for an order is lifted for reasons of its own."""
        await cursor.execute(
            _STOPS + "WHERE s.scope = %s AND s.subject = %s AND s.lifted_at IS NULL AND s.over_cap IS NULL",
            [command.scope, command.subject],
        )
        return await cursor.fetchone()

    @staticmethod
    async def _throw(cursor: Cursor, command: StopCommand, actor: Actor) -> DictRow:
        await cursor.execute(
            """INSERT INTO send_stop (stop_id, scope, subject, reason, stopped_by, stopped_via, ends_at)
               SELECT concat_ws(':', %(scope)s::text, nullif(%(subject)s, ''), count(*) + 1), %(scope)s, %(subject)s,
                      %(reason)s, %(name)s, %(channel)s, %(ends_at)s
               FROM send_stop WHERE scope = %(scope)s AND subject = %(subject)s
               RETURNING *, 0 AS held_orders""",
            {**command.model_dump(), **actor.model_dump()},
        )
        row = await cursor.fetchone()
        assert row is not None  # noqa: S101 - an INSERT from an aggregate always gives its row
        body = {
            "stop": row["stop_id"], "scope": row["scope"], "subject": row["subject"], "reason": row["reason"],
            "channel": actor.channel, **({"ends_at": rfc3339(row["ends_at"])} if row["ends_at"] else {}),
        }  # fmt: skip
        await ledger.append(cursor, [_of_switch(EntryType.SENDING_STOPPED, actor, row["stopped_at"], body)])
        return row


def _stop(row: DictRow, *, under_way: int = 0) -> Stop:
    return Stop.model_validate({**row, "under_way": under_way})


def _of_switch(kind: EntryType, actor: Actor, at: datetime, body: dict[str, Any]) -> NewEntry:
    return NewEntry(stream=STREAM, type=kind, actor=actor.name, occurred_at=at, body=body)


def _of_order(order: DictRow, kind: EntryType, body: dict[str, Any]) -> NewEntry:
    at = datetime.now(UTC)
    return NewEntry(stream=f"order:{order['order_id']}", type=kind, actor="engine", occurred_at=at, body=body)
