"""Errors as the caller sees them: RFC 9457 problem documents for programs, a page in words for people."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from starlette.exceptions import HTTPException

from console.auth import NotSignedIn
from console.origin import Forged
from console.rate_limits import TooMany
from console.rendering import Pages, link
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
from workflows.domain.people import MayNot, People, Person

log = logging.getLogger(__name__)


class Problem(NamedTuple):
    """How one class of error is told."""

    error: type[Exception]
    name: str
    status: HTTPStatus
    title: str


INVALID = Problem(InvalidInput, "invalid-input", HTTPStatus.UNPROCESSABLE_ENTITY, "This can never be accepted as it is")
BAD_REQUEST = Problem(RequestValidationError, "bad-request", HTTPStatus.BAD_REQUEST, "The request cannot be read")
PROBLEMS = (
    Problem(NotSignedIn, "not-signed-in", HTTPStatus.UNAUTHORIZED, "Sign in first"),
    Problem(TooMany, "too-many-requests", HTTPStatus.TOO_MANY_REQUESTS, "Too many requests"),
    Problem(NotAllowed, "not-allowed", HTTPStatus.FORBIDDEN, "You may not do this"),
    Problem(StaleProposal, "stale-proposal", HTTPStatus.CONFLICT, "The proposal changed"),
    Problem(AlreadyAnswered, "already-answered", HTTPStatus.CONFLICT, "Somebody answered before"),
    Problem(Conflict, "conflict", HTTPStatus.CONFLICT, "The world moved"),
    Problem(NotFound, "not-found", HTTPStatus.NOT_FOUND, "Nothing is known under this id"),
    INVALID,
    Problem(Unavailable, "unavailable", HTTPStatus.SERVICE_UNAVAILABLE, "A server did not answer; try again"),
)
"""Searched in this order: the narrower class comes first. Each has an anchor of its name on the API's page."""


def problem_of(error: Exception) -> Problem | None:
    """How this error is told; None for an error that nobody raised on purpose."""
    return next((problem for problem in PROBLEMS if isinstance(error, problem.error)), None)


def problem_response(
    problem: Problem, request: Request, detail: str, extra: Mapping[str, Any] | None = None
) -> JSONResponse:
    """The error as `application/problem+json`; `extra` holds the extension members."""
    body = {
        "type": f"/docs/api#{problem.name}",
        "title": problem.title,
        "status": problem.status.value,
        "detail": detail,
        "instance": request.url.path,
        **(extra or {}),
    }
    headers = {"Cache-Control": "no-store"}
    if problem.status is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if problem.status is HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = "2"
    return JSONResponse(body, problem.status, headers, media_type="application/problem+json")


def tell_errors(app: FastAPI, pages: Pages, people: People) -> None:
    """Make the app tell every error: under /api/ to programs, elsewhere to people."""

    async def told(request: Request, error: Exception) -> Response:
        if isinstance(error, MayNot | Forged):
            await _record(people, request, error)
        problem = problem_of(error)
        if problem is None:  # ModelUnusable and its like: an operator's matter, not the caller's
            problem = Problem(type(error), "internal", HTTPStatus.INTERNAL_SERVER_ERROR, "Something is broken here")
        if problem.error is NotSignedIn and not _is_api(request):
            target = link("/sign-in", next=request.url.path) if request.method == "GET" else "/sign-in"
            return RedirectResponse(target, HTTPStatus.SEE_OTHER)
        answer: Response
        if _is_api(request):
            answer = problem_response(problem, request, str(error))
        else:
            answer = pages.error(request, problem.status, problem.title, str(error))
        if isinstance(error, TooMany):
            answer.headers["Retry-After"] = str(error.seconds)
        return answer

    async def unreadable(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class only
        found = error.errors()
        detail = "; ".join(f"{'.'.join(str(part) for part in item['loc'][1:])}: {item['msg']}" for item in found)
        header_or_syntax = any(item["loc"][0] == "header" or item["type"] == "json_invalid" for item in found)
        problem = BAD_REQUEST if header_or_syntax else INVALID
        if _is_api(request):
            return problem_response(problem, request, detail)
        return pages.error(request, problem.status, problem.title, detail)

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class only
        status = HTTPStatus(error.status_code)
        detail = str(error.detail)
        if _is_api(request):
            problem = Problem(HTTPException, status.phrase.lower().replace(" ", "-"), status, status.phrase)
            return problem_response(problem, request, detail)
        return pages.error(request, status, status.phrase, detail)

    app.add_exception_handler(QuartermasterError, told)
    app.add_exception_handler(RequestValidationError, unreadable)
    app.add_exception_handler(HTTPException, refused)


async def _record(people: People, request: Request, error: Exception) -> None:
    """Put a refused attempt of a known person on the record; where that fails, the refusal still stands."""
    person: Person | None = getattr(request.state, "person", None)
    if person is None:
        return
    actor = Actor(name=person.name, channel="api" if _is_api(request) else "console")
    try:
        await people.refused(actor, f"{request.method} {request.url.path}", str(error))
    except QuartermasterError:
        log.exception("a refused attempt could not be recorded", extra={"person": person.name})


def _is_api(request: Request) -> bool:
    return request.url.path.startswith("/api/")
