"""Measured outcomes propose service targets: where stock ran out more or less often than was aimed at."""

from collections.abc import Sequence
from decimal import Decimal

from workflows.domain.limits import Override, Place, ServiceAim, ServiceMeasure
from workflows.domain.policies import Policy
from workflows.domain.policy_changes import ServiceRecord

LEAST_DECISIONS = 30
"""Fewer outcomes than this say nothing about a share."""
LARGEST_STEP = Decimal("0.02")
"""A target moves by at most this much at a time (science 2.3: at most 0.02 a month)."""
LOWEST, HIGHEST = Decimal("0.5"), Decimal("0.995")
STANDARD_ERRORS = 2


class ServiceProposal(ServiceRecord):
    """The target that a category's outcomes ask for."""

    proposed: Decimal


def service_proposals(records: Sequence[ServiceRecord]) -> list[ServiceProposal]:
    """A new target for each category whose share of stock-outs is surely not 1 - target.

    Surely: further off than two standard errors of a share with that mean. The step is the gap, at most `LARGEST_STEP`.
    """
    found = []
    for record in records:
        if record.decisions < LEAST_DECISIONS:
            continue
        accepted = 1 - record.target
        gap = record.share - accepted
        error = (accepted * record.target / record.decisions).sqrt()
        if abs(gap) <= STANDARD_ERRORS * error:
            continue
        step = max(-LARGEST_STEP, min(LARGEST_STEP, gap))
        proposed = min(HIGHEST, max(LOWEST, record.target + step)).quantize(Decimal("0.001"))
        if proposed != record.target:
            found.append(ServiceProposal(**dict(record), proposed=proposed))
    return found


def with_service_targets(policy: Policy, proposals: Sequence[ServiceProposal]) -> Policy:
    """The next version of the policy, with these categories' targets."""
    overrides = {override.scope: override for override in policy.overrides}
    for one in proposals:
        aim = ServiceAim(measure=ServiceMeasure.CYCLE, target=one.proposed)
        scope = Place("", one.category, "", "")
        known = overrides.get(scope)
        overrides[scope] = (
            known.model_copy(update={"service": aim}) if known else Override(category=one.category, service=aim)
        )
    fields = {**dict(policy), "version": policy.version + 1, "overrides": tuple(overrides.values())}
    return Policy.model_validate(fields)
