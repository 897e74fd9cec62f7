"""Makes decisions into the rows and objects that record them: all the hashing of a batch, without a database."""

from collections.abc import Sequence
from datetime import UTC, timedelta
from typing import NamedTuple

from workflows.domain.decisions import Decided, Hold
from workflows.domain.evidence import EvidenceKind, Kept
from workflows.domain.identity import Digest, canonical, digest
from workflows.domain.ledger import EntryType, NewEntry, merkle_root
from workflows.domain.policies import RiskTier

ENGINE = "engine"


class Recorded(NamedTuple):
    """What is inserted for a batch of decisions."""

    objects: dict[Digest, Kept]
    """What the decisions rest on beside their inputs, and the bytes of those that no `decision.proposed` entry has."""
    inputs: list[tuple[Digest, bytes]]
    decisions: list[tuple[object, ...]]
    """Rows of `decision`, as `DECISION_COLUMNS` has them."""
    holds: list[tuple[str, int, str]]
    """Id, revision and proposal hash of each hold, in the order of the leaves of their entry."""


DECISION_COLUMNS = (
    "decision_id", "revision", "location", "item", "kind", "decided_at", "body", "proposal_hash", "inputs_sha256",
    "model_digest", "policy_digest", "horizon_end",
)  # fmt: skip


def recorded(decided: Sequence[Decided]) -> Recorded:
    """Rows and objects of these decisions."""
    told = Recorded({sha256: kept for one in decided for sha256, kept in one.evidence.items()}, [], [], [])
    for one in decided:
        decision, inputs = one.decision, one.inputs
        words, result = one.written, decision.result
        body, proposal_hash = words.decision, digest(words.decision)
        told.inputs.append((decision.inputs_digest, words.inputs))
        told.decisions.append((
            decision.decision_id, decision.revision, inputs.position.location, inputs.position.item, result.kind,
            decision.decided_at, body, proposal_hash, decision.inputs_digest, decision.model_digest,
            decision.policy_digest,
            decision.decided_at.astimezone(UTC).date() + timedelta(days=inputs.scores.protection_days),
        ))  # fmt: skip
        if isinstance(result, Hold):
            told.holds.append((decision.decision_id, decision.revision, proposal_hash))
        # A proposal that is blocked when it is scored again closes its task and is proposed to nobody.
        if isinstance(result, Hold) or (decision.revision > 1 and result.tier is RiskTier.BLOCKED):
            told.objects[proposal_hash] = Kept(EvidenceKind.DECISION, body)
    told.inputs.sort()
    told.holds.sort()
    return told


def recorded_batch(batch_id: str, model_digest: str, decided: Sequence[Decided]) -> tuple[Recorded, list[NewEntry]]:
    """The same of a batch, with the one ledger entry of its holds and the list behind that entry's Merkle root."""
    told = recorded(decided)
    if not told.holds:
        return told, []
    items = canonical(told.holds)
    told.objects[digest(items)] = Kept(EvidenceKind.ITEMS, items)
    body = {
        "batch": batch_id, "holds": len(told.holds), "model": model_digest,
        "merkle_root": merkle_root([proposal_hash.encode() for _, _, proposal_hash in told.holds]),
        "items": digest(items),
    }  # fmt: skip
    at = max(one.decision.decided_at for one in decided if isinstance(one.decision.result, Hold))
    entry = NewEntry(stream=f"batch:{batch_id}", type=EntryType.HOLDS_RECORDED, actor=ENGINE, occurred_at=at, body=body)
    return told, [entry]
