"""People: who may sign in, what each may do and where; nobody changes their own rights."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import TypeAdapter, ValidationError

from console import access
from console.auth import Gate, Session
from console.rendering import Pages, link
from workflows.domain.erasure import ErasureReason
from workflows.domain.errors import Conflict, InvalidInput, NotFound
from workflows.domain.people import GRANTS, LOCATED, Permission, Person, PersonName, Role, newcomer

_NAME: TypeAdapter[str] = TypeAdapter(PersonName)


def routes(gate: Gate, pages: Pages) -> APIRouter:
    """`/people`, who could do what, and one person's page with its form."""
    router = APIRouter(include_in_schema=False)
    people, tokens, sessions = gate.sign_in.people, gate.sign_in.tokens, gate.sign_in.sessions

    @router.get("/people")
    async def everyone(
        request: Request, session: Annotated[Session, Depends(gate.page(Permission.MANAGE_PEOPLE))]
    ) -> Response:
        return await listed(request, session, {})

    @router.get("/access-review")
    async def review(request: Request, session: Annotated[Session, Depends(gate.page(Permission.AUDIT))]) -> Response:
        context = {
            "access": access,
            "abilities": abilities(await people.everyone()),
            "roles": list(Role),
            "grants": GRANTS,
        }
        return pages.show(request, "access_review.html", session, context)

    @router.post("/people")
    async def add(
        request: Request, session: Annotated[Session, Depends(gate.form(Permission.MANAGE_PEOPLE))]
    ) -> Response:
        form = await request.form()
        try:
            person = person_of_form(None, str(form.get("name") or ""), form)
            if await people.named(person.called):
                raise InvalidInput(f"There is {person.called} already.")
            person = await people.save(person, session.actor)
        except (InvalidInput, Conflict) as error:
            return await listed(request, session, form, str(error), status_of(error))
        return RedirectResponse(link("/people", person.name), HTTPStatus.SEE_OTHER)

    @router.get("/people/{name}")
    async def one(
        request: Request, name: str, session: Annotated[Session, Depends(gate.page(Permission.MANAGE_PEOPLE))]
    ) -> Response:
        return await shown(request, session, name)

    @router.post("/people/{name}")
    async def change(
        request: Request, name: str, session: Annotated[Session, Depends(gate.form(Permission.MANAGE_PEOPLE))]
    ) -> Response:
        form = await request.form()
        try:
            await people.save(person_of_form(await found(name), "", form), session.actor)
        except (InvalidInput, Conflict) as error:
            return await shown(request, session, name, str(error), status_of(error))
        return RedirectResponse(link("/people", name), HTTPStatus.SEE_OTHER)

    @router.post("/people/{name}/sign-out")
    async def sign_out(
        name: str, session: Annotated[Session, Depends(gate.form(Permission.MANAGE_PEOPLE))]
    ) -> Response:
        await sessions.end_all((await found(name)).name, session.actor)
        return RedirectResponse(link("/people", name), HTTPStatus.SEE_OTHER)

    @router.post("/people/{name}/tokens/{token_id}/revoke")
    async def revoke(
        name: str, token_id: str, session: Annotated[Session, Depends(gate.form(Permission.MANAGE_PEOPLE))]
    ) -> Response:
        await tokens.revoke(token_id, session.actor)
        return RedirectResponse(link("/people", name), HTTPStatus.SEE_OTHER)

    @router.post("/people/{name}/erase")
    async def erase(
        request: Request, name: str, session: Annotated[Session, Depends(gate.form(Permission.MANAGE_PEOPLE))]
    ) -> Response:
        person, form = await found(name), await request.form()
        if gate.sign_in.erasing is None:
            raise NotFound("Nobody is erased here.")
        try:
            if str(form.get("sure") or "").strip() != person.called:
                raise InvalidInput(f"Nothing was erased: write {person.called} to say whom you mean.")
            reason = reason_of(form)
            erased = await gate.sign_in.erasing.erase(person.name, reason, session.actor)
        except (InvalidInput, Conflict) as error:
            return await shown(request, session, name, str(error), status_of(error))
        return await listed(request, session, {}, done=erased.words)

    async def found(name: str) -> Person:
        person = await people.find(name) if name.isprintable() else None
        if person is None:
            raise NotFound(f"Nobody is known here as {name}.")
        return person

    async def listed(
        request: Request, session: Session, form: Mapping[str, Any], problem: str = "",
        status: HTTPStatus = HTTPStatus.OK, *, done: str = "",
    ) -> Response:  # fmt: skip
        known = await people.everyone()
        context = {
            "access": access, "people": known, "abilities": abilities(known), "roles": list(Role), "grants": GRANTS,
            "form": form, "problem": problem, "chosen": checked(form), "done": done,
        }  # fmt: skip
        return pages.show(request, "people.html", session, context, status)

    async def shown(
        request: Request, session: Session, name: str, problem: str = "", status: HTTPStatus = HTTPStatus.OK
    ) -> Response:
        person = await found(name)
        context = {
            "access": access, "person": person, "own": person.name == session.name, "roles": list(Role),
            "grants": GRANTS, "tokens": await tokens.of(person.name), "problem": problem,
            "permissions": [one for one in Permission if one in person.permissions], "located": LOCATED,
            "erasure": access.ERASURE if gate.sign_in.erasing is not None else {},
        }  # fmt: skip
        return pages.show(request, "person.html", session, context, status)

    return router


def abilities(people: list[Person]) -> list[tuple[Permission, list[Person]]]:
    """Who could do what, permission by permission."""
    return [(permission, [one for one in people if one.may(permission)]) for permission in Permission]


def checked(form: Mapping[str, Any]) -> list[str]:
    """The roles that a form has ticked."""
    several = getattr(form, "getlist", None)
    return [str(value) for value in several("role")] if several else []


def person_of_form(before: Person | None, name: str, form: Mapping[str, Any]) -> Person:
    """The person that a form describes; what the form does not ask about stays as it was.

    Raises:
        InvalidInput: a field says what cannot be; the message names it.
    """
    places = [place for place in str(form.get("locations") or "").replace(",", " ").split() if place]
    limit = str(form.get("approval_limit") or "").strip()
    off = form.get("disabled") == "yes"
    try:
        known = before or newcomer(_NAME.validate_python(name))
    except ValidationError as error:
        raise InvalidInput(f"name: {error.errors()[0]['msg']}") from error
    given: dict[str, Any] = {
        "name": known.name,
        "display": known.display,
        "email": str(form.get("email") or "").strip(),
        "roles": checked(form),
        "locations": places if form.get("where") == "some" else None,
        "approval_limit": amount(limit) if limit else None,
        "subject": str(form.get("subject") or "").strip() or None,
        "disabled_at": (known.disabled_at or datetime.now(UTC)) if off else None,
    }
    try:
        return Person.model_validate(given)
    except ValidationError as error:
        raise InvalidInput(
            "; ".join(f"{'.'.join(map(str, one['loc'][:1]))}: {one['msg']}" for one in error.errors())
        ) from error


def reason_of(form: Mapping[str, Any]) -> ErasureReason:
    """Why somebody is erased.

    Raises:
        InvalidInput: the form does not say.
    """
    try:
        return ErasureReason(str(form.get("why") or ""))
    except ValueError:
        raise InvalidInput("Nothing was erased: choose why.") from None


def amount(text: str) -> Decimal:
    """An amount of money.

    Raises:
        InvalidInput: it is none.
    """
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise InvalidInput("approval_limit: an amount such as 1500.00, or nothing for any amount") from None
    if not value.is_finite() or not 0 <= value < Decimal(10) ** 12:
        raise InvalidInput("approval_limit: from 0 to less than a trillion")
    return value


def status_of(error: Exception) -> HTTPStatus:
    """How a form that was refused is answered."""
    return HTTPStatus.UNPROCESSABLE_ENTITY if isinstance(error, InvalidInput) else HTTPStatus.FORBIDDEN
