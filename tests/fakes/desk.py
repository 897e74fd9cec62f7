"""The planners' desk in memory: the first valid verdict counts, is bound to the hash, and may be repeated."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, NoReturn

from tests.fakes.people import MemoryPeople
from tests.fakes.staff import STAFF
from workflows.domain.approvals import (
    Actor,
    Approval,
    Meaning,
    TaskState,
    UndoCommand,
    VerdictCommand,
    VerdictNotice,
    Withdrawal,
)
from workflows.domain.authority import (
    PolicyStep,
    Refusal,
    RefusalCode,
    Signature,
    completes,
    of_author,
    of_person,
    of_signing,
    of_value,
)
from workflows.domain.decisions import Decided, Proposal
from workflows.domain.desk import BlockedRow, DecisionView, TaskRow
from workflows.domain.errors import (
    AlreadyAnswered,
    Conflict,
    InvalidInput,
    NotAllowed,
    NotFound,
    StaleProposal,
    Unavailable,
)
from workflows.domain.identity import Instant, digest, plain
from workflows.domain.ledger import EntryType
from workflows.domain.limits import Place
from workflows.domain.models import (
    Comparison,
    GateResult,
    ModelStatus,
    ModelVersion,
    TrainedModel,
    TrainingSeries,
    TrainingSet,
)
from workflows.domain.people import Person
from workflows.domain.policies import Policy, RiskTier
from workflows.domain.urgency import cost_of_waiting

_STATES = {
    Meaning.APPROVE: TaskState.APPROVED,
    Meaning.APPROVE_EDITED: TaskState.APPROVED,
    Meaning.REJECT: TaskState.REJECTED,
}


@dataclass
class Case:
    """One decision and everything that is stored about it."""

    decided: Decided
    item_name: str
    task: dict[str, Any] | None = None
    approvals: list[dict[str, Any]] = field(default_factory=list)
    timeline: list[dict[str, Any]] = field(default_factory=list)
    order: dict[str, Any] | None = None
    outcome: dict[str, Any] | None = None
    revisions: list[Decided] = field(default_factory=list)

    def standing(self, *, complete: bool) -> Approval | None:
        """The answer, or the first signature, that is not void."""
        rows = [row for row in self.approvals if row["voided_at"] is None and row["complete"] is complete]
        return Approval.model_validate(rows[-1]) if rows else None

    def gave(self, approval_id: str) -> bool:
        """Whether this approval is one of the case's."""
        return any(row["approval_id"] == approval_id for row in self.approvals)

    def void(self, approval: Approval, at: datetime) -> None:
        """It counts no more."""
        for row in self.approvals:
            if row["approval_id"] == approval.approval_id:
                row["voided_at"] = at
        self.note(EntryType.APPROVAL_VOIDED, "engine", at, approval=approval.approval_id)

    def note(self, type_: EntryType, actor: str, at: datetime, **body: Any) -> None:
        """Append to the case's ledger."""
        seq = len(self.timeline) + 1
        stream = self.decided.decision.decision_id
        entry = {"at": plain(at), "type": type_.value, "actor": actor, "stream": stream, "seq": seq, "body": body}
        self.timeline.append({**entry, "hash": digest(entry)})


class MemoryShop:
    """What one database would hold; the fakes below read and write it."""

    def __init__(self, clock: datetime) -> None:
        self.clock = clock
        self.cases: dict[str, Case] = {}
        self.policy = Policy()
        self.steps: list[PolicyStep] = []
        """Changes of the policy, and who made them."""
        self.commands: dict[str, tuple[str, Approval]] = {}
        self.heard: list[str] = []
        self.counts: dict[str, int] = {}
        self.orders: list[dict[str, Any]] = []
        self.dead_letters: list[dict[str, Any]] = []

    def case(self, decision_id: str) -> Case:
        """A case that must be there."""
        if decision_id not in self.cases:
            raise NotFound(f"There is no decision {decision_id}.")
        return self.cases[decision_id]

    def put(self, decided: Decided, item_name: str, *, task: dict[str, Any] | None = None) -> Case:
        """Record a decision (revision 1) and its task."""
        case = Case(decided=decided, item_name=item_name, task=task, revisions=[decided])
        held = decided.decision.result.kind == "hold"
        kind = EntryType.HOLDS_RECORDED if held else EntryType.DECISION_PROPOSED
        case.note(kind, "engine", decided.decision.decided_at)
        if task is not None:
            case.note(EntryType.TASK_OPENED, "engine", decided.decision.decided_at)
        self.cases[decided.decision.decision_id] = case
        return case

    def rescore(self, decided: Decided) -> None:
        """Replace a waiting proposal by its next revision; the task goes on under the new hash."""
        case = self.case(decided.decision.decision_id)
        case.decided = decided
        case.revisions.append(decided)
        if first := case.standing(complete=False):
            case.void(first, self.clock)
            case.task = {**(case.task or {}), "first_signature_by": None}
        case.note(EntryType.DECISION_PROPOSED, "engine", self.clock)


class MemoryDesk:
    """`Desk` over the shop."""

    def __init__(self, shop: MemoryShop) -> None:
        self._shop = shop

    async def tasks(
        self, *, state: TaskState | None = TaskState.OPEN, limit: int = 100, after: str | None = None
    ) -> list[TaskRow]:
        rows = [_row(case) for case in self._shop.cases.values() if case.task is not None]
        rows = [row for row in rows if state is None or row.state is state]
        rows.sort(key=lambda row: (row.cost_of_waiting, row.decision_id), reverse=True)
        start = next((n for n, row in enumerate(rows, start=1) if row.decision_id == after), 0)
        return rows[start : start + limit]

    async def blocked(self, limit: int = 100) -> list[BlockedRow]:
        found = []
        for case in self._shop.cases.values():
            decision, result = case.decided.decision, case.decided.decision.result
            if isinstance(result, Proposal) and result.tier is RiskTier.BLOCKED:
                place = case.decided.inputs.position
                told = {"decision_id": decision.decision_id, "decided_at": decision.decided_at,
                        "location": place.location, "item": place.item, "item_name": case.item_name}  # fmt: skip
                found.append(BlockedRow.model_validate({**dict(result), **told}))
        return found[:limit]

    async def decision(self, decision_id: str) -> DecisionView:
        case = self._shop.case(decision_id)
        return DecisionView(
            decision=case.decided.decision, inputs=plain(case.decided.inputs), task=case.task,
            approvals=tuple(case.approvals), order=case.order, outcome=case.outcome, timeline=tuple(case.timeline),
        )  # fmt: skip

    async def revision(self, decision_id: str, proposal_hash: str) -> Decided | None:
        case = self._shop.case(decision_id)
        return next((one for one in case.revisions if one.decision.proposal_hash == proposal_hash), None)

    async def counts(self) -> dict[str, int]:
        return dict(self._shop.counts)

    async def orders(self, limit: int = 100) -> list[dict[str, Any]]:
        return self._shop.orders[:limit]

    async def dead_letters(self, limit: int = 100) -> list[dict[str, Any]]:
        return self._shop.dead_letters[:limit]


class MemoryApprovals:
    """`Approvals` over the shop, by the engine's own rules of who may answer what."""

    def __init__(self, shop: MemoryShop, people: MemoryPeople | None = None, *, undo_seconds: int = 0) -> None:
        self._shop = shop
        self.people = people or MemoryPeople(STAFF)
        self.undo_seconds = undo_seconds
        self._undone: dict[str, tuple[str, str, Withdrawal]] = {}

    async def record(self, command: VerdictCommand, actor: Actor) -> Approval:
        asked = digest([command, actor.name])
        case = self._shop.case(command.decision_id)
        if case.task is None:
            raise NotFound(f"Decision {command.decision_id} has no task.")
        if command.command_id in self._shop.commands:
            before, approval = self._shop.commands[command.command_id]
            if before != asked:
                raise InvalidInput(f"The command id {command.command_id} was used for another command.")
            return approval
        person = self.people.known.get(actor.name)
        place = case.decided.inputs.position.location
        if refusal := of_person(person, actor.name, place) or self._outdated(case, command):
            self._refuse(case, actor, refusal)
        assert person is not None
        rejects = command.meaning is Meaning.REJECT
        first, complete = case.standing(complete=False), True
        if not rejects:
            complete = self._signs(case, command, person, first)
        if first and (rejects or not complete or first.units != command.units):
            case.void(first, self._shop.clock)
        window = self.undo_seconds if complete else 0
        approval = Approval(
            approval_id=command.command_id, decision_id=command.decision_id,
            revision=case.decided.decision.revision, proposal_hash=command.proposal_hash, meaning=command.meaning,
            units=command.units, reason=command.reason, actor=actor.name, recorded_at=self._shop.clock,
            complete=complete, undo_until=self._shop.clock + timedelta(seconds=window) if window else None,
        )  # fmt: skip
        if complete:
            case.task |= {"state": _STATES[command.meaning], "answered_by": actor.name, "answered_at": self._shop.clock}
        else:
            case.task |= {"first_signature_by": actor.name, "signatures_needed": 2}
        case.approvals.append(
            {**approval.model_dump(), "comment": command.comment, "channel": actor.channel, "voided_at": None}
        )
        kind = EntryType.VERDICT_RECORDED if complete else EntryType.VERDICT_SIGNED
        case.note(kind, actor.name, self._shop.clock, meaning=command.meaning)
        self._shop.commands[command.command_id] = (asked, approval)
        return approval

    def _outdated(self, case: Case, command: VerdictCommand) -> Refusal | None:
        task = case.task or {}
        if task["state"] != TaskState.OPEN:
            words = f"The task is {task['state']} by {task['answered_by']}."
            return Refusal(RefusalCode.ANSWERED, AlreadyAnswered(words))
        if command.proposal_hash != case.decided.decision.proposal_hash:
            words = "The answer was given for an earlier revision of the proposal."
            return Refusal(RefusalCode.STALE, StaleProposal(words))
        return None

    def _signs(self, case: Case, command: VerdictCommand, person: Person, first: Approval | None) -> bool:
        """Whether this approval is complete; a refusal is raised."""
        inputs, result = case.decided.inputs, case.decided.decision.result
        assert isinstance(result, Proposal)
        actor, units = Actor(name=person.name), command.units or result.units
        value = units * result.unit_cost
        if refusal := of_value(person, value, result.currency):
            self._refuse(case, actor, refusal)
        place = Place(inputs.item.item, inputs.item.category, result.supplier, inputs.position.location)
        if refusal := of_author(person.name, place, self._shop.steps):
            self._refuse(case, actor, refusal)
        new = not all(one.ordered_before for one in inputs.options if one.sourcing.supplier == result.supplier)
        if self._shop.policy.limits_for(place).needs_two(value, result.currency, new_supplier=new) is None:
            return True
        signed = Signature(first.actor, first.units or result.units) if first else None
        if refusal := of_signing(person, place.location, signed, units):
            self._refuse(case, actor, refusal)
        return completes(signed, units, needs_two=True)

    def _refuse(self, case: Case, actor: Actor, refusal: Refusal) -> NoReturn:
        refused = type(refusal.error).__name__
        case.note(EntryType.VERDICT_REFUSED, actor.name, self._shop.clock, refused=refused, code=str(refusal.code))
        raise refusal.error

    async def withdraw(self, command: UndoCommand, actor: Actor) -> Withdrawal:
        case = self._shop.case(command.decision_id)
        if case.task is None:
            raise NotFound(f"Decision {command.decision_id} has no task.")
        if command.command_id in self._undone:
            decision_id, name, taken = self._undone[command.command_id]
            if (decision_id, name) != (command.decision_id, actor.name):
                raise InvalidInput(f"The command id {command.command_id} was used for another command.")
            return taken
        standing = case.standing(complete=True) or case.standing(complete=False)
        if standing is None or command.approval_id not in (None, standing.approval_id):
            self._refuse(case, actor, Refusal(RefusalCode.NOTHING_STANDS, Conflict("There is nothing to take back.")))
        if standing.actor != actor.name:
            words = f"{standing.actor} gave this answer: nobody else can take it back."
            self._refuse(case, actor, Refusal(RefusalCode.NOT_THEIRS, NotAllowed(words)))
        if case.order is not None or (standing.complete and standing.undo_until is None):
            self._refuse(case, actor, Refusal(RefusalCode.TOO_LATE, Conflict("Too late: it is on the order already.")))
        case.void(standing, self._shop.clock)
        changes = {"state": TaskState.OPEN, "answered_by": None, "answered_at": None}
        case.task |= changes if standing.complete else {"first_signature_by": None}
        case.note(EntryType.VERDICT_WITHDRAWN, actor.name, self._shop.clock)
        taken = Withdrawal.model_validate(standing.model_dump())
        self._undone[command.command_id] = (command.decision_id, actor.name, taken)
        return taken

    async def find(self, approval_id: str) -> Approval | None:
        case = next((one for one in self._shop.cases.values() if one.gave(approval_id)), None)
        found = case and case.standing(complete=True)
        return found if found and found.approval_id == approval_id else None

    async def heard(self, approval_id: str) -> None:
        if approval_id not in self._shop.heard:
            self._shop.heard.append(approval_id)

    async def remind(self, decision_id: str) -> None:
        self._shop.case(decision_id).note(EntryType.TASK_REMINDED, "engine", self._shop.clock)

    async def escalate(self, decision_id: str) -> None:
        case = self._shop.case(decision_id)
        case.task = {**(case.task or {}), "escalated_at": self._shop.clock}
        case.note(EntryType.TASK_ESCALATED, "engine", self._shop.clock)

    async def expire(self, decision_id: str, proposal_hash: str) -> TaskState:
        task = self._shop.case(decision_id).task or {}
        if task.get("state") == TaskState.OPEN:
            task["state"] = TaskState.EXPIRED
        return TaskState(task["state"])


class MemoryVerdictChannel:
    """`VerdictChannel` to nobody: remembers what was told. `state` says how the workflow's server behaves."""

    def __init__(self) -> None:
        self.told: list[tuple[str, VerdictNotice]] = []
        self.undone: list[tuple[str, str]] = []
        self.state = "reachable"

    async def tell(self, decision_id: str, notice: VerdictNotice) -> bool:
        if self.state == "broken":
            raise Unavailable("the workflow's server did not answer")
        if self.state == "unreachable":
            return False
        self.told.append((decision_id, notice))
        return True

    async def taken_back(self, decision_id: str, approval_id: str) -> bool:
        if self.state == "broken":
            raise Unavailable("the workflow's server did not answer")
        if self.state == "unreachable":
            return False
        self.undone.append((decision_id, approval_id))
        return True


class MemoryModels:
    """`Models` in memory."""

    def __init__(self, versions: Sequence[ModelVersion] = ()) -> None:
        self._versions = {version.digest: version for version in versions}
        self.promoted_by: list[tuple[str, str]] = []

    async def champion(self) -> ModelVersion | None:
        return next((v for v in self._versions.values() if v.status is ModelStatus.CHAMPION), None)

    async def find(self, digest: str) -> ModelVersion | None:
        found = [version for key, version in self._versions.items() if key.startswith(digest)]
        return found[0] if len(found) == 1 else None

    async def versions(self) -> list[ModelVersion]:
        return sorted(self._versions.values(), key=lambda version: -version.number)

    async def training_series(self, known_at: Instant, last_day: date) -> list[TrainingSeries]:
        return []

    async def newest_day(self) -> date | None:
        return None

    async def register(self, trained: TrainedModel, training_set: TrainingSet) -> ModelVersion:
        if trained.digest not in self._versions:
            self._set(
                ModelVersion(
                    digest=trained.digest, number=len(self._versions) + 1, status=ModelStatus.CANDIDATE,
                    trained_through=trained.trained_through, created_at=training_set.known_at, facts=trained,
                )
            )  # fmt: skip
        return self._versions[trained.digest]

    async def judge(
        self, digest: str, status: ModelStatus, comparison: Comparison | None, gate: GateResult | None
    ) -> ModelVersion:
        return self._update(digest, {"status": status, "comparison": comparison, "gate": gate})

    async def promote(self, digest: str, actor: str) -> ModelVersion:
        if digest not in self._versions:
            raise NotFound(f"There is no model {digest}.")
        if self._versions[digest].status is ModelStatus.REFUSED:
            raise Conflict("The gate refused this model.")
        version = self._versions[digest]
        if version.status in (ModelStatus.CANDIDATE, ModelStatus.AWAITING_APPROVAL) and not (
            version.gate and version.gate.passed
        ):
            raise Conflict("The model has not passed the gate yet.")
        before = await self.champion()
        if before is not None and before.digest != digest:
            self._update(before.digest, {"status": ModelStatus.RETIRED})
        self.promoted_by.append((digest, actor))
        return self._update(digest, {"status": ModelStatus.CHAMPION})

    async def rollback(self, actor: str) -> ModelVersion:
        retired = [v for v in await self.versions() if v.status is ModelStatus.RETIRED]
        if not retired:
            raise Conflict("There was no champion before.")
        return await self.promote(retired[0].digest, actor)

    def _update(self, digest: str, changes: Mapping[str, Any]) -> ModelVersion:
        return self._set(self._versions[digest].model_copy(update=changes))

    def _set(self, version: ModelVersion) -> ModelVersion:
        self._versions[version.digest] = version
        return version


def _row(case: Case) -> TaskRow:
    decision, inputs, task = case.decided.decision, case.decided.inputs, case.task or {}
    proposal = decision.result
    assert isinstance(proposal, Proposal)
    scores = inputs.scores
    per_day = scores.demand_p50 / max(1, scores.protection_days)
    return TaskRow(
        decision_id=decision.decision_id, revision=decision.revision, proposal_hash=decision.proposal_hash,
        location=inputs.position.location, item=inputs.item.item, item_name=case.item_name,
        supplier=proposal.supplier, units=proposal.units, value=proposal.value, currency=proposal.currency,
        cost_of_waiting=cost_of_waiting(inputs),
        stockout_risk=scores.stockout_risk, days_of_cover=inputs.position.on_hand_units / per_day if per_day else None,
        rules=tuple(rule.code.value for rule in proposal.rules), sentence=proposal.sentence, state=task["state"],
        opened_at=decision.decided_at, expire_at=task["expire_at"], escalated=bool(task.get("escalated_at")),
        answered_by=task.get("answered_by"),
    )  # fmt: skip
