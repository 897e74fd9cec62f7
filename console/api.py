"""REST for programs: the same desk, the same answers and the same rules as the pages."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel

from console.auth import Gate
from console.ports import ConsolePorts
from workflows.domain.desk import BlockedRow
from workflows.domain.people import Permission

Limit = Annotated[int, Query(ge=1, le=500, description="At most so many rows")]


class Blocked(BaseModel):
    """What is needed and the engine may not order, newest first."""

    blocked: list[BlockedRow]


def routes(ports: ConsolePorts, gate: Gate) -> APIRouter:
    """Everything under `/api/v1`."""
    router = APIRouter(prefix="/api/v1", dependencies=[Depends(gate.api(Permission.SEE))])
    _reading(router, ports)

    @router.get("/openapi.json", include_in_schema=False)
    def openapi(request: Request) -> dict[str, Any]:
        # Not `async`: the first one takes a second or two to make, and nobody else shall wait for it.
        document: dict[str, Any] = request.app.openapi()
        return document

    return router


def _reading(router: APIRouter, ports: ConsolePorts) -> None:
    @router.get("/blocked", summary="What is needed and the engine may not order, newest first, with the rules")
    async def blocked(limit: Limit = 100) -> Blocked:
        return Blocked(blocked=await ports.desk.blocked(limit))

    @router.get("/counts", summary="The running totals, by their glossary names")
    async def counts() -> dict[str, int]:
        return await ports.desk.counts()
