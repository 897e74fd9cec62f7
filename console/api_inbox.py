"""REST around the inbox: many answers in one request, saved views, and who stands in for whom."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response
from pydantic import BaseModel, ConfigDict, Field, StrictBool

from console.api_pages import After, Limit, behind
from console.api_problems import NOT_HERE, FreeKey, KeptKey, told
from console.api_tasks import work_of
from console.api_times import Day
from console.auth import Caller, Gate
from console.bulk import BulkAnswer, BulkDesk, BulkPreview, Rows
from console.ports import ConsolePorts
from workflows.domain.approvals import STORABLE, Meaning, RejectReason, Text
from workflows.domain.errors import InvalidInput
from workflows.domain.identity import Payload, digest
from workflows.domain.inbox import Filters, SavedView, Substitute, View
from workflows.domain.people import Permission, PersonName

ViewId = Annotated[str, Path(min_length=1, max_length=100, pattern=STORABLE)]
Name = Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[^\x00]*[^\x00\s][^\x00]*$")]


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
    shared: StrictBool = False


class Views(Payload):
    """The caller's own, then everybody's shared ones."""

    views: tuple[SavedView, ...]
    next: str | None
    """Give it as `after` to get the page that follows; null on the last page."""


class SubstituteBody(_Body):
    """Who stands in, on which days (inclusive)."""

    person: PersonName | None = Field(default=None, description="Who is away; left out: the caller")
    substitute: PersonName
    first_day: Day
    last_day: Day


class Substitutes(Payload):
    """Current and future ones, by their first day."""

    substitutes: tuple[Substitute, ...]
    next: str | None
    """Give it as `after` to get the page that follows; null on the last page."""


def routes(ports: ConsolePorts, bulk: BulkDesk, gate: Gate) -> APIRouter:
    """`/api/v1/tasks/bulk-*`, `/api/v1/views` and `/api/v1/substitutes`."""
    router = APIRouter(prefix="/api/v1")
    _bulk(router, bulk, gate)
    _views(router, ports, gate)
    _substitutes(router, ports, gate)
    return router


def _bulk(router: APIRouter, bulk: BulkDesk, gate: Gate) -> None:
    answerer = Annotated[Caller, Depends(gate.api(Permission.ANSWER))]

    @router.post("/tasks/bulk-preview", summary="What answering many tasks would come to", responses=NOT_HERE)
    async def preview(caller: answerer, idempotency_key: FreeKey, body: BulkPreviewBody) -> BulkPreview:
        """Nothing is answered. Money is grouped by currency and supplier and never added up across currencies."""
        return await bulk.preview(body.rows, body.meaning, caller.person)

    @router.post("/tasks/bulk-verdict", summary="Approve or reject many tasks, each for itself", responses=NOT_HERE)
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
    async def views(
        caller: Annotated[Caller, Depends(gate.api(Permission.SEE))], limit: Limit = 100, after: After = None
    ) -> Views:
        found = await work_of(ports).saved_views(caller.person)
        shown, following = behind(found, lambda one: one.view_id, limit, after)
        return Views(views=tuple(shown), next=following)

    @router.post("/views", summary="Keep a view under a name", status_code=201, responses=NOT_HERE)
    async def add(caller: worker, idempotency_key: KeptKey, body: ViewBody) -> SavedView:
        """The same key again is the same view; a view is changed by PUT."""
        work = work_of(ports)
        wanted = _view(digest([caller.person.name, idempotency_key])[:24], caller, body)
        for known in await work.saved_views(caller.person):
            if known.view_id == wanted.view_id and known != wanted:
                raise InvalidInput("This Idempotency-Key was used for another view.")
        return await work.save_view(wanted, caller.actor)

    @router.put("/views/{view_id}", summary="Change one of one's own views")
    async def change(caller: worker, view_id: ViewId, body: ViewBody) -> SavedView:
        return await work_of(ports).save_view(_view(view_id, caller, body), caller.actor)

    @router.delete("/views/{view_id}", summary="Drop one of one's own views", status_code=204)
    async def drop(caller: worker, view_id: ViewId) -> Response:
        await work_of(ports).drop_view(view_id, caller.actor)
        return Response(status_code=204)


def _substitutes(router: APIRouter, ports: ConsolePorts, gate: Gate) -> None:
    seer = Annotated[Caller, Depends(gate.api(Permission.SEE))]

    @router.get("/substitutes", summary="Who stands in for whom, now and later", responses=NOT_HERE)
    async def substitutes(caller: seer, limit: Limit = 100, after: After = None) -> Substitutes:
        found = await work_of(ports).substitutes()
        shown, following = behind(found, lambda one: f"{one.first_day}/{one.person}", limit, after)
        return Substitutes(substitutes=tuple(shown), next=following)

    @router.post("/substitutes", summary="Name one's own substitute, or as an admin somebody's", status_code=201,
                 responses={**NOT_HERE, 409: told()})  # fmt: skip
    async def name(caller: seer, idempotency_key: FreeKey, body: SubstituteBody) -> Substitute:
        """One absence, by its first day, has one substitute: the newest word counts."""
        wanted = Substitute(
            person=body.person or caller.person.name, substitute=body.substitute, first_day=body.first_day,
            last_day=body.last_day,
        )  # fmt: skip
        return await work_of(ports).substitute(wanted, caller.actor)

    @router.delete(
        "/substitutes/{person}/{first_day}", summary="Take it back", status_code=204, responses={409: told()}
    )
    async def drop(
        caller: seer, person: Annotated[str, Path(min_length=1, max_length=100, pattern=STORABLE)], first_day: Day
    ) -> Response:
        await work_of(ports).drop_substitute(person, first_day, caller.actor)
        return Response(status_code=204)


def _view(view_id: str, caller: Caller, body: ViewBody) -> SavedView:
    return SavedView(
        view_id=view_id, name=body.name, owner=caller.person.name, shared=body.shared, view=body.view,
        filters=body.filters,
    )  # fmt: skip
