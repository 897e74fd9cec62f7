"""Files: what planners take into their spreadsheets and bring back, with every problem of a file told by line."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from starlette.datastructures import UploadFile

from console.api_files import sent
from console.auth import Gate, Session
from console.files import FileDesk
from console.problems import status_of
from console.rendering import Pages
from workflows.domain.errors import Conflict, InvalidInput, NotFound
from workflows.domain.files import GIVEN, MAX_FILE_BYTES, NEEDS, SHAPES, FileKind
from workflows.domain.notices import NoticeMode, Preferences
from workflows.domain.people import Permission
from workflows.domain.tables import Unusable

WORDS = {
    FileKind.ITEMS: ("Items", "What is bought and sold, with prices."),
    FileKind.SUPPLIERS: ("Suppliers", "Whoever takes orders, and what one order costs."),
    FileKind.SOURCING: ("Sourcing", "From whom each item is bought for each location, in which packs, how fast."),
    FileKind.LIMITS: ("Policy limits", "The whole policy, a limit a row: brought back, it is a proposed change."),
    FileKind.TASKS: ("Open tasks", "What waits for a person, dearest first, with empty cells for answers."),
    FileKind.DECISIONS: ("Decisions", "Every decision and revision, with what became of it."),
    FileKind.VERDICTS: ("Answers to tasks", "The file of open tasks with approve, approve_edited or reject filled in."),
}


def routes(desk: FileDesk | None, gate: Gate, pages: Pages) -> APIRouter:
    """`/files`, each file, and a form's target for each kind that is taken."""
    router = APIRouter(include_in_schema=False)

    def shown(
        request: Request, session: Session, status: HTTPStatus = HTTPStatus.OK, **told: Any
    ) -> Response:  # fmt: skip
        context = {
            "there": desk is not None,
            "given": [(kind, *WORDS[kind]) for kind in GIVEN],
            "takes": [(kind, *WORDS[kind], SHAPES[kind]) for kind in NEEDS if session.person.may(NEEDS[kind])],
            "most_mib": MAX_FILE_BYTES // 2**20, "problem": "", "problems": (), "more": 0, "taken": None, "of": None,
            "LIMITS": FileKind.LIMITS, **told,
        }  # fmt: skip
        return pages.show(request, "files.html", session, context, status)

    @router.get("/files")
    async def overview(request: Request, session: Annotated[Session, Depends(gate.page(Permission.SEE))]) -> Response:
        return shown(request, session)

    for kind in GIVEN:
        router.add_api_route(f"/files/{kind}.csv", _giving(desk, kind, gate), methods=["GET"])
    for kind, permission in NEEDS.items():
        router.add_api_route(f"/files/{kind}", _taking(desk, kind, permission, gate, shown), methods=["POST"])
    return router


def notice_routes(preferences: Preferences | None, gate: Gate, pages: Pages) -> APIRouter:
    """`/notices`: how often one wants to be told."""
    router = APIRouter(include_in_schema=False)

    async def shown(request: Request, session: Session, *, saved: bool = False) -> Response:
        mode = await preferences.mode(session.name) if preferences else None
        context = {"mode": mode, "modes": NoticeMode, "email": session.person.email, "saved": saved}
        return pages.show(request, "notices.html", session, context)

    @router.get("/notices")
    async def chosen(request: Request, session: Annotated[Session, Depends(gate.own(form=False))]) -> Response:
        return await shown(request, session)

    @router.post("/notices")
    async def choose(request: Request, session: Annotated[Session, Depends(gate.own(form=True))]) -> Response:
        if preferences is None:
            raise NotFound("This installation sends no notices.")
        said = (await request.form()).get("mode")
        if said not in list(NoticeMode):
            raise InvalidInput(f"choose one of {', '.join(NoticeMode)}")
        await preferences.choose(session.name, NoticeMode(str(said)))
        return await shown(request, session, saved=True)

    return router


def _giving(desk: FileDesk | None, kind: FileKind, gate: Gate) -> Callable[..., Awaitable[Response]]:
    async def give(session: Annotated[Session, Depends(gate.page(Permission.SEE))]) -> Response:
        if desk is None:
            raise NotFound("This installation gives no files.")
        return sent(await desk.give(kind, session.person, session.actor, None), kind)

    return give


def _taking(
    desk: FileDesk | None, kind: FileKind, permission: Permission, gate: Gate, shown: Callable[..., Response]
) -> Callable[..., Awaitable[Response]]:
    async def take(request: Request, session: Annotated[Session, Depends(gate.form(permission))]) -> Response:
        if desk is None:
            raise NotFound("This installation takes no files.")
        form = await request.form()
        file, reason = form.get("file"), str(form.get("reason") or "")
        title = WORDS[kind][0]
        if not isinstance(file, UploadFile) or not file.filename:
            status = HTTPStatus.UNPROCESSABLE_ENTITY
            return shown(request, session, status, problem="Choose a file first.", of=title)
        check = form.get("step") != "take"
        raw = await file.read()
        await file.close()
        try:
            taken = await desk.take(
                kind, raw, session.person, session.actor, check=check, reason=reason[:1000]
            )  # fmt: skip
        except Unusable as error:
            told = {"problems": error.problems, "more": error.more, "of": title}
            return shown(request, session, HTTPStatus.UNPROCESSABLE_ENTITY, **told)
        except (InvalidInput, Conflict) as error:
            status = status_of(error)
            return shown(request, session, status, problem=str(error), of=title)
        return shown(request, session, taken=taken, of=title)

    return take
