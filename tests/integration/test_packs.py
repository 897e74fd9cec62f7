"""Packs of one decision, of a period and of everything: read as the auditor, whole or not there, and verified alone."""

import asyncio
import json
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path

import pytest

from connectors.postgres import ledger
from connectors.postgres.packs import reading
from connectors.postgres.pool import connect, transaction
from connectors.postgres.roles import DatabaseRole, as_role, let_in
from tests.databases import DatabaseServer
from tests.ledger_world import ORDER, World, need
from tests.storeroom import MORNING
from tests.tampering import tampering
from workers.packing import write_pack
from workflows.domain.errors import InvalidInput, NotFound
from workflows.domain.ledger import EntryType, NewEntry
from workflows.domain.packs import PackMade, PackRequest


@pytest.fixture(scope="module")
def world(server: DatabaseServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two days of a ledger."""
    at = tmp_path_factory.mktemp("packed")
    with server.migrated() as dsn:
        made = World(dsn, at, at / "personal.key")
        asyncio.run(made.first_day())
        asyncio.run(made.second_day())
        yield made


def members(path: str) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_one_decision_with_all_that_it_rests_on(world: World) -> None:
    made = world.pack(request=PackRequest(decision=need(3)))
    found = world.verify(made.path)

    assert (found.code, found.report["findings"]) == (0, []), found.said
    inside = members(made.path)
    assert "ledger/leaves.jsonl" not in inside
    assert made.size < 40_000
    chains = {json.loads(line)["stream"] for line in inside["ledger/entries.jsonl"].splitlines()}
    assert {need(3), "installation"} < chains
    assert not chains & {need(1), need(2)}
    assert found.report["checked"]["order_lines_sent"] == 1
    assert len(inside["ledger/proofs.jsonl"].splitlines()) == made.manifest.counts.entries


def test_a_hold_with_the_batch_that_recorded_it(world: World) -> None:
    with connect(world.dsn, name="test") as connection:
        row = connection.execute("SELECT decision_id FROM decision WHERE kind = 'hold' ORDER BY 1 LIMIT 1").fetchone()
    assert row is not None
    found = world.verify(world.pack(request=PackRequest(decision=row["decision_id"])).path)

    assert (found.code, found.report["findings"]) == (0, []), found.said
    assert found.report["checked"]["decisions"] == 1


def test_a_period_and_one_in_which_nothing_was(world: World) -> None:
    with connect(world.dsn, name="test") as connection:
        row = connection.execute("SELECT min(recorded_at) AS first FROM ledger_entry").fetchone()
    assert row is not None
    day = date.fromisoformat(row["first"][:10])
    found = world.verify(world.pack(request=PackRequest(since=day, until=day + timedelta(days=1))).path)
    assert (found.code, found.report["findings"]) == (0, []), found.said
    assert found.report["checked"]["entries"] == found.report["checked"]["leaves"]
    later = day + timedelta(days=9)
    none = world.verify(world.pack(request=PackRequest(since=later, until=later)).path)
    assert (none.code, none.report["findings"]) == (0, []), none.said
    assert none.report["checked"]["entries"] == 0


def test_what_is_missing_of_a_decision_or_a_period_is_found(server: DatabaseServer, world: World) -> None:
    with server.copied(world.dsn) as dsn:
        with tampering(dsn) as he:
            he.rewrite(need(3), [row for row in he.chain(need(3)) if row["type"] != "verdict.withdrawn"])
        one = world.verify(world.pack(dsn, PackRequest(decision=need(3))).path)
        assert "dropped_middle" in one.codes, one.said
        assert "tree_short" in one.codes
        period = PackRequest(since=date(2020, 1, 1), until=date(2100, 1, 1))
        assert world.verify(world.pack(dsn, period).path).report["tampering"] == ["dropped_middle"]


def test_the_auditors_role_is_enough_and_may_nothing_else(world: World) -> None:
    let_in(world.dsn)
    dsn = as_role(world.dsn, DatabaseRole.AUDITOR)
    assert world.verify(world.pack(dsn).path).code == 0
    with connect(dsn, name="test") as connection, pytest.raises(Exception, match="permission denied"):
        connection.execute("SELECT 1 FROM decision")


def test_the_same_record_gives_the_same_bytes(world: World) -> None:
    one, other = (members(world.pack().path) for _ in range(2))

    assert one.pop("manifest.json") != other.pop("manifest.json"), "made at another instant"
    assert one == other
    assert list(one) == list(other)


def test_a_pack_is_whole_or_not_there(world: World, tmp_path: Path) -> None:
    output = tmp_path / "pack.zip"

    def fails(_: PackMade) -> None:
        raise RuntimeError("the ledger does not take it")

    with reading(world.dsn, settle_s=0) as record, pytest.raises(RuntimeError):
        write_pack(record, PackRequest(), output, made_by="a", release="1", announce=fails)
    assert list(tmp_path.iterdir()) == []
    with reading(world.dsn, settle_s=0) as record, pytest.raises(InvalidInput, match="cannot be written"):
        write_pack(
            record, PackRequest(), tmp_path / "no" / "x.zip", made_by="a", release="1", announce=lambda _: None
        )  # fmt: skip
    with reading(world.dsn, settle_s=0) as record, pytest.raises(NotFound, match="no decision LEEDS:NONE:1"):
        write_pack(
            record, PackRequest(decision="LEEDS:NONE:1"), output, made_by="a", release="1", announce=lambda _: None
        )  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_a_killed_export_leaves_no_pack(world: World, tmp_path: Path) -> None:
    script = """
import os, sys
from pathlib import Path
from connectors.postgres.packs import reading
from workers.packing import write_pack
from workflows.domain.ledger import EntryType, NewEntry
from workflows.domain.packs import PackRequest
with reading(sys.argv[1], settle_s=0) as record:
    write_pack(record, PackRequest(), Path(sys.argv[2]), made_by="a", release="1", announce=lambda _: os._exit(9))
"""
    output = tmp_path / "pack.zip"
    done = subprocess.run([sys.executable, "-c", script, world.dsn, output], cwd=Path(__file__).parents[2])
    assert done.returncode == 9
    assert not output.exists()
    with reading(world.dsn, settle_s=0) as record:
        write_pack(record, PackRequest(), output, made_by="a", release="1", announce=lambda _: None)
    assert world.verify(output).code == 0


def test_packs_made_while_everybody_writes_are_clean(server: DatabaseServer, world: World, tmp_path: Path) -> None:
    over = threading.Event()

    def writes(busy: World, name: str) -> None:
        with connect(busy.dsn, name=name) as connection:
            while not over.is_set():
                with transaction(connection) as cursor:
                    entries = [another(f"{name}:{number}") for number in range(5)]
                    ledger.append_now(cursor, [*entries, another("shared")])

    def certifies(busy: World) -> None:
        notary = busy.notary()
        while not over.is_set():
            notary.round()
        notary.close()

    with server.copied(world.dsn) as dsn:
        busy = World(dsn, tmp_path, world.keys)
        for part in ("anchors", "notary"):
            shutil.copytree(world.at / part, tmp_path / part)
        with ThreadPoolExecutor(3) as pool:
            work = [pool.submit(writes, busy, "a"), pool.submit(writes, busy, "b"), pool.submit(certifies, busy)]
            try:
                found = [busy.verify(busy.pack(settle_s=0.5).path) for _ in range(3)]
            finally:
                over.set()
            for one in work:
                one.result()
        assert [one.report["findings"] for one in found] == [[], [], []], found[0].said
        sizes = [one.report["checked"]["checkpoints"] for one in found]
        assert sizes[0] < sizes[-1], "the notary was at work meanwhile"


def another(stream: str) -> NewEntry:
    return NewEntry(stream=stream, type=EntryType.TASK_COMMENTED, actor="pat", occurred_at=MORNING, body={"said": "x"})


def test_an_order_is_part_of_what_was_released_to_it(world: World) -> None:
    made = world.pack(request=PackRequest(decision=need(1)))

    assert f"order:{ORDER}" in made.manifest.scope.whole
