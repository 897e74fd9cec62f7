"""The inbox: what needs a person, dearest to leave waiting first; view, filters and page are in the address."""

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse

from console.auth import Gate, Session
from console.formats import moment
from console.inbox_views import (
    FAILED,
    VIEWS,
    Sought,
    ages_in_words,
    guard,
    may_answer,
    next_runs,
    next_steps,
    old_places,
    page_of,
    shown_count,
    sought,
)
from console.pages import inbox_bulk, inbox_work
from console.ports import ConsolePorts
from console.rendering import Pages
from workflows.domain.approvals import RejectReason, TaskState
from workflows.domain.desk import DecisionView
from workflows.domain.errors import NotFound
from workflows.domain.inbox import View
from workflows.domain.people import Permission

BLOCKED = 50
"""Blocked proposals on one page."""
FILTERS = ("text", "location", "supplier", "category", "rule", "claimed_by", "state")


def routes(ports: ConsolePorts, gate: Gate, pages: Pages) -> APIRouter:
    """`/inbox`, its list alone, one row alone: the last two are what a script replaces."""
    router = APIRouter(include_in_schema=False)
    signed_in = Annotated[Session, Depends(gate.page(Permission.SEE))]
    shows = InboxShown(ports)

    def asked(
        request: Request, view: View = View.NEEDS_ME, after: Annotated[str | None, Query(max_length=600)] = None
    ) -> Sought:
        given = request.query_params
        return sought(view, after, {name: given[name] for name in FILTERS if name in given})

    @router.get("/inbox")
    async def inbox(
        request: Request,
        session: signed_in,
        view: Annotated[str, Query(max_length=40)] = View.NEEDS_ME,
        answered: Annotated[str | None, Query(max_length=200)] = None,
        heard: Literal["yes", "not yet"] = "not yet",
        after: Annotated[str | None, Query(max_length=600)] = None,
    ) -> Response:
        if view == FAILED:
            return await failed(request, session)
        if view not in tuple(View):
            return RedirectResponse("/inbox", 303)
        wanted = asked(request, View(view), after)
        receipt = _receipt(await ports.desk.decision(answered), heard == "yes", session.name) if answered else None
        context = {
            **await shows.frame(session, view),
            **await shows.list(session, wanted),
            "blocked": await ports.desk.blocked(BLOCKED) if view == View.NEEDS_ME and not after else [],
            "choices": await ports.inbox.choices() if ports.inbox else {},
            "receipt": receipt,
            "reasons": list(RejectReason),
            "live": ports.live is not None,
        }
        return pages.show(request, "inbox.html", session, context)

    async def failed(request: Request, session: Session) -> Response:
        orders = await ports.inbox.failed() if ports.inbox else []
        context = {
            **await shows.frame(session, FAILED), "orders": orders,
            "may_act": ports.stops is not None and session.person.may(Permission.OPERATE),
            "asked": Sought(View.NEEDS_ME, sought(View.NEEDS_ME, None, {}).filters, None),
        }  # fmt: skip
        return pages.show(request, "inbox_failed.html", session, context)

    @router.get("/inbox/list")
    async def only_list(request: Request, session: signed_in, wanted: Annotated[Sought, Depends(asked)]) -> Response:
        return pages.show(request, "inbox_list.html", session, await shows.list(session, wanted))

    @router.get("/inbox/rows/{decision_id}")
    async def only_row(request: Request, decision_id: str, session: signed_in) -> Response:
        if ports.inbox is None:
            raise NotFound("This installation has no views of its tasks.")
        row = await ports.inbox.row(decision_id)
        context = {**await shows.facts(session), "row": row, "answered": row.state is not TaskState.OPEN}
        return pages.show(request, "inbox_row.html", session, context)

    router.include_router(inbox_work.routes(ports, gate, pages))
    router.include_router(inbox_bulk.routes(ports, gate, pages))
    return router


class InboxShown:
    """What the inbox's templates are given."""

    def __init__(self, ports: ConsolePorts) -> None:
        self._ports = ports

    async def frame(self, session: Session, view: str) -> dict[str, object]:
        """The pane of views with their counts, and how old the data is."""
        ports, person = self._ports, session.person
        counts = await ports.inbox.counts(person) if ports.inbox else {}
        clocks = await ports.clocks()
        agreed = timedelta(hours=(await ports.policies.current()).policy.stale_after_hours) if clocks else timedelta()
        failed = len(await ports.inbox.failed()) if ports.inbox else 0
        return {
            "view": view,
            "views": [(each.value, title, shown_count(counts.get(each))) for each, title in VIEWS.items()],
            "title": "Failed to order" if view == FAILED else VIEWS[View(view)],
            "failed_count": f"{failed}{'+' if failed == 100 else ''}",
            "saved": await ports.work.saved_views(person) if ports.work else [],
            "total": counts.get(View(view)) if view != FAILED else None,
            "behind": ages_in_words(old_places(clocks, agreed, live=ports.live_clocks)),
            "has_work": ports.work is not None,
        }

    async def list(self, session: Session, asked: Sought) -> dict[str, object]:
        """The rows and where the next page begins."""
        page = await page_of(self._ports, asked, session.person)
        return {
            **await self.facts(session), "asked": asked, "rows": page.rows, "next_after": page.after,
            "answered": asked.view is View.ANSWERED,
        }  # fmt: skip

    async def facts(self, session: Session) -> Mapping[str, object]:
        """What each row is shown with."""
        clocks = await self._ports.clocks()
        return {
            "clocks": clocks,
            "next_runs": next_runs(clocks),
            "guard": lambda row: guard(row, session.person, self._ports.currency),
            "may_answer": lambda row: may_answer(row, session.person),
            "next_steps": next_steps(clocks),
        }


def _receipt(view: DecisionView, heard: bool, name: str) -> dict[str, object] | None:
    """What became of the answer that was just given: recorded, whether the workflow has heard of it, and for how many
    seconds whoever gave it may still take it back."""
    standing = [approval for approval in view.approvals if not approval.get("voided_at")]
    if not standing:
        return None
    until = moment(standing[-1].get("undo_until"))
    left = (until - datetime.now(UTC)).total_seconds() if until and standing[-1]["actor"] == name else 0
    return {
        "id": view.decision.decision_id, "approval": standing[-1], "heard": heard, "undo_seconds": max(0, int(left)),
        "command_id": secrets.token_urlsafe(16),
    }  # fmt: skip
