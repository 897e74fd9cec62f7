"""REST for people: what each reference stands for, so that programs can show names and keep none."""

from typing import Annotated

from fastapi import APIRouter, Depends

from console.auth import Caller, Gate
from workflows.domain.identity import Payload
from workflows.domain.people import Permission


class NamesDocument(Payload):
    """Reference -> what the person is called; of somebody who was erased, that they are."""

    names: dict[str, str]


def routes(gate: Gate) -> APIRouter:
    """`/api/v1/names`."""
    router = APIRouter(prefix="/api/v1")

    @router.get("/names", summary="What people are called, by their references")
    async def names(_: Annotated[Caller, Depends(gate.api(Permission.SEE))]) -> NamesDocument:
        """Every other answer has references (`p-` and 12 hexadecimal digits). Look them up when they are shown, and
        keep no copy: who is erased here would live on there."""
        return NamesDocument(names=dict(await gate.sign_in.people.names()))

    return router
