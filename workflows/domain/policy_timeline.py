"""Which policy was in force when, and who brought it about, as the ledger alone tells it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from pydantic import ValidationError

from workflows.domain.authority import PolicyStep
from workflows.domain.evidence import EvidenceDamaged, EvidenceMissing, EvidenceSource
from workflows.domain.ledger import Entry, EntryType
from workflows.domain.policies import Policy
from workflows.domain.recordable import dereferenced

SKEW = timedelta(seconds=10)
"""An answer may be judged by the policy of its transaction's beginning, and is recorded at its end."""


class Adoption(NamedTuple):
    """A policy that came into force."""

    at: datetime
    policy: Policy
    base: str | None
    author: str
    """Who proposed it; whoever adopted it where the ledger names nobody else, as for the first one."""
    adopter: str


@dataclass(frozen=True)
class PolicyTimeline:
    """Adoptions, oldest first, and their policies by digest."""

    adoptions: tuple[Adoption, ...] = ()
    adopted: Mapping[str, Policy] = field(default_factory=dict)
    unread: tuple[str, ...] = ()
    """Digests of adopted policies that cannot be read: what was in force is not known while they were."""

    def in_force(self, at: datetime, otherwise: Policy) -> list[Policy]:
        """What might have been in force then, newest first: one policy, or two where one came in that very moment."""
        before = [one.policy for one in self.adoptions if one.at <= at - SKEW]
        around = [one.policy for one in self.adoptions if at - SKEW < one.at <= at + SKEW]
        return [*reversed(around), before[-1] if before else otherwise]

    def steps(self, digests: Sequence[str]) -> list[PolicyStep]:
        """The changes that brought these policies about."""
        return [
            PolicyStep(before=self.adopted[one.base], after=one.policy, author=one.author, adopter=one.adopter)
            for one in self.adoptions
            if one.base is not None and one.base in self.adopted and one.policy.digest in digests
        ]


def timeline_of(entries: Sequence[Entry], evidence: EvidenceSource) -> PolicyTimeline:
    """From the entries about policies, in any order; the long ones lie in the evidence."""
    authors = {body_of(one).get("change"): one.actor for one in entries if one.type == EntryType.POLICY_PROPOSED}
    adoptions, unread = [], []
    for entry in sorted(entries, key=lambda one: one.recorded_at):
        if entry.type != EntryType.POLICY_ADOPTED:
            continue
        body = body_of(entry)
        try:
            policy = Policy.model_validate(dereferenced(body, evidence).get("policy"))
        except (ValidationError, EvidenceMissing, EvidenceDamaged):
            unread.append(str(body.get("digest")))
            continue
        author = authors.get(body.get("change"), entry.actor)
        at = datetime.fromisoformat(entry.recorded_at)
        adoptions.append(Adoption(at, policy, body.get("base"), author, entry.actor))
    return PolicyTimeline(tuple(adoptions), {one.policy.digest: one.policy for one in adoptions}, tuple(unread))


def body_of(entry: Entry) -> dict[str, Any]:
    """What an entry tells; nothing where it tells nothing that can be read."""
    try:
        body = json.loads(entry.body)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
