"""What the engine recorded in PostgreSQL comes out again for somebody who may read the record and nothing else."""

import json
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import psycopg
import pytest
import pytest_asyncio

from activities.learning.learner import XgboostLearner
from activities.learning.scoring import XgboostScoring
from connectors.postgres.evidence import PostgresEvidence
from connectors.postgres.ledger import append_now
from connectors.postgres.migrating import migrations_folder
from connectors.postgres.pool import Connection, connect, transaction
from connectors.postgres.replay import PostgresDecisionLedger
from connectors.postgres.roles import DatabaseRole, as_role, let_in
from tests.storeroom import LOCATION, MORNING, Storeroom, catalog, clock, counted, sold
from tests.unit.learning_world import LAST_DAY, steady_world
from workers.remaking import LedgerReplays
from workflows.domain.approvals import Meaning
from workflows.domain.ledger import EntryType, NewEntry
from workflows.domain.policies import Policy
from workflows.domain.remaking import Replaying
from workflows.domain.replay import Verdict
from workflows.domain.replaying import ReplayProgress, ReplayRequest

ITEMS = 8
SCORING = XgboostScoring(nthread=1)
ASKS = Policy(auto_value_limit=Decimal(150))
LISTS = "SELECT convert_from(body, 'UTF8')::jsonb ->> 'items' FROM ledger_entry WHERE type = 'holds.recorded'"


@pytest.fixture(scope="module")
def model() -> bytes:
    world = steady_world(count=12, days=200)[0]
    return XgboostLearner(rows=2_000, rounds=8).train(world, last_day=LAST_DAY, seed=7, progress=lambda *_: None)


@pytest.fixture
def auditor(dsn: str) -> Iterator[Connection]:
    let_in(dsn)
    with connect(as_role(dsn, DatabaseRole.AUDITOR), name="test-auditor") as connection:
        yield connection


@pytest.fixture
def replays(auditor: Connection) -> LedgerReplays:
    ledger, evidence = PostgresDecisionLedger(auditor), PostgresEvidence(auditor)
    return LedgerReplays(ledger, Replaying(ledger, lambda: evidence, lambda _: SCORING))


@pytest_asyncio.fixture
async def played(storeroom: Storeroom, model: bytes) -> AsyncIterator[Storeroom]:
    """A morning with holds, orders without anybody, answers of all kinds, a second look, and a placed order."""
    storeroom.scoring = SCORING  # type: ignore[assignment]
    await storeroom.stock(catalog(ITEMS), ASKS)
    await storeroom.champion(model)
    names = [f"ITEM-{n:03}" for n in range(1, ITEMS + 1)]
    storeroom.take(*(counted(900 if n < 2 else 3 * n, item=name) for n, name in enumerate(names)),
                   *(sold(1 + n * n, item=name) for n, name in enumerate(names)), clock())  # fmt: skip
    await storeroom.assess()
    waiting = [row["decision_id"] for row in storeroom.rows("SELECT decision_id FROM task ORDER BY 1")]
    assert len(waiting) >= 3, waiting
    storeroom.take(sold(9, item=waiting[0].split(":")[1]))
    await storeroom.rescore(waiting[0])
    await storeroom.answer(waiting[0])
    await storeroom.answer(waiting[1], Meaning.APPROVE_EDITED, units=24)
    await storeroom.answer(waiting[2], Meaning.REJECT)
    for row in storeroom.rows("SELECT decision_id, proposal_hash, tier FROM replenishment ORDER BY 1"):
        if row["tier"] == "auto" or row["decision_id"] in waiting[:2]:
            assert (await storeroom.orders.release(row["decision_id"], row["proposal_hash"])).released
    await storeroom.orders.close_rejected(waiting[2])
    (order,) = storeroom.rows("SELECT order_id FROM purchase_order")
    await storeroom.place(order["order_id"])
    yield storeroom


def everything(replays: LedgerReplays, request: ReplayRequest | None = None) -> ReplayProgress:
    asked = request or ReplayRequest()
    progress = ReplayProgress(plan=replays.plan(asked))
    while not progress.done:
        assert progress.plan is not None
        progress = progress.and_then(replays.stretch(asked, progress.plan, progress.point))
    return progress


def test_the_record_alone_suffices(played: Storeroom, replays: LedgerReplays, auditor: Connection) -> None:
    for table in ("decision", "position", "task", "person", "daily_demand", "policy_version", "model_version"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            auditor.execute(f"SELECT 1 FROM {table}".encode())  # noqa: S608

    found = everything(replays)

    recorded = played.one("SELECT count(*) AS n FROM decision")["n"]
    assert found.told == ()
    assert found.counts.equal == found.counts.decisions == recorded > ITEMS - 1
    assert found.counts.skipped == 0
    whats = {
        each.what
        for row in played.rows("SELECT DISTINCT decision_id FROM decision")
        for one in replays.replaying.one(row["decision_id"])
        for each in one.every
    }
    assert {"order line.units", "approval rule", "inputs.scores.stockout_risk", "place in the batch"} <= whats


def test_a_sample_is_the_same_one_again(played: Storeroom, replays: LedgerReplays) -> None:
    asked = ReplayRequest(sample=3, seed=11)
    assert everything(replays, asked).counts.equal == 3
    assert replays.plan(asked).highest_rank == replays.plan(asked).highest_rank
    assert everything(replays, ReplayRequest(since=MORNING)).counts.decisions > 3
    assert everything(replays, ReplayRequest(until=MORNING)).counts.decisions == 0


def tampered(storeroom: Storeroom, statement: str, *arguments: Any) -> None:
    """As somebody does who owns the database."""
    storeroom.connection.execute("SET session_replication_role = replica")
    assert storeroom.connection.execute(statement.encode(), arguments).rowcount == 1
    storeroom.connection.execute("RESET session_replication_role")


FLIP = "set_byte(body, length(body) / 2, get_byte(body, length(body) / 2) # 1)"


def test_one_byte_of_the_inputs_changed_by_hand_is_found(played: Storeroom, replays: LedgerReplays) -> None:
    row = played.one("SELECT decision_id, inputs_sha256 FROM decision ORDER BY random() LIMIT 1")
    tampered(played, f"UPDATE evidence SET body = {FLIP} WHERE sha256 = %s", row["inputs_sha256"])  # noqa: S608

    found = everything(replays)

    assert found.counts.different == 1
    (one,) = found.told
    assert one.decision_id == row["decision_id"]
    assert [d.what for d in one.deviations] == [f"bytes of the inputs {row['inputs_sha256']}"]


@pytest.mark.parametrize("kind", ["snapshot", "decision"])
def test_one_byte_of_other_evidence_changed_by_hand_is_found(
    played: Storeroom, replays: LedgerReplays, kind: str
) -> None:
    row = played.one("SELECT sha256 FROM evidence_part WHERE kind = %s ORDER BY sha256 LIMIT 1", kind)
    tampered(played, f"UPDATE evidence_part SET body = {FLIP} WHERE sha256 = %s", row["sha256"])  # noqa: S608

    found = everything(replays)

    assert found.counts.different == 1
    assert any(row["sha256"] in d.what for d in found.told[0].deviations), found.told


@pytest.mark.parametrize("kind", ["snapshot", "model", "decision", "items", "source"])
def test_evidence_that_is_gone_is_told_by_its_digest(played: Storeroom, replays: LedgerReplays, kind: str) -> None:
    # Of lists, those of holds: what events were accepted is no decision's business.
    used = {"model": "ORDER BY kept_at DESC, sha256", "items": f"AND sha256 IN ({LISTS}) ORDER BY sha256"}
    query = f"SELECT sha256 FROM evidence_part WHERE kind = %s {used.get(kind, 'ORDER BY sha256')} LIMIT 1"  # noqa: S608
    row = played.one(query, kind)
    tampered(played, "DELETE FROM evidence_part WHERE sha256 = %s", row["sha256"])

    found = everything(replays)

    assert found.counts.incomplete >= 1
    assert found.counts.different == 0
    assert {lost.digest for one in found.told for lost in one.missing} == {row["sha256"]}


def test_a_ledger_entry_changed_by_hand_is_found(played: Storeroom, replays: LedgerReplays) -> None:
    row = played.one("SELECT stream FROM ledger_entry WHERE type = 'verdict.recorded' ORDER BY stream LIMIT 1")
    tampered(played, "UPDATE ledger_entry SET actor = 'nobody' WHERE stream = %s AND type = 'verdict.recorded'",
             row["stream"])  # fmt: skip

    found = everything(replays)

    assert {one.decision_id for one in found.told} == {row["stream"]}
    assert any("of " + row["stream"] in d.what for one in found.told for d in one.deviations)


async def test_a_proposal_that_is_blocked_when_it_is_scored_again_comes_out_again(
    storeroom: Storeroom, model: bytes, replays: LedgerReplays
) -> None:
    storeroom.scoring = SCORING  # type: ignore[assignment]
    await storeroom.stock(catalog(1), Policy(auto_value_limit=Decimal(1)))
    await storeroom.champion(model)
    storeroom.take(counted(0), sold(30), clock())
    await storeroom.assess()
    storeroom.connection.execute("UPDATE supplier SET blocked = true, blocked_at = now()")
    await storeroom.rescore(f"{LOCATION}:ITEM-001:1")
    assert len(storeroom.rows("SELECT 1 FROM decision")) == 2

    found = replays.replaying.one(f"{LOCATION}:ITEM-001:1")

    assert [one.replayed.verdict for one in found] == [Verdict.EQUAL, Verdict.EQUAL], found[1].replayed
    assert everything(replays).counts.equal == 2


def test_what_a_replay_came_to_is_in_the_ledger_once(played: Storeroom, replays: LedgerReplays) -> None:
    request = ReplayRequest(asked_by="p-0123456789ab")
    found = everything(replays, request)

    assert [replays.note(request, found, "run-1") for _ in range(3)] == [True, False, False]
    assert replays.note(request, found, "run-2")

    rows = played.rows("SELECT * FROM ledger_entry WHERE type = 'decision.replayed' ORDER BY seq")
    assert [(row["stream"], row["actor"]) for row in rows] == [("audit:p-0123456789ab", "p-0123456789ab")] * 2
    assert played.verified().ok


def test_holds_of_a_release_that_kept_no_list_come_out_again_after_the_upgrade(
    played: Storeroom, replays: LedgerReplays
) -> None:
    """As such a release left it: bytes of holds in their table alone, and in the ledger the root over them."""
    (entry,) = played.rows("SELECT * FROM ledger_entry WHERE type = 'holds.recorded'")
    body = {name: value for name, value in json.loads(entry["body"]).items() if name != "items"}
    tampered(played, "DELETE FROM ledger_entry WHERE type = 'holds.recorded'")
    played.connection.execute("SET session_replication_role = replica")
    played.connection.execute("DELETE FROM evidence_part WHERE kind IN ('items', 'decision')")
    played.connection.execute("RESET session_replication_role")
    at = datetime.fromisoformat(entry["occurred_at"])
    old = NewEntry(stream=entry["stream"], type=EntryType.HOLDS_RECORDED, actor="engine", occurred_at=at, body=body)
    with transaction(played.connection) as cursor:
        append_now(cursor, [old])
    assert everything(replays).counts.skipped == body["holds"]

    upgrade = migrations_folder() / "0048.earlier_holds.sql"
    for _ in range(2):
        played.connection.execute(upgrade.read_bytes())

    found = everything(replays)
    assert found.told == ()
    assert (found.counts.skipped, found.faultless) == (0, True)
