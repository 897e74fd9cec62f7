"""Errors as the caller sees them: RFC 9457 problem documents for programs, a page in words for people."""

import logging
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match

from console.auth import NotSignedIn
from console.origin import Forged, is_api
from console.rate_limits import TooMany
from console.rendering import Pages, link
from console.told import told_of
from workflows.domain.approvals import Actor
from workflows.domain.errors import (
    AlreadyAnswered,
    Conflict,
    InvalidInput,
    NotAllowed,
    NotFound,
    QuartermasterError,
    StaleProposal,
    Unavailable,
)
from workflows.domain.names import is_reference, with_names
from workflows.domain.people import MayNot, People, Person

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

log = logging.getLogger(__name__)
_DETAILS = re.compile(r": | at | \(")


class Problem(NamedTuple):
    """How one class of error is told."""

    error: type[Exception]
    name: str
    status: HTTPStatus
    title: str


NOTHING = Problem(NotFound, "not-found", HTTPStatus.NOT_FOUND, "Nothing is known under this id")
INVALID = Problem(InvalidInput, "invalid-input", HTTPStatus.UNPROCESSABLE_ENTITY, "This can never be accepted as it is")
BAD_REQUEST = Problem(RequestValidationError, "bad-request", HTTPStatus.BAD_REQUEST, "The request cannot be read")
NO_LENGTH = Problem(HTTPException, "length-required", HTTPStatus.LENGTH_REQUIRED, "The body's length is not given")
TOO_LARGE = Problem(HTTPException, "too-large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is too large")
NO_METHOD = Problem(
    HTTPException, "method-not-allowed", HTTPStatus.METHOD_NOT_ALLOWED, "Nothing can be done so at this address"
)
INTERNAL = Problem(Exception, "internal", HTTPStatus.INTERNAL_SERVER_ERROR, "Something is broken here")
PROBLEMS = (
    Problem(NotSignedIn, "not-signed-in", HTTPStatus.UNAUTHORIZED, "Sign in first"),
    Problem(TooMany, "too-many-requests", HTTPStatus.TOO_MANY_REQUESTS, "Too many requests"),
    Problem(NotAllowed, "not-allowed", HTTPStatus.FORBIDDEN, "You may not do this"),
    Problem(StaleProposal, "stale-proposal", HTTPStatus.CONFLICT, "The proposal changed"),
    Problem(AlreadyAnswered, "already-answered", HTTPStatus.CONFLICT, "Somebody answered before"),
    Problem(Conflict, "conflict", HTTPStatus.CONFLICT, "The world moved"),
    NOTHING,
    INVALID,
    Problem(Unavailable, "unavailable", HTTPStatus.SERVICE_UNAVAILABLE, "A server did not answer; try again"),
)
"""Searched in this order: the narrower class comes first. Each has an anchor of its name on the API's page."""

ALL_PROBLEMS = (BAD_REQUEST, *PROBLEMS, NO_METHOD, NO_LENGTH, TOO_LARGE, INTERNAL)
"""What the API's page explains."""
BY_STATUS = {problem.status: problem for problem in (BAD_REQUEST, NO_METHOD, NO_LENGTH, TOO_LARGE)}
"""How the framework's own refusals are told; nothing else is among them but an address where nothing is."""


def problem_of(error: Exception) -> Problem | None:
    """How this error is told; None for an error that nobody raised on purpose."""
    return next((problem for problem in PROBLEMS if isinstance(error, problem.error)), None)


def status_of(error: Exception) -> HTTPStatus:
    """The status that this error is answered with, also by a page that goes on and shows its words."""
    return (problem_of(error) or INTERNAL).status


def problem_response(
    problem: Problem, request: Request, detail: str, extra: Mapping[str, Any] | None = None
) -> JSONResponse:
    """The error as `application/problem+json`; `extra` holds the extension members."""
    body = {
        "type": f"/docs/api#{problem.name}",
        "title": problem.title,
        "status": problem.status.value,
        "detail": with_names(detail, told_of(request).names),
        "instance": request.url.path,
        **(extra or {}),
    }
    headers = {"Cache-Control": "no-store"}
    if problem.status is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if problem.status is HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = "2"
    return JSONResponse(body, problem.status, headers, media_type="application/problem+json")


def _wanted(request: Request) -> str:
    """The address that was asked for, filters and all: a shared link leads there after signing in, too."""
    query = request.url.query
    return f"{request.url.path}?{query}" if query else request.url.path


def tell_errors(app: FastAPI, pages: Pages, people: People) -> None:
    """Make the app tell every error: under /api/ to programs, elsewhere to people."""

    async def told(request: Request, error: Exception) -> Response:
        if isinstance(error, MayNot | Forged):
            await _record(people, request, error)
        problem = problem_of(error)
        if problem is None:  # ModelUnusable and its like: an operator's matter, not the caller's
            problem = INTERNAL
        if problem.error is NotSignedIn and not is_api(request):
            target = link("/sign-in", next=_wanted(request)) if request.method == "GET" else "/sign-in"
            return RedirectResponse(target, HTTPStatus.SEE_OTHER)
        answer: Response
        if is_api(request):
            answer = problem_response(problem, request, _said(problem, error))
        else:
            answer = pages.error(request, problem.status, problem.title, _said(problem, error))
        if isinstance(error, TooMany):
            answer.headers["Retry-After"] = str(error.seconds)
        return answer

    async def unreadable(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class only
        found = error.errors()
        detail = "; ".join(f"{'.'.join(str(part) for part in item['loc'][1:])}: {item['msg']}" for item in found)
        header_or_syntax = any(item["loc"][0] == "header" or item["type"] == "json_invalid" for item in found)
        problem = BAD_REQUEST if header_or_syntax else INVALID
        if is_api(request):
            return problem_response(problem, request, detail)
        return pages.error(request, problem.status, problem.title, detail)

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class only
        status = HTTPStatus(error.status_code)
        headers = dict(error.headers or {})
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            headers["Allow"] = ", ".join(_methods_at(app, request))
        answer: Response
        if is_api(request):
            problem = BY_STATUS.get(status, NOTHING)
            answer = problem_response(problem, request, str(error.detail))
        else:
            answer = pages.error(request, status, status.phrase, str(error.detail))
        answer.headers.update(headers)
        return answer

    app.add_exception_handler(QuartermasterError, told)
    app.add_exception_handler(RequestValidationError, unreadable)
    app.add_exception_handler(HTTPException, refused)


def _said(problem: Problem, error: Exception) -> str:
    """What went wrong, for whoever asked; which server it was, and where, is for the log alone."""
    if problem.status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return str(error)
    log.warning("a request could not be answered: %s", error)
    return _DETAILS.split(str(error), maxsplit=1)[0].rstrip(".") + "."


async def _record(people: People, request: Request, error: Exception) -> None:
    """Put a refused attempt of a known person on the record; where that fails, the refusal still stands."""
    person: Person | None = getattr(request.state, "person", None)
    if person is None:
        return
    actor = Actor(name=person.name, channel="api" if is_api(request) else "console")
    try:
        await people.refused(actor, f"{request.method} {_path_of(request)}", str(error))
    except QuartermasterError:
        log.exception("a refused attempt could not be recorded", extra={"person": person.name})


def _path_of(request: Request) -> str:
    """The path for the record: a name that somebody typed into it is left out, a reference is not."""
    typed = request.path_params.get("name", "")
    if not typed or is_reference(typed):
        return request.url.path
    return request.url.path.replace(f"/{typed}", "/{name}", 1)


def _methods_at(app: FastAPI, request: Request) -> list[str]:
    """All methods of all routes at the address: the framework names those of one of them only."""
    tried = (dict(request.scope) | {"method": method} for method in METHODS)
    fitting = (scope["method"] for scope in tried if any(r.matches(scope)[0] is Match.FULL for r in app.routes))
    return sorted(fitting)
