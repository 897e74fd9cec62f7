"""What people do with a task besides answering it: forms that work without scripts, and for scripts too."""

import secrets
from collections.abc import Awaitable, Callable, Mapping
from datetime import date, datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from pydantic import TypeAdapter, ValidationError

from console.auth import Gate, Session
from console.formats import place_of
from console.inbox_views import guard, may_answer, next_steps, sought
from console.ports import ConsolePorts
from console.problems import problem_of, problem_response
from console.rendering import Pages, link
from console.told import told_of
from workflows.domain.approvals import RejectReason, Text
from workflows.domain.errors import InvalidInput, NotFound, QuartermasterError
from workflows.domain.inbox import Inbox, SavedView, Snooze, Substitute, TaskWork, View
from workflows.domain.people import Permission

DONE: Mapping[str, str] = {
    "claim": "You work on it now; others see that for 15 minutes.",
    "release": "Your claim is given back.",
    "snooze": "Snoozed. Its deadlines go on meanwhile.",
    "wake": "It is back in the inbox.",
    "comment": "Your comment is kept with the task.",
    "forward": "Forwarded.",
    "rescore": "It will be scored again with today's facts; the deadlines go on.",
    "supplier": "The proposal will be made anew by the supplier that you chose, within seconds; the deadlines go on.",
}
"""What can be done, and how it is said afterwards."""

ANY_SUPPLIER = "*"
"""In the form: the engine chooses again."""
Form = Mapping[str, str]
Act = Callable[[TaskWork, str, Form, Session], Awaitable[object]]


async def _claim(work: TaskWork, decision_id: str, form: Form, session: Session) -> object:
    return await work.claim(decision_id, session.actor)


async def _release(work: TaskWork, decision_id: str, form: Form, session: Session) -> object:
    return await work.unclaim(decision_id, session.actor)


async def _snooze(work: TaskWork, decision_id: str, form: Form, session: Session) -> object:
    return await work.snooze(decision_id, snooze_of(form), session.actor)


async def _wake(work: TaskWork, decision_id: str, form: Form, session: Session) -> object:
    return await work.wake(decision_id, session.actor)


async def _comment(work: TaskWork, decision_id: str, form: Form, session: Session) -> object:
    said = _text(form, "text", "Say something first.")
    to = form.get("to", "").strip() or None
    return await work.comment(decision_id, said, session.actor, command_id=_command(form), to=to)


async def _forward(work: TaskWork, decision_id: str, form: Form, session: Session) -> object:
    to = _text(form, "to", "Name the person whom it should go to.")
    return await work.forward(decision_id, to, _text(form, "text"), session.actor, command_id=_command(form))


async def _rescore(work: TaskWork, decision_id: str, form: Form, session: Session) -> object:
    await work.rescore(decision_id, session.actor)
    return None


async def _supplier(work: TaskWork, decision_id: str, form: Form, session: Session) -> object:
    asked = _text(form, "supplier", "Choose the supplier who should be asked.")
    await work.rescore(decision_id, session.actor, supplier=None if asked == ANY_SUPPLIER else asked)
    return None


ACTS: Mapping[str, Act] = {
    "claim": _claim, "release": _release, "snooze": _snooze, "wake": _wake, "comment": _comment, "forward": _forward,
    "rescore": _rescore, "supplier": _supplier,
}  # fmt: skip


def routes(ports: ConsolePorts, gate: Gate, pages: Pages) -> APIRouter:
    """`/inbox/tasks/{id}` with its forms, their targets, saved views and substitutes."""
    router = APIRouter(include_in_schema=False)
    worker = Annotated[Session, Depends(gate.form(Permission.WORK))]
    signed_in = Annotated[Session, Depends(gate.page(Permission.SEE))]

    @router.get("/inbox/tasks/{decision_id}")
    async def one(
        request: Request, decision_id: str, session: signed_in, done: Annotated[str, Query(max_length=20)] = ""
    ) -> Response:
        return await shown(request, decision_id, session, done=DONE.get(done, ""))

    async def shown(
        request: Request, decision_id: str, session: Session, *, done: str = "", problem: str = "",
        form: Form | None = None, status: HTTPStatus = HTTPStatus.OK,
    ) -> Response:  # fmt: skip
        inbox, work = _ports(ports)
        row = await inbox.row(decision_id)
        clocks = await ports.clocks()
        context = {
            "row": row, "comments": await work.comments(decision_id), "done": done, "problem": problem,
            "form": form or {}, "command_id": secrets.token_urlsafe(16), "has_more_link": False,
            "clock": clocks.get(row.location), "clocks": clocks, "reasons": list(RejectReason),
            "may_work": session.person.may(Permission.WORK, row.location),
            "may_answer": lambda each: may_answer(each, session.person),
            "guard": lambda each: guard(each, session.person, ports.currency),
            "next_steps": next_steps(clocks),
        }  # fmt: skip
        return pages.show(request, "inbox_task.html", session, context, status)

    @router.post("/inbox/tasks/{decision_id}/{act}")
    async def act(request: Request, decision_id: str, act: str, session: worker) -> Response:
        inbox, work = _ports(ports)
        if act not in ACTS:
            raise NotFound(f"Nothing is called {act} here.")
        form = await _form(request)
        by_script = "x-requested-with" in request.headers
        try:
            location = (await inbox.row(decision_id)).location
            session.person.require(Permission.WORK, location)
            form["zone"] = told_of(request).zones.get(location, "")
            await ACTS[act](work, decision_id, form, session)
        except QuartermasterError as error:
            problem = problem_of(error)
            if problem is None:
                raise
            if by_script:
                return problem_response(problem, request, str(error))
            if isinstance(error, NotFound):
                raise
            return await shown(
                request, decision_id, session, problem=str(error), form={**form, "act": act}, status=problem.status
            )
        if by_script:
            return JSONResponse({"said": DONE[act]}, headers={"Cache-Control": "no-store"})
        return RedirectResponse(link("/inbox/tasks", decision_id, done=act), HTTPStatus.SEE_OTHER)

    _views(router, ports, gate)
    _away(router, ports, gate, pages)
    return router


def _views(router: APIRouter, ports: ConsolePorts, gate: Gate) -> None:
    @router.post("/inbox/views")
    async def save(
        request: Request, session: Annotated[Session, Depends(gate.form(Permission.WORK))]
    ) -> RedirectResponse:
        form = await _form(request)
        kept = {name: text for name, text in form.items() if name not in ("csrf", "name", "shared", "view")}
        try:
            asked = sought(View(form.get("view", View.NEEDS_ME)), None, kept)
            view = SavedView(
                view_id=secrets.token_hex(8), name=form.get("name", ""), owner=session.name,
                shared=form.get("shared") == "yes", view=asked.view, filters=asked.filters,
            )  # fmt: skip
        except ValueError as error:
            raise InvalidInput("A view needs a name of at most 60 characters.") from error
        await _ports(ports)[1].save_view(view, session.actor)
        return RedirectResponse(asked.address(), HTTPStatus.SEE_OTHER)

    @router.post("/inbox/views/{view_id}/drop")
    async def drop(view_id: str, session: Annotated[Session, Depends(gate.form(Permission.WORK))]) -> RedirectResponse:
        await _ports(ports)[1].drop_view(view_id, session.actor)
        return RedirectResponse("/inbox", HTTPStatus.SEE_OTHER)


def _away(router: APIRouter, ports: ConsolePorts, gate: Gate, pages: Pages) -> None:
    async def shown(request: Request, session: Session, problem: str = "", form: Form | None = None) -> Response:
        context = {
            "substitutes": await _ports(ports)[1].substitutes(), "problem": problem, "form": form or {},
            "may_work": session.person.may(Permission.WORK) or session.person.may(Permission.MANAGE_PEOPLE),
        }  # fmt: skip
        status = HTTPStatus.UNPROCESSABLE_ENTITY if problem else HTTPStatus.OK
        return pages.show(request, "inbox_away.html", session, context, status)

    @router.get("/inbox/away")
    async def away(
        request: Request, session: Annotated[Session, Depends(gate.page(Permission.SEE))]
    ) -> Response:  # fmt: skip
        return await shown(request, session)

    @router.post("/inbox/away")
    async def name(request: Request, session: Annotated[Session, Depends(gate.form(Permission.WORK))]) -> Response:
        form = await _form(request)
        work = _ports(ports)[1]
        try:
            if form.get("act") == "drop":
                await work.drop_substitute(session.name, _day(form, "first_day"), session.actor)
            else:
                one = Substitute(
                    person=session.name, substitute=_text(form, "substitute", "Name the person who stands in for you."),
                    first_day=_day(form, "first_day"), last_day=_day(form, "last_day"),
                )  # fmt: skip
                await work.substitute(one, session.actor)
        except InvalidInput as error:
            return await shown(request, session, str(error), form)
        return RedirectResponse("/inbox/away", HTTPStatus.SEE_OTHER)


def snooze_of(form: Form) -> Snooze:
    """Until when, as the form says it; an instant without a distance from UTC is in the time zone `zone` of the form.

    Raises:
        InvalidInput: it says nothing, or more than one thing.
    """
    how = form.get("how", "")
    try:
        if how == "until":
            until = datetime.fromisoformat(form.get("until", ""))
            return Snooze(until=until if until.tzinfo else until.replace(tzinfo=place_of(form.get("zone"))))
        if how == "receipt":
            return Snooze(until_receipt=True)
        if how == "forecast":
            return Snooze(forecast_moves_percent=int(form.get("percent", "")))
    except (ValueError, OverflowError) as error:
        raise InvalidInput("Say until when: a day and time, or a share between 1 and 500 per cent.") from error
    raise InvalidInput("Say until when: an instant, the next receipt, or a change of the forecast.")


async def _form(request: Request) -> dict[str, str]:
    return {name: value for name, value in (await request.form()).items() if isinstance(value, str)}


def _text(form: Form, name: str, missing: str = "") -> str:
    try:
        said = TypeAdapter(Text).validate_python(form.get(name, ""))
    except ValidationError as error:
        raise InvalidInput("At most 1,000 characters, please.") from error
    if missing and not said:
        raise InvalidInput(missing)
    return said


def _day(form: Form, name: str) -> date:
    try:
        return date.fromisoformat(form.get(name, ""))
    except ValueError as error:
        raise InvalidInput("Name the first and the last day.") from error


def _command(form: Form) -> str:
    given = form.get("command_id", "")
    return given if 8 <= len(given) <= 100 and given.isprintable() else secrets.token_urlsafe(16)


def _ports(ports: ConsolePorts) -> tuple[Inbox, TaskWork]:
    if ports.inbox is None or ports.work is None:
        raise NotFound("In this installation tasks can only be answered.")
    return ports.inbox, ports.work
