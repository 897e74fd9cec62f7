"""Suppliers in memory, which keep the same promises as suppliers over HTTP, faults included."""

import asyncio
from collections import deque
from collections.abc import Iterable
from datetime import date, timedelta

from connectors.erp.faults import FaultMode
from workflows.domain.capabilities import DedupeLevel, Manifest
from workflows.domain.errors import OrderKeyKnown, OutcomeUnknown, SupplierRefused, Unavailable
from workflows.domain.orders import Draft, DraftState, PurchaseOrder, SupplierAnswer

KEYED = Manifest(name="memory", level=DedupeLevel.L3, longest_transaction_s=2, http_timeout_s=10, memory_s=86_400)


class InMemorySuppliers:
    """A fake of the `Suppliers` port. `booked` is the truth; `fail_next` makes the next requests go wrong."""

    def __init__(
        self, suppliers: Iterable[str], *, closed: Iterable[tuple[str, date, date]] = (), lead_days: int = 3
    ) -> None:
        """`closed` lists stretches (supplier, first day, last day) in which it refuses every order."""
        self.manifest = KEYED
        self.booked: dict[str, PurchaseOrder] = {}
        self.placings = 0
        """How often somebody tried to place an order."""
        self._drafts: dict[str, tuple[Draft, PurchaseOrder]] = {}
        self._suppliers = set(suppliers)
        self._closed = tuple(closed)
        self._lead = timedelta(days=lead_days)
        self._faults: dict[str, deque[FaultMode]] = {"place": deque(), "find": deque()}
        self._late: set[asyncio.Task[None]] = set()

    def fail_next(self, mode: FaultMode, requests: int = 1, *, method: str = "place") -> None:
        """Let the next `place` (or `find`) calls fail in this way."""
        self._faults[method].extend([mode] * requests)

    async def place(self, order: PurchaseOrder) -> SupplierAnswer:
        """As the port says."""
        self.placings += 1
        fault = self._next("place")
        if fault in {FaultMode.UNAVAILABLE, FaultMode.THROTTLED}:
            raise Unavailable("out of order, as asked for")
        if fault is FaultMode.LATE_COMMIT:
            task = asyncio.create_task(self._book_later(order))
            self._late.add(task)
            task.add_done_callback(self._late.discard)
            raise OutcomeUnknown("no answer in time")
        answer = self._book(order)
        if fault is not None:
            raise OutcomeUnknown(f"{fault}, as asked for")
        return answer

    async def find(self, supplier: str, key: str) -> SupplierAnswer | None:
        """As the port says."""
        if self._next("find") is not None:
            raise Unavailable("could not be asked, as asked for")
        order = self.booked.get(key)
        return self._answer(order) if order is not None and order.supplier == supplier else None

    async def draft(self, order: PurchaseOrder) -> Draft:
        """As the port says."""
        draft = Draft(key=order.key, draft=f"D-{len(self._drafts) + 1:06}")
        self._drafts[draft.draft] = (draft, order)
        return draft

    async def drafts(self, supplier: str, key: str) -> tuple[Draft, ...]:
        """As the port says."""
        return tuple(one for one, order in self._drafts.values() if (one.key, order.supplier) == (key, supplier))

    async def cancel_draft(self, supplier: str, draft: Draft) -> None:
        """As the port says."""
        kept, order = self._drafts[draft.draft]
        if kept.state is DraftState.CONFIRMED:
            raise OrderKeyKnown(f"the draft {draft.draft} is confirmed")
        self._drafts[draft.draft] = (kept.model_copy(update={"state": DraftState.CANCELLED}), order)

    async def confirm_draft(self, supplier: str, draft: Draft) -> SupplierAnswer:
        """As the port says."""
        kept, order = self._drafts[draft.draft]
        if kept.state is DraftState.CANCELLED:
            raise OrderKeyKnown(f"the draft {draft.draft} is cancelled")
        answer = self._book(order)
        said = {"state": DraftState.CONFIRMED, "supplier_number": answer.supplier_number}
        self._drafts[draft.draft] = (kept.model_copy(update=said), order)
        return answer

    async def settled(self) -> None:
        """Return once late commits have happened."""
        await asyncio.gather(*self._late)

    def _next(self, method: str) -> FaultMode | None:
        return self._faults[method].popleft() if self._faults[method] else None

    async def _book_later(self, order: PurchaseOrder) -> None:
        self._book(order)

    def _book(self, order: PurchaseOrder) -> SupplierAnswer:
        known = self.booked.get(order.key)
        if known is None:
            if order.supplier not in self._suppliers:
                raise SupplierRefused(f"there is no supplier {order.supplier}")
            day = order.ordered_at.date()
            if any(name == order.supplier and first <= day <= last for name, first, last in self._closed):
                raise SupplierRefused(f"{order.supplier} takes no orders on {day:%d %B %Y}")
            self.booked[order.key] = known = order
        elif (known.location, known.lines_digest) != (order.location, order.lines_digest):
            raise OrderKeyKnown(f"another order was placed under the key {order.key}")
        return self._answer(known)

    def _answer(self, order: PurchaseOrder) -> SupplierAnswer:
        return SupplierAnswer(
            key=order.key,
            supplier_number=f"FAKE-{order.key[:12].upper()}",
            promised_at=order.ordered_at + self._lead,
        )
