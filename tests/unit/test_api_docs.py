"""The API's own page, and the page about it in docs/: every operation is there, and the examples are true."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from console.auth import api_token, sign_in_token
from tests.contract.api_consoles import TASK, whole
from tests.fakes.console import KEY

PAGE = Path(__file__).parents[2] / "docs" / "api.md"
EXAMPLES = re.findall(r"```sh\n(curl .*?)\n```\n+(\d{3})", PAGE.read_text(), re.DOTALL)


def test_the_page_shows_every_operation_with_its_example() -> None:
    console = whole()
    paths = console.app.openapi()["paths"]
    with TestClient(console.app) as client:
        client.get("/sign-in", params={"token": sign_in_token(KEY, "Ada")})
        html = client.get("/docs/api").text
    names = [spec["operationId"] for methods in paths.values() for spec in methods.values()]
    assert [name for name in names if f'id="{name}"' not in html] == []
    assert html.count("<pre ") == len(names)
    assert "&#39;{&#34;proposal_hash&#34;" in html, "a body is shown as it is sent"


def sent(client: TestClient, command: str, key: str) -> Any:
    """The request that the command line would make."""
    words = shlex.split(command.replace("\\\n", " "))[1:]
    method, headers, body, url = "GET", {}, None, ""
    while words:
        word = words.pop(0)
        if word == "-X":
            method = words.pop(0)
        elif word == "-H":
            name, _, value = words.pop(0).partition(": ")
            headers[name] = value.replace("$TOKEN", api_token(KEY, "Ada"))
        elif word == "-d":
            body, method = words.pop(0).replace("$HASH", key), "POST" if method == "GET" else method
        else:
            url = word.removeprefix("$CONSOLE")
    if body is not None:
        json.loads(body)
    return client.request(method, url, headers=headers, content=body)


def test_the_page_has_ten_examples() -> None:
    assert len(EXAMPLES) == 10


@pytest.mark.parametrize(("command", "status"), EXAMPLES)
def test_each_example_of_the_docs_is_answered_as_it_says(command: str, status: str) -> None:
    console = whole()
    stands = console.shop.cases[TASK].decided.decision.proposal_hash
    with TestClient(console.app) as client:
        answer = sent(client, command, stands)
    assert str(answer.status_code) == status, answer.text
