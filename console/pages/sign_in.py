"""Signing in: a link opens a session for as long as it is valid, and the token leaves the address bar at once."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import RedirectResponse

from console.auth import COOKIE, Gate, NotSignedIn, Session, same_origin
from console.rendering import Pages


def routes(gate: Gate, pages: Pages) -> APIRouter:
    """`/sign-in` and `/sign-out`."""
    router = APIRouter(include_in_schema=False)

    def open_session(request: Request, token: str, target: str) -> Response:
        answer = RedirectResponse(_ours(target), HTTPStatus.SEE_OTHER, {"Cache-Control": "no-store"})
        try:
            gate.open_session(request, answer, token.strip())
        except NotSignedIn:
            return form(request, target, "This sign-in link is not valid (any more). Ask for a new one.")
        return answer

    def form(request: Request, target: str, problem: str = "") -> Response:
        status = HTTPStatus.UNAUTHORIZED if problem else HTTPStatus.OK
        return pages.show(request, "sign_in.html", None, {"problem": problem, "target": _ours(target)}, status)

    @router.get("/sign-in")
    async def sign_in(request: Request, token: str | None = None, next: str = "/") -> Response:
        return form(request, next) if token is None else open_session(request, token, next)

    @router.post("/sign-in")
    async def sign_in_by_form(
        request: Request, token: Annotated[str, Form(max_length=2000)], next: Annotated[str, Form()] = "/"
    ) -> Response:
        same_origin(request)
        return open_session(request, token, next)

    @router.post("/sign-out")
    async def sign_out(session: Annotated[Session, Depends(gate.form_session)]) -> Response:
        answer = RedirectResponse("/sign-in", HTTPStatus.SEE_OTHER)
        answer.delete_cookie(COOKIE, httponly=True, samesite="lax")
        return answer

    return router


def _ours(target: str) -> str:
    """Only paths of our own: a sign-in link must not lead elsewhere (`//host` and `/\\host` are other hosts)."""
    safe = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
    return target if safe else "/"
