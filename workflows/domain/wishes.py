"""A person may want a proposal scored again, and from another supplier: the engine proposes it, nobody edits it.

What is sent stays bound to a proposal's supplier and price, so another supplier needs another proposal. The wish stays
with the task while it is open; where it cannot be met the proposal of before stays, and the record says why.
"""

from collections.abc import Sequence
from typing import Protocol

from workflows.domain.approvals import Actor
from workflows.domain.decisions import DecisionInputs, Hold, Proposal, SupplyOption
from workflows.domain.errors import InvalidInput
from workflows.domain.policies import RiskTier


class Rescoring(Protocol):
    """How a person asks for another proposal.

    Both raise NotFound for a task that is not there; `rescore` AlreadyAnswered for one that is no longer open.
    """

    async def rescore(self, decision_id: str, actor: Actor, *, supplier: str | None = None) -> None:
        """Ask for the proposal to be scored again with today's facts; the deadlines go on.

        With a `supplier` it is asked for from that one only, now and whenever it is scored again. None: the engine
        chooses, and a wish of before is over.

        Raises:
            InvalidInput: that supplier does not sell the item to the location, or is blocked; it names those that may
                be asked.
        """
        ...

    async def suppliers(self, decision_id: str) -> tuple[str, ...]:
        """Who may be asked: who sells the item to the location and is not blocked, best rank first."""
        ...


def refuse_unless_offered(supplier: str, offered: Sequence[str]) -> None:
    """Check a wish against those that may be asked.

    Raises:
        InvalidInput: it is none of them.
    """
    if supplier not in offered:
        these = ", ".join(offered) if offered else "nobody"
        raise InvalidInput(f"{supplier} cannot be asked for this item at this location; who can: {these}")


def within_wish(options: Sequence[SupplyOption], wanted: str | None) -> tuple[list[SupplyOption], str | None]:
    """The options that a wish leaves, and the wish; all of them, and None, where nobody has one or it cannot be met."""
    left = [one for one in options if one.sourcing.supplier == wanted and not one.supplier.blocked]
    return (left, wanted) if left else (list(options), None)


def unmet(inputs: DecisionInputs, result: Hold | Proposal) -> str | None:
    """Why nothing can be proposed from the supplier that a person asked for; None: nobody did, or it can."""
    if inputs.wanted_supplier is None:
        return None
    if isinstance(result, Hold):
        return result.sentence
    return "; ".join(rule.detail for rule in result.rules) if result.tier is RiskTier.BLOCKED else None
