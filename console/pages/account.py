"""One's own account: what one may do, one's API tokens, and signing out everywhere."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import TypeAdapter, ValidationError

from console import access
from console.auth import Gate, Session
from console.rendering import Pages
from workflows.domain.errors import Conflict, InvalidInput
from workflows.domain.people import LOCATED, Permission
from workflows.domain.sessions import Label, TokenDays, most_days

_LABEL: TypeAdapter[str] = TypeAdapter(Label)
_DAYS: TypeAdapter[int] = TypeAdapter(TokenDays)


def routes(gate: Gate, pages: Pages) -> APIRouter:
    """`/account` and its forms. They are about oneself, so they need no permission."""
    router = APIRouter(include_in_schema=False)
    tokens, sessions = gate.sign_in.tokens, gate.sign_in.sessions

    async def shown(
        request: Request, session: Session, *, secret: str = "", problem: str = "", status: HTTPStatus = HTTPStatus.OK
    ) -> Response:
        context = {
            "access": access, "person": session.person,
            "permissions": [one for one in Permission if one in session.person.permissions],
            "located": LOCATED, "tokens": await tokens.of(session.name), "secret": secret, "problem": problem,
            "most_days": most_days(session.person),
        }  # fmt: skip
        return pages.show(request, "account.html", session, context, status)

    @router.get("/account")
    async def account(request: Request, session: Annotated[Session, Depends(gate.own(form=False))]) -> Response:
        return await shown(request, session)

    @router.post("/account/tokens")
    async def make(request: Request, session: Annotated[Session, Depends(gate.own(form=True))]) -> Response:
        form = await request.form()
        try:
            label = _LABEL.validate_python(str(form.get("label") or ""))
            days = _DAYS.validate_python(str(form.get("days") or ""))
            _, secret = await tokens.make(session.name, label, days, session.actor)
        except (ValidationError, InvalidInput, Conflict) as error:
            words = "Say what it is for, and for how many days" if isinstance(error, ValidationError) else str(error)
            return await shown(request, session, problem=words, status=HTTPStatus.UNPROCESSABLE_ENTITY)
        return await shown(request, session, secret=secret)

    @router.post("/account/tokens/{token_id}/revoke")
    async def revoke(token_id: str, session: Annotated[Session, Depends(gate.own(form=True))]) -> Response:
        if token_id in {token.token_id for token in await tokens.of(session.name)}:
            await tokens.revoke(token_id, session.actor)
        return RedirectResponse("/account", HTTPStatus.SEE_OTHER)

    @router.post("/account/sign-out-everywhere")
    async def everywhere(request: Request, session: Annotated[Session, Depends(gate.own(form=True))]) -> Response:
        answer = RedirectResponse("/sign-in", HTTPStatus.SEE_OTHER)
        await sessions.end_all(session.name, session.actor)
        await gate.close_session(request, answer, session.actor)
        return answer

    return router
