"""A supplier's own list over HTTP, against the simulated suppliers and against servers that answer rubbish."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from connectors.erp.http_supplier import HttpSuppliers
from connectors.erp.order_list import HttpOrderLists
from tests.contract.test_suppliers import order
from tests.fakes.supplier_server import SupplierServer
from workflows.domain.errors import Unavailable
from workflows.domain.feeds import SupplierBehaviour
from workflows.domain.order_lists import ListedOrder, ListedState, NotListed

SUPPLIERS = [SupplierBehaviour(supplier=name, lead_days=(3,)) for name in ("acme", "bolt")]


@contextmanager
def supplier(folder: Path, *system: str) -> Iterator[HttpSuppliers]:
    server = SupplierServer(folder, SUPPLIERS, system=system)
    server.start()
    try:
        yield HttpSuppliers(server.url)
    finally:
        server.stop()


async def everything(lists: HttpOrderLists, name: str) -> list[ListedOrder]:
    found: list[ListedOrder] = []
    after: str | None = None
    while True:
        page = await lists.listed(name, after)
        found += page.orders
        if (after := page.next) is None:
            return found


async def test_every_order_of_a_supplier_is_listed_once_over_the_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.erp.order_list.PAGE", 2)
    placed = [order(f"2026-03-{day:02}") for day in range(1, 6)]
    with supplier(tmp_path) as suppliers:
        numbers = {one.key: (await suppliers.place(one)).supplier_number for one in placed}
        await suppliers.place(order("2026-03-01", supplier="bolt"))

        found = await everything(suppliers.lists, "acme")

        await suppliers.aclose()
    assert {one.key: one.supplier_number for one in found} == numbers
    assert [one.unreadable for one in found] == [""] * 5
    first = next(one for one in found if one.key == placed[0].key)
    assert (first.state, first.currency, first.ordered_at) == (ListedState.CONFIRMED, "EUR", placed[0].ordered_at)
    assert [(line.item, line.units, line.unit_cost) for line in first.lines] == [
        ("apple", 12, placed[0].lines[0].unit_cost)
    ]


async def test_a_draft_is_listed_as_a_draft_until_it_is_an_order(tmp_path: Path) -> None:
    with supplier(tmp_path, "--level", "L1", "--drafts") as suppliers:
        one, two = [await suppliers.draft(order()) for _ in range(2)]
        assert [found.state for found in await everything(suppliers.lists, "acme")] == [ListedState.DRAFT] * 2
        await suppliers.cancel_draft("acme", two)
        await suppliers.confirm_draft("acme", one)
        states = sorted(found.state for found in await everything(suppliers.lists, "acme"))
        await suppliers.aclose()
    assert states == [ListedState.CANCELLED, ListedState.CONFIRMED]


async def test_a_mailbox_tells_no_list(tmp_path: Path) -> None:
    with supplier(tmp_path, "--level", "L0") as suppliers:
        with pytest.raises(NotListed, match="acme tells no list"):
            await suppliers.lists.listed("acme", None)
        await suppliers.aclose()


@contextmanager
def answering(answer: Callable[[str], tuple[int, bytes]]) -> Iterator[HttpSuppliers]:
    """A server that answers every path as told."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answer(self.path)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield HttpSuppliers(f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "document"),
    [
        (200, []), (200, {}), (200, {"orders": None}), (200, {"orders": [], "next": 7}), (200, {"orders": {}}),
        (200, {"orders": [], "next": "a\nb"}), (200, {"orders": [], "next": "9" * 2_000}), (500, {"orders": []}),
        (404, {"detail": "a proxy's page"}), (501, {"detail": "a proxy's page"}), (302, {"orders": []}),
    ],
)  # fmt: skip
async def test_an_answer_that_is_no_list_proves_nothing(status: int, document: Any) -> None:
    with answering(lambda _: (status, json.dumps(document).encode())) as suppliers:
        with pytest.raises(Unavailable):
            await suppliers.lists.listed("acme", None)
        await suppliers.aclose()


async def test_a_list_that_does_not_go_on_is_no_list() -> None:
    with answering(lambda _: (200, b'{"orders": [], "next": "same"}')) as suppliers:
        assert (await suppliers.lists.listed("acme", None)).next == "same"
        with pytest.raises(Unavailable, match="no way on"):
            await suppliers.lists.listed("acme", "same")
        await suppliers.aclose()


async def test_a_page_too_large_to_read_is_asked_for_in_smaller_ones() -> None:
    asked: list[int] = []

    def large(path: str) -> tuple[int, bytes]:
        asked.append(int(path.partition("limit=")[2].partition("&")[0]))
        return 200, json.dumps({"orders": [{"key": "x" * 40_000, "lines": []}] * asked[-1], "next": None}).encode()

    with answering(large) as suppliers:
        page = await suppliers.lists.listed("acme", None)
        await suppliers.aclose()
    assert asked == [100, 20]
    assert len(page.orders) == 20
    assert {one.key for one in page.orders} == {""}


async def test_one_entry_that_cannot_be_read_hides_no_other() -> None:
    good = {
        "key": "a" * 64, "supplier_number": "A-1", "state": "confirmed", "lines": [],
        "ordered_at": datetime(2026, 3, 2, tzinfo=UTC).isoformat(),
    }  # fmt: skip
    body = json.dumps({"orders": [good, {**good, "lines": [{"item": "x", "units": "many"}]}, 7], "next": None}).encode()
    with answering(lambda _: (200, body)) as suppliers:
        page = await suppliers.lists.listed("acme", None)
        await suppliers.aclose()
    assert [bool(one.unreadable) for one in page.orders] == [False, True, True]
