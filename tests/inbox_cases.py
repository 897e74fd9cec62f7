"""The same tasks in memory and in PostgreSQL, so that one assertion speaks about both inboxes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple, Protocol

from connectors.postgres.inbox_desk import PostgresInbox
from connectors.postgres.task_waking import wake_due
from connectors.postgres.task_work import PostgresTaskWork
from tests.fakes.desk import MemoryShop
from tests.fakes.inbox import MemoryInbox, WallClock
from tests.fakes.people import EVERYBODY, MemoryPeople
from tests.fakes.shop import CLOCK, POLICY, decided
from tests.fakes.task_work import MemoryTaskWork
from tests.storeroom import Storeroom
from workflows.domain.approvals import TaskState
from workflows.domain.decisions import Decided, Proposal
from workflows.domain.identity import canonical
from workflows.domain.inbox import Inbox, TaskWork
from workflows.domain.policies import RuleCode, RuleFired


class Waiting(NamedTuple):
    """A task as it is opened."""

    decided: Decided
    hours_left: int = 60
    escalated: bool = False

    @property
    def decision_id(self) -> str:
        """Its decision's id."""
        return self.decided.decision.decision_id

    @property
    def values(self) -> dict[str, Any]:
        """What both keep of its deadlines."""
        opened = self.decided.decision.decided_at
        return {
            "remind_at": opened + timedelta(hours=4),
            "escalate_at": opened + timedelta(hours=8),
            "expire_at": opened + timedelta(hours=self.hours_left),
            "escalated_at": CLOCK if self.escalated else None,
        }


def one(item: str, location: str = "LEEDS", *, hours_left: int = 60, escalated: bool = False, **facts: Any) -> Waiting:
    """A task of this item."""
    return Waiting(decided(f"{item.title()} in words", item=item, location=location, **facts), hours_left, escalated)


def sampled(waiting: Waiting) -> Waiting:
    """As if the policy asked only to have a sample looked at."""
    result = waiting.decided.decision.result
    assert isinstance(result, Proposal)
    rule = RuleFired(code=RuleCode.AUDIT_SAMPLE, detail="one of the releases that a person looks at")
    decision = waiting.decided.decision.model_copy(update={"result": result.model_copy(update={"rules": (rule,)})})
    return waiting._replace(decided=waiting.decided.model_copy(update={"decision": decision}))


MORNING = (
    one("TEA", daily=30, on_hand=8, risk="0.97"),
    one("OAT", daily=38, on_hand=96, risk="0.62", hours_left=9),
    one("RICE", "YORK", daily=3, on_hand=11, risk="0.24", supplier="acme", escalated=True),
    one("SALT", "YORK", daily=9, on_hand=30, risk="0.18", unit_cost="0.60", price="1.20"),
    one("MUG", "LEEDS", daily=2, on_hand=0, risk="0.50"),
    sampled(one("SOAP", "YORK", daily=6, on_hand=20, risk="0.11")),
)
"""Six tasks at two locations."""


class Desk(Protocol):
    """An inbox with its tasks, and the hands that move the world around it."""

    @property
    def inbox(self) -> Inbox:
        """The views."""

    @property
    def work(self) -> TaskWork:
        """The deeds."""

    def put(self, *tasks: Waiting) -> None:
        """Open these tasks."""

    def end(self, decision_id: str, state: TaskState = TaskState.APPROVED, *, minute: int = 0) -> None:
        """Somebody answers."""

    def sign(self, decision_id: str, name: str) -> None:
        """A first signature."""

    def later(self, minutes: int) -> None:
        """Let claims grow old."""

    def ledger(self, decision_id: str) -> list[str]:
        """The kinds of entries of a task that people made."""


@dataclass
class InMemory:
    """The fake."""

    shop: MemoryShop

    def __post_init__(self) -> None:
        self._clock = WallClock()
        self.inbox = MemoryInbox(self.shop, self._clock)
        self.work = MemoryTaskWork(self.shop, self.inbox, MemoryPeople().find, self._clock)

    def put(self, *tasks: Waiting) -> None:
        for task in tasks:
            kept = {"state": TaskState.OPEN, "answered_by": None, **task.values}
            self.shop.put(task.decided, task.decided.inputs.item.name, task=kept)

    def end(self, decision_id: str, state: TaskState = TaskState.APPROVED, *, minute: int = 0) -> None:
        task = self.shop.case(decision_id).task
        assert task is not None
        task |= {"state": state, "answered_by": "Ada", "answered_at": CLOCK + timedelta(minutes=minute)}

    def sign(self, decision_id: str, name: str) -> None:
        task = self.shop.case(decision_id).task
        assert task is not None
        task |= {"first_signature_by": name, "signatures_needed": 2}

    def later(self, minutes: int) -> None:
        self._clock.ahead += timedelta(minutes=minutes)

    def ledger(self, decision_id: str) -> list[str]:
        return [entry["type"] for entry in self.shop.case(decision_id).timeline if entry["actor"] != "engine"]


class InPostgres:
    """The real one."""

    def __init__(self, storeroom: Storeroom) -> None:
        self._room = storeroom
        self.inbox, self.work = PostgresInbox(storeroom.database), PostgresTaskWork(storeroom.database)
        storeroom.register(*EVERYBODY)
        self._put("policy_version", digest=POLICY.digest, version=1, document=canonical(POLICY))

    def put(self, *tasks: Waiting) -> None:
        for task in tasks:
            decision, inputs = task.decided.decision, task.decided.inputs
            place = {"location": inputs.position.location, "item": inputs.position.item}
            result = decision.result
            assert isinstance(result, Proposal)
            about = {"decision_id": decision.decision_id, "revision": 1, "proposal_hash": decision.proposal_hash}
            self._put("business_clock", location=place["location"], watermark=CLOCK)
            self._put("position", **place, on_order_units=0)
            self._put("item", item=place["item"], name=inputs.item.name, category=inputs.item.category, price=1)
            self._put("need", need_id=decision.decision_id, **place, number=1, cause="first_sight", opened_at=CLOCK,
                      state="proposed")  # fmt: skip
            self._put("evidence", sha256=decision.inputs_digest, body=canonical(inputs))
            self._put("decision", **about, **place, kind="proposal", decided_at=decision.decided_at,
                      body=canonical(decision), inputs_sha256=decision.inputs_digest, model_digest="m",
                      policy_digest=POLICY.digest, horizon_end=date(2030, 1, 1))  # fmt: skip
            self._put("replenishment", **about, **place, supplier=result.supplier, units=result.units,
                      unit_cost=result.unit_cost, tier="review", decided_at=decision.decided_at)  # fmt: skip
            for option in inputs.options:
                offer, seller = option.sourcing, option.supplier
                self._put("location", location=place["location"], name=place["location"])
                self._put("supplier", supplier=seller.supplier, name=seller.name, blocked=seller.blocked)
                self._put("sourcing", **place, supplier=seller.supplier, rank=offer.rank, unit_cost=offer.unit_cost,
                          lead_time_days=offer.lead_time_days)  # fmt: skip
            self._put("task", **about, **place, value=result.value, opened_at=decision.decided_at, available_units=0,
                      tolerance_units=1, **task.values)  # fmt: skip

    def _put(self, table: str, **values: Any) -> None:
        names, marks = ", ".join(values), ", ".join(["%s"] * len(values))
        query = f"INSERT INTO {table} ({names}) VALUES ({marks}) ON CONFLICT DO NOTHING"  # noqa: S608 - our own names
        self._room.connection.execute(query.encode(), list(values.values()))

    def end(self, decision_id: str, state: TaskState = TaskState.APPROVED, *, minute: int = 0) -> None:
        self._room.connection.execute(
            b"UPDATE task SET state = %s, answered_by = 'Ada', answered_at = %s WHERE decision_id = %s",
            [state, CLOCK + timedelta(minutes=minute), decision_id],
        )

    def later(self, minutes: int) -> None:
        self._room.connection.execute(
            b"UPDATE task SET claim_ends_at = claim_ends_at - make_interval(mins => %s)", [minutes]
        )

    def ledger(self, decision_id: str) -> list[str]:
        rows = self._room.rows("SELECT type FROM ledger_entry WHERE stream = %s ORDER BY seq", decision_id)
        return [row["type"] for row in rows]

    def sign(self, decision_id: str, name: str) -> None:
        """A first signature."""
        self._room.connection.execute(
            b"UPDATE task SET first_signature_by = %s, signatures_needed = 2 WHERE decision_id = %s",
            [name, decision_id],
        )

    def advance(self, through: datetime) -> int:
        """Move the business clocks, and let the relay look who wakes."""
        self._room.connection.execute(b"UPDATE business_clock SET watermark = %s", [through])
        return self.round()

    def receive(self, location: str, item: str) -> int:
        """Something arrives, and the relay looks who wakes."""
        number = self._room.one("SELECT count(*) AS n FROM movement")["n"]
        self._put("movement", source="wms", event_id=f"r{number}", location=location, item=item, kind="receipt",
                  occurred_at=datetime.now(UTC), on_hand_delta=5)  # fmt: skip
        return self.round()

    def round(self) -> int:
        """What the relay does every second; how many tasks woke."""
        return wake_due(self._room.connection)


def ids(rows: Sequence[Any]) -> list[str]:
    """Items of these rows, in order."""
    return [row.item for row in rows]
