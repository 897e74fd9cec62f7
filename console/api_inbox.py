"""REST around the inbox: many answers in one request, saved views, and who stands in for whom."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from console.api_problems import NOT_HERE, FreeKey, KeptKey
from console.api_tasks import work_of
from console.auth import Caller, Gate
from console.bulk import BulkAnswer, BulkDesk, BulkPreview, Rows
from console.ports import ConsolePorts
from workflows.domain.approvals import STORABLE, Meaning, RejectReason, Text
from workflows.domain.identity import Payload, digest
from workflows.domain.inbox import Filters, SavedView, Substitute, View
from workflows.domain.people import Permission, PersonName

ViewId = Annotated[str, Path(min_length=1, max_length=100, pattern=STORABLE)]
Name = Annotated[str, Field(min_length=1, max_length=60, pattern=STORABLE)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class BulkPreviewBody(_Body):
    """Rows that shall be answered, each with the proposal that the caller saw."""

    rows: Rows
    meaning: Meaning = Meaning.APPROVE


class BulkBody(BulkPreviewBody):
    """The same, and what goes with the answer."""

    reason: RejectReason | None = Field(default=None, description="For reject: one reason for all rows")
    comment: Text = ""


class ViewBody(_Body):
    """A view under a name."""

    name: Name
    view: View
    filters: Filters = Filters()
    shared: bool = False


class Views(Payload):
    """The caller's own, then everybody's shared ones."""

    views: tuple[SavedView, ...]


class SubstituteBody(_Body):
    """Who stands in, on which days (inclusive)."""

    person: PersonName | None = Field(default=None, description="Who is away; left out: the caller")
    substitute: PersonName
    first_day: date
    last_day: date


class Substitutes(Payload):
    """Current and future ones, by their first day."""

    substitutes: tuple[Substitute, ...]


def routes(ports: ConsolePorts, bulk: BulkDesk, gate: Gate) -> APIRouter:
    """`/api/v1/tasks/bulk-*`, `/api/v1/views` and `/api/v1/substitutes`."""
    router = APIRouter(prefix="/api/v1")
    _bulk(router, bulk, gate)
    _views(router, ports, gate)
    _substitutes(router, ports, gate)
    return router


def _bulk(router: APIRouter, bulk: BulkDesk, gate: Gate) -> None:
    answerer = Annotated[Caller, Depends(gate.api(Permission.ANSWER))]

    @router.post("/tasks/bulk-preview", summary="What answering many tasks would come to")  # fmt: skip
    async def preview(caller: answerer, idempotency_key: FreeKey, body: BulkPreviewBody) -> BulkPreview:
        """Nothing is answered. Money is grouped by currency and supplier and never added up across currencies."""
        return await bulk.preview(body.rows, body.meaning, caller.person)

    @router.post("/tasks/bulk-verdict", summary="Approve or reject many tasks, each for itself")  # fmt: skip
    async def verdict(caller: answerer, idempotency_key: KeptKey, body: BulkBody) -> BulkAnswer:
        """Rows above the caller's limit, with a guard, or that two people must sign are refused here: they are
        answered one by one. The same key again answers nothing twice."""
        return await bulk.answer(
            body.rows, body.meaning, caller.person, caller.actor, key=idempotency_key, reason=body.reason,
            comment=body.comment,
        )  # fmt: skip


def _views(router: APIRouter, ports: ConsolePorts, gate: Gate) -> None:
    worker = Annotated[Caller, Depends(gate.api(Permission.WORK))]

    @router.get("/views", summary="Saved views: the caller's own and shared ones", responses=NOT_HERE)
    async def views(caller: Annotated[Caller, Depends(gate.api(Permission.SEE))]) -> Views:
        return Views(views=tuple(await work_of(ports).saved_views(caller.person)))

    @router.post("/views", summary="Keep a view under a name", status_code=201)
    async def add(caller: worker, idempotency_key: KeptKey, body: ViewBody) -> SavedView:
        """The same key again is the same view."""
        view_id = digest([caller.person.name, idempotency_key])[:24]
        return await work_of(ports).save_view(_view(view_id, caller, body), caller.actor)

    @router.put("/views/{view_id}", summary="Change one of one's own views")
    async def change(caller: worker, view_id: ViewId, body: ViewBody) -> SavedView:
        return await work_of(ports).save_view(_view(view_id, caller, body), caller.actor)

    @router.delete("/views/{view_id}", summary="Drop one of one's own views", status_code=204)  # fmt: skip
    async def drop(caller: worker, view_id: ViewId) -> Response:
        await work_of(ports).drop_view(view_id, caller.actor)
        return Response(status_code=204)


def _substitutes(router: APIRouter, ports: ConsolePorts, gate: Gate) -> None:
    seer = Annotated[Caller, Depends(gate.api(Permission.SEE))]

    @router.get("/substitutes", summary="Who stands in for whom, now and later", responses=NOT_HERE)
    async def substitutes(caller: seer) -> Substitutes:
        return Substitutes(substitutes=tuple(await work_of(ports).substitutes()))

    @router.post("/substitutes", summary="Name one's own substitute, or as an admin somebody's", status_code=201,
                 )  # fmt: skip
    async def name(caller: seer, idempotency_key: FreeKey, body: SubstituteBody) -> Substitute:
        """One absence, by its first day, has one substitute: the newest word counts."""
        wanted = Substitute(
            person=body.person or caller.person.name, substitute=body.substitute, first_day=body.first_day,
            last_day=body.last_day,
        )  # fmt: skip
        return await work_of(ports).substitute(wanted, caller.actor)

    @router.delete("/substitutes/{person}/{first_day}", summary="Take it back", status_code=204)  # fmt: skip
    async def drop(
        caller: seer, person: Annotated[str, Path(min_length=1, max_length=100, pattern=STORABLE)], first_day: date
    ) -> Response:
        await work_of(ports).drop_substitute(person, first_day, caller.actor)
        return Response(status_code=204)


def _view(view_id: str, caller: Caller, body: ViewBody) -> SavedView:
    return SavedView(
        view_id=view_id, name=body.name, owner=caller.person.name, shared=body.shared, view=body.view,
        filters=body.filters,
    )  # fmt: skip
