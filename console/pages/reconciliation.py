"""Our orders against each supplier's own list: the newest reports, what differs, and a word why it is no fault."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Path, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import StringConstraints

from console.auth import Gate, Session
from console.ports import ConsolePorts
from console.problems import status_of
from console.rendering import Pages, link
from console.tables import table_download
from console.words import Word
from workflows.domain.approvals import STORABLE
from workflows.domain.errors import Conflict, InvalidInput, NotFound
from workflows.domain.people import Permission
from workflows.domain.reconciliation import Difference, DifferenceKind
from workflows.domain.reconciling import ReconciliationDesk

ROWS = 100
LARGEST = 2**31 - 1
DOWNLOADED = 10_000
"""Differences of one CSV file, the first of the report."""
KINDS: dict[str, Word] = {
    DifferenceKind.MISSING: Word("Missing there", "alert", "bad"),
    DifferenceKind.DUPLICATE: Word("Twice there", "alert", "bad"),
    DifferenceKind.MISMATCH: Word("Other contents", "scales", "warn"),
    DifferenceKind.UNKNOWN_ORIGIN: Word("Not ours", "alert", "warn"),
    DifferenceKind.NOT_ORDERED: Word("Not ordered by us", "alert", "bad"),
    DifferenceKind.IN_DOUBT: Word("In doubt", "alert", "warn"),
}
COLUMNS = (
    "difference_id", "kind", "key", "order_id", "supplier_number", "says", "explained", "explained_by"
)  # fmt: skip
ReportId = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=STORABLE)]
DifferenceId = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[0-9a-f]+$")]
After = Annotated[int, Query(ge=0, le=LARGEST, description="`next` of the page before")]


def reports_of(ports: ConsolePorts) -> ReconciliationDesk:
    """Where reports are.

    Raises:
        NotFound: this installation shows none.
    """
    if ports.reconciliations is None:
        raise NotFound("This installation does not compare its orders with suppliers' lists.")
    return ports.reconciliations


def routes(ports: ConsolePorts, gate: Gate, pages: Pages) -> APIRouter:
    """`/reconciliation`."""
    router = APIRouter(include_in_schema=False, prefix="/reconciliation")
    See = Annotated[Session, Depends(gate.page(Permission.SEE))]

    @router.get("")
    async def newest(request: Request, session: See) -> Response:
        desk = reports_of(ports)
        context = {"reports": await desk.newest(), "under_way": await desk.under_way()}
        return pages.show(request, "reconciliation.html", session, context)

    async def shown(
        request: Request, session: Session, report_id: str, after: int, problem: Exception | None = None,
        about: str = "", typed: str = "",
    ) -> Response:  # fmt: skip
        desk = reports_of(ports)
        report = await desk.report(report_id)
        found = await desk.differences(report_id, after=after, limit=ROWS + 1)
        context = {
            "report": report, "differences": found[:ROWS], "after": after, "kinds": KINDS,
            "may": session.person.may(Permission.OPERATE), "problem": "" if problem is None else str(problem),
            "about": about, "typed": typed, "downloaded": DOWNLOADED,
            "next": link("/reconciliation", report_id, after=after + ROWS) if len(found) > ROWS else None,
        }  # fmt: skip
        status = HTTPStatus.OK if problem is None else status_of(problem)
        answer = pages.show(request, "reconciliation_report.html", session, context)
        answer.status_code = status
        return answer

    @router.get("/{report_id}")
    async def report(
        request: Request, report_id: Annotated[ReportId, Path()], session: See, after: After = 0
    ) -> Response:
        return await shown(request, session, report_id, after)

    @router.get("/{report_id}/differences.csv")
    async def download(report_id: Annotated[ReportId, Path()], session: See) -> Response:
        found: list[Difference] = []
        while len(found) < DOWNLOADED:
            page = await reports_of(ports).differences(report_id, after=len(found), limit=1_000)
            found += page
            if len(page) < 1_000:
                break
        rows = (tuple(getattr(one, name) for name in COLUMNS) for one in found)
        return table_download("differences.csv", COLUMNS, rows)

    @router.post("/{report_id}/differences/{difference_id}")
    async def explain(
        request: Request,
        report_id: Annotated[ReportId, Path()],
        difference_id: Annotated[DifferenceId, Path()],
        session: Annotated[Session, Depends(gate.form(Permission.OPERATE))],
        reason: Annotated[str, Form()] = "",
        after: Annotated[int, Form(ge=0, le=LARGEST)] = 0,
    ) -> Response:
        try:
            await reports_of(ports).explain(difference_id, reason, session.actor)
        except (Conflict, InvalidInput) as error:
            return await shown(request, session, report_id, after, error, difference_id, reason)
        address = link("/reconciliation", report_id, after=after or None)
        return RedirectResponse(f"{address}#d-{difference_id}", 303)

    return router
