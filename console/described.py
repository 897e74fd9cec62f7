"""The API's description, made whole: every refusal that an operation can give, who may call it, its tag and its name.

Routes say what is theirs alone. What follows from their doors and parameters is said here once, for all of them.
"""

from collections.abc import Iterator
from threading import Lock
from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from console.api_bounds import BOUNDS
from console.api_examples import EXAMPLES, Example
from console.api_problems import MEDIA_TYPE, Problem
from console.auth import SECURE_COOKIE, Door
from console.rate_limits import SAFE_METHODS
from workflows.domain.people import Permission

API = "/api/v1"
DESCRIPTION = """\
Tasks, decisions, orders and models of a replenishment engine. Programs act as a person, with that person's rights.

**Signing in.** `Authorization: Bearer <token>`; a person makes tokens on the page *Account*, an operator with
`quartermaster people token`. Scripts of the console's own pages send the session's cookie, and with a change also
`X-Requested-With`.

**Pages of lists.** A list takes `limit`, and its answer has `next`: give it as `after` to get the page that follows; it
is null on the last page. Pages neither skip nor repeat rows that do not move. Lists without `after` say how many
entries they have at most.

**People.** Answers name people by references, `p-` and 12 hexadecimal digits; `GET /api/v1/names` says what each is
called now. Where a person is given, a reference and a name both do.

**Repeating.** Every POST takes `Idempotency-Key`, 8 to 100 characters of yours, so that a request may be sent again
when its answer was lost. Each operation says whether the key is kept.

**Problems.** Errors are `application/problem+json` (RFC 9457); `type` is stable.

Amounts of money are decimal strings beside their currency, instants are UTC.
"""
TAGS = {
    "tasks": "What waits for a person, and answering it",
    "views": "Saved views of the inbox, who stands in for whom, and what people are called",
    "decisions": "What was decided, why, and what else could have been",
    "orders": "Purchase orders from the line to the receipt, orders in doubt, suppliers' own lists",
    "stock": "Positions, demand, sales and forecasts",
    "figures": "Key figures with their definitions; money; what if",
    "models": "Model versions and drift",
    "policy": "The policy in force and changes of it",
    "ledger": "The record for auditors; reading it is recorded",
    "operations": "Stop switches, caps, circuits, dead letters, events and health",
    "files": "Exchange with spreadsheets as text/csv",
}
_TAG_OF = {
    "substitutes": "views", "names": "views", "positions": "stock", "demand": "stock", "sales": "stock",
    "forecasts": "stock",
    "kpis": "figures", "money": "figures", "what-if": "figures", "budget": "figures", "counts": "figures",
    "drift": "models", "deliveries": "orders", "blocked": "decisions", "stops": "operations",
    "dead-letters": "operations", "events": "operations", "health": "operations", "circuits": "operations",
    "caps": "operations", "doubts": "orders", "reconciliations": "orders", "differences": "orders",
    "waiting-orders": "orders", "redrives": "operations",
}  # fmt: skip
"""By the first part of the path, where it is not a tag itself."""
USUAL = {
    400: "The request cannot be read, or has no Idempotency-Key",
    401: "Nobody is signed in, or the token is not valid (any more)",
    403: "This person may not do it",
    404: "Nothing is known of it, or this installation does not show it",
    409: "The world is not what the caller thought it was; nothing was done",
    411: "The body's length is not given",
    413: "The body is too large",
    422: "This can never be accepted as it is",
    429: "Too many requests; `Retry-After` says when there is room again",
    503: "A server did not answer; the same request may be sent again",
}
_HEADERS = {401: "WWW-Authenticate", 429: "Retry-After", 503: "Retry-After"}


class Described(FastAPI):
    """An app that tells programs all of what they can meet."""

    _one_at_a_time = Lock()

    def openapi(self) -> dict[str, Any]:
        """The description of everything under `/api/v1`; made once, whichever threads ask."""
        with self._one_at_a_time:
            document = super().openapi()
            if "securitySchemes" not in document["components"]:
                _complete(document, {(method, route.path): route for method, route in ways(self.routes)})
            return document


def ways(routes: Any) -> Iterator[tuple[str, APIRoute]]:
    """Every described operation: its method in small letters, and its route."""
    for route in routes:
        if isinstance(route, APIRoute):
            if route.include_in_schema and route.path.startswith(API):
                yield from ((method.lower(), route) for method in sorted(route.methods or ()))
        elif hasattr(route, "original_router"):
            yield from ways(route.original_router.routes)


def refusals(method: str, route: APIRoute) -> set[int]:
    """The statuses with which what the route depends on can refuse a request."""
    doors, found = list(_doors(route.dependant)), set[int]()
    headers, body = _has(route.dependant, "header_params"), route.body_field is not None or bool(route.openapi_extra)
    if doors:
        found |= {401, 429, 503}
    if any(door.permission is not None for door in doors):
        found.add(403)
    if any(door.permission not in (None, Permission.SEE, Permission.AUDIT) for door in doors):
        found.add(409)
    if _has(route.dependant, "path_params"):
        found.add(404)
    if body:
        found |= {411, 413}
    if headers or body or method.upper() not in SAFE_METHODS:
        found.add(400)
    if headers or body or _has(route.dependant, "path_params") or _has(route.dependant, "query_params"):
        found.add(422)
    return found


def _doors(dependant: Dependant) -> Iterator[Door[Any]]:
    for one in dependant.dependencies:
        if isinstance(one.call, Door):
            yield one.call
        yield from _doors(one)


def _has(dependant: Dependant, kind: str) -> bool:
    return bool(getattr(dependant, kind)) or any(_has(one, kind) for one in dependant.dependencies)


def _complete(document: dict[str, Any], routes: dict[tuple[str, str], APIRoute]) -> None:
    components = document["components"]
    schemas = components["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):  # FastAPI's own; ours are problems
        schemas.pop(name, None)
    schemas.setdefault("Problem", Problem.model_json_schema(ref_template="#/components/schemas/{model}"))
    for (name, field), words in BOUNDS.items():
        if field in (properties := schemas.get(name, {}).get("properties", {})):
            properties[field]["description"] = " ".join(filter(None, [properties[field].get("description"), words]))
    components["responses"] = {f"Problem{status}": _answer(status, words) for status, words in USUAL.items()}
    components["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "Made on the page Account; acts as its person"},
        "session": {
            "type": "apiKey", "in": "cookie", "name": SECURE_COOKIE,
            "description": "Of a browser that signed in; `qm_session` where the console's address is plain http. "
            "Changes need the header `X-Requested-With` too.",
        },
    }  # fmt: skip
    document["tags"] = [{"name": name, "description": words} for name, words in TAGS.items()]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            part = path.removeprefix(API).split("/")[1]
            operation["tags"] = [_TAG_OF.get(part, part)]
            operation["operationId"] = _name(method, path)
            operation["security"] = [{"token": []}, {"session": []}]
            _refuse(operation["responses"], refusals(method, routes[method, path]))
            if (example := EXAMPLES.get((method, path))) is not None:
                _exemplify(operation, example)


def _name(method: str, path: str) -> str:
    """`get_tasks`, `get_tasks_by_decision_id`, `post_tasks_verdict`: from the address, so that it stays."""
    parts = path.removeprefix(API).strip("/").replace("-", "_").replace(".", "_").split("/")
    fixed = [part for part in parts if not part.startswith("{")]
    last = [part.strip("{}") for part in parts[len(parts) - _trailing(parts) :]]
    return "_".join([method, *fixed, *(["by", *last] if last else [])])


def _trailing(parts: list[str]) -> int:
    count = 0
    while count < len(parts) and parts[-1 - count].startswith("{"):
        count += 1
    return count


def _refuse(responses: dict[str, Any], statuses: set[int]) -> None:
    own = {int(status) for status in responses if status.isdigit() and int(status) >= 400}
    for status in sorted(own | statuses):
        said = responses.pop(str(status), {})
        schema = said.get("content", {}).get("application/json", {}).get("schema", {}).get("$ref", "")
        words = said.get("description", "")
        plain = schema.rpartition("/")[2] in ("", "Problem", "HTTPValidationError")
        if plain and (not words or status not in own or schema.endswith("HTTPValidationError")):
            responses[str(status)] = {"$ref": f"#/components/responses/Problem{status}"}
        else:
            responses[str(status)] = _answer(status, words or USUAL[status], None if plain else schema)


def _answer(status: int, words: str, schema: str | None = None) -> dict[str, Any]:
    ref = {"$ref": schema or "#/components/schemas/Problem"}
    answer: dict[str, Any] = {"description": words, "content": {MEDIA_TYPE: {"schema": ref}}}
    if status in _HEADERS:
        answer["headers"] = {_HEADERS[status]: {"required": True, "schema": {"type": "string"}}}
    return answer


def _exemplify(operation: dict[str, Any], example: Example) -> None:
    for parameter in operation.get("parameters", []):
        if parameter["name"] in example.parameters:
            parameter["example"] = example.parameters[parameter["name"]]
    if example.body is not None:
        operation["requestBody"]["content"]["application/json"]["example"] = example.body
