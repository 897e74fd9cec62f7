"""The simulated suppliers are a server with a memory of its own: what it has booked exists, whatever we believe.

    python -m connectors.erp.simulated --port 8643 --journal FILE --behaviours FILE.json [--kafka HOST:PORT]

It serves on loopback only, prints `listening on http://127.0.0.1:PORT` once it is ready, and ends in order on SIGTERM.
"""

import argparse
import json
import logging
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FrameType
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

from pydantic import AwareDatetime, TypeAdapter, ValidationError

from connectors.erp.faults import Fault, FaultMode, Faults
from connectors.erp.journal import Journal, JournalDamaged, JournalInUse, JournalUnwritable
from connectors.erp.order_book import BookedOrder, OrderBook, Refusal, emit_quietly
from connectors.kafka.producer import EventProducer
from workflows.domain.errors import Unavailable
from workflows.domain.events import Event, StockReceived
from workflows.domain.feeds import SupplierBehaviour
from workflows.domain.identity import Code, Payload, rfc3339
from workflows.domain.orders import PurchaseOrder

HOST = "127.0.0.1"
MAX_REQUEST_BYTES = 5 * 1024 * 1024
PROBLEM = "urn:quartermaster:supplier:"
_BEHAVIOURS = TypeAdapter(tuple[SupplierBehaviour, ...])
_INSTANT = TypeAdapter(AwareDatetime)
_log = logging.getLogger("simulated-supplier")


class ClockRequest(Payload):
    """Body of `POST /clock`."""

    through: AwareDatetime
    location: Code | None = None


class ReEmitRequest(Payload):
    """Body of `POST /events/re-emit`: these ids, or all events."""

    ids: tuple[str, ...] | None = None
    all: bool = False


class SupplierServer(ThreadingHTTPServer):
    """The HTTP face of an order book."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, port: int, book: OrderBook, *, allow_faults: bool = False) -> None:
        self.book = book
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
            self._problem(refusal.status, refusal.kind, str(refusal))
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
        path, book = url.path, self._supplier.book
        if path == "/orders" and method == "POST":
            self._suffer(method, lambda: self._place(body))
        elif path == "/orders":
            self._answer(200, {"orders": [_listed(booked) for booked in book.orders()]})
        elif path.startswith("/orders/") and method == "GET":
            self._suffer(method, lambda: self._find(path.removeprefix("/orders/"), query.get("supplier")))
        elif path == "/clock" and method == "POST":
            request = ClockRequest.model_validate_json(body)
            emitted = book.advance(request.through, request.location)
            self._answer(200, {"through": rfc3339(request.through), **_described(emitted)})
        elif path == "/events" and method == "GET":
            through = _INSTANT.validate_python(query["through"]) if "through" in query else None
            self._answer(200, _described(book.emitted(through)))
        elif path == "/events/re-emit" and method == "POST":
            wanted = ReEmitRequest.model_validate_json(body)
            if wanted.ids is None and not wanted.all:
                raise Refusal(400, "malformed", 'say which: {"ids": [...]} or {"all": true}')
            self._answer(200, _described(book.emit_again(wanted.ids)))
        elif path == "/faults" and self._supplier.faults is not None:
            if method == "POST":
                self._supplier.faults.add(Fault.model_validate_json(body))
            self._answer(200, {"fired": self._supplier.faults.fired()})
        elif path == "/health" and method == "GET":
            self._answer(200, {"status": "ok", "orders": len(book.orders())})
        else:
            raise Refusal(404, "no-such-page", f"there is no {method} {path[:100]}")

    def _place(self, body: bytes) -> tuple[int, dict[str, Any]]:
        key = (self.headers.get("Idempotency-Key") or "").strip('"')
        if not key:
            raise Refusal(400, "key-missing", "the header Idempotency-Key is required")
        order = PurchaseOrder.model_validate_json(body)
        if order.key != key:
            raise Refusal(400, "malformed", "the header Idempotency-Key is not the order's key")
        if not order.lines or any(line.units <= 0 for line in order.lines):
            raise Refusal(400, "malformed", "an order has at least one line, and every line asks for units")
        answer, is_new = self._supplier.book.place(order, (self.headers.get("traceparent") or "")[:100] or None)
        return 201 if is_new else 200, {**answer.model_dump(mode="json"), "location": order.location}

    def _find(self, key: str, supplier: str | None) -> tuple[int, dict[str, Any]]:
        booked = self._supplier.book.find(key)
        if booked is None or supplier not in (None, booked.order.supplier):
            raise Refusal(404, "no-such-order", f"there is no order under the key {key[:64]}")
        return 200, {**_listed(booked), **booked.answer.model_dump(mode="json")}

    def _suffer(self, method: str, carry_out: Any) -> None:
        """Carry the request out and answer it, or do what a fault asks for."""
        faults = self._supplier.faults
        fault = faults.next_for(method) if faults is not None else None
        mode = fault.mode if fault else None
        if fault and mode is FaultMode.UNAVAILABLE:
            raise Refusal(503, "unavailable", "out of order, as asked for")
        if fault and mode is FaultMode.THROTTLED:
            self._problem(429, "throttled", "too many orders, as asked for", {"Retry-After": str(fault.retry_after_s)})
            return
        if fault and mode is FaultMode.LATE_COMMIT:
            self._supplier.ending.wait(fault.delay_s)
        status, document = carry_out()
        if fault and mode is FaultMode.SLOW:
            self._supplier.ending.wait(fault.delay_s)
        if mode is FaultMode.DROP_RESPONSE:
            self.close_connection = True
        elif mode is FaultMode.HTML_BODY:
            self._send(200, "text/html", b"<html><body>Welcome to the supplier portal</body></html>")
        elif mode is FaultMode.SERVER_ERROR:
            self._send(500, "text/plain", b"internal error")
        else:
            self._answer(status, document)
        if method == "POST" and (location := document.get("location")):
            # After the answer: taking an order must not wait for the broker.
            emit_quietly(self._supplier.book, location)

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

    def _problem(self, status: int, kind: str, detail: str, headers: dict[str, str] | None = None) -> None:
        document = {"type": PROBLEM + kind, "status": status, "detail": detail, "carried_out": False}
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


def _listed(booked: BookedOrder) -> dict[str, Any]:
    order = booked.order
    return {
        "key": order.key,
        "order_id": order.order_id,
        "supplier": order.supplier,
        "location": order.location,
        "lines_digest": order.lines_digest,
        "supplier_number": booked.answer.supplier_number,
        "ordered_at": rfc3339(order.ordered_at),
        "total": str(order.total),
        "currency": order.currency,
    }


def _described(events: Sequence[Event]) -> dict[str, Any]:
    """Events by their identity, and apart from them the receipts with what they bring."""
    return {
        "events": [
            {"source": event.source, "id": event.id, "type": event.type, "time": rfc3339(event.time)}
            for event in events
        ],
        "receipts": [
            {
                "source": event.source,
                "id": event.id,
                "location": event.data.location,
                "item": event.data.item,
                "units": event.data.units,
                "order_id": event.data.order_id,
            }
            for event in events
            if isinstance(event.data, StockReceived)
        ],
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or Ctrl-C. Exit 2: a file cannot be used, or the port is taken."""
    parser = argparse.ArgumentParser(prog="python -m connectors.erp.simulated", description="The simulated suppliers.")
    parser.add_argument("--port", type=int, required=True, help="TCP port on 127.0.0.1; 0 takes any free one")
    parser.add_argument("--journal", type=Path, required=True, help="where orders are kept; made when absent")
    parser.add_argument("--behaviours", type=Path, required=True, help="JSON list: how each supplier behaves")
    parser.add_argument("--kafka", metavar="HOST:PORT", help="where shipment and receipt events go")
    parser.add_argument("--allow-faults", action="store_true", help="serve /faults (tests only)")
    asked = parser.parse_args(argv)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    producer = EventProducer(asked.kafka, delivery_timeout_s=5.0) if asked.kafka else None
    try:
        behaviours = {known.supplier: known for known in _BEHAVIOURS.validate_json(asked.behaviours.read_bytes())}
        journal = Journal(asked.journal)
        book = OrderBook(journal, behaviours, producer.publish if producer else None)
        server = SupplierServer(asked.port, book, allow_faults=asked.allow_faults)
    except (OSError, ValidationError, JournalDamaged, JournalInUse) as error:
        print(f"simulated supplier: {error}", file=sys.stderr)
        return 2

    def end(_signal: int, _frame: FrameType | None) -> None:
        server.ending.set()
        # `shutdown` waits for the loop that this very thread runs.
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    with suppress(BrokenPipeError):
        print(f"listening on http://{HOST}:{server.server_port}", flush=True)
    server.serve_forever(poll_interval=0.1)
    server.server_close()
    if producer:
        producer.close()
    journal.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
