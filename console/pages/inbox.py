"""The inbox: what needs a person, dearest to leave waiting first."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response

from console.auth import Gate, Session
from console.ports import ConsolePorts
from console.rendering import Pages
from workflows.domain.approvals import TaskState
from workflows.domain.people import Permission
from workflows.domain.ports import DecisionView

PAGE = 50
"""Tasks on one page."""


def routes(ports: ConsolePorts, gate: Gate, pages: Pages) -> APIRouter:
    """`/inbox`: the state and the page are in the address, so that a list can be shared."""
    router = APIRouter(include_in_schema=False)

    @router.get("/inbox")
    async def inbox(
        request: Request,
        session: Annotated[Session, Depends(gate.page(Permission.SEE))],
        state: TaskState = TaskState.OPEN,
        after: Annotated[str | None, Query(max_length=200)] = None,
        answered: Annotated[str | None, Query(max_length=200)] = None,
        heard: Literal["yes", "not yet"] = "not yet",
    ) -> Response:
        tasks = await ports.desk.tasks(state=state, limit=PAGE, after=after)
        context = {
            "invented": await ports.invented(),
            "tasks": tasks,
            "blocked": await ports.desk.blocked(PAGE) if state is TaskState.OPEN and not after else [],
            "state": state,
            "states": list(TaskState),
            "after": after,
            "next_after": tasks[-1].decision_id if len(tasks) == PAGE else None,
            "clocks": await ports.clocks(),
            "receipt": _receipt(await ports.desk.decision(answered), heard == "yes") if answered else None,
        }
        return pages.show(request, "inbox.html", session, context)

    return router


def _receipt(view: DecisionView, heard: bool) -> dict[str, object] | None:
    """What became of the answer that was just given: recorded, and whether the workflow has heard of it."""
    standing = [approval for approval in view.approvals if not approval.get("voided_at")]
    if not standing:
        return None
    return {"id": view.decision.decision_id, "approval": standing[-1], "heard": heard}
