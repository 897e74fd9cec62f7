"""Bodies that the description allows, one per operation, for others to bend: small, and the same every time."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from console.api_examples import EXAMPLES

KEEP_APART = {"day": "2025-03-03", "date": "2025-03-03", "date-time": "2025-03-03T05:00:00Z"}


class Operation(NamedTuple):
    """An operation that takes a body: where it is, what it takes, and a body that fits."""

    method: str
    path: str
    media_type: str
    body: Any
    """A document; text for files."""


def operations(description: Mapping[str, Any], files: Mapping[str, str]) -> list[Operation]:
    """Every operation of an OpenAPI description with a body. `files`: a good one by the last part of its path."""
    found = []
    for path, methods in description["paths"].items():
        for method, told in methods.items():
            for media_type, content in told.get("requestBody", {}).get("content", {}).items():
                if media_type == "application/json":
                    example = EXAMPLES.get((method, path))
                    body: Any = dict(example.body) if example and example.body else made(content["schema"], description)
                else:
                    body = files[path.rsplit("/", 1)[-1]]
                found.append(Operation(method.upper(), path, media_type, body))
    return found


def made(schema: Mapping[str, Any], description: Mapping[str, Any]) -> Any:
    """A value that fits the schema, with every field that it has."""
    if "$ref" in schema:
        found: Any = description
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        return made(found, description)
    for said in ("const", "default"):
        if schema.get(said) is not None:
            return schema[said]
    if "enum" in schema:
        return schema["enum"][0]
    if "allOf" in schema:
        return made(schema["allOf"][0], description)
    for choice in _choices(schema):
        return made(choice, description)
    match schema.get("type"):
        case "object":
            fields = schema.get("properties", {})
            return {name: made(field, description) for name, field in fields.items()}
        case "array":
            return [made(schema["items"], description)] * max(1, schema.get("minItems", 1)) if "items" in schema else []
        case "integer":
            return int(schema.get("minimum", schema.get("exclusiveMinimum", 0)) + 1)
        case "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
        case "string":
            return _text(schema)
    return None


def _choices(schema: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    choices = [*schema.get("anyOf", ()), *schema.get("oneOf", ())]
    return [one for one in choices if one.get("type") != "null"] or choices


def _text(schema: Mapping[str, Any]) -> str:
    if schema.get("format") in KEEP_APART:
        return KEEP_APART[schema["format"]]
    if "64}" in str(schema.get("pattern", "")) and "0-9a-f" in schema["pattern"]:
        return "3f2a" * 16
    return "text".ljust(int(schema.get("minLength", 0)), "x")
