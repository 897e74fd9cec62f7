"""What the simulated suppliers' system does about repeated orders, by its level, and what drafts are there."""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.erp.faults import FaultMode, Operation
from tests.fakes.supplier_server import SupplierServer
from tests.integration.test_simulated_supplier import PLAIN, order, place
from workflows.domain.orders import PurchaseOrder

Start = Callable[..., SupplierServer]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a server of this kind; they share a journal, so only one at a time."""
    running: list[SupplierServer] = []

    def begin(*system: str) -> SupplierServer:
        for one in running:
            one.kill()
        running.append(SupplierServer(tmp_path, [PLAIN], system=system))
        running[-1].start()
        return running[-1]

    yield begin
    for one in running:
        one.kill()


def journal(server: SupplierServer, *kinds: str) -> list[dict[str, Any]]:
    entries = [json.loads(line) for line in server.journal.read_text().splitlines()]
    return [entry for entry in entries if entry["kind"] in kinds]


def ask(server: SupplierServer, method: str, path: str) -> httpx.Response:
    return httpx.request(method, server.url + path, trust_env=False, timeout=10)


def draft(server: SupplierServer, wanted: PurchaseOrder) -> httpx.Response:
    url, headers = f"{server.url}/drafts", {"Idempotency-Key": wanted.key}
    return httpx.post(url, content=wanted.model_dump_json(), headers=headers, trust_env=False)


@contextmanager
def suffering(server: SupplierServer, mode: FaultMode, **more: Any) -> Iterator[None]:
    """The next request that is meant suffers this, and did."""
    before = server.get("/faults")["fired"].get(mode, 0)
    server.post("/faults", {"mode": mode, **more})
    yield
    assert server.get("/faults")["fired"][mode] > before, "the fault did not fire"


@pytest.mark.parametrize(
    ("level", "statuses", "numbers"),
    [("L3", [201, 200, 200], 1), ("L2", [201, 409, 409], 1), ("L1", [201, 201, 201], 3), ("L0", [201, 201, 201], 3)],
)
def test_a_repeated_order_is_what_the_level_makes_of_it(
    start: Start, level: str, statuses: list[int], numbers: int
) -> None:
    server = start("--level", level)
    answers = [place(server, order()) for _ in range(3)]
    assert [answer.status_code for answer in answers] == statuses
    assert len({answer.json()["supplier_number"] for answer in answers}) == numbers, "a refusal names the order too"
    assert len(journal(server, "order")) == numbers
    listed = server.get("/orders")["orders"]
    server.kill()
    server.start()
    assert server.get("/orders")["orders"] == listed, "as it was, also after kill -9"


def test_a_refused_duplicate_says_that_nothing_was_done(start: Start) -> None:
    server = start("--level", "L2")
    first = place(server, order()).json()
    second = place(server, order(lines=1))
    assert second.json()["type"] == "urn:quartermaster:supplier:duplicate-key"
    assert second.json()["carried_out"] is False
    assert second.json()["supplier_number"] == first["supplier_number"]


def test_what_cannot_be_searched_says_so(start: Start) -> None:
    server = start("--level", "L0", "--drafts")
    place(server, order())
    for path in (f"/orders/{order().key}?supplier=acme", "/orders?supplier=acme", f"/drafts/{order().key}"):
        answer = ask(server, "GET", path)
        assert (answer.status_code, answer.json()["carried_out"]) == (501, False)


def test_after_its_memory_the_answer_is_not_repeated(start: Start) -> None:
    server = start("--level", "L3", "--memory-seconds", "0")
    assert [place(server, order()).status_code for _ in range(2)] == [201, 201]
    found = ask(server, "GET", f"/orders/{order().key}?supplier=acme").json()
    assert found["booked"] == 2
    assert found["supplier_number"] == journal(server, "order")[0]["supplier_number"], "the first of them"
    server = start("--level", "L3", "--memory-seconds", "600")
    assert place(server, order()).status_code == 200, "within its memory, which the journal kept"


def test_a_second_booking_is_delivered_again_under_ids_of_its_own(start: Start) -> None:
    server = start("--level", "L1")
    for _ in range(2):
        place(server, order(lines=1))
    receipts = server.post("/clock", {"through": "2026-04-01T00:00:00Z"})["receipts"]
    assert [receipt["units"] for receipt in receipts] == [10, 10]
    assert len({receipt["id"] for receipt in receipts}) == 2


def test_orders_are_listed_a_page_at_a_time_with_what_they_ask_for(start: Start) -> None:
    server = start("--drafts", "--level", "L1")
    cycles = [f"2026-03-{day:02d}" for day in range(1, 6)]
    for cycle in cycles:
        place(server, order(cycle))
    made = draft(server, order("2026-03-06")).json()["draft"]
    seen: list[dict[str, Any]] = []
    cursor: str | None = "0"
    while cursor is not None:
        page = ask(server, "GET", f"/orders?supplier=acme&limit=2&after={cursor}").json()
        assert len(page["orders"]) <= 2
        seen, cursor = seen + page["orders"], page["next"]
    assert [one["key"] for one in seen] == [order(cycle).key for cycle in [*cycles, "2026-03-06"]]
    assert [one["state"] for one in seen] == ["confirmed"] * 5 + ["draft"]
    assert seen[0]["lines"] == [
        {"item": "i1", "units": 10, "unit_cost": "2"},
        {"item": "i2", "units": 20, "unit_cost": "2"},
    ]
    assert seen[0].keys() >= {"supplier", "location", "supplier_number", "currency", "ordered_at"}
    ask(server, "POST", f"/drafts/{made}/confirm")
    last = ask(server, "GET", "/orders?supplier=acme").json()["orders"][-1]
    assert (last["key"], last["state"]) == (order("2026-03-06").key, "confirmed"), "as the order that it became, once"
    assert ask(server, "GET", "/orders?supplier=other").json() == {"orders": [], "next": None}
    assert ask(server, "GET", "/orders?supplier=acme&limit=0").status_code == 400


def test_drafts_are_never_told_apart_and_order_nothing_until_one_is_confirmed(start: Start) -> None:
    server = start("--level", "L1", "--drafts")
    made = [draft(server, order()) for _ in range(3)]
    assert [answer.status_code for answer in made] == [201] * 3
    first, second, third = (answer.json()["draft"] for answer in made)
    assert server.get("/orders")["orders"] == []
    assert ask(server, "POST", f"/drafts/{second}/cancel").status_code == 200
    assert ask(server, "POST", f"/drafts/{second}/cancel").status_code == 200, "twice is harmless"
    confirmed = [ask(server, "POST", f"/drafts/{first}/confirm") for _ in range(2)]
    assert [answer.status_code for answer in confirmed] == [201, 200]
    assert confirmed[0].json() == confirmed[1].json()
    refused = ask(server, "POST", f"/drafts/{first}/cancel")
    assert (refused.status_code, refused.json()["carried_out"]) == (409, False)
    assert ask(server, "POST", f"/drafts/{second}/confirm").status_code == 409
    number = confirmed[0].json()["supplier_number"]
    under = [
        {"draft": first, "state": "confirmed", "supplier_number": number, "lines_digest": order().lines_digest},
        {"draft": second, "state": "cancelled", "supplier_number": None, "lines_digest": order().lines_digest},
        {"draft": third, "state": "draft", "supplier_number": None, "lines_digest": order().lines_digest},
    ]
    path = f"/drafts/{order().key}?supplier=acme"
    assert server.get(path) == {"key": order().key, "drafts": under}
    assert server.get(f"/drafts/{order('2026-03-09').key}?supplier=acme")["drafts"] == []
    server.kill()
    server.start()
    assert server.get(path)["drafts"] == under
    assert draft(server, order()).json()["draft"] == "D-000004"
    assert ask(server, "POST", "/drafts/D-999999/confirm").status_code == 404
    kinds = [entry["kind"] for entry in journal(server, "draft", "draft-cancelled", "draft-confirmed")]
    assert kinds == ["draft"] * 3 + ["draft-cancelled", "draft-confirmed", "draft"]
    assert draft(start("--level", "L1"), order()).status_code == 501, "a system without drafts says so"


def test_a_stale_search_sees_only_what_is_old_enough(start: Start) -> None:
    server = start("--level", "L1")
    place(server, order())
    path = f"/orders/{order().key}?supplier=acme"
    with suffering(server, FaultMode.STALE_SEARCH, on=Operation.FIND, delay_s=60):
        assert ask(server, "GET", path).status_code == 404
    with suffering(server, FaultMode.STALE_SEARCH, on=Operation.LIST, delay_s=60):
        assert ask(server, "GET", "/orders?supplier=acme").json()["orders"] == []
    assert ask(server, "GET", path).status_code == 200


def test_a_supplier_may_book_again_what_it_knows(start: Start) -> None:
    server = start()
    place(server, order())
    with suffering(server, FaultMode.BOOKED_AGAIN):
        assert place(server, order()).status_code == 201
    assert len(journal(server, "order")) == 2


@pytest.mark.parametrize("mode", [FaultMode.HALF_BODY, FaultMode.RESET, FaultMode.HTML_BODY, FaultMode.DROP_RESPONSE])
def test_an_answer_that_breaks_off_leaves_the_order_behind(start: Start, mode: FaultMode) -> None:
    server = start()
    with suffering(server, mode):
        if mode is FaultMode.HTML_BODY:
            assert place(server, order()).headers["Content-Type"] == "text/html"
        else:
            with pytest.raises(httpx.TransportError):
                place(server, order())
    assert len(journal(server, "order")) == 1
    assert place(server, order()).status_code == 200


def test_a_reset_is_a_reset_and_not_an_end(start: Start) -> None:
    server = start()
    host, port = server.url.removeprefix("http://").split(":")
    with (
        suffering(server, FaultMode.RESET, on=Operation.CONFIRM),
        socket.create_connection((host, int(port)), timeout=10) as link,
    ):
        link.sendall(b"POST /drafts/none/confirm HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n")
        assert link.recv(4096).startswith(b"HTTP/1.1 501"), "what is refused is refused, whatever was asked for"
    with suffering(server, FaultMode.RESET), socket.create_connection((host, int(port)), timeout=10) as link:
        body = order().model_dump_json().encode()
        head = f"POST /orders HTTP/1.1\r\nHost: 127.0.0.1\r\nIdempotency-Key: {order().key}\r\n"
        link.sendall(head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        with pytest.raises(ConnectionResetError):
            while link.recv(4096):
                pass


def test_not_now_says_when(start: Start) -> None:
    server = start()
    with suffering(server, FaultMode.UNAVAILABLE, retry_after_s=7):
        answer = place(server, order())
    assert (answer.status_code, answer.headers["Retry-After"], answer.json()["carried_out"]) == (503, "7", False)
    with suffering(server, FaultMode.UNAVAILABLE, retry_after_s=0):
        assert "Retry-After" not in place(server, order()).headers
