"""REST for files: what spreadsheets exchange with the engine as `text/csv`, by the same desk as the page."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from console.api_problems import FreeKey, UnusableFile, told
from console.api_times import Moment
from console.auth import Caller, Gate
from console.files import FileDesk, Narrowing
from console.problems import INVALID, problem_response
from workflows.domain.approvals import STORABLE
from workflows.domain.errors import NotFound
from workflows.domain.files import GIVEN, NEEDS, DecisionFilters, FileKind, FileTaken
from workflows.domain.identity import CODE_PATTERN
from workflows.domain.inbox import Filters
from workflows.domain.people import Permission
from workflows.domain.tables import Unusable

CSV = "text/csv; charset=utf-8"
CodeFilter = Annotated[str | None, Query(max_length=64, pattern=CODE_PATTERN)]
_CSV_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True, "content": {"text/csv": {"schema": {"type": "string", "format": "binary"}}},
    },
}  # fmt: skip
_GIVES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file", "content": {"text/csv": {"schema": {"type": "string"}}}},
    404: told("This installation gives no such files"),
}
_TAKES: dict[int | str, dict[str, Any]] = {
    404: told("This installation takes no such files"),
    409: told("The policy moved in the meantime"),
    422: told("The file cannot be taken, and nothing of it was: what is wrong, line by line", UnusableFile),
}


def routes(desk: FileDesk | None, gate: Gate) -> APIRouter:
    """`/api/v1/files/{kind}`: a route of its own for each kind, because each needs a right of its own."""
    router = APIRouter(prefix="/api/v1/files")
    for kind in GIVEN:
        router.add_api_route(
            f"/{kind}", _giving(desk, kind, gate), methods=["GET"], summary=f"The file of {kind}",
            response_class=Response, responses=_GIVES, name=f"file_of_{kind}",
        )  # fmt: skip
    for kind, permission in NEEDS.items():
        router.add_api_route(
            f"/{kind}", _taking(desk, kind, permission, gate), methods=["POST"], summary=f"Bring a file of {kind}",
            response_model=FileTaken, responses=_TAKES, openapi_extra=_CSV_BODY, name=f"bring_file_of_{kind}",
        )  # fmt: skip
    return router


def sent(desk_gives: Any, kind: FileKind) -> StreamingResponse:
    """A file on its way."""
    headers = {"Content-Disposition": f'attachment; filename="{kind}.csv"', "Cache-Control": "no-store"}
    return StreamingResponse(desk_gives, media_type=CSV, headers=headers)


def problems_of(error: Unusable) -> dict[str, Any]:
    """What is wrong with a file, for programs."""
    return {"problems": [one.model_dump() for one in error.problems], "further_problems": error.more}


def _giving(desk: FileDesk | None, kind: FileKind, gate: Gate) -> Callable[..., Awaitable[Response]]:
    async def give(caller: Caller, narrowing: Narrowing) -> Response:
        if desk is None:
            raise NotFound("This installation gives no files.")
        return sent(await desk.give(kind, caller.person, caller.actor, narrowing), kind)

    who = gate.api(Permission.SEE)
    if kind is FileKind.TASKS:

        async def tasks(
            caller: Annotated[Caller, Depends(who)], location: CodeFilter = None, supplier: CodeFilter = None
        ) -> Response:
            """Open tasks, dearest to leave waiting first, with empty cells for answers."""
            return await give(caller, Filters(location=location, supplier=supplier))

        return tasks
    if kind is FileKind.DECISIONS:

        async def decisions(
            caller: Annotated[Caller, Depends(who)], location: CodeFilter = None, item: CodeFilter = None,
            since: Moment | None = None, until: Moment | None = None,
        ) -> Response:  # fmt: skip
            """Decisions, every revision."""
            return await give(caller, DecisionFilters(location=location, item=item, since=since, until=until))

        return decisions

    async def whole(caller: Annotated[Caller, Depends(who)]) -> Response:
        return await give(caller, None)

    return whole


def _taking(desk: FileDesk | None, kind: FileKind, permission: Permission, gate: Gate) -> Callable[..., Any]:
    async def take(
        request: Request,
        caller: Annotated[Caller, Depends(gate.api(permission))],
        idempotency_key: FreeKey,
        check: Annotated[bool, Query(description="Only say what it would do")] = False,
        reason: Annotated[str, Query(max_length=1000, description="Of a policy change", pattern=STORABLE)] = "",
    ) -> FileTaken | Response:
        """All of it or nothing, and bringing the same file twice does nothing twice.

        Verdicts are checked whole before the first is given; each is answered by itself.
        """
        if desk is None:
            raise NotFound("This installation takes no files.")
        try:
            return await desk.take(
                kind, await request.body(), caller.person, caller.actor, check=check, reason=reason
            )  # fmt: skip
        except Unusable as error:
            return problem_response(INVALID, request, str(error), problems_of(error))

    return take
