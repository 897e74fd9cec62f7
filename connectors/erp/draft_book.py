"""Drafts at the simulated suppliers: they order nothing, are never told apart, and become an order once."""

from typing import Any

from connectors.erp.bookings import Draft, DraftState, Refusal
from connectors.erp.order_book import OrderBook
from workflows.domain.orders import PurchaseOrder


class DraftBook:
    """The drafts of an order book: in its journal, under its lock."""

    def __init__(self, book: OrderBook) -> None:
        self._book = book

    def make(self, order: PurchaseOrder, traceparent: str | None = None) -> Draft:
        """One more draft, whatever there is under its key.

        Raises:
            Refusal: the system has no drafts (501), nobody knows the supplier (404), or it takes no orders (409).
            JournalUnwritable: there is no such draft.
        """
        book = self._served()
        with book.lock:
            behaviour = book.behaviour_for(order)
            # What could never be booked is refused now.
            book.booked(order, behaviour, traceparent)
            draft = Draft(f"D-{len(book.drafts) + 1:06d}", order, behaviour, traceparent, book.terms.now())
            book.journal.append(
                {
                    "kind": "draft", "draft": draft.number, "order": order.model_dump(mode="json"),
                    "lines_digest": order.lines_digest, "behaviour": behaviour.model_dump(mode="json"),
                    "traceparent": traceparent, "booked_at": draft.made_at.isoformat(),
                }
            )  # fmt: skip
            book.keep(draft)
            return draft

    def under(self, key: str, supplier: str | None) -> list[dict[str, Any]]:
        """The drafts under a key, the oldest first, each with the digest of what is in it.

        Raises:
            Refusal: the system has no drafts, or cannot be searched (501).
        """
        book = self._served()
        book.require_search()
        with book.lock:
            return [
                {
                    "draft": draft.number, "state": str(draft.state), "supplier_number": draft.supplier_number,
                    "lines_digest": draft.order.lines_digest,
                }
                for draft in book.drafts.values()
                if draft.order.key == key and supplier in (None, draft.order.supplier)
            ]  # fmt: skip

    def cancel(self, number: str) -> Draft:
        """The draft, cancelled; twice is harmless.

        Raises:
            Refusal: there is no such draft (404), or it is an order by now (409).
            JournalUnwritable: it stands as it was.
        """
        with self._served().lock:
            draft = self._draft(number)
            if draft.state is DraftState.CONFIRMED:
                raise Refusal(409, "not-a-draft", f"{number} is an order", supplier_number=draft.supplier_number)
            if draft.state is DraftState.DRAFT:
                self._book.journal.append({"kind": "draft-cancelled", "draft": number})
                draft.state = DraftState.CANCELLED
            return draft

    def confirm(self, number: str) -> tuple[Draft, bool]:
        """The draft, an order now, and whether it became one by this call.

        Raises:
            Refusal: there is no such draft (404), it was cancelled or the supplier takes no orders (409).
            JournalUnwritable: it stands as it was.
        """
        book = self._served()
        with book.lock:
            draft = self._draft(number)
            if draft.state is DraftState.CANCELLED:
                raise Refusal(409, "not-a-draft", f"{number} was cancelled")
            if draft.state is DraftState.CONFIRMED:
                return draft, False
            book.behaviour_for(draft.order)
            booked = book.booked(draft.order, draft.behaviour, draft.traceparent)
            book.journal.append(
                {
                    "kind": "draft-confirmed", "draft": number, "supplier_number": booked.answer.supplier_number,
                    "booked_at": booked.booked_at.isoformat(),
                }
            )  # fmt: skip
            book.confirm(draft, booked)
            return draft, True

    def _served(self) -> OrderBook:
        if not self._book.terms.drafts:
            raise Refusal(501, "no-drafts", "this system takes orders only, and has no drafts")
        return self._book

    def _draft(self, number: str) -> Draft:
        draft = self._book.drafts.get(number)
        if draft is None:
            raise Refusal(404, "no-such-draft", f"there is no draft {number[:64]}")
        return draft
