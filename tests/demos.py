"""A short demo that is killed three times on its way and resumed, once for all tests that look at what it left."""

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.client import Client
from temporalio.service import RPCError

from tests.command_line import CommandLine, Said, eventually
from workers.servers.process import ProcessIdentity
from workers.session import running
from workflows import naming

DAYS = 4
FIRST_DAY, SECOND_DAY, LAST_DAY = "2025-03-03", "2025-03-04", "2025-03-06"
PLAYS_WITHIN_S = 600.0
"""Training the first model takes 15 s on an idle machine with two cores, and a minute on a busy one."""


@dataclass(frozen=True)
class KilledDemo:
    """What became of it."""

    commands: CommandLine
    killed: dict[str, tuple[int, int]]
    """By process: its pid when it was killed, and the pid of what took its place."""
    orphans: list[ProcessIdentity]
    """What the killed supervisor left running."""
    mid_demo: str
    """The day that the feed's journal named when the supervisor was killed."""
    resumed: Said
    again: Said

    @property
    def state(self) -> Path:
        """The demo's state directory."""
        return self.commands.home / "demo"

    def journal(self) -> list[dict[str, Any]]:
        """The suppliers' own journal, orders only."""
        lines = (self.state / "supplier" / "journal.jsonl").read_text().splitlines()
        return [entry for line in lines if (entry := json.loads(line))["kind"] == "order"]

    def spans(self) -> list[dict[str, Any]]:
        """Everything that any process told of its work."""
        files = sorted((self.state / "telemetry").glob("*.spans.jsonl"))
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]


class _Play:
    """A demo under way: what it said and where it stands."""

    def __init__(self, commands: CommandLine, folder: Path) -> None:
        self._commands = commands
        self.err = folder / "err"
        self.process = commands.begin("demo", "--days", str(DAYS), "--json", out=folder / "out", err=self.err)

    def said(self, words: str) -> bool:
        """Whether it said this; fails when it says nothing more."""
        assert self.process.poll() is None, f"the demo ended early:\n{self.err.read_text()}"
        return words in self.err.read_text()

    def pid(self, name: str) -> int | None:
        """The pid of a process of the demo that runs now."""
        run = self._commands.run_of("demo")
        child = run.children.get(name) if run else None
        return child.pid if child and ProcessIdentity(child.pid, child.created).alive() else None

    def kill(self, name: str) -> tuple[int, int]:
        """Kill -9 and wait for what takes its place."""
        eventually(lambda: self.pid(name) is not None)
        victim = self.pid(name)
        assert victim is not None
        os.kill(victim, signal.SIGKILL)
        eventually(lambda: self.pid(name) not in (None, victim), what=f"a new {name}")
        return victim, self.pid(name) or 0

    def assesses(self) -> bool:
        """Whether the worker is in the middle of assessing a batch of needs."""
        run = self._commands.run_of("demo")
        assert run is not None
        assert run.addresses is not None
        with psycopg.connect(run.addresses.postgres_dsn) as database:
            found = database.execute("SELECT batch_id FROM need_batch WHERE finished_at IS NULL").fetchall()
        return any(asyncio.run(_assessed_now(run.addresses.temporal_address, batch_id)) for (batch_id,) in found)

    def day(self) -> str:
        """The day that the feed is in; before all days while it is in none."""
        self.said("")
        note = self._commands.home / "demo" / "feed.json"
        return str(json.loads(note.read_text())["day"]) if note.exists() else ""


async def _assessed_now(temporal: str, batch_id: str) -> bool:
    client = await Client.connect(temporal)
    with suppress(RPCError):
        told = (await client.get_workflow_handle(naming.assessment_id(batch_id)).describe()).raw_description
        return any(one.state == PendingActivityState.PENDING_ACTIVITY_STATE_STARTED for one in told.pending_activities)
    return False


@pytest.fixture(scope="session")
def killed_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KilledDemo]:
    """Kill -9 of the worker, of intake and of the supervisor, each in the middle of work; then resumed, twice."""
    home = tmp_path_factory.mktemp("a home")
    commands = CommandLine(home)
    play = _Play(commands, tmp_path_factory.mktemp("said"))
    try:
        eventually(lambda: play.said("is the champion"), PLAYS_WITHIN_S, what="a first model")
        eventually(play.assesses, PLAYS_WITHIN_S, what="an assessment under way")
        killed = {"worker": play.kill("worker")}
        eventually(lambda: play.day() >= FIRST_DAY, PLAYS_WITHIN_S, what="the end of the opening")
        killed["intake"] = play.kill("intake")
        eventually(lambda: play.day() >= SECOND_DAY, PLAYS_WITHIN_S, what="the end of the first day")
        run = running(home / "demo")
        assert run is not None
        assert run.pid == play.process.pid
        os.kill(run.pid, signal.SIGKILL)
        play.process.wait()
        orphans = [one for child in run.children.values() if (one := ProcessIdentity(child.pid, child.created)).alive()]
        mid_demo = str(json.loads((home / "demo" / "feed.json").read_text())["day"])
        resumed = commands.call("demo", "--resume", "--json", within_s=PLAYS_WITHIN_S)
        again = commands.call("demo", "--resume", "--json", within_s=PLAYS_WITHIN_S)
        yield KilledDemo(commands, killed, orphans, mid_demo, resumed, again)
    finally:
        for process in commands.processes():
            process.kill()
        play.process.wait()
