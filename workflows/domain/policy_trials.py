"""A trial says what a policy would have made of decisions that were taken: pure, from their recorded evidence."""

from collections.abc import Iterable, Sequence
from decimal import Decimal

from workflows.domain.deciding import decide
from workflows.domain.decisions import RULE, Decision, DecisionInputs, Hold, Proposal
from workflows.domain.identity import Digest, Payload
from workflows.domain.policies import Policy, RiskTier

HOLD = "hold"
SHOWN = 25
"""Changed decisions that a trial names; the rest it counts."""


class Recorded(Payload):
    """A decision as it was recorded, with its evidence. `waiting`: a person is being asked about it now."""

    decision: Decision
    inputs: DecisionInputs
    waiting: bool


class Tally(Payload):
    """How many decisions came out how, and what went out without a person."""

    hold: int = 0
    auto: int = 0
    review: int = 0
    blocked: int = 0
    auto_value: Decimal = Decimal(0)


class Standing(Payload):
    """What one decision came to: `hold`, or a proposal's tier, and of what."""

    outcome: str
    units: int = 0
    value: Decimal = Decimal(0)
    supplier: str | None = None
    rules: tuple[str, ...] = ()


class ChangedDecision(Payload):
    """One decision that the policy would have made otherwise."""

    decision_id: str
    item: str
    item_name: str
    location: str
    waiting: bool
    before: Standing
    after: Standing


class Trial(Payload):
    """A policy against the one in force, over the same decisions. Both are decided anew, so that the difference is
    the policy's alone; nothing is written."""

    base_digest: Digest
    digest: Digest
    weeks: int
    decisions: int = 0
    left_out: int = 0
    """Older decisions of these weeks that were not tried."""
    currency: str = ""
    before: Tally = Tally()
    after: Tally = Tally()
    waiting_before: Tally = Tally()
    waiting_after: Tally = Tally()
    """The same, of the open tasks alone."""
    changed: int = 0
    quantity_changed: int = 0
    biggest: tuple[ChangedDecision, ...] = ()
    """The changed ones with the most money in them, at most `SHOWN`."""
    blind_to: tuple[str, ...] = ()
    """What the policy changes and a trial cannot show."""


class Trying:
    """Tries a policy on decisions, a stretch at a time."""

    def __init__(self, base: Policy, policy: Policy, weeks: int) -> None:
        self._base, self._policy = base, policy
        self._counts = [Tally().model_dump() for _ in range(4)]
        self._changed: list[ChangedDecision] = []
        self._changes = self._quantities = self._decisions = 0
        self._currency = ""
        self._weeks = weeks

    def add(self, stretch: Iterable[Recorded]) -> None:
        """Decide these under both policies."""
        for one in stretch:
            before, after = (standing(one.inputs, policy) for policy in (self._base, self._policy))
            self._decisions += 1
            self._currency = one.inputs.currency
            sides = [(self._counts[0], before), (self._counts[1], after)]
            if one.waiting:
                sides += [(self._counts[2], before), (self._counts[3], after)]
            for counts, side in sides:
                counts[side.outcome] += 1
                if side.outcome == RiskTier.AUTO:
                    counts["auto_value"] += side.value
            if (before.outcome, before.units, before.supplier) != (after.outcome, after.units, after.supplier):
                self._note(one, before, after)
        self._changed = _biggest(self._changed)

    def _note(self, one: Recorded, before: Standing, after: Standing) -> None:
        self._changes += 1
        self._quantities += before.units != after.units
        self._changed.append(
            ChangedDecision(
                decision_id=one.decision.decision_id, item=one.inputs.item.item, item_name=one.inputs.item.name,
                location=one.inputs.position.location, waiting=one.waiting, before=before, after=after,
            )
        )  # fmt: skip

    def result(self, recorded: int) -> Trial:
        """The trial over what was added, of `recorded` decisions that there are."""
        before, after, waiting_before, waiting_after = (Tally.model_validate(counts) for counts in self._counts)
        return Trial(
            base_digest=self._base.digest, digest=self._policy.digest, weeks=self._weeks, decisions=self._decisions,
            left_out=max(0, recorded - self._decisions), currency=self._currency, before=before, after=after,
            waiting_before=waiting_before, waiting_after=waiting_after, changed=self._changes,
            quantity_changed=self._quantities, biggest=tuple(self._changed), blind_to=_blind(self._base, self._policy),
        )  # fmt: skip


def standing(inputs: DecisionInputs, policy: Policy) -> Standing:
    """What these inputs come to under this policy, by the rule that decides now whichever decided then."""
    result: Hold | Proposal = decide(inputs.model_copy(update={"rule": RULE}), policy)
    if isinstance(result, Hold):
        return Standing(outcome=HOLD)
    rules = tuple(str(rule.code) for rule in result.rules)
    return Standing(
        outcome=str(result.tier), units=result.units, value=result.value, supplier=result.supplier, rules=rules
    )


def _biggest(changed: Sequence[ChangedDecision]) -> list[ChangedDecision]:
    return sorted(changed, key=lambda one: (-max(one.before.value, one.after.value), one.decision_id))[:SHOWN]


def _blind(base: Policy, policy: Policy) -> tuple[str, ...]:
    """Review periods enter when demand is scored, and deadlines when a task is opened: neither is in the evidence."""
    found = []
    if [(o.scope, o.review_days) for o in base.overrides if o.review_days] != [
        (o.scope, o.review_days) for o in policy.overrides if o.review_days
    ] or base.review_days != policy.review_days:
        found.append("review_days: it changes what the next assessments score, not what was scored")
    hours = ("remind_after_hours", "escalate_after_hours", "expire_after_hours", "tolerance_share")
    if any(getattr(base, name) != getattr(policy, name) for name in hours):
        found.append("deadlines and tolerance: they hold for tasks that are opened from now on")
    return tuple(found)
