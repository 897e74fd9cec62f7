"""Makes a recorded decision again from the ledger and the evidence alone, and says what comes out otherwise.

Nothing is taken from tables that the engine writes to as it goes. What an earlier release did not record is listed as
not recorded; what should be there and is not, as missing: neither is ever passed over in silence.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from pydantic import ValidationError

from workflows.domain.comparing import Compared, compared
from workflows.domain.decisions import Decision, DecisionInputs
from workflows.domain.evidence import EvidenceDamaged, EvidenceMissing, EvidenceSource
from workflows.domain.identity import Payload, digest
from workflows.domain.ledger import Break, Entry, EntryType, merkle_root
from workflows.domain.policies import Policy
from workflows.domain.policy_timeline import PolicyTimeline, body_of
from workflows.domain.rerun import Deviation

DECISION, INPUTS, POLICY, MODEL, SNAPSHOT, SOURCE, ITEMS = (
    "decision", "inputs", "policy", "model", "snapshot", "source", "items",
)  # fmt: skip
NO_LIST = "the place of a hold in its batch: the ledger has the root over the batch and no list of it"


class Verdict(StrEnum):
    """What a replay came to."""

    EQUAL = "equal"
    DIFFERENT = "different"
    INCOMPLETE = "incomplete"
    """What could be compared is equal, but something that should be there is missing, or cannot be used here."""


class Missing(Payload):
    """Evidence that should be there."""

    what: str
    digest: str = ""
    """Its address; empty where it has none."""


class Replayed(Payload):
    """What became of one revision of a decision that was made again."""

    decision_id: str
    revision: int
    proposal_hash: str
    verdict: Verdict
    compared: int = 0
    """Recorded values that were computed again, equal or not."""
    release: str | None = None
    """The version of this project that decided; None: it recorded none, as before there were snapshots."""
    made_with: Mapping[str, str] = {}
    """The libraries that its numbers came from."""
    deviations: tuple[Deviation, ...] = ()
    not_recorded: tuple[str, ...] = ()
    """What the release that decided did not record, so that it could not be computed again."""
    missing: tuple[Missing, ...] = ()


class DecisionRef(NamedTuple):
    """One revision of a decision, as the ledger names it."""

    decision_id: str
    revision: int
    proposal_hash: str


@dataclass(frozen=True)
class Case:
    """All that the ledger says of one revision."""

    ref: DecisionRef
    by: Entry
    """The entry that records it: the proposal's own, the closing one, or that of a batch of holds."""
    chain: tuple[Entry, ...] = ()
    """The decision's own chain, oldest first; holds have none."""
    order: tuple[Entry, ...] = ()
    """The chain of the order that it was released to."""
    policies: PolicyTimeline = field(default_factory=PolicyTimeline)
    people: Mapping[str, tuple[Entry, ...]] = field(default_factory=dict)
    """What the ledger says of the people who answered: their chain by their name in its entries."""
    items: str | None = None
    """Digest of the list of its batch, for a hold: as the entry names it, or as its root proves it."""
    breaks: tuple[Break, ...] = ()
    """Where one of these entries is not what was appended, or does not follow the one before."""


@dataclass
class Findings:
    """What was compared so far, and what could not be."""

    every: list[Compared] = field(default_factory=list)
    not_recorded: list[str] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)

    def compare(self, what: str, recorded: Any, now: Any) -> None:
        """Note every leaf of the two."""
        self.every += compared(what, recorded, now)

    def wrong(self, what: str, recorded: Any, now: Any) -> None:
        """Note two things that do not agree, whatever they are called."""
        self.every.append(Compared(what, str(recorded), f"{now}"))

    def fetch(self, evidence: EvidenceSource, what: str, sha256: str) -> bytes | None:
        """The bytes under this digest; None after noting that they are missing, or are not what was kept."""
        try:
            body = evidence.get(sha256)
        except EvidenceMissing:
            self.missing.append(Missing(what=what, digest=sha256))
            return None
        except EvidenceDamaged as damage:
            self.wrong(f"bytes of the {what} {sha256}", sha256, damage)
            return None
        now = hashlib.sha256(body).hexdigest()
        self.compare(f"digest of the {what}", sha256, now)
        return body if now == sha256 else None

    def result(self, ref: DecisionRef, release: str | None, made_with: Mapping[str, str]) -> Replayed:
        """The verdict: what differs weighs more than what is missing."""
        apart = [one.deviation() for one in self.every if not one.same]
        verdict = Verdict.DIFFERENT if apart else Verdict.INCOMPLETE if self.missing else Verdict.EQUAL
        return Replayed(
            **ref._asdict(), verdict=verdict, compared=len(self.every), release=release, made_with=made_with,
            deviations=tuple(apart), not_recorded=tuple(dict.fromkeys(self.not_recorded)),
            missing=tuple(self.missing),
        )  # fmt: skip


class Opened(NamedTuple):
    """A case with what its digests lead to."""

    decision: Decision
    inputs: DecisionInputs
    policy: Policy


def open_case(case: Case, evidence: EvidenceSource, found: Findings) -> Opened | None:
    """Follow the digests from the ledger to the inputs and the policy, each checked; None where one leads nowhere."""
    for one in case.breaks:
        found.wrong(f"entry {one.seq} of {one.stream}", "as it was appended", one.problem)
    decision = _decision(case, evidence, found)
    if decision is None:
        return None
    inputs = _parsed(DecisionInputs, INPUTS, decision.inputs_digest, evidence, found)
    policy = _policy(case, decision.policy_digest, evidence, found)
    return None if inputs is None or policy is None else Opened(decision, inputs, policy)


def _decision(case: Case, evidence: EvidenceSource, found: Findings) -> Decision | None:
    ref, body = case.ref, body_of(case.by)
    if case.by.type == EntryType.DECISION_PROPOSED:
        recorded: Any = body.get("decision")
        found.compare("decision hash", body.get("proposal_hash"), digest(recorded))
    else:
        if case.by.type == EntryType.HOLDS_RECORDED:
            inclusion(case, evidence, found)
        raw = found.fetch(evidence, DECISION, ref.proposal_hash)
        if raw is None:
            return None
        recorded = json.loads(raw)
    try:
        decision = Decision.model_validate(recorded)
    except ValidationError as error:
        found.wrong("decision", "a decision", f"cannot be read: {error.errors()[0]['msg']}")
        return None
    found.compare("decision id", ref.decision_id, decision.decision_id)
    found.compare("revision", ref.revision, decision.revision)
    found.compare("decision hash", ref.proposal_hash, decision.proposal_hash)
    return decision


def inclusion(case: Case, evidence: EvidenceSource, found: Findings) -> None:
    """The hold is one of those that its batch's entry counts, and their Merkle root is the recorded one."""
    body = body_of(case.by)
    if case.items is None:
        found.not_recorded.append(NO_LIST)
        return
    raw = found.fetch(evidence, ITEMS, case.items)
    if raw is None:
        return
    items = json.loads(raw)
    found.compare("holds of the batch", body["holds"], len(items))
    found.compare("Merkle root of the batch", body["merkle_root"], merkle_root(item[2].encode() for item in items))
    listed = list(case.ref) in items
    found.compare("place in the batch", "listed", "listed" if listed else "not listed")


def _parsed(
    kind: type[DecisionInputs], what: str, sha256: str, evidence: EvidenceSource, found: Findings
) -> DecisionInputs | None:
    raw = found.fetch(evidence, what, sha256)
    if raw is None:
        return None
    try:
        value = kind.model_validate_json(raw)
    except ValidationError as error:
        found.wrong(what, "readable", f"cannot be read: {error.errors()[0]['msg']}")
        return None
    # Read and written again they are the same bytes: nothing in them was left out when they were read.
    found.compare(f"{what} as they are read", sha256, digest(value))
    return value


def _policy(case: Case, sha256: str, evidence: EvidenceSource, found: Findings) -> Policy | None:
    told, looked = case.policies.adopted.get(sha256), Findings()
    raw = looked.fetch(evidence, POLICY, sha256)
    if raw is None and told is not None and not looked.every:
        # Earlier releases kept policies in the ledger only.
        found.compare("digest of the policy", sha256, told.digest)
        return told
    found.every += looked.every
    found.missing += looked.missing
    if raw is None:
        return told
    policy = Policy.model_validate_json(raw)
    found.compare("policy as it is read", sha256, policy.digest)
    return policy
