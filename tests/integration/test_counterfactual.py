"""Recorded decisions are read back and made again by a role that sees the ledger and the evidence, and nothing else."""

import json
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

import psycopg
import pytest

from activities.counterfactual import Counterfactuals
from connectors.postgres.access_review import PostgresAccess
from connectors.postgres.auditing import note
from connectors.postgres.counterfactual import PostgresRecordings
from connectors.postgres.named import model_named, policy_named
from connectors.postgres.population import PostgresPopulations
from connectors.postgres.recorded import NOT_NAMED
from connectors.postgres.roles import DatabaseRole, as_role, let_in
from tests.storeroom import LOCATION, MODEL, MORNING, PLANNER, HandScoring, Storeroom, catalog, clock, counted
from workflows.domain.approvals import Actor
from workflows.domain.counterfactual import Company, Compared, Counterfactual, Other, Outcome, Which
from workflows.domain.errors import InvalidInput, NotFound
from workflows.domain.identity import Digest, digest
from workflows.domain.ledger import EntryType
from workflows.domain.policies import Policy
from workflows.domain.population import Item, PopulationKind, Wanted
from workflows.domain.scores import Scores, ScoringRow

OTHER = digest(b"another model")
SAME = Policy(version=2)


class Twice(HandScoring):
    """Expects twice as much of the other model."""

    def score(self, rows: Sequence[ScoringRow], model: bytes, *, explain: bool = False) -> list[Scores]:
        return HandScoring(10.0 if model == MODEL else 20.0).score(rows, model, explain=explain)


def bodies(sha256: Digest) -> bytes:
    return {digest(MODEL): MODEL, OTHER: b"another model"}[sha256]


@pytest.fixture
def auditor(dsn: str) -> str:
    let_in(dsn)
    return as_role(dsn, DatabaseRole.AUDITOR)


@pytest.fixture
async def morning(storeroom: Storeroom) -> Storeroom:
    """Two proposals and two holds of one batch."""
    await storeroom.stock(catalog(4))
    storeroom.take(*(counted(have, item=f"ITEM-{n:03}") for n, have in enumerate((0, 5, 900, 900), start=1)), clock())
    await storeroom.assess()
    return storeroom


def ask(dsn: str, which: Which, other: Other) -> Counterfactual:
    return Counterfactuals(PostgresRecordings(dsn), Twice(), bodies).ask(which, other)


def each(dsn: str, which: Which, other: Other) -> list[Compared]:
    told: list[Compared] = []
    asking = Counterfactuals(PostgresRecordings(dsn), Twice(), bodies)
    asking.ask(which, other, told=lambda compared, _: told.extend(compared))
    return told


async def test_the_same_limits_come_to_the_same_with_every_projection_out_of_reach(
    morning: Storeroom, auditor: str
) -> None:
    with psycopg.connect(auditor) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("SELECT * FROM decision")
    answer = ask(auditor, Which(), Other(policy=SAME))
    assert (answer.compared, answer.changed, answer.not_possible, answer.company_recorded) == (4, 0, (), 0)
    (total,) = answer.totals
    assert (total.before.hold, total.before.auto + total.before.review) == (2, 2)
    assert total.before == total.after
    assert answer.sha256 == ask(auditor, Which(), Other(policy=SAME)).sha256


async def test_another_model_scores_the_recorded_snapshots(morning: Storeroom, auditor: str) -> None:
    answer = ask(auditor, Which(model=digest(MODEL), newest=2), Other(model=OTHER))
    assert (answer.compared, answer.not_possible) == (4, ()), "the rest of the batch comes with them"
    assert answer.changed == 2
    assert ask(auditor, Which(model=OTHER, newest=2), Other(model=OTHER)).compared == 0


async def test_one_decision_is_asked_about_in_the_company_of_its_batch(morning: Storeroom, auditor: str) -> None:
    for decision, outcome in ((f"{LOCATION}:ITEM-001:1", Outcome.REVIEW), (f"{LOCATION}:ITEM-003:1", Outcome.HOLD)):
        other = Other(policy=Policy(version=2, auto_value_limit=Decimal(1)))
        (one,) = each(auditor, Which(decision_id=decision), other)
        assert (one.decision_id, one.after.outcome, one.company) == (decision, outcome, Company.ANEW)
    with pytest.raises(NotFound, match="the ledger has no decision LEEDS:NOBODY:1"):
        ask(auditor, Which(decision_id="LEEDS:NOBODY:1"), Other(policy=SAME))


async def test_days_are_those_of_the_business_clock(morning: Storeroom, auditor: str) -> None:
    day = MORNING.date()
    assert ask(auditor, Which(since=day, until=day), Other(policy=SAME)).compared == 4
    assert ask(auditor, Which(since=day + timedelta(days=1)), Other(policy=SAME)).compared == 0
    assert ask(auditor, Which(until=day - timedelta(days=1)), Other(policy=SAME)).compared == 0


async def test_only_the_newest_revision_of_a_decision_counts(morning: Storeroom, auditor: str) -> None:
    decision = f"{LOCATION}:ITEM-001:1"
    if not morning.rows("SELECT 1 FROM task WHERE decision_id = %s", decision):
        pytest.fail("the first proposal waits for a person, so that it can be scored again")
    morning.take(counted(3, item="ITEM-001", at=MORNING))
    await morning.rescore(decision)
    revisions = morning.one("SELECT max(revision) AS n FROM decision WHERE decision_id = %s", decision)["n"]
    assert revisions == 2
    told = each(auditor, Which(), Other(policy=SAME))
    assert sorted((one.decision_id, one.revision) for one in told)[0] == (decision, 2)
    assert len(told) == 4


def forget(storeroom: Storeroom, statement: str, *arguments: object) -> None:
    """As an administrator of the server who gets past what holds everybody else back."""
    storeroom.connection.execute("SET session_replication_role = replica")
    storeroom.connection.execute(statement.encode(), arguments)
    storeroom.connection.execute("RESET session_replication_role")


async def test_what_is_gone_or_damaged_is_named_and_the_rest_is_answered(morning: Storeroom, auditor: str) -> None:
    row = morning.one("SELECT inputs_sha256 FROM decision WHERE decision_id = %s", f"{LOCATION}:ITEM-001:1")
    forget(morning, "DELETE FROM evidence WHERE sha256 = %s", row["inputs_sha256"])
    answer = ask(auditor, Which(), Other(policy=SAME))
    assert answer.compared == 3
    (reason,) = answer.not_possible
    assert row["inputs_sha256"] in reason.why
    assert reason.decisions == 1


async def test_snapshots_that_are_gone_leave_questions_of_policy(morning: Storeroom, auditor: str) -> None:
    forget(morning, "DELETE FROM evidence_part WHERE kind = 'snapshot'")
    assert ask(auditor, Which(), Other(policy=SAME)).compared == 4
    answer = ask(auditor, Which(), Other(model=OTHER))
    assert (answer.compared, sum(one.decisions for one in answer.not_possible)) == (0, 4)
    assert all(one.why.startswith("its snapshot: ") for one in answer.not_possible)


async def test_holds_of_an_earlier_release_are_counted_as_not_possible(morning: Storeroom, auditor: str) -> None:
    row = morning.one("SELECT body FROM ledger_entry WHERE type = 'holds.recorded'")
    body = {name: value for name, value in json.loads(row["body"]).items() if name != "items"}
    forget(morning, "UPDATE ledger_entry SET body = %s WHERE type = 'holds.recorded'", json.dumps(body).encode())
    answer = ask(auditor, Which(), Other(policy=SAME))
    assert [(one.why, one.decisions) for one in answer.not_possible] == [(NOT_NAMED, 2)]
    assert answer.compared == 2
    with pytest.raises(NotFound, match="holds of one batch of its location"):
        ask(auditor, Which(decision_id=f"{LOCATION}:ITEM-003:1"), Other(policy=SAME))


async def test_holds_of_an_earlier_release_are_named_where_their_root_proves_a_list(
    morning: Storeroom, auditor: str
) -> None:
    """As the upgrade leaves them: the entry has no list, and the list is kept apart."""
    row = morning.one("SELECT body FROM ledger_entry WHERE type = 'holds.recorded'")
    body = {name: value for name, value in json.loads(row["body"]).items() if name != "items"}
    forget(morning, "UPDATE ledger_entry SET body = %s WHERE type = 'holds.recorded'", json.dumps(body).encode())
    forget(morning, "UPDATE evidence_part SET kind = 'earlier_items' WHERE kind = 'items' AND sha256 = %s",
           json.loads(row["body"])["items"])  # fmt: skip
    assert ask(auditor, Which(), Other(policy=SAME)).compared == 4
    day = morning.one("SELECT max(recorded_at)::date AS day FROM ledger_entry")["day"]
    found: list[Item] = []
    proof = PostgresPopulations(auditor).export(
        Wanted(what=PopulationKind.DECISIONS, since=day, until=day), found.append
    )
    assert (proof.items, proof.rows, proof.whole) == (4, 4, True)


async def test_models_and_policies_are_found_by_the_beginning_of_their_digest(morning: Storeroom, auditor: str) -> None:
    assert model_named(auditor, digest(MODEL)[:10]) == digest(MODEL)
    assert policy_named(auditor, Policy().digest[:10]) == Policy()
    with pytest.raises(NotFound, match="knows no model"):
        model_named(auditor, "0" * 20)
    for wrong in ("abc", "no such file.json"):
        with pytest.raises(InvalidInput, match="neither a file nor the digest"):
            policy_named(auditor, wrong)
    assert PostgresRecordings(auditor).model(digest(MODEL)) == MODEL


async def test_a_population_is_whole_and_says_where_each_item_stands(morning: Storeroom, auditor: str) -> None:
    day = morning.one("SELECT max(recorded_at)::date AS day FROM ledger_entry")["day"]
    wanted = Wanted(what=PopulationKind.DECISIONS, since=day, until=day)
    found: list[Item] = []
    proof = PostgresPopulations(auditor).export(wanted, found.append)
    assert sorted(one.id for one in found) == [f"{LOCATION}:ITEM-00{n}:1" for n in range(1, 5)]
    assert proof.whole
    assert (proof.items, proof.entries, proof.without_leaf, proof.tree) == (4, 3, 3, None)
    again: list[Item] = []
    assert PostgresPopulations(auditor).export(wanted, again.append).counted == proof.counted
    assert again == found, "the same order every time"
    entries: list[Item] = []
    whole = PostgresPopulations(auditor).export(wanted.model_copy(update={"what": PopulationKind.ENTRIES}),
                                                entries.append)  # fmt: skip
    assert len(entries) == morning.one("SELECT count(*) AS n FROM ledger_entry")["n"] == whole.entries
    first = entries[0]
    morning.connection.execute(
        "INSERT INTO ledger_leaf (tree_index, stream, seq, hash) VALUES (0, %s, %s, %s)",
        [first.stream, first.seq, first.hash],
    )
    seen: list[Item] = []
    later = PostgresPopulations(auditor).export(wanted.model_copy(update={"what": PopulationKind.ENTRIES}), seen.append)
    assert seen[0].leaf == 0
    assert (later.without_leaf, later.beyond_checkpoint) == (whole.entries - 1, 1)


async def test_access_and_controls_are_read_from_the_ledger_by_the_auditor(morning: Storeroom, auditor: str) -> None:
    decision = f"{LOCATION}:ITEM-001:1"
    await morning.answer(decision)
    with pytest.raises(Exception, match="approved already"):
        await morning.answer(decision)
    day = morning.one("SELECT max(recorded_at)::date AS day FROM ledger_entry")["day"]
    review = PostgresAccess(auditor).review(day, day)
    (one,) = [one for one in review.answers if one.person == PLANNER.name]
    assert (one.approved, one.refused) == (1, 1)
    assert one.median_seconds is not None
    assert review.policy.version == 1
    controls = PostgresAccess(auditor).controls(day, day)
    assert [(one.type, one.code, one.entries) for one in controls.blocked] == [("verdict.refused", "answered", 1)]
    assert PostgresAccess(auditor).controls(day - timedelta(days=2), day - timedelta(days=1)).entries == 0


async def test_what_an_auditor_asked_is_in_the_ledger(morning: Storeroom, auditor: str) -> None:
    asked = {"which": Which(newest=3), "sha256": OTHER, "since": MORNING.date()}
    note(auditor, Actor(name="p-aaaaaaaaaaaa"), EntryType.COUNTERFACTUAL_ASKED, asked)
    row = morning.one("SELECT body, actor FROM ledger_entry WHERE type = 'decision.counterfactual'")
    assert json.loads(row["body"])["which"]["newest"] == 3
    assert morning.verified().ok
