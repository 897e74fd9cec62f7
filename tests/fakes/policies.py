"""Policies in memory: a version comes into force by a change that another person approved."""

from collections.abc import Sequence
from datetime import UTC, datetime

from workflows.domain.approvals import Actor
from workflows.domain.errors import NotFound, StaleProposal
from workflows.domain.policies import Policy
from workflows.domain.policy_changes import (
    ChangeState,
    NewChange,
    PolicyChange,
    PolicyVersion,
    ServiceRecord,
    answered_so,
    change_id,
    refusal,
)
from workflows.domain.policy_trials import Recorded

AT = datetime(2025, 3, 3, 6, tzinfo=UTC)


class MemoryPolicies:
    """The `Policies` port."""

    def __init__(self, decided: Sequence[Recorded] = (), served: Sequence[ServiceRecord] = ()) -> None:
        first = Policy()
        self._versions = [PolicyVersion(policy=first, digest=first.digest, adopted_at=AT)]
        self._changes: dict[str, PolicyChange] = {}
        self._decided = {one.decision.decision_id: one for one in decided}
        self._served = list(served)

    async def current(self) -> PolicyVersion:
        return self._versions[-1]

    async def history(self) -> list[PolicyVersion]:
        return self._versions[::-1]

    async def version(self, digest: str) -> PolicyVersion:
        for version in self._versions:
            if version.digest == digest:
                return version
        raise NotFound(f"There is no policy {digest}.")

    async def changes(self, state: ChangeState | None = None) -> list[PolicyChange]:
        return [change for change in reversed(self._changes.values()) if state in (None, change.state)]

    async def change(self, change_id: str) -> PolicyChange:
        if change_id not in self._changes:
            raise NotFound(f"There is no policy change {change_id}.")
        return self._changes[change_id]

    async def propose(self, new: NewChange, actor: Actor) -> PolicyChange:
        if new.base_digest != self._versions[-1].digest:
            raise StaleProposal("Another version is in force by now.")
        digest = new.policy.digest
        earlier = [c for c in self._changes.values() if (c.base_digest, c.digest) == (new.base_digest, digest)]
        if earlier and earlier[-1].state is ChangeState.PROPOSED:
            return earlier[-1]
        change = PolicyChange(
            change_id=change_id(new.base_digest, digest, len(earlier)), number=len(self._changes) + 1,
            state=ChangeState.PROPOSED, digest=digest, author=actor.name, proposed_at=AT, **dict(new),
        )  # fmt: skip
        self._changes[change.change_id] = change
        return change

    async def decide(self, change_id: str, actor: Actor, *, approve: bool, reason: str = "") -> PolicyChange:
        change = await self.change(change_id)
        if answered_so(change, actor, approve=approve):
            return change
        refused = refusal(change, self._versions[-1].digest, actor, approve=approve)
        if refused is not None:
            raise refused
        state = ChangeState.ADOPTED if approve else ChangeState.REJECTED
        told = {"state": state, "decided_by": actor.name, "decided_at": AT, "decided_reason": reason}
        settled = change.model_copy(update=told)
        self._changes[change_id] = settled
        if approve:
            version = PolicyVersion(
                policy=settled.policy, digest=settled.digest, adopted_at=AT, change_id=change_id,
                author=settled.author, approved_by=actor.name,
            )  # fmt: skip
            self._versions.append(version)
        return settled

    async def recorded_ids(self, weeks: int, limit: int) -> tuple[list[str], int]:
        ordered = sorted(self._decided.values(), key=lambda one: (not one.waiting, one.decision.decision_id))
        return [one.decision.decision_id for one in ordered][:limit], len(ordered)

    async def recorded(self, decision_ids: Sequence[str]) -> list[Recorded]:
        return [self._decided[one] for one in decision_ids]

    async def service_records(self, weeks: int) -> list[ServiceRecord]:
        return self._served
