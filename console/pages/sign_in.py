"""Signing in: at the identity provider, or by a link on an embedded stack; a token leaves the address bar at once."""

import logging
import secrets
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import RedirectResponse

from console.auth import FLOW_LASTS, Gate, NotSignedIn, Session, address_of
from console.origin import own_path, same_origin
from console.rendering import Pages
from workflows.domain.errors import NotAllowed, NotFound
from workflows.domain.sessions import IdentityProvider, Refused

log = logging.getLogger(__name__)

FLOW_COOKIE, SECURE_FLOW_COOKIE = "qm_flow", "__Host-qm_flow"
NO_STORE = {"Cache-Control": "no-store"}


def routes(gate: Gate, pages: Pages) -> APIRouter:
    """`/sign-in`, the way to the identity provider and back, and `/sign-out`."""
    router = APIRouter(include_in_schema=False)

    async def open_session(request: Request, token: str, target: str) -> Response:
        answer = RedirectResponse(own_path(target), HTTPStatus.SEE_OTHER, NO_STORE)
        try:
            await gate.open_by_link(request, answer, token.strip())
        except NotSignedIn as error:
            return form(request, target, f"{error} Ask for a new link: quartermaster sign-in NAME")
        return answer

    def form(request: Request, target: str, problem: str = "") -> Response:
        provider = gate.sign_in.provider
        context = {
            "problem": problem, "target": own_path(target), "local": gate.sign_in.local,
            "provider": provider.title if provider else None,
        }  # fmt: skip
        return pages.show(request, "sign_in.html", None, context, HTTPStatus.UNAUTHORIZED if problem else HTTPStatus.OK)

    @router.get("/sign-in")
    async def sign_in(request: Request, token: str | None = None, next: str = "/") -> Response:
        return form(request, next) if token is None else await open_session(request, token, next)

    @router.post("/sign-in")
    async def sign_in_by_form(
        request: Request, token: Annotated[str, Form(max_length=2000)], next: Annotated[str, Form()] = "/"
    ) -> Response:
        same_origin(request, gate.sign_in.public_url)
        return await open_session(request, token, next)

    @router.get("/sign-in/begin")
    async def begin(request: Request, next: str = "/") -> Response:
        gate.limits.before_sign_in(address_of(request))
        flow = secrets.token_urlsafe(32)
        answer = RedirectResponse(await _provider(gate).begin(flow), HTTPStatus.SEE_OTHER, NO_STORE)
        carried = gate.sign_flow({"flow": flow, "next": own_path(next)})
        gate.set_cookie(request, answer, flow_cookie(request), carried, int(FLOW_LASTS.total_seconds()))
        return answer

    @router.get("/sign-in/callback")
    async def back(request: Request) -> Response:
        address = address_of(request)
        gate.limits.before_sign_in(address)
        try:
            flow = gate.read_flow(request.cookies.get(flow_cookie(request), ""))
            if not await gate.sign_in.sessions.spend(flow["flow"], FLOW_LASTS):
                raise NotSignedIn("This sign-in was used already.")
            identity = await _provider(gate).finish(flow["flow"], dict(request.query_params))
            person = await gate.sign_in.people.arrived(identity)
            answer: Response = RedirectResponse(flow["next"], HTTPStatus.SEE_OTHER, NO_STORE)
            await gate.open_session(request, answer, person.name, "oidc")
        except (NotSignedIn, Refused, NotAllowed) as error:
            gate.limits.failed_sign_in(address)
            log.warning("sign-in refused", extra={"reason": str(error)})
            answer = form(request, "/", f"{error} Start again.")
        answer.delete_cookie(flow_cookie(request), httponly=True, samesite="lax", secure=gate.secure(request))
        return answer

    @router.post("/sign-out")
    async def sign_out(request: Request, session: Annotated[Session, Depends(gate.own(form=True))]) -> Response:
        answer = RedirectResponse("/sign-in", HTTPStatus.SEE_OTHER)
        await gate.close_session(request, answer, session.actor)
        return answer

    def flow_cookie(request: Request) -> str:
        return SECURE_FLOW_COOKIE if gate.secure(request) else FLOW_COOKIE

    return router


def _provider(gate: Gate) -> IdentityProvider:
    if gate.sign_in.provider is None:
        raise NotFound("This console has no identity provider.")
    return gate.sign_in.provider
