"""The API's own page: its operations and problems from the same OpenAPI document that programs get, without a CDN."""

from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Depends, Request, Response

from console.auth import Gate, Session
from console.problems import BAD_REQUEST, PROBLEMS
from console.rendering import Pages
from workflows.domain.people import Permission


class Operation(NamedTuple):
    """One operation of the API, as the page lists it."""

    method: str
    path: str
    summary: str
    description: str
    parameters: list[dict[str, Any]]
    body: list[str]
    """The names of the JSON body's fields."""


def routes(gate: Gate, pages: Pages) -> APIRouter:
    """`/docs/api`; the types of problem documents point into it."""
    router = APIRouter(include_in_schema=False)

    @router.get("/docs/api")
    async def docs(request: Request, session: Annotated[Session, Depends(gate.page(Permission.SEE))]) -> Response:
        context = {"operations": _operations(request.app.openapi()), "problems": (BAD_REQUEST, *PROBLEMS)}
        return pages.show(request, "api_docs.html", session, context)

    return router


def _operations(document: dict[str, Any]) -> list[Operation]:
    operations = []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            schema = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
            body = list(document["components"]["schemas"][schema]["properties"]) if schema else []
            operations.append(
                Operation(
                    method.upper(), path, operation["summary"], operation.get("description", ""),
                    operation.get("parameters", []), body,
                )
            )  # fmt: skip
    return operations
