"""REST for models: the versions, one version's record, and the two changes that a person may make."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel

from console.api_problems import FreeKey, told
from console.auth import Caller, Gate
from console.ports import ConsolePorts
from workflows.domain.errors import NotFound
from workflows.domain.model_history import RECORD_DEFINITIONS, ModelEvent, TurnedOut
from workflows.domain.models import ModelVersion
from workflows.domain.monitoring import DEFINITIONS, DriftView
from workflows.domain.people import Permission

DigestPart = Annotated[str, Path(pattern=r"^[0-9a-f]{8,64}$", description="A digest, or an unambiguous beginning")]


class Models(BaseModel):
    """Model versions, newest first."""

    models: list[ModelVersion]
    next: int | None
    """What `after` takes to go on; null on the last page."""


class ModelDocument(BaseModel):
    """One version, its life and how its forecasts turned out, with what the figures count."""

    model: ModelVersion
    events: list[ModelEvent]
    turned_out: list[TurnedOut]
    definitions: dict[str, str]


class Drift(DriftView):
    """What is watched for drift: the newest business day's readings by segment, and the alarms, open ones first."""

    definitions: dict[str, str]
    """Statistic -> what its value is, in words."""


def routes(ports: ConsolePorts, gate: Gate) -> APIRouter:
    """`/api/v1/models...` and `/api/v1/drift`."""
    router = APIRouter(prefix="/api/v1")
    Reader = Annotated[Caller, Depends(gate.api(Permission.SEE))]
    Promoter = Annotated[Caller, Depends(gate.api(Permission.PROMOTE))]

    async def version_of(digest: str) -> ModelVersion:
        found = await ports.models.find(digest)
        if found is None:
            raise NotFound(f"No model version, or more than one, begins with {digest}.")
        return found

    @router.get("/models", summary="Model versions, newest first")
    async def models(
        _: Reader, limit: Annotated[int, Query(ge=1, le=500)] = 100,
        after: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="`next` of the page before")] = None,
    ) -> Models:  # fmt: skip
        versions = [one for one in await ports.models.versions() if after is None or one.number < after]
        return Models(models=versions[:limit], next=versions[limit - 1].number if len(versions) > limit else None)

    @router.get("/models/{digest}", summary="One version, its life and its record")
    async def model(_: Reader, digest: DigestPart) -> ModelDocument:
        version, history = await version_of(digest), ports.model_history
        return ModelDocument(
            model=version,
            events=await history.events(version.digest) if history else [],
            turned_out=await history.turned_out(version.digest) if history else [],
            definitions=dict(RECORD_DEFINITIONS),
        )

    @router.post(
        "/models/{digest}/promote", summary="Make a version that passed the gate the champion",
        responses={409: told("The gate refused it, or has not looked at it")},
    )  # fmt: skip
    async def promote(caller: Promoter, digest: DigestPart, idempotency_key: FreeKey) -> ModelVersion:
        """Promoting the champion again changes nothing, whatever the key."""
        version = await version_of(digest)
        return await ports.models.promote(version.digest, caller.actor.name)

    @router.get("/drift", summary="Drift statistics of the newest business day and the alarms, with their definitions")
    async def drift(_: Reader) -> Drift:
        return Drift(**dict(await ports.drift()), definitions={name: words for name, (_, words) in DEFINITIONS.items()})

    return router
