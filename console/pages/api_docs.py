"""The API's own page: its operations and problems from the same OpenAPI document that programs get, without a CDN."""

import json
from typing import Annotated, Any, NamedTuple
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Depends, Request, Response

from console.api_examples import EXAMPLES, Example
from console.auth import Gate, Session
from console.problems import ALL_PROBLEMS
from console.rendering import Pages
from workflows.domain.people import Permission

DEEPEST = 4
"""Levels of a body's example that are made from its schema."""


class Field(NamedTuple):
    """A parameter, or a field of a JSON body."""

    name: str
    place: str
    kind: str
    required: bool
    description: str


class Operation(NamedTuple):
    """One operation of the API, as the page shows it."""

    name: str
    method: str
    path: str
    summary: str
    description: str
    fields: list[Field]
    answers: list[tuple[str, str]]
    """Status and what it means."""
    curl: str


class Group(NamedTuple):
    """The operations of one tag."""

    name: str
    description: str
    operations: list[Operation]


def routes(gate: Gate, pages: Pages) -> APIRouter:
    """`/docs/api`; the types of problem documents point into it."""
    router = APIRouter(include_in_schema=False)

    @router.get("/docs/api")
    def docs(request: Request, session: Annotated[Session, Depends(gate.page(Permission.SEE))]) -> Response:
        # Not `async`, as the document itself: whoever asks first waits alone while it is made.
        context = {"groups": groups(request.app.openapi()), "problems": ALL_PROBLEMS}
        return pages.show(request, "api_docs.html", session, context)

    return router


def groups(document: dict[str, Any]) -> list[Group]:
    """The operations by tag, in the order of the document's tags, and by path."""
    found: dict[str, list[Operation]] = {tag["name"]: [] for tag in document["tags"]}
    for path, methods in sorted(document["paths"].items()):
        for method, spec in methods.items():
            found[spec["tags"][0]].append(_operation(document, method, path, spec))
    return [Group(tag["name"], tag["description"], found[tag["name"]]) for tag in document["tags"]]


def _operation(document: dict[str, Any], method: str, path: str, spec: dict[str, Any]) -> Operation:
    content = spec.get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema")
    fields = [
        Field(
            one["name"],
            one["in"],
            _kind(document, one["schema"]),
            one.get("required", False),
            one.get("description", ""),
        )
        for one in spec.get("parameters", [])
    ]
    if schema is not None:
        whole = _resolved(document, schema)
        fields += [
            Field(name, "body", _kind(document, one), name in whole.get("required", ()), one.get("description", ""))
            for name, one in whole.get("properties", {}).items()
        ]
    answers = [(status, _told(document, said)) for status, said in sorted(spec["responses"].items())]
    example = EXAMPLES.get((method, path), Example())
    sent = example.body or (None if schema is None else _sample(document, schema))
    return Operation(
        spec["operationId"], method.upper(), path, spec["summary"], spec.get("description", ""), fields, answers,
        _curl(method, path, spec, example, json.dumps(sent) if sent is not None else None),
    )  # fmt: skip


def _curl(method: str, path: str, spec: dict[str, Any], example: Example, body: str | None) -> str:
    parameters = spec.get("parameters", [])
    here = {one["name"]: one["in"] for one in parameters}
    for name, value in example.parameters.items():
        path = path.replace(f"{{{name}}}", quote(str(value), safe=":"))
    required = [one["name"] for one in parameters if one["in"] == "query" and one.get("required")]
    query = dict.fromkeys(required, "...") | {n: v for n, v in example.parameters.items() if here.get(n) == "query"}
    asked = f"?{urlencode(query)}" if query else ""
    words = ["curl" if method == "get" else f"curl -X {method.upper()}", '-H "Authorization: Bearer $TOKEN"']
    if "Idempotency-Key" in here:
        words.append(f"-H 'Idempotency-Key: {example.parameters.get('Idempotency-Key', 'a-key-of-yours')}'")
    if body is not None:
        words += ["-H 'Content-Type: application/json'", f"-d '{body}'"]
    elif "text/csv" in spec.get("requestBody", {}).get("content", {}):
        words += ["-H 'Content-Type: text/csv'", "--data-binary @file.csv"]
    return " \\\n  ".join([*words, f'"$CONSOLE{path}{asked}"'])


def _told(document: dict[str, Any], said: dict[str, Any]) -> str:
    words: str = _resolved(document, said)["description"]
    return words


def _resolved(document: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    options = [one for one in part.get("anyOf", ()) if one.get("type") != "null"]
    found = options[0] if options else part
    if "$ref" in found:
        _, kind, name = found["$ref"].removeprefix("#/").split("/")
        found = document["components"][kind][name]
    return found


def _kind(document: dict[str, Any], schema: dict[str, Any]) -> str:
    """The type in a word or two: `integer`, `one of a, b`, `list of BulkRow`."""
    options = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"] or [schema]
    if len(options) > 1:
        return " or ".join(dict.fromkeys(_kind(document, one) for one in options))
    one = options[0]
    name = one.get("$ref", "").rpartition("/")[2]
    one = _resolved(document, one)
    if "enum" in one or "const" in one:
        return "one of " + ", ".join(str(value) for value in one.get("enum", [one.get("const")]))
    if one.get("type") == "array":
        return f"list of {_kind(document, one.get('items', {}))}"
    return name or str(one.get("format") or one.get("type") or "anything")


def _sample(document: dict[str, Any], schema: dict[str, Any], depth: int = 0) -> Any:
    """What must be in a body, with values that show their type."""
    whole = _resolved(document, schema)
    if "enum" in whole or "const" in whole:
        return whole.get("enum", [whole.get("const")])[0]
    kind = whole.get("type")
    if kind == "object" and depth < DEEPEST:
        wanted = whole.get("required", ())
        return {name: _sample(document, whole.get("properties", {}).get(name, {}), depth + 1) for name in wanted}
    if kind == "array":
        return [_sample(document, whole.get("items", {}), depth + 1)] if depth < DEEPEST else []
    if kind == "boolean":
        return False
    if kind in ("integer", "number"):
        return 1
    return {} if kind == "object" else {"date": "2026-11-21", "date-time": "2026-11-21T06:00:00Z"}.get(
        whole.get("format", ""), "..."
    )  # fmt: skip
