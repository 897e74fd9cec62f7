"""REST for orders in doubt: what is known of each, and what a person says of one, once for each key."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict

from console.api_operations import OrderKey, WhyBody
from console.api_problems import NOT_HERE, KeptKey
from console.auth import Caller, Gate
from console.pages.order_doubt import words_of
from console.ports import ConsolePorts
from workflows.domain.doubt import Doubt, SupplierNumber
from workflows.domain.operations import OrderDone
from workflows.domain.people import Permission
from workflows.domain.stops import Reason


class NumberBody(BaseModel):
    """Their own number of the order, and how it is known; both are on the record."""

    model_config = ConfigDict(extra="forbid")

    number: SupplierNumber
    reason: Reason


class InDoubt(BaseModel):
    """Orders that nobody is sure about, those first that wait for a person, then the longest in doubt."""

    orders: list[Doubt]


def routes(ports: ConsolePorts, gate: Gate) -> APIRouter:
    """`/api/v1/doubts`, and an order's `doubt`, `look`, `confirm` and `resend`."""
    router = APIRouter(prefix="/api/v1")
    Operator = Annotated[Caller, Depends(gate.api(Permission.OPERATE))]
    seeing = [Depends(gate.api())]

    @router.get("/doubts", summary="Orders of which nobody is sure that their supplier has them", responses=NOT_HERE,
                dependencies=seeing)  # fmt: skip
    async def doubts(limit: Annotated[int, Query(ge=1, le=500)] = 100) -> InDoubt:
        return InDoubt(orders=await words_of(ports).in_doubt(limit=limit))

    @router.get("/orders/{order_id}/doubt", summary="What was sent of an order, and what may be said of it now",
                responses=NOT_HERE, dependencies=seeing)  # fmt: skip
    async def doubt(order_id: OrderKey) -> Doubt:
        """Also of an order that is not in doubt: then no word about it is taken, and each `why_not_` says why."""
        return await words_of(ports).doubt(order_id)

    @router.post("/orders/{order_id}/look", summary="Ask the supplier now whether it has the order")  # fmt: skip
    async def look(order_id: OrderKey, body: WhyBody, key: KeptKey, caller: Operator) -> OrderDone:
        """409 where there is no doubt, or where nobody can look in the supplier's system."""
        return await words_of(ports).look_again(order_id, body.reason, caller.actor, command_id=key)

    @router.post("/orders/{order_id}/confirm", summary="The supplier has it, under a number of theirs")  # fmt: skip
    async def confirm(order_id: OrderKey, body: NumberBody, key: KeptKey, caller: Operator) -> OrderDone:
        """The order is placed and never sent again. 409 where there is no doubt, or the number is another order's."""
        return await words_of(ports).confirm_by_hand(order_id, body.number, body.reason, caller.actor, command_id=key)

    @router.post("/orders/{order_id}/resend", summary="The supplier does not have it: send it again")  # fmt: skip
    async def resend(order_id: OrderKey, body: WhyBody, key: KeptKey, caller: Operator) -> OrderDone:
        """It is looked for once more where that can be done. 409 while what was sent may still be carried out."""
        return await words_of(ports).send_again(order_id, body.reason, caller.actor, command_id=key)

    return router
