"""Every decision's evidence is in the store, once, from the same transaction; what was changed there is named."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from shutil import copy
from typing import Any

import psycopg
import pytest

from connectors.postgres import evidence, ledger, migrating
from connectors.postgres.evidence import PostgresEvidence
from connectors.postgres.evidence_codec import dictionary
from connectors.postgres.migrating import migrate, migrations_folder
from connectors.postgres.pool import Connection, connect, transaction
from tests.databases import DatabaseServer
from tests.fakes.running import RUNNING
from tests.storeroom import LOCATION, MODEL, MORNING, Storeroom, catalog, clock, counted, sold
from workflows.domain.decisions import Decision, DecisionInputs
from workflows.domain.errors import Unavailable
from workflows.domain.evidence import (
    EvidenceDamaged,
    EvidenceKind,
    EvidenceMissing,
    Kept,
    Source,
    references,
    unfold,
)
from workflows.domain.identity import canonical, digest
from workflows.domain.ledger import merkle_root
from workflows.domain.policies import Policy

ITEMS = 6
BEFORE_EVIDENCE = 42


async def decided(storeroom: Storeroom, *, items: int = ITEMS) -> list[Any]:
    """Half of the items need an order, half do not; their decisions."""
    await storeroom.stock(catalog(items))
    counts = [counted(3 if n % 2 else 500, item=f"ITEM-{n:03}") for n in range(1, items + 1)]
    storeroom.take(*counts, clock())
    await storeroom.assess()
    return storeroom.rows("SELECT * FROM decision ORDER BY decision_id, revision")


def parts(storeroom: Storeroom, kind: EvidenceKind | None = None) -> list[Any]:
    """What is kept beside the inputs."""
    return storeroom.rows("SELECT * FROM evidence_part WHERE %s::text IS NULL OR kind = %s ORDER BY sha256", kind, kind)


def entries(storeroom: Storeroom, kind: str) -> list[Any]:
    """The bodies of the ledger's entries of this type."""
    rows = storeroom.rows("SELECT body FROM ledger_entry WHERE type = %s ORDER BY stream, seq", kind)
    return [json.loads(row["body"]) for row in rows]


async def test_each_decision_can_be_followed_down_to_everything_it_rests_on(storeroom: Storeroom) -> None:
    rows = await decided(storeroom)
    source = PostgresEvidence(storeroom.connection)
    assert {row["kind"] for row in rows} == {"hold", "proposal"}
    for row in rows:
        inputs = DecisionInputs.model_validate_json(source.get(row["inputs_sha256"]))
        assert inputs.snapshot is not None
        snapshot = unfold(inputs.snapshot, source)
        assert (snapshot.row.item, snapshot.row.on_hand_units) == (row["item"], inputs.position.on_hand_units)
        assert Source.model_validate_json(source.get(snapshot.source)) == RUNNING
        assert source.get(row["model_digest"]) == MODEL
        assert Policy.model_validate_json(source.get(row["policy_digest"])) == Policy()
        if row["kind"] == "hold":
            assert source.get(row["proposal_hash"]) == row["body"]
            Decision.model_validate_json(source.get(row["proposal_hash"]))
    assert len(parts(storeroom, EvidenceKind.MODEL)) == len(parts(storeroom, EvidenceKind.SOURCE)) == 1
    assert len(parts(storeroom, EvidenceKind.PART)) == 1, "one supplier's lead times, whatever was bought from it"
    assert len(parts(storeroom, EvidenceKind.DECISION)) == ITEMS // 2


async def test_the_lists_behind_batches_prove_their_roots(storeroom: Storeroom) -> None:
    rows = await decided(storeroom)
    source = PostgresEvidence(storeroom.connection)
    (holds,) = entries(storeroom, "holds.recorded")
    listed = json.loads(source.get(holds["items"]))
    assert listed == [[r["decision_id"], r["revision"], r["proposal_hash"]] for r in rows if r["kind"] == "hold"]
    assert merkle_root([sha256.encode() for _, _, sha256 in listed]) == holds["merkle_root"]
    for accepted in entries(storeroom, "events.accepted"):
        events = json.loads(source.get(accepted["items"]))
        assert len(events) == accepted["accepted"]
        assert merkle_root([sha256.encode() for _, _, sha256 in events]) == accepted["merkle_root"]
        for name, event_id, sha256 in events:
            stored = storeroom.one("SELECT payload FROM inbox WHERE source = %s AND event_id = %s", name, event_id)
            assert digest(bytes(stored["payload"])) == sha256


async def test_a_batch_that_is_decided_twice_is_kept_once(storeroom: Storeroom) -> None:
    await storeroom.stock(catalog(ITEMS))
    storeroom.take(*[counted(3, item=f"ITEM-{n:03}") for n in range(1, ITEMS + 1)], clock())
    (batch,) = storeroom.relay.batches(0)
    work = storeroom._work()
    await asyncio.gather(*[work.assess(batch) for _ in range(3)])
    once = parts(storeroom)
    await work.assess(batch)
    assert parts(storeroom) == once
    assert len(storeroom.rows("SELECT 1 FROM evidence")) == len(storeroom.rows("SELECT 1 FROM decision")) == ITEMS


@pytest.mark.parametrize("how", ["an error", "a lost connection"])
async def test_no_decision_no_evidence(storeroom: Storeroom, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    await storeroom.stock(catalog(ITEMS))
    storeroom.take(*[counted(500, item=f"ITEM-{n:03}") for n in range(1, ITEMS + 1)], clock())
    before = parts(storeroom)
    append = ledger.append

    async def interrupted(cursor: psycopg.AsyncCursor[Any], *_: Any) -> None:
        if how == "an error":
            raise Unavailable("the lights went out")
        pid = cursor.connection.info.backend_pid
        storeroom.connection.execute("SELECT pg_terminate_backend(%s)", [pid])
        await cursor.execute("SELECT 1")

    monkeypatch.setattr(ledger, "append", interrupted)
    with pytest.raises(Unavailable):
        await storeroom.assess()
    assert parts(storeroom) == before
    assert storeroom.rows("SELECT 1 FROM evidence") == []
    monkeypatch.setattr(ledger, "append", append)
    await storeroom.assess()
    assert len(storeroom.rows("SELECT 1 FROM decision")) == ITEMS
    assert len(parts(storeroom, EvidenceKind.SNAPSHOT)) == ITEMS


async def test_a_second_revision_has_a_snapshot_of_its_own(storeroom: Storeroom) -> None:
    await storeroom.stock(catalog(1))
    storeroom.scoring.novelty = True
    storeroom.take(counted(5), clock())
    await storeroom.assess()
    storeroom.take(sold(4, at=MORNING + timedelta(hours=2)), clock(MORNING + timedelta(hours=3)))
    await storeroom.rescore("LEEDS:ITEM-001:1")
    first, second = storeroom.rows("SELECT inputs_sha256 FROM decision ORDER BY revision")
    source = PostgresEvidence(storeroom.connection)
    seen = [
        unfold(DecisionInputs.model_validate_json(source.get(one["inputs_sha256"])).snapshot or "", source).row
        for one in (first, second)
    ]
    assert [row.on_hand_units for row in seen] == [5, 1]


def changed(storeroom: Storeroom, statement: str, *arguments: Any) -> None:
    """As somebody does who owns the database."""
    with transaction(storeroom.connection) as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(statement.encode(), arguments)


def flipped(storeroom: Storeroom, table: str, sha256: str) -> None:
    """One bit in the middle of what is kept under this digest."""
    byte = "set_byte(body, length(body) / 2, get_byte(body, length(body) / 2) # 1)"
    changed(storeroom, f"UPDATE {table} SET body = {byte} WHERE sha256 = %s", sha256)  # noqa: S608 - our own tables


async def test_one_changed_byte_is_named(storeroom: Storeroom) -> None:
    rows = await decided(storeroom)
    source = PostgresEvidence(storeroom.connection)
    for kind in (EvidenceKind.SNAPSHOT, EvidenceKind.PART, EvidenceKind.DECISION, EvidenceKind.MODEL):
        sha256 = parts(storeroom, kind)[0]["sha256"]
        flipped(storeroom, "evidence_part", sha256)
        with pytest.raises(EvidenceDamaged, match=rf"{sha256} \({kind}\)"):
            source.get(sha256)
    sha256 = rows[0]["inputs_sha256"]
    flipped(storeroom, "evidence", sha256)
    with pytest.raises(EvidenceDamaged, match=rf"{sha256} \(inputs\)"):
        source.get_many([row["inputs_sha256"] for row in rows])


async def test_what_is_gone_is_named_and_so_is_a_dictionary(storeroom: Storeroom) -> None:
    await decided(storeroom)
    snapshot = parts(storeroom, EvidenceKind.SNAPSHOT)[0]["sha256"]
    (words,) = parts(storeroom, EvidenceKind.DICTIONARY)
    assert (words["sha256"], words["body"], words["codec"]) == (*dictionary(), "raw")
    flipped(storeroom, "evidence_part", words["sha256"])
    with pytest.raises(EvidenceDamaged, match=rf"{words['sha256']} \(dictionary\)"):
        PostgresEvidence(storeroom.connection).get(snapshot)
    changed(storeroom, "DELETE FROM evidence_part WHERE kind = 'dictionary'")
    with pytest.raises(EvidenceMissing, match=f"{words['sha256']}, the dictionary that {snapshot}"):
        PostgresEvidence(storeroom.connection).get(snapshot)
    changed(storeroom, "DELETE FROM evidence_part WHERE sha256 = %s", snapshot)
    with pytest.raises(EvidenceMissing, match=f"no evidence is kept under {snapshot}"):
        PostgresEvidence(storeroom.connection).get(snapshot)


async def test_many_are_read_at_once_and_what_is_missing_is_counted(
    storeroom: Storeroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "AT_ONCE", 3)
    await decided(storeroom)
    source = PostgresEvidence(storeroom.connection)
    kept = [row["sha256"] for row in parts(storeroom)]
    assert all(digest(body) == sha256 for sha256, body in source.get_many(kept).items())
    assert source.get_many([]) == {}
    with pytest.raises(EvidenceMissing, match=f"under {'0' * 64}, nor under 1 others"):
        source.get_many([*kept, "0" * 64, "f" * 64])


async def test_an_older_dictionary_stays_readable_when_a_newer_one_comes(
    storeroom: Storeroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    await decided(storeroom)
    old = [row["sha256"] for row in parts(storeroom)]
    words = b'"other words":' * 9
    monkeypatch.setattr("connectors.postgres.evidence_codec.dictionary", lambda: (digest(words), words))
    monkeypatch.setattr(evidence, "dictionary", lambda: (digest(words), words))
    body = canonical({"other words": ["other words"] * 9})
    with transaction(storeroom.connection) as cursor:
        evidence.keep_now(cursor, {digest(body): Kept(EvidenceKind.PART, body)})
    assert len(parts(storeroom, EvidenceKind.DICTIONARY)) == 2
    found = PostgresEvidence(storeroom.connection).get_many([*old, digest(body)])
    assert len(found) == len(old) + 1


@pytest.mark.parametrize("table", ["evidence", "evidence_part"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET sha256 = 'x'", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
async def test_evidence_only_grows(storeroom: Storeroom, table: str, statement: str) -> None:
    await decided(storeroom)
    with pytest.raises(psycopg.errors.RaiseException, match=r"stays as it was|is refused|append-only"):
        storeroom.connection.execute(statement.format(table).encode())


@pytest.mark.parametrize(
    ("role", "may"),
    [("qm_worker", "SELECT INSERT"), ("qm_intake", "SELECT INSERT"), ("qm_auditor", "SELECT"), ("qm_notary", "")],
)
def test_no_process_may_change_or_remove_evidence(storeroom: Storeroom, role: str, may: str) -> None:
    told = storeroom.one(
        """SELECT string_agg(p, ' ') AS may FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) AS p
           WHERE has_table_privilege(%s, 'evidence_part', p)""",
        role,
    )
    assert (told["may"] or "") == may


def test_batches_that_share_objects_wait_and_never_for_each_other(storeroom: Storeroom, dsn: str) -> None:
    bodies = [canonical({"n": n}) for n in range(200)]
    objects = {digest(body): Kept(EvidenceKind.PART, body) for body in bodies}
    failed: list[BaseException] = []

    def at_work(connection: Connection, shared: dict[str, Kept]) -> None:
        try:
            for _ in range(5):
                with transaction(connection) as cursor:
                    evidence.keep_now(cursor, shared)
        except BaseException as error:
            failed.append(error)

    with connect(dsn, name="one") as one, connect(dsn, name="two") as two:
        backwards = dict(reversed(objects.items()))
        threads = [
            threading.Thread(target=at_work, args=(one, objects)),
            threading.Thread(target=at_work, args=(two, backwards)),
        ]  # fmt: skip
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert failed == []
    assert len(parts(storeroom, EvidenceKind.PART)) == 200


@pytest.fixture
def earlier(server: DatabaseServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], str]]:
    """A database from before snapshots, and what brings it up to date."""
    for file in sorted(migrations_folder().glob("*.sql")):
        if int(file.name[:4]) <= BEFORE_EVIDENCE:
            copy(file, tmp_path)
    with server.empty() as dsn:
        with monkeypatch.context() as patch:
            patch.setattr(migrating, "migrations_folder", lambda: tmp_path)
            migrate(dsn)

        def up() -> str:
            migrate(dsn)
            return dsn

        with connect(dsn, name="test") as connection:
            policy, inputs = canonical(Policy(version=3)), b'{"clock":"2025-02-20T05:00:00.000000Z"}'
            connection.execute(
                "INSERT INTO policy_version (digest, version, document) VALUES (%s, 3, %s)", [digest(policy), policy]
            )
            connection.execute("INSERT INTO evidence (sha256, body) VALUES (%s, %s)", [digest(inputs), inputs])
        yield up


def test_a_database_from_before_keeps_its_inputs_and_gives_its_policies(earlier: Callable[[], str]) -> None:
    with connect(earlier(), name="test") as connection:
        source = PostgresEvidence(connection)
        policy, inputs = canonical(Policy(version=3)), b'{"clock":"2025-02-20T05:00:00.000000Z"}'
        assert source.get(digest(policy)) == policy
        assert source.get(digest(inputs)) == inputs


async def test_recording_grows_with_what_is_new_and_not_with_what_is_shared(storeroom: Storeroom) -> None:
    await decided(storeroom, items=40)
    used = storeroom.one("SELECT sum(pg_column_size(p.*)) AS bytes FROM evidence_part p WHERE kind <> 'dictionary'")
    assert used["bytes"] / 40 < Decimal(1_200)
    everything = {name for row in parts(storeroom, EvidenceKind.SNAPSHOT) for name in _below(storeroom, row["sha256"])}
    assert everything == {row["sha256"] for row in parts(storeroom, EvidenceKind.PART)}
    assert storeroom.one("SELECT count(*) AS n FROM need WHERE location = %s", LOCATION)["n"] == 40


def _below(storeroom: Storeroom, sha256: str) -> list[str]:
    return list(references(PostgresEvidence(storeroom.connection).get(sha256)))
