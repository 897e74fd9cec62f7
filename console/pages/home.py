"""Home: what waits for people, and the running totals in words."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse

from console.auth import Gate, Session
from console.pages.inbox import PAGE
from console.ports import ConsolePorts
from console.rendering import Pages, link
from console.totals import in_words
from workflows.domain.people import Permission
from workflows.domain.planning import DEFINITIONS


def routes(ports: ConsolePorts, gate: Gate, pages: Pages) -> APIRouter:
    """`/`, and the way from a decision's id to its page."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def home(request: Request, session: Annotated[Session, Depends(gate.page(Permission.SEE))]) -> Response:
        counts = await ports.desk.counts()
        tasks = await ports.desk.tasks(limit=PAGE)
        context = {
            "groups": in_words(counts),
            "waiting": len(tasks),
            "more": len(tasks) == PAGE,
            "first": tasks[0] if tasks else None,
            "invented": await ports.invented(),
            "stability": await ports.planning.stability() if ports.planning else None,
            "definitions": DEFINITIONS,
            "money": await ports.money.report() if ports.money else None,
            "what_if": ports.what_if is not None,
            "clocks": sorted((await ports.clocks()).items()),
        }
        return pages.show(request, "home.html", session, context)

    @router.get("/decisions")
    async def find(session: Annotated[Session, Depends(gate.page(Permission.SEE))], id: str = "") -> Response:
        target = link("/decisions", id.strip()) if id.strip() else "/"
        return RedirectResponse(target, HTTPStatus.SEE_OTHER)

    return router
