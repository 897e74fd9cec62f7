"""What the console gives auditors, on PostgreSQL and as the console's own role: state, proofs, copies within bounds."""

import asyncio
import json
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from connectors.postgres import ledger
from connectors.postgres.pool import Database, connect
from connectors.postgres.record import PostgresRecord
from connectors.postgres.roles import DatabaseRole, as_role, let_in
from tests.databases import DatabaseServer
from tests.ledger_world import World, need
from tests.tampering import one_digit_changed, tampering
from workers.copying import LiveCopies
from workers.wiring_audit import LiveReplays, LiveReviews
from workflows.domain.approvals import Actor
from workflows.domain.errors import Conflict, InvalidInput, NotFound
from workflows.domain.ledger import EntryType
from workflows.domain.packs import PackRequest
from workflows.domain.population import PopulationFormat, PopulationKind, Wanted
from workflows.domain.replay import Verdict

DECISION, AUDREY = need(1), Actor(name="audrey")


@pytest.fixture(scope="module")
def world(server: DatabaseServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A day of a ledger, certified."""
    at = tmp_path_factory.mktemp("console-record")
    with server.migrated() as dsn:
        made = World(dsn, at, at / "personal.key")
        asyncio.run(made.first_day())
        let_in(dsn)
        yield made


@pytest.fixture
def dsn(world: World) -> str:
    """As the console connects."""
    return as_role(world.dsn, DatabaseRole.CONSOLE)


def read_of(world: World) -> list[str]:
    with connect(world.dsn, name="test") as connection:
        found = list(ledger.read_entries(connection, "audit:audrey"))
    return [f"{one.type} {json.loads(one.body).get('what', '')}".strip() for one in found]


async def test_state_and_proof(world: World, dsn: str) -> None:
    async with Database(dsn, name="test", size=1) as database:
        record = PostgresRecord(database, dsn, lambda newest: ())
        state = await record.state()
        assert state.checkpoint is not None
        assert state.alarms == ()
        certified = await record.certified([(DECISION, 1), (DECISION, 99)])
        assert certified.covers(DECISION, 1)
        assert not certified.covers(DECISION, 99)

        proof = await record.proof(DECISION, 1, AUDREY)
        assert proof.holds
        assert proof.leaf_index == certified.leaves[DECISION, 1]
        assert read_of(world)[-1] == f"{EntryType.AUDIT_READ} proof"
        with pytest.raises(NotFound):
            await record.proof(DECISION, 99, AUDREY)
        with pytest.raises(Conflict):
            await record.proof("audit:audrey", 1, AUDREY)


async def test_a_changed_entry_is_not_proven(server: DatabaseServer, world: World) -> None:
    with server.copied(world.dsn) as copy:
        with tampering(copy) as he:
            row = he.find("decision.proposed", DECISION)
            he.replace(DECISION, row["seq"], body=one_digit_changed(bytes(row["body"])))
        async with Database(copy, name="test", size=1) as database:
            proof = await PostgresRecord(database, copy, lambda newest: ()).proof(DECISION, row["seq"], AUDREY)
    assert not proof.holds


async def test_copies_are_whole_recorded_and_bounded(world: World, dsn: str) -> None:
    today = datetime.now(UTC).date()
    wanted = Wanted(what=PopulationKind.ENTRIES, since=today - timedelta(days=1), until=today)
    copies = LiveCopies(dsn, world.anchors)
    made = [
        await copies.pack(PackRequest(decision=DECISION), AUDREY),
        await copies.population(wanted, PopulationFormat.CSV, AUDREY),
    ]
    for one in made:
        with zipfile.ZipFile(one.path) as archive:
            assert archive.testzip() is None
        one.path.unlink()
        one.path.parent.rmdir()
    assert read_of(world)[-2:] == [f"{EntryType.EXPORT_MADE} evidence pack", f"{EntryType.EXPORT_MADE} population"]

    small = LiveCopies(dsn, None, pack_bytes=2_000, rows=3)
    with pytest.raises(InvalidInput, match="quartermaster audit pack --decision"):
        await small.pack(PackRequest(decision=DECISION), AUDREY)
    with pytest.raises(InvalidInput, match="more than 3 entries"):
        await small.population(wanted, PopulationFormat.JSONL, AUDREY)
    hurried = LiveCopies(dsn, None, pack_seconds=0)
    both = await asyncio.gather(
        *(hurried.pack(PackRequest(decision=DECISION), AUDREY) for _ in range(2)), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in both) == ["Conflict", "InvalidInput"]


async def test_replays_end_in_time_and_reviews_read(world: World, dsn: str) -> None:
    remade = await LiveReplays(dsn).remade(DECISION, AUDREY)
    assert {one.replayed.verdict for one in remade} <= set(Verdict)
    assert read_of(world)[-1] == EntryType.DECISIONS_REPLAYED
    with pytest.raises(InvalidInput, match="quartermaster audit replay"):
        await LiveReplays(dsn, seconds=0).remade(DECISION, AUDREY)
    today = datetime.now(UTC).date()
    assert (await LiveReviews(dsn).review(today, today, AUDREY)).on == today
    assert read_of(world)[-1] == f"{EntryType.AUDIT_READ} access"
