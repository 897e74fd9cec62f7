"""What a person says of an order in doubt: look again, they have it, they do not; each with a reason, and once."""

from collections.abc import Awaitable
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request, Response
from pydantic import TypeAdapter, ValidationError

from console.auth import Gate, Session
from console.pages.orders import OrderPage, Path, back, certain, reason_of
from console.ports import ConsolePorts
from console.rendering import Pages
from workflows.domain.approvals import STORABLE
from workflows.domain.doubt import OrderWords, SupplierNumber
from workflows.domain.errors import Conflict, InvalidInput, NotFound
from workflows.domain.operations import OrderDone
from workflows.domain.people import Permission

_NUMBERS: TypeAdapter[str] = TypeAdapter(SupplierNumber)
Text = Annotated[str, Form()]
CommandId = Annotated[str, Form(max_length=100, pattern=STORABLE)]


def words_of(ports: ConsolePorts) -> OrderWords:
    """Where people speak about orders in doubt.

    Raises:
        NotFound: this installation has no such place.
    """
    if ports.order_words is None:
        raise NotFound("This installation does not show what is known of orders in doubt.")
    return ports.order_words


def number_of(text: str) -> str:
    """A supplier's number that somebody gave.

    Raises:
        InvalidInput: it is none.
    """
    try:
        return _NUMBERS.validate_python(text)
    except ValidationError as error:
        raise InvalidInput("Give the number that the supplier has the order under, at most 100 characters.") from error


def routes(ports: ConsolePorts, gate: Gate, pages: Pages) -> APIRouter:
    """`/orders/{order_id}/look`, `/confirm` and `/resend`."""
    router = APIRouter(include_in_schema=False)
    page_of = OrderPage(ports, pages)
    Operator = Annotated[Session, Depends(gate.form(Permission.OPERATE))]

    async def said(
        request: Request, session: Session, order_id: str, form: str, typed: dict[str, str], doing: Awaitable[OrderDone]
    ) -> Response:
        try:
            await doing
        except (Conflict, InvalidInput) as error:
            return await page_of.show(request, session, order_id, problem=error, given={"form": form, **typed})
        return back(order_id, form)

    @router.post("/orders/{order_id}/look")
    async def look(
        request: Request, order_id: Path, session: Operator, reason: Text = "", command_id: CommandId = ""
    ) -> Response:
        async def doing() -> OrderDone:
            return await words_of(ports).look_again(
                order_id, reason_of(reason), session.actor, command_id=command_id or None
            )

        return await said(request, session, order_id, "look", {"reason": reason}, doing())

    @router.post("/orders/{order_id}/confirm")
    async def confirm(
        request: Request, order_id: Path, session: Operator, number: Text = "", reason: Text = "", sure: Text = "",
        command_id: CommandId = "",
    ) -> Response:  # fmt: skip
        async def doing() -> OrderDone:
            certain(sure, "the order counts as placed, and is never sent again")
            return await words_of(ports).confirm_by_hand(
                order_id, number_of(number), reason_of(reason), session.actor, command_id=command_id or None
            )

        return await said(request, session, order_id, "confirm", {"reason": reason, "number": number}, doing())

    @router.post("/orders/{order_id}/resend")
    async def resend(
        request: Request, order_id: Path, session: Operator, reason: Text = "", sure: Text = "",
        command_id: CommandId = "",
    ) -> Response:  # fmt: skip
        async def doing() -> OrderDone:
            certain(sure, "if the supplier has it after all, it is ordered twice")
            return await words_of(ports).send_again(
                order_id, reason_of(reason), session.actor, command_id=command_id or None
            )

        return await said(request, session, order_id, "resend", {"reason": reason}, doing())

    return router
