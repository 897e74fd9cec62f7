"""Events are facts from outside, in the CloudEvents 1.0 JSON envelope, named in the past tense.

`parse` is total: bytes become an `Event` or raise `MalformedEvent` with a bounded code, never anything else.
"""

import hashlib
import json
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, ValidationError

from workflows.domain.errors import MalformedEvent
from workflows.domain.identity import Code, Instant, Payload

MAX_EVENT_BYTES = 65_536
MAX_UNITS = 100_000_000
PREFIX = "quartermaster."

FIRST_YEAR, LAST_YEAR = 1990, 2200
EventTime = Annotated[
    Instant, BeforeValidator(lambda moment: _spelled_out(moment)), AfterValidator(lambda moment: _plausible(moment))
]
"""RFC 3339 text with an offset. A clock far off is a fault of the sender, not a fact."""
Units = Annotated[int, Field(gt=0, le=MAX_UNITS, strict=True)]
SignedUnits = Annotated[int, Field(ge=-MAX_UNITS, le=MAX_UNITS, strict=True)]
ShortText = Annotated[str, StringConstraints(max_length=200)]
OrderRef = Annotated[str, StringConstraints(max_length=300)]


class Topic(StrEnum):
    """Where each kind of event lives; keys are `location/item` (suppliers: the supplier; clock: the location)."""

    SALES = "qm.sales"
    STOCK = "qm.stock"
    SUPPLIERS = "qm.suppliers"
    SHIPMENTS = "qm.shipments"
    CLOCK = "qm.clock"
    DEAD_LETTERS = "qm.dead-letters"


class EventData(Payload):
    """What all event bodies have in common. Unknown fields are ignored."""

    kind: ClassVar[str]
    topic: ClassVar[Topic]

    @property
    def key(self) -> str:
        """The Kafka key: events of one key keep their order."""
        raise NotImplementedError


class ItemEvent(EventData):
    """An event about one item at one location."""

    item: Code
    location: Code

    @property
    def key(self) -> str:
        return f"{self.location}/{self.item}"


class SaleRecorded(ItemEvent):
    """Units left the shelf for a customer at the envelope's time."""

    kind = "sale.recorded.v1"
    topic = Topic.SALES
    sale_id: ShortText
    units: Units
    unit_price: Decimal | None = Field(default=None, ge=0, max_digits=14, decimal_places=4)
    promotion: bool = False


class SaleCancelled(ItemEvent):
    """An earlier sale was taken back: its demand leaves the day it was sold; the units return unless said otherwise."""

    kind = "sale.cancelled.v1"
    topic = Topic.SALES
    sale_id: ShortText
    units: Units
    sold_at: EventTime
    returned_to_stock: bool = True


class StockCounted(ItemEvent):
    """Somebody counted: the truth at the envelope's time, whatever the movements before it say."""

    kind = "stock.counted.v1"
    topic = Topic.STOCK
    on_hand_units: Annotated[int, Field(ge=0, le=MAX_UNITS, strict=True)]


class StockAdjusted(ItemEvent):
    """Stock changed without a sale or a receipt: damage, theft, write-off, found units."""

    kind = "stock.adjusted.v1"
    topic = Topic.STOCK
    delta_units: SignedUnits
    reason: ShortText


class StockReserved(ItemEvent):
    """Units were promised to a customer (positive) or the promise ended (negative); they are still on the shelf."""

    kind = "stock.reserved.v1"
    topic = Topic.STOCK
    delta_units: SignedUnits


class StockReceived(ItemEvent):
    """Units arrived and are sellable; `order_id` is our purchase order when there is one."""

    kind = "stock.received.v1"
    topic = Topic.STOCK
    units: Units
    order_id: OrderRef | None = None


class SupplierUpdated(EventData):
    """A supplier's conditions changed. Fields left out stay as they are; `item` narrows to one sourcing."""

    kind = "supplier.updated.v1"
    topic = Topic.SUPPLIERS
    supplier: Code
    item: Code | None = None
    blocked: bool | None = None
    lead_time_days: Annotated[int, Field(ge=0, le=730, strict=True)] | None = None
    unit_cost: Decimal | None = Field(default=None, ge=0, max_digits=14, decimal_places=4)
    minimum_order_units: Annotated[int, Field(ge=0, le=MAX_UNITS, strict=True)] | None = None

    @property
    def key(self) -> str:
        return self.supplier


class ShipmentStatus(StrEnum):
    """Where a purchase order is on its way."""

    ACKNOWLEDGED = "acknowledged"
    SHIPPED = "shipped"
    DELAYED = "delayed"
    SHORTENED = "shortened"
    """The listed units will never come."""


class ShipmentLine(Payload):
    """Units of one item that a shipment update speaks of."""

    item: Code
    units: Annotated[int, Field(ge=0, le=MAX_UNITS, strict=True)]


class ShipmentUpdated(EventData):
    """The supplier says how a purchase order is getting on; goods count only when `stock.received` says so."""

    kind = "shipment.updated.v1"
    topic = Topic.SHIPMENTS
    order_id: OrderRef
    location: Code
    status: ShipmentStatus
    expected_at: EventTime | None = None
    lines: Annotated[tuple[ShipmentLine, ...], Field(max_length=2000)] = ()

    @property
    def key(self) -> str:
        return f"{self.location}/{self.order_id}"


class ClockAdvanced(EventData):
    """All events of this location up to `through` have been sent: tills closed, morning came. Moves its clock."""

    kind = "clock.advanced.v1"
    topic = Topic.CLOCK
    location: Code
    through: EventTime

    @property
    def key(self) -> str:
        return self.location


AnyData = (
    SaleRecorded
    | SaleCancelled
    | StockCounted
    | StockAdjusted
    | StockReserved
    | StockReceived
    | SupplierUpdated
    | ShipmentUpdated
    | ClockAdvanced
)
KINDS: dict[str, type[EventData]] = {PREFIX + kind.kind: kind for kind in AnyData.__args__}


class Event(Payload):
    """A CloudEvents 1.0 envelope around one of our bodies; identity is (source, id), as the standard says."""

    specversion: Literal["1.0"] = "1.0"
    id: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    source: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    type: str
    time: EventTime
    subject: str | None = None
    datacontenttype: Literal["application/json"] = "application/json"
    traceparent: str | None = None
    data: AnyData

    @classmethod
    def of(cls, data: AnyData, *, id: str, source: str, time: datetime, traceparent: str | None = None) -> "Event":
        """Wrap a body; the type and subject follow from it."""
        kind, key = PREFIX + data.kind, data.key
        return cls(id=id, source=source, type=kind, time=time, subject=key, traceparent=traceparent, data=data)

    def to_bytes(self) -> bytes:
        """The JSON that goes on the wire; no field that is None."""
        return json.dumps(self.model_dump(mode="json", exclude_none=True), separators=(",", ":")).encode()


def content_digest(raw: bytes) -> str:
    """SHA-256 of a message's bytes: tells a redelivery from another event under the same id."""
    return hashlib.sha256(raw).hexdigest()


def _without_duplicate_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    seen = dict(pairs)
    if len(seen) != len(pairs):
        raise MalformedEvent("duplicate_key", "an object has the same key twice")
    return seen


def _no_constant(name: str) -> Any:
    raise MalformedEvent("not_json", f"{name} is not JSON")


def _refuse_unstorable(document: Any) -> None:
    """Characters that no database text can hold: NUL and lone surrogates."""
    try:
        text = json.dumps(document, ensure_ascii=False, default=str)
        text.encode()
    except RecursionError:
        raise MalformedEvent("not_json", "nested too deeply") from None
    except UnicodeEncodeError:
        raise MalformedEvent("not_utf8", "a string holds half of a surrogate pair") from None
    if "\\u0000" in text.replace("\\\\", ""):  # an escaped backslash before "u0000" is what somebody wrote
        raise MalformedEvent("invalid_field", "a string holds a NUL character")


def _spelled_out(moment: object) -> object:
    """No numbers: seconds and milliseconds since 1970 look the same, and are a thousand-fold apart."""
    if isinstance(moment, datetime) or (isinstance(moment, str) and "T" in moment.upper()):
        return moment
    raise ValueError("a time is written as in RFC 3339, such as 2025-03-03T05:00:00Z")


def _plausible(moment: datetime) -> datetime:
    # Its own year first: what is that far off may have no year in UTC at all.
    years = range(FIRST_YEAR, LAST_YEAR + 1)
    if moment.year not in years or moment.astimezone(UTC).year not in years:
        raise ValueError(f"the year must be from {FIRST_YEAR} to {LAST_YEAR}")
    return moment


def parse(raw: bytes) -> Event:
    """Read one message.

    Raises:
        MalformedEvent: with code too_large, not_utf8, not_json, duplicate_key, not_an_object, unknown_type or
            invalid_field; the message says what to mend.
    """
    if len(raw) > MAX_EVENT_BYTES:
        raise MalformedEvent("too_large", f"{len(raw)} bytes; at most {MAX_EVENT_BYTES} are accepted")
    try:
        hook, text = _without_duplicate_keys, raw.decode("utf-8")
        document = json.loads(text, object_pairs_hook=hook, parse_constant=_no_constant, parse_float=Decimal)
    except UnicodeDecodeError as error:
        raise MalformedEvent("not_utf8", f"byte {error.start} is not UTF-8") from None
    except RecursionError:
        raise MalformedEvent("not_json", "nested too deeply") from None
    except ArithmeticError:
        raise MalformedEvent("not_json", "a number is beyond every range") from None
    except ValueError as error:
        raise MalformedEvent("not_json", str(error)[:200]) from None
    _refuse_unstorable(document)
    if not isinstance(document, dict):
        raise MalformedEvent("not_an_object", "a CloudEvents envelope is a JSON object")
    if (kind := KINDS.get(str(document.get("type")))) is None:
        told = f"type {str(document['type'])[:80]!r} is none of" if "type" in document else "it has no type, none of"
        raise MalformedEvent("unknown_type", f"{told} {', '.join(sorted(KINDS))}")
    try:
        data = kind.model_validate(document.get("data"))
        return Event.model_validate({**document, "data": data})
    except ValidationError as error:
        where, why = ".".join(str(part) for part in error.errors()[0]["loc"]), error.errors()[0]["msg"]
        raise MalformedEvent("invalid_field", f"{where}: {why}"[:300]) from None
