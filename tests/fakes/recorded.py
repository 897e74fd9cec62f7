"""A ledger and its evidence in memory, filled by the engine's own assessment: what replays read, open to be altered."""

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from activities.scores import AssessmentActivities
from tests.fakes.learning import MemoryModelStore
from tests.fakes.running import NoCalendars
from tests.fakes.shop import model_versions
from workflows.domain.catalog import Item, Sourcing, Supplier
from workflows.domain.decisions import Decided, Hold, NeedFacts, SupplyOption
from workflows.domain.evidence import EvidenceDamaged, EvidenceMissing, Source
from workflows.domain.identity import canonical, digest, need_id, rfc3339
from workflows.domain.ledger import GENESIS, Entry, EntryType, NewEntry, chain_hash, merkle_root
from workflows.domain.needs import AssessmentSummary, Need, NeedBatch, NeedCause
from workflows.domain.policies import Policy
from workflows.domain.ports import BatchFacts, RescoreResult
from workflows.domain.positions import Position
from workflows.domain.replaying import DECIDING, Point, ReplayPlan, ReplayRequest
from workflows.domain.scores import LeadTimes, ScoringRow

MORNING = datetime(2025, 7, 1, 5, 0, tzinfo=UTC)
SOURCE = Source(release="0.4.0", code_sha256="c" * 64, python="3.11", packages={"xgboost": "3.2.0"})


class MemoryEvidence:
    """The `EvidenceSource` port over a dictionary."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def get(self, sha256: str) -> bytes:
        """See the port."""
        if sha256 not in self.kept:
            raise EvidenceMissing(f"no evidence is kept under {sha256}")
        body = self.kept[sha256]
        if hashlib.sha256(body).hexdigest() != sha256:
            raise EvidenceDamaged(f"the bytes under {sha256} are not those that were kept")
        return body


@dataclass
class MemoryLedger:
    """The `DecisionLedger` port over a list, with chains as Postgres makes them."""

    entries: list[Entry] = field(default_factory=list)
    at: datetime = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
    earlier: list[str] = field(default_factory=list)

    def append(self, stream: str, kind: EntryType, body: Mapping[str, Any], actor: str = "engine") -> Entry:
        """Append an entry; each is recorded a minute after the one before."""
        chain = [one for one in self.entries if one.stream == stream]
        self.at += timedelta(minutes=1)
        new = NewEntry(stream=stream, type=kind, actor=actor, occurred_at=MORNING, body=dict(body))
        raw = new.body_bytes()
        entry = Entry(
            stream=stream, seq=len(chain) + 1, type=str(kind), actor=actor, occurred_at=rfc3339(MORNING),
            recorded_at=rfc3339(self.at), body=raw, body_sha256=hashlib.sha256(raw).hexdigest(),
            prev_hash=chain[-1].hash if chain else GENESIS, hash="0" * 64,
        )  # fmt: skip
        entry = entry.model_copy(update={"hash": chain_hash(entry)})
        self.entries.append(entry)
        return entry

    def now(self) -> str:
        """See the port."""
        return rfc3339(self.at)

    def deciding(self, after: Point, plan: ReplayPlan, request: ReplayRequest, limit: int) -> Sequence[Entry]:
        """See the port."""
        begin = (after.stream, after.seq - (1 if after.items else 0))
        found = [
            one
            for one in sorted(self.entries, key=lambda one: (one.stream, one.seq))
            if (one.stream, one.seq) > begin and one.type in DECIDING and one.recorded_at <= plan.through
            and (request.since is None or one.occurred_at >= rfc3339(request.since))
            and (request.until is None or one.occurred_at < rfc3339(request.until))
        ]  # fmt: skip
        return found[:limit]

    def chains(self, streams: Iterable[str]) -> Mapping[str, tuple[Entry, ...]]:
        """See the port."""
        wanted = set(streams)
        return {name: tuple(one for one in self.entries if one.stream == name) for name in wanted}

    def earlier_lists(self) -> Sequence[str]:
        """See the port."""
        return self.earlier

    def policies(self) -> Sequence[Entry]:
        """See the port."""
        return [one for one in self.entries if one.type in (EntryType.POLICY_ADOPTED, EntryType.POLICY_PROPOSED)]


@dataclass
class Books:
    """What was decided, on the record as `connectors.postgres.decisions` puts it there."""

    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    evidence: MemoryEvidence = field(default_factory=MemoryEvidence)
    decided: list[Decided] = field(default_factory=list)

    def record(self, decided: Sequence[Decided], batch: str = "batch:L1:1", *, chains: bool = False) -> None:
        """One batch. `chains`: a next revision, of which even a hold is told in the decision's own chain."""
        self.decided += decided
        holds: list[tuple[str, int, str]] = []
        for one in decided:
            for sha256, kept in one.evidence.items():
                self.evidence.kept[sha256] = kept.body
            self.evidence.kept[one.decision.inputs_digest] = canonical(one.inputs)
            decision = one.decision
            if isinstance(decision.result, Hold):
                self.evidence.kept[decision.proposal_hash] = canonical(decision)
            if not isinstance(decision.result, Hold):
                body = {"decision": decision.model_dump(mode="json"), "proposal_hash": decision.proposal_hash}
                self.ledger.append(decision.decision_id, EntryType.DECISION_PROPOSED, body)
            elif chains:
                closed = {
                    "state": "voided",
                    "reason": "",
                    "revision": decision.revision,
                    "hash": decision.proposal_hash,
                }
                self.ledger.append(decision.decision_id, EntryType.DECISION_CLOSED, closed)
            else:
                holds.append((decision.decision_id, decision.revision, decision.proposal_hash))
        if holds:
            items = canonical(sorted(holds))
            self.evidence.kept[digest(items)] = items
            root = merkle_root(one[2].encode() for one in sorted(holds))
            told = {"batch": batch, "holds": len(holds), "merkle_root": root, "items": digest(items)}
            self.ledger.append(batch, EntryType.HOLDS_RECORDED, told)

    def of(self, decision_id: str, revision: int = 1) -> Decided:
        """One of them."""
        return next(d for d in self.decided if (d.decision.decision_id, d.decision.revision) == (decision_id, revision))


@dataclass
class _Given:
    """`Assessments` of one batch of given facts; keeps what is recorded."""

    facts: BatchFacts
    decided: Sequence[Decided] = ()

    async def load(self, batch_id: str) -> BatchFacts:
        return self.facts

    async def record(self, batch_id: str, model_digest: str, decided: Sequence[Decided]) -> AssessmentSummary:
        self.decided = decided
        return AssessmentSummary(batch_id=batch_id)

    async def load_waiting(self, decision_id: str) -> BatchFacts | None:
        return self.facts

    async def record_rescore(self, decided: Decided) -> RescoreResult:
        self.decided = [decided]
        return RescoreResult(ref=None)


class _Launched:
    async def replenishments(self, batch_id: str) -> int:
        return 0


class _Champion:
    def __init__(self, digest: str) -> None:
        self._version = model_versions()[0].model_copy(update={"digest": digest})

    async def champion(self) -> Any:
        return self._version


def assess(
    facts: Sequence[NeedFacts], model: bytes, scoring: Any, *, policy: Policy = Policy(), revision: int = 0,  # noqa: B008
    alarms: Mapping[str, tuple[str, ...]] | None = None, source: Source = SOURCE,
) -> list[Decided]:  # fmt: skip
    """The engine's own assessment of these needs."""
    batch = NeedBatch(batch_id="b", location="L1", clock=MORNING, needs=len(facts))
    given = _Given(
        BatchFacts(
            batch=batch, facts=tuple(facts), policy=policy, currency="EUR", holding_rate_per_year=Decimal("0.25"),
            revision=revision, drift_alarms=dict(alarms or {}),
        )
    )  # fmt: skip
    store = MemoryModelStore()
    activities = AssessmentActivities(
        given, _Champion(store.put(model)), store, scoring, _Launched(), source, NoCalendars()  # type: ignore[arg-type]
    )  # fmt: skip
    asyncio.run(activities.rescore("x") if revision else activities.assess(batch))
    return list(given.decided)


def facts_of(
    row: ScoringRow, *, number: int = 1, suppliers: Sequence[tuple[str, str, int]] = (("S1", "4.20", 2),),
    ordered_before: bool = True, wanted: str | None = None, price: str = "9.90", order_cost: str = "0",
    minimum: str = "0", change: Callable[[SupplyOption], SupplyOption] = lambda option: option,
) -> NeedFacts:  # fmt: skip
    """A need around a scoring row; suppliers are (code, unit cost, days of lead time), the first one is the row's."""
    options = tuple(
        change(
            SupplyOption(
                sourcing=Sourcing(
                    item=row.item, location=row.location, supplier=code, unit_cost=Decimal(cost), pack_units=6,
                    minimum_order_units=6, lead_time_days=days, review_days=row.review_days, rank=rank,
                ),
                supplier=Supplier(
                    supplier=code, name=code, cost_per_order=Decimal(order_cost), minimum_order_value=Decimal(minimum)
                ),
                ordered_before=ordered_before,
            )
        )
        for rank, (code, cost, days) in enumerate(suppliers, start=1)
    )  # fmt: skip
    first = suppliers[0][0]
    row = row.model_copy(update={"supplier": first})
    others = tuple(
        row.model_copy(update={
            "supplier": code,
            "lead_times": LeadTimes(lane_days=(days,) * 30, supplier_days=(days,) * 30, promised_days=days),
        })
        for code, _, days in suppliers[1:]
    )  # fmt: skip
    return NeedFacts(
        need=Need(
            need_id=need_id(row.location, row.item, number), item=row.item, location=row.location,
            cause=NeedCause.SWEEP, opened_at=MORNING,
        ),
        item=Item(item=row.item, name=row.item, category=row.category, price=Decimal(price)),
        position=Position(item=row.item, location=row.location, on_hand_units=row.on_hand_units),
        options=options, row=row, alternatives=others, ordered_before=ordered_before, largest_receipt_units=500,
        data_through=MORNING, wanted_supplier=wanted,
    )  # fmt: skip
