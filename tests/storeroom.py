"""The engine's storage without its workflows: events in, decisions, verdicts and orders by hand."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

from activities.models import FIRST_MODEL
from activities.scores import AssessmentActivities
from connectors.postgres.approvals import PostgresApprovals
from connectors.postgres.catalog import adopt_policy, load_catalog
from connectors.postgres.decisions import PostgresAssessments
from connectors.postgres.desk import PostgresDesk
from connectors.postgres.inbox import Accepted, Inbox, Received
from connectors.postgres.ledger import read_entries, verify
from connectors.postgres.models import PostgresModels
from connectors.postgres.orders import PostgresOrders
from connectors.postgres.outcomes import PostgresOutcomes
from connectors.postgres.pool import Connection, Database
from connectors.postgres.relay import RelayStore
from tests.fakes.running import RUNNING, NoCalendars
from tests.fakes.staff import STAFF
from workflows.domain.approvals import Actor, Approval, Meaning, RejectReason, VerdictCommand
from workflows.domain.catalog import Catalog, Item, Location, Sourcing, Supplier
from workflows.domain.errors import MalformedEvent
from workflows.domain.events import AnyData, ClockAdvanced, Event, SaleRecorded, StockCounted, StockReceived, parse
from workflows.domain.identity import digest
from workflows.domain.ledger import Verification
from workflows.domain.models import ModelStatus, TrainedModel, TrainingSet
from workflows.domain.needs import AssessmentSummary
from workflows.domain.orders import PurchaseOrder
from workflows.domain.people import Person
from workflows.domain.policies import Policy
from workflows.domain.scores import DayForecast, Scored, Scores, ScoringRow
from workflows.domain.writing import written

MORNING = datetime(2025, 3, 3, 5, 0, tzinfo=UTC)
"""A Monday, an hour before the orders' cutoff."""
LOCATION = "LEEDS"
SUPPLIER = "acme"
MODEL = b"a model"
UNDO_SECONDS = 10
SOURCE = "urn:test"
PLANNER = Actor(name="pat")
_numbers = count(1)


def catalog(items: int = 3, *, blocked: bool = False, **sourcing: Any) -> Catalog:
    """`ITEM-001`... at LEEDS, from one supplier in packs of 6; keywords change the sourcing."""
    names = [f"ITEM-{n:03}" for n in range(1, items + 1)]
    terms = {"unit_cost": Decimal("4.20"), "pack_units": 6, "minimum_order_units": 12, "lead_time_days": 3, **sourcing}
    return Catalog(
        items=tuple(Item(item=name, name=f"Item {name}", category="things", price=Decimal("9.90")) for name in names),
        locations=(Location(location=LOCATION, name="Leeds"),),
        suppliers=(Supplier(supplier=SUPPLIER, name="Acme", blocked=blocked),),
        sourcing=tuple(
            Sourcing.model_validate({"item": name, "location": LOCATION, "supplier": SUPPLIER, **terms})
            for name in names
        ),
    )


def event(data: AnyData, *, at: datetime = MORNING, id: str | None = None) -> Event:
    """A fact with an id of its own."""
    return Event.of(data, id=id or f"e{next(_numbers)}", source=SOURCE, time=at)


def counted(units: int, *, item: str = "ITEM-001", at: datetime = MORNING - timedelta(hours=9)) -> Event:
    """Somebody counted last evening."""
    return event(StockCounted(item=item, location=LOCATION, on_hand_units=units), at=at)


def sold(units: int, *, item: str = "ITEM-001", at: datetime = MORNING - timedelta(hours=1)) -> Event:
    """A sale."""
    return event(SaleRecorded(item=item, location=LOCATION, sale_id=f"s{next(_numbers)}", units=units), at=at)


def received(units: int, order_id: str | None, *, item: str = "ITEM-001", at: datetime = MORNING) -> Event:
    """Goods arrived."""
    return event(StockReceived(item=item, location=LOCATION, units=units, order_id=order_id), at=at)


def clock(through: datetime = MORNING) -> Event:
    """Everything up to here has been sent."""
    return event(ClockAdvanced(location=LOCATION, through=through), at=through)


@dataclass
class HandScoring:
    """`Scoring` by rule of thumb: `daily` units a day, futures spread by 30 % around it."""

    daily: float = 10.0
    soon: str = "0.10"
    novelty: bool = False
    of_item: dict[str, dict[str, Any]] = field(default_factory=dict)

    def score(self, rows: Sequence[ScoringRow], model: bytes, *, explain: bool = False) -> list[Scores]:
        """One result per row."""
        return [self._one(row) for row in rows]

    def score_written(self, rows: Sequence[ScoringRow], model: bytes, *, explain: bool = False) -> list[Scored]:
        """The same, written."""
        return [Scored(one, written(one)) for one in self.score(rows, model, explain=explain)]

    def _one(self, row: ScoringRow) -> Scores:
        told = self.of_item.get(row.item, {})
        daily = Decimal(str(told.get("daily", self.daily)))
        lead = row.lead_times.promised_days
        days = lead + row.review_days
        have = row.on_hand_units - row.reserved_units + sum(receipt.units for receipt in row.open_receipts)
        shares = [Decimal(70 + n * 60 // 99) / 100 for n in range(100)]
        requirement = tuple(int(daily * days * share) - have for share in shares)
        tomorrow = [int(daily * (lead + 1) * share) - have for share in shares]
        risk = Decimal(sum(1 for n in tomorrow if n > 0)) / 100
        return Scores(
            item=row.item, location=row.location, forecaster="xgboost", segment="smooth", target=Decimal("0.95"),
            requirement_units=requirement,
            days=(DayForecast(day=row.last_day, p10=daily / 2, p50=daily, p90=daily * 2),),
            protection_days=days, lead_time_p50_days=lead, lead_time_p95_days=lead + 2,
            demand_p10=daily * days * Decimal("0.8"), demand_p50=daily * days, demand_p90=daily * days * Decimal("1.2"),
            stockout_risk=risk, stockout_risk_soon=Decimal(told.get("soon", self.soon)),
            expected_lost_units=Decimal(sum(max(0, n) for n in tomorrow)) / 100,
            watch_level_units=int(daily * (lead + 1) * Decimal("1.3")), novelty=told.get("novelty", self.novelty),
        )  # fmt: skip


class KeptModels:
    """`ModelStore` in memory."""

    def __init__(self) -> None:
        self._bodies: dict[str, bytes] = {}

    def put(self, body: bytes) -> str:
        """Its digest."""
        self._bodies[digest(body)] = body
        return digest(body)

    def get(self, sha256: str) -> bytes:
        """What was put."""
        return self._bodies[sha256]


class NoLaunches:
    """`Launches` that start nothing: workflows are other tests' business."""

    async def replenishments(self, batch_id: str) -> int:
        """None."""
        return 0


class Storeroom:
    """All of the storage over one database, and the verbs that tests tell stories with."""

    def __init__(self, connection: Connection, database: Database) -> None:
        self.connection, self.database = connection, database
        self.inbox = Inbox(connection, log_id="log")
        self.relay = RelayStore(connection)
        self.assessments = PostgresAssessments(database)
        self.approvals = PostgresApprovals(database, UNDO_SECONDS)
        self.orders = PostgresOrders(database)
        self.outcomes = PostgresOutcomes(database)
        self.models = PostgresModels(database)
        self.desk = PostgresDesk(database)
        self.scoring = HandScoring()
        self.store = KeptModels()
        self._offsets: dict[tuple[str, int], int] = defaultdict(int)

    async def stock(self, document: Catalog | None = None, policy: Policy | None = None) -> None:
        """Load the catalog and a policy, and promote a model."""
        load_catalog(self.connection, document or catalog(), actor="test")
        adopt_policy(self.connection, policy or Policy(), actor="test")
        self.register(*STAFF)
        await self.champion(MODEL)

    def register(self, *people: Person) -> None:
        """Let these people answer, without a word in the ledger."""
        for person in people:
            self.connection.execute(
                """INSERT INTO person (name, roles, locations, approval_limit, disabled_at) VALUES (%s, %s, %s, %s, %s)
                   ON CONFLICT (name) DO UPDATE SET roles = excluded.roles, locations = excluded.locations,
                       approval_limit = excluded.approval_limit, disabled_at = excluded.disabled_at""",
                [
                    person.name, sorted(person.roles), person.locations and sorted(person.locations),
                    person.approval_limit, person.disabled_at,
                ],
            )  # fmt: skip

    async def champion(self, body: bytes) -> str:
        """Register and promote this model."""
        key, day = self.store.put(body), date(2025, 3, 1)
        facts = TrainedModel(digest=key, trained_through=day, rows=1, rounds=1, seconds=Decimal(1))
        await self.models.register(facts, TrainingSet(sha256=key, series=1, last_day=day, known_at=MORNING))
        await self.models.judge(key, ModelStatus.CANDIDATE, None, FIRST_MODEL)
        await self.models.promote(key, "test")
        return key

    def message(self, raw: bytes, topic: str = "qm.sales", partition: int = 0, **more: Any) -> Received:
        """The next message of a partition, read as intake reads it."""
        offset = self._offsets[topic, partition]
        self._offsets[topic, partition] += 1
        try:
            return Received(topic, partition, offset, raw, event=parse(raw), **more)
        except MalformedEvent as error:
            return Received(topic, partition, offset, raw, error_code=error.code, error_detail=str(error), **more)

    def own(self, *topics: str) -> None:
        """Own partition 0 of these topics, or of all."""
        names = topics or ("qm.sales", "qm.stock", "qm.suppliers", "qm.shipments", "qm.clock")
        self.inbox.take_over([(topic, 0) for topic in names])

    def take(self, *events: Event) -> Accepted:
        """Accept these events as one batch."""
        if not self.inbox.owned:
            self.own()
        return self.inbox.accept([self.message(one.to_bytes(), one.data.topic) for one in events])

    async def assess(self) -> AssessmentSummary | None:
        """Decide every open need with the champion; the last batch's summary."""
        work = self._work()
        summary = None
        while batches := [b for b in self.relay.batches(0) if not self._decided(b.batch_id)]:
            for batch in batches:
                summary = await work.assess(batch)
        return summary

    def _decided(self, batch_id: str) -> bool:
        return not self.rows("SELECT 1 FROM need WHERE batch_id = %s AND state = 'open'", batch_id)

    async def rescore(self, decision_id: str) -> Any:
        """Score a waiting proposal again."""
        return await self._work().rescore(decision_id)

    def _work(self) -> AssessmentActivities:
        return AssessmentActivities(
            self.assessments, self.models, self.store, self.scoring, NoLaunches(), RUNNING, NoCalendars()
        )

    def hash_of(self, decision_id: str) -> str:
        """The current proposal's hash."""
        found = self.one("SELECT proposal_hash FROM replenishment WHERE decision_id = %s", decision_id)
        return str(found["proposal_hash"])

    async def answer(
        self, decision_id: str, meaning: Meaning = Meaning.APPROVE, *, actor: Actor = PLANNER, **more: Any
    ) -> Approval:
        """A person's verdict on the current proposal."""
        if meaning is Meaning.REJECT:
            more = {"reason": RejectReason.NOT_NEEDED, **more}
        fields = {"command_id": f"command-{next(_numbers)}", "proposal_hash": self.hash_of(decision_id), **more}
        command = VerdictCommand(decision_id=decision_id, meaning=meaning, **fields)
        return await self.approvals.record(command, actor)

    async def place(self, order_id: str, number: str = "A-1") -> PurchaseOrder | None:
        """Cutoff, one attempt, and the supplier's yes."""
        order = await self.orders.prepare(order_id, passive=False)
        if order is not None:
            assert await self.orders.begin_attempt(order_id, "lease-1", 60) is not None
            assert await self.orders.about_to_send(order_id, "lease-1", passive=False)
            await self.orders.record_placed(order_id, "lease-1", number, None)
        return order

    def clear(self) -> None:
        """Forget everything: for the next example of a property."""
        tables = self.rows(
            "SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' AND tablename NOT LIKE '%%yoyo%%'"
        )
        names = ", ".join(row["name"] for row in tables if "migration" not in row["name"])
        # As a replica, so that the ledger's own guard against this does not fire.
        self.connection.execute("SET session_replication_role = replica")
        self.connection.execute(f"TRUNCATE {names}".encode())
        self.connection.execute("RESET session_replication_role")
        self.inbox = Inbox(self.connection, log_id="log")
        self._offsets.clear()

    def position(self, item: str = "ITEM-001") -> Any:
        """One position's row."""
        return self.one(
            "SELECT on_hand_units, reserved_units, on_order_units, watch_level_units FROM position WHERE item = %s",
            item,
        )

    def one(self, query: str, *arguments: Any) -> Any:
        """The first row."""
        found = self.connection.execute(query.encode(), arguments).fetchone()
        assert found is not None, query
        return found

    def rows(self, query: str, *arguments: Any) -> list[Any]:
        """All rows."""
        return list(self.connection.execute(query.encode(), arguments).fetchall())

    def verified(self) -> Verification:
        """The whole ledger, recomputed."""
        return verify(read_entries(self.connection))
