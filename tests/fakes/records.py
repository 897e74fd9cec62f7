"""What the durable tests' database would hold, and the ports over it: just enough rules to carry a decision."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from tests.fakes.shop import POLICY, decided
from workflows.domain.approvals import (
    Actor,
    Approval,
    Meaning,
    RejectReason,
    TaskState,
    UndoCommand,
    VerdictCommand,
    VerdictNotice,
    Withdrawal,
)
from workflows.domain.capabilities import Manifest
from workflows.domain.decisions import Decided, Hold, NeedFacts, Proposal
from workflows.domain.errors import AlreadyAnswered, Conflict, NotFound, StaleProposal
from workflows.domain.identity import Instant, order_id, order_key
from workflows.domain.needs import AssessmentSummary, NeedBatch
from workflows.domain.orders import OrderLine, OrderState, PlacementResult, PurchaseOrder, order_cycle
from workflows.domain.outcomes import Outcome, OutcomeFacts
from workflows.domain.policies import RiskTier
from workflows.domain.ports import BatchFacts, ReleaseResult, ReplenishmentRef, RescoreResult
from workflows.domain.requests import (
    Attempt,
    Request,
    RequestKind,
    RequestState,
    Step,
    left,
    moved,
    not_carried_out,
)
from workflows.domain.scores import DemandHistory, LeadTimes, ScoringRow
from workflows.domain.stops import Held


@dataclass
class ProposalRow:
    """A proposal and its task."""

    ref: ReplenishmentRef
    units: int
    state: str = "proposed"
    task: TaskState | None = None
    order_id: str | None = None
    reminded: int = 0
    escalated: int = 0


@dataclass
class OrderRow:
    """A purchase order and its attempts."""

    order_id: str
    supplier: str
    location: str
    cutoff_at: datetime
    lines: dict[str, int] = field(default_factory=dict)
    state: OrderState = OrderState.COLLECTING
    attempts: int = 0
    lease: str | None = None
    lease_until: datetime | None = None
    request: Request = field(default_factory=Request)
    manifest: Manifest | None = None
    supplier_number: str | None = None
    reason: str = ""
    held: Held | None = None
    awaits_operator: bool = False
    history: list[OrderState] = field(default_factory=list)

    def become(self, state: OrderState, reason: str = "") -> None:
        """Move on, and remember it."""
        self.state, self.reason = state, reason
        self.history.append(state)


class Records:
    """The rows. `clock` is the business clock; `now` is what the database's own clock says."""

    def __init__(self, now: Callable[[], datetime], clock: datetime) -> None:
        self.now = now
        self.clock = clock
        self.proposals: dict[str, ProposalRow] = {}
        self.approvals: dict[str, Approval] = {}
        self.taken_back: set[str] = set()
        """Approvals that count no more."""
        self.heard: list[str] = []
        self.orders: dict[str, OrderRow] = {}
        self.stops: dict[str, str] = {}
        """Supplier -> why nothing is sent to it."""
        self.batches: dict[str, tuple[NeedBatch, list[NeedFacts]]] = {}
        self.decisions: dict[str, Decided] = {}
        self.rescored: Decided | None = None
        """What a waiting proposal becomes when it is scored again; None leaves it as it is."""
        self.due: list[OutcomeFacts] = []
        self.outcomes: list[Outcome] = []

    def propose(self, ref: ReplenishmentRef, units: int = 48) -> ProposalRow:
        """Store a proposal, with its task when a person must agree."""
        row = ProposalRow(ref, units, task=TaskState.OPEN if ref.tier is RiskTier.REVIEW else None)
        self.proposals[ref.decision_id] = row
        return row

    def answer(self, decision_id: str, meaning: Meaning, *, units: int | None = None) -> VerdictNotice:
        """Store a person's verdict on the current proposal, as the console does before it tells anybody."""
        command = VerdictCommand(
            command_id=f"command-{len(self.approvals) + 1:04}", decision_id=decision_id,
            proposal_hash=self.proposals[decision_id].ref.proposal_hash, meaning=meaning, units=units,
            reason=RejectReason.NOT_NEEDED if meaning is Meaning.REJECT else None,
        )  # fmt: skip
        return VerdictNotice.model_validate(self.store_verdict(command, Actor(name="dana")).model_dump())

    def store_verdict(self, command: VerdictCommand, actor: Actor) -> Approval:
        """The rules of `Approvals.record`."""
        if command.command_id in self.approvals:
            return self.approvals[command.command_id]
        row = self.proposals.get(command.decision_id)
        if row is None or row.task is None:
            raise NotFound(f"there is no task {command.decision_id}")
        if row.task is not TaskState.OPEN:
            raise AlreadyAnswered(f"the task is {row.task}")
        if row.ref.proposal_hash != command.proposal_hash:
            raise StaleProposal("the proposal changed")
        approval = Approval(
            approval_id=command.command_id, decision_id=command.decision_id, revision=row.ref.revision,
            proposal_hash=command.proposal_hash, meaning=command.meaning, units=command.units, reason=command.reason,
            actor=actor.name, recorded_at=self.clock,
        )  # fmt: skip
        self.approvals[command.command_id] = approval
        row.task = TaskState.REJECTED if command.meaning is Meaning.REJECT else TaskState.APPROVED
        return approval

    def standing(self, decision_id: str) -> Approval | None:
        """The answer that counts."""
        found = [a for a in self.approvals.values() if a.decision_id == decision_id]
        return next((a for a in found if a.approval_id not in self.taken_back), None)

    def take_back(self, decision_id: str) -> Approval:
        """The rules of `Approvals.withdraw`, whoever asks."""
        row, approval = self.proposals[decision_id], self.standing(decision_id)
        if approval is None or row.state != "proposed":
            raise Conflict("there is nothing to take back any more")
        self.taken_back.add(approval.approval_id)
        row.task = TaskState.OPEN
        return approval

    def order(self, order: str) -> OrderRow:
        """An order that must be there."""
        if order not in self.orders:
            raise NotFound(f"there is no order {order}")
        return self.orders[order]


class RecordedApprovals:
    """`Approvals`: the first valid verdict counts."""

    def __init__(self, records: Records) -> None:
        self._records = records

    async def record(self, command: VerdictCommand, actor: Actor) -> Approval:
        return self._records.store_verdict(command, actor)

    async def find(self, approval_id: str) -> Approval | None:
        approval = self._records.approvals.get(approval_id)
        return None if approval_id in self._records.taken_back else approval

    async def withdraw(self, command: UndoCommand, actor: Actor) -> Withdrawal:
        return Withdrawal.model_validate(self._records.take_back(command.decision_id).model_dump())

    async def heard(self, approval_id: str) -> None:
        self._records.heard.append(approval_id)

    async def remind(self, decision_id: str) -> None:
        self._records.proposals[decision_id].reminded += 1

    async def escalate(self, decision_id: str) -> None:
        self._records.proposals[decision_id].escalated += 1

    async def expire(self, decision_id: str, proposal_hash: str) -> TaskState:
        row = self._records.proposals.get(decision_id)
        if row is None or row.task is None:
            raise NotFound(f"there is no task {decision_id}")
        if row.task is TaskState.OPEN:
            row.task, row.state = TaskState.EXPIRED, "expired"
        return row.task


class RecordedOrders:
    """`Orders`: the gate, the lease and the states."""

    def __init__(self, records: Records) -> None:
        self._records = records

    async def release(self, decision_id: str, proposal_hash: str) -> ReleaseResult:
        row = self._records.proposals[decision_id]
        if row.state == "released":
            return ReleaseResult(released=True, order_id=row.order_id)
        approval = self._records.standing(decision_id)
        approved = approval is not None and approval.meaning in {Meaning.APPROVE, Meaning.APPROVE_EDITED}
        if row.state != "proposed" or row.ref.proposal_hash != proposal_hash:
            return ReleaseResult(released=False, reason="the proposal changed")
        if row.ref.tier is not RiskTier.AUTO and not approved:
            waits = row.task in {TaskState.OPEN, TaskState.REJECTED}
            return ReleaseResult(released=False, reason="no standing approval for this proposal", waits=waits)
        cycle, cutoff = order_cycle(self._records.clock)
        identity = order_id(row.ref.supplier, row.ref.location, cycle, 1)
        order = self._records.orders.setdefault(
            identity, OrderRow(identity, row.ref.supplier, row.ref.location, cutoff)
        )
        order.lines[decision_id] = (approval.units if approval else None) or row.units
        row.state, row.order_id = "released", identity
        return ReleaseResult(released=True, order_id=identity)

    async def close_rejected(self, decision_id: str) -> bool:
        row = self._records.proposals[decision_id]
        if row.task in {TaskState.OPEN, TaskState.APPROVED}:
            return False
        row.state = "rejected"
        return True

    async def prepare(self, order_id: str, *, passive: bool, manifest: Manifest | None = None) -> PurchaseOrder | None:
        row = self._records.order(order_id)
        row.manifest = row.manifest or manifest
        if row.state is OrderState.COLLECTING:
            if not passive and self._held_back(row):
                return None
            row.become(OrderState.SENDING if row.lines else OrderState.EMPTY)
            if passive and row.lines:
                row.become(OrderState.WITHHELD, "passive mode: nothing is sent")
        if row.state not in {OrderState.SENDING, OrderState.IN_DOUBT}:
            return None
        lines = [
            OrderLine(line_no=n, need_id=need, item=need.split(":")[1], units=units, unit_cost=Decimal("4.20"))
            for n, (need, units) in enumerate(sorted(row.lines.items()), start=1)
        ]
        cycle = row.cutoff_at.date().isoformat()
        return PurchaseOrder(
            order_id=order_id, key=order_key(row.supplier, row.location, cycle, 1), supplier=row.supplier,
            location=row.location, cycle=cycle, currency="EUR", ordered_at=row.cutoff_at, lines=tuple(lines),
        )  # fmt: skip

    def _held_back(self, row: OrderRow) -> bool:
        reason = self._records.stops.get(row.supplier)
        row.held = Held(order_id=row.order_id, stop_id=f"supplier:{row.supplier}:1", reason=reason) if reason else None
        return row.held is not None

    async def held(self, order_id: str) -> Held | None:
        return self._records.order(order_id).held

    async def await_operator(self, order_id: str) -> None:
        self._records.order(order_id).awaits_operator = True

    async def state(self, order_id: str) -> OrderState:
        return self._records.order(order_id).state

    async def request(self, order_id: str) -> Request:
        return self._records.order(order_id).request

    async def begin_attempt(self, order_id: str, lease_token: str, lease_seconds: int) -> Attempt | None:
        row, now = self._records.order(order_id), self._records.now()
        if row.state not in {OrderState.SENDING, OrderState.IN_DOUBT}:
            return None
        if row.lease != lease_token and row.lease_until is not None and row.lease_until >= now:
            return None
        row.lease, row.lease_until = lease_token, now + timedelta(seconds=lease_seconds)
        row.attempts += 1
        row.awaits_operator = False
        row.become(OrderState.SENDING)
        if row.request.state is RequestState.SENDING:
            row.request = moved(row.request, RequestState.UNKNOWN)
        return Attempt(request=row.request, manifest=row.manifest, attempt=row.attempts, as_of=now)

    async def about_to_send(
        self,
        order_id: str,
        lease_token: str,
        *,
        passive: bool,
        kind: RequestKind = RequestKind.SEND,
        draft: str | None = None,
        holds: str | None = None,
    ) -> PurchaseOrder | None:
        row, now = self._records.order(order_id), self._records.now()
        if not self._leased(row, lease_token) or row.request.state not in {RequestState.PREPARED, RequestState.ABSENT}:
            return None
        if not passive and self._held_back(row):
            row.lease_until = None
            return None
        if passive or not row.lines:
            row.become(OrderState.WITHHELD if passive else OrderState.EMPTY)
            row.request = moved(row.request, RequestState.WITHDRAWN)
            return None
        order = await self.prepare(order_id, passive=False)
        assert order is not None
        row.request = left(row.request, kind, now, draft=draft, lines_digest=order.lines_digest)
        return order

    async def about_to_look(self, order_id: str, lease_token: str) -> bool:
        row = self._records.order(order_id)
        if self._leased(row, lease_token):
            row.request = moved(row.request, RequestState.RECONCILING)
            return True
        return False

    async def note(self, order_id: str, lease_token: str, request: Request, outcome: str, said: str = "") -> bool:
        row = self._records.order(order_id)
        if self._leased(row, lease_token):
            row.request = _as_noted(row.request, request)
            return True
        return False

    async def give_back(self, order_id: str, lease_token: str) -> None:
        row = self._records.order(order_id)
        if row.lease == lease_token:
            row.lease_until = None
            if row.request.in_doubt:
                row.become(OrderState.IN_DOUBT)

    async def end_attempt(self, order_id: str, lease_token: str, said: str = "") -> None:
        row = self._records.order(order_id)
        if row.lease == lease_token and row.state is OrderState.SENDING:
            row.lease_until = None
            asked = row.request.state is RequestState.RECONCILING and not row.request.open
            if asked or row.request.state is RequestState.SENDING:
                row.request = not_carried_out(row.request)
            elif row.request.in_doubt:
                row.state = OrderState.IN_DOUBT

    async def record_placed(
        self,
        order_id: str,
        lease_token: str,
        supplier_number: str,
        promised_at: Instant | None,
        rests_on: str = "",
    ) -> PlacementResult:
        row = self._records.order(order_id)
        if row.lease == lease_token and row.state in {OrderState.SENDING, OrderState.IN_DOUBT}:
            row.supplier_number, row.lease_until = supplier_number, None
            row.request = moved(row.request, RequestState.CONFIRMED, open=0)
            row.become(OrderState.PLACED)
        return self._result(row)

    async def record_refused(self, order_id: str, lease_token: str, reason: str) -> PlacementResult:
        row = self._records.order(order_id)
        if row.lease == lease_token and row.request.state is RequestState.SENDING:
            row.lease_until = None
            row.request = moved(row.request, RequestState.REJECTED, open=0)
            row.become(OrderState.REFUSED, reason)
        return self._result(row)

    async def record_in_doubt(
        self, order_id: str, lease_token: str, reason: str, open_requests: int | None = None
    ) -> None:
        row = self._records.order(order_id)
        at_it = {RequestState.SENDING, RequestState.RECONCILING, RequestState.UNKNOWN}
        if row.lease == lease_token and row.state is OrderState.SENDING and row.request.state in at_it:
            row.lease_until = None
            still = row.request.open if open_requests is None else open_requests
            row.request = moved(row.request, RequestState.UNKNOWN, open=still)
            row.become(OrderState.IN_DOUBT, reason)

    async def ask_person(self, order_id: str, lease_token: str, step: Step) -> None:
        row = self._records.order(order_id)
        if row.lease == lease_token and row.state in {OrderState.SENDING, OrderState.IN_DOUBT}:
            row.lease_until = None
            row.request = _as_noted(row.request, step.request)
            row.awaits_operator = True
            row.become(OrderState.IN_DOUBT, step.reason)

    def _leased(self, row: OrderRow, lease_token: str) -> bool:
        now = self._records.now()
        return row.lease == lease_token and row.lease_until is not None and row.lease_until > now

    @staticmethod
    def _result(row: OrderRow) -> PlacementResult:
        return PlacementResult(
            order_id=row.order_id, state=row.state, supplier_number=row.supplier_number, reason=row.reason
        )


class RecordedAssessments:
    """`Assessments`: batches in, decisions out."""

    def __init__(self, records: Records) -> None:
        self._records = records

    async def load(self, batch_id: str) -> BatchFacts:
        if batch_id not in self._records.batches:
            raise NotFound(f"there is no batch {batch_id}")
        batch, facts = self._records.batches[batch_id]
        return _facts(batch, [one for one in facts if one.need.need_id not in self._records.decisions])

    async def record(self, batch_id: str, model_digest: str, decided: Sequence[Decided]) -> AssessmentSummary:
        for one in decided:
            self._records.decisions.setdefault(one.decision.decision_id, one)
            if isinstance(one.decision.result, Proposal):
                self._records.propose(ref_of(one), one.decision.result.units)
        mine = [self._records.decisions[fact.need.need_id].decision for fact in self._records.batches[batch_id][1]]
        holds = sum(isinstance(decision.result, Hold) for decision in mine)
        return AssessmentSummary(batch_id=batch_id, holds=holds, proposals=len(mine) - holds)

    async def load_waiting(self, decision_id: str) -> BatchFacts | None:
        row = self._records.proposals[decision_id]
        if row.task is not TaskState.OPEN:
            return None
        fact = facts_of(self._records.rescored or decided())
        batch = NeedBatch(batch_id=decision_id, location=row.ref.location, clock=self._records.clock, needs=1)
        return _facts(batch, [fact]).model_copy(update={"revision": row.ref.revision})

    async def record_rescore(self, decided: Decided) -> RescoreResult:
        row = self._records.proposals[decided.decision.decision_id]
        if row.task is not TaskState.OPEN or self._records.rescored is None:
            return RescoreResult(ref=row.ref, changed=False)
        if isinstance(decided.decision.result, Hold):
            row.task, row.state = TaskState.VOIDED, "voided"
            return RescoreResult(ref=None)
        row.ref = row.ref.model_copy(
            update={
                "revision": decided.decision.revision,
                "proposal_hash": decided.decision.proposal_hash,
                "supplier": decided.decision.result.supplier,
            }
        )
        row.units = decided.decision.result.units
        return RescoreResult(ref=row.ref)


class RecordedOutcomes:
    """`Outcomes`: what is due, and what was measured."""

    def __init__(self, records: Records) -> None:
        self._records = records

    async def due(self, limit: int) -> list[OutcomeFacts]:
        return self._records.due[:limit]

    async def record(self, outcomes: Sequence[Outcome]) -> int:
        known = {one.facts.decision_id for one in self._records.outcomes}
        fresh = [one for one in outcomes if one.facts.decision_id not in known]
        self._records.outcomes += fresh
        done = {one.facts.decision_id for one in outcomes}
        self._records.due = [one for one in self._records.due if one.decision_id not in done]
        return len(fresh)


def _as_noted(kept: Request, told: Request) -> Request:
    """What is stored of it, in the state that it has now."""
    return moved(kept, told.state, open=told.open, draft=told.draft)


def facts_of(decided: Decided) -> NeedFacts:
    """The facts that this decision would be made from; the scores come from `EchoScoring`."""
    inputs = decided.inputs
    row = ScoringRow(
        item=inputs.item.item, location=inputs.position.location, supplier=inputs.options[0].supplier.supplier,
        last_day=inputs.clock.date(), history=DemandHistory(first_day=inputs.clock.date(), daily_units=(3,)),
        on_hand_units=inputs.position.on_hand_units, lead_times=LeadTimes(promised_days=5), review_days=7,
        shortage_per_unit=inputs.shortage_per_unit, holding_per_unit_day=inputs.holding_per_unit_day,
    )  # fmt: skip
    return NeedFacts(
        need=inputs.need, item=inputs.item, position=inputs.position, options=inputs.options, row=row,
        ordered_before=inputs.ordered_before, largest_receipt_units=inputs.largest_receipt_units,
        data_through=inputs.data_through,
    )  # fmt: skip


def ref_of(one: Decided, **more: object) -> ReplenishmentRef:
    """What a workflow carries of this proposal."""
    result = one.decision.result
    assert isinstance(result, Proposal)
    ref = ReplenishmentRef(
        decision_id=one.decision.decision_id, revision=one.decision.revision,
        proposal_hash=one.decision.proposal_hash, location=one.inputs.position.location, supplier=result.supplier,
        tier=result.tier,
    )  # fmt: skip
    return ref.model_copy(update=more)


def _facts(batch: NeedBatch, facts: list[NeedFacts]) -> BatchFacts:
    return BatchFacts(
        batch=batch, facts=tuple(facts), policy=POLICY, currency="EUR", holding_rate_per_year=Decimal("0.2")
    )
