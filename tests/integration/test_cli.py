"""The command line on a state that a demo left: one line of JSON for programs, one clear sentence when it cannot."""

import csv
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from filelock import FileLock
from typer.testing import CliRunner

from connectors.postgres.pool import connect
from tests.command_line import ANY_PORT, CommandLine, Said
from tests.demos import KilledDemo
from workers import cli
from workers.embedded import LOCK_FILE
from workers.servers.runfile import RunFile
from workers.session import Silence
from workers.settings import Settings
from workers.source import running_version
from workers.stack import EngineStack
from workers.wiring import required

pytestmark = pytest.mark.timeout(1200)
"""The first test that needs it plays a demo."""
Quartermaster = Callable[..., Said]


@pytest.fixture
def quartermaster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Quartermaster:
    """The command line in this process, on an empty home unless told otherwise."""
    for name in [name for name in os.environ if name.startswith("QM_")]:
        monkeypatch.delenv(name)

    def called(*arguments: str, **variables: str) -> Said:
        for name, value in {**ANY_PORT, "QM_HOME": str(tmp_path / "home"), **variables}.items():
            monkeypatch.setenv(name, value)
        done = CliRunner().invoke(cli.app, arguments, env={"COLUMNS": "160"})
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Said(done.exit_code, done.stdout, done.stderr)

    return called


@pytest.fixture(scope="module")
def stack(killed_demo: KilledDemo) -> Iterator[EngineStack]:
    """The servers of what the demo left, so that each command need not start its own."""
    settings = Settings.from_environment({**ANY_PORT, "QM_HOME": str(killed_demo.commands.home)})
    with EngineStack(killed_demo.state, settings, Silence()) as running:
        running.start()
        yield running


@pytest.fixture
def on_demo(quartermaster: Quartermaster, stack: EngineStack, killed_demo: KilledDemo) -> Quartermaster:
    """The command line on the demo's running servers."""
    return lambda *arguments, **more: quartermaster(*arguments, QM_HOME=str(killed_demo.commands.home), **more)


def refused(said: Said, *words: str, code: int = 1) -> None:
    """The command says why in one sentence on stderr, and nothing on stdout."""
    assert (said.code, said.out) == (code, ""), said
    assert "Traceback" not in said.err
    assert len(said.err.strip().splitlines()) == 1, said.err
    for word in words:
        assert word in said.err


def commands() -> list[tuple[str, ...]]:
    """Every command there is."""

    def walk(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        yield path
        for name, inner in getattr(command, "commands", {}).items():
            yield from walk(inner, (*path, name))

    return list(walk(typer.main.get_command(cli.app), ()))


def test_all_commands_that_users_were_promised_are_there() -> None:
    promised = """up demo intake worker console migrate feed import tasks/list tasks/show tasks/approve tasks/reject
        tasks/undo orders/list orders/retry decision/show audit/verify model/list model/train model/promote
        model/rollback doctor sign-in dead-letters/list dead-letters/redrive
        dead-letters/confirm dead-letters/decline dead-letters/withdraw
        dead-letters/redrive-all dead-letters/confirm-all"""

    assert set(promised.split()) <= {"/".join(path) for path in commands()}


def test_it_says_which_release_and_source_run(quartermaster: Quartermaster) -> None:
    said = quartermaster("--version")

    assert (said.code, said.out) == (0, f"{running_version()}\n")


@pytest.mark.parametrize("path", commands(), ids="/".join)
def test_every_command_explains_itself(path: tuple[str, ...], quartermaster: Quartermaster) -> None:
    said = quartermaster(*path, "--help")

    assert said.code == 0
    assert "Usage:" in said.out
    assert said.err == ""


# What cannot be done, and why


@pytest.mark.parametrize(
    "arguments",
    [("tasks", "list"), ("audit", "verify"), ("model", "list"), ("decision", "show", "x"), ("sign-in", "ada")],
)
def test_without_a_state_a_command_says_how_to_get_one(
    arguments: tuple[str, ...], quartermaster: Quartermaster
) -> None:
    refused(quartermaster(*arguments), "there is no state in", "`quartermaster up`")


def test_an_unknown_setting_is_a_mistake_of_the_caller(quartermaster: Quartermaster) -> None:
    refused(quartermaster("tasks", "list", QM_MOOD="sunny"), "QM_MOOD is not a setting", code=2)
    refused(quartermaster("migrate", QM_MOOD="", QM_CLOCK="fast"), "QM_CLOCK='fast' cannot be used", code=2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("migrate",), "QM_POSTGRES_DSN is not set"),
        (("import",), "say what to import"),
        (("feed", "moonbase"), "there is no feed 'moonbase'; choose one of demo, online-retail, dataco"),
        (("demo", "--feed", "dataco"), "the feed dataco needs the file"),
        (("demo", "--resume"), "there is no demo in"),
        (("tasks", "list", "--state", "elsewhere"), "there is no state at"),
    ],
)
def test_what_is_missing_is_named(arguments: tuple[str, ...], words: str, quartermaster: Quartermaster) -> None:
    refused(quartermaster(*arguments), words)


@pytest.mark.parametrize("process", ["intake", "worker", "console"])
def test_a_process_without_its_servers_says_which_are_missing(process: str, tmp_path: Path) -> None:
    """In a process of its own: it sets up logging and telemetry for good."""
    refused(CommandLine(tmp_path).call(process), "QM_TEMPORAL_ADDRESS is not set; `quartermaster up` starts everything")


def test_a_server_that_does_not_answer_is_named(quartermaster: Quartermaster) -> None:
    nowhere = {"QM_POSTGRES_DSN": "postgresql://127.0.0.1:9/none", "QM_TEMPORAL_ADDRESS": "127.0.0.1:9"}

    assert "PostgreSQL did not answer" in quartermaster("migrate", **nowhere).err
    refused(quartermaster("tasks", "list", **nowhere), "Temporal did not answer at 127.0.0.1:9")


@pytest.mark.parametrize("resume", [(), ("--resume",)])
def test_a_demo_refuses_a_state_that_somebody_works_on(
    resume: tuple[str, ...], quartermaster: Quartermaster, tmp_path: Path
) -> None:
    state = tmp_path / "home" / "demo"
    state.mkdir(parents=True)
    (state / "demo.json").write_text('{"feed": "demo", "days": 1, "seed": 7}')
    RunFile(state).open()

    with FileLock(state / LOCK_FILE, is_singleton=False):
        refused(quartermaster("demo", "--days", "1", *resume), "running on", f"pid {os.getpid()}")
    assert (state / "demo.json").exists()


def test_a_state_that_does_not_run_is_started_for_the_command_and_stopped_after_it(killed_demo: KilledDemo) -> None:
    """Comes before all tests that want the servers running."""
    said = killed_demo.commands.call("audit", "verify", "--json")

    assert said.code == 0
    assert said.json["ok"] is True
    assert said.json["entries"] == killed_demo.again.json["ledger_entries"]
    assert "Starting the servers of" in said.err
    assert killed_demo.commands.processes() == []


HISTORY = [{"location": "HAMBURG", "item": "SKU-0001", "day": f"2024-01-{n:02}", "units": n} for n in range(1, 6)]


def history(path: Path, rows: list[dict[str, Any]]) -> str:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, HISTORY[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


@pytest.mark.parametrize(
    ("line", "change", "words"),
    [
        (2, {"units": "many"}, "units: Input should be a valid integer"),
        (4, {"day": "31.12.2024"}, "day: "),
        (6, {"item": "no spaces"}, "item: "),
        (3, {"location": ""}, "location: Field required"),
    ],
)
def test_a_bad_row_of_a_past_is_named_by_its_line_and_nothing_is_loaded(
    line: int, change: dict[str, str], words: str, on_demo: Quartermaster, stack: EngineStack, tmp_path: Path
) -> None:
    rows = [dict(row) for row in HISTORY]
    rows[line - 2] |= change
    before = _days_of_demand(stack)

    refused(on_demo("import", "--history", history(tmp_path / "past.csv", rows)), f"past.csv line {line}: {words}")

    assert _days_of_demand(stack) == before


def _days_of_demand(stack: EngineStack) -> int:
    with connect(required(stack.settings, "postgres_dsn"), name="test") as database:
        (row,) = database.execute("SELECT count(*) AS n FROM recorded_demand").fetchall()
    return int(row["n"])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"item,day\n", "the header lacks location, units"),
        (b"", "the header lacks day, item, location, units"),
        (b"location,item,day,units\n\xff\xfe,x,2024-01-01,1\n", "is not UTF-8"),
        (b"location,item,day,units\n" + b"x" * 200_000 + b",x,2024-01-01,1\n", "line 2"),
    ],
)
def test_a_past_that_cannot_be_read_says_why(
    content: bytes, words: str, quartermaster: Quartermaster, tmp_path: Path
) -> None:
    file = tmp_path / "past.csv"
    file.write_bytes(content)

    refused(quartermaster("import", "--history", str(file)), words)


def test_a_catalog_that_is_none_says_where(quartermaster: Quartermaster, tmp_path: Path) -> None:
    file = tmp_path / "catalog.json"
    file.write_text('{"items": [{"item": "A"}], "locations": [], "suppliers": [], "sourcing": []}')

    refused(quartermaster("import", "--catalog", str(file)), "catalog.json: items.0.name: Field required")


# What the demo left


def test_the_ledger_is_whole_until_somebody_touches_it(on_demo: Quartermaster, stack: EngineStack) -> None:
    whole = on_demo("audit", "verify", "--json")
    assert (whole.code, whole.json["ok"], whole.json["breaks"]) == (0, True, [])

    touch = "UPDATE ledger_entry SET actor = %s WHERE (stream, seq) = (SELECT stream, seq FROM ledger_entry LIMIT 1)"
    with connect(required(stack.settings, "postgres_dsn"), name="test") as database:
        database.execute("SET session_replication_role = replica")
        (row,) = database.execute("SELECT actor FROM ledger_entry LIMIT 1").fetchall()
        database.execute(touch, ["somebody else"])
        try:
            broken, told = on_demo("audit", "verify", "--json"), on_demo("audit", "verify")
        finally:
            database.execute("UPDATE ledger_entry SET actor = %s WHERE actor = 'somebody else'", [row["actor"]])
    assert (broken.code, broken.json["ok"]) == (1, False)
    assert len(broken.json["breaks"]) >= 1
    assert told.code == 1
    assert "BROKEN" in told.out
    assert on_demo("audit", "verify").code == 0


def test_tasks_and_decisions_are_shown_to_people_and_to_programs(on_demo: Quartermaster) -> None:
    answered = on_demo("tasks", "list", "--which", "approved", "--json").json["tasks"]
    assert answered
    task = answered[0]
    identity = task["decision_id"]

    listed = on_demo("tasks", "list", "--which", "approved")
    assert identity in listed.out
    for command in (("tasks", "show"), ("decision", "show")):
        view = on_demo(*command, identity, "--json").json
        assert view["decision"]["decision_id"] == identity
        assert view["task"]["state"] == "approved"
        assert [entry["type"] for entry in view["timeline"]][:2] == ["decision.proposed", "task.opened"]
        people = on_demo(*command, identity)
        assert people.code == 0
        assert task["sentence"] in people.out.replace("\n", " ")
        assert "needs a person" in people.out
    held = on_demo("tasks", "list", "--which", "voided")
    assert held.code == 0


def test_an_answered_task_is_not_answered_again(on_demo: Quartermaster) -> None:
    (task, *_) = on_demo("tasks", "list", "--which", "rejected", "--json").json["tasks"]
    identity = task["decision_id"]

    refused(on_demo("tasks", "approve", identity, "--json"), "AlreadyAnswered")
    refused(on_demo("tasks", "reject", identity, "--reason", "other"), "AlreadyAnswered")
    refused(on_demo("tasks", "approve", "NOWHERE:NOTHING:1"), "there is no decision NOWHERE:NOTHING:1")
    refused(on_demo("decision", "show", "NOWHERE:NOTHING:1"), "there is no decision")
    assert on_demo("tasks", "reject", identity, "--reason", "boredom").code == 2


def test_orders_are_listed_and_one_that_waits_for_nobody_is_not_retried(on_demo: Quartermaster) -> None:
    (first, *_) = on_demo("orders", "list", "--json").json["orders"]
    refused(on_demo("orders", "retry", first["order_id"]), "nothing waits for an operator", first["state"])
    refused(on_demo("orders", "retry", "acme:NOWHERE:2025-01-01:1"), "there is no order")
    refused(on_demo("orders", "retry"), "say which order, or --waiting")
    refused(on_demo("orders", "retry", first["order_id"], "--waiting"), "say which order, or --waiting")
    refused(on_demo("orders", "retry", first["order_id"], "--supplier", "acme"), "narrow --waiting")
    assert on_demo("orders", "retry", "--waiting", "--json").json == {"orders": 0, "left": 0}


def test_an_automatic_decision_never_was_a_task(on_demo: Quartermaster, killed_demo: KilledDemo) -> None:
    tasks = {
        task["decision_id"]
        for state in ("open", "approved", "rejected", "expired", "voided")
        for task in on_demo("tasks", "list", "--which", state, "--json").json["tasks"]
    }
    lines = [line["need_id"] for entry in killed_demo.journal() for line in entry["order"]["lines"]]
    identity = next(need for need in lines if need not in tasks)

    refused(on_demo("tasks", "show", identity), "never was a task", f"`quartermaster decision show {identity}`")
    assert on_demo("decision", "show", identity, "--json").json["order"]["supplier_number"]


def test_models_are_listed_and_what_cannot_be_is_refused(on_demo: Quartermaster) -> None:
    (champion,) = on_demo("model", "list", "--json").json["models"]
    assert champion["status"] == "champion"
    assert champion["digest"][:12] in on_demo("model", "list").out

    assert on_demo("model", "promote", champion["digest"][:10], "--json").json["status"] == "champion"
    refused(on_demo("model", "promote", "ffff"), "no model, or more than one, begins with ffff")
    refused(on_demo("model", "rollback"), "Conflict")
    assert len(on_demo("model", "list", "--json").json["models"]) == 1


def test_a_good_past_is_loaded_once(on_demo: Quartermaster, stack: EngineStack, tmp_path: Path) -> None:
    rows = [{**row, "day": str(row["day"]).replace("2024", "2001")} for row in HISTORY]
    before = _days_of_demand(stack)
    file = history(tmp_path / "past.csv", rows)

    for _ in range(2):
        assert on_demo("import", "--history", file, "--json").json == {"days of demand": 5}
    assert _days_of_demand(stack) == before + 5


def test_migrating_what_is_up_to_date_changes_nothing(on_demo: Quartermaster, stack: EngineStack) -> None:
    said = on_demo("migrate", QM_POSTGRES_DSN=required(stack.settings, "postgres_dsn"))

    assert (said.code, said.out) == (0, "")
    assert said.err.splitlines() == ["The schema is up to date"]


def test_the_doctor_says_what_answers(on_demo: Quartermaster) -> None:
    said = on_demo("doctor", "--json")

    assert said.code == 0, said
    assert {"postgres", "temporal", "kafka"} <= {one["part"] for one in said.json["parts"]}
    assert on_demo("doctor").code == 0
    assert on_demo("doctor", "--json", QM_KAFKA_BOOTSTRAP="127.0.0.1:9").code == 1


def test_signing_in_gives_a_link_or_a_token_and_keeps_the_key_to_its_owner(
    on_demo: Quartermaster, killed_demo: KilledDemo
) -> None:
    link = on_demo("sign-in", "ada", "--json").json
    assert link["name"] == "ada"
    assert "/sign-in?token=" in link["link"]
    token = on_demo("sign-in", "ada", "--api", "--json").json["token"]
    assert token
    assert len(on_demo("sign-in", "ada", "--api").out.splitlines()) == 1
    assert (killed_demo.state / "console.key").stat().st_mode & 0o077 == 0


def test_signing_in_uses_the_key_that_the_console_was_told_to_use(on_demo: Quartermaster, tmp_path: Path) -> None:
    key = tmp_path / "a.key"

    on_demo("sign-in", "ada", QM_CONSOLE_KEY_FILE=str(key))

    assert key.exists()


def test_json_goes_to_stdout_and_all_else_to_stderr(killed_demo: KilledDemo, stack: EngineStack) -> None:
    """As a process of its own: here nothing catches what a library prints."""
    commands: CommandLine = killed_demo.commands
    assert json.dumps(commands.call("tasks", "list", "--json").json)
    refused(commands.call("decision", "show", "x", "--json"), "NotFound")
    assert commands.call("tasks").code == 2
