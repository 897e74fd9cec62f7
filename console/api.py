"""REST for programs: the same desk, the same answers and the same rules as the pages."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel

from console.auth import Gate
from console.ports import ConsolePorts
from workflows.domain.approvals import TaskState
from workflows.domain.people import Permission
from workflows.domain.ports import BlockedRow, TaskRow

TaskFilter = Literal["open", "approved", "rejected", "expired", "voided", "all"]
Limit = Annotated[int, Query(ge=1, le=500, description="At most so many rows")]


class TaskPage(BaseModel):
    """Tasks by cost of waiting, dearest first."""

    tasks: list[TaskRow]
    next_after: str | None
    """Give it as `after` to get the page that follows; null on the last page."""


class Blocked(BaseModel):
    """What is needed and the engine may not order, newest first."""

    blocked: list[BlockedRow]


def routes(ports: ConsolePorts, gate: Gate) -> APIRouter:
    """Everything under `/api/v1`."""
    router = APIRouter(prefix="/api/v1", dependencies=[Depends(gate.api(Permission.SEE))])
    _reading(router, ports)

    @router.get("/openapi.json", include_in_schema=False)
    async def openapi(request: Request) -> dict[str, Any]:
        document: dict[str, Any] = request.app.openapi()
        return document

    return router


def _reading(router: APIRouter, ports: ConsolePorts) -> None:
    @router.get("/tasks", summary="Tasks by cost of waiting, dearest first")
    async def tasks(
        state: TaskFilter = "open",
        limit: Limit = 100,
        after: Annotated[str | None, Query(max_length=200, description="next_after of the page before")] = None,
    ) -> TaskPage:
        wanted = None if state == "all" else TaskState(state)
        rows = await ports.desk.tasks(state=wanted, limit=limit, after=after)
        return TaskPage(tasks=rows, next_after=rows[-1].decision_id if len(rows) == limit else None)

    @router.get("/blocked", summary="What is needed and the engine may not order, newest first, with the rules")
    async def blocked(limit: Limit = 100) -> Blocked:
        return Blocked(blocked=await ports.desk.blocked(limit))

    @router.get("/counts", summary="The running totals, by their glossary names")
    async def counts() -> dict[str, int]:
        return await ports.desk.counts()
