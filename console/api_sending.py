"""REST for what bounds sending, and what checks it: circuits, value caps, and reports against suppliers' own lists."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, Field

from console.api_operations import Limit, WhyBody
from console.api_problems import NOT_HERE, FreeKey
from console.auth import Caller, Gate
from console.pages.reconciliation import LARGEST, After, DifferenceId, ReportId, reports_of
from console.ports import ConsolePorts
from workflows.domain.breaker import CircuitSeen
from workflows.domain.caps import CapUsed
from workflows.domain.errors import NotFound
from workflows.domain.people import Permission
from workflows.domain.reconciliation import Difference
from workflows.domain.reconciling import Reading, Report


class CircuitsNow(BaseModel):
    """Suppliers that a request went to, those that are left alone first."""

    circuits: list[CircuitSeen]


class CapsNow(BaseModel):
    """Value caps, in each currency in which something left in their window."""

    caps: list[CapUsed]


class Reports(BaseModel):
    """The newest report of each supplier, those with unexplained differences first, and what is being read."""

    reports: list[Report]
    under_way: list[Reading]


class DifferencesPage(BaseModel):
    """Differences of one report, in its order."""

    differences: list[Difference]
    next: int | None = Field(
        default=None, le=LARGEST, description="Give it as `after` to get the page that follows; null on the last page"
    )


class Explained(BaseModel):
    """A difference that somebody explained."""

    difference_id: str
    explained: str


def routes(ports: ConsolePorts, gate: Gate) -> APIRouter:
    """`/api/v1/circuits`, `/caps`, `/reconciliations` and `/differences`."""
    router = APIRouter(prefix="/api/v1")
    seeing = [Depends(gate.api())]

    @router.get("/circuits", summary="Which suppliers answer, and when the others are asked again", responses=NOT_HERE,
                dependencies=seeing)  # fmt: skip
    async def circuits() -> CircuitsNow:
        if ports.circuits is None:
            raise NotFound("This installation does not show which suppliers answer.")
        return CircuitsNow(circuits=await ports.circuits.circuits())

    @router.get("/caps", summary="How much of the value caps is used now", responses=NOT_HERE, dependencies=seeing)
    async def caps() -> CapsNow:
        if ports.caps is None:
            raise NotFound("This installation does not show its value caps.")
        return CapsNow(caps=await ports.caps.used())

    @router.get("/reconciliations", summary="Our orders against each supplier's own list: the newest reports",
                responses=NOT_HERE, dependencies=seeing)  # fmt: skip
    async def newest() -> Reports:
        desk = reports_of(ports)
        return Reports(reports=await desk.newest(), under_way=await desk.under_way())

    @router.get("/reconciliations/{report_id}", summary="One finished report", responses=NOT_HERE, dependencies=seeing)
    async def report(report_id: Annotated[ReportId, Path()]) -> Report:
        return await reports_of(ports).report(report_id)

    @router.get("/reconciliations/{report_id}/differences", summary="What differs, in the order of the report",
                responses=NOT_HERE, dependencies=seeing)  # fmt: skip
    async def differences(
        report_id: Annotated[ReportId, Path()], limit: Limit = 100, after: After = 0
    ) -> DifferencesPage:
        found = await reports_of(ports).differences(report_id, after=after, limit=limit + 1)
        return DifferencesPage(differences=found[:limit], next=after + limit if len(found) > limit else None)

    @router.post("/differences/{difference_id}/explain", summary="Say why a difference is no fault")  # fmt: skip
    async def explain(
        difference_id: Annotated[DifferenceId, Path()], body: WhyBody, key: FreeKey,
        caller: Annotated[Caller, Depends(gate.api(Permission.OPERATE))],
    ) -> Explained:  # fmt: skip
        """One line, for this report and every later one. The first word counts: another one is refused with 409."""
        await reports_of(ports).explain(difference_id, body.reason, caller.actor)
        return Explained(difference_id=difference_id, explained=body.reason)

    return router
