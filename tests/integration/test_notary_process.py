"""The notary's process, killed and beside others: whatever happens to it, all that was committed ends up certified."""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.notary_folder import NotaryFolder
from connectors.postgres import ledger
from connectors.postgres.pool import connect, transaction
from connectors.postgres.roles import DatabaseRole, as_role, let_in
from tests.command_line import CommandLine, eventually
from tests.integration.test_notary import House, entry

ELSEWHERE = "127.0.0.1:9"


class Process:
    """`quartermaster notary` on a house."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.commands = CommandLine(house.at / "home")
        self.variables: dict[str, Any] = {
            "QM_POSTGRES_DSN": as_role(house.dsn, DatabaseRole.NOTARY), "QM_NOTARY_KEY_FILE": str(house.key_file),
            "QM_ANCHOR_DIRECTORY": str(house.anchor), "QM_CHECKPOINT_SECONDS": "1",
            "QM_TEMPORAL_ADDRESS": ELSEWHERE, "QM_KAFKA_BOOTSTRAP": ELSEWHERE,
        }  # fmt: skip
        self.running: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        return (self.house.at / "notary.log").read_text()

    def begin(self) -> None:
        log = self.house.at / "notary.log"
        self.running = self.commands.begin("notary", out=log, err=log, **self.variables)

    def end(self, how: int) -> int:
        assert self.running is not None
        self.running.send_signal(how)
        return self.running.wait(60)

    def signed(self) -> int:
        return int(self.house.one("SELECT count(*) FROM ledger_checkpoint"))

    def until(self, condition: Callable[[], bool]) -> None:
        eventually(condition, within_s=180)


@pytest.fixture
def process(dsn: str, tmp_path: Path) -> Iterator[Process]:
    let_in(dsn)
    with connect(dsn, name="test") as connection:
        made = Process(House(dsn, connection, tmp_path))
        made.commands.home.mkdir()
        yield made
        if made.running is not None and made.running.poll() is None:
            made.end(signal.SIGKILL)


def test_killed_again_and_again_it_certifies_everything_once(process: Process) -> None:
    house, stop = process.house, threading.Event()

    def write(number: int) -> None:
        with connect(house.dsn, name="test-writer") as connection:
            for count in range(1_000_000):
                if stop.is_set():
                    return
                with transaction(connection) as cursor:
                    ledger.append_now(cursor, [entry(f"w{number}:{count % 9}", str(count))] * 5)

    writers = [threading.Thread(target=write, args=[number]) for number in range(2)]
    for writer in writers:
        writer.start()
    try:
        for _ in range(3):
            before = process.signed()
            process.begin()
            process.until(lambda before=before: process.signed() > before + 1)  # type: ignore[misc]
            assert process.end(signal.SIGKILL) == -signal.SIGKILL
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    process.begin()
    process.until(lambda: "notary runs" in process.log.splitlines()[-1] or process.signed() > 0)
    before = process.signed()
    process.until(lambda: process.signed() > before)
    house.append(entry("the last word"))
    assert process.end(signal.SIGTERM) == 0
    assert house.verify()[-1] == house.one("SELECT count(*) FROM ledger_entry")
    assert house.one("SELECT count(*) FROM ledger_entry WHERE stream = 'notary'") == 1


def test_beside_a_running_one_another_ends_a_rotation_is_done_and_all_is_shown(process: Process) -> None:
    process.begin()
    process.until(lambda: process.signed() > 0)
    second = process.commands.call("notary", **process.variables)
    assert second.code == 1
    assert "another notary" in second.err
    rotated = process.commands.call("notary", "rotate", "--reason", "yearly", "--json", **process.variables)
    assert rotated.code == 0, rotated.err
    assert rotated.json["first_checkpoint"] > 1
    process.until(
        lambda: (
            process.house.one("SELECT key_id FROM ledger_checkpoint ORDER BY number DESC LIMIT 1")
            == rotated.json["key_id"]
        )
    )
    accepted = process.commands.call("notary", "accept-loss", "--reason", "x", **process.variables)
    assert accepted.code == 1
    assert "another notary" in accepted.err
    assert process.end(signal.SIGTERM) == 0
    shown = process.commands.call("notary", "show", "--json", **process.variables).json
    assert len(shown["keys"]) == 2
    assert shown["checkpoint"]["size"] == 3, "two keys, and the settings that it began with"
    assert (shown["waiting"]["entries"], shown["alarms"], shown["anchor"]["has_newest"]) == (0, [], True)
    assert "Checkpoint" in process.commands.call("notary", "show", **process.variables).out
    body = json.loads(bytes(process.house.rows("SELECT body FROM ledger_entry WHERE seq = 2")[0]["body"]))
    assert json.loads(body["statement"])["reason"] == "yearly"
    # Nobody runs: the command replaces the key itself.
    again = process.commands.call("notary", "rotate", "--json", **process.variables)
    assert again.code == 0, again.err
    none = process.commands.call("notary", "accept-loss", "--reason", "x", **process.variables)
    assert none.code == 1
    assert "no loss to accept" in none.err
    process.house.verify()


def test_what_it_refuses_is_said_and_looked_at_again(process: Process) -> None:
    house = process.house
    house.append(entry(), entry())
    whole = house.rows("SELECT body FROM ledger_entry WHERE stream = 'LEEDS:ITEM:1' AND seq = 2")[0]["body"]
    house.tamper("UPDATE ledger_entry SET body = 'x' WHERE stream = 'LEEDS:ITEM:1' AND seq = 2")
    process.begin()
    process.until(lambda: bool(house.rows("SELECT 1 FROM notary_alarm WHERE ended_at IS NULL")))
    shown = process.commands.call("notary", "show", "--json", **process.variables).json
    assert [alarm["kind"] for alarm in shown["alarms"]] == ["broken"]
    assert "entry 2 of LEEDS:ITEM:1" in shown["alarms"][0]["detail"]
    assert shown["waiting"]["entries"] == 4, "the two, its key, and the settings that it began with"
    assert process.running is not None
    assert process.running.poll() is None
    assert "entry 2 of LEEDS:ITEM:1" in process.log
    with house.connection.transaction():
        house.connection.execute("SET LOCAL session_replication_role = replica")
        house.connection.execute(
            "UPDATE ledger_entry SET body = %s WHERE stream = 'LEEDS:ITEM:1' AND seq = 2", [bytes(whole)]
        )
    process.until(lambda: process.signed() > 0)
    process.until(lambda: not house.rows("SELECT 1 FROM notary_alarm WHERE ended_at IS NULL"))
    process.end(signal.SIGTERM)
    assert house.verify()[-1] == 4


def test_the_key_is_nowhere_but_in_its_file(process: Process) -> None:
    process.begin()
    process.until(lambda: process.signed() > 0)
    secret = process.house.key_file.read_text().strip().split("+", 4)[4]  # base64 may have a plus in it
    assert process.running is not None
    environment = Path(f"/proc/{process.running.pid}/environ").read_bytes()
    assert secret.encode() not in environment
    process.end(signal.SIGTERM)
    everywhere = [path for path in process.house.at.rglob("*") if path.is_file() and path != process.house.key_file]
    assert not [path for path in everywhere if secret.encode() in path.read_bytes()]
    assert NotaryFolder(process.house.key_file).key() is not None
    assert os.stat(process.house.key_file).st_uid == os.getuid()
