"""Ports: what the engine needs from outside, named for the role; `workers/wiring.py` picks who plays it.

The numeric ports live beside their values: `scores.Scoring`, `models.Learner`, `orders.Suppliers`, `feeds.FeedSource`.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Protocol

from pydantic import Field

from workflows.domain.approvals import (
    Actor,
    Approval,
    TaskState,
    UndoCommand,
    VerdictCommand,
    VerdictNotice,
    Withdrawal,
)
from workflows.domain.capabilities import Manifest
from workflows.domain.decisions import Decided, NeedFacts
from workflows.domain.identity import Instant, Payload
from workflows.domain.models import (
    Comparison,
    GateResult,
    ModelStatus,
    ModelVersion,
    TrainedModel,
    TrainingSeries,
    TrainingSet,
)
from workflows.domain.needs import AssessmentSummary, ClockMode, NeedBatch
from workflows.domain.orders import OrderState, PlacementResult, PurchaseOrder
from workflows.domain.outcomes import Outcome, OutcomeFacts
from workflows.domain.policies import Policy, RiskTier
from workflows.domain.requests import Attempt, Request, RequestKind, Step
from workflows.domain.stops import Held


class BatchFacts(Payload):
    """A batch of needs as the activity sees it; never crosses into a workflow."""

    batch: NeedBatch
    facts: tuple[NeedFacts, ...]
    policy: Policy
    currency: str
    holding_rate_per_year: Decimal
    """Share of the unit cost that keeping one unit for a year costs."""
    revision: int = 0
    """Newest revision that the need's decision has already."""
    drift_alarms: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    """Segment -> open alarms on its forecasts, in words."""


class Assessments(Protocol):
    """Where needs come from and decisions go to."""

    async def load(self, batch_id: str) -> BatchFacts:
        """The batch's needs that are not decided yet (a repeated attempt gets fewer).

        Raises:
            NotFound: no such batch.
        """
        ...

    async def record(self, batch_id: str, model_digest: str, decided: Sequence[Decided]) -> AssessmentSummary:
        """Store holds, proposals, tasks, watch levels and ledger entries in one transaction; safe to repeat."""
        ...

    async def load_waiting(self, decision_id: str) -> BatchFacts | None:
        """The one need behind a task that still waits, with today's facts; None when it no longer waits."""
        ...

    async def record_rescore(self, decided: Decided) -> "RescoreResult":
        """Replace a waiting proposal by its next revision, void its approvals, or void the task if it is a hold now."""
        ...


class ReplenishmentRef(Payload):
    """What a replenishment workflow carries of its proposal."""

    decision_id: str
    revision: int
    proposal_hash: str
    location: str
    supplier: str
    tier: RiskTier
    remind_at: Instant | None = None
    escalate_at: Instant | None = None
    expire_at: Instant | None = None
    clock: ClockMode = ClockMode.LIVE
    clock_lag_seconds: int = 0
    """Live: how far the business clock stays behind the wall clock."""
    undo_seconds: int = 0
    """How long an answer may be taken back before anything comes of it (wall clock)."""
    brief: bool = False
    """Carried in fewer, larger steps. False: it began before there were any, and goes on as it began."""


class RescoreResult(Payload):
    """What a re-score came to: the task goes on under a new hash, or is over."""

    ref: ReplenishmentRef | None
    """None: the need went away and the task is voided."""
    changed: bool = True


class ReleaseResult(Payload):
    """The line that carries a proposal into a purchase order, or why there is none."""

    released: bool
    order_id: str | None = None
    reason: str = ""
    waits: bool = False
    """The answer was taken back: nothing is refused, the task waits for another one."""


class Approvals(Protocol):
    """Where verdicts are stored. Each method is one transaction with its ledger entry."""

    async def record(self, command: VerdictCommand, actor: Actor) -> Approval:
        """Store the verdict if it counts; the same command again gives the same approval.

        Where the policy wants two signatures, the first one is stored with `complete` false and the task stays open.
        Every refusal but the first and the last is in the ledger.

        Raises:
            NotFound: there is no such task.
            StaleProposal: the proposal has another hash by now.
            AlreadyAnswered: somebody's valid verdict came first, or the actor has signed it already.
            NotAllowed: this person may not give this answer, or nobody may.
            InvalidInput: the command id was used for another command.
        """
        ...

    async def withdraw(self, command: UndoCommand, actor: Actor) -> Withdrawal:
        """Take the actor's own standing answer back and open the task again; the same command again changes nothing.

        Raises:
            NotFound: there is no such task.
            Conflict: nothing of the actor's stands, or something came of it already; the refusal is in the ledger.
            NotAllowed: it is somebody else's answer; the refusal is in the ledger.
            InvalidInput: the command id was used for another command.
        """
        ...

    async def find(self, approval_id: str) -> Approval | None:
        """A stored, standing and complete approval."""
        ...

    async def heard(self, approval_id: str) -> None:
        """Note that the workflow has heard of it."""
        ...

    async def remind(self, decision_id: str) -> None:
        """The task waits longer than the policy likes."""
        ...

    async def escalate(self, decision_id: str) -> None:
        """The task waits so long that somebody else must look."""
        ...

    async def expire(self, decision_id: str, proposal_hash: str) -> TaskState:
        """Close the task unless somebody answered in the same moment; returns the state it has now."""
        ...


class VerdictChannel(Protocol):
    """Tells a waiting workflow that a verdict is stored."""

    async def tell(self, decision_id: str, notice: VerdictNotice) -> bool:
        """True when the workflow has heard it; False when it could not be reached (the relay will try again)."""
        ...

    async def taken_back(self, decision_id: str, approval_id: str) -> bool:
        """Tell it that this answer counts no more. False: not reached, or too late; it asks before it orders."""
        ...


class Orders(Protocol):
    """Where purchase orders live. Each method is one transaction."""

    async def release(self, decision_id: str, proposal_hash: str) -> ReleaseResult:
        """Put an authorised proposal on the purchase order of its supplier, location and cycle; safe to repeat."""
        ...

    async def close_rejected(self, decision_id: str) -> bool:
        """Close the need of a rejected proposal. False: the rejection was taken back, and the task waits."""
        ...

    async def prepare(self, order_id: str, *, passive: bool, manifest: Manifest | None = None) -> PurchaseOrder | None:
        """At cutoff: pass every line through the send gate, fix the payload, and note what may be relied on.

        None: nothing to send any more, or, while the order is not over, nothing yet: a stop switch holds it.
        """
        ...

    async def state(self, order_id: str) -> OrderState:
        """Where the order is."""
        ...

    async def request(self, order_id: str) -> Request:
        """Where the request is that carries it."""
        ...

    async def held(self, order_id: str) -> Held | None:
        """The stop switch that held the order when it last wanted to go; None: none did."""
        ...

    async def await_operator(self, order_id: str) -> None:
        """Note that patience with this order ended and a person must look; the next attempt clears it."""
        ...

    async def begin_attempt(self, order_id: str, lease_token: str, lease_seconds: int) -> Attempt | None:
        """Take the order's lease. What an attempt before it left in SENDING is UNKNOWN from now on. None while another
        attempt holds the lease, or when nothing is to be sent."""
        ...

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
        """Ask the send gate once more and commit that a request leaves now: SENDING(n+1). None: nothing may be sent.

        Only from PREPARED or ABSENT. Lines that are refused by now leave the payload, under the same key. Nothing may
        be sent when the lease was lost, or when this ends the order: no line is left, or the mode is passive. Nor while
        a stop switch or a value cap holds the order: it stays as it is, and `held` says so. `holds`: the digest of the
        lines in a draft that is to be confirmed.

        Raises:
            PersonNeeded: a draft is to be confirmed that is not what may be ordered by now; or this would end the order
                while a draft of it is at the supplier.
        """
        ...

    async def about_to_look(self, order_id: str, lease_token: str) -> bool:
        """Note that the supplier is asked now: RECONCILING. False: the lease was lost."""
        ...

    async def note(self, order_id: str, lease_token: str, request: Request, outcome: str, said: str = "") -> bool:
        """What an answer made of the request, while the attempt goes on. False: the lease was lost."""
        ...

    async def give_back(self, order_id: str, lease_token: str) -> None:
        """Give the lease back; nothing left in this attempt."""
        ...

    async def end_attempt(self, order_id: str, lease_token: str, said: str = "") -> None:
        """ABSENT, and the lease back: the newest request certainly left nothing behind at the supplier."""
        ...

    async def record_placed(
        self,
        order_id: str,
        lease_token: str,
        supplier_number: str,
        promised_at: Instant | None,
        rests_on: str = "the supplier's answer",
    ) -> PlacementResult:
        """CONFIRMED: the supplier has it."""
        ...

    async def record_refused(self, order_id: str, lease_token: str, reason: str) -> PlacementResult:
        """REJECTED: the supplier said no; its lines leave the position and may be needed again."""
        ...

    async def record_in_doubt(
        self, order_id: str, lease_token: str, reason: str, open_requests: int | None = None
    ) -> None:
        """UNKNOWN, and the lease back: people see it as in doubt. `open_requests`: how many are in doubt, where that
        changed."""
        ...

    async def ask_person(self, order_id: str, lease_token: str, step: Step) -> None:
        """Nothing more happens by itself: people see why, and the lease is given back."""
        ...


class Outcomes(Protocol):
    """Where outcomes come from and go to."""

    async def due(self, limit: int) -> list[OutcomeFacts]:
        """Decisions whose horizon has passed on their location's business clock and that are not measured yet."""
        ...

    async def record(self, outcomes: Sequence[Outcome]) -> int:
        """Store them; how many were new."""
        ...


class Models(Protocol):
    """The registry of model versions."""

    async def champion(self) -> ModelVersion | None:
        """The version in use."""
        ...

    async def find(self, digest: str) -> ModelVersion | None:
        """A version by its digest, or by an unambiguous beginning of it."""
        ...

    async def versions(self) -> list[ModelVersion]:
        """All versions, newest first."""
        ...

    async def training_series(self, known_at: Instant, last_day: date) -> list[TrainingSeries]:
        """Demand up to `last_day` as it was known at `known_at`: nothing recorded later is in it."""
        ...

    async def newest_day(self) -> date | None:
        """The last day that is closed at every location that has a business clock (or ends the recorded history)."""
        ...

    async def register(self, trained: TrainedModel, training_set: TrainingSet) -> ModelVersion:
        """Store a candidate; safe to repeat."""
        ...

    async def judge(
        self, digest: str, status: ModelStatus, comparison: Comparison | None, gate: GateResult | None
    ) -> ModelVersion:
        """Record what the gate said."""
        ...

    async def promote(self, digest: str, actor: str) -> ModelVersion:
        """Make it the champion; the champion before it is retired.

        Raises:
            NotFound: no such model.
            Conflict: it was refused by the gate.
        """
        ...

    async def rollback(self, actor: str) -> ModelVersion:
        """Back to the champion before; a pointer flip.

        Raises:
            Conflict: there was none before.
        """
        ...


class ModelStore(Protocol):
    """Content-addressed bytes."""

    def put(self, body: bytes) -> str:
        """Store and return the SHA-256 (hex); storing twice is one copy."""
        ...

    def get(self, sha256: str) -> bytes:
        """The bytes.

        Raises:
            ModelUnusable: absent, or not what they were.
        """
        ...


class Launches(Protocol):
    """Starts workflows from stored rows; starting twice is starting once."""

    async def replenishments(self, batch_id: str) -> int:
        """Start the workflow of each of the batch's proposals, note it, and close the batch; how many were started."""
        ...
