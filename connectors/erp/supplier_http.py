"""What the simulated suppliers say over HTTP, and how they fail when a test asks for it.

    POST /orders                     place; the header Idempotency-Key is the order's key
    GET  /orders/KEY?supplier=S      find
    GET  /orders?supplier=S&after=CURSOR&limit=N      list, a page at a time; without a supplier: all orders at once
    POST /drafts                     draft; never told from another one
    GET  /drafts/KEY?supplier=S      the drafts under a key, the oldest first
    POST /drafts/DRAFT/cancel, POST /drafts/DRAFT/confirm

What it answers with an error document (RFC 9457) was certainly not carried out, and says so. `/clock`, `/events` and
`/faults` are for whoever drives the world.
"""

import json
import logging
import os
import socket
import struct
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

from pydantic import ValidationError

from connectors.erp.bookings import Refusal
from connectors.erp.draft_book import DraftBook
from connectors.erp.driving import driven
from connectors.erp.faults import Fault, FaultMode, Faults, Operation
from connectors.erp.journal import JournalUnwritable
from connectors.erp.order_book import OrderBook, emit_quietly
from workflows.domain.errors import Unavailable
from workflows.domain.orders import PurchaseOrder, SupplierAnswer

HOST = "127.0.0.1"
MAX_REQUEST_BYTES = 5 * 1024 * 1024
MAX_LISTED = 1000
PROBLEM = "urn:quartermaster:supplier:"
_LINGER_NOT = struct.pack("ii", 1, 0)
"""Closing with this resets the connection."""
_log = logging.getLogger("simulated-supplier")


class SupplierServer(ThreadingHTTPServer):
    """The HTTP face of an order book."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, port: int, book: OrderBook, *, allow_faults: bool = False) -> None:
        self.book = book
        self.drafts = DraftBook(book)
        self.faults = Faults() if allow_faults else None
        self.ending = threading.Event()
        super().__init__((HOST, port), SupplierHandler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that went away is no news; anything else is logged."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            _log.exception("a request failed")


class SupplierHandler(BaseHTTPRequestHandler):
    """One connection. Whatever it answers with an error document was certainly not carried out, and says so."""

    protocol_version = "HTTP/1.1"
    server_version = "SimulatedSupplier"
    sys_version = ""
    timeout = 60
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Orders, events, health."""
        self._serve("GET")

    def do_POST(self) -> None:
        """Place an order, advance the clock, emit again, ask for a fault."""
        self._serve("POST")

    @property
    def _supplier(self) -> SupplierServer:
        return cast(SupplierServer, self.server)

    def _serve(self, method: str) -> None:
        try:
            body = self._body()
            if (self.headers.get("Host") or "").split(":")[0] not in {HOST, "localhost"}:
                # A page in a browser on this machine could otherwise reach us under a name of its own.
                raise Refusal(421, "misdirected", f"this server is {HOST}")
            self._route(method, body)
        except Refusal as refusal:
            self._problem(refusal.status, refusal.kind, str(refusal), also=refusal.also)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            self._problem(400, "malformed", f"{where}: {first['msg']}"[:300])
        except Unavailable as error:
            self._problem(503, "unavailable", f"events could not be published: {error}"[:300])
        except JournalUnwritable as error:
            self._problem(503, "unavailable", f"the journal could not be written: {error}")

    def _route(self, method: str, body: bytes) -> None:
        url = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        parts = url.path.strip("/").split("/")
        supplier = query.get("supplier")
        match method, parts:
            case "POST", ["orders"]:
                self._suffer(Operation.PLACE, lambda fault: self._place(body, fault))
            case "GET", ["orders"] if supplier is None:
                self._answer(200, {"orders": [one.described() for one in self._supplier.book.orders()], "next": None})
            case "GET", ["orders"]:
                self._suffer(Operation.LIST, lambda fault: self._list(str(supplier), query, fault))
            case "GET", ["orders", key]:
                self._suffer(Operation.FIND, lambda fault: self._find(key, supplier, fault))
            case "POST", ["drafts"]:
                self._suffer(Operation.DRAFT, lambda _: self._draft(body))
            case "GET", ["drafts", key]:
                under = self._supplier.drafts.under
                self._suffer(Operation.DRAFTS, lambda _: (200, {"key": key, "drafts": under(key, supplier)}))
            case "POST", ["drafts", number, "cancel"]:
                self._suffer(Operation.CANCEL, lambda _: self._cancel(number))
            case "POST", ["drafts", number, "confirm"]:
                self._suffer(Operation.CONFIRM, lambda _: self._confirm(number))
            case _:
                self._answer(200, driven(self._supplier.book, self._supplier.faults, (method, url.path), query, body))

    def _place(self, body: bytes, fault: Fault | None) -> tuple[int, dict[str, Any]]:
        again = fault is not None and fault.mode is FaultMode.BOOKED_AGAIN
        order = self._order(body)
        answer, is_new = self._supplier.book.place(order, self._traceparent, again=again)
        return 201 if is_new else 200, _answered(answer, order)

    def _find(self, key: str, supplier: str | None, fault: Fault | None) -> tuple[int, dict[str, Any]]:
        found = self._supplier.book.find(key, older_than=_stale(fault))
        if not found or supplier not in (None, found[0].order.supplier):
            raise Refusal(404, "no-such-order", f"there is no order under the key {key[:64]}")
        others = [one.answer.supplier_number for one in found[1:]]
        answer = found[0].answer.model_dump(mode="json")
        return 200, {**answer, **found[0].described(), "booked": len(found), "others": others}

    def _list(self, supplier: str, query: dict[str, str], fault: Fault | None) -> tuple[int, dict[str, Any]]:
        after, limit = query.get("after", "0"), query.get("limit", str(MAX_LISTED))
        if not (after.isascii() and after.isdigit() and limit.isascii() and limit.isdigit() and len(after) < 12):
            raise Refusal(400, "malformed", "after is what `next` said, and limit a number")
        if not 1 <= int(limit) <= MAX_LISTED:
            raise Refusal(400, "malformed", f"limit is from 1 to {MAX_LISTED}")
        found, following = self._supplier.book.listed(supplier, int(after), int(limit), older_than=_stale(fault))
        return 200, {"orders": found, "next": None if following is None else str(following)}

    def _draft(self, body: bytes) -> tuple[int, dict[str, Any]]:
        order = self._order(body)
        draft = self._supplier.drafts.make(order, self._traceparent)
        return 201, {"key": order.key, "draft": draft.number}

    def _cancel(self, number: str) -> tuple[int, dict[str, Any]]:
        draft = self._supplier.drafts.cancel(number)
        return 200, {"key": draft.order.key, "draft": number, "state": str(draft.state)}

    def _confirm(self, number: str) -> tuple[int, dict[str, Any]]:
        draft, is_new = self._supplier.drafts.confirm(number)
        assert draft.booked is not None  # noqa: S101 - it has just been confirmed
        return 201 if is_new else 200, _answered(draft.booked.answer, draft.order)

    def _order(self, body: bytes) -> PurchaseOrder:
        key = (self.headers.get("Idempotency-Key") or "").strip('"')
        if not key:
            raise Refusal(400, "key-missing", "the header Idempotency-Key is required")
        order = PurchaseOrder.model_validate_json(body)
        if order.key != key:
            raise Refusal(400, "malformed", "the header Idempotency-Key is not the order's key")
        if not order.lines or any(line.units <= 0 for line in order.lines):
            raise Refusal(400, "malformed", "an order has at least one line, and every line asks for units")
        return order

    @property
    def _traceparent(self) -> str | None:
        return (self.headers.get("traceparent") or "")[:100] or None

    def _suffer(self, operation: Operation, carry_out: Callable[[Fault | None], tuple[int, dict[str, Any]]]) -> None:
        """Carry the request out and answer it, or do what a fault asks for."""
        faults = self._supplier.faults
        fault = faults.next_for(operation) if faults is not None else None
        mode = fault.mode if fault else None
        if fault and mode in {FaultMode.UNAVAILABLE, FaultMode.THROTTLED}:
            status, kind = (503, "unavailable") if mode is FaultMode.UNAVAILABLE else (429, "throttled")
            headers = {"Retry-After": str(fault.retry_after_s)} if fault.retry_after_s else {}
            self._problem(status, kind, "not now, as asked for", headers)
            return
        if fault and mode is FaultMode.LATE_COMMIT:
            self._supplier.ending.wait(fault.delay_s)
        status, document = carry_out(fault)
        if fault and mode is FaultMode.SLOW:
            self._supplier.ending.wait(fault.delay_s)
        if mode is FaultMode.DROP_RESPONSE:
            self.close_connection = True
        elif mode is FaultMode.HTML_BODY:
            self._send(200, "text/html", b"<html><body>Welcome to the supplier portal</body></html>")
        elif mode in {FaultMode.HALF_BODY, FaultMode.RESET}:
            self._break_off(json.dumps(document).encode(), reset=mode is FaultMode.RESET)
        elif mode is FaultMode.SERVER_ERROR:
            self._send(500, "text/plain", b"internal error")
        else:
            self._answer(status, document)
        if operation.method == "POST" and (location := document.get("location")):
            # After the answer: taking an order must not wait for the broker.
            emit_quietly(self._supplier.book, location)

    def _break_off(self, body: bytes, *, reset: bool) -> None:
        """Half an answer: its head and half its body, or (with a reset) half its head."""
        self.close_connection = True
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        self.wfile.write(head[: len(head) // 2] if reset else head + body[: len(body) // 2])
        self.wfile.flush()
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
            # Past the server's own closing, which would end the connection in order first.
            os.close(self.connection.detach())

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length") or "0"
        if self.headers.get("Transfer-Encoding") or not length.isascii() or not length.isdigit():
            self.close_connection = True
            raise Refusal(411, "malformed", "Content-Length is required")
        if len(length) > 12 or int(length) > MAX_REQUEST_BYTES:
            self.close_connection = True
            raise Refusal(413, "too-large", f"at most {MAX_REQUEST_BYTES} bytes are accepted")
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise ConnectionAbortedError("the caller went away before its request was complete")
        return body

    def _answer(self, status: int, document: dict[str, Any]) -> None:
        self._send(status, "application/json", json.dumps(document).encode())

    def _problem(
        self, status: int, kind: str, detail: str, headers: dict[str, str] | None = None, *,
        also: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        document = {"type": PROBLEM + kind, "status": status, "detail": detail, "carried_out": False, **(also or {})}
        self._send(status, "application/problem+json", json.dumps(document).encode(), headers)

    def _send(self, status: int, media_type: str, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": media_type, "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are of interest to whoever debugs."""
        _log.debug(format, *args)


def _answered(answer: SupplierAnswer, order: PurchaseOrder) -> dict[str, Any]:
    return {**answer.model_dump(mode="json"), "location": order.location}


def _stale(fault: Fault | None) -> timedelta | None:
    """How far behind the index is; None: not at all."""
    return timedelta(seconds=fault.delay_s) if fault and fault.mode is FaultMode.STALE_SEARCH else None
