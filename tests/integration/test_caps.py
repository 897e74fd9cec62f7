"""The value caps at the moment of sending: what is over one waits for a person, and two never share the last of one."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from connectors.postgres.caps import PostgresCaps
from connectors.postgres.stops import PostgresStops
from tests.storeroom import SUPPLIER, Storeroom, catalog, clock, counted
from workflows.domain import failpoints
from workflows.domain.approvals import Actor
from workflows.domain.caps import CapName, CapUsed
from workflows.domain.catalog import Location, Supplier
from workflows.domain.identity import canonical
from workflows.domain.limits import Override
from workflows.domain.policies import Policy
from workflows.domain.stops import StopCommand, StopScope

OPERATOR = Actor(name="olga")


async def two_orders(storeroom: Storeroom) -> list[tuple[str, Decimal]]:
    """Two prepared orders of one value, to two suppliers: (order, its value)."""
    known = catalog(2)
    second = known.sourcing[1].model_copy(update={"supplier": "bolt"})
    await storeroom.stock(
        known.model_copy(
            update={
                "suppliers": (*known.suppliers, Supplier(supplier="bolt", name="Bolt")),
                "sourcing": (known.sourcing[0], second),
                "locations": (Location(location="LEEDS", name="Leeds"),),
            }
        )
    )
    storeroom.take(counted(9), counted(9, item="ITEM-002"), clock())
    await storeroom.assess()
    found = []
    for need in ("LEEDS:ITEM-001:1", "LEEDS:ITEM-002:1"):
        await storeroom.answer(need)
        result = await storeroom.orders.release(need, storeroom.hash_of(need))
        assert result.order_id
        payload = await storeroom.orders.prepare(result.order_id, passive=False)
        assert payload is not None
        assert await storeroom.orders.begin_attempt(result.order_id, "lease", 60) is not None
        found.append((result.order_id, payload.total))
    assert found[0][1] == found[1][1] > 0
    return found


async def let_go(storeroom: Storeroom, order: str) -> bool:
    """Whether the order may leave now."""
    return await storeroom.orders.about_to_send(order, "lease", passive=False) is not None


def cap(storeroom: Storeroom, **limits: object) -> None:
    """A policy with this cap, past the approved change that it takes: that is another test's story."""
    policy = Policy.model_validate({"version": 2, **limits})
    storeroom.connection.execute("SET session_replication_role = replica")
    storeroom.connection.execute(
        "INSERT INTO policy_version (digest, version, document) VALUES (%s, 2, %s)", [policy.digest, canonical(policy)]
    )
    storeroom.connection.execute("RESET session_replication_role")


@pytest.mark.parametrize("name", ["sent_value_per_hour", "sent_value_per_day"])
async def test_an_order_above_the_rest_of_a_cap_waits_for_a_person_who_may_let_it_go(
    storeroom: Storeroom, name: str
) -> None:
    (first, value), (second, _) = await two_orders(storeroom)
    cap(storeroom, **{name: value + 1})

    assert await let_go(storeroom, first)
    assert not await let_go(storeroom, second)

    held = await storeroom.orders.held(second)
    assert held is not None
    assert f"{value:.2f} EUR and the {value:.2f} that left within" in held.reason
    kept = storeroom.one("SELECT * FROM purchase_order WHERE order_id = %s", second)
    assert (kept["last_sent_at"], kept["open_requests"], kept["held_by"]) == (None, 0, f"order:{second}:1")
    types = [
        row["type"] for row in storeroom.rows("SELECT type FROM ledger_entry WHERE stream = %s", f"order:{second}")
    ]
    assert "order.held" in types
    assert "order.sent" not in types
    assert await storeroom.orders.begin_attempt(second, "lease", 60) is not None
    assert not await let_go(storeroom, second), "it stays held, by the same switch"

    stops = PostgresStops(storeroom.database)
    (stop,) = await stops.in_force()
    assert (stop.scope, stop.over_cap, stop.stopped_by) == (StopScope.ORDER, name, "engine")
    own = await stops.stop(StopCommand(scope=StopScope.ORDER, subject=second, reason="they moved house"), OPERATOR)
    assert own.stop_id != stop.stop_id, "what a person stops stays stopped when the cap's switch is lifted"
    await stops.lift(stop.stop_id, "the season begins", OPERATOR)
    assert await storeroom.orders.prepare(second, passive=False) is not None
    assert not await let_go(storeroom, second)
    await stops.lift(own.stop_id, "they are there", OPERATOR)
    assert [one[:2] for one in storeroom.relay.orders_to_wake()] == [(second, stop.stop_id)]
    assert await storeroom.orders.prepare(second, passive=False) is not None
    assert await storeroom.orders.begin_attempt(second, "lease", 60) is not None
    assert await let_go(storeroom, second)
    assert storeroom.verified().ok


async def test_a_pause_that_is_over_does_not_keep_a_cap_from_holding(storeroom: Storeroom) -> None:
    (first, value), (second, _) = await two_orders(storeroom)
    cap(storeroom, sent_value_per_day=value + 1)
    stops = PostgresStops(storeroom.database)
    pause = StopCommand(
        scope=StopScope.ORDER, subject=second, reason="for a minute", ends_at=datetime.now(UTC) + timedelta(minutes=1)
    )  # fmt: skip
    await stops.stop(pause, OPERATOR)
    storeroom.connection.execute("UPDATE send_stop SET ends_at = clock_timestamp() - interval '1 second'")

    assert await let_go(storeroom, first)
    assert not await let_go(storeroom, second)
    held = await storeroom.orders.held(second)
    assert held is not None
    assert held.over_cap == "sent_value_per_day"


async def test_what_left_long_ago_counts_no_more(storeroom: Storeroom) -> None:
    (first, value), (second, _) = await two_orders(storeroom)
    cap(storeroom, sent_value_per_hour=value)
    assert await let_go(storeroom, first)
    storeroom.connection.execute("UPDATE sent_value SET sent_at = sent_at - interval '61 minutes'")

    assert await let_go(storeroom, second)


async def test_what_left_before_a_cap_was_set_counts(storeroom: Storeroom) -> None:
    (first, value), (second, _) = await two_orders(storeroom)
    assert await let_go(storeroom, first)
    cap(storeroom, sent_value_per_day=value)

    assert not await let_go(storeroom, second)


async def test_an_order_counts_once_however_often_it_is_sent(storeroom: Storeroom) -> None:
    ((first, value), _) = await two_orders(storeroom)
    cap(storeroom, sent_value_per_hour=value)
    assert await let_go(storeroom, first)
    # The supplier has not got it.
    storeroom.connection.execute("UPDATE purchase_order SET request = 'absent' WHERE order_id = %s", [first])

    assert await let_go(storeroom, first)
    assert storeroom.one("SELECT count(*) AS n, sum(value) AS value FROM sent_value") == {"n": 1, "value": value}


async def test_a_supplier_s_cap_is_about_that_supplier(storeroom: Storeroom) -> None:
    (first, value), (second, _) = await two_orders(storeroom)
    tighter = Override(supplier=SUPPLIER, supplier_value_per_day=value / 2)
    cap(storeroom, supplier_value_per_day=value, overrides=(tighter,))

    assert await let_go(storeroom, second)
    assert not await let_go(storeroom, first)
    used = await PostgresCaps(storeroom.database).used()
    assert used == [
        CapUsed(cap=CapName.SUPPLIER_DAY, supplier="bolt", currency="EUR", limit=value, used=value),
    ]  # fmt: skip


async def test_of_two_that_race_for_the_last_of_a_cap_one_is_held(storeroom: Storeroom) -> None:
    (first, value), (second, _) = await two_orders(storeroom)
    cap(storeroom, sent_value_per_hour=value)

    went = await asyncio.gather(let_go(storeroom, first), let_go(storeroom, second))

    assert sorted(went) == [False, True]


async def test_whoever_comes_second_sees_what_the_first_one_let_go(storeroom: Storeroom) -> None:
    """The race, drawn out: the first transaction is still open while the second one asks."""
    (first, value), (second, _) = await two_orders(storeroom)
    cap(storeroom, sent_value_per_hour=value)
    async with storeroom.database.transaction() as leaving:
        await leaving.execute("SELECT pg_advisory_xact_lock(%s)", [0x76616C7565])
        await leaving.execute(
            "INSERT INTO sent_value SELECT order_id, supplier, currency, %s, clock_timestamp() FROM purchase_order "
            "WHERE order_id = %s",
            [value, first],
        )
        asking = asyncio.ensure_future(let_go(storeroom, second))
        for _ in range(200):
            await leaving.execute("SELECT count(*) AS n FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
            row = await leaving.fetchone()
            if row and row["n"]:
                break
            await asyncio.sleep(timedelta(milliseconds=20).total_seconds())
        assert not asking.done()
    assert await asking is False


async def test_a_transaction_that_dies_counts_nothing(storeroom: Storeroom) -> None:
    (first, value), (second, _) = await two_orders(storeroom)
    cap(storeroom, sent_value_per_hour=value)

    def die(point: str) -> float:
        if point.endswith(":before"):
            raise ConnectionError("killed")
        return 0

    failpoints.install(die)
    try:
        with pytest.raises(ConnectionError):
            await let_go(storeroom, first)
    finally:
        failpoints.install(None)

    assert storeroom.rows("SELECT * FROM sent_value") == []
    assert await let_go(storeroom, second)
