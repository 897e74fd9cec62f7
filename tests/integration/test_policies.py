"""A trial is what the engine would have decided; only an approved change reaches the policy that decides."""

import asyncio
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from connectors.postgres.catalog import load_history
from connectors.postgres.policy_changes import PostgresPolicies
from connectors.postgres.pool import Database, connect
from console.policy_desk import PolicyDesk
from tests.databases import DatabaseServer
from tests.storeroom import LOCATION, MORNING, Storeroom, catalog, clock, counted, sold
from workflows.domain.approvals import Actor
from workflows.domain.decisions import DecisionInputs
from workflows.domain.errors import Conflict, InvalidInput, NotAllowed, StaleProposal
from workflows.domain.feeds import RecordedReceipt
from workflows.domain.limits import ServiceAim, ServiceMeasure
from workflows.domain.outcomes import measure
from workflows.domain.policies import Policy
from workflows.domain.policy_changes import ChangeKind, ChangeState, next_policy

ADA, BOB, CAT = Actor(name="Ada"), Actor(name="Bob"), Actor(name="Cat")
ITEMS = 6
DOCUMENTS: list[dict[str, Any]] = [
    {"auto_value_limit": 150},
    {"new_item_asks": False, "overrides": [{"item": "ITEM-002", "autonomy": "L1"}]},
    {"new_item_asks": False, "overrides": [{"category": "things", "service": {"measure": "cycle", "target": "0.7"}}]},
    {"cover_cap_days": 5, "overrides": [{"location": "LEEDS", "new_item_asks": False}]},
    {"overrides": [{"item": "ITEM-003", "service": {"measure": "fill", "target": "0.98"}}]},
]


@pytest.fixture
def desk(database: Database) -> PolicyDesk:
    """Over the storeroom's database."""
    return PolicyDesk(PostgresPolicies(database))


async def decided(storeroom: Storeroom, policy: Policy | None = None) -> None:
    """Needs of very different sizes, decided; the first three items were bought before."""
    await storeroom.stock(catalog(ITEMS), policy)
    past = [
        RecordedReceipt(
            supplier="acme", location=LOCATION, item=f"ITEM-{n:03}", ordered_on=date(2025, 2, 1),
            received_on=date(2025, 2, 5), units=40 * n,
        )
        for n in range(1, 4)
    ]  # fmt: skip
    load_history(storeroom.connection, [], past, actor="test")
    storeroom.scoring.of_item = {f"ITEM-{n:03}": {"daily": 6 * n} for n in range(1, ITEMS + 1)}
    storeroom.take(*[counted(9 + n, item=f"ITEM-{n:03}") for n in range(1, ITEMS + 1)], clock())
    await storeroom.assess()


def came_out(storeroom: Storeroom) -> dict[str, tuple[str, int]]:
    """(tier or hold, units) of each decision, as stored."""
    rows = storeroom.rows(
        """SELECT d.decision_id, coalesce(r.tier, 'hold') AS outcome, coalesce(r.units, 0) AS units
           FROM decision d LEFT JOIN replenishment r USING (decision_id)"""
    )
    return {row["decision_id"]: (row["outcome"], row["units"]) for row in rows}


def sizes(storeroom: Storeroom) -> dict[str, int]:
    """How many rows each table has."""
    tables = storeroom.rows("SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'")
    return {t["name"]: storeroom.one(f"SELECT count(*) AS n FROM {t['name']}")["n"] for t in tables}  # noqa: S608


@pytest.mark.parametrize("document", DOCUMENTS)
async def test_a_trial_equals_the_real_decisions_under_that_policy(
    storeroom: Storeroom, desk: PolicyDesk, server: DatabaseServer, document: dict[str, Any]
) -> None:
    await decided(storeroom)
    before, rows = came_out(storeroom), sizes(storeroom)
    trial = await desk.dry_run(document, weeks=4)
    assert sizes(storeroom) == rows, "a trial writes nothing"

    with server.migrated() as dsn, connect(dsn, name="other") as connection:
        async with Database(dsn, name="other", size=2) as database:
            other = Storeroom(connection, database)
            await decided(other, next_policy(document, Policy()))
            after = came_out(other)
            value = other.one("SELECT coalesce(sum(units * unit_cost), 0) AS v FROM replenishment WHERE tier = 'auto'")

    assert trial.decisions == len(before) == ITEMS
    for side, real in ((trial.before, before), (trial.after, after)):
        for outcome in ("hold", "auto", "review", "blocked"):
            assert getattr(side, outcome) == sum(1 for tier, _ in real.values() if tier == outcome), outcome
    assert trial.after.auto_value == value["v"]
    changed = {key for key in before if before[key] != after[key]}
    assert changed, "the document makes a difference"
    assert (trial.changed, {one.decision_id for one in trial.biggest}) == (len(changed), changed)
    assert trial.quantity_changed == sum(before[key][1] != after[key][1] for key in before)
    for one in trial.biggest:
        assert (one.before.outcome, one.before.units) == before[one.decision_id]
        assert (one.after.outcome, one.after.units) == after[one.decision_id]
    waiting = {row.decision_id for row in await storeroom.desk.tasks()}
    assert trial.waiting_before.review == len(waiting)
    assert {one.decision_id for one in trial.biggest if one.waiting} == changed & waiting


async def test_a_trial_takes_open_tasks_first_and_says_what_it_left_out(storeroom: Storeroom, desk: PolicyDesk) -> None:
    await decided(storeroom)
    waiting = len(await storeroom.desk.tasks())
    assert 0 < waiting < ITEMS
    trial = await desk.dry_run({"auto_value_limit": 1}, limit=waiting)
    assert (trial.decisions, trial.left_out, trial.waiting_before.review) == (waiting, ITEMS - waiting, waiting)
    storeroom.take(clock(MORNING + timedelta(weeks=3)))
    late = await desk.dry_run({"auto_value_limit": 1}, weeks=2)
    assert (late.decisions, late.left_out) == (waiting, 0), "what waits is always tried, what is past is past"


async def test_from_a_document_to_what_decides(storeroom: Storeroom, desk: PolicyDesk) -> None:
    await decided(storeroom)
    document = {"auto_value_limit": 99_999, "new_item_asks": False, "costly_if_wrong_limit": 99_999}
    change = await desk.propose(document, "people are asked too often", ADA)
    assert change.trial.changed > 0
    assert change.trial.after.auto > change.trial.before.auto
    with pytest.raises(NotAllowed):
        await desk.answer(change.change_id, ADA, approve=True)
    adopted = await desk.answer(change.change_id, BOB, approve=True)
    assert adopted == await desk.answer(change.change_id, BOB, approve=True)

    made_before = {row["policy_digest"] for row in storeroom.rows("SELECT policy_digest FROM decision")}
    assert made_before == {Policy().digest}, "what was decided keeps the policy that it was made with"
    storeroom.scoring.of_item |= {"ITEM-005": {"daily": 40}}
    storeroom.take(sold(9, item="ITEM-005"), clock(MORNING + timedelta(hours=1)))
    (waiting,) = [t.decision_id for t in await storeroom.desk.tasks() if t.item == "ITEM-005"]
    await storeroom.rescore(waiting)
    newest = storeroom.one("SELECT policy_digest, revision FROM decision ORDER BY revision DESC LIMIT 1")
    assert newest == {"policy_digest": adopted.digest, "revision": 2}

    told = storeroom.rows(
        "SELECT stream, type, actor FROM ledger_entry WHERE type LIKE 'policy.%%' ORDER BY recorded_at, stream, seq"
    )
    assert [(row["stream"], row["type"], row["actor"]) for row in told] == [
        ("installation", "policy.adopted", "test"), ("policy", "policy.proposed", "Ada"),
        ("policy", "policy.refused", "Ada"), ("installation", "policy.adopted", "Bob"),
        ("policy", "policy.approved", "Bob"),
    ]  # fmt: skip
    assert storeroom.verified().ok


async def test_of_two_changes_of_one_policy_only_one_is_adopted_however_close(
    storeroom: Storeroom, desk: PolicyDesk
) -> None:
    await storeroom.stock()
    changes = [await desk.propose({"auto_value_limit": limit}, "try", ADA) for limit in range(100, 104)]
    found = await asyncio.gather(
        *(desk.answer(change.change_id, BOB, approve=True) for change in changes), return_exceptions=True
    )
    assert sum(isinstance(one, StaleProposal) for one in found) == len(changes) - 1
    assert [version.policy.version for version in await desk.policies.history()] == [2, 1]
    same = await asyncio.gather(*(desk.propose({"auto_value_limit": 7}, "again", ADA) for _ in range(5)))
    assert len({change.change_id for change in same}) == 1
    both = await asyncio.gather(
        desk.answer(same[0].change_id, BOB, approve=True),
        desk.answer(same[0].change_id, CAT, approve=False, reason="no"), return_exceptions=True,
    )  # fmt: skip
    assert sum(isinstance(one, Conflict) for one in both) == 1
    assert storeroom.verified().ok


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({}, "changes nothing"),
        ({"auto_value_limit": "1500.00"}, "changes nothing"),
        ({"auto_value_limit": "much"}, "auto_value_limit: Input should be a valid decimal"),
        ({"autonomy": "L3", "nonsense": 1}, "nonsense: Extra inputs"),
        ({"version": 7, "auto_value_limit": 1}, "of version 7, but version 1 is in force"),
    ],
)
async def test_a_document_that_cannot_be_is_refused_in_words(
    storeroom: Storeroom, desk: PolicyDesk, document: dict[str, Any], words: str
) -> None:
    await storeroom.stock()
    for attempt in (desk.check(document), desk.dry_run(document), desk.propose(document, "because", ADA)):
        with pytest.raises(InvalidInput, match=words):
            await attempt
    with pytest.raises(InvalidInput, match="reason"):
        await desk.propose({"auto_value_limit": 5}, " ", ADA)
    assert await desk.policies.changes() == []


async def test_nothing_but_an_adopted_change_reaches_the_versions(storeroom: Storeroom, desk: PolicyDesk) -> None:
    await storeroom.stock()
    change = await desk.propose({"auto_value_limit": 5}, "because", ADA)
    for forgery in (
        "INSERT INTO policy_version (digest, version, document) VALUES ('x', 2, 'x')",
        "INSERT INTO policy_version (digest, version, document) SELECT digest, 2, document FROM policy_change",
        "UPDATE policy_version SET document = 'x'",
        "DELETE FROM policy_version",
        "UPDATE policy_change SET document = 'x'",
        "UPDATE policy_change SET state = 'adopted', decided_by = 'ADA ', decided_at = now()",
        "DELETE FROM policy_change",
    ):
        with pytest.raises(psycopg.Error):
            storeroom.connection.execute(forgery.encode())
        storeroom.connection.rollback()
    await desk.answer(change.change_id, BOB, approve=False, reason="no")
    assert storeroom.one("SELECT actor FROM ledger_entry WHERE type = 'policy.rejected'")
    with pytest.raises(psycopg.Error, match="decided once"):
        storeroom.connection.execute("UPDATE policy_change SET state = 'proposed', decided_by = NULL")
    storeroom.connection.rollback()
    assert (await desk.policies.current()).policy == Policy()


async def test_a_review_period_of_the_policy_is_what_the_next_assessment_scores(
    storeroom: Storeroom, desk: PolicyDesk
) -> None:
    await storeroom.stock(catalog(2))
    document = {"overrides": [{"item": "ITEM-002", "review_days": 9}]}
    trial = await desk.dry_run(document)
    assert trial.blind_to, "it says what it cannot show"
    change = await desk.propose(document, "fewer, larger orders", ADA)
    assert change.kind is ChangeKind.REVIEW_PERIOD
    await desk.answer(change.change_id, BOB, approve=True)
    storeroom.take(counted(9), counted(9, item="ITEM-002"), clock())
    await storeroom.assess()
    rows = storeroom.rows("SELECT e.body FROM decision d JOIN evidence e ON e.sha256 = d.inputs_sha256 ORDER BY d.item")
    found = [DecisionInputs.model_validate_json(row["body"]) for row in rows]
    assert [one.options[0].sourcing.review_days for one in found] == [1, 9]
    assert [one.scores.protection_days for one in found] == [4, 12]


async def test_what_was_last_ordered_and_paid_is_known_to_the_next_decision(storeroom: Storeroom) -> None:
    await storeroom.stock(catalog(1))
    storeroom.take(counted(9), clock())
    await storeroom.assess()
    need = "LEEDS:ITEM-001:1"
    await storeroom.answer(need)
    released = await storeroom.orders.release(need, storeroom.hash_of(need))
    order = await storeroom.place(released.order_id or "")
    assert order is not None
    storeroom.scoring.daily = 60
    storeroom.take(sold(9, at=MORNING + timedelta(hours=1)), clock(MORNING + timedelta(days=1)))
    await storeroom.assess()
    row = storeroom.one(
        """SELECT e.body FROM decision d JOIN evidence e ON e.sha256 = d.inputs_sha256
           ORDER BY d.decided_at DESC LIMIT 1"""
    )
    (option,) = DecisionInputs.model_validate_json(row["body"]).options
    assert (option.last_units, option.last_unit_cost) == (order.lines[0].units, Decimal("4.2000"))


async def test_measured_outcomes_propose_a_service_target(storeroom: Storeroom, desk: PolicyDesk) -> None:
    items = 40
    await storeroom.stock(catalog(items))
    names = [f"ITEM-{n:03}" for n in range(1, items + 1)]
    storeroom.take(*[counted(900, item=name) for name in names], clock())
    await storeroom.assess()
    with pytest.raises(Conflict, match="no other service target"):
        await desk.propose_service(ADA, weeks=4)
    storeroom.take(*[sold(900, item=name, at=MORNING + timedelta(hours=2)) for name in names[:8]])
    storeroom.take(clock(MORNING + timedelta(days=10)))
    due = await storeroom.outcomes.due(100)
    await storeroom.outcomes.record([measure(facts) for facts in due])

    records, proposals = await desk.service_proposals(4)
    assert [(r.category, r.decisions, r.stocked_out, r.target) for r in records] == [
        ("things", items, 8, Decimal("0.9500"))
    ]
    assert [one.proposed for one in proposals] == [Decimal("0.970")], "20 % is far more than 5 %: one step up"
    change = await desk.propose_service(ADA, weeks=4)
    assert (change.kind, change.state, change.author) == (
        ChangeKind.SERVICE_TARGET, ChangeState.PROPOSED, ADA.name,
    )  # fmt: skip
    assert change.evidence == tuple(records)
    assert await desk.propose_service(ADA, weeks=4) == change
    with pytest.raises(NotAllowed, match="another person"):
        await desk.answer(change.change_id, ADA, approve=True)
    await desk.answer(change.change_id, BOB, approve=True)
    (override,) = (await desk.policies.current()).policy.overrides
    assert (override.category, override.service) == (
        "things", ServiceAim(measure=ServiceMeasure.CYCLE, target=Decimal("0.97")),
    )  # fmt: skip
    storeroom.take(clock(MORNING + timedelta(days=30)))
    assert await desk.service_proposals(1) == ([], []), "outcomes of other weeks do not count"
