"""The simulated supplier as a process: its orders outlive kill -9, and what it delivers follows from its orders."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.erp.deliveries import events_of
from connectors.erp.faults import FaultMode
from connectors.erp.journal import Journal, JournalDamaged, JournalInUse
from connectors.kafka.consumer import EventConsumer
from tests.contract.test_kafka import SESSION_MS, EmbeddedBroker, Positions, read_until
from tests.fakes.supplier_server import SupplierServer
from workflows.domain.events import ShipmentStatus, ShipmentUpdated, StockReceived, Topic, parse
from workflows.domain.feeds import SupplierBehaviour
from workflows.domain.identity import order_id, order_key
from workflows.domain.orders import OrderLine, PurchaseOrder

PLAIN = SupplierBehaviour(supplier="acme", lead_days=(3,))
AWKWARD = SupplierBehaviour(
    supplier="late", lead_days=(2, 5), late_probability=1, late_extra_days=4, partial_probability=1, short_probability=1
)


def order(
    cycle: str = "2026-03-02", *, supplier: str = "acme", location: str = "north", lines: int = 2
) -> PurchaseOrder:
    return PurchaseOrder(
        order_id=order_id(supplier, location, cycle, 1),
        key=order_key(supplier, location, cycle, 1),
        supplier=supplier,
        location=location,
        cycle=cycle,
        currency="EUR",
        ordered_at=datetime.fromisoformat(cycle).replace(hour=6, tzinfo=UTC),
        lines=tuple(
            OrderLine(line_no=n, need_id=f"{location}:i{n}:1", item=f"i{n}", units=10 * n, unit_cost=Decimal(2))
            for n in range(1, lines + 1)
        ),
    )


def place(server: SupplierServer, wanted: PurchaseOrder, **headers: str) -> httpx.Response:
    return httpx.post(
        f"{server.url}/orders",
        content=wanted.model_dump_json(),
        headers={"Idempotency-Key": wanted.key, **headers},
        trust_env=False,
    )


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SupplierServer]:
    running = SupplierServer(tmp_path, [PLAIN, AWKWARD])
    running.start()
    yield running
    running.kill()


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SupplierServer]:
    """A server that must never come to have an order."""
    running = SupplierServer(tmp_path_factory.mktemp("untouched"), [PLAIN])
    running.start()
    yield running
    running.kill()


def keys(server: SupplierServer) -> dict[str, str]:
    return {one["key"]: one["lines_digest"] for one in server.get("/orders")["orders"]}


def ids(described: dict[str, Any]) -> list[str]:
    return [event["id"].partition(":")[2] for event in described["events"]]


def test_the_first_placing_creates_and_the_second_only_repeats_the_answer(server: SupplierServer) -> None:
    first, second = place(server, order()), place(server, order())
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    assert first.json()["promised_at"] == "2026-03-05T05:30:00.000000Z"


@pytest.mark.parametrize(
    ("status", "kind", "body", "headers"),
    [
        (400, "key-missing", order().model_dump_json(), {"Idempotency-Key": ""}),
        (400, "malformed", order().model_dump_json(), {"Idempotency-Key": "f" * 64}),
        (400, "malformed", "{", {}),
        (400, "malformed", "[" * 50_000, {}),
        (400, "malformed", order(lines=0).model_dump_json(), {}),
        (400, "malformed", order().model_copy(update={"order_id": "x" * 400}).model_dump_json(), {}),
        (400, "malformed", order("9999-12-30").model_dump_json(), {"Idempotency-Key": order("9999-12-30").key}),
        (404, "unknown-supplier", order(supplier="x").model_dump_json(), {"Idempotency-Key": order(supplier="x").key}),
        (413, "too-large", " " * 6_000_000, {}),
        (421, "misdirected", order().model_dump_json(), {"Host": "evil.example:80"}),
    ],
)
def test_what_cannot_be_an_order_is_refused_with_a_reason_and_leaves_nothing(
    untouched: SupplierServer, status: int, kind: str, body: str, headers: dict[str, str]
) -> None:
    answer = httpx.post(
        f"{untouched.url}/orders", content=body, headers={"Idempotency-Key": order().key, **headers}, trust_env=False
    )
    assert (answer.status_code, answer.json()["type"]) == (status, f"urn:quartermaster:supplier:{kind}")
    assert answer.json()["carried_out"] is False
    assert keys(untouched) == {}
    assert untouched.journal.read_bytes() == b""


def test_orders_and_emitted_events_outlive_kill_9_and_a_torn_line(server: SupplierServer) -> None:
    with ThreadPoolExecutor(8) as pool:
        cycles = [f"2026-03-{day:02d}" for day in range(1, 21)]
        assert all(answer.status_code == 201 for answer in pool.map(lambda c: place(server, order(c)), cycles))
    before = keys(server)
    emitted = server.post("/clock", {"through": "2026-03-10T06:00:00Z"})
    assert emitted["receipts"]
    known = server.get("/events")
    server.kill()
    with server.journal.open("ab") as journal:
        journal.write(b'{"kind":"order","order":{"order_id":"to')
    server.start()
    assert keys(server) == before
    assert {wanted.key: wanted.lines_digest for wanted in map(order, cycles)} == before
    assert server.get("/events") == known
    assert server.post("/clock", {"through": "2026-03-10T06:00:00Z"})["events"] == [], "nothing is due twice"
    assert place(server, order("2026-03-01")).status_code == 200
    assert b'{"order_id":"to' not in server.journal.read_bytes(), "what never happened is gone"
    assert all(json.loads(line) for line in server.journal.read_text().splitlines())


def test_the_clock_moves_one_location_forward_and_never_back(server: SupplierServer) -> None:
    for location in ("north", "south"):
        place(server, order(location=location))
    assert server.post("/clock", {"through": "2026-03-05T05:29:59Z", "location": "north"})["receipts"] == []
    moved = server.post("/clock", {"through": "2026-03-05T05:30:00Z", "location": "north"})
    assert moved["receipts"] == [
        {
            "source": "supplier/acme",
            "id": f"{order().key}:line-{number}:delivery-1",
            "location": "north",
            "item": f"i{number}",
            "units": 10 * number,
            "order_id": "acme:north:2026-03-02:1",
        }
        for number in (1, 2)
    ]
    assert server.post("/clock", {"through": "2026-01-01T00:00:00Z"})["events"] == []
    assert {r["location"] for r in server.post("/clock", {"through": "2026-03-06T00:00:00Z"})["receipts"]} == {"south"}
    heard = ids(server.get("/events?through=2026-03-02T06:00:00Z"))
    assert heard == ["acknowledged", "acknowledged"], "acknowledged at the order's own instant"


def test_an_awkward_supplier_is_late_short_and_delivers_in_two_parts(server: SupplierServer) -> None:
    place(server, order(supplier="late", lines=1))
    story = server.post("/clock", {"through": "2026-04-01T00:00:00Z"})
    everything = server.get("/events")
    assert ids(everything)[0] == "acknowledged"
    assert sorted(ids(everything)) == [
        "acknowledged", "delayed", "line-1:delivery-1", "line-1:delivery-2", "shipped", "shortened:1"
    ]  # fmt: skip
    assert [receipt["units"] for receipt in story["receipts"]] == [5, 4], "one of ten never comes"


def test_a_supplier_refuses_in_its_stretch_only(tmp_path: Path) -> None:
    closed = SupplierBehaviour(supplier="acme", lead_days=(1,), refuses=((date(2026, 3, 2), date(2026, 3, 3)),))
    server = SupplierServer(tmp_path, [closed])
    server.start()
    try:
        days = ["2026-03-01", "2026-03-02", "2026-03-03", "2026-03-04"]
        assert [place(server, order(day)).status_code for day in days] == [201, 409, 409, 201]
    finally:
        assert server.stop() == 0, "SIGTERM ends it in order"


def test_faults_are_served_only_where_allowed_and_say_when_they_fired(tmp_path: Path, server: SupplierServer) -> None:
    assert server.post("/faults", {"mode": FaultMode.THROTTLED, "retry_after_s": 7})["fired"] == {}
    answer = place(server, order())
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")
    assert server.get("/faults")["fired"] == {"throttled": 1}
    (tmp_path / "strict").mkdir()
    strict = SupplierServer(tmp_path / "strict", [PLAIN], allow_faults=False)
    strict.start()
    try:
        assert httpx.post(f"{strict.url}/faults", json={"mode": "slow"}, trust_env=False).status_code == 404
    finally:
        strict.kill()


def test_two_servers_cannot_write_one_journal(server: SupplierServer, capfd: pytest.CaptureFixture[str]) -> None:
    second = SupplierServer(server.journal.parent, [PLAIN])
    with pytest.raises(AssertionError, match="did not start"):
        second.start()
    assert second.stop() == 2
    assert "written by another process" in capfd.readouterr().err
    with pytest.raises(JournalInUse):
        Journal(server.journal)


def test_a_damaged_journal_is_not_gone_on_from(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text('{"kind":"clock"}\nrubbish\n{"kind":"clock"}\n')
    with pytest.raises(JournalDamaged, match="line 2"):
        Journal(path)


def test_events_reach_kafka_wait_for_it_and_can_be_sent_again(tmp_path: Path) -> None:
    broker = EmbeddedBroker()
    server = SupplierServer(tmp_path, [PLAIN], kafka=broker.bootstrap)
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    try:
        server.start()
        assert place(server, order(), traceparent=trace).status_code == 201, "an order does not wait for the broker"
        broker.start()
        due = server.post("/clock", {"through": "2026-03-05T06:00:00Z"})
        assert sorted(ids(server.get("/events"))) == [
            "acknowledged",
            "line-1:delivery-1",
            "line-2:delivery-1",
            "shipped",
        ]
        again = server.post("/events/re-emit", {"ids": [due["receipts"][0]["id"], "unknown"]})
        assert again["receipts"] == due["receipts"][:1]
        assert len(server.post("/events/re-emit", {"all": True})["events"]) == 4
        with closing(
            EventConsumer(broker.bootstrap, "g", "log-1", on_assigned=Positions(), session_timeout_ms=SESSION_MS,
                          topics=[Topic.STOCK, Topic.SHIPMENTS])
        ) as consumer:  # fmt: skip
            read = read_until(consumer, lambda got: len(got) >= 9)
        events = [parse(message.value) for message in read]
        assert {event.id for event in events} == {event["id"] for event in server.get("/events")["events"]}
        assert len({message.value for message in read}) == 4, "sent again byte for byte, so that intake knows it"
        assert {event.traceparent for event in events} == {message.traceparent for message in read} == {trace}
    finally:
        server.kill()
        broker.kill()


CHANCE = st.floats(0, 1)


@settings(max_examples=150, deadline=None)
@given(
    lead=st.lists(st.integers(0, 90), min_size=1, max_size=4),
    late=CHANCE,
    extra=st.integers(0, 30),
    partial=CHANCE,
    short=CHANCE,
    day=st.dates(date(2020, 1, 1), date(2030, 1, 1)),
    units=st.lists(st.integers(1, 10_000), min_size=1, max_size=8),
)
def test_every_unit_comes_or_is_said_never_to_come(
    lead: list[int], late: float, extra: int, partial: float, short: float, day: date, units: list[int]
) -> None:
    behaviour = SupplierBehaviour(
        supplier="acme", lead_days=tuple(lead), late_probability=late, late_extra_days=extra,
        partial_probability=partial, short_probability=short,
    )  # fmt: skip
    lines = tuple(
        OrderLine(line_no=n, need_id=f"n{n}", item=f"i{n}", units=count, unit_cost=Decimal(1))
        for n, count in enumerate(units, 1)
    )
    wanted = order(day.isoformat()).model_copy(update={"lines": lines})
    events = events_of(wanted, behaviour, None)
    assert events == events_of(wanted, behaviour, None)
    assert len({event.id for event in events}) == len(events)
    assert all(event == parse(event.to_bytes()) for event in events)
    assert all(event.time >= wanted.ordered_at for event in events), "nothing is heard before it was ordered"
    come = dict.fromkeys((line.item for line in lines), 0)
    for event in events:
        if isinstance(event.data, StockReceived):
            assert (event.time.hour, event.time.minute) == (5, 30)
            assert event.time - wanted.ordered_at <= timedelta(days=max(lead) + 1 + extra + 2)
            come[event.data.item] += event.data.units
        elif isinstance(event.data, ShipmentUpdated) and event.data.status is ShipmentStatus.SHORTENED:
            for missing in event.data.lines:
                come[missing.item] += missing.units
    assert come == {line.item: line.units for line in lines}


def test_the_server_says_what_is_wrong_with_its_arguments(tmp_path: Path) -> None:
    server = SupplierServer(tmp_path, [PLAIN])
    (tmp_path / "behaviours.json").write_text('[{"supplier":"acme"}]')
    with pytest.raises(AssertionError):
        server.start()
    assert server.stop() == 2
