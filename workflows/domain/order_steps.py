"""An order's life in four steps, and whether it may be closed as not ordered: from its state and its ledger alone."""

from workflows.domain.identity import Instant
from workflows.domain.ledger import EntryType
from workflows.domain.operations import OrderView, Step, StepState
from workflows.domain.orders import OrderState
from workflows.domain.requests import RequestState

_AT_SUPPLIER = {OrderState.PLACED, OrderState.RECEIVED, OrderState.CLOSED}
_NOBODY_KNOWS = {RequestState.SENDING, RequestState.UNKNOWN, RequestState.DUPLICATE_DETECTED}


def why_not_close(state: OrderState, *, open_requests: int, leased: bool, request: RequestState | None = None) -> str:
    """Why the order may not be closed as not ordered; empty: certainly nothing of it is at the supplier."""
    if not state.may_leave:
        return f"it is {state}"
    if open_requests or request in _NOBODY_KNOWS:
        return "a request left, and nobody knows for certain that it left nothing behind at the supplier"
    return "an attempt to place it is under way; wait a minute" if leased else ""


def steps(view: OrderView) -> tuple[Step, ...]:
    """Approved, sent, acknowledged, received: what is done, what goes on now and what failed, with instants."""
    state = view.order.state
    approved = Step(
        name="Approved", state=StepState.DONE if view.approved_at else StepState.NOW, at=view.approved_at,
        says=f"{view.order.lines} line{'s' if view.order.lines != 1 else ''} collected",
    )  # fmt: skip
    return (approved, _sent(view), _acknowledged(view), _received(view, state))


def _sent(view: OrderView) -> Step:
    state = view.order.state
    if state in {OrderState.EMPTY, OrderState.WITHHELD}:
        return Step(name="Sent", state=StepState.SKIPPED, says=view.order.reason or "nothing was sent")
    if view.order.held is not None:
        return Step(name="Sent", state=StepState.FAILED, says=f"held: {view.order.held.reason}")
    if view.order.awaits_operator_at is not None:
        at = view.order.awaits_operator_at
        return Step(name="Sent", state=StepState.FAILED, at=at, says="it could not be placed; it waits for an operator")
    if view.last_sent_at is not None:
        attempts = view.order.attempts
        return Step(
            name="Sent", state=StepState.DONE, at=view.last_sent_at, says=f"{attempts} attempts" if attempts > 1 else ""
        )
    return Step(name="Sent", state=StepState.NOW if state is OrderState.SENDING else StepState.AHEAD)


def _acknowledged(view: OrderView) -> Step:
    state = view.order.state
    if state in _AT_SUPPLIER:
        number = f"their number {view.order.supplier_number}" if view.order.supplier_number else ""
        at = view.acknowledged_at or _answered_at(view)
        return Step(name="Acknowledged", state=StepState.DONE, at=at, says=number)
    if state is OrderState.REFUSED:
        return Step(name="Acknowledged", state=StepState.FAILED, at=view.settled_at, says=view.order.reason)
    if state is OrderState.IN_DOUBT:
        return Step(
            name="Acknowledged", state=StepState.FAILED, says=f"in doubt: {view.order.reason or 'no answer came'}"
        )
    if state in {OrderState.EMPTY, OrderState.WITHHELD}:
        return Step(name="Acknowledged", state=StepState.SKIPPED)
    waits = state is OrderState.SENDING and view.last_sent_at is not None
    return Step(name="Acknowledged", state=StepState.NOW if waits else StepState.AHEAD)


def _received(view: OrderView, state: OrderState) -> Step:
    arrived = f"{view.order.received_units:,} of {view.order.units:,} units"
    if state in {OrderState.RECEIVED, OrderState.CLOSED}:
        says = arrived if state is OrderState.RECEIVED else f"{arrived}; the rest will never come"
        return Step(name="Received", state=StepState.DONE, at=view.settled_at, says=says)
    if state is OrderState.PLACED:
        says = arrived if view.order.received_units else "shipped" if view.shipped_at else "on its way"
        return Step(name="Received", state=StepState.NOW, at=None, says=says)
    over = state.is_final
    return Step(name="Received", state=StepState.SKIPPED if over else StepState.AHEAD)


def _answered_at(view: OrderView) -> Instant | None:
    answers = [one for one in view.timeline if one["type"] == EntryType.ORDER_ANSWERED]
    found: Instant | None = answers[-1]["at"] if answers else None
    return found
