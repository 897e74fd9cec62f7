"""The simulated suppliers are a server with a memory of its own: what it has booked exists, whatever we believe.

    python -m connectors.erp.simulated --port 8643 --journal FILE --behaviours FILE.json [--kafka HOST:PORT]
        [--level L0|L1|L2|L3] [--drafts] [--memory-seconds N]

It serves on loopback only, prints `listening on http://127.0.0.1:PORT` once it is ready, and ends in order on SIGTERM.
The level is what its system does about repeated orders (see workflows/domain/capabilities.py); the default, L3 with a
memory that never ends, repeats its answer.
"""

import argparse
import logging
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from types import FrameType

from pydantic import TypeAdapter, ValidationError

from connectors.erp.bookings import Terms
from connectors.erp.journal import Journal, JournalDamaged, JournalInUse
from connectors.erp.order_book import OrderBook
from connectors.erp.supplier_http import HOST, SupplierServer
from connectors.kafka.producer import EventProducer
from workflows.domain.capabilities import DedupeLevel
from workflows.domain.feeds import SupplierBehaviour

_BEHAVIOURS = TypeAdapter(tuple[SupplierBehaviour, ...])


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or Ctrl-C. Exit 2: a file cannot be used, or the port is taken."""
    parser = argparse.ArgumentParser(prog="python -m connectors.erp.simulated", description="The simulated suppliers.")
    parser.add_argument("--port", type=int, required=True, help="TCP port on 127.0.0.1; 0 takes any free one")
    parser.add_argument("--journal", type=Path, required=True, help="where orders are kept; made when absent")
    parser.add_argument("--behaviours", type=Path, required=True, help="JSON list: how each supplier behaves")
    parser.add_argument("--kafka", metavar="HOST:PORT", help="where shipment and receipt events go")
    parser.add_argument(
        "--level", type=DedupeLevel, choices=list(DedupeLevel), default=DedupeLevel.L3,
        help="what the system does about an order that is sent again",
    )  # fmt: skip
    parser.add_argument("--drafts", action="store_true", help="orders may be drafted and confirmed")
    parser.add_argument(
        "--memory-seconds", type=float, help="L3: how long it repeats its first answer; always if unset"
    )
    parser.add_argument("--allow-faults", action="store_true", help="serve /faults (tests only)")
    asked = parser.parse_args(argv)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    producer = EventProducer(asked.kafka, delivery_timeout_s=5.0) if asked.kafka else None
    try:
        behaviours = {known.supplier: known for known in _BEHAVIOURS.validate_json(asked.behaviours.read_bytes())}
        journal = Journal(asked.journal)
        memory = None if asked.memory_seconds is None else timedelta(seconds=asked.memory_seconds)
        terms = Terms(asked.level, drafts=asked.drafts, memory=memory)
        book = OrderBook(journal, behaviours, producer.publish if producer else None, terms)
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
