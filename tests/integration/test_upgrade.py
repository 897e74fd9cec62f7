"""A database of the first release, with work in flight, goes on under this one: nothing it holds is lost or refused."""

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from connectors.postgres import migrating
from connectors.postgres.approvals import PostgresApprovals
from connectors.postgres.decisions import PostgresAssessments
from connectors.postgres.desk import PostgresDesk
from connectors.postgres.migrating import migrate, migrations_folder
from connectors.postgres.orders import PostgresOrders
from connectors.postgres.people import PostgresPeople
from connectors.postgres.pool import Connection, Database, connect
from connectors.postgres.shelves import PostgresShelves
from tests.databases import DatabaseServer
from workflows.domain.approvals import Actor, Meaning, VerdictCommand
from workflows.domain.errors import NotAllowed, Unavailable
from workflows.domain.identity import canonical, digest
from workflows.domain.people import Person, Role

FIRST_RELEASE = 6
"""Migrations that it had."""
RECORDED = json.loads((Path(__file__).parent.parent / "unit" / "first_decisions.json").read_bytes())
REVIEW = next(one for one in RECORDED if one["name"] == "several rules of the gate")
NOW = datetime(2025, 2, 20, tzinfo=UTC)


@pytest.fixture
def first_dsn(server: DatabaseServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A database as the first release left it, with a task that waits and orders that are on their way."""
    for file in sorted(migrations_folder().glob("*.sql"))[:FIRST_RELEASE]:
        shutil.copy(file, tmp_path)
    with server.empty() as dsn:
        with monkeypatch.context() as patch:
            patch.setattr(migrating, "migrations_folder", lambda: tmp_path)
            assert len(migrate(dsn)) == FIRST_RELEASE
        with connect(dsn, name="test") as connection:
            _fill(connection, REVIEW)
        yield dsn


def _fill(connection: Connection, record: dict[str, Any]) -> None:
    decision, inputs = record["decision"], record["inputs"]
    result, item, need = decision["result"], inputs["item"], inputs["need"]
    stored, evidence, policy = canonical(decision), canonical(inputs), canonical(record["policy"])
    place = {"location": need["location"], "item": need["item"], "id": need["need_id"], "clock": decision["decided_at"]}

    def put(table: str, **values: Any) -> None:
        names, marks = ", ".join(values), ", ".join(["%s"] * len(values))
        query = f"INSERT INTO {table} ({names}) VALUES ({marks})"  # noqa: S608 - our own names
        connection.execute(query.encode(), list(values.values()))

    put("policy_version", digest=digest(policy), version=record["policy"]["version"], document=policy)
    put("item", **{name: item[name] for name in ("item", "name", "category", "price", "goodwill_per_unit")})
    put("location", location=place["location"], name="There")
    for option in inputs["options"]:
        supplier, sourcing = option["supplier"], option["sourcing"]
        put("supplier", supplier=supplier["supplier"], name="S", cost_per_order=supplier["cost_per_order"])
        put("sourcing", **sourcing)
    put(
        "position",
        location=place["location"],
        item=place["item"],
        counted_units=inputs["position"]["on_hand_units"],
        counted_at=place["clock"],
        last_assessed_at=place["clock"],
        watch_level_units=9,
        data_through=place["clock"],
    )
    put("business_clock", location=place["location"], watermark=place["clock"])
    put(
        "need",
        need_id=place["id"],
        location=place["location"],
        item=place["item"],
        number=1,
        cause="first_sight",
        opened_at=place["clock"],
        state="proposed",
    )
    put("evidence", sha256=digest(evidence), body=evidence)
    put(
        "decision",
        decision_id=place["id"],
        revision=1,
        location=place["location"],
        item=place["item"],
        kind="proposal",
        decided_at=place["clock"],
        body=stored,
        proposal_hash=digest(stored),
        inputs_sha256=digest(evidence),
        model_digest=decision["model_digest"],
        policy_digest=digest(policy),
        horizon_end=date(2030, 1, 1),
    )
    put(
        "replenishment",
        decision_id=place["id"],
        revision=1,
        proposal_hash=digest(stored),
        location=place["location"],
        item=place["item"],
        supplier=result["supplier"],
        units=result["units"],
        unit_cost=result["unit_cost"],
        tier="review",
        decided_at=place["clock"],
        workflow_started_at=place["clock"],
    )
    put(
        "task",
        decision_id=place["id"],
        revision=1,
        proposal_hash=digest(stored),
        location=place["location"],
        item=place["item"],
        value=result["value"],
        cost_of_waiting=1,
        opened_at=place["clock"],
        remind_at=place["clock"],
        escalate_at=place["clock"],
        expire_at=place["clock"],
        available_units=0,
        tolerance_units=1,
    )
    for number, delayed in enumerate((False, True)):
        put(
            "purchase_order",
            order_id=f"o{number}",
            key=f"k{number}",
            supplier=result["supplier"],
            location=place["location"],
            cycle=str(number),
            part=1,
            state="placed",
            currency="EUR",
            cutoff_at=NOW,
            ordered_at=NOW,
            promised_at=NOW,
            delayed=delayed,
        )
    put(
        "movement",
        source="wms",
        event_id="r1",
        location=place["location"],
        item=place["item"],
        kind="receipt",
        occurred_at=NOW,
        on_hand_delta=5,
        order_id="o0",
    )
    for reference in ("wms/r1", "recorded/1"):
        put(
            "observed_lead_time",
            reference=reference,
            supplier=result["supplier"],
            location=place["location"],
            item=place["item"],
            ordered_on=date(2025, 2, 13),
            received_on=date(2025, 2, 20),
            units=5,
        )


async def test_before_it_is_migrated_the_error_says_what_to_do(first_dsn: str) -> None:
    async with Database(first_dsn, name="test", size=2) as database:
        with pytest.raises(Unavailable, match="quartermaster migrate"):
            await PostgresShelves(database).due()


async def test_what_waited_is_shown_answered_and_released_under_the_hash_that_it_had(first_dsn: str) -> None:
    migrate(first_dsn)
    hash_then = digest(canonical(REVIEW["decision"]))
    async with Database(first_dsn, name="test", size=2) as database:
        desk = PostgresDesk(database)
        (task,) = await desk.tasks()
        view = await desk.decision(task.decision_id)
        assert task.proposal_hash == view.decision.proposal_hash == hash_then
        assert view.demand_words == ""
        assert await desk.blocked() == []
        command = VerdictCommand(
            command_id="after-the-upgrade", decision_id=task.decision_id, meaning=Meaning.APPROVE,
            proposal_hash=view.decision.proposal_hash,
        )  # fmt: skip
        with pytest.raises(NotAllowed, match="Nobody knows pat here"):
            await PostgresApprovals(database).record(command, Actor(name="pat"))
        people = PostgresPeople(database)
        await people.register(Person(name="pat", roles=frozenset({Role.PLANNER})), Actor(name="installation"))
        await PostgresApprovals(database).record(command, Actor(name="pat"))
        released = await PostgresOrders(database).release(task.decision_id, hash_then)
        assert released.released, released.reason


async def test_facts_of_before_the_upgrade_serve_decisions_after_it(first_dsn: str) -> None:
    migrate(first_dsn)
    with connect(first_dsn, name="test") as connection:
        orders = connection.execute("SELECT first_promised_at FROM purchase_order ORDER BY order_id").fetchall()
        assert [row["first_promised_at"] for row in orders] == [NOW, None], "a first word that was overruled is lost"
        times = connection.execute("SELECT order_id FROM observed_lead_time ORDER BY reference").fetchall()
        assert [row["order_id"] for row in times] == [None, "o0"]
    async with Database(first_dsn, name="test", size=2) as database:
        found = await PostgresAssessments(database).load_waiting(REVIEW["decision"]["decision_id"])
        assert found is not None
        (facts,) = found.facts
        assert {option.sourcing.supplier for option in facts.options} == {
            option["sourcing"]["supplier"] for option in REVIEW["inputs"]["options"]
        }
        assert all(option.supplier.minimum_order_value == 0 for option in facts.options)
        assert facts.row.lead_times.lane_days, "deliveries of before teach lead times"
        assert facts.row.day_elapsed_permille is None, "the rhythm of the day is learned from now on"
