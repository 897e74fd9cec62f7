"""The description of the REST API: keys on every POST, pages or bounds on every list, one name for each operation."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from fastapi.testclient import TestClient

from console.api_bounds import BOUNDS
from console.api_examples import EXAMPLES
from console.auth import api_token
from tests.fakes.console import KEY, ConsoleOverFakes

DOCUMENT = ConsoleOverFakes().app.openapi()
SCHEMAS = DOCUMENT["components"]["schemas"]


class Operation(NamedTuple):
    method: str
    path: str
    spec: dict[str, Any]

    def parameters(self, place: str) -> dict[str, Any]:
        return {one["name"]: one for one in self.spec.get("parameters", []) if one["in"] == place}

    def answer(self) -> tuple[str, dict[str, Any]]:
        """Name and properties of what a success answers."""
        said = next(said for status, said in self.spec["responses"].items() if status.startswith("2"))
        schema = said.get("content", {}).get("application/json", {}).get("schema", {})
        name = schema.get("$ref", "").rpartition("/")[2]
        return name, SCHEMAS.get(name, schema).get("properties", {})


def operations() -> Iterator[Operation]:
    for path, methods in DOCUMENT["paths"].items():
        yield from (Operation(method, path, spec) for method, spec in methods.items())


ALL = list(operations())


def named(operation: Operation) -> str:
    return f"{operation.method.upper()} {operation.path}"


@pytest.mark.parametrize("operation", [one for one in ALL if one.method == "post"], ids=named)
def test_every_post_takes_a_key_and_says_what_it_does_with_it(operation: Operation) -> None:
    key = operation.parameters("header").get("Idempotency-Key")
    assert key, f"{named(operation)}: take KeptKey or FreeKey of console/api_problems.py"
    assert key["required"]
    assert "kept" in key["description"]


@pytest.mark.parametrize("operation", [one for one in ALL if one.method == "get"], ids=named)
def test_every_list_has_pages_or_says_how_long_it_is(operation: Operation) -> None:
    name, properties = operation.answer()
    lists = [field for field, schema in properties.items() if "array" in str(schema.get("type", schema.get("anyOf")))]
    if {"limit", "after"} <= operation.parameters("query").keys() and "next" in properties:
        return
    for field in lists:
        bound = BOUNDS.get((name, field), "")
        assert bound, f"{named(operation)}: {name}.{field} has no pages: page it, or say its bound in api_bounds.py"
        assert bound in properties[field]["description"]


def test_no_bound_is_left_of_a_list_that_is_gone() -> None:
    assert [pair for pair in BOUNDS if pair[1] not in SCHEMAS.get(pair[0], {}).get("properties", {})] == []


def test_operations_have_one_tag_a_name_of_their_own_and_both_ways_to_sign_in() -> None:
    names = [one.spec["operationId"] for one in ALL]
    tags = {tag["name"] for tag in DOCUMENT["tags"]}
    assert len({*names}) == len(names)
    assert {tag for one in ALL for tag in one.spec["tags"]} == tags
    assert all(len(one.spec["tags"]) == 1 and one.spec["security"] == [{"token": []}, {"session": []}] for one in ALL)


def test_every_refusal_is_a_problem_document() -> None:
    for one in ALL:
        assert {"401", "403", "429", "503"} <= one.spec["responses"].keys(), named(one)
        for status, said in one.spec["responses"].items():
            told = DOCUMENT["components"]["responses"][said["$ref"].rpartition("/")[2]] if "$ref" in said else said
            if int(status) >= 400:
                assert list(told["content"]) == ["application/problem+json"], (named(one), status)


def test_the_ten_examples_fit_their_operations() -> None:
    assert len(EXAMPLES) == 10
    for (method, path), example in EXAMPLES.items():
        operation = next(one for one in ALL if (one.method, one.path) == (method, path))
        known = {name for place in ("path", "query", "header") for name in operation.parameters(place)}
        assert example.parameters.keys() <= known, named(operation)


def test_what_the_framework_refuses_is_told_like_the_rest() -> None:
    with TestClient(ConsoleOverFakes().app, headers={"Authorization": f"Bearer {api_token(KEY, 'Ada')}"}) as client:
        method, nowhere = client.patch("/api/v1/views/1"), client.get("/api/v1/nowhere")
        unsized = client.post("/api/v1/views", content=iter([b"{}"]), headers={"Idempotency-Key": "a key of mine"})
        large = client.post("/api/v1/views", content=b" " * 70_000, headers={"Idempotency-Key": "a key of mine"})
    assert (method.status_code, method.headers["allow"]) == (405, "DELETE, PUT")
    told = {answer.status_code: answer for answer in (method, nowhere, unsized, large)}
    assert {status: answer.json()["type"] for status, answer in told.items()} == {
        405: "/docs/api#method-not-allowed", 404: "/docs/api#not-found", 411: "/docs/api#length-required",
        413: "/docs/api#too-large",
    }  # fmt: skip
    assert {answer.headers["content-type"] for answer in told.values()} == {"application/problem+json"}
