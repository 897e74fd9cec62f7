"""A supplier without any care for keys: each request that reaches it is an order, so one too many shows."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from workflows.domain.capabilities import DedupeLevel, Manifest
from workflows.domain.errors import OrderKeyKnown, OutcomeUnknown, SupplierRefused, TurnedAway, Unavailable
from workflows.domain.orders import Draft, DraftState, PurchaseOrder, SupplierAnswer

UNIQUE = Manifest(name="careless", level=DedupeLevel.L2, longest_transaction_s=2, http_timeout_s=10)
"""What it says of itself, and what it does not keep."""


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

    def __init__(self, now: Callable[[], datetime], manifest: Manifest = UNIQUE) -> None:
        self._now = now
        self.manifest = manifest
        self.journal: list[Entry] = []
        self.drafted: list[tuple[Draft, PurchaseOrder]] = []
        self.hidden: set[str] = set()
        """Names of drafts that its list leaves out: its search is behind, or they are gone."""
        self.tells = False
        """Whether its list says what is in a draft."""
        self.behaviour: deque[str] = deque()
        """What the next requests meet: accept, refuse, down, away (turned away by a
        supplier that is well), lost (booked, no answer), vanish (no answer, not booked),
        quiet (drafted, and the next question goes unanswered), or late:N (no answer, booked N seconds from now)."""
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
            case "away":
                raise TurnedAway("too many requests")
            case "vanish":
                raise OutcomeUnknown("no answer within 10 s")
        entry = self._book(order, float(seconds or 0))
        if how in {"lost", "late"}:
            raise OutcomeUnknown("no answer within 10 s")
        return SupplierAnswer(key=entry.key, supplier_number=entry.number)

    async def find(self, supplier: str, key: str) -> SupplierAnswer | None:
        self._asked()
        found = [entry.number for entry in self.journal if entry.key == key and entry.visible_at <= self._now()]
        return SupplierAnswer(key=key, supplier_number=found[0], others=tuple(found[1:])) if found else None

    async def draft(self, order: PurchaseOrder) -> Draft:
        self.requests.append(order)
        how = self._how()
        draft = Draft(key=order.key, draft=f"D-{len(self.drafted) + 1:06}")
        if how != "vanish":
            self.drafted.append((draft, order))
        self.deaf += how == "quiet"
        if how in {"lost", "vanish"}:
            raise OutcomeUnknown("no answer within 10 s")
        return draft

    async def drafts(self, supplier: str, key: str) -> tuple[Draft, ...]:
        self._asked()
        seen = [(one, order) for one, order in self.drafted if one.key == key and one.draft not in self.hidden]
        if self.tells:
            return tuple(one.model_copy(update={"lines_digest": order.lines_digest}) for one, order in seen)
        return tuple(one for one, _ in seen)

    async def cancel_draft(self, supplier: str, draft: Draft) -> None:
        place, order = self._drafted(draft)
        if self.drafted[place][0].state is DraftState.CONFIRMED:
            raise OrderKeyKnown("it is confirmed")
        how = self._how()
        if how != "vanish":
            self.drafted[place] = (draft.model_copy(update={"state": DraftState.CANCELLED}), order)
        if how in {"lost", "vanish"}:
            raise OutcomeUnknown("no answer within 10 s")

    async def confirm_draft(self, supplier: str, draft: Draft) -> SupplierAnswer:
        place, order = self._drafted(draft)
        kept = self.drafted[place][0]
        if kept.state is DraftState.CANCELLED:
            raise OrderKeyKnown("it is cancelled")
        how = self._how()
        if how != "vanish" and kept.state is DraftState.DRAFT:
            number = self._book(order, 0).number
            kept = draft.model_copy(update={"state": DraftState.CONFIRMED, "supplier_number": number})
            self.drafted[place] = (kept, order)
        if how in {"lost", "vanish"}:
            raise OutcomeUnknown("no answer within 10 s")
        return SupplierAnswer(key=draft.key, supplier_number=kept.supplier_number or "")

    def _drafted(self, draft: Draft) -> tuple[int, PurchaseOrder]:
        return next((n, order) for n, (one, order) in enumerate(self.drafted) if one.draft == draft.draft)

    def _how(self) -> str:
        how = self.behaviour.popleft() if self.behaviour else "accept"
        if how == "down":
            raise Unavailable("connection refused")
        if how == "refuse":
            raise SupplierRefused("item discontinued")
        return how

    def _asked(self) -> None:
        self.questions += 1
        if self.deaf:
            self.deaf -= 1
            raise Unavailable("connection refused")

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
