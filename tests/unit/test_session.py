"""A command finds the state it means, and no state is thrown away under somebody's feet."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from workers.commands import feeds
from workers.embedded import LOCK_FILE, StackRunning
from workers.preparing import feed_source
from workers.servers.process import ProcessIdentity
from workers.servers.runfile import Addresses, Child, RunFile, RunRecord
from workers.session import Silence, emptied, opened, running, settings_beside, state_directory
from workers.settings import Settings
from workers.stack import EngineStack, settings_on, to_its_end
from workers.up import next_on_empty
from workflows.domain.errors import InvalidInput

ADDRESSES = Addresses(
    postgres_dsn="postgresql:///postgres?host=/sockets", temporal_address="127.0.0.1:1", temporal_ui="http://127.0.0.1:2",
    kafka_bootstrap="127.0.0.1:3", kafka_log_id="log-7",
)  # fmt: skip


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


def state(settings: Settings, name: str, *, runs: bool = False) -> Path:
    """A state directory, on which this very process runs if asked."""
    folder = settings.home / name
    folder.mkdir()
    if runs:
        run_file = RunFile(folder)
        run_file.open()
        run_file.announce(ADDRESSES, supplier="http://127.0.0.1:4")
    return folder


@pytest.fixture
def orphan() -> Iterator[ProcessIdentity]:
    """A process that a killed supervisor left."""
    child = subprocess.Popen([sys.executable, "-S", "-c", "import signal; signal.pause()"], start_new_session=True)
    yield ProcessIdentity.of(child.pid)
    child.kill()
    child.wait()


def leave(folder: Path, orphan: ProcessIdentity) -> None:
    """A run file as a supervisor leaves it that was killed; its pid is nobody's any more."""
    left = Child(pid=orphan.pid, created=orphan.created, stop_signal=signal.SIGTERM, patience_s=5)
    record = RunRecord(pid=os.getpid(), created=0, children={"postgres": left}, addresses=ADDRESSES)
    (folder / "run.json").write_text(record.model_dump_json())


def test_without_any_state_it_says_how_to_get_one(home: Settings) -> None:
    with pytest.raises(InvalidInput, match="`quartermaster up` or `quartermaster demo` makes one"):
        state_directory(home, None)


@pytest.mark.parametrize("named", ["up", "demo", "/nowhere/at/all"])
def test_a_named_state_must_be_there(home: Settings, named: str) -> None:
    with pytest.raises(InvalidInput, match="there is no state at"):
        state_directory(home, named)


def test_what_runs_is_meant_first_then_the_demo_then_what_up_left(home: Settings) -> None:
    up = state(home, "up")
    assert state_directory(home, None) == up
    demo = state(home, "demo")
    assert state_directory(home, None) == demo
    RunFile(up).open()
    assert state_directory(home, None) == demo, "it starts, but nothing answers yet"
    run_file = RunFile(up)
    run_file.open()
    run_file.announce(ADDRESSES)
    assert state_directory(home, None) == up
    assert state_directory(home, "demo") == demo
    assert state_directory(home, str(demo)) == demo


def test_what_runs_is_told_to_its_owner_alone(tmp_path: Path) -> None:
    run_file = RunFile(tmp_path)
    run_file.open()
    run_file.announce(ADDRESSES)
    assert (tmp_path / "run.json").stat().st_mode & 0o777 == 0o600


async def test_a_running_state_is_used_as_it_is(home: Settings) -> None:
    state(home, "up", runs=True)

    async with opened(home, None, Silence()) as found:
        assert found.postgres_dsn == ADDRESSES.postgres_dsn
        assert found.supplier_url == "http://127.0.0.1:4"
        assert found.model_store == home.home / "up" / "models"


async def test_servers_of_ones_own_are_used_with_files_in_the_home(home: Settings) -> None:
    own = home.model_copy(update={"postgres_dsn": "postgresql://db/q", "temporal_address": "t:7233"})

    async with opened(own, None, Silence()) as found:
        assert found == settings_beside(own)
        assert found.model_store == home.home / "models"


def test_what_the_settings_name_goes_before_what_lies_with_the_state(home: Settings, tmp_path: Path) -> None:
    asked = home.model_copy(update={"model_store": tmp_path / "shelf"})

    found = settings_on(tmp_path / "up", asked, ADDRESSES)

    assert (found.model_store, found.console_key_file) == (tmp_path / "shelf", tmp_path / "up" / "console.key")
    assert found.kafka_log_id == "log-7"


def test_a_killed_run_is_not_running(home: Settings, orphan: ProcessIdentity) -> None:
    folder = state(home, "demo")
    leave(folder, orphan)

    assert running(folder) is None


def test_emptying_a_state_ends_what_a_killed_run_left_on_it(home: Settings, orphan: ProcessIdentity) -> None:
    folder = state(home, "demo")
    leave(folder, orphan)

    emptied(folder)

    assert not orphan.alive()
    assert not folder.exists()
    emptied(folder)


def test_a_state_that_somebody_works_on_is_not_emptied(home: Settings) -> None:
    folder = state(home, "demo", runs=True)
    (folder / "kept").touch()

    with (
        FileLock(folder / LOCK_FILE, is_singleton=False),
        pytest.raises(StackRunning, match=f"pid {os.getpid()}; wait for it, or stop it"),
    ):
        emptied(folder)

    assert (folder / "kept").exists()


async def test_a_start_that_is_cancelled_is_waited_for_so_that_it_can_be_stopped() -> None:
    begun, go_on, done = threading.Event(), threading.Event(), threading.Event()

    def start() -> None:
        begun.set()
        assert go_on.wait(10)
        done.set()

    starting = asyncio.ensure_future(to_its_end(start))
    await asyncio.to_thread(begun.wait, 10)
    starting.cancel()
    asyncio.get_running_loop().call_later(0.05, go_on.set)

    with pytest.raises(asyncio.CancelledError):
        await starting
    assert done.is_set()


def test_suppliers_that_are_started_without_behaviours_stay_as_they_were(
    home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = state(home, "up")
    stack = EngineStack(folder, home.model_copy(update={"supplier_port": 0}), Silence())
    monkeypatch.setattr(stack, "_run", lambda *_: None)
    stack._embedded.run_file.open()
    known = folder / "supplier" / "behaviours.json"
    stack.start_supplier(())
    assert known.read_text() == "[]"
    known.write_text('[{"supplier": "acme"}]')

    stack.start_supplier(())

    assert known.read_text() == '[{"supplier": "acme"}]'


@pytest.mark.parametrize("clock", ["live", "replayed"])
async def test_a_running_engine_says_which_clock_it_has(home: Settings, clock: str) -> None:
    run_file = RunFile(state(home, "up", runs=True))
    run_file.open()
    run_file.announce(ADDRESSES, clock=clock)

    async with opened(home, None, Silence()) as found:
        assert found.clock == clock
    assert ("QM_CLOCK=replayed" in next_on_empty(clock)) == (clock == "live")


async def test_a_feed_refuses_a_live_clock_and_says_what_to_do(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    run_file = RunFile(state(home, "up"))
    run_file.open()
    run_file.announce(ADDRESSES, clock="live")
    monkeypatch.setenv("QM_HOME", str(home.home))

    with pytest.raises(InvalidInput, match="QM_CLOCK=replayed quartermaster up --empty"):
        await feeds._feed(None, feed_source("demo", None, 3, 7), None)
