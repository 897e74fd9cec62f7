"""What was told to the engine, remembered here: each event with whether the broker said that it has it."""

import hashlib
import json
import threading
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaError, Message, Producer

OK, FAILED, UNKNOWN = "ok", "failed", "unknown"
"""The broker acknowledged it; it was never sent; nobody can say."""
SOURCE = "urn:harness"


@dataclass(frozen=True)
class Told:
    """One message for the broker. `place` and `item` say whose it is; a clock has no item."""

    topic: str
    key: str
    id: str
    body: bytes
    place: str
    item: str = ""

    @property
    def sha256(self) -> str:
        """Of its bytes."""
        return hashlib.sha256(self.body).hexdigest()


def event(kind: str, topic: str, key: str, at: datetime, data: dict[str, Any], id: str = "") -> Told:
    """A CloudEvents 1.0 envelope as a till or a warehouse would send it, with a trace of its own: what it brings about
    names it."""
    id = id or uuid.uuid4().hex
    seed = hashlib.sha256(id.encode()).hexdigest()
    envelope = {
        "specversion": "1.0", "id": id, "source": SOURCE, "type": f"quartermaster.{kind}", "time": at.isoformat(),
        "subject": key, "datacontenttype": "application/json",
        "traceparent": f"00-{seed[:32]}-{seed[32:48]}-01", "data": data,
    }  # fmt: skip
    return Told(
        topic,
        key,
        id,
        json.dumps(envelope, separators=(",", ":")).encode(),
        data.get("location", ""),
        data.get("item", ""),
    )


def counted(place: str, item: str, units: int, at: datetime) -> Told:
    """Somebody counted the shelf."""
    return event(
        "stock.counted.v1", "qm.stock", f"{place}/{item}", at, {"item": item, "location": place, "on_hand_units": units}
    )


def sold(place: str, item: str, units: int, at: datetime, id: str = "") -> Told:
    """A sale."""
    id = id or uuid.uuid4().hex
    data = {"item": item, "location": place, "sale_id": id, "units": units}
    return event("sale.recorded.v1", "qm.sales", f"{place}/{item}", at, data, id)


def received(place: str, item: str, units: int, order_id: str, at: datetime, id: str = "") -> Told:
    """Goods of a purchase order arrived."""
    data = {"item": item, "location": place, "units": units, "order_id": order_id}
    return event("stock.received.v1", "qm.stock", f"{place}/{item}", at, data, id)


def clock(place: str, through: datetime) -> Told:
    """Everything of this place up to then has been told."""
    return event("clock.advanced.v1", "qm.clock", place, through, {"location": place, "through": through.isoformat()})


class Teller:
    """Produces, waits for the acknowledgements, and keeps the list that the checker goes by. Safe between threads."""

    def __init__(self, bootstrap: str, kept: Path) -> None:
        self._producer = Producer(
            {"bootstrap.servers": bootstrap, "enable.idempotence": True, "acks": "all", "linger.ms": 2,
             "delivery.timeout.ms": 60_000, "message.timeout.ms": 60_000, "log_level": 2}
        )  # fmt: skip
        self._kept, self._lock = kept, threading.Lock()

    def tell(self, *messages: Told, within_s: float = 60.0) -> list[str]:
        """Produce these in order; what became of each. A repeated message is one more duplicate."""
        outcomes = [UNKNOWN] * len(messages)

        def report(number: int, error: KafkaError | None, _: Message) -> None:
            outcomes[number] = OK if error is None else UNKNOWN

        for number, one in enumerate(messages):
            try:
                self._producer.produce(
                    one.topic,
                    one.body,
                    one.key,
                    on_delivery=lambda e, m, n=number: report(n, e, m),  # type: ignore[misc]
                )
            except BufferError:
                outcomes[number] = FAILED
        self._producer.flush(within_s)
        self._keep(messages, outcomes)
        return outcomes

    def _keep(self, messages: Sequence[Told], outcomes: Sequence[str]) -> None:
        with self._lock, self._kept.open("a") as file:
            for one, outcome in zip(messages, outcomes, strict=True):
                kept = {**asdict(one), "body": one.body.decode(errors="replace"), "sha256": one.sha256}
                file.write(json.dumps({**kept, "source": SOURCE, "outcome": outcome}) + "\n")
