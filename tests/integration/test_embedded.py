"""The embedded stack: starts, stops, survives kill -9, and says clearly why it cannot start."""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
from confluent_kafka.admin import AdminClient
from temporalio.client import Client

from workers.embedded import EmbeddedStack, StackRunning
from workers.servers.ports import KEPT, PortInUse, claim
from workers.servers.process import ProcessIdentity, ProcessSpec
from workers.servers.runfile import Child, RunFile, RunRecord, read_run, reap
from workers.servers.supervisor import ProcessFailed, Supervisor
from workers.settings import Settings, SettingsError

SUPERVISOR = """
import os, signal, sys
from pathlib import Path
from workers.embedded import EmbeddedStack
from workers.settings import Settings

stack = EmbeddedStack(Path(sys.argv[1]), Settings.from_environment(os.environ))
stack.start()
print("up", flush=True)
signal.pause()
"""


def eventually(condition: Callable[[], bool], within_s: float = 60.0) -> None:
    """Wait for a condition; fail when it does not come true in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.02)


def await_failure(supervisor: Supervisor) -> None:
    """Let the supervisor's own error come through."""

    def never() -> bool:
        supervisor.check()
        return False

    eventually(never)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Any free ports, so that tests never meet a stack of the developer's own."""
    return Settings(home=tmp_path / "home", temporal_port=0, temporal_ui_port=0, kafka_port=0)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state directory with a space in it."""
    return tmp_path / "a state"


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    """A supervisor without servers."""
    run_file = RunFile(tmp_path)
    run_file.open()
    supervisor = Supervisor(tmp_path / "logs", run_file)
    yield supervisor
    supervisor.stop_all()


async def test_start_stop_start_keeps_postgres_and_temporal_and_mints_a_new_broker_log(
    state: Path, settings: Settings
) -> None:
    stack = EmbeddedStack(state, settings)
    first = await asyncio.to_thread(stack.start)
    with psycopg.connect(first.postgres_dsn, autocommit=True) as db:
        db.execute("CREATE TABLE kept (note text)")
        db.execute("INSERT INTO kept VALUES ('before')")
    client = await Client.connect(first.temporal_address)
    await client.start_workflow("Waiting", id="kept", task_queue="nobody-polls")
    topics = AdminClient({"bootstrap.servers": first.kafka_bootstrap}).list_topics(timeout=10).topics
    await asyncio.to_thread(stack.stop)

    again = EmbeddedStack(state, settings)
    second = again.start()
    try:
        with psycopg.connect(second.postgres_dsn) as db:
            assert db.execute("SELECT note FROM kept").fetchone() == ("before",)
            assert db.execute("SHOW fsync").fetchone() == ("on",)
            assert db.execute("SHOW listen_addresses").fetchone() == ("",)
        client = await Client.connect(second.temporal_address)
        assert (await client.get_workflow_handle("kept").describe()).id == "kept"
        assert isinstance(topics, dict)
        assert second.kafka_log_id != first.kafka_log_id
    finally:
        again.stop()
    assert read_run(state) is None


def test_what_a_killed_supervisor_left_is_reaped_and_its_data_recovered(state: Path, settings: Settings) -> None:
    env = {**os.environ, **settings.environment()}
    killed = subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, str(state)], env=env, stdout=subprocess.PIPE, cwd=Path.cwd()
    )
    assert killed.stdout is not None
    assert killed.stdout.readline() == b"up\n"
    run = read_run(state)
    assert run is not None
    assert run.addresses is not None
    with psycopg.connect(run.addresses.postgres_dsn, autocommit=True) as db:
        db.execute("CREATE TABLE kept AS SELECT 1 AS n")
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    killed.stdout.close()
    orphans = [ProcessIdentity(child.pid, child.created) for child in run.children.values()]
    assert all(orphan.alive() for orphan in orphans)

    said: list[str] = []
    stack = EmbeddedStack(state, settings)
    addresses = stack.start(said.append)
    try:
        assert not any(orphan.alive() for orphan in orphans)
        assert "Ended what a killed run had left: postgres, temporal, broker" in said
        with psycopg.connect(addresses.postgres_dsn) as db:
            assert db.execute("SELECT n FROM kept").fetchone() == (1,)
    finally:
        stack.stop()


def test_killed_servers_come_back_except_the_broker_whose_log_is_gone(state: Path, settings: Settings) -> None:
    stack = EmbeddedStack(state, settings)
    addresses = stack.start()
    try:
        os.kill(stack.supervisor.pid("postgres"), signal.SIGKILL)
        eventually(lambda: stack.supervisor.restarts("postgres") >= 1)
        eventually(lambda: _answers(addresses.postgres_dsn))

        os.kill(stack.supervisor.pid("broker"), signal.SIGKILL)
        with pytest.raises(ProcessFailed, match=r"broker died \(signal 9\) and cannot simply be started again"):
            await_failure(stack.supervisor)
    finally:
        stack.stop()


def _answers(dsn: str) -> bool:
    try:
        psycopg.connect(dsn, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def test_a_second_up_is_told_who_runs_and_where_the_console_is(state: Path, tmp_path: Path) -> None:
    elsewhere = Settings(
        home=tmp_path, postgres_dsn="postgresql://db/q", temporal_address="t:7233", kafka_bootstrap="k:9092"
    )
    with EmbeddedStack(state, elsewhere) as stack:
        stack.run_file.announce(console="http://127.0.0.1:8642")

        with pytest.raises(StackRunning) as caught:
            EmbeddedStack(state, elsewhere).start()

    assert f"pid {os.getpid()}, console at http://127.0.0.1:8642" in str(caught.value)


def test_servers_named_in_the_settings_are_used_and_not_started(state: Path, tmp_path: Path) -> None:
    elsewhere = Settings(
        home=tmp_path,
        postgres_dsn="postgresql://db/q",
        temporal_address="t:7233",
        kafka_bootstrap="k:9092",
        kafka_log_id="cluster-a",
    )
    stack = EmbeddedStack(state, elsewhere)
    addresses = stack.start()
    run = read_run(state)
    stack.stop()

    assert (addresses.postgres_dsn, addresses.temporal_address) == ("postgresql://db/q", "t:7233")
    assert (addresses.kafka_bootstrap, addresses.kafka_log_id) == ("k:9092", "cluster-a")
    assert run is not None
    assert run.children == {}


def test_the_embedded_broker_is_not_started_for_a_group_protocol_that_it_does_not_have(
    state: Path, settings: Settings
) -> None:
    with pytest.raises(SettingsError, match=r"QM_KAFKA_GROUP_PROTOCOL=consumer needs Apache Kafka 4.0 .* QM_KAFKA_BOO"):
        EmbeddedStack(state, settings.model_copy(update={"kafka_group_protocol": "consumer"})).start()
    assert read_run(state) is None


def test_a_taken_port_is_named_with_its_setting_and_its_holder(state: Path, settings: Settings) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        stack = EmbeddedStack(state, settings.model_copy(update={"kafka_port": port}))

        with pytest.raises(PortInUse) as caught:
            stack.start()

    assert f"Port {port} is in use" in str(caught.value)
    assert f"(pid {os.getpid()})" in str(caught.value)
    assert "QM_KAFKA_PORT" in str(caught.value)
    assert read_run(state) is None, "a start that failed leaves nothing running"


def test_a_free_port_is_found_for_zero_and_kept_for_its_server() -> None:
    port = claim(0, "QM_CONSOLE_PORT")
    assert port > 1023
    with socket.socket() as somebody, pytest.raises(OSError, match="in use"):
        somebody.bind(("127.0.0.1", port))
    for _ in range(2):  # and for its restart
        with socket.create_server(("127.0.0.1", port)) as server, socket.create_connection(("127.0.0.1", port)):
            server.accept()[0].close()


def test_ports_that_were_found_long_ago_are_let_go() -> None:
    first = claim(0, "QM_CONSOLE_PORT")
    assert len({claim(0, "QM_CONSOLE_PORT") for _ in range(KEPT)} | {first}) == KEPT + 1
    with socket.socket() as somebody:
        somebody.bind(("127.0.0.1", first))


def test_a_deep_state_directory_gets_its_socket_elsewhere(tmp_path: Path, settings: Settings) -> None:
    deep = tmp_path / ("deep-" * 20) / "up"
    one_server = settings.model_copy(update={"temporal_address": "t:7233", "kafka_bootstrap": "k:9092"})
    stack = EmbeddedStack(deep, one_server)
    addresses = stack.start()
    try:
        assert _answers(addresses.postgres_dsn)
    finally:
        stack.stop()


def test_a_killed_process_is_started_again(supervisor: Supervisor) -> None:
    supervisor.start("worker", [sys.executable, "-c", "import signal; signal.pause()"], {})
    first = supervisor.pid("worker")

    os.kill(first, signal.SIGKILL)

    eventually(lambda: supervisor.restarts("worker") == 1)
    assert supervisor.pid("worker") != first
    assert psutil.pid_exists(supervisor.pid("worker"))
    supervisor.check()


def test_a_process_that_keeps_dying_is_given_up_with_its_last_words(supervisor: Supervisor) -> None:
    supervisor.start(
        "intake", [sys.executable, "-S", "-c", "print('no database', flush=True); raise SystemExit(3)"], {}
    )

    with pytest.raises(ProcessFailed, match=r"(?s)intake died 5 times within 60 s \(exit code 3\).*no database"):
        await_failure(supervisor)


def test_a_job_that_ends_well_is_finished_and_not_restarted(supervisor: Supervisor) -> None:
    supervisor.start("feed", [sys.executable, "-c", "pass"], {}, ends=True)

    eventually(lambda: supervisor.finished("feed"))
    assert supervisor.restarts("feed") == 0


def test_a_process_gets_our_settings_and_none_left_in_the_shell(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QM_LEFTOVER", "1")
    told = tmp_path / "told.json"
    code = (
        "import json, os, pathlib, sys;"
        "pathlib.Path(sys.argv[1]).write_text(json.dumps({k: v for k, v in os.environ.items() if k[:3] == 'QM_'}))"
    )
    supervisor.start("feed", [sys.executable, "-c", code, str(told)], {"QM_MODE": "passive"}, ends=True)

    eventually(lambda: supervisor.finished("feed"))
    assert json.loads(told.read_text()) == {"QM_MODE": "passive"}


def test_a_process_that_ignores_the_stop_signal_is_killed_with_all_it_started(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    note = tmp_path / "grandchild"
    script = f"trap '' TERM; sleep 300 & echo $! > '{note}'; wait"
    stubborn = ProcessSpec(name="stubborn", argv=["bash", "-c", script], env=os.environ, patience_s=0.3)
    supervisor.launch(stubborn)
    eventually(lambda: note.exists() and note.read_text().strip() != "")
    grandchild = ProcessIdentity.of(int(note.read_text()))

    supervisor.stop_all()

    eventually(lambda: not grandchild.alive())


def test_a_reused_pid_is_left_alone() -> None:
    me = ProcessIdentity.of(os.getpid())
    stranger = Child(pid=me.pid, created=me.created - 60, stop_signal=signal.SIGKILL, patience_s=1)

    assert reap(RunRecord(pid=1, created=0, children={"worker": stranger})) == []


def test_a_copy_of_a_state_directory_ends_nothing_of_the_one_it_was_copied_from(tmp_path: Path) -> None:
    original, copy, moved = tmp_path / "original", tmp_path / "copy", tmp_path / "moved"
    original.mkdir()
    RunFile(original).open()
    shutil.copytree(original, copy)

    assert read_run(original) is not None
    assert read_run(copy) is None

    original.rename(moved)
    assert read_run(moved) is not None, "what a killed run left is found after a move, too"
