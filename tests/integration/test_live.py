"""Changes are told in commit order: a transaction that began first and ended last hides nothing and loses nothing."""

import asyncio
from datetime import timedelta
from decimal import Decimal

from connectors.postgres.live import PostgresLive
from connectors.postgres.pool import Connection, Database, connect
from tests.fakes.shop import CLOCK
from tests.inbox_cases import MORNING, InPostgres
from tests.storeroom import PLANNER, Storeroom, catalog, clock, counted
from workflows.domain.approvals import Actor, Meaning
from workflows.domain.inbox import Snooze
from workflows.domain.live import BEGINNING, LiveBatch, LiveKind
from workflows.domain.policies import Policy

PATIENCE_S = 60.0
INSERT = """INSERT INTO live_event (kind, body) VALUES ('order', jsonb_build_object('order_id', %s::text))"""


async def settled(live: PostgresLive, after: str = BEGINNING) -> LiveBatch:
    """What is told when nothing older can come any more: the server's own housekeeping has transactions, too."""
    deadline = asyncio.get_running_loop().time() + PATIENCE_S
    while (batch := await live.since(after)).unsettled:
        assert asyncio.get_running_loop().time() < deadline, "something older still runs"
        await asyncio.sleep(0.01)
    return batch


async def told(live: PostgresLive, after: str = BEGINNING) -> list[str]:
    return [event.body["order_id"] for event in (await settled(live, after)).events]


def tell(connection: Connection, order_id: str) -> None:
    connection.execute(INSERT, [order_id])
    connection.execute("SELECT pg_notify('quartermaster_live', '')")


async def test_what_happens_to_a_task_and_its_order_is_told(storeroom: Storeroom, database: Database) -> None:
    live = PostgresLive(database)
    await storeroom.stock(catalog(1), Policy(auto_value_limit=Decimal(1)))
    storeroom.take(counted(5), clock())
    await storeroom.assess()
    decision_id = storeroom.one("SELECT decision_id FROM task")["decision_id"]
    storeroom.connection.execute("UPDATE task SET rescore_asked_at = now()")  # nobody sees that
    storeroom.connection.execute("UPDATE task SET escalated_at = now()")
    await storeroom.answer(decision_id, Meaning.APPROVE)
    await storeroom.orders.release(decision_id, storeroom.hash_of(decision_id))

    batch = await settled(live)
    tasks = [event.body for event in batch.events if event.kind is LiveKind.TASK]
    assert [(task["kind"], task["state"], task["by"]) for task in tasks] == [
        ("opened", "open", None), ("escalated", "open", None), ("approved", "approved", PLANNER.name),
    ]  # fmt: skip
    assert {task["decision_id"] for task in tasks} == {decision_id}
    assert tasks[0].keys() == {"decision_id", "location", "item", "state", "version", "by", "kind"}
    order = batch.events[-1]
    assert (order.kind, order.body["state"]) == (LiveKind.ORDER, "collecting")
    assert (await live.newest()) == order.event_id
    assert (await live.since(order.event_id)).events == ()


async def test_a_nap_is_told_whatever_ends_it(storeroom: Storeroom, database: Database) -> None:
    desk, live, planner = InPostgres(storeroom), PostgresLive(database), Actor(name="Ada")
    desk.put(MORNING[0])
    await settled(live)
    place = await live.newest()
    for nap in (
        Snooze(until_receipt=True), Snooze(forecast_moves_percent=20), Snooze(until=CLOCK + timedelta(hours=2)),
    ):  # fmt: skip
        await desk.work.snooze(MORNING[0].decision_id, nap, planner)
        await desk.work.wake(MORNING[0].decision_id, planner)
    assert [event.body["kind"] for event in (await settled(live, place)).events] == ["snoozed", "woken"] * 3


async def test_a_transaction_that_ends_late_loses_no_event(database: Database, dsn: str) -> None:
    live = PostgresLive(database)
    with connect(dsn, name="first") as first, connect(dsn, name="second") as second:
        with first.transaction():
            tell(first, "slow")
            with second.transaction():
                tell(second, "quick")
            batch = await live.since(BEGINNING)
            assert (batch.events, batch.unsettled) == ((), True), "the slow one may still add before the quick one"
            assert await live.newest() == BEGINNING
        assert await told(live) == ["slow", "quick"]
        with first.transaction():
            tell(first, "begins first")
            with second.transaction():
                second.execute("SELECT pg_current_xact_id()")
                tell(second, "ends first")
        place = (await settled(live)).events[1].event_id
        assert await told(live, place) == ["begins first", "ends first"]


async def test_many_writers_and_one_reader_agree(database: Database, dsn: str) -> None:
    live = PostgresLive(database)

    async def writer(name: int) -> None:
        for n in range(15):
            async with database.transaction() as cursor:
                await cursor.execute(INSERT, [f"{name}:{n}"])
                await asyncio.sleep(0.001 * ((name * 7 + n) % 5))  # held open differently long
                await cursor.execute(INSERT, [f"{name}:{n}+"])

    writing = asyncio.gather(*(writer(name) for name in range(6)))
    heard: list[str] = []
    place = BEGINNING
    while len(heard) < 180:
        over = writing.done()  # asked before reading: what is committed in between is read in the next round
        batch = await live.since(place, limit=7)
        heard += [event.body["order_id"] for event in batch.events]
        place = batch.events[-1].event_id if batch.events else place
        if over and not batch.events and not batch.unsettled:
            break
    await writing
    assert len(heard) == len(set(heard)) == 180
    assert all([one for one in heard if one.startswith(f"{n}:")] == _written(n) for n in range(6))


def _written(name: int) -> list[str]:
    return [f"{name}:{n}{end}" for n in range(15) for end in ("", "+")]


async def test_a_commit_wakes_whoever_listens(database: Database, dsn: str) -> None:
    live = PostgresLive(database)
    async with live.listening() as heard:
        assert not await heard(0.01)
        with connect(dsn, name="writer") as writer:
            tell(writer, "a")
        assert await heard(10)
        waiting = asyncio.ensure_future(heard(10))
        with connect(dsn, name="writer") as writer:
            tell(writer, "b")
        assert await waiting


async def test_a_day_is_kept_and_who_comes_later_is_told_to_read_anew(storeroom: Storeroom, database: Database) -> None:
    live = PostgresLive(database)
    for name in ("old", "older", "new"):
        tell(storeroom.connection, name)
    ids = [event.event_id for event in (await settled(live)).events]
    storeroom.connection.execute(
        "UPDATE live_event SET at = at - interval '25 hours' WHERE body ->> 'order_id' LIKE 'old%'"
    )
    assert await live.prune() == 2
    assert await live.prune() == 0
    assert (await live.since(ids[0])).lost
    assert await told(live, ids[1]) == ["new"]
    storeroom.connection.execute("DELETE FROM live_event")
    assert await live.newest() == ids[1], "an empty outbox still knows how far it was"
    assert (await live.since("999999999-1")).lost, "a place of another database"
