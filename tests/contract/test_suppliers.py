"""Suppliers: what the order workflow relies on, kept by the fake and by HTTP against the simulated supplier alike."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.erp.faults import FaultMode
from connectors.erp.http_supplier import MANIFEST, HttpSuppliers
from tests.fakes.supplier_server import SupplierServer
from tests.fakes.suppliers import InMemorySuppliers
from workers.servers.ports import claim
from workflows.domain import failpoints
from workflows.domain.capabilities import Manifest
from workflows.domain.errors import OrderKeyKnown, OutcomeUnknown, SupplierRefused, TurnedAway, Unavailable
from workflows.domain.feeds import SupplierBehaviour
from workflows.domain.identity import order_id, order_key
from workflows.domain.orders import DraftState, OrderLine, PurchaseOrder, Suppliers

EXECUTED = [FaultMode.DROP_RESPONSE, FaultMode.HTML_BODY, FaultMode.SERVER_ERROR]
CERTAIN = [FaultMode.UNAVAILABLE, FaultMode.THROTTLED]
AUGUST = (date(2026, 8, 1), date(2026, 8, 31))


def order(cycle: str = "2026-03-02", *, supplier: str = "acme", units: int = 12) -> PurchaseOrder:
    ordered_at = datetime.fromisoformat(cycle).replace(hour=6, tzinfo=UTC)
    line = OrderLine(line_no=1, need_id=f"north:apple:{units}", item="apple", units=units, unit_cost=Decimal("1.50"))
    return PurchaseOrder(
        order_id=order_id(supplier, "north", cycle, 1),
        key=order_key(supplier, "north", cycle, 1),
        supplier=supplier,
        location="north",
        cycle=cycle,
        currency="EUR",
        ordered_at=ordered_at,
        lines=(line,),
    )


def within(seconds: float) -> Manifest:
    """The connector's manifest, with another patience."""
    return MANIFEST.model_copy(update={"http_timeout_s": seconds})


@dataclass
class World:
    """The port under test, and behind its back: the truth about orders, and the faults."""

    suppliers: Suppliers
    booked: Callable[[], Awaitable[set[tuple[str, str]]]]
    fail_next: Callable[[FaultMode, int, str], Awaitable[None]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SupplierServer]:
    acme = SupplierBehaviour(supplier="acme", lead_days=(3,), refuses=(AUGUST,))
    running = SupplierServer(tmp_path_factory.mktemp("supplier"), [acme])
    running.start()
    yield running
    running.kill()


def fake_world() -> World:
    fake = InMemorySuppliers(["acme"], closed=[("acme", *AUGUST)])

    async def booked() -> set[tuple[str, str]]:
        return {(order.key, order.lines_digest) for order in fake.booked.values()}

    async def fail_next(mode: FaultMode, requests: int, method: str) -> None:
        fake.fail_next(mode, requests, method=method)

    return World(fake, booked, fail_next)


@asynccontextmanager
async def http_world(server: SupplierServer) -> AsyncIterator[World]:
    suppliers = HttpSuppliers(server.url, manifest=within(5))
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as behind:

        async def booked() -> set[tuple[str, str]]:
            listed = (await behind.get("/orders")).json()["orders"]
            return {(one["key"], one["lines_digest"]) for one in listed}

        async def fail_next(mode: FaultMode, requests: int, method: str) -> None:
            http_method = {"place": "POST", "find": "GET"}[method]
            body = {"mode": mode, "requests": requests, "method": http_method, "delay_s": 0.2}
            (await behind.post("/faults", json=body)).raise_for_status()

        yield World(suppliers, booked, fail_next)
        await suppliers.aclose()


@pytest.fixture(params=["fake", "http"])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    if request.param == "fake":
        yield fake_world()
    else:
        async with http_world(request.getfixturevalue("server")) as real:
            yield real


async def test_an_order_placed_many_times_exists_once_and_gets_one_answer(world: World) -> None:
    wanted = order("2026-03-02")
    answers = [await world.suppliers.place(wanted) for _ in range(3)]
    answers += await asyncio.gather(*(world.suppliers.place(wanted) for _ in range(10)))
    assert {answer.supplier_number for answer in answers} == {answers[0].supplier_number}
    assert answers[0].key == wanted.key
    assert answers[0].promised_at is not None
    assert answers[0].promised_at > wanted.ordered_at
    assert [pair for pair in await world.booked() if pair[0] == wanted.key] == [(wanted.key, wanted.lines_digest)]


async def test_an_order_is_found_as_it_was_answered_and_an_absent_one_is_none(world: World) -> None:
    wanted = order("2026-03-03")
    assert await world.suppliers.find("acme", wanted.key) is None
    answer = await world.suppliers.place(wanted)
    found = await world.suppliers.find("acme", wanted.key)
    assert found is not None
    assert (found.supplier_number, found.promised_at) == (answer.supplier_number, answer.promised_at)
    assert await world.suppliers.find("other", wanted.key) is None, "the key belongs to an order at acme"


async def test_another_order_under_a_used_key_is_to_be_looked_at_and_changes_nothing(world: World) -> None:
    first = order("2026-03-04", units=12)
    await world.suppliers.place(first)
    with pytest.raises(OrderKeyKnown, match="another order"):
        await world.suppliers.place(order("2026-03-04", units=13))
    assert (first.key, first.lines_digest) in await world.booked()


async def test_a_supplier_that_takes_no_orders_refuses_with_its_reason(world: World) -> None:
    closed = order("2026-08-31")
    with pytest.raises(SupplierRefused, match="acme takes no orders on 31 August 2026"):
        await world.suppliers.place(closed)
    assert await world.suppliers.find("acme", closed.key) is None
    await world.suppliers.place(order("2026-09-01"))


async def test_an_unknown_supplier_is_a_refusal(world: World) -> None:
    with pytest.raises(SupplierRefused, match="there is no supplier nobody"):
        await world.suppliers.place(order(supplier="nobody"))


@pytest.mark.parametrize("mode", EXECUTED)
async def test_an_answer_that_never_came_is_an_unknown_outcome_and_the_order_is_found(
    world: World, mode: FaultMode
) -> None:
    wanted = order(f"2026-04-{EXECUTED.index(mode) + 1:02d}")
    await world.fail_next(mode, 1, "place")
    with pytest.raises(OutcomeUnknown):
        await world.suppliers.place(wanted)
    found = await world.suppliers.find("acme", wanted.key)
    assert found is not None, "it was carried out, so sending it again blindly could have made two"
    assert (await world.suppliers.place(wanted)).supplier_number == found.supplier_number


async def test_an_order_may_come_to_exist_after_it_was_not_found(world: World) -> None:
    wanted = order("2026-04-10")
    await world.fail_next(FaultMode.LATE_COMMIT, 1, "place")
    impatient = world.suppliers
    if isinstance(impatient, HttpSuppliers):
        impatient = HttpSuppliers(impatient.base_url, manifest=within(0.1))
    with pytest.raises(OutcomeUnknown):
        await impatient.place(wanted)
    assert await world.suppliers.find("acme", wanted.key) is None
    deadline = asyncio.get_running_loop().time() + 60
    while await world.suppliers.find("acme", wanted.key) is None:
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.02)
    if isinstance(impatient, HttpSuppliers):
        await impatient.aclose()


@pytest.mark.parametrize("mode", CERTAIN)
async def test_a_supplier_that_certainly_did_nothing_is_unavailable(world: World, mode: FaultMode) -> None:
    wanted = order(f"2026-05-{CERTAIN.index(mode) + 1:02d}")
    await world.fail_next(mode, 2, "place")
    for _ in range(2):
        with pytest.raises(Unavailable):
            await world.suppliers.place(wanted)
    assert await world.suppliers.find("acme", wanted.key) is None
    await world.suppliers.place(wanted)


@pytest.mark.parametrize("mode", [*EXECUTED, *CERTAIN])
async def test_a_search_that_fails_says_nothing_about_the_order(world: World, mode: FaultMode) -> None:
    wanted = order("2026-05-20")
    await world.suppliers.place(wanted)
    await world.fail_next(mode, 1, "find")
    with pytest.raises(Unavailable):
        await world.suppliers.find("acme", wanted.key)


# What only HTTP can do to us.


@asynccontextmanager
async def answering(raw: bytes, *, hangs: bool = False) -> AsyncIterator[str]:
    """A server that answers every request with these bytes, then closes (or hangs)."""

    serving: set[asyncio.Task[None]] = set()
    enough = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(raw)
            await writer.drain()
            if hangs:
                await enough.wait()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    finally:
        listening.close()
        enough.set()
        await asyncio.gather(*serving)


def http(status: str, media_type: str, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {media_type}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


PROVES_NOTHING = {
    "a number that nobody could store": http(
        "200 OK", "application/json", b'{"key":"%s","supplier_number":"1\\u0000"}' % order().key.encode()
    ),
    "a number without an end": http(
        "200 OK", "application/json", b'{"key":"%s","supplier_number":"%s"}' % (order().key.encode(), b"9" * 99_999)
    ),
    "a page": http("200 OK", "text/html", b"<html>"),
    "another order's answer": http("200 OK", "application/json", b'{"key":"%s","supplier_number":"1"}' % (b"0" * 64)),
    "a body cut short": b"HTTP/1.1 201 Created\r\nContent-Length: 500\r\nContent-Type: application/json\r\n\r\n{",
    "not HTTP": b"\x00\x01\x02",
    "silence": b"",
    "a proxy's 404": http("404 Not Found", "text/html", b"<h1>nginx</h1>"),
    "a 409 that may mean in flight": http("409 Conflict", "application/json", b'{"detail":"still working on it"}'),
    "a 503 of a gateway": http("503 Service Unavailable", "text/plain", b"upstream"),
    "a 500 that claims to have done nothing": http("500 Oops", "application/json", b'{"carried_out":false}'),
    "deep nesting": http("201 Created", "application/json", b"[" * 100_000),
    "an endless answer": http("201 Created", "application/json", b" " * 2_000_000),
    "a packed answer": http("201 Created", "application/json", b"\x1f\x8b\x08\x00garbage", "Content-Encoding: gzip"),
}


@pytest.mark.parametrize("raw", PROVES_NOTHING.values(), ids=PROVES_NOTHING.keys())
async def test_an_answer_that_proves_nothing_is_neither_yes_nor_no(raw: bytes) -> None:
    async with answering(raw) as url:
        suppliers = HttpSuppliers(url, manifest=within(2))
        with pytest.raises(OutcomeUnknown):
            await suppliers.place(order())
        with pytest.raises(Unavailable):
            await suppliers.find("acme", order().key)
        await suppliers.aclose()


async def test_a_redirect_is_not_followed(server: SupplierServer) -> None:
    wanted = order("2026-06-01")
    location = f"Location: {server.url}/orders"
    async with answering(http("307 Temporary Redirect", "text/plain", b"", location)) as url:
        suppliers = HttpSuppliers(url)
        with pytest.raises(OutcomeUnknown):
            await suppliers.place(wanted)
        await suppliers.aclose()
    assert wanted.key not in {one["key"] for one in server.get("/orders")["orders"]}


async def test_a_slow_drip_ends_at_the_total_timeout() -> None:
    begun = b"HTTP/1.1 201 Created\r\nContent-Length: 500\r\nContent-Type: application/json\r\n\r\n{"
    async with answering(begun, hangs=True) as url:
        suppliers = HttpSuppliers(url, manifest=within(0.2))
        with pytest.raises(OutcomeUnknown):
            await suppliers.place(order())
        await suppliers.aclose()


async def test_a_supplier_that_does_not_listen_is_unavailable() -> None:
    suppliers = HttpSuppliers(f"http://127.0.0.1:{claim(0, 'QM_SUPPLIER_PORT')}")
    with pytest.raises(Unavailable):
        await suppliers.place(order())
    with pytest.raises(Unavailable):
        await suppliers.find("acme", order().key)
    await suppliers.aclose()


async def test_a_refusal_is_bounded_and_a_bad_credential_does_not_throw_the_order_away() -> None:
    long = b'{"carried_out":false,"detail":"%s"}' % (b"x" * 5000)
    async with answering(http("400 Bad Request", "application/problem+json", long)) as url:
        suppliers = HttpSuppliers(url)
        with pytest.raises(SupplierRefused) as refused:
            await suppliers.place(order())
        assert len(str(refused.value)) == 300
        await suppliers.aclose()
    async with answering(http("401 Unauthorized", "application/problem+json", long)) as url:
        suppliers = HttpSuppliers(url)
        with pytest.raises(TurnedAway):
            await suppliers.place(order())
        await suppliers.aclose()


@pytest.mark.parametrize(
    ("status", "answered"), [("401 Unauthorized", True), ("429 Too Many Requests", True), ("503 Unavailable", False)]
)
async def test_who_turns_us_away_is_well_and_who_is_out_of_order_is_not(status: str, answered: bool) -> None:
    """The first kind must not open a circuit: it is about us."""
    async with answering(http(status, "application/problem+json", b'{"carried_out":false}')) as url:
        suppliers = HttpSuppliers(url)
        for asked in (suppliers.place(order()), suppliers.find("acme", order().key)):
            with pytest.raises(Unavailable) as error:
                await asked
            assert isinstance(error.value, TurnedAway) is answered
        await suppliers.aclose()


async def test_a_date_says_when_to_come_back_as_well_as_seconds_do() -> None:
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    body = b'{"carried_out":false}'
    later = http("429 Too Many Requests", "application/problem+json", body, f"Retry-After: {at}")
    async with answering(later) as url:
        suppliers = HttpSuppliers(url)
        with pytest.raises(TurnedAway) as error:
            await suppliers.place(order())
        assert 60 < (error.value.wait_seconds or 0) <= 90
        await suppliers.aclose()


async def test_a_second_order_whose_number_cannot_be_read_is_one_too_many_all_the_same() -> None:
    body = json.dumps({"key": order().key, "supplier_number": "S-1", "others": ["\u0007"]}).encode()
    async with answering(http("200 OK", "application/json", body)) as url:
        suppliers = HttpSuppliers(url)
        found = await suppliers.find("acme", order().key)
        assert found is not None
        assert len(found.others) == 1
        assert found.others[0].isprintable()
        await suppliers.aclose()


async def test_the_trace_travels_with_the_order(server: SupplierServer) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    suppliers = HttpSuppliers(server.url, propagate=lambda: {"traceparent": trace})
    await suppliers.place(order("2026-06-02"))
    await suppliers.aclose()
    booked = [line for line in server.journal.read_text().splitlines() if order("2026-06-02").key in line]
    assert trace in booked[0]


@pytest.mark.parametrize(
    "address", ["ftp://supplier", "supplier:80", "http://user:pass@supplier", "http://", "http://s?q=1"]
)
def test_an_address_that_is_not_plain_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="address"):
        HttpSuppliers(address)


# Systems of other kinds, over HTTP.


@asynccontextmanager
async def system(folder: Path, *arguments: str) -> AsyncIterator[tuple[SupplierServer, HttpSuppliers]]:
    running = SupplierServer(
        folder, [SupplierBehaviour(supplier="acme", lead_days=(3,), refuses=(AUGUST,))], system=arguments
    )
    running.start()
    suppliers = HttpSuppliers(running.url)
    try:
        yield running, suppliers
    finally:
        await suppliers.aclose()
        running.kill()


def booked_at(server: SupplierServer) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = server.get("/orders?supplier=acme")["orders"]
    return listed


async def test_drafts_are_listed_cancelled_and_confirmed_once(tmp_path: Path) -> None:
    async with system(tmp_path, "--level", "L1", "--drafts") as (server, suppliers):
        wanted = order("2026-03-02")
        assert await suppliers.drafts("acme", wanted.key) == ()
        first, second = [await suppliers.draft(wanted) for _ in range(2)]
        assert first != second, "a draft asked for twice is two"
        await suppliers.cancel_draft("acme", second)
        await suppliers.cancel_draft("acme", second)
        answers = [await suppliers.confirm_draft("acme", first) for _ in range(2)]
        assert answers[0].supplier_number == answers[1].supplier_number
        listed = await suppliers.drafts("acme", wanted.key)
        assert {one.lines_digest for one in listed} == {wanted.lines_digest}, "what is in them is said"
        states = {one.draft: one.state for one in listed}
        assert states == {first.draft: DraftState.CONFIRMED, second.draft: DraftState.CANCELLED}
        with pytest.raises(OrderKeyKnown):
            await suppliers.cancel_draft("acme", first)
        with pytest.raises(OrderKeyKnown):
            await suppliers.confirm_draft("acme", second)
        with pytest.raises(OrderKeyKnown):
            await suppliers.confirm_draft("acme", first.model_copy(update={"draft": "D-999999"}))
        assert len([one for one in booked_at(server) if one["state"] == "confirmed"]) == 1
        with pytest.raises(OutcomeUnknown, match="names a draft"):
            await suppliers.confirm_draft("acme", first.model_copy(update={"draft": "../orders"}))


async def test_a_system_with_unique_keys_refuses_the_second_and_is_looked_at(tmp_path: Path) -> None:
    async with system(tmp_path, "--level", "L2") as (_, suppliers):
        wanted = order("2026-03-02")
        answer = await suppliers.place(wanted)
        with pytest.raises(OrderKeyKnown):
            await suppliers.place(wanted)
        found = await suppliers.find("acme", wanted.key)
        assert found is not None
        assert (found.supplier_number, found.others, found.lines_digest) == (
            answer.supplier_number, (), wanted.lines_digest,
        )  # fmt: skip


async def test_two_orders_under_one_key_are_both_told(tmp_path: Path) -> None:
    async with system(tmp_path, "--level", "L1") as (_, suppliers):
        wanted = order("2026-03-02")
        numbers = [(await suppliers.place(wanted)).supplier_number for _ in range(2)]
        found = await suppliers.find("acme", wanted.key)
        assert found is not None
        assert [found.supplier_number, *found.others] == numbers


async def test_a_system_that_cannot_be_searched_says_nothing_about_an_order(tmp_path: Path) -> None:
    async with system(tmp_path, "--level", "L0") as (_, suppliers):
        with pytest.raises(Unavailable):
            await suppliers.find("acme", order().key)
        with pytest.raises(Unavailable):
            await suppliers.drafts("acme", order().key)


async def test_a_request_that_fails_after_it_was_carried_out_is_an_unknown_outcome(server: SupplierServer) -> None:
    """A failure at `after` is the one that fools retries."""
    suppliers, wanted = HttpSuppliers(server.url), order("2026-07-01")

    def trigger(reached: str) -> float:
        if reached == "supplier.place:after":
            raise Unavailable("as asked for")
        return 0

    failpoints.install(trigger)
    try:
        with pytest.raises(OutcomeUnknown):
            await suppliers.place(wanted)
    finally:
        failpoints.install(None)
    assert await suppliers.find("acme", wanted.key) is not None
    await suppliers.aclose()
