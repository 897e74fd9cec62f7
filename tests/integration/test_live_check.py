"""`audit verify` finds in the database itself what was done to the record, its tree, its signatures and its anchors."""

import json
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connectors.postgres import ledger
from connectors.postgres.audit import PostgresAudit
from connectors.postgres.live_check import check
from connectors.postgres.pool import Database, connect, transaction
from connectors.postgres.roles import DatabaseRole, as_role, let_in
from connectors.signing import NoteSigner
from tests.databases import DatabaseServer
from tests.ledger_world import World, need, two_days
from tests.tampering import Tamperer, one_digit_changed, tampering
from workers.commands.verified_words import verified_words
from workflows.domain.approvals import Actor
from workflows.domain.ledger import EntryType, NewEntry, Verification

DECISION = need(1)


@pytest.fixture(scope="module")
def world(server: DatabaseServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two days of a ledger, certified."""
    with two_days(server, tmp_path_factory.mktemp("live")) as made:
        yield made


@pytest.fixture
def copy(server: DatabaseServer, world: World) -> Iterator[str]:
    """A copy of the database, to be ruined."""
    with server.copied(world.dsn) as dsn:
        yield dsn


def problems(found: Verification) -> str:
    return "\n".join(f"{one.stream} {one.seq}: {one.problem}" for one in found.breaks)


def test_a_whole_record(world: World) -> None:
    let_in(world.dsn)
    found = check(as_role(world.dsn, DatabaseRole.AUDITOR), world.anchors)

    assert found.breaks == ()
    assert found.leaves == found.entries - found.unsealed > 40
    assert found.checkpoints == found.anchored_checkpoints == 6
    assert found.anchored_leaves == found.leaves
    words = "\n".join(verified_words(found))
    assert "chains: whole" in words
    assert "signed checkpoints" in words
    unseen = check(world.dsn, world.at / "nowhere")
    assert (unseen.ok, unseen.anchored_leaves) == (True, None)
    assert "cannot be seen from here" in "\n".join(verified_words(unseen))


async def test_it_is_what_the_console_and_the_command_ask(world: World) -> None:
    async with Database(world.dsn, name="test", size=1) as database:
        found = await PostgresAudit(database, world.dsn, world.anchors).verify(Actor(name="audrey"))
        again = await PostgresAudit(database, world.dsn, world.anchors).verify(Actor(name="audrey"))
    assert (found.ok, found.anchored_leaves) == (True, found.leaves)
    assert (again.entries, again.unsealed) == (found.entries + 1, found.unsealed + 1), "that it was asked is recorded"
    assert again.oldest_unsealed_s is not None
    assert again.oldest_unsealed_s > 0


def flip(he: Tamperer) -> None:
    row = he.find("decision.released", DECISION)
    he.replace(DECISION, row["seq"], body=one_digit_changed(bytes(row["body"])))


def drop_stream(he: Tamperer) -> None:
    he.rewrite(need(4), [])


def drop_leaf(he: Tamperer) -> None:
    he.run("DELETE FROM ledger_leaf WHERE tree_index = 3")


def drop_entry(he: Tamperer) -> None:
    he.run("DELETE FROM ledger_entry WHERE stream = %s AND seq = 2", need(4))


def change_leaf(he: Tamperer) -> None:
    he.run("UPDATE ledger_leaf SET hash = %s WHERE tree_index = 3", "0" * 64)


def spoil_leaf(he: Tamperer) -> None:
    he.run("UPDATE ledger_leaf SET hash = 'none' WHERE tree_index = 3")


def drop_checkpoint(he: Tamperer) -> None:
    he.run("DELETE FROM ledger_checkpoint WHERE number = 3")


def change_row(he: Tamperer) -> None:
    he.run("UPDATE ledger_checkpoint SET size = size - 1 WHERE number = 3")


def spoil_note(he: Tamperer) -> None:
    he.run("UPDATE ledger_checkpoint SET note = 'x' WHERE number = 3")


def resign(he: Tamperer) -> None:
    flip(he)
    name = he.run("SELECT verifier_key FROM notary_key")[0]["verifier_key"].partition("+")[0]
    he.resign(NoteSigner(name, bytes(range(32))))


def add_key(he: Tamperer) -> None:
    name = he.run("SELECT verifier_key FROM notary_key")[0]["verifier_key"].partition("+")[0]
    key = NoteSigner(name, bytes(range(32))).key
    he.run("INSERT INTO notary_key (key_id, verifier_key, first_checkpoint) VALUES (%s, %s, 99)", key.key_id, key.text)


def behind_the_notary(he: Tamperer) -> None:
    he.run(
        """INSERT INTO ledger_entry (stream, seq, type, actor, occurred_at, recorded_at, body, body_sha256, prev_hash,
           hash) SELECT 'quiet', seq, type, actor, occurred_at, recorded_at, body, body_sha256, prev_hash, hash
           FROM ledger_entry WHERE stream = %s AND seq = 1""",
        DECISION,
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (flip, "the anchors have it as leaf"),
        (drop_stream, "do not lead to the root that was signed"),
        (drop_leaf, "stands where leaf 3 should"),
        (drop_entry, "it is gone; the tree has it as leaf"),
        (change_leaf, "it is not the one that the tree has as leaf 3"),
        (spoil_leaf, "its hash is none"),
        (drop_checkpoint, "and the database has not"),
        (change_row, "its row says another thing than its signed note"),
        (spoil_note, "it is no signed note"),
        (resign, "they know the key"),
        (add_key, "no statement that the key before it signed"),
        (behind_the_notary, "it was put in behind the notary"),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_each_of_these_is_a_break(world: World, copy: str, change: Callable[[Tamperer], None], words: str) -> None:
    with tampering(copy) as he:
        change(he)
    found = check(copy, world.anchors)

    assert not found.ok
    assert words in problems(found)
    assert "BROKEN" in next(iter(verified_words(found)))


@pytest.mark.parametrize("change", [flip, drop_stream, drop_leaf, drop_entry, change_row, spoil_note, add_key])
def test_most_of_it_shows_without_the_anchors(copy: str, change: Callable[[Tamperer], None]) -> None:
    with tampering(copy) as he:
        change(he)
    assert not check(copy).ok


def test_what_was_cut_off_shows_by_the_anchors(world: World) -> None:
    assert check(world.yesterday).ok, "an earlier state contradicts nothing in itself"
    found = check(world.yesterday, world.anchors)
    assert "and the tree has not" in problems(found)
    assert "they have a checkpoint of" in problems(found)


def test_what_waits_is_no_break(world: World, copy: str) -> None:
    with connect(copy, name="test") as connection, transaction(connection) as cursor:
        said = NewEntry(
            stream="fresh", type=EntryType.TASK_COMMENTED, actor="pat", occurred_at=datetime.now(UTC), body={}
        )
        ledger.append_now(cursor, [said])
    before, found = check(world.dsn, world.anchors), check(copy, world.anchors)
    assert (found.breaks, found.unsealed) == ((), before.unsealed + 1)


def test_an_anchor_that_is_ahead_by_the_checkpoint_of_a_crash(world: World, copy: str) -> None:
    with tampering(copy) as he:
        he.run("DELETE FROM ledger_checkpoint WHERE number = 6")
    assert check(copy, world.anchors).ok
    with tampering(copy) as he:
        he.run("DELETE FROM ledger_checkpoint WHERE number = 5")
    assert not check(copy, world.anchors).ok


def test_broken_lines_and_strange_ones(world: World, tmp_path: Path) -> None:
    shutil.copytree(world.anchors, tmp_path / "anchors")
    newest = sorted((tmp_path / "anchors").glob("*.jsonl"))[-1]
    with newest.open("ab") as file:
        file.write(b'{"leaf":[0,"LEE\n')
    assert check(world.dsn, tmp_path / "anchors").ok, "as a crash leaves it"
    with newest.open("ab") as file:
        file.write(b'{"leaf":["x"]}\n{"checkpoint":"x"}\n')
    assert "cannot be read" in problems(check(world.dsn, tmp_path / "anchors"))


def test_an_accepted_loss_is_told_and_expected(server: DatabaseServer, world: World, tmp_path: Path) -> None:
    """Yesterday's backup for good: who accepted it is told live, and the verifier names all that is gone."""
    with server.copied(world.yesterday) as dsn:
        lossy = World(dsn, tmp_path, world.keys)
        for part in ("anchors", "notary"):
            shutil.copytree(world.at / part, tmp_path / part)
        notary = lossy.notary()
        key = notary.replace_key("ada", "the disk burned", accepting=True)
        notary.close()
        lossy.certify(2)
        live = check(dsn, lossy.anchors)
        assert live.breaks == (), problems(live)
        assert any("LOSS: ada accepted" in words and "the disk burned" in words for words in verified_words(live))

        pack = lossy.pack().path
        found = lossy.verify(pack)
        assert found.codes == {"loss_accepted", "entry_lost"}, found.said
        assert "ada declared" in found.of("loss_accepted")[0]["meaning"]
        with connect(world.dsn, name="test") as connection, connect(dsn, name="test") as left:
            certified = connection.execute("SELECT stream, seq FROM ledger_leaf").fetchall()
            there = left.execute("SELECT stream, seq FROM ledger_leaf").fetchall()
        kept = {(row["stream"], row["seq"]) for row in there}
        named = {(one["stream"], one["seq"]) for one in found.of("entry_lost")}
        assert named >= {(row["stream"], row["seq"]) for row in certified} - kept
        name = key.verifier_key.partition("+")[0]
        assert lossy.verify(pack, "--known-loss", name).code == 0
        old = world.verify(pack)
        assert {"loss_accepted", "entry_lost"} <= old.codes, "an anchor from before the loss knows what is gone too"
        forgotten = [line for line in _lines(lossy.anchors) if "loss" not in str(line.get("statement"))]
        assert any("leaf" in line for line in forgotten)


def _lines(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for path in sorted(folder.glob("*.jsonl")) for line in path.read_text().splitlines()]
