"""What is told about a decision beside its record: its picture, its alternatives, cases like it, and whether it holds.

All of it comes from the recorded evidence and the policy that the decision names; only "who may approve" is of today.
"""

from decimal import Decimal
from typing import NamedTuple

from console.ports import ConsolePorts
from workflows.domain import authority
from workflows.domain.alternatives import Alternative, alternatives, recompute
from workflows.domain.decisions import DecisionInputs, Proposal
from workflows.domain.desk import DecisionView
from workflows.domain.errors import InvalidInput, NotFound
from workflows.domain.identity import Payload
from workflows.domain.past_decisions import SimilarDecision
from workflows.domain.people import Permission, Person
from workflows.domain.pictures import Picture, picture_of
from workflows.domain.policies import Policy, RiskTier, RuleFired
from workflows.domain.rerun import Rerun, rerun


class Explained(NamedTuple):
    """A decision with what can be said about it."""

    view: DecisionView
    inputs: DecisionInputs
    picture: Picture
    policy: Policy | None
    """The one that the decision names; None where this installation does not hold it (any more)."""
    alternatives: tuple[Alternative, ...]
    """Empty without the policy."""

    @property
    def proposal(self) -> Proposal | None:
        """None: it is a hold."""
        return self.view.decision.result if isinstance(self.view.decision.result, Proposal) else None


class Recomputation(Payload):
    """A proposal beside the same proposal with another quantity; nothing is changed by asking."""

    decision_id: str
    proposal_hash: str
    """Of the proposal that it was computed from."""
    currency: str
    supplier: str
    proposed: Alternative
    asked: Alternative
    tier: RiskTier
    """Who must agree to the quantity that was asked about, by the policy in force."""
    rules: tuple[RuleFired, ...]
    remarks: tuple[str, ...] = ()
    """Why the supplier may not sell exactly this."""
    needs_two: str | None = None
    """Why two people must sign; null: one is enough."""
    may_approve: bool
    """Whether whoever asks may sign it; the same is asked again when they do."""
    refusal: str | None = None
    """Why not."""


class DecisionDesk:
    """Explains decisions to pages and programs alike."""

    def __init__(self, ports: ConsolePorts) -> None:
        self._ports = ports

    async def explained(self, decision_id: str) -> Explained:
        """The decision with its picture and alternatives.

        Raises:
            NotFound: no such decision.
        """
        view = await self._ports.desk.decision(decision_id)
        inputs = DecisionInputs.model_validate(view.inputs)
        policy = await self._policy(view.decision.policy_digest)
        found = alternatives(view.decision, inputs, policy) if policy else ()
        return Explained(view, inputs, picture_of(inputs, view.decision.result), policy, found)

    async def similar(self, decision_id: str) -> list[SimilarDecision]:
        """Earlier decisions that resemble it; none where this installation does not look for them.

        Raises:
            NotFound: no such decision.
        """
        return await self._ports.past.similar(decision_id) if self._ports.past else []

    async def recompute(self, decision_id: str, units: int, person: Person) -> Recomputation:
        """The proposal with another quantity, for this person.

        Raises:
            NotFound: no such decision, or the policy that it names is not here.
            InvalidInput: nothing was proposed, or nobody can be asked for it.
        """
        view = await self._ports.desk.decision(decision_id)
        proposal, inputs = view.decision.result, DecisionInputs.model_validate(view.inputs)
        if not isinstance(proposal, Proposal):
            raise InvalidInput(f"Decision {decision_id} proposes nothing: there is no quantity to change.")
        decided_by = await self._policy(view.decision.policy_digest)
        if decided_by is None:
            raise NotFound(f"The policy {view.decision.policy_digest} that {decision_id} names is not here.")
        now = (await self._ports.policies.current()).policy
        try:
            found = recompute(proposal, inputs, decided_by, now, units)
        except ValueError as error:
            raise InvalidInput(f"Nothing can be computed for {units} units: it takes {error}.") from error
        refusal = found.above_everybody or _refusal(person, inputs, found.asked.value)
        if refusal is None and found.gated.tier is RiskTier.BLOCKED:
            refusal = "; ".join(rule.detail for rule in found.gated.rules)
        return Recomputation(
            decision_id=decision_id, proposal_hash=view.decision.proposal_hash, currency=proposal.currency,
            supplier=proposal.supplier, proposed=found.proposed, asked=found.asked, tier=found.gated.tier,
            rules=found.gated.rules, remarks=found.remarks, needs_two=found.needs_two, may_approve=refusal is None,
            refusal=refusal,
        )  # fmt: skip

    async def rerun(self, decision_id: str) -> Rerun:
        """The decision, made again from its recorded inputs and policy.

        Raises:
            NotFound: no such decision, or the policy that it names is not here.
            InvalidInput: it was decided by a rule that this version does not know.
        """
        view = await self._ports.desk.decision(decision_id)
        policy = await self._policy(view.decision.policy_digest)
        if policy is None:
            raise NotFound(f"The policy {view.decision.policy_digest} that {decision_id} names is not here.")
        return rerun(view.decision, DecisionInputs.model_validate(view.inputs), policy)

    async def _policy(self, digest: str) -> Policy | None:
        try:
            return (await self._ports.policies.version(digest)).policy
        except NotFound:
            return None


def _refusal(person: Person, inputs: DecisionInputs, value: Decimal) -> str | None:
    found = authority.of_person(person, person.name, inputs.position.location, Permission.ANSWER)
    found = found or authority.of_value(person, value, inputs.currency)
    return str(found.error) if found else None
