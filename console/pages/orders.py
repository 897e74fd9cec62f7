"""Purchase orders: a list that narrows, one order from approval to receipt, and an operator's word about it."""

import secrets
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import TypeAdapter, ValidationError

from console import doubt_words
from console.auth import Gate, Session
from console.ports import ConsolePorts
from console.problems import status_of
from console.rendering import Pages, link
from console.words import Word
from workflows.domain.caps import CapName, CapUsed
from workflows.domain.errors import Conflict, InvalidInput, NotFound
from workflows.domain.operations import (
    Attention,
    Operations,
    OrderFilters,
    OrderId,
    OrderRow,
    StepState,
    WaitingOrders,
)
from workflows.domain.orders import OrderState
from workflows.domain.people import Permission
from workflows.domain.stops import Reason, Stop, StopScope

ROWS = 100
ATTENTION: dict[str, str] = {
    Attention.AWAITS_OPERATOR: "Needs a person",
    Attention.FAILED: "Refused, in doubt or needs a person",
    Attention.HELD: "Held back",
    Attention.OVERDUE: "Past its cutoff",
}
QUICK: tuple[tuple[str, str], ...] = (
    ("", "All"), (Attention.AWAITS_OPERATOR, "Need a person"), (OrderState.IN_DOUBT, "In doubt"),
    (Attention.HELD, "Held back"), (OrderState.REFUSED, "Refused"),
)  # fmt: skip
STEPS: dict[str, Word] = {
    StepState.DONE: Word("done", "check", "good"),
    StepState.NOW: Word("now", "clock"),
    StepState.AHEAD: Word("ahead", "dash"),
    StepState.FAILED: Word("needs a look", "alert", "bad"),
    StepState.SKIPPED: Word("did not happen", "dash"),
}
DONE: Mapping[str, str] = {
    "retry": "It is looked for at the supplier, and sent if it is not there.",
    "look": "The supplier is asked what they have. It takes seconds where the order waited for a person, and at most "
    "five minutes else.",
    "confirm": "The order is placed under the number that you gave. It is never sent again.",
    "resend": "It is sent again, after looking once more where that can be done.",
    "close": "It is closed as not ordered. What is still needed is needed anew.",
    "seen": "It is off the list of orders that need somebody.",
    "stop": "It is held back: no request leaves for it.",
    "lift": "Its stop is lifted: it goes on within seconds, unless another one holds it.",
}
"""What is said once it was done, by the code in the address."""
CATALOG_WORDS = ("item", "article", "sku", "product", "material", "mapping", "price", "pack", "unit")
"""A refusal with one of these is about what we call things: the catalog is where it is mended."""
_STATES: TypeAdapter[OrderState | Attention] = TypeAdapter(OrderState | Attention)
_REASONS: TypeAdapter[str] = TypeAdapter(Reason)
Path = OrderId


def filters_of(state: str, supplier: str, location: str) -> OrderFilters:
    """The filters of an address.

    Raises:
        InvalidInput: there is no such state, or a code that none can be.
    """
    try:
        wanted = _STATES.validate_python(state) if state else None
        return OrderFilters(state=wanted, supplier=supplier, location=location)
    except ValidationError as error:
        raise InvalidInput("; ".join(one["msg"] for one in error.errors())) from error


def reason_of(text: str) -> str:
    """A reason that somebody gave.

    Raises:
        InvalidInput: it says nothing, or too much.
    """
    try:
        return _REASONS.validate_python(text)
    except ValidationError as error:
        raise InvalidInput("Give a reason of 3 to 500 characters: it is on the record.") from error


def desk_of(ports: ConsolePorts) -> Operations:
    """The operators' desk.

    Raises:
        NotFound: this installation has none.
    """
    if ports.operations is None:
        raise NotFound("This installation does not show purchase orders.")
    return ports.operations


class OrderPage:
    """One order's page, also as it is when something that was asked of it was not done."""

    def __init__(self, ports: ConsolePorts, pages: Pages) -> None:
        self._ports, self._pages = ports, pages

    async def show(
        self, request: Request, session: Session, order_id: str, *, done: str = "", problem: Exception | None = None,
        given: Mapping[str, str] | None = None,
    ) -> Response:  # fmt: skip
        """The page; `done` is a code of `DONE`, `given` what was typed into the form that `problem` refused."""
        ports = self._ports
        view = await desk_of(ports).order(order_id)
        order, stops = view.order, await ports.stops.in_force() if ports.stops else []
        doubt = await ports.order_words.doubt(order_id) if ports.order_words else None
        told = order.reason.lower()
        context = {
            "view": view, "order": order, "steps": STEPS, "doubt": doubt, "said": doubt_words,
            "next_step": doubt and doubt_words.next_step(
                doubt, waits=view.can_retry, held=order.held is not None,
                taken_up=order.awaits_operator_at is not None and not view.can_retry,
            ),
            "may": ports.stops is not None and session.person.may(Permission.OPERATE),
            "supplier_stop": _about(stops, StopScope.SUPPLIER, order.supplier),
            "own_stop": _about(stops, StopScope.ORDER, order.order_id),
            # Of capped orders there may be more than switches are listed.
            "held_by_cap": order.held.stop_id if order.held and order.held.over_cap else "",
            "cap": await self._cap(order), "cap_words": doubt_words.CAPS,
            "mapping": order.state is OrderState.REFUSED and any(word in told for word in CATALOG_WORDS),
            "done": DONE.get(done, ""), "problem": "" if problem is None else str(problem),
            "given": {"form": "", "reason": "", "number": "", **(given or {})},
            "command_ids": {name: secrets.token_urlsafe(16) for name in ("look", "confirm", "resend", "close")},
        }  # fmt: skip
        status = HTTPStatus.OK if problem is None else status_of(problem)
        return self._pages.show(request, "order.html", session, context, status)

    async def _cap(self, order: OrderRow) -> CapUsed | None:
        """The cap that holds the order, as it is used now; None: none holds it, or nothing counts towards it now."""
        if order.held is None or order.held.over_cap is None or self._ports.caps is None:
            return None
        supplier = order.supplier if order.held.over_cap == CapName.SUPPLIER_DAY else ""
        wanted = (order.held.over_cap, supplier, order.currency)
        used = await self._ports.caps.used()
        return next((one for one in used if (one.cap, one.supplier, one.currency) == wanted), None)


def routes(ports: ConsolePorts, gate: Gate, pages: Pages) -> APIRouter:
    """`/orders`."""
    router = APIRouter(include_in_schema=False)
    page_of = OrderPage(ports, pages)

    @router.get("/orders")
    async def orders(
        request: Request,
        session: Annotated[Session, Depends(gate.page())],
        state: str = "",
        supplier: str = "",
        location: str = "",
        after: Annotated[str | None, Query(max_length=300)] = None,
        retried: Annotated[int | None, Query(ge=0)] = None,
    ) -> Response:
        filters = filters_of(state, supplier, location)
        page = await desk_of(ports).orders(filters, limit=ROWS, after=after or None)
        asked = {"state": state or None, "supplier": supplier or None, "location": location or None}
        context = {
            "page": page, "filters": filters, "attention": ATTENTION, "states": list(OrderState), "after": after,
            "next": link("/orders", **asked, after=page.next) if page.next else None,
            "first": link("/orders", **asked),
            "retried": retried, "command_id": secrets.token_urlsafe(16),
            "may_retry": filters.state is Attention.AWAITS_OPERATOR and session.person.may(Permission.OPERATE),
            "quick": [(code, name, link("/orders", **{**asked, "state": code or None})) for code, name in QUICK],
        }  # fmt: skip
        return pages.show(request, "orders.html", session, context)

    @router.post("/orders/retry")
    async def retry_waiting(
        session: Annotated[Session, Depends(gate.form(Permission.OPERATE))],
        supplier: Annotated[str, Form()] = "",
        location: Annotated[str, Form()] = "",
        command_id: Annotated[str, Form(max_length=100)] = "",
    ) -> Response:
        asked = filters_of("", supplier, location)
        which = WaitingOrders(supplier=asked.supplier, location=asked.location)
        done = await desk_of(ports).retry_waiting(which, session.actor, command_id=command_id or None)
        told = {"state": Attention.AWAITS_OPERATOR, "supplier": supplier or None, "location": location or None}
        return RedirectResponse(link("/orders", **told, retried=done.orders), HTTPStatus.SEE_OTHER)

    @router.get("/orders/{order_id}")
    async def order(
        request: Request, order_id: Path, session: Annotated[Session, Depends(gate.page())], done: str = ""
    ) -> Response:
        return await page_of.show(request, session, order_id, done=done)

    @router.post("/orders/{order_id}/retry")
    async def retry(order_id: Path, session: Annotated[Session, Depends(gate.form(Permission.OPERATE))]) -> Response:
        await desk_of(ports).retry(order_id, session.actor)
        return back(order_id, "retry")

    @router.post("/orders/{order_id}/close")
    async def close(
        request: Request,
        order_id: Path,
        session: Annotated[Session, Depends(gate.form(Permission.OPERATE))],
        reason: Annotated[str, Form()] = "",
        sure: Annotated[str, Form()] = "",
        command_id: Annotated[str, Form(max_length=100)] = "",
    ) -> Response:
        try:
            certain(sure, "the order's lines are given up")
            await desk_of(ports).close_unordered(
                order_id, reason_of(reason), session.actor, command_id=command_id or None
            )
        except (Conflict, InvalidInput) as error:
            given = {"form": "close", "reason": reason}
            return await page_of.show(request, session, order_id, problem=error, given=given)
        return back(order_id, "close")

    @router.post("/orders/{order_id}/seen")
    async def seen(order_id: Path, session: Annotated[Session, Depends(gate.form(Permission.OPERATE))]) -> Response:
        await desk_of(ports).attend(order_id, session.actor)
        return back(order_id, "seen")

    return router


def certain(sure: str, what: str) -> None:
    """Somebody has ticked that they are sure.

    Raises:
        InvalidInput: they have not.
    """
    if not sure:
        raise InvalidInput(f"Tick that you are sure: {what}.")


def back(order_id: str, done: str) -> RedirectResponse:
    """To the order's page, which says what was done."""
    return RedirectResponse(link("/orders", order_id, done=done), HTTPStatus.SEE_OTHER)


def _about(stops: list[Stop], scope: StopScope, subject: str) -> Stop | None:
    return next((one for one in stops if (one.scope, one.subject) == (scope, subject)), None)
