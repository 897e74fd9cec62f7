"""What stands now instead of what somebody looked at, for an answer that came too late: in words, and as figures."""

from decimal import Decimal
from typing import Any

from workflows.domain.decisions import DecisionInputs, Proposal
from workflows.domain.desk import DecisionView, Desk
from workflows.domain.differences import ProposalDifference, proposal_differences


async def changed_since(desk: Desk, view: DecisionView, seen_hash: str) -> tuple[ProposalDifference, ...]:
    """What the decision as it stands (`view`) says otherwise than the revision with the hash that somebody saw; empty
    when they saw this one, or one that is not known."""
    if seen_hash == view.decision.proposal_hash:
        return ()
    seen = await desk.revision(view.decision.decision_id, seen_hash)
    if seen is None:
        return ()
    now_inputs = DecisionInputs.model_validate(view.inputs)
    return proposal_differences(seen.decision, seen.inputs, view.decision, now_inputs)


def what_stands(view: DecisionView) -> dict[str, Any]:
    """What a program needs to look again without another request."""
    result, task = view.decision.result, view.task or {}
    value: Decimal | None = result.value if isinstance(result, Proposal) else None
    return {
        "revision": view.decision.revision,
        "proposal_hash": view.decision.proposal_hash,
        "units": result.units if isinstance(result, Proposal) else None,
        "value": None if value is None else str(value),
        "state": task.get("state"),
        "answered_by": task.get("answered_by"),
        "first_signature_by": task.get("first_signature_by"),
    }
