"""What only a driver of the world asks of the simulated suppliers: the clock, what was emitted, and faults."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import AwareDatetime, TypeAdapter

from connectors.erp.bookings import Refusal
from connectors.erp.faults import Fault, Faults
from connectors.erp.order_book import OrderBook
from workflows.domain.events import Event, StockReceived
from workflows.domain.identity import Code, Payload, rfc3339

_INSTANT = TypeAdapter(AwareDatetime)


class ClockRequest(Payload):
    """Body of `POST /clock`."""

    through: AwareDatetime
    location: Code | None = None


class ReEmitRequest(Payload):
    """Body of `POST /events/re-emit`: these ids, or all events."""

    ids: tuple[str, ...] | None = None
    all: bool = False


def driven(
    book: OrderBook, faults: Faults | None, asked: tuple[str, str], query: Mapping[str, str], body: bytes
) -> dict[str, Any]:
    """Do what is asked for by method and path, and describe it. Without `faults` none are served.

    Raises:
        Refusal: there is no such page, or the request says too little.
        ValidationError: the body or an instant is not what it should be.
        Unavailable: events could not be published.
    """
    match asked:
        case "POST", "/clock":
            request = ClockRequest.model_validate_json(body)
            emitted = book.advance(request.through, request.location)
            return {"through": rfc3339(request.through), **_described(emitted)}
        case "GET", "/events":
            through = _INSTANT.validate_python(query["through"]) if "through" in query else None
            return _described(book.emitted(through))
        case "POST", "/events/re-emit":
            wanted = ReEmitRequest.model_validate_json(body)
            if wanted.ids is None and not wanted.all:
                raise Refusal(400, "malformed", 'say which: {"ids": [...]} or {"all": true}')
            return _described(book.emit_again(wanted.ids))
        case "GET", "/health":
            return {"status": "ok", "orders": len(book.orders())}
    if faults is not None and asked[1] in {"/faults", "/faults/clear"}:
        if asked == ("POST", "/faults"):
            faults.add(Fault.model_validate_json(body))
        elif asked == ("POST", "/faults/clear"):
            faults.clear()
        return {"fired": faults.fired()}
    raise Refusal(404, "no-such-page", f"there is no {asked[0]} {asked[1][:100]}")


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
