"""The notary certifies everything that was committed, once, and never contradicts itself: not after a crash, not after
a restored backup, not beside another notary."""

import base64
import json
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from connectors.anchors import FileAnchor, UrlAnchor
from connectors.notary_folder import NotaryFolder
from connectors.postgres import ledger
from connectors.postgres.notary import PostgresNotary
from connectors.postgres.pool import Connection, Database, connect, transaction
from connectors.postgres.proofs import PostgresProofs
from connectors.postgres.roles import DatabaseRole, as_role, let_in
from connectors.signing import verify
from workers.certifying import Notary
from workflows.domain.errors import Conflict, InvalidInput, NotFound, Unavailable
from workflows.domain.ledger import EntryType, NewEntry
from workflows.domain.notary import NotaryRefuses, NotaryRuns, VerifierKey, read_note
from workflows.domain.tree import Frontier, entry_leaf

START = datetime(2026, 3, 3, 5, 0, tzinfo=UTC)


class Crash(BaseException):
    """The process is gone; nothing after this happens."""


def entry(stream: str = "LEEDS:ITEM:1", note: str = "a") -> NewEntry:
    return NewEntry(
        stream=stream, type=EntryType.DECISION_PROPOSED, actor="engine", occurred_at=START, body={"note": note}
    )  # fmt: skip


@dataclass
class House:
    """A database, a notary's folder and an anchor; what a notary does in it can be stopped anywhere."""

    dsn: str
    connection: Connection
    at: Path
    offset: timedelta = timedelta()
    crash_at: str = ""
    made: list[Notary] = field(default_factory=list)

    @property
    def key_file(self) -> Path:
        return self.at / "notary" / "notary.key"

    @property
    def anchor(self) -> Path:
        return self.at / "anchors"

    def notary(self, url: UrlAnchor | None = None) -> Notary:
        """A new process, so to speak."""

        def reached(point: str) -> None:
            if point == self.crash_at:
                self.crash_at = ""
                raise Crash(point)

        made = Notary(
            lambda: PostgresNotary(self.dsn, lock_within_s=0.3), NotaryFolder(self.key_file),
            FileAnchor(self.anchor), url, clock=lambda: datetime.now(UTC) + self.offset, reached=reached,
        )  # fmt: skip
        self.made.append(made)
        return made

    def append(self, *entries: NewEntry) -> None:
        with transaction(self.connection) as cursor:
            ledger.append_now(cursor, entries)

    def rows(self, query: str) -> list[Any]:
        return self.connection.execute(query.encode()).fetchall()

    def one(self, query: str) -> Any:
        return next(iter(self.rows(query)[0].values()))

    def tamper(self, *statements: str) -> None:
        """As the database's superuser would."""
        with self.connection.transaction():
            self.connection.execute("SET LOCAL session_replication_role = replica")
            for statement in statements:
                self.connection.execute(statement.encode())

    def lines(self) -> list[dict[str, Any]]:
        """The anchor, as somebody else reads it."""
        found = []
        for path in sorted(self.anchor.glob("*.jsonl")):
            for line in path.read_bytes().splitlines():
                try:
                    found.append(json.loads(line))
                except ValueError:
                    found.append({"garbage": len(line)})
        return found

    def verify(self) -> list[int]:
        """Check everything that was written against everything else; the sizes that were signed."""
        keys: list[VerifierKey] = []
        frontier, sizes, leaves = Frontier(), list[int](), list[str]()
        roots = {0: frontier.root().hex()}
        notes = []
        for line in self.lines():
            if "key" in line:
                key = VerifierKey.parse(line["key"])
                keys = [*(one for one in keys if one != key), key]
            elif "leaf" in line:
                index, *_, entry_hash = line["leaf"]
                assert index == len(leaves), f"leaf {index} comes after {len(leaves)} others"
                leaves.append(entry_hash)
                frontier.append(entry_leaf(entry_hash))
                roots[frontier.size] = frontier.root().hex()
            elif "checkpoint" in line:
                note = read_note(line["checkpoint"])
                assert any(note.signed_by(key, verify) for key in keys)
                assert roots[note.checkpoint.size] == note.checkpoint.root, (
                    "the root is not that of the leaves before it"
                )
                notes.append(line["checkpoint"])
                sizes.append(note.checkpoint.size)
        assert sizes == sorted(sizes)
        assert len(set(notes)) == len(notes)
        stored = self.rows("SELECT number, note, size, root FROM ledger_checkpoint ORDER BY number")
        assert [row["number"] for row in stored] == list(range(1, len(stored) + 1))
        assert [row["note"] for row in stored] == notes
        in_database = self.rows("SELECT tree_index, hash FROM ledger_leaf ORDER BY tree_index")
        assert [(row["tree_index"], row["hash"]) for row in in_database] == list(enumerate(leaves))
        times = [read_note(note).checkpoint.time for note in notes]
        assert times == sorted(times)
        return sizes


@pytest.fixture
def house(dsn: str, tmp_path: Path) -> Iterator[House]:
    with connect(dsn, name="test") as connection:
        built = House(dsn, connection, tmp_path)
        yield built
        for notary in built.made:
            notary.close()


def entries_of(house: House) -> int:
    return int(house.one("SELECT count(*) FROM ledger_entry"))


def test_the_first_round_makes_the_key_and_certifies_everything(house: House) -> None:
    house.append(entry(), entry("a"), entry("a", "b"))
    signed = house.notary().round()
    assert (signed.number, signed.size) == (1, 4)
    assert house.verify() == [4]
    assert stat.S_IMODE(house.key_file.stat().st_mode) == 0o600
    assert house.one("SELECT type FROM ledger_entry WHERE stream = 'notary'") == "notary.key_installed"
    key = VerifierKey.parse(house.one("SELECT verifier_key FROM notary_key"))
    assert read_note(signed.note).signed_by(key, verify)
    assert key.name == read_note(signed.note).checkpoint.origin
    assert house.lines()[0]["key"] == key.text


def test_an_idle_notary_says_so_and_goes_on_after_a_restart(house: House) -> None:
    notary = house.notary()
    assert [notary.round().size, notary.round().size] == [1, 1]
    notary.close()
    house.append(entry())
    assert house.notary().round().size == 2
    assert house.verify() == [1, 1, 2]
    assert len(house.rows("SELECT 1 FROM notary_key")) == 1


POINTS = [
    "key kept", "key anchored", "key stored", "leaves stored", "leaves anchored", "checkpoint anchored",
    "checkpoint stored", "memory kept",
]  # fmt: skip


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("first", [True, False])
def test_wherever_it_dies_the_next_one_goes_on(house: House, point: str, first: bool) -> None:
    if not first:
        if point.startswith("key "):
            pytest.skip("the key is there already")
        house.notary().round()
        house.made[-1].close()
    house.append(entry(), entry("a"))
    house.crash_at = point
    with pytest.raises(Crash):
        house.notary().round()
    house.append(entry(), entry("b"))
    again = house.notary()
    again.round()
    assert house.verify()[-1] == entries_of(house) == 5
    house.append(entry("c"))
    again.round()
    assert house.verify()[-1] == 6
    assert house.one("SELECT count(*) FROM ledger_entry WHERE stream = 'notary'") == 1
    assert house.rows("SELECT 1 FROM notary_alarm WHERE ended_at IS NULL") == []


@pytest.mark.parametrize("point", ["rotation begun", "rotation anchored", "rotation stored", "rotation kept"])
def test_a_rotation_that_was_begun_is_finished(house: House, point: str) -> None:
    house.append(entry())
    notary = house.notary()
    before = notary.round()
    house.crash_at = point
    with pytest.raises(Crash):
        notary.replace_key("ada", "yearly")
    after = house.notary().round()
    assert after.key_id != before.key_id
    assert house.verify() == [2, 3]
    assert len(house.rows("SELECT 1 FROM ledger_entry WHERE type = 'notary.key_rotated'")) == 1
    assert not (house.key_file.parent / "rotation.json").exists()


def test_both_keys_sign_that_one_follows_the_other(house: House) -> None:
    notary = house.notary()
    notary.round()
    old = VerifierKey.parse(house.one("SELECT verifier_key FROM notary_key"))
    key = notary.replace_key("ada", "yearly")
    signed = notary.round()
    new = VerifierKey.parse(key.verifier_key)
    assert new.name == old.name
    assert read_note(signed.note).signed_by(new, verify)
    assert not read_note(signed.note).signed_by(old, verify)
    assert key.statement is not None
    for public, signature in ((old.public, key.old_signature), (new.public, key.new_signature)):
        assert verify(public, base64.b64decode(signature or ""), key.statement)
    told = key.told()
    assert (told["old_key"], told["new_key"], told["first_checkpoint"], told["size"]) == (old.text, new.text, 2, 1)
    row = house.rows("SELECT actor, body FROM ledger_entry WHERE type = 'notary.key_rotated'")[0]
    assert row["actor"] == "ada"
    assert json.loads(bytes(row["body"]))["statement"].encode() == key.statement
    assert [line["key"] for line in house.lines() if "key" in line] == [old.text, new.text]
    assert house.verify() == [1, 2]


def test_what_commits_late_gets_its_leaf_later(house: House) -> None:
    with connect(house.dsn, name="slow") as slow, slow.transaction(), slow.cursor() as cursor:
        ledger.append_now(cursor, [entry("slow")])
        house.append(entry("quick"))
        notary = house.notary()
        assert notary.round().size == 2
        house.append(entry("quick"))
        assert notary.round().size == 3
    assert notary.round().size == entries_of(house) == 4
    house.append(entry("quick"))
    assert notary.round().size == 5
    house.verify()


def test_entries_that_an_older_server_numbered_are_found(house: House) -> None:
    notary = house.notary()
    notary.round()
    # A dump that was loaded elsewhere brings numbers of transactions that this server has not come to yet.
    house.append(entry("a"))
    house.tamper("UPDATE ledger_entry SET written_by = 1000000000000 WHERE stream = 'a'")
    assert notary.round().size == 2
    house.append(entry("b"))
    house.tamper("UPDATE ledger_checkpoint SET horizon = 1000000000000")
    notary.close()
    again = house.notary()
    assert again.round().size == 3
    assert again._at is not None
    again._at.horizon = 10**12  # the counter of a server that is gone
    house.append(entry("c"))
    assert again.round().size == 4


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("UPDATE ledger_entry SET body = 'x' WHERE stream = 'LEEDS:ITEM:1' AND seq = 2",
         r"entry 2 of LEEDS:ITEM:1 .* its body is not"),
        ("UPDATE ledger_entry SET actor = 'me' WHERE stream = 'LEEDS:ITEM:1' AND seq = 2",
         r"entry 2 of LEEDS:ITEM:1 .* not that of its content"),
        ("DELETE FROM ledger_entry WHERE stream = 'LEEDS:ITEM:1' AND seq = 1",
         r"entry 2 of LEEDS:ITEM:1 .* entry 1 of its chain is missing"),
    ],
)  # fmt: skip
def test_what_is_not_as_it_was_written_is_not_certified(house: House, damage: str, words: str) -> None:
    notary = house.notary()
    notary.round()
    house.append(entry(), entry(), entry())
    whole = house.rows("SELECT * FROM ledger_entry WHERE stream = 'LEEDS:ITEM:1' ORDER BY seq")
    house.tamper(damage)
    for _ in range(2):
        with pytest.raises(NotaryRefuses, match=words):
            notary.round()
    alarm = house.rows("SELECT kind, detail FROM notary_alarm WHERE ended_at IS NULL")
    assert [row["kind"] for row in alarm] == ["broken"]
    assert "LEEDS:ITEM:1" in alarm[0]["detail"]
    assert house.verify() == [1]
    house.tamper("DELETE FROM ledger_entry WHERE stream = 'LEEDS:ITEM:1'")
    with house.connection.cursor() as cursor:
        for row in whole:
            names, places = ", ".join(row), ", ".join(["%s"] * len(row))
            cursor.execute(f"INSERT INTO ledger_entry ({names}) VALUES ({places})".encode(), list(row.values()))  # noqa: S608
    assert notary.round().size == 4
    assert house.rows("SELECT 1 FROM notary_alarm WHERE ended_at IS NULL") == []


REHASHED = "UPDATE ledger_entry SET hash = repeat('a', 64) WHERE stream = 'a' AND seq = 1"


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ([REHASHED], "entry 1 of a was changed after it was certified"),
        (["DELETE FROM ledger_entry WHERE stream = 'a'"], "entry 1 of a was removed after it was certified"),
        ([REHASHED, "UPDATE ledger_leaf SET hash = repeat('a', 64) WHERE stream = 'a' AND seq = 1"],
         r"leaf \d is entry 1 of a in the anchor"),
        (["DELETE FROM ledger_leaf WHERE tree_index = 1"], "leaf 1 is missing"),
        (["UPDATE ledger_checkpoint SET root = repeat('b', 64)"], "does not say what its note says"),
        (["UPDATE ledger_checkpoint SET note = replace(note, 'Z', '')"], "signed by none|damaged"),
        (["DELETE FROM ledger_checkpoint"], "taken back"),
        (["DELETE FROM ledger_leaf WHERE tree_index = 3", "DELETE FROM ledger_entry WHERE stream = 'notary'"],
         "an older backup was restored"),
    ],
)  # fmt: skip
def test_what_was_certified_and_is_no_more_is_named_at_the_next_start(
    house: House, damage: list[str], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    house.append(entry("a"), entry("b"), entry("c"))
    notary = house.notary()
    signed = notary.round()
    notary.close()
    house.tamper(*damage)
    if words == "taken back":
        assert house.notary().round().number == signed.number + 1
        assert words in caplog.text
        return
    with pytest.raises(NotaryRefuses, match=words):
        house.notary().round()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE ledger_leaf SET hash = repeat('a', 64) WHERE tree_index = 1",
        "DELETE FROM ledger_leaf WHERE tree_index = 3",
        "INSERT INTO ledger_leaf VALUES (4, 'x', 1, repeat('a', 64))",
        "UPDATE ledger_checkpoint SET root = repeat('b', 64)",
        "UPDATE ledger_checkpoint SET frontier = frontier[2:1] || ARRAY[repeat('c', 64)]",
        "DELETE FROM ledger_checkpoint",
    ],
)
def test_a_running_notary_notices_before_it_signs(house: House, damage: str) -> None:
    house.append(entry("a"), entry("b"), entry("c"))
    notary = house.notary()
    notary.round()
    house.tamper(damage)
    with pytest.raises(NotaryRefuses):
        notary.round()
    assert house.one("SELECT kind FROM notary_alarm WHERE ended_at IS NULL") == "fork"


TABLES = ("ledger_entry", "ledger_leaf", "ledger_node", "ledger_checkpoint", "notary_key")


def backup(house: House) -> dict[str, list[dict[str, Any]]]:
    return {table: house.rows(f"SELECT * FROM {table}") for table in TABLES}  # noqa: S608


def restore(house: House, kept: dict[str, list[dict[str, Any]]]) -> None:
    with house.connection.transaction(), house.connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        for table, rows in kept.items():
            cursor.execute(f"DELETE FROM {table}".encode())  # noqa: S608
            for row in rows:
                names, places = ", ".join(row), ", ".join(["%s"] * len(row))
                cursor.execute(f"INSERT INTO {table} ({names}) VALUES ({places})".encode(), list(row.values()))  # noqa: S608


@pytest.mark.parametrize("with_anchor", [True, False])
@pytest.mark.parametrize("running", [True, False])
def test_yesterdays_backup_is_refused_until_somebody_accepts_the_loss(
    house: House, with_anchor: bool, running: bool
) -> None:
    house.append(*[entry(str(number)) for number in range(5)])
    notary = house.notary()
    notary.round()
    yesterday = backup(house)
    house.append(*[entry("late", str(number)) for number in range(3)])
    notary.round()
    restore(house, yesterday)
    if not with_anchor:
        house.anchor.rename(house.at / "elsewhere")
    if not running:
        notary.close()
        notary = house.notary()
    words = "not the one that this notary signed|leaves, and this" if running else "older backup was restored"
    with pytest.raises(NotaryRefuses, match=words):
        notary.round()
    with pytest.raises(NotaryRefuses, match="older backup was restored"):
        notary.round()
    assert "notary accept-loss" in house.one("SELECT detail FROM notary_alarm WHERE kind = 'loss'")
    house.append(entry("after the restore"))
    with pytest.raises(NotaryRefuses, match="older backup was restored"):
        house.notary().round()

    key = house.notary().replace_key("ada", "the disk burned", accepting=True)
    assert key.told()["loss"]["what"]
    old = {read_note(row["note"]).checkpoint.origin for row in yesterday["ledger_checkpoint"]}
    signed = house.notary().round()
    assert read_note(signed.note).checkpoint.origin not in old
    assert signed.size == entries_of(house) == 8
    assert house.one("SELECT actor FROM ledger_entry WHERE type = 'notary.key_rotated'") == "ada"
    house.made[-1].close()
    assert house.notary().round().size == 8
    assert house.rows("SELECT 1 FROM notary_alarm WHERE ended_at IS NULL") == []


def test_there_is_no_loss_to_accept_where_nothing_is_missing(house: House) -> None:
    house.notary().round()
    house.made[-1].close()
    with pytest.raises(InvalidInput, match="no loss"):
        house.notary().replace_key("ada", "why not", accepting=True)


def test_a_clock_that_goes_back_is_said_and_never_signed(house: House) -> None:
    notary = house.notary()
    first = notary.round()
    house.offset = -timedelta(hours=1)
    house.append(entry())
    second = notary.round()
    assert second.signed_at == first.signed_at
    assert read_note(second.note).checkpoint.ledger_time > first.signed_at
    assert "earlier than the newest checkpoint" in house.one("SELECT detail FROM notary_alarm WHERE kind = 'clock'")
    notary.close()
    assert house.notary().round().signed_at == first.signed_at
    house.made[-1].close()
    house.offset = timedelta(hours=1)
    house.notary().round()
    assert "from the database's" in house.one("SELECT detail FROM notary_alarm WHERE ended_at IS NULL")
    assert house.verify() == [1, 2, 2, 2]


def test_two_notaries_never_work_at_once(house: House) -> None:
    first = house.notary()
    first.round()
    with pytest.raises(NotaryRuns, match="another notary"):
        house.notary().round()
    folder = NotaryFolder(house.key_file)
    folder.lock()
    with pytest.raises(NotaryRuns, match="another notary"):
        NotaryFolder(house.key_file).lock()
    folder.unlock()
    first.close()
    house.notary().round()
    assert house.verify() == [1, 1]


def test_a_connection_that_broke_is_opened_again_and_the_past_is_looked_at(house: House) -> None:
    notary = house.notary()
    notary.round()
    house.append(entry())
    house.rows(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'quartermaster-notary%' "
        "AND datname = current_database()"
    )
    with pytest.raises(Unavailable):
        notary.round()
    assert notary.round().size == 2
    assert house.verify() == [1, 2]


@pytest.mark.parametrize(
    "torn", [b'{"leaf":[1,"LEE', b'{"checkpoint":"quarterm', b"\x00\x00\xff", b'{"leaf":[]}', b"[]"]
)
def test_half_a_line_in_the_anchor_loses_nothing(house: House, torn: bytes) -> None:
    house.append(entry())
    notary = house.notary()
    notary.round()
    notary.close()
    newest = sorted(house.anchor.glob("*.jsonl"))[-1]
    with newest.open("ab") as file:
        file.write(torn)
    house.append(entry())
    house.notary().round()
    assert torn in newest.read_bytes()
    kept = [line for line in house.lines() if isinstance(line, dict) and line.get("leaf")]
    assert [line["leaf"][0] for line in kept] == [0, 1, 2]


def test_an_anchor_that_lost_lines_while_it_was_watched_is_said_and_mended(house: House) -> None:
    notary = house.notary()
    notary.round()
    newest = sorted(house.anchor.glob("*.jsonl"))[-1]
    newest.write_bytes(b"".join(newest.read_bytes().splitlines(keepends=True)[:1]))
    house.append(entry())
    with pytest.raises(Unavailable, match="lost something"):
        notary.round()
    assert house.one("SELECT kind FROM notary_alarm WHERE ended_at IS NULL") == "unavailable"
    notary.round()
    assert house.verify() == [1, 2]


def test_a_url_that_does_not_answer_is_said_and_holds_nothing_up(house: House) -> None:
    notary = house.notary(UrlAnchor("http://127.0.0.1:9/notes"))
    notary.leaving = True
    assert [notary.round().number, notary.round().number] == [1, 2]
    assert "did not answer" in house.one("SELECT detail FROM notary_alarm WHERE kind = 'anchor_url'")
    notary.close()
    house.notary().round()
    assert house.rows("SELECT 1 FROM notary_alarm WHERE ended_at IS NULL") == []


def test_who_is_in_a_hurry_signs_what_it_has_and_the_next_round_goes_on(house: House) -> None:
    house.append(*[entry(f"s{number % 50}", str(number)) for number in range(4_500)])
    notary = house.notary()
    notary.hurry.set()
    assert notary.round().size == 2_000
    assert notary.round(within_s=0.0).size == 4_000
    notary.hurry.clear()
    assert notary.round().size == entries_of(house) == 4_501
    assert house.verify() == [2_000, 4_000, 4_501]


def test_a_new_anchor_gets_everything_from_the_beginning(house: House) -> None:
    notary = house.notary()
    notary.round()
    house.append(entry())
    notary.round()
    notary.replace_key("ada", "why not")
    notary.close()
    house.anchor.rename(house.at / "elsewhere")
    house.notary().round()
    assert house.verify() == [1, 2, 3]


def test_an_anchor_that_cannot_be_written_holds_the_signature_up(house: House) -> None:
    house.anchor.write_text("a file where the folder should be")
    notary = house.notary()
    with pytest.raises(Unavailable, match="cannot be"):
        notary.round()
    assert house.rows("SELECT 1 FROM ledger_checkpoint") == []
    house.anchor.unlink()
    assert notary.round().size == 1
    assert house.verify() == [1]


@pytest.mark.parametrize("garbage", [b"", b"{}", b"\xff\x00", b'{"origin":"x"}'])
def test_a_damaged_memory_is_refused_and_can_be_made_anew(house: House, garbage: bytes) -> None:
    notary = house.notary()
    notary.round()
    notary.close()
    memory = house.key_file.with_name("notary.json")
    memory.write_bytes(garbage)
    with pytest.raises(NotaryRefuses, match="is damaged"):
        house.notary().round()
    memory.unlink()
    house.notary().round()
    assert house.verify() == [1, 1]


def test_a_key_is_never_made_over_what_another_signed(house: House) -> None:
    notary = house.notary()
    notary.round()
    notary.close()
    kept = house.key_file.read_text()
    house.key_file.unlink()
    with pytest.raises(NotaryRefuses, match=r"no notary's key .* a notary worked here before"):
        house.notary().round()
    house.key_file.write_text(kept)
    house.key_file.chmod(0o644)
    with pytest.raises(NotaryRefuses, match="others may read"):
        house.notary().round()
    house.key_file.chmod(0o600)
    house.key_file.write_text("rubbish")
    with pytest.raises(NotaryRefuses, match="of no use"):
        house.notary().round()
    house.key_file.write_text(kept)
    house.notary().round()
    assert house.verify() == [1, 1]


def test_another_installations_key_or_anchor_is_refused(house: House, tmp_path: Path) -> None:
    notary = house.notary()
    notary.round()
    notary.close()
    with connect(house.dsn, name="test-other") as connection:
        stranger = House(house.dsn, connection, tmp_path / "other")
        with pytest.raises(NotaryRefuses, match="a notary worked here before"):
            stranger.notary().round()


async def test_readers_get_proofs_that_hold(house: House, database: Database) -> None:
    proofs = PostgresProofs(database)
    assert await proofs.latest() is None
    house.append(*[entry(f"s{number % 7}", str(number)) for number in range(700)])
    assert (await proofs.waiting()).entries == 700
    notary = house.notary()
    first = notary.round()
    with pytest.raises(Conflict, match="waits for the next checkpoint"):
        house.append(entry("new"))
        await proofs.inclusion("new", 1)
    with pytest.raises(NotFound):
        await proofs.inclusion("nothing", 1)
    waiting = await proofs.waiting()
    assert waiting.entries == 1
    assert waiting.oldest_seconds is not None
    assert 0 <= waiting.oldest_seconds < 60
    house.append(*[entry("t", str(number)) for number in range(400)])
    second = notary.round()
    assert (await proofs.waiting()).entries == 0
    assert [one.number for one in await proofs.checkpoints()] == [1, 2]
    assert [one.number for one in await proofs.checkpoints(after=1)] == [2]
    for stream, seq in (("s0", 1), ("s6", 100), ("t", 400), ("notary", 1)):
        found = await proofs.inclusion(stream, seq)
        assert found.checkpoint == second
        assert found.holds()
        assert not found.model_copy(update={"hash": "0" * 64}).holds()
        assert not found.model_copy(update={"index": found.index + 1}).holds()
    both = await proofs.inclusions([("s1", 1), ("t", 2)])
    assert [one.holds() for one in both] == [True, True]
    grown = await proofs.consistency(first.size, second.size)
    assert grown.holds(first.root, second.root)
    assert not grown.holds(second.root, first.root)
    with pytest.raises(InvalidInput, match="no proof leads"):
        await proofs.consistency(5, 10_000)
    assert [one.first_checkpoint for one in await proofs.keys()] == [1]
    house.tamper("UPDATE ledger_leaf SET hash = repeat('a', 64) WHERE tree_index = 3")
    assert not (await proofs.inclusion("s0", 1)).holds()


def test_the_notarys_role_may_do_its_work_and_nothing_else(house: House) -> None:
    let_in(house.dsn)
    house.append(entry())
    notary = Notary(
        lambda: PostgresNotary(as_role(house.dsn, DatabaseRole.NOTARY)), NotaryFolder(house.key_file),
        FileAnchor(house.anchor), None,
    )  # fmt: skip
    house.made.append(notary)
    assert notary.round().size == 2
    notary.replace_key("ada", "why not")
    assert notary.round().size == 3
    house.verify()
    with connect(as_role(house.dsn, DatabaseRole.NOTARY), name="test-role") as role:
        for refused in (
            "INSERT INTO ledger_entry SELECT * FROM ledger_entry", "UPDATE ledger_leaf SET hash = ''",
            "DELETE FROM ledger_checkpoint", "TRUNCATE notary_key", "SELECT * FROM decision",
        ):  # fmt: skip
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                role.execute(refused.encode())
