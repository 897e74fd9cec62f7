"""`quartermaster tasks`: what one does with a task from the command line is what the console does."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from connectors.postgres.people import PostgresPeople
from connectors.postgres.pool import Database
from tests.inbox_cases import MORNING, InPostgres
from tests.storeroom import Storeroom
from workers.commands import person, task_work, tasks
from workers.enrolling import recognised
from workflows.domain.people import Permission

TEA, RICE = "LEEDS:TEA:1", "YORK:RICE:1"


class Shell:
    """Runs `quartermaster tasks ...` as some person, on the test's database."""

    def __init__(self, desk: InPostgres) -> None:
        self.desk, self.name = desk, "Ada"

    def __call__(self, *words: str, code: int = 0) -> Any:
        """What the command prints as JSON."""
        answer = CliRunner().invoke(tasks.app, [*words, "--json"])
        assert answer.exit_code == code, answer.output
        return json.loads(answer.stdout) if code == 0 else answer.output


@pytest.fixture
def shell(storeroom: Storeroom, dsn: str, key_file: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """Ada's shell over the morning's tasks."""
    desk = InPostgres(storeroom)
    desk.put(*MORNING)
    found = Shell(desk)

    @asynccontextmanager
    async def connected(state: str | None, needs: Permission = Permission.SEE) -> AsyncIterator[Any]:
        async with Database(dsn, name="test-cli", size=2, personal=key_file) as database:
            await recognised(PostgresPeople(database))
            yield SimpleNamespace(database=database)

    for module in (task_work, tasks):
        monkeypatch.setattr(module, "connected", connected)
    monkeypatch.setattr(person, "name", lambda: found.name)
    return found


def test_a_view_is_listed_and_narrowed(shell: Shell) -> None:
    listed = shell("list", "--view", "needs_me")["tasks"]
    assert [row["item"] for row in listed] == ["TEA", "OAT", "MUG", "RICE", "SOAP", "SALT"]
    assert [row["item"] for row in shell("list", "--view", "team", "--location", "YORK")["tasks"]] == [
        "RICE", "SOAP", "SALT",
    ]  # fmt: skip
    assert "--view" in shell("list", "--location", "YORK", code=1)
    assert shell("list")["tasks"][0]["item"] == "TEA"
    counts = shell("views")["counts"]
    assert (counts["team"]["n"], counts["escalated"]["n"]) == (6, 1)


def test_a_task_is_worked_on(shell: Shell) -> None:
    assert shell("claim", TEA, "--minutes", "30")["claimed_by"] == "Ada"
    assert shell("unclaim", TEA)["claimed_by"] is None
    assert shell("snooze", TEA, "--until", "2025-11-25T06:00Z")["snoozed_until"].startswith("2025-11-25T06:00")
    assert shell("wake", TEA)["snooze_words"] == ""
    assert shell("comment", TEA, "In the plan?", "--to", "Grace")["asked"] == ["Grace"]
    assert shell("forward", TEA, "Grace", "--note", "yours")["forwarded_to"] == "Grace"
    assert shell("rescore", TEA)["decision_id"] == TEA
    assert shell("rescore", TEA, "--supplier", "northern-foods")["decision_id"] == TEA
    assert [one["kind"] for one in shell("comments", TEA)["comments"]] == ["question", "forward"]
    assert shell.desk.ledger(TEA) == [
        "task.claimed", "task.released_claim", "task.snoozed", "task.woken", "task.commented", "task.forwarded",
        "task.rescore_asked", "task.rescore_asked",
    ]  # fmt: skip


def test_what_cannot_be_is_refused_in_words(shell: Shell) -> None:
    assert "exactly one" in shell("snooze", TEA, code=1)
    assert "no instant" in shell("snooze", TEA, "--until", "tomorrow", code=1)
    assert "nobody called" in shell("forward", TEA, "Nobody", code=1)
    assert "who can: northern-foods" in shell("rescore", TEA, "--supplier", "nobody", code=1)
    assert "no task" in shell("claim", "LEEDS:NONE:1", code=1)
    shell.name = "Pia"
    assert "not of YORK" in shell("claim", RICE, code=1)
