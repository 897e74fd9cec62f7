"""Who could approve what on a day and who did, and what the engine kept from happening: from the ledger alone."""

from datetime import UTC, date, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from console.auth import Gate, Session
from console.pages.audit_take import day_of
from console.rendering import Pages
from workflows.domain.access_review import CONFLICTS, DAYS, QUICK_SECONDS, place_of
from workflows.domain.access_rows import COLUMNS, rows
from workflows.domain.auditing import RecordReviews
from workflows.domain.controls import BLOCKED
from workflows.domain.errors import InvalidInput, NotFound
from workflows.domain.people import Permission
from workflows.domain.tables import write_table

SHOWN = 50
"""Attempts that the page lists, the newest; a population has all of them."""
LONGEST = timedelta(days=731)
Given = Annotated[str, Query(max_length=20)]


def reviews_of(reviews: RecordReviews | None) -> RecordReviews:
    """Whoever reviews.

    Raises:
        NotFound: this installation does not.
    """
    if reviews is None:
        raise NotFound("This installation reviews no access here.")
    return reviews


def days_of(since: date | None, on: date | None) -> tuple[date, date]:
    """The period that is looked at: by default up to today, and `DAYS` back.

    Raises:
        InvalidInput: it ends before it begins, or is longer than a page looks at.
    """
    last = on or datetime.now(UTC).date()
    first = since or last - timedelta(days=min(DAYS, last.toordinal() - 1))
    if last < first:
        raise InvalidInput(f"the last day, {last}, lies before the first, {first}")
    if last - first > LONGEST or last > datetime.now(UTC).date() + timedelta(days=1):
        raise InvalidInput(
            f"at most {LONGEST.days} days up to today are looked at here; `quartermaster audit access` looks at any"
        )
    return first, last


def routes(reviews: RecordReviews | None, gate: Gate, pages: Pages) -> APIRouter:
    """`/audit/access` and `/audit/access.csv`."""
    router = APIRouter(include_in_schema=False, prefix="/audit")
    AuditSession = Annotated[Session, Depends(gate.page(Permission.AUDIT))]

    def asked(since: str, on: str) -> tuple[date, date]:
        return days_of(day_of(since, "the first day") if since else None, day_of(on, "the day") if on else None)

    @router.get("/access")
    async def access(request: Request, session: AuditSession, on: Given = "", since: Given = "") -> Response:
        context: dict[str, Any] = {
            "problem": "", "review": None, "controls": None, "on": on, "since": since, "place_of": place_of,
            "conflict_words": CONFLICTS, "blocked_words": {str(kind): text for kind, text in BLOCKED.items()},
            "quick": QUICK_SECONDS, "shown": SHOWN, "minutes": lambda seconds: str(timedelta(seconds=seconds)),
        }  # fmt: skip
        try:
            first, last = asked(since, on)
        except InvalidInput as error:
            context["problem"] = str(error)
            return pages.show(request, "audit_access.html", session, context, HTTPStatus.UNPROCESSABLE_ENTITY)
        desk = reviews_of(reviews)
        review = await desk.review(last, first, session.actor)
        context |= {"review": review, "controls": await desk.controls(first, last, session.actor),
                    "on": last, "since": first}  # fmt: skip
        return pages.show(request, "audit_access.html", session, context)

    @router.get("/access.csv")
    async def access_csv(session: AuditSession, on: Given = "", since: Given = "") -> Response:
        first, last = asked(since, on)
        review = await reviews_of(reviews).review(last, first, session.actor)
        headers = {"Content-Disposition": f'attachment; filename="access-{last}.csv"', "Cache-Control": "no-store"}
        return Response("".join(write_table(COLUMNS, rows(review))), media_type="text/csv; charset=utf-8",
                        headers=headers)  # fmt: skip

    return router
