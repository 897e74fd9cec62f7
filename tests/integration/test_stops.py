"""The switches in Postgres: what a stop holds, that nothing slips past it, and that throwing it twice is once."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from connectors.postgres.relay import OrderToWake
from connectors.postgres.settling import Settling
from connectors.postgres.stops import PostgresStops
from tests.fakes.engine import until
from tests.storeroom import LOCATION, MORNING, SUPPLIER, Storeroom, catalog, clock, counted
from workflows.domain.approvals import Actor, Meaning
from workflows.domain.errors import InvalidInput, NotFound
from workflows.domain.stops import Stop, StopCommand, StopScope

OPERATOR = Actor(name="olga")
FIRST = "LEEDS:ITEM-001:1"
ORDERS = "SELECT order_id FROM purchase_order"


@pytest.fixture
def stops(storeroom: Storeroom) -> PostgresStops:
    return PostgresStops(storeroom.database)


async def an_order(storeroom: Storeroom) -> str:
    """An order with one approved line, at its cutoff."""
    await storeroom.stock(catalog(1))
    storeroom.take(counted(9), clock())
    await storeroom.assess()
    await storeroom.answer(FIRST, Meaning.APPROVE)
    result = await storeroom.orders.release(FIRST, storeroom.hash_of(FIRST))
    assert result.order_id
    return result.order_id


def command(storeroom: Storeroom, scope: StopScope, *, ends_at: datetime | None = None) -> StopCommand:
    subjects = {
        StopScope.EVERYTHING: "", StopScope.LOCATION: LOCATION, StopScope.SUPPLIER: SUPPLIER,
        StopScope.MODEL: storeroom.rows("SELECT digest FROM model_version")[0]["digest"],
        StopScope.ORDER: next((one["order_id"] for one in storeroom.rows(ORDERS)), "none"),
    }  # fmt: skip
    return StopCommand(scope=scope, subject=subjects[scope], reason="the ERP is being moved", ends_at=ends_at)


def row(storeroom: Storeroom, order: str) -> dict[str, object]:
    return dict(storeroom.one("SELECT * FROM purchase_order WHERE order_id = %s", order))


def entries(storeroom: Storeroom, stream: str) -> list[tuple[str, str]]:
    found = storeroom.rows("SELECT type, actor FROM ledger_entry WHERE stream = %s ORDER BY seq", stream)
    return [(one["type"], one["actor"]) for one in found]


@pytest.mark.parametrize("scope", list(StopScope))
async def test_each_kind_of_switch_holds_the_order_before_it_is_prepared(
    storeroom: Storeroom, stops: PostgresStops, scope: StopScope
) -> None:
    order = await an_order(storeroom)
    stop = await stops.stop(command(storeroom, scope), OPERATOR)

    assert await storeroom.orders.prepare(order, passive=False) is None

    kept = row(storeroom, order)
    assert (kept["state"], kept["held_by"], kept["payload"]) == ("collecting", stop.stop_id, None)
    held = await storeroom.orders.held(order)
    assert held is not None
    assert held.reason.endswith("the ERP is being moved")
    assert [one.held_orders for one in await stops.in_force()] == [1]
    assert entries(storeroom, f"order:{order}") == [("order.held", "engine")]

    await stops.lift(stop.stop_id, "moved", OPERATOR)
    prepared = await storeroom.orders.prepare(order, passive=False)
    assert prepared is not None
    assert [line.need_id for line in prepared.lines] == [FIRST]
    assert row(storeroom, order)["held_by"] is None


@pytest.mark.parametrize(
    ("scope", "subject"),
    [
        (StopScope.LOCATION, "YORK"),
        (StopScope.SUPPLIER, "other"),
        (StopScope.MODEL, "f" * 64),
        (StopScope.ORDER, "acme:LEEDS:2025-03-03:9"),
    ],
)
async def test_a_switch_holds_nothing_that_it_is_not_about(
    storeroom: Storeroom, stops: PostgresStops, scope: StopScope, subject: str
) -> None:
    order = await an_order(storeroom)
    storeroom.connection.execute(
        "INSERT INTO send_stop (stop_id, scope, subject, reason, stopped_by, stopped_via) "
        "VALUES ('s', %s, %s, 'elsewhere', 'olga', 'console')",
        [scope, subject],
    )

    assert await storeroom.orders.prepare(order, passive=False) is not None
    assert await storeroom.orders.begin_attempt(order, "lease", 60) is not None
    assert await storeroom.orders.about_to_send(order, "lease", passive=False) is not None


async def test_a_stop_between_preparing_and_sending_leaves_no_trace_of_a_request(
    storeroom: Storeroom, stops: PostgresStops
) -> None:
    order = await an_order(storeroom)
    await storeroom.orders.prepare(order, passive=False)
    await storeroom.orders.begin_attempt(order, "lease", 60)
    stop = await stops.stop(command(storeroom, StopScope.SUPPLIER), OPERATOR)

    assert await storeroom.orders.about_to_send(order, "lease", passive=False) is None

    kept = row(storeroom, order)
    assert (kept["state"], kept["last_sent_at"], kept["lease_until"]) == ("sending", None, None)
    assert (kept["held_by"], kept["open_requests"]) == (stop.stop_id, 0)
    assert "order.sent" not in dict(entries(storeroom, f"order:{order}"))

    await stops.lift(stop.stop_id, "they answer again", OPERATOR)
    assert [one[:2] for one in storeroom.relay.orders_to_wake()] == [(order, stop.stop_id)]
    assert await storeroom.orders.prepare(order, passive=False) is not None
    assert await storeroom.orders.begin_attempt(order, "lease-2", 60) is not None
    assert await storeroom.orders.about_to_send(order, "lease-2", passive=False) is not None
    assert row(storeroom, order)["held_by"] is None
    assert storeroom.relay.orders_to_wake() == []


async def test_what_a_request_under_way_comes_to_is_recorded_while_everything_is_stopped(
    storeroom: Storeroom, stops: PostgresStops
) -> None:
    order = await an_order(storeroom)
    await storeroom.orders.prepare(order, passive=False)
    await storeroom.orders.begin_attempt(order, "lease", 60)
    assert await storeroom.orders.about_to_send(order, "lease", passive=False) is not None

    stop = await stops.stop(command(storeroom, StopScope.EVERYTHING), OPERATOR)

    assert stop.under_way == 1
    assert (await storeroom.orders.record_placed(order, "lease", "S-7", None)).supplier_number == "S-7"
    assert row(storeroom, order)["state"] == "placed"
    await stops.lift(stop.stop_id, "done", OPERATOR)
    assert storeroom.relay.orders_to_wake() == []


async def test_whoever_lets_an_order_go_and_whoever_stops_it_take_turns(
    storeroom: Storeroom, stops: PostgresStops
) -> None:
    """A stop has returned: from then on every request that leaves was authorised by somebody who saw it."""
    order = await an_order(storeroom)
    await storeroom.orders.prepare(order, passive=False)
    await storeroom.orders.begin_attempt(order, "lease", 60)
    async with storeroom.database.transaction() as leaving:
        await leaving.execute("SELECT pg_advisory_xact_lock_shared(%s)", [0x73746F7073])
        stopping = asyncio.ensure_future(stops.stop(command(storeroom, StopScope.EVERYTHING), OPERATOR))

        async def waits() -> bool:
            await leaving.execute("SELECT count(*) AS n FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
            found = await leaving.fetchone()
            return bool(found and found["n"])

        await until(waits, "the stop to wait its turn")
        assert not stopping.done()
    await stopping

    assert await storeroom.orders.about_to_send(order, "lease", passive=False) is None


async def test_stopping_and_lifting_twice_is_once_each(storeroom: Storeroom, stops: PostgresStops) -> None:
    await storeroom.stock()
    asked = command(storeroom, StopScope.SUPPLIER)
    first = await stops.stop(asked, OPERATOR)
    again = await stops.stop(asked.model_copy(update={"reason": "somebody else says so"}), Actor(name="otto"))
    assert again.stop_id == first.stop_id == "supplier:acme:1"
    assert (again.reason, again.stopped_by) == (asked.reason, "olga")

    lifted = [await stops.lift(first.stop_id, "over", actor) for actor in (OPERATOR, Actor(name="otto"))]

    assert [one.lifted_by for one in lifted] == ["olga", "olga"]
    assert await stops.in_force() == []
    assert entries(storeroom, "stops") == [("sending.stopped", "olga"), ("sending.resumed", "olga")]
    assert (await stops.stop(asked, OPERATOR)).stop_id == "supplier:acme:2"
    assert [one.stop_id for one in await stops.history()] == ["supplier:acme:2", "supplier:acme:1"]
    assert [one.stop_id for one in await stops.history(after="supplier:acme:2")] == ["supplier:acme:1"]
    assert storeroom.verified().ok


async def test_two_stops_at_once_are_one(storeroom: Storeroom, stops: PostgresStops) -> None:
    await storeroom.stock()
    asked = command(storeroom, StopScope.LOCATION)

    found: list[Stop] = await asyncio.gather(*(stops.stop(asked, OPERATOR) for _ in range(4)))

    assert {one.stop_id for one in found} == {"location:LEEDS:1"}
    assert len(entries(storeroom, "stops")) == 1


async def test_the_same_key_gets_the_same_answer_even_after_the_switch_was_lifted(
    storeroom: Storeroom, stops: PostgresStops
) -> None:
    await storeroom.stock()
    asked = command(storeroom, StopScope.EVERYTHING)
    first = await stops.stop(asked, OPERATOR, command_id="command-1")
    await stops.lift(first.stop_id, "over", OPERATOR, command_id="command-2")

    assert await stops.stop(asked, OPERATOR, command_id="command-1") == first
    assert await stops.in_force() == []
    with pytest.raises(InvalidInput):
        await stops.stop(command(storeroom, StopScope.SUPPLIER), OPERATOR, command_id="command-1")


async def test_a_stop_outlasts_a_pause_that_stands_and_a_pause_does_not_shorten_a_stop(
    storeroom: Storeroom, stops: PostgresStops
) -> None:
    order = await an_order(storeroom)
    now, other = datetime.now(UTC), Actor(name="otto")
    minutes, hours = now + timedelta(minutes=10), now + timedelta(hours=2)
    pause = await stops.stop(command(storeroom, StopScope.EVERYTHING, ends_at=minutes), OPERATOR)
    assert await storeroom.orders.prepare(order, passive=False) is None

    longer = await stops.stop(command(storeroom, StopScope.EVERYTHING, ends_at=hours), other)
    stop = await stops.stop(command(storeroom, StopScope.EVERYTHING), other)
    assert await stops.stop(command(storeroom, StopScope.EVERYTHING, ends_at=hours), OPERATOR) == stop

    assert (longer.ends_at, stop.ends_at) == (hours, None)
    assert [one.stop_id for one in await stops.in_force()] == [stop.stop_id]
    assert entries(storeroom, "stops") == [
        ("sending.stopped", "olga"), ("sending.resumed", "otto"), ("sending.stopped", "otto"),
        ("sending.resumed", "otto"), ("sending.stopped", "otto"),
    ]  # fmt: skip
    assert [one[:2] for one in storeroom.relay.orders_to_wake()] == [(order, pause.stop_id)]
    assert await storeroom.orders.prepare(order, passive=False) is None
    assert row(storeroom, order)["held_by"] == stop.stop_id
    assert storeroom.relay.orders_to_wake() == []


async def test_an_order_under_two_switches_waits_for_both(storeroom: Storeroom, stops: PostgresStops) -> None:
    order = await an_order(storeroom)
    first = await stops.stop(command(storeroom, StopScope.SUPPLIER), OPERATOR)
    second = await stops.stop(command(storeroom, StopScope.EVERYTHING), OPERATOR)
    assert await storeroom.orders.prepare(order, passive=False) is None
    await stops.lift(first.stop_id, "one of two", OPERATOR)
    assert [one[:2] for one in storeroom.relay.orders_to_wake()] == [(order, first.stop_id)]

    assert await storeroom.orders.prepare(order, passive=False) is None

    storeroom.relay.order_woken(OrderToWake(order, first.stop_id, None))
    assert row(storeroom, order)["held_by"] == second.stop_id, "the relay's note takes away only the lifted switch"


async def test_collecting_goes_on_while_everything_is_stopped(storeroom: Storeroom, stops: PostgresStops) -> None:
    await storeroom.stock(catalog(2))
    storeroom.take(counted(9), counted(9, item="ITEM-002"), clock())
    await storeroom.assess()
    await stops.stop(command(storeroom, StopScope.EVERYTHING), OPERATOR)

    for decision in (FIRST, "LEEDS:ITEM-002:1"):
        await storeroom.answer(decision, Meaning.APPROVE)
        assert (await storeroom.orders.release(decision, storeroom.hash_of(decision))).released

    assert storeroom.one("SELECT count(*) AS n FROM order_line")["n"] == 2


async def test_nobody_stops_or_lifts_what_is_not_there(storeroom: Storeroom, stops: PostgresStops) -> None:
    await storeroom.stock()
    with pytest.raises(NotFound):
        await stops.stop(StopCommand(scope=StopScope.LOCATION, subject="NOWHERE", reason="a typo"), OPERATOR)
    with pytest.raises(NotFound):
        await stops.lift("everything:9", "a typo", OPERATOR)
    with pytest.raises(InvalidInput):
        await stops.history(after="everything:9")


async def test_a_held_order_does_not_keep_a_world_from_going_on(storeroom: Storeroom, stops: PostgresStops) -> None:
    order = await an_order(storeroom)
    storeroom.take(clock(MORNING + timedelta(hours=2)))
    assert Settling(storeroom.connection).unsettled()["orders"] == 1
    await stops.stop(command(storeroom, StopScope.EVERYTHING), OPERATOR)
    await storeroom.orders.prepare(order, passive=False)

    assert "orders" not in Settling(storeroom.connection).unsettled()


async def test_a_pause_holds_until_its_end_and_lets_go_by_itself(storeroom: Storeroom, stops: PostgresStops) -> None:
    order = await an_order(storeroom)
    await storeroom.orders.prepare(order, passive=False)
    await storeroom.orders.begin_attempt(order, "lease", 60)
    in_an_hour = datetime.now(UTC) + timedelta(hours=1)
    pause = await stops.stop(command(storeroom, StopScope.SUPPLIER, ends_at=in_an_hour), OPERATOR)
    assert pause.ends_at == in_an_hour

    assert await storeroom.orders.about_to_send(order, "lease", passive=False) is None
    assert storeroom.relay.orders_to_wake() == []
    assert [one.stop_id for one in await stops.in_force()] == [pause.stop_id]

    # As if the hour had passed.
    storeroom.connection.execute("UPDATE send_stop SET ends_at = clock_timestamp() - interval '1 second'")

    assert await stops.in_force() == []
    assert [one[:2] for one in storeroom.relay.orders_to_wake()] == [(order, pause.stop_id)]
    storeroom.relay.order_woken(OrderToWake(order, pause.stop_id, None))
    assert await storeroom.orders.prepare(order, passive=False) is not None
    again = await stops.stop(command(storeroom, StopScope.SUPPLIER), OPERATOR)
    assert again.stop_id == "supplier:acme:2"
    assert entries(storeroom, "stops") == [
        ("sending.stopped", "olga"), ("sending.resumed", "engine"), ("sending.stopped", "olga"),
    ]  # fmt: skip


async def test_nobody_pauses_until_yesterday(storeroom: Storeroom, stops: PostgresStops) -> None:
    await storeroom.stock()
    with pytest.raises(InvalidInput, match="ends in the future"):
        await stops.stop(command(storeroom, StopScope.SUPPLIER, ends_at=MORNING), OPERATOR)
