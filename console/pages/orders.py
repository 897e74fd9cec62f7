"""Purchase orders: a list that narrows, one order from approval to receipt, and an operator's word about it."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import TypeAdapter, ValidationError

from console.auth import Gate, Session
from console.ports import ConsolePorts
from console.rendering import Pages, link
from console.words import Word
from workflows.domain.errors import InvalidInput, NotFound
from workflows.domain.operations import Attention, Operations, OrderFilters, OrderId, StepState
from workflows.domain.orders import OrderState
from workflows.domain.people import Permission
from workflows.domain.stops import Reason, Stop, StopScope

ROWS = 100
ATTENTION: dict[str, str] = {
    Attention.FAILED: "Failed: needs somebody",
    Attention.AWAITS_OPERATOR: "Waits for an operator",
    Attention.HELD: "Held by a stop switch",
    Attention.OVERDUE: "Past its cutoff",
}
STEPS: dict[str, Word] = {
    StepState.DONE: Word("done", "check", "good"),
    StepState.NOW: Word("now", "clock"),
    StepState.AHEAD: Word("ahead", "dash"),
    StepState.FAILED: Word("needs a look", "alert", "bad"),
    StepState.SKIPPED: Word("did not happen", "dash"),
}
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


def routes(ports: ConsolePorts, gate: Gate, pages: Pages) -> APIRouter:
    """`/orders`."""
    router = APIRouter(include_in_schema=False)

    @router.get("/orders")
    async def orders(
        request: Request,
        session: Annotated[Session, Depends(gate.page())],
        state: str = "",
        supplier: str = "",
        location: str = "",
        after: Annotated[str | None, Query(max_length=300)] = None,
    ) -> Response:
        filters = filters_of(state, supplier, location)
        page = await desk_of(ports).orders(filters, limit=ROWS, after=after or None)
        asked = {"state": state or None, "supplier": supplier or None, "location": location or None}
        context = {
            "page": page, "filters": filters, "attention": ATTENTION, "states": list(OrderState), "after": after,
            "next": link("/orders", **asked, after=page.next) if page.next else None,
            "first": link("/orders", **asked),
        }  # fmt: skip
        return pages.show(request, "orders.html", session, context)

    @router.get("/orders/{order_id}")
    async def order(request: Request, order_id: Path, session: Annotated[Session, Depends(gate.page())]) -> Response:
        view = await desk_of(ports).order(order_id)
        stops = await ports.stops.in_force() if ports.stops else []
        told = view.order.reason.lower()
        context = {
            "view": view, "order": view.order, "steps": STEPS,
            "may": ports.stops is not None and session.person.may(Permission.OPERATE),
            "supplier_stop": _about(stops, StopScope.SUPPLIER, view.order.supplier),
            "mapping": view.order.state is OrderState.REFUSED and any(word in told for word in CATALOG_WORDS),
        }  # fmt: skip
        return pages.show(request, "order.html", session, context)

    @router.post("/orders/{order_id}/retry")
    async def retry(order_id: Path, session: Annotated[Session, Depends(gate.form(Permission.OPERATE))]) -> Response:
        await desk_of(ports).retry(order_id, session.actor)
        return RedirectResponse(link("/orders", order_id), HTTPStatus.SEE_OTHER)

    @router.post("/orders/{order_id}/close")
    async def close(
        order_id: Path,
        session: Annotated[Session, Depends(gate.form(Permission.OPERATE))],
        reason: Annotated[str, Form()] = "",
        sure: Annotated[str, Form()] = "",
    ) -> Response:
        if not sure:
            raise InvalidInput("Tick that you are sure: the order's lines are given up.")
        await desk_of(ports).close_unordered(order_id, reason_of(reason), session.actor)
        return RedirectResponse(link("/orders", order_id), HTTPStatus.SEE_OTHER)

    @router.post("/orders/{order_id}/seen")
    async def seen(order_id: Path, session: Annotated[Session, Depends(gate.form(Permission.OPERATE))]) -> Response:
        await desk_of(ports).attend(order_id, session.actor)
        return RedirectResponse(link("/orders", order_id), HTTPStatus.SEE_OTHER)

    return router


def _about(stops: list[Stop], scope: StopScope, subject: str) -> Stop | None:
    return next((one for one in stops if (one.scope, one.subject) == (scope, subject)), None)
