"""Whatever happens to a need is in the ledger: a whole flow is walked by hand, and every kind of entry occurs."""

import json
import re
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from connectors.postgres.audit import PostgresAudit
from connectors.postgres.catalog import load_history
from connectors.postgres.demand import PostgresDemand
from connectors.postgres.drivers import load_drivers
from connectors.postgres.evidence import PostgresEvidence
from connectors.postgres.histories_kept import PostgresHistories
from connectors.postgres.ledger import read_entries
from connectors.postgres.people import PostgresPeople
from connectors.postgres.redrives import PostgresRedrives
from connectors.postgres.sessions import PostgresSessions
from connectors.postgres.settings_kept import note_schema, note_settings
from connectors.postgres.stops import PostgresStops
from connectors.postgres.task_work import PostgresTaskWork
from tests.fakes.histories import closed, document
from tests.fakes.people import ADAM, PIA
from tests.storeroom import (
    LOCATION,
    MORNING,
    PLANNER,
    SUPPLIER,
    Storeroom,
    catalog,
    clock,
    counted,
    event,
    received,
)
from workflows.domain.approvals import Actor, Meaning, UndoCommand
from workflows.domain.audit import Question
from workflows.domain.demand import DemandDefinition, Layer
from workflows.domain.drivers import ExternalValue
from workflows.domain.errors import QuartermasterError
from workflows.domain.events import SupplierUpdated
from workflows.domain.feeds import RecordedDemand
from workflows.domain.histories import Fetched, RunStatus, overrides_of
from workflows.domain.identity import digest
from workflows.domain.inbox import Snooze, Substitute
from workflows.domain.ledger import EntryType
from workflows.domain.outcomes import measure
from workflows.domain.sessions import Lasts
from workflows.domain.stops import StopCommand, StopScope

HERE = Path(__file__).parent
ELSEWHERE = {
    EntryType.POLICY_PROPOSED: "test_policies.py",
    EntryType.POLICY_APPROVED: "test_policies.py",
    EntryType.POLICY_REJECTED: "test_policies.py",
    EntryType.POLICY_REFUSED: "test_policies.py",
    EntryType.VERDICT_SIGNED: "test_signatures.py",
    EntryType.APPROVAL_VOIDED: "test_approvals.py",
    EntryType.LINE_REFUSED: "test_orders.py",
    EntryType.ORDER_HELD: "test_stops.py",
    EntryType.ORDER_AWAITS_OPERATOR: "test_operations.py",
    EntryType.ORDER_RETRIED: "test_operations.py",
    EntryType.DRIFT_ALARMED: "test_monitoring.py",
    EntryType.DRIFT_ENDED: "test_monitoring.py",
    EntryType.SHELF_SUSPECTED: "test_shelf_watch.py",
    EntryType.SHELF_SETTLED: "test_shelf_watch.py",
    EntryType.TASK_WISH_DROPPED: "test_wishes.py",
    EntryType.KEY_INSTALLED: "test_notary.py",
    EntryType.KEY_ROTATED: "test_notary.py",
    EntryType.PERSON_ERASED: "test_erasure.py",
    EntryType.ORDER_ATTENDED: "test_operations.py",
    EntryType.DECISIONS_REPLAYED: "test_replay.py",
    EntryType.COUNTERFACTUAL_ASKED: "test_counterfactual.py",
    EntryType.RECONCILIATION_REPORTED: "test_reconciliation.py",
    EntryType.DIFFERENCE_EXPLAINED: "test_reconciliation.py",
}
"""Kinds that need a longer set-up: proved in these files of this folder."""


def refs(kind: EntryType) -> str:
    """How a test names a kind: by its value or by its name."""
    return f"{re.escape(kind.value)}|EntryType\\.{kind.name}\\b"


@pytest.mark.parametrize("kind", ELSEWHERE)
def test_what_is_not_walked_here_is_proved_elsewhere(kind: EntryType) -> None:
    assert re.search(refs(kind), (HERE / ELSEWHERE[kind]).read_text()), f"{ELSEWHERE[kind]} does not speak of it"


async def test_every_kind_occurs(storeroom: Storeroom, dsn: str) -> None:
    s = storeroom
    await installed(s)
    await worked_on(s)
    await ordered_and_measured(s)
    await looked_after(s, dsn)
    await kept(s)

    found = {entry.type for entry in read_entries(s.connection)}
    missing = sorted(kind for kind in EntryType if kind not in found and kind not in ELSEWHERE)
    assert missing == []
    assert sorted(kind for kind in ELSEWHERE if kind in found) == [], "it is walked here: strike it off the list"
    assert s.verified().ok


async def installed(s: Storeroom) -> None:
    """Schema, settings, catalog, history, models and what people say of demand."""
    note_schema(s.connection)
    note_settings(s.connection, "worker", {"mode": "active"})
    await s.stock(catalog(4))
    await s.champion(b"another model")
    await s.models.rollback("pat")
    day = date(2025, 2, 3)
    load_history(s.connection, [RecordedDemand(location=LOCATION, item="ITEM-001", day=day, units=3)], [], actor="feed")
    rain = ExternalValue(location="*", name="rain", day=day, value=Decimal(3), known_at=MORNING)
    load_drivers(s.connection, [rain], actor="feed")
    demand = PostgresDemand(s.database)
    await demand.adopt(DemandDefinition(version=2, sale_cap_units=5), "pat")
    said = await demand.adjust(LOCATION, "ITEM-001", day, day, Layer.ADJUSTMENT, 4, reason="miscounted", author="pat")
    await demand.withdraw(said.adjustment_id, reason="it was right", author="pat")
    s.take(event(SupplierUpdated(supplier=SUPPLIER, lead_time_days=4), at=MORNING - timedelta(days=1)))


async def worked_on(s: Storeroom) -> None:
    """A hold and three tasks: one is worked on and answered, one expires, one is answered twice."""
    s.scoring.of_item["ITEM-004"] = {"daily": 1}
    names = [f"ITEM-{n:03}" for n in range(1, 5)]
    s.take(*(counted(500 if name == "ITEM-004" else 9, item=name) for name in names), clock())
    await s.assess()
    work, first = PostgresTaskWork(s.database), need(1)
    pat, dana = Actor(name="pat"), Actor(name="dana")
    await work.claim(first, pat)
    await work.unclaim(first, pat)
    await work.snooze(first, Snooze(until=MORNING + timedelta(hours=5)), pat)
    await work.wake(first, pat)
    await work.comment(first, "looks right", pat, command_id="comment-0001")
    await work.forward(first, dana.name, "yours", pat, command_id="forward-0001")
    await work.rescore(first, dana)
    today = MORNING.date()
    await work.substitute(Substitute(person=pat.name, substitute=dana.name, first_day=today, last_day=today), pat)
    with pytest.raises(QuartermasterError):
        await s.answer(first, proposal_hash="0" * 64)
    await s.answer(first)
    await s.approvals.withdraw(UndoCommand(command_id="undo-0001", decision_id=first), PLANNER)
    await s.answer(first)
    for told in (s.approvals.remind, s.approvals.escalate):
        await told(need(2))
    await s.approvals.expire(need(2), s.hash_of(need(2)))
    await s.answer(need(3), Meaning.REJECT)


async def ordered_and_measured(s: Storeroom) -> None:
    """The approved one is bought, comes in and is measured."""
    released = await s.orders.release(need(1), s.hash_of(need(1)))
    assert released.order_id is not None
    order = await s.place(released.order_id)
    assert order is not None
    s.take(received(order.lines[0].units, order.order_id, at=MORNING + timedelta(days=3)))
    s.take(clock(MORNING + timedelta(days=9)))
    due = await s.outcomes.due(100)
    assert due
    await s.outcomes.record([measure(facts) for facts in due])


async def looked_after(s: Storeroom, dsn: str) -> None:
    """Operators, administrators and auditors."""
    actor = Actor(name=ADAM.name)
    stops = PostgresStops(s.database)
    stop = await stops.stop(StopCommand(scope=StopScope.EVERYTHING, reason="stocktaking"), actor)
    await stops.lift(stop.stop_id, "it is over", actor)
    s.inbox.accept([s.message(b"not json")])
    redrives, second = PostgresRedrives(s.database), Actor(name="otto")
    await redrives.withdraw_redrive((await redrives.ask_redrive(1, "mended", actor)).redrive_id, actor)
    await redrives.decline_redrive((await redrives.ask_redrive(1, "mended", actor)).redrive_id, "it is not", second)
    asked = await redrives.ask_redrive(1, "mended", actor, mended=b"{}")
    agreed = await redrives.confirm(asked.redrive_id, asked.payload_sha256, second)
    await redrives.sent(agreed.redrive, agreed.topic, second)
    people = PostgresPeople(s.database)
    await people.save(PIA.model_copy(update={"approval_limit": Decimal(7)}), actor)
    await people.refused(actor, "GET /audit", "not an auditor")
    sessions = PostgresSessions(s.database)
    secret = await sessions.open(ADAM.name, Lasts(idle=timedelta(hours=1), longest=timedelta(hours=2)), actor)
    await sessions.end(secret, actor)
    audit = PostgresAudit(s.database, dsn)
    await audit.search(Question(), actor)
    await audit.export(Question(subject=need(1)), actor)


async def kept(s: Storeroom) -> None:
    """What the sweeper of histories finds."""
    fetched = Fetched(run=closed(1, status=RunStatus.TERMINATED), body=document())
    await PostgresHistories(s.database).keep([fetched], overrides_of(fetched))


def need(number: int) -> str:
    """The task of this item."""
    return f"{LOCATION}:ITEM-{number:03}:1"


async def test_what_the_catalog_was_before_can_still_be_read(storeroom: Storeroom) -> None:
    await storeroom.stock(catalog(2))
    (entry,) = [e for e in read_entries(storeroom.connection, "installation") if e.type == EntryType.CATALOG_CHANGED]
    document = json.loads(PostgresEvidence(storeroom.connection).get(json.loads(entry.body)["digest"]))
    assert (len(document["items"]), digest(catalog(2))) == (2, json.loads(entry.body)["digest"])


def test_what_suppliers_say_of_their_conditions_is_told_as_said(storeroom: Storeroom) -> None:
    said = event(SupplierUpdated(supplier=SUPPLIER, item="ITEM-001", unit_cost=Decimal("4.50"), blocked=False))
    storeroom.take(said, said)
    storeroom.take(said)

    (entry,) = read_entries(storeroom.connection, "catalog")
    (line,) = json.loads(entry.body)["events"]
    assert line["event_id"] == said.id
    assert line["said"] == {"supplier": SUPPLIER, "item": "ITEM-001", "unit_cost": "4.50", "blocked": False}
