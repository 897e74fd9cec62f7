"""Circuits and paces in Postgres: shared by all workers, one probe among many, never more than the agreed rate."""

import asyncio

import pytest

from connectors.postgres.breakers import PostgresCircuits, PostgresPermits
from tests.storeroom import Storeroom
from workflows.domain.breaker import Phase, Rule
from workflows.domain.capabilities import DedupeLevel, Manifest
from workflows.domain.permits import CallOutcome, Permit
from workflows.domain.requests import RequestKind

MANIFEST = Manifest(name="http", level=DedupeLevel.L1, longest_transaction_s=2, http_timeout_s=10)
SEND, FIND = RequestKind.SEND, RequestKind.RECONCILE
LOST, YES, AWAY = CallOutcome.UNKNOWN, CallOutcome.ANSWERED, CallOutcome.UNAVAILABLE


def worker(storeroom: Storeroom, **manifest: object) -> PostgresPermits:
    """One worker's."""
    return PostgresPermits(storeroom.database, MANIFEST.model_copy(update=manifest), Rule(in_a_row=3))


async def opened(storeroom: Storeroom, *, over: bool = True) -> None:
    """A circuit that three lost answers opened; `over`: its wait is."""
    permits = worker(storeroom)
    for _ in range(3):
        await permits.observed("acme", SEND, LOST)
    if over:
        storeroom.connection.execute("UPDATE supplier_circuit SET wait_until = clock_timestamp() - interval '1 second'")


def kept(storeroom: Storeroom) -> dict[str, object]:
    return dict(storeroom.one("SELECT * FROM supplier_circuit"))


async def test_what_one_worker_saw_stops_all_of_them_and_no_other_supplier(storeroom: Storeroom) -> None:
    await opened(storeroom, over=False)

    for kind in (SEND, FIND):
        found = await worker(storeroom).permit("acme", kind)
        assert not found.granted
        assert 0 < found.wait_seconds <= 15
        assert not found.probe
    assert (await worker(storeroom).permit("bolt", SEND)).granted
    (seen,) = await PostgresCircuits(storeroom.database).circuits()
    assert (seen.supplier, seen.phase, seen.last_trouble) == ("acme", Phase.OPEN, "send: unknown")


async def test_lost_answers_of_several_workers_add_up(storeroom: Storeroom) -> None:
    await asyncio.gather(*(worker(storeroom).observed("acme", SEND, LOST) for _ in range(3)))
    assert not (await worker(storeroom).permit("acme", SEND)).granted


async def test_of_many_that_ask_one_is_the_probe(storeroom: Storeroom) -> None:
    await opened(storeroom)
    write = await worker(storeroom).permit("acme", SEND)
    assert (write.granted, write.probe) == (False, True)

    asked: list[Permit] = await asyncio.gather(*(worker(storeroom).permit("acme", FIND) for _ in range(8)))

    assert [one.granted for one in asked].count(True) == 1
    await worker(storeroom).observed("acme", FIND, YES)
    assert (await worker(storeroom).permit("acme", SEND)).granted
    assert kept(storeroom)["phase"] == "closed"


async def test_a_probe_that_is_lost_opens_it_for_longer(storeroom: Storeroom) -> None:
    await opened(storeroom)
    assert (await worker(storeroom).permit("acme", FIND)).granted
    await worker(storeroom).observed("acme", FIND, AWAY)

    assert 15 < (await worker(storeroom).permit("acme", FIND)).wait_seconds <= 30


async def test_a_refusal_is_an_answer(storeroom: Storeroom) -> None:
    permits = worker(storeroom)
    for outcome in (LOST, LOST, YES, LOST, LOST):
        await permits.observed("acme", SEND, outcome)
    assert (await permits.permit("acme", SEND)).granted


async def test_a_supplier_that_asks_for_time_gets_it_and_its_circuit_stays_closed(storeroom: Storeroom) -> None:
    permits = worker(storeroom)
    for _ in range(5):
        await permits.observed("acme", SEND, AWAY, 40)

    found = await worker(storeroom).permit("acme", FIND)

    assert not found.granted
    assert 30 < found.wait_seconds <= 40
    assert "come back later" in found.reason
    assert kept(storeroom)["phase"] == "closed"
    storeroom.connection.execute("UPDATE supplier_circuit SET paused_until = clock_timestamp()")
    assert (await worker(storeroom).permit("acme", FIND)).granted


async def test_many_workers_together_keep_the_agreed_rate(storeroom: Storeroom) -> None:
    workers = [worker(storeroom, requests_per_second=0.01, burst=3) for _ in range(4)]

    asked = await asyncio.gather(*(one.permit("acme", SEND) for one in workers for _ in range(3)))

    assert [one.granted for one in asked].count(True) == 3
    assert all(90 < one.wait_seconds <= 100 for one in asked if not one.granted)


async def test_who_cannot_be_asked_is_probed_by_one_order(storeroom: Storeroom) -> None:
    await opened(storeroom)
    mail = [worker(storeroom, level=DedupeLevel.L0) for _ in range(4)]

    asked = await asyncio.gather(*(one.permit("acme", SEND) for one in mail))

    assert [one.granted for one in asked].count(True) == 1
    await mail[0].observed("acme", SEND, YES)
    assert (await mail[1].permit("acme", SEND)).granted


async def test_where_all_is_well_nothing_is_written(storeroom: Storeroom) -> None:
    permits = worker(storeroom)
    for _ in range(20):
        assert (await permits.permit("acme", SEND)).granted
        await permits.observed("acme", SEND, YES)
    assert storeroom.rows("SELECT * FROM supplier_circuit") == []


@pytest.mark.parametrize("outcome", list(CallOutcome))
async def test_whatever_it_is_told_it_touches_no_order(storeroom: Storeroom, outcome: CallOutcome) -> None:
    """An order in doubt stays in doubt: nothing here knows of orders."""
    await worker(storeroom).observed("acme", SEND, outcome, 5)
    assert storeroom.rows("SELECT * FROM purchase_order") == []
    assert [row["supplier"] for row in storeroom.rows("SELECT supplier FROM supplier_circuit")] == ["acme"]
