"""Where policy changes are tried, proposed and answered, whoever asks: console, REST API and command line."""

import asyncio
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from workflows.domain.approvals import Actor
from workflows.domain.errors import Conflict, InvalidInput, NotFound, explained
from workflows.domain.policies import Policy
from workflows.domain.policy_changes import (
    ChangeKind,
    Difference,
    NewChange,
    Policies,
    PolicyChange,
    ServiceRecord,
    differences,
    next_policy,
)
from workflows.domain.policy_trials import Trial, Trying
from workflows.domain.service_proposals import ServiceProposal, service_proposals, with_service_targets

WEEKS = 4
LIMIT = 5_000
"""Decisions that a trial looks at unless it is told otherwise: open tasks first, then the newest."""
STRETCH = 200


class PolicyDesk:
    """Takes documents and answers; the policy in force changes through here and nowhere else."""

    def __init__(self, policies: Policies) -> None:
        self.policies = policies

    async def check(self, document: Mapping[str, Any]) -> tuple[Policy, list[Difference]]:
        """The next version that this document makes of the policy in force, and what it changes.

        Raises:
            InvalidInput: it is not a policy, is of an older version, or changes nothing.
        """
        base = (await self.policies.current()).policy
        policy = next_policy(document, base)
        return policy, differences(base, policy)

    async def dry_run(self, document: Mapping[str, Any], *, weeks: int = WEEKS, limit: int = LIMIT) -> Trial:
        """What the document would have made of open tasks and past weeks; writes nothing.

        Raises:
            InvalidInput: as `check`.
        """
        base = (await self.policies.current()).policy
        return await self._try(base, next_policy(document, base), weeks, limit)

    async def propose(
        self, document: Mapping[str, Any], reason: str, actor: Actor, *, weeks: int = WEEKS, limit: int = LIMIT
    ) -> PolicyChange:
        """Store the document as a change that waits for another person, with its dry run.

        Raises:
            InvalidInput: as `check`, or there is no reason.
            StaleProposal: the policy moved in the meantime.
        """
        base = (await self.policies.current()).policy
        policy = next_policy(document, base)
        return await self._propose(base, policy, _kind(base, policy), reason, actor, (), weeks, limit)

    async def service_proposals(self, weeks: int) -> tuple[list[ServiceRecord], list[ServiceProposal]]:
        """How each category was served, and the targets that this asks for."""
        records = await self.policies.service_records(weeks)
        return records, service_proposals(records)

    async def propose_service(self, actor: Actor, *, weeks: int, limit: int = LIMIT) -> PolicyChange:
        """Store what the measured outcomes ask for as a change that waits for another person.

        Whoever asks for it is its author: they chose the weeks that were measured.

        Raises:
            Conflict: they ask for nothing.
        """
        found = (await self.service_proposals(weeks))[1]
        base = (await self.policies.current()).policy
        policy = with_service_targets(base, found)
        if not differences(base, policy):
            raise Conflict(f"the outcomes of the last {weeks} weeks ask for no other service target")
        words = "; ".join(
            f"{one.category}: stock ran out in {one.stocked_out} of {one.decisions}, {1 - one.target:.1%} was accepted"
            for one in found
        )
        reason, kind = f"Measured over {weeks} weeks: {words}"[:1000], ChangeKind.SERVICE_TARGET
        return await self._propose(base, policy, kind, reason, actor, tuple(found), weeks, limit)

    async def find(self, word: str) -> PolicyChange:
        """A change by its number, its id or an unambiguous beginning of that.

        Raises:
            NotFound: none is meant, or more than one.
        """
        found = [c for c in await self.policies.changes() if str(c.number) == word or c.change_id.startswith(word)]
        exact = [c for c in found if word in (str(c.number), c.change_id)]
        if len(exact or found) != 1:
            raise NotFound(
                f"no policy change, or more than one, is {word!r}; `quartermaster policy changes` lists them"
            )
        return (exact or found)[0]

    async def answer(self, change_id: str, actor: Actor, *, approve: bool, reason: str = "") -> PolicyChange:
        """Adopt or reject a change; the same answer again changes nothing.

        Raises:
            NotFound: no such change.
            NotAllowed: the author approves; another person must.
            StaleProposal: the policy moved since the change was proposed.
            AlreadyAnswered: somebody answered it otherwise.
            InvalidInput: a rejection without a reason.
        """
        reason = reason.strip()
        if not approve and not reason:
            raise InvalidInput("a rejection needs a reason")
        if len(reason) > 1000 or "\x00" in reason:
            raise InvalidInput("a reason has at most 1,000 characters, and no NUL among them")
        return await self.policies.decide(change_id, actor, approve=approve, reason=reason)

    async def _propose(
        self, base: Policy, policy: Policy, kind: ChangeKind, reason: str, actor: Actor,
        evidence: tuple[ServiceRecord, ...], weeks: int, limit: int,
    ) -> PolicyChange:  # fmt: skip
        trial = await self._try(base, policy, weeks, limit)
        try:
            new = NewChange(
                kind=kind, base_digest=base.digest, policy=policy, reason=reason, trial=trial, evidence=evidence
            )
        except ValidationError as error:
            raise InvalidInput(explained(error, "policy")) from None
        return await self.policies.propose(new, actor)

    async def _try(self, base: Policy, policy: Policy, weeks: int, limit: int) -> Trial:
        ids, total = await self.policies.recorded_ids(weeks, limit)
        trying = Trying(base, policy, weeks)
        for start in range(0, len(ids), STRETCH):
            stretch = await self.policies.recorded(ids[start : start + STRETCH])
            # Deciding is all work: in a thread of its own it lets others be answered in between.
            await asyncio.to_thread(trying.add, stretch)
        return trying.result(total)


def _kind(base: Policy, policy: Policy) -> ChangeKind:
    """What a change is about: one thing alone, or the limits."""
    changed = {difference.limit.split(" for ")[0] for difference in differences(base, policy)}
    kinds = {"service": ChangeKind.SERVICE_TARGET, "review_days": ChangeKind.REVIEW_PERIOD}
    return kinds.get(changed.pop(), ChangeKind.POLICY) if len(changed) == 1 else ChangeKind.POLICY
