"""A stop switch over all that runs: workflow, activities, relay and PostgreSQL; and what may die there."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest_asyncio

from connectors.postgres.operations import PostgresOrderDesk
from connectors.postgres.pool import Connection, connect
from connectors.postgres.relay import RelayStore
from connectors.postgres.stops import PostgresStops
from tests.fakes.engine import Engine, running_engine, until
from tests.fakes.faults import Faulty
from tests.storeroom import MORNING, Storeroom, catalog, clock, counted
from workers.relay import Relay
from workflows import naming
from workflows.domain.approvals import Actor, Meaning
from workflows.domain.errors import Unavailable
from workflows.domain.needs import ClockMode
from workflows.domain.stops import Stop, StopCommand, StopScope

OTTO = Actor(name="otto")
FIRST = "LEEDS:ITEM-001:1"
CUTOFF = MORNING + timedelta(hours=2)


class House:
    """One order on the way to its cutoff, in an engine whose orders are in PostgreSQL."""

    def __init__(self, engine: Engine, storeroom: Storeroom, dsn: str) -> None:
        self.engine, self.storeroom = engine, storeroom
        self.stops = PostgresStops(storeroom.database)
        self.desk = PostgresOrderDesk(storeroom.database)
        self.order = ""
        self._dsn = dsn

    def _session(self) -> tuple[Connection, RelayStore]:
        connection = connect(self._dsn, name="test-relay")
        return connection, RelayStore(connection)

    @asynccontextmanager
    async def relaying(self) -> AsyncIterator[None]:
        """While the relay runs."""
        stop = asyncio.Event()

        async def no_model() -> bool:
            return False

        relay = Relay(
            self._session, self.storeroom.approvals, self.engine.starter(ClockMode.REPLAYED), self.engine.messenger,
            self.engine.verdicts, clock=ClockMode.REPLAYED, lateness=timedelta(), has_model=no_model,
        )  # fmt: skip
        running = asyncio.ensure_future(relay.run(stop))
        try:
            yield
        finally:
            stop.set()
            await running

    async def collected(self) -> None:
        """An approved line on an order that collects."""
        await self.storeroom.stock(catalog(1))
        self.storeroom.take(counted(9), clock())
        await self.storeroom.assess()
        await self.storeroom.answer(FIRST, Meaning.APPROVE)
        result = await self.storeroom.orders.release(FIRST, self.storeroom.hash_of(FIRST))
        self.order = result.order_id or ""

    async def stop(self) -> Stop:
        return await self.stops.stop(StopCommand(scope=StopScope.SUPPLIER, subject="acme", reason="a flood"), OTTO)

    async def becomes(self, state: str, *, held: bool = False) -> None:
        async def it_did() -> bool:
            view = (await self.desk.order(self.order)).order
            return view.state == state and (view.held is not None) == held

        await until(it_did, f"the order {state}{' and held' if held else ''}")

    @property
    def sent(self) -> int:
        return len(self.engine.supplier.requests)


@pytest_asyncio.fixture
async def house(storeroom: Storeroom, dsn: str) -> AsyncIterator[House]:
    async with running_engine() as engine:
        await engine.stop_workers()
        engine.orders = Faulty(storeroom.orders)  # type: ignore[arg-type]
        await engine.start_workers()
        house = House(engine, storeroom, dsn)
        await house.collected()
        yield house


async def test_a_held_order_goes_on_by_itself_when_its_switch_is_lifted(house: House) -> None:
    stop = await house.stop()
    async with house.relaying():
        house.storeroom.take(clock(CUTOFF))
        await house.becomes("collecting", held=True)
        assert house.sent == 0

        await house.stops.lift(stop.stop_id, "dry again", OTTO)

        await house.becomes("placed")
    assert house.sent == len(house.engine.supplier.journal) == 1
    assert house.storeroom.verified().ok


async def test_a_worker_that_dies_while_the_order_is_held_loses_nothing(house: House) -> None:
    stop = await house.stop()
    async with house.relaying():
        house.storeroom.take(clock(CUTOFF))
        await house.becomes("collecting", held=True)
    await house.engine.stop_workers()
    await house.stops.lift(stop.stop_id, "dry again", OTTO)

    await house.engine.start_workers()
    async with house.relaying():
        await house.becomes("placed")
    assert house.sent == 1


async def test_a_crash_between_the_stop_and_the_send_sends_nothing(house: House) -> None:
    """The switch is thrown after the attempt began, and whoever learns of it dies before it can say so."""

    async def thrown() -> None:
        await house.stop()

    house.engine.orders.first("about_to_send", thrown)
    house.engine.orders.fail("held", Unavailable("it dies here"))
    async with house.relaying():
        house.storeroom.take(clock(CUTOFF))
        await house.becomes("sending", held=True)
        (stop,) = await house.stops.in_force()
        assert house.sent == 0

        await house.stops.lift(stop.stop_id, "dry again", OTTO)
        await house.becomes("placed")
    assert house.sent == len(house.engine.supplier.journal) == 1


async def test_a_workflow_that_is_gone_when_the_switch_is_lifted_gets_a_successor(house: House) -> None:
    stop = await house.stop()
    async with house.relaying():
        house.storeroom.take(clock(CUTOFF))
        await house.becomes("collecting", held=True)
        await house.engine.client.get_workflow_handle(naming.purchasing_id(house.order)).terminate()

        await house.stops.lift(stop.stop_id, "dry again", OTTO)

        await house.becomes("placed")
    assert house.sent == 1


async def test_an_order_that_somebody_closes_while_it_is_held_ends_its_workflow(house: House) -> None:
    await house.stop()
    async with house.relaying():
        house.storeroom.take(clock(CUTOFF))
        await house.becomes("collecting", held=True)

        await house.desk.close_unordered(house.order, "not needed any more", OTTO)

        async def over() -> bool:
            return not await house.engine.messenger.runs("order", house.order)

        await until(over, "the end of the workflow")
    assert house.sent == 0
