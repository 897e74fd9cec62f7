"""An order of hundreds of lines is too long for its entry: whoever reads the record follows it into the evidence."""

import asyncio
import json
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from connectors.postgres.evidence import PostgresEvidence
from connectors.postgres.packs import reading
from connectors.postgres.pool import Database, connect
from connectors.postgres.population import PostgresPopulations
from connectors.postgres.replay import PostgresDecisionLedger
from connectors.postgres.roles import DatabaseRole, as_role, let_in
from tests.databases import DatabaseServer
from tests.ledger_world import ORDER, World, need
from tests.storeroom import HandScoring, Storeroom, catalog, clock, counted
from tests.tampering import tampering
from workers.remaking import LedgerReplays
from workflows.domain.identity import canonical
from workflows.domain.packs import LeafRange, PackRequest, Scope, ScopeKind
from workflows.domain.policies import Policy
from workflows.domain.population import Item, PopulationKind, Wanted
from workflows.domain.recordable import LONG_PART, REFERENCE
from workflows.domain.remaking import Replaying
from workflows.domain.replaying import ReplayProgress, ReplayRequest

LINES = 400
FREE = Policy(
    auto_value_limit=Decimal(100_000), new_item_asks=False, new_supplier_asks=False, little_history_asks=False,
    audit_share=Decimal(0),
)  # fmt: skip


@pytest.fixture(scope="module")
def world(server: DatabaseServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A morning on which every shelf needs goods, and one order that has all of them."""
    at = tmp_path_factory.mktemp("long")
    with server.migrated() as dsn:
        made = World(dsn, at, at / "personal.key")
        asyncio.run(_ordered(made))
        made.certify(2)
        let_in(dsn)
        yield made


async def _ordered(world: World) -> None:
    async with Database(world.dsn, name="world", personal=world.keys) as database:
        with connect(world.dsn, name="world-intake") as connection:
            storeroom = Storeroom(connection, database)
            await storeroom.stock(catalog(LINES), FREE)
            storeroom.take(*(counted(9, item=f"ITEM-{n:03}") for n in range(1, LINES + 1)), clock())
            await storeroom.assess()
            for row in storeroom.rows("SELECT decision_id, proposal_hash FROM replenishment ORDER BY 1"):
                assert (await storeroom.orders.release(row["decision_id"], row["proposal_hash"])).released
            order = await storeroom.place(ORDER)
            assert order is not None
            assert len(order.lines) == LINES
            assert len(canonical(order)) > LONG_PART


@pytest.fixture
def reference(world: World) -> str:
    """Under which digest the lines are."""
    with connect(world.dsn, name="test") as connection:
        (row,) = connection.execute("SELECT body FROM ledger_entry WHERE type = 'order.prepared'").fetchall()
    assert len(row["body"]) < LONG_PART
    told = json.loads(row["body"])["order"]
    assert told.keys() == {REFERENCE, "bytes"}
    return str(told[REFERENCE])


def test_the_verifier_counts_every_line_and_misses_none(world: World, reference: str) -> None:
    pack = world.pack(as_role(world.dsn, DatabaseRole.AUDITOR))
    found = world.verify(pack.path, "--erp", world.erp())

    assert (found.code, found.report["findings"]) == (0, []), found.said
    assert found.report["checked"]["order_lines_sent"] == LINES


def test_a_line_that_the_supplier_has_otherwise_is_named(world: World, tmp_path: Path) -> None:
    theirs = json.loads(world.erp().read_text())
    theirs["lines"][LINES - 1]["units"] += 600
    export = tmp_path / "erp.jsonl"
    export.write_text(json.dumps(theirs) + "\n")

    found = world.verify(world.pack().path, "--erp", export)
    assert found.code != 0
    assert theirs["lines"][LINES - 1]["item"] in json.dumps(found.report["findings"])


@pytest.mark.parametrize("kept", [True, False])
def test_lines_that_were_changed_or_taken_away_are_told(
    server: DatabaseServer, world: World, reference: str, kept: bool
) -> None:
    with server.copied(world.dsn) as dsn:
        with tampering(dsn) as he:
            if kept:
                middle = "length(body) / 2, 255 - get_byte(body, length(body) / 2)"
                he.run(f"UPDATE evidence_part SET body = set_byte(body, {middle}) WHERE sha256 = %s", reference)  # noqa: S608
            else:
                he.run("DELETE FROM evidence_part WHERE sha256 = %s", reference)
        found = world.verify(world.pack(dsn).path)
        replayed = everything(dsn)

    assert found.code != 0
    assert reference in found.said + json.dumps(found.report)
    assert replayed.counts.equal == 0
    assert replayed.counts.decisions == LINES


def test_every_line_is_replayed_to_the_same_order(world: World) -> None:
    found = everything(as_role(world.dsn, DatabaseRole.AUDITOR))

    assert found.told == ()
    assert found.counts.equal == found.counts.decisions == LINES


def test_the_pack_of_one_decision_has_its_order(world: World, reference: str) -> None:
    found = world.verify(world.pack(request=PackRequest(decision=need(LINES))).path)

    assert (found.code, found.report["findings"]) == (0, []), found.said
    assert found.report["checked"]["order_lines_sent"] == 1


def test_a_period_with_the_order_alone_has_the_decisions_of_all_lines(world: World) -> None:
    with connect(world.dsn, name="test") as connection:
        (row,) = connection.execute(
            "SELECT tree_index FROM ledger_leaf JOIN ledger_entry USING (stream, seq) WHERE type = 'order.prepared'"
        ).fetchall()
    alone = LeafRange(size=row["tree_index"] + 1, first=row["tree_index"], end=row["tree_index"] + 1)
    nothing = Scope(kind=ScopeKind.PERIOD, since="2000-01-01T00:00:00Z", until="2000-01-01T00:00:00Z")
    with reading(world.dsn, settle_s=0) as record:
        chains = {entry["stream"] for entry in record.entries(nothing, alone)}

    assert chains == {f"order:{ORDER}", *(need(number) for number in range(1, LINES + 1))}


def test_the_population_of_orders_has_all_units(world: World) -> None:
    found: list[Item] = []
    PostgresPopulations(world.dsn).export(
        Wanted(what=PopulationKind.ORDERS, since=date(2020, 1, 1), until=date(2100, 1, 1)), found.append
    )

    units = sum(line["units"] for line in json.loads(world.erp().read_text())["lines"])
    assert [one.units for one in found] == [units]


def everything(dsn: str) -> ReplayProgress:
    with connect(dsn, name="test-replay") as connection:
        ledger, evidence = PostgresDecisionLedger(connection), PostgresEvidence(connection)
        replays = LedgerReplays(ledger, Replaying(ledger, lambda: evidence, lambda _: HandScoring()))
        progress = ReplayProgress(plan=replays.plan(ReplayRequest()))
        while not progress.done:
            assert progress.plan is not None
            progress = progress.and_then(replays.stretch(ReplayRequest(), progress.plan, progress.point))
        return progress
