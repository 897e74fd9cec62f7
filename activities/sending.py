"""Carries out what `workflows.domain.sending` decides: one attempt, from taking the lease to an answer, a wait or a
question to a person. It decides nothing itself.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from time import monotonic
from typing import Final

from workflows.domain.capabilities import Manifest, carried_on
from workflows.domain.errors import (
    OrderKeyKnown,
    OutcomeUnknown,
    PersonNeeded,
    QuartermasterError,
    SupplierRefused,
    TurnedAway,
    Unavailable,
)
from workflows.domain.orders import Draft, OrderState, PlacementResult, PurchaseOrder, SupplierAnswer, Suppliers
from workflows.domain.permits import CallOutcome, SendPermits
from workflows.domain.ports import Orders
from workflows.domain.requests import (
    Answered,
    Attempt,
    Cancelled,
    Do,
    Drafted,
    Drafts,
    KeyKnown,
    NotAsked,
    NotCarriedOut,
    Nothing,
    NoWord,
    Refused,
    Request,
    RequestKind,
    RequestState,
    Seen,
    Step,
    Taken,
    left,
)
from workflows.domain.sending import step as next_step

log = logging.getLogger(__name__)

MOST_STEPS = 12
"""Requests of one attempt: a supplier that keeps listing what was cancelled is asked again later."""
WORK_SECONDS = 38.0
"""After so long no further request begins in this attempt: it ends before its time, and long before its lease."""
PROBE_SECONDS = 1.0

_KINDS: Final = {
    Do.SEND: RequestKind.SEND, Do.DRAFT: RequestKind.DRAFT, Do.CANCEL: RequestKind.CANCEL,
    Do.CONFIRM: RequestKind.CONFIRM, Do.FIND: RequestKind.RECONCILE, Do.LIST: RequestKind.RECONCILE,
}  # fmt: skip
_OUTCOMES: Final[dict[type[object], tuple[str, CallOutcome]]] = {
    Answered: ("confirmed", CallOutcome.ANSWERED), Refused: ("rejected", CallOutcome.ANSWERED),
    NotCarriedOut: ("not_carried_out", CallOutcome.UNAVAILABLE), NoWord: ("unknown", CallOutcome.UNKNOWN),
    KeyKnown: ("unknown", CallOutcome.ANSWERED), Nothing: ("absent", CallOutcome.ANSWERED),
    NotAsked: ("not_asked", CallOutcome.UNAVAILABLE), Drafts: ("listed", CallOutcome.ANSWERED),
    Drafted: ("drafted", CallOutcome.ANSWERED), Cancelled: ("cancelled", CallOutcome.ANSWERED),
}  # fmt: skip
"""What is noted of a request that was answered like this, and what it says of the supplier's health."""


class LeaseLost(Exception):
    """Another attempt has the order, or nothing may be sent for it now; what the database says counts."""


class Sender:
    """One attempt to bring an order to its supplier."""

    def __init__(
        self, orders: Orders, suppliers: Suppliers, permits: SendPermits, order: PurchaseOrder, attempt: Attempt,
        lease: str, *, passive: bool,
    ) -> None:  # fmt: skip
        self._orders, self._suppliers, self._permits = orders, suppliers, permits
        self._order, self._attempt, self._lease = order, attempt, lease
        self._passive = passive
        self._manifest: Manifest = carried_on(suppliers.manifest, attempt.manifest)
        self._began = monotonic()
        self._sent = -1
        """The n of the request whose own answer was seen last."""

    async def carry(self) -> PlacementResult:
        """Take every step up to the end of the request or of the attempt.

        Raises:
            OutcomeUnknown: nobody knows yet; the next attempt looks before it sends.
            Unavailable: nothing of it is at the supplier; the next attempt goes on.
            PersonNeeded: nothing more happens by itself.
            LeaseLost: this attempt may do no more.
        """
        step = self._next(self._attempt.request, Taken())
        for number in range(MOST_STEPS):
            if step.do in {Do.WAIT, Do.ASK, Do.DONE}:
                return await self._end(step)
            if number and monotonic() - self._began + self._manifest.http_timeout_s > WORK_SECONDS:
                break
            kind = _KINDS[step.do]
            await self._permitted(kind, step.request)
            request, seen = await self._request(step, kind)
            outcome, _ = _OUTCOMES[type(seen)]
            step = self._next(request, seen)
            if step.do in _KINDS:
                # A draft's name ties what it holds to what was asked for.
                said = seen.draft if isinstance(seen, Drafted) else getattr(seen, "reason", "")
                if not await self._orders.note(self._order.order_id, self._lease, step.request, outcome, said):
                    raise LeaseLost
                await self._observed(kind, seen)
            else:
                try:
                    return await self._end(step)
                finally:
                    await self._observed(kind, seen)
        raise await self._put_off("there is more to do for it than one attempt has time for", 1.0)

    def _next(self, request: Request, seen: Seen) -> Step:
        passed = timedelta(seconds=monotonic() - self._began)
        return next_step(request, seen, self._manifest, self._attempt.as_of + passed)

    async def _end(self, step: Step) -> PlacementResult:
        order_id, lease, orders = self._order.order_id, self._lease, self._orders
        if step.do is Do.ASK:
            await orders.ask_person(order_id, lease, step)
            raise PersonNeeded(f"order {order_id}: {step.reason}")
        if step.do is Do.WAIT and step.request.state is RequestState.UNKNOWN:
            await orders.record_in_doubt(order_id, lease, step.reason, step.request.open)
            raise OutcomeUnknown(f"order {order_id}: {step.reason}").later(step.wait_seconds)
        if step.do is Do.WAIT:
            await orders.end_attempt(order_id, lease, step.reason)
            raise Unavailable(step.reason).later(step.wait_seconds)
        if step.answer is not None:
            rests_on = (
                "the supplier's answer" if step.request.n == self._sent else "what the supplier has under the key"
            )
            return await orders.record_placed(
                order_id, lease, step.answer.supplier_number, step.answer.promised_at, rests_on
            )
        if step.request.state is RequestState.REJECTED:
            return await orders.record_refused(order_id, lease, step.reason)
        raise LeaseLost

    async def _request(self, step: Step, kind: RequestKind) -> tuple[Request, Seen]:
        """Commit that it leaves, let it leave, and say what came back."""
        if kind.reads:
            if not await self._orders.about_to_look(self._order.order_id, self._lease):
                raise LeaseLost
            self._sent = -1
            return step.request, await self._look(step.do)
        begun = monotonic()
        try:
            leaving = await self._orders.about_to_send(
                self._order.order_id, self._lease, passive=self._passive, kind=kind, draft=step.draft,
                holds=step.holds,
            )  # fmt: skip
        except PersonNeeded as error:
            # Something of it is at the supplier, be it a draft: a person may have a word about it.
            doubted = step.request.model_copy(update={"open": max(1, step.request.open)})
            asked = step.model_copy(update={"request": doubted, "do": Do.ASK, "reason": str(error)})
            await self._orders.ask_person(self._order.order_id, self._lease, asked)
            raise
        if leaving is None:
            raise LeaseLost
        now = self._attempt.as_of + timedelta(seconds=monotonic() - self._began)
        request = left(step.request, kind, now, draft=step.draft, lines_digest=leaving.lines_digest)
        self._sent = request.n
        # The settle window counts from the commit: what was held up since (a process that was stopped, say) must not
        # leave late, when somebody else may have found it absent already.
        spare = self._manifest.http_timeout_s - (monotonic() - begun)
        if spare < self._manifest.http_timeout_s / 2:
            return request, NotCarriedOut(reason="it was held up before it left, and did not leave")
        return request, await self._change(step, leaving, spare)

    async def _change(self, step: Step, leaving: PurchaseOrder, seconds: float) -> Seen:
        try:
            async with asyncio.timeout(seconds):
                return await self._ask_for(step, leaving)
        except SupplierRefused as refused:
            # To cancel a draft is no order: a no to that says nothing of the order, and what there is is listed again.
            return KeyKnown(reason=str(refused)) if step.do is Do.CANCEL else Refused(reason=str(refused))
        except OrderKeyKnown as known:
            return KeyKnown(reason=str(known))
        except (OutcomeUnknown, TimeoutError) as unknown:
            return NoWord(reason=str(unknown) or f"no answer within {self._manifest.http_timeout_s:g} s")
        except Unavailable as error:
            away = isinstance(error, TurnedAway)
            return NotCarriedOut(reason=str(error), wait_seconds=error.wait_seconds, turned_away=away)

    async def _ask_for(self, step: Step, leaving: PurchaseOrder) -> Seen:
        suppliers, supplier = self._suppliers, leaving.supplier
        if step.do is Do.SEND:
            return Answered(answer=await suppliers.place(leaving))
        if step.do is Do.DRAFT:
            return Drafted(draft=(await suppliers.draft(leaving)).draft)
        draft = Draft(key=leaving.key, draft=step.draft or "")
        if step.do is Do.CONFIRM:
            return Answered(answer=await suppliers.confirm_draft(supplier, draft))
        await suppliers.cancel_draft(supplier, draft)
        return Cancelled(draft=draft.draft)

    async def _look(self, do: Do) -> Seen:
        asks: Callable[[str, str], Awaitable[SupplierAnswer | tuple[Draft, ...] | None]]
        asks = self._suppliers.drafts if do is Do.LIST else self._suppliers.find
        try:
            async with asyncio.timeout(self._manifest.http_timeout_s):
                found = await asks(self._order.supplier, self._order.key)
        except (Unavailable, TimeoutError) as error:
            wait = error.wait_seconds if isinstance(error, Unavailable) else None
            reason = f"the supplier cannot be asked: {error}".rstrip(": ")
            return NotAsked(reason=reason, wait_seconds=wait, turned_away=isinstance(error, TurnedAway))
        if isinstance(found, tuple):
            return Drafts(drafts=found)
        return Nothing() if found is None else Answered(answer=found)

    async def _permitted(self, kind: RequestKind, request: Request) -> None:
        """Return once the request may go.

        Raises:
            Unavailable: not now; the lease is given back, and nothing else has changed.
        """
        permit = await self._permits.permit(self._order.supplier, kind)
        if permit.granted:
            return
        wait = permit.wait_seconds
        if permit.probe and not kind.reads and self._manifest.finds:
            await self._probe()
            wait = PROBE_SECONDS
        raise await self._put_off(permit.reason, wait)

    async def _probe(self) -> None:
        """Ask the supplier something that changes nothing, to find out whether it answers again."""
        if (await self._permits.permit(self._order.supplier, RequestKind.RECONCILE)).granted:
            seen = await self._look(Do.FIND)
            await self._observed(RequestKind.RECONCILE, seen)

    async def _put_off(self, reason: str, wait_seconds: float) -> Unavailable:
        await self._orders.give_back(self._order.order_id, self._lease)
        return Unavailable(f"order {self._order.order_id} waits: {reason}").later(wait_seconds)

    async def _observed(self, kind: RequestKind, seen: Seen) -> None:
        """What it says of the supplier's health. Of an order's own fate this must not take anything away."""
        outcome = CallOutcome.ANSWERED if getattr(seen, "turned_away", False) else _OUTCOMES[type(seen)][1]
        try:
            wait = getattr(seen, "wait_seconds", None)
            await self._permits.observed(self._order.supplier, kind, outcome, wait)
        except QuartermasterError as error:
            log.warning("what %s answered is not counted: %s", self._order.supplier, error)


def ended(result: PlacementResult) -> PlacementResult:
    """The result, unless this attempt lost the order to another one before it could note the supplier's answer."""
    if result.state in {OrderState.SENDING, OrderState.IN_DOUBT} and not result.held:
        raise Unavailable(f"another attempt took over order {result.order_id}; what it finds counts")
    return result
