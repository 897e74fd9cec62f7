"""`quartermaster up`: one command starts everything, a second is told so, Ctrl-C stops all of it, and the state stays.

It runs in passive mode, which shows at the same time that proposals are recorded and nothing is sent.
"""

import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import pytest

from connectors.postgres.pool import Connection, connect
from tests.command_line import CommandLine, eventually
from workers.servers.runfile import RunRecord
from workers.session import running

pytestmark = pytest.mark.timeout(1200)
"""The first of these tests waits for a model and a day of the demo world."""
PLAYS_WITHIN_S = 900.0
"""It takes 70 s on two cores; beside other work, several times as long."""
STOPS_WITHIN_S = 60.0
UNDO_SECONDS = 60
"""Long enough that a command given at once is given in time, on a busy machine too."""
SETTINGS: dict[str, Any] = {"QM_MODE": "passive", "QM_UNDO_SECONDS": str(UNDO_SECONDS)}
PROCESSES = {"postgres", "temporal", "broker", "supplier", "notary", "intake", "worker", "console"}


class Up:
    """`quartermaster up` as a process, passive, on free ports."""

    def __init__(self, commands: CommandLine, folder: Path, *arguments: str) -> None:
        self.commands = commands
        self.out, self.err = folder / "out", folder / "err"
        self._arguments = arguments
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> RunRecord:
        """Start it and wait for its welcome."""
        self.err.write_text("")
        self.process = self.commands.begin("up", *self._arguments, out=self.out, err=self.err, **SETTINGS)
        eventually(lambda: self.said("Ctrl-C stops everything."), 90, what="the welcome")
        found = running(self.commands.home / "up")
        assert found is not None
        return found

    def said(self, words: str) -> bool:
        """Whether it said this; fails when it has ended."""
        assert self.process is not None
        assert self.process.poll() is None, self.err.read_text()
        return words in self.err.read_text()

    def interrupt(self) -> int:
        """Ctrl-C; its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(STOPS_WITHIN_S)

    def database(self) -> Connection:
        """A view of its database."""
        run = running(self.commands.home / "up")
        assert run is not None
        assert run.addresses is not None
        return connect(run.addresses.postgres_dsn, name="test")

    def count(self, query: str) -> int:
        with closing(self.database()) as database:
            (row,) = database.execute(query.encode()).fetchall()
        return int(row["n"])

    def tasks(self, which: str = "open") -> list[dict[str, Any]]:
        said = self.commands.call("tasks", "list", "--which", which, "--json")
        assert said.code == 0, said.err
        found: list[dict[str, Any]] = said.json["tasks"]
        return found


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A running `up` that has played the first day of three at a day a second; nobody answers its tasks."""
    commands = CommandLine(tmp_path_factory.mktemp("home"))
    started = Up(commands, tmp_path_factory.mktemp("said"), "--days", "2", "--speed", "86400")
    try:
        started.start()
        log = commands.home / "up" / "logs" / "feed.log"
        eventually(lambda: log.exists() and "2025-03-04: " in log.read_text(), PLAYS_WITHIN_S, what="two days played")
        yield started
    finally:
        for process in commands.processes():
            process.kill()
        if started.process is not None:
            started.process.wait()


def test_everything_runs_and_answers_on_loopback_only(up: Up) -> None:
    run = running(up.commands.home / "up")
    assert run is not None
    assert run.children.keys() >= PROCESSES
    assert run.console is not None
    assert up.said(f"{run.console}/sign-in?token=")
    link = next(word for word in up.err.read_text().split() if "/sign-in?token=" in word)
    with httpx.Client(trust_env=False, follow_redirects=True) as browser:
        home = browser.get(link)
    assert home.status_code == 200
    assert "Quartermaster" in home.text
    listening = {
        connection.laddr.ip
        for process in up.commands.processes()
        for connection in process.net_connections(kind="tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}
    assert up.out.read_text() == "", "only --json and tables go to stdout"


def test_each_process_connects_as_a_role_of_its_own(up: Up) -> None:
    run = running(up.commands.home / "up")
    assert run is not None
    assert run.addresses is not None
    with psycopg.connect(run.addresses.postgres_dsn) as database:
        connected = database.execute(
            """SELECT DISTINCT application_name, usename FROM pg_stat_activity
               WHERE datname = current_database() AND application_name LIKE 'quartermaster-%'"""
        ).fetchall()
    roles: dict[str, set[str]] = {}
    for name, role in connected:
        roles.setdefault(name.split("-")[1], set()).add(role)
    assert roles.items() >= {
        "intake": {"qm_intake"}, "relay": {"qm_intake"}, "worker": {"qm_worker"}, "console": {"qm_console"},
        "notary": {"qm_notary"},
    }.items()  # fmt: skip


def test_a_second_up_says_that_one_is_running(up: Up) -> None:
    assert up.process is not None
    said = up.commands.call("up")

    assert (said.code, said.out) == (1, "")
    assert "already running" in said.err
    assert f"pid {up.process.pid}" in said.err
    assert up.process.poll() is None, "the first one goes on"


def test_the_doctor_finds_everything_well(up: Up) -> None:
    said = up.commands.call("doctor", "--json")

    assert (said.code, said.json["healthy"]) == (0, True)


def test_in_passive_mode_proposals_are_recorded_and_nothing_is_sent(up: Up) -> None:
    eventually(lambda: up.count("SELECT count(*) AS n FROM purchase_order WHERE state = 'withheld'") > 0)

    assert up.count("SELECT count(*) AS n FROM replenishment") > 50
    assert (
        up.count("SELECT count(*) AS n FROM purchase_order WHERE state NOT IN ('withheld', 'collecting', 'empty')") == 0
    )
    journal = up.commands.home / "up" / "supplier" / "journal.jsonl"
    assert '"kind":"order"' not in journal.read_text()
    with closing(up.database()) as database:
        rows = database.execute("SELECT DISTINCT reason FROM purchase_order WHERE state = 'withheld'").fetchall()
    assert [row["reason"] for row in rows] == ["passive mode: nothing is sent"]


def test_a_person_answers_tasks_on_the_command_line_and_workflows_hear_of_it(up: Up) -> None:
    approved, edited, rejected, *rest = up.tasks()
    call = partial(up.commands.call, **SETTINGS)

    said = call("tasks", "approve", approved["decision_id"], "--comment", "go", "--json")
    assert (said.code, said.json["meaning"], said.json["heard"]) == (0, "approve", True)
    said = call("tasks", "approve", edited["decision_id"], "--units", "5", "--json")
    assert (said.code, said.json["meaning"], said.json["heard"]) == (0, "approve_edited", True)
    said = call("tasks", "reject", rejected["decision_id"], "--reason", "too_expensive")
    assert said.code == 0
    assert f"{rejected['decision_id']}: reject" in said.out

    taken_back = call("tasks", "approve", rest[1]["decision_id"], "--json")
    assert (taken_back.json["complete"], taken_back.json["undo_seconds"]) == (True, UNDO_SECONDS)
    said = call("tasks", "undo", rest[1]["decision_id"], "--json")
    assert (said.code, said.json["approval_id"], said.json["heard"]) == (0, taken_back.json["approval_id"], True)
    assert "nothing to take back" in call("tasks", "undo", rest[1]["decision_id"]).err

    stale = call("tasks", "approve", rest[0]["decision_id"], "--hash", "0" * 64)
    assert (stale.code, stale.out) == (1, "")
    assert "StaleProposal" in stale.err
    states = {name: {task["decision_id"] for task in up.tasks(name)} for name in ("open", "approved", "rejected")}
    assert {approved["decision_id"], edited["decision_id"]} <= states["approved"]
    assert rejected["decision_id"] in states["rejected"]
    assert {rest[0]["decision_id"], rest[1]["decision_id"]} <= states["open"]

    view = call("decision", "show", edited["decision_id"], "--json").json
    (approval,) = view["approvals"]
    assert (approval["units"], approval["channel"]) == (5, "cli")
    eventually(
        lambda: call("decision", "show", edited["decision_id"], "--json").json["order"] is not None,
        UNDO_SECONDS + 60, what="the order",
    )  # fmt: skip


def test_ctrl_c_leaves_no_process_behind_and_a_second_up_goes_on_from_there(up: Up) -> None:
    before = {task["decision_id"] for task in up.tasks("approved")}
    events = up.count("SELECT count(*) AS n FROM inbox")
    assert before

    assert up.interrupt() == 0
    assert "Everything has stopped; the state stays" in up.err.read_text()
    assert up.commands.processes() == []
    assert up.commands.run_of("up") is None

    up.start()
    assert {task["decision_id"] for task in up.tasks("approved")} == before
    assert up.count("SELECT count(*) AS n FROM inbox") >= events
    verified = up.commands.call("audit", "verify", "--json")
    assert (verified.code, verified.json["ok"]) == (0, True)


def test_a_killed_up_is_cleaned_up_by_the_next_one(up: Up) -> None:
    assert up.process is not None
    up.process.kill()
    up.process.wait()
    assert len(up.commands.processes()) >= len(PROCESSES), "its children live on"

    run = up.start()

    assert up.said("Ended what a killed run had left: ")
    assert run.children.keys() >= PROCESSES
    assert up.interrupt() == 0
    assert up.commands.processes() == []


def test_ctrl_c_while_it_starts_stops_what_has_started(tmp_path: Path) -> None:
    starting = Up(CommandLine(tmp_path / "home"), tmp_path)
    starting.err.write_text("")
    starting.process = starting.commands.begin("up", "--empty", out=starting.out, err=starting.err)
    try:
        eventually(lambda: starting.said("PostgreSQL is ready"), 60)
        assert starting.interrupt() == 0
        assert starting.commands.processes() == []
    finally:
        for process in starting.commands.processes():
            process.kill()
        starting.process.wait()


@pytest.mark.parametrize("name", ["QM_KAFKA_PORT", "QM_CONSOLE_PORT"])
def test_a_taken_port_is_named_with_the_setting_that_changes_it(name: str, tmp_path: Path) -> None:
    commands = CommandLine(tmp_path / "home")
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        taken: Any = {name: str(port)}
        said = commands.call("up", "--empty", **taken)

    assert (said.code, said.out) == (1, "")
    assert f"Port {port} is in use by" in said.err
    assert name in said.err
    assert commands.processes() == []


def test_sigterm_ends_a_demo_in_order(tmp_path: Path) -> None:
    commands = CommandLine(tmp_path / "home")
    demo = commands.begin("demo", "--days", "1", out=tmp_path / "out", err=tmp_path / "err")
    try:
        eventually(lambda: "PostgreSQL: creating" in (tmp_path / "err").read_text(), 60)
        demo.send_signal(signal.SIGTERM)
        assert demo.wait(STOPS_WITHIN_S) == 128 + signal.SIGTERM
        assert commands.processes() == []
        assert "Traceback" not in (tmp_path / "err").read_text()
    finally:
        for process in commands.processes():
            process.kill()
        demo.wait()
