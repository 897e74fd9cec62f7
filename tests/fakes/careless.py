"""A supplier without any care for keys: each request that reaches it is an order, so one too many shows."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from workflows.domain.errors import OutcomeUnknown, SupplierRefused, Unavailable
from workflows.domain.orders import PurchaseOrder, SupplierAnswer


@dataclass(frozen=True)
class Entry:
    """One order in the supplier's books."""

    key: str
    lines_digest: str
    number: str
    visible_at: datetime


class CarelessSupplier:
    """Breaks the promise of `Suppliers.place` on purpose (once per key) unless `knows_keys` is set: what the journal
    then holds is what the engine's own care is worth."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self.journal: list[Entry] = []
        self.behaviour: deque[str] = deque()
        """What the next requests meet: accept, refuse, down, lost (booked, no answer), vanish (no answer, not booked),
        or late:N (no answer, booked N seconds from now)."""
        self.deaf = 0
        """How many of the next questions (`find`) go unanswered."""
        self.knows_keys = False
        self.requests: list[PurchaseOrder] = []
        self.questions = 0

    async def place(self, order: PurchaseOrder) -> SupplierAnswer:
        self.requests.append(order)
        how, _, seconds = (self.behaviour.popleft() if self.behaviour else "accept").partition(":")
        match how:
            case "refuse":
                raise SupplierRefused("item discontinued")
            case "down":
                raise Unavailable("connection refused")
            case "vanish":
                raise OutcomeUnknown("no answer within 10 s")
        entry = self._book(order, float(seconds or 0))
        if how in {"lost", "late"}:
            raise OutcomeUnknown("no answer within 10 s")
        return SupplierAnswer(key=entry.key, supplier_number=entry.number)

    async def find(self, supplier: str, key: str) -> SupplierAnswer | None:
        self.questions += 1
        if self.deaf:
            self.deaf -= 1
            raise Unavailable("connection refused")
        for entry in self.journal:
            if entry.key == key and entry.visible_at <= self._now():
                return SupplierAnswer(key=key, supplier_number=entry.number)
        return None

    def _book(self, order: PurchaseOrder, seconds: float) -> Entry:
        known = [entry for entry in self.journal if entry.key == order.key]
        if known and self.knows_keys:
            return known[0]
        entry = Entry(
            key=order.key, lines_digest=order.lines_digest, number=f"S-{len(self.journal) + 1}",
            visible_at=self._now() + timedelta(seconds=seconds),
        )  # fmt: skip
        self.journal.append(entry)
        return entry
