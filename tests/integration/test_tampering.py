"""The mutation test: whatever a superuser does to the record after it was certified, the offline verifier names it.

He recomputes every hash that needs no secret key. The verifier gets the anchor and the supplier's export from
elsewhere. And it stays silent about a record that nobody touched.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.postgres import ledger
from connectors.postgres.pool import connect, transaction
from connectors.signing import NoteSigner
from tests.databases import DatabaseServer
from tests.ledger_world import NEXT_ORDER, ORDER, World, need, two_days
from tests.storeroom import MORNING
from tests.tampering import Tamperer, edited, one_digit_changed, tampering
from workflows.domain.ledger import EntryType, NewEntry

ORDER_CHAIN, DECISION, OTHER = f"order:{ORDER}", need(1), need(2)


@pytest.fixture(scope="module")
def world(server: DatabaseServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two days of a ledger with checkpoints, and what it was after the first."""
    with two_days(server, tmp_path_factory.mktemp("world")) as made:
        made.erp()
        yield made


@pytest.fixture
def copy(server: DatabaseServer, world: World) -> Iterator[str]:
    """A copy of the database, to be ruined."""
    with server.copied(world.dsn) as dsn:
        yield dsn


def flip(he: Tamperer) -> None:
    row = he.find("decision.released", DECISION)
    he.replace(DECISION, row["seq"], body=one_digit_changed(bytes(row["body"])))


def drop_middle(he: Tamperer) -> None:
    he.rewrite(DECISION, [row for row in he.chain(DECISION) if row["type"] != "verdict.signed"])


def drop_tail(he: Tamperer) -> None:
    he.rewrite(ORDER_CHAIN, he.chain(ORDER_CHAIN)[:-1])


def drop_stream(he: Tamperer) -> None:
    he.rewrite(need(4), [])


def reorder(he: Tamperer) -> None:
    rows = he.chain(DECISION)
    rows[1], rows[2] = rows[2], rows[1]
    he.rewrite(DECISION, rows)


def duplicate(he: Tamperer) -> None:
    he.run("ALTER TABLE ledger_entry DROP CONSTRAINT ledger_entry_pkey")
    he.run("INSERT INTO ledger_entry SELECT * FROM ledger_entry WHERE stream = %s AND seq = 2", DECISION)


def duplicate_renumbered(he: Tamperer) -> None:
    rows = he.chain(DECISION)
    he.rewrite(DECISION, [*rows[:2], rows[1], *rows[2:]])


def swap_bodies(he: Tamperer) -> None:
    one, other = he.find("decision.released", DECISION), he.find("decision.released", OTHER)
    he.replace(DECISION, one["seq"], body=other["body"])
    he.replace(OTHER, other["seq"], body=one["body"])


def resign(he: Tamperer) -> None:
    flip(he)
    name = he.run("SELECT verifier_key FROM notary_key")[0]["verifier_key"].partition("+")[0]
    he.resign(NoteSigner(name, bytes(range(32))))


def back_date(he: Tamperer) -> None:
    row = he.find("verdict.recorded", DECISION)
    he.replace(DECISION, row["seq"], occurred_at=_yesterday(row["occurred_at"]))


def late_insert(he: Tamperer) -> None:
    rows = he.chain(need(4))
    row = {**he.find("verdict.recorded", need(4)), "type": "task.commented", "body": b'{"said":"careful"}'}
    he.rewrite(need(4), [*rows[:1], row, *rows[1:]])


def late_insert_at_the_end(he: Tamperer) -> None:
    """A chain that ended before the last checkpoints gets an entry that says it was recorded before them."""
    rows = he.chain(need(4))
    he.rewrite(need(4), [*rows, {**rows[-1], "type": "task.commented", "body": b'{"said":"careful"}'}])


def edit_actor(he: Tamperer) -> None:
    he.replace(DECISION, he.find("verdict.recorded", DECISION)["seq"], actor="somebody else")


def _yesterday(moment: str) -> str:
    return f"{int(moment[:4]) - 1}{moment[4:]}"


IN_THE_DATABASE: list[tuple[str, Callable[[Tamperer], None]]] = [
    ("flipped_byte", flip),
    ("dropped_middle", drop_middle),
    ("dropped_tail", drop_tail),
    ("dropped_stream", drop_stream),
    ("reordered", reorder),
    ("duplicate_seq", duplicate),
    ("duplicate_seq", duplicate_renumbered),
    ("swapped_bodies", swap_bodies),
    ("back_dated", back_date),
    ("late_insert", late_insert),
    ("late_insert", late_insert_at_the_end),
    ("approval_actor_edited", edit_actor),
]


def test_a_record_that_nobody_touched_is_clean(world: World) -> None:
    found = world.verify(world.pack().path, "--erp", world.erp())

    assert found.report["findings"] == [], found.said
    assert found.code == 0
    checked = found.report["checked"]
    assert checked["order_lines_sent"] >= 3
    assert checked["erp_orders"] == 2
    assert checked["decisions"] > 5
    assert checked["anchored_leaves"] == checked["leaves"]
    assert [note for note in found.report["notes"] if "newer than the newest checkpoint" not in note] == []


@pytest.mark.parametrize(
    ("code", "change", "notes"),
    [(*one, "left") for one in IN_THE_DATABASE]
    # He may also write the new roots into the notes: then it is the signatures that do not hold.
    + [(*one, "edited") for one in IN_THE_DATABASE if one[1] in (flip, drop_middle, drop_stream, edit_actor)],
    ids=lambda one: getattr(one, "__name__", one),
)
def test_what_was_done_is_named(
    world: World, copy: str, code: str, change: Callable[[Tamperer], None], notes: str
) -> None:
    with tampering(copy) as he:
        change(he)
        if notes == "edited":
            he.edit_notes()
    found = world.verify(world.pack(copy).path, "--erp", world.erp())

    assert found.code == 1
    assert found.report["tampering"] == [code], found.said


def test_a_record_signed_with_another_key_is_named(world: World, copy: str) -> None:
    with tampering(copy) as he:
        resign(he)
    pack = world.pack(copy).path

    assert world.verify(pack).report["tampering"] == ["flipped_byte", "resigned_with_other_key"]
    key = world.notary_key()
    assert "resigned_with_other_key" in world.verify(pack, "--key", key, anchored=False).codes
    trusting = world.verify(pack, anchored=False)
    assert any("the key that the pack itself brings" in note for note in trusting.report["notes"])


def test_yesterdays_backup_is_named(world: World) -> None:
    found = world.verify(world.pack(world.yesterday).path)

    assert (found.code, found.report["tampering"]) == (1, ["rolled_back"]), found.said


def test_two_histories_are_named(server: DatabaseServer, world: World, tmp_path: Path) -> None:
    with server.copied(world.yesterday) as dsn:
        fork = World(dsn, tmp_path, world.keys)
        shutil.copytree(world.at / "notary-yesterday", tmp_path / "notary")
        fork.anchors.mkdir()
        with connect(dsn, name="fork") as connection, transaction(connection) as cursor:
            ledger.append_now(cursor, [another("a kinder history") for _ in range(40)])
        fork.certify(2)
        found = world.verify(fork.pack().path)

    assert (found.code, found.report["tampering"]) == (1, ["forked"]), found.said


def test_units_changed_at_the_supplier_are_named(world: World) -> None:
    def more(rows: list[dict[str, Any]]) -> None:
        rows[0]["lines"][0]["units"] += 6

    found = world.verify(world.pack().path, "--erp", edited(world.erp(), more))

    assert (found.code, found.report["tampering"]) == (1, ["erp_quantity_changed"])
    assert found.of("erp_quantity_changed")[0]["stream"] in (f"order:{ORDER}", f"order:{NEXT_ORDER}")


@pytest.mark.parametrize(
    ("statement", "codes"),
    [
        ("UPDATE ledger_entry SET body = %s WHERE stream = %s AND seq = 1", {"flipped_byte", "body_changed"}),
        ("UPDATE ledger_entry SET actor = %s::text WHERE stream = %s AND type = 'verdict.recorded'",
         {"approval_actor_edited", "hash_wrong"}),
        ("DELETE FROM ledger_entry WHERE %s::bytea IS NOT NULL AND stream = %s AND seq = 2",
         {"dropped_middle", "chain_gap", "leaf_without_entry"}),
    ],
    ids=["body", "actor", "row"],
)  # fmt: skip
def test_clumsy_changes_are_named_too(world: World, copy: str, statement: str, codes: set[str]) -> None:
    with tampering(copy) as he:
        he.run(statement, b'{"a":1}' if "body" in statement else "x" if "actor" in statement else b"", DECISION)
    found = world.verify(world.pack(copy).path)

    assert found.code == 1
    assert codes <= found.codes, found.said
    without = world.verify(world.pack(copy).path, anchored=False)
    assert without.code == 1, "even without an anchor"


def test_one_byte_of_evidence_names_the_decision_and_the_object(world: World, copy: str) -> None:
    with tampering(copy) as he:
        row = he.run("SELECT sha256, body FROM evidence WHERE convert_from(body, 'UTF8') LIKE %s", f"%{DECISION}%")[0]
        body = bytearray(bytes(row["body"]))
        body[len(body) // 2] ^= 1
        he.run("UPDATE evidence SET body = %s WHERE sha256 = %s", bytes(body), row["sha256"])
        model = he.run("SELECT sha256 FROM evidence_part WHERE kind = 'model'")[0]["sha256"]
        he.run("DELETE FROM evidence_part WHERE sha256 = %s", model)
    found = world.verify(world.pack(copy).path)

    assert found.code == 1
    changed, missing = found.of("evidence_changed"), found.of("evidence_missing")
    assert [(one["object"], one["decision"]) for one in changed] == [(row["sha256"], DECISION)]
    assert [one["object"] for one in missing] == [model]
    assert need(2) in missing[0]["meaning"]


def test_a_ledger_that_grows_and_changes_its_key_stays_clean(
    server: DatabaseServer, world: World, tmp_path: Path
) -> None:
    with server.copied(world.dsn) as dsn:
        grown = World(dsn, tmp_path, world.keys)
        for part in ("anchors", "notary"):
            shutil.copytree(world.at / part, tmp_path / part)
        first = grown.notary_key()
        notary = grown.notary()
        notary.replace_key("pat", "once a year")
        notary.close()
        with connect(dsn, name="growing") as connection:
            for words in ("one", "two"):
                with transaction(connection) as cursor:
                    ledger.append_now(cursor, [another(words)])
                grown.certify()
            with transaction(connection) as cursor:
                ledger.append_now(cursor, [another("not certified yet")])
            # What an erasure removes is nothing that the ledger hashes.
            connection.execute("UPDATE approval SET comment = ''")
        pack = grown.pack().path
        for arguments in ((), ("--key", first), ("--key", grown.notary_key())):
            found = grown.verify(pack, *arguments)
            assert (found.code, found.report["findings"]) == (0, []), found.said
        old = world.verify(pack)
        assert (old.code, old.report["findings"]) == (0, []), "an older copy of the anchor knows less, and no other"
        early = grown.verify(world.pack().path)
        assert "rolled_back" in early.codes, "a pack of an older copy, made now"


def another(words: str) -> NewEntry:
    return NewEntry(
        stream=need(9), type=EntryType.TASK_COMMENTED, actor="pat", occurred_at=MORNING, body={"said": words}
    )  # fmt: skip


def test_every_kind_is_tried() -> None:
    tried = {code for code, _ in IN_THE_DATABASE} | {
        "resigned_with_other_key", "rolled_back", "forked", "erp_quantity_changed",
    }  # fmt: skip
    assert len(tried) == 14
