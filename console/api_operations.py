"""REST for operators: orders, stop switches, dead letters, events as they arrive, and health for machines."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict, Field, model_validator

from console.api_problems import NOT_HERE, KeptKey, told
from console.api_times import Moment
from console.auth import Caller, Gate
from console.pages.health import command_of, health_of, switches
from console.pages.orders import desk_of
from console.ports import ConsolePorts
from workflows.domain.arrivals import EventRow, Rates
from workflows.domain.errors import NotFound
from workflows.domain.health import Health
from workflows.domain.identity import Digest
from workflows.domain.operations import (
    Attention,
    DeadLetterPage,
    Narrowing,
    OrderDone,
    OrderFilters,
    OrderId,
    OrdersPage,
    OrdersRetried,
    OrderView,
    WaitingOrders,
)
from workflows.domain.orders import OrderState
from workflows.domain.people import Permission
from workflows.domain.redrives import Redrive, Redriven
from workflows.domain.stops import Reason, Stop, StopCommand, StopId, StopScope

LARGEST = 2**63 - 1
Limit = Annotated[int, Query(ge=1, le=500, description="At most so many rows")]
OrderKey = Annotated[OrderId, Path(description="The order's id: supplier:location:cycle:part")]
LetterKey = Annotated[int, Path(ge=1, le=LARGEST)]
RedriveKey = Annotated[int, Path(ge=1, le=LARGEST, description="As the list of dead letters has it")]


class StopBody(BaseModel):
    """What to hold back, and why."""

    model_config = ConfigDict(extra="forbid")

    scope: StopScope
    subject: str = Field(default="", max_length=160, description="The location, supplier, model's digest or order's id")
    reason: Reason
    ends_at: Moment | None = Field(default=None, description="A pause: it ends by itself then; null: it does not")

    @model_validator(mode="after")
    def _whole(self) -> "StopBody":
        StopCommand(scope=self.scope, subject=self.subject, reason=self.reason, ends_at=self.ends_at)
        return self


class WhyBody(BaseModel):
    """Why something is done; it is on the record."""

    model_config = ConfigDict(extra="forbid")

    reason: Reason


class MeantBody(BaseModel):
    """Which bytes are meant, as the list of dead letters has it."""

    model_config = ConfigDict(extra="forbid")

    payload_sha256: Digest


class StopsPage(BaseModel):
    """Stop switches, newest first."""

    stops: list[Stop]
    next: str | None = Field(default=None, description="Give it as `after` to get the page that follows")


class Arrived(BaseModel):
    """The newest events, newest first, and the rates at which they come."""

    events: list[EventRow]
    rates: Rates


def routes(ports: ConsolePorts, gate: Gate) -> APIRouter:
    """`/api/v1/orders`, `/stops`, `/dead-letters`, `/events` and `/health`."""
    router = APIRouter(prefix="/api/v1")
    _orders(router, ports, gate)
    _stops(router, ports, gate)
    _letters(router, ports, gate)
    seeing = [Depends(gate.api())]

    @router.get("/events", summary="The newest events, with the rates at which they arrive", responses=NOT_HERE,
                dependencies=seeing)  # fmt: skip
    async def events(limit: Annotated[int, Query(ge=1, le=200)] = 50) -> Arrived:
        if ports.arrivals is None:
            raise NotFound("This installation does not show events as they arrive.")
        return Arrived(events=list(await ports.arrivals.events(limit)), rates=await ports.arrivals.rates())

    @router.get("/health", summary="What is stuck, in doubt, lagging or poisoned", responses=NOT_HERE,
                dependencies=seeing)  # fmt: skip
    async def health() -> Health:
        """Always 200 while the console can look: the lights are in the body."""
        return await health_of(ports)

    return router


def _orders(router: APIRouter, ports: ConsolePorts, gate: Gate) -> None:
    seeing = [Depends(gate.api())]

    @router.get("/orders", summary="Purchase orders, newest cutoff first", responses=NOT_HERE, dependencies=seeing)
    async def orders(
        state: OrderState | Attention | None = None,
        supplier: Narrowing = "",
        location: Narrowing = "",
        limit: Limit = 100,
        after: Annotated[OrderId | None, Query(description="`next` of the page before")] = None,
    ) -> OrdersPage:
        filters = OrderFilters(state=state, supplier=supplier, location=location)
        return await desk_of(ports).orders(filters, limit=limit, after=after)

    @router.get("/orders/{order_id}", summary="One order with its lines, its way and its record", responses=NOT_HERE,
                dependencies=seeing)  # fmt: skip
    async def order(order_id: OrderKey) -> OrderView:
        return await desk_of(ports).order(order_id)

    @router.post("/orders/{order_id}/retry", summary="Go on with an order that waits for an operator")  # fmt: skip
    async def retry(
        order_id: OrderKey, key: KeptKey, caller: Annotated[Caller, Depends(gate.api(Permission.OPERATE))]
    ) -> OrderDone:
        """It is looked for at the supplier, and sent if it is not there."""
        return await desk_of(ports).retry(order_id, caller.actor, command_id=key)

    @router.post("/waiting-orders/retry", summary="Go on with all orders that wait for an operator", responses=NOT_HERE)
    async def retry_waiting(
        body: WaitingOrders, key: KeptKey, caller: Annotated[Caller, Depends(gate.api(Permission.OPERATE))]
    ) -> OrdersRetried:
        """The longest waiting first, 500 at most: `left` says how many wait still, for another word under another key.
        Each is looked for at its supplier, and sent if it is not there."""
        return await desk_of(ports).retry_waiting(body, caller.actor, command_id=key)

    @router.post("/orders/{order_id}/close", summary="Close an order of which nothing is at the supplier")  # fmt: skip
    async def close(
        order_id: OrderKey, body: WhyBody, key: KeptKey,
        caller: Annotated[Caller, Depends(gate.api(Permission.OPERATE))],
    ) -> OrderDone:  # fmt: skip
        return await desk_of(ports).close_unordered(order_id, body.reason, caller.actor, command_id=key)

    @router.post("/orders/{order_id}/seen", summary="Take a refused order off the list of failures")  # fmt: skip
    async def seen(
        order_id: OrderKey, key: KeptKey, caller: Annotated[Caller, Depends(gate.api(Permission.OPERATE))]
    ) -> OrderDone:
        return await desk_of(ports).attend(order_id, caller.actor, command_id=key)


def _stops(router: APIRouter, ports: ConsolePorts, gate: Gate) -> None:
    @router.get("/stops", summary="Stop switches, newest first", responses=NOT_HERE, dependencies=[Depends(gate.api())])
    async def stops(
        in_force: Annotated[bool, Query(description="Only those that are set; all of them, on one page")] = False,
        limit: Limit = 100,
        after: Annotated[StopId | None, Query(description="`next` of the page before")] = None,
    ) -> StopsPage:
        kept = switches(ports)
        if in_force:
            return StopsPage(stops=list(reversed(await kept.in_force())))
        found = await kept.history(limit=limit + 1, after=after)
        shown = found[:limit]
        return StopsPage(stops=shown, next=shown[-1].stop_id if len(found) > limit else None)

    @router.post("/stops", summary="Hold orders back before they leave",
                 responses={404: told("There is no such location, supplier, model or order")})  # fmt: skip
    async def stop(
        body: StopBody, key: KeptKey, caller: Annotated[Caller, Depends(gate.api(Permission.OPERATE))]
    ) -> Stop:
        """Once this has answered, no request leaves that the switch is about. Set already: the switch that stands."""
        command = command_of(body.scope, body.subject, body.reason, body.ends_at)
        return await switches(ports).stop(command, caller.actor, command_id=key)

    @router.post("/stops/{stop_id}/lift", summary="Let the orders go on")
    async def lift(
        stop_id: Annotated[StopId, Path()], body: WhyBody, key: KeptKey,
        caller: Annotated[Caller, Depends(gate.api(Permission.OPERATE))],
    ) -> Stop:  # fmt: skip
        """Lifted already: as it was lifted. The orders that it held go on by themselves within seconds."""
        return await switches(ports).lift(stop_id, body.reason, caller.actor, command_id=key)


def _letters(router: APIRouter, ports: ConsolePorts, gate: Gate) -> None:
    @router.get(
        "/dead-letters",
        summary="Messages that could not be read, with the reason, newest first",
        responses=NOT_HERE,
        dependencies=[Depends(gate.api())],
    )
    async def dead_letters(
        reason: Annotated[str, Query(max_length=100, pattern=r"^[^\x00]*$")] = "",
        waiting: Annotated[bool, Query(description="Only those that nobody sent again")] = False,
        limit: Limit = 100,
        after: Annotated[int | None, Query(ge=1, le=LARGEST, description="`next` of the page before")] = None,
    ) -> DeadLetterPage:
        return await desk_of(ports).dead_letters(reason=reason, waiting=waiting, limit=limit, after=after)

    Operator = Annotated[Caller, Depends(gate.api(Permission.OPERATE))]

    @router.post("/dead-letters/{dead_letter_id}/redrive", summary="Ask that a dead letter be sent again")
    async def redrive(dead_letter_id: LetterKey, body: WhyBody, key: KeptKey, caller: Operator) -> Redrive:
        """As it is. Another person confirms or declines it; until then nothing is sent. Asked already by the same
        person, for the same reason: what stands. 409 where another wish for it stands."""
        return await desk_of(ports).ask_redrive(dead_letter_id, body.reason, caller.actor, command_id=key)

    @router.post("/redrives/{redrive_id}/confirm", summary="Send a dead letter as somebody else asked")
    async def confirm(redrive_id: RedriveKey, body: MeantBody, key: KeptKey, caller: Operator) -> Redriven:
        """Exactly the bytes with this SHA-256; the inbox still knows its event id. After a 503 the word stands: give it
        once more. 403 for whoever asked; 409 where it was answered otherwise or the letter was sent again since."""
        return await desk_of(ports).confirm_redrive(redrive_id, body.payload_sha256, caller.actor, command_id=key)

    @router.post("/redrives/{redrive_id}/decline", summary="Do not send what somebody else asked for")
    async def decline(redrive_id: RedriveKey, body: WhyBody, key: KeptKey, caller: Operator) -> Redrive:
        return await desk_of(ports).decline_redrive(redrive_id, body.reason, caller.actor, command_id=key)

    @router.post("/redrives/{redrive_id}/withdraw", summary="Take back what you asked for")
    async def withdraw(redrive_id: RedriveKey, key: KeptKey, caller: Operator) -> Redrive:
        return await desk_of(ports).withdraw_redrive(redrive_id, caller.actor, command_id=key)
