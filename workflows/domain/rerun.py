"""Makes a recorded decision again from its recorded inputs and policy, and says whether it comes out the same."""

from collections.abc import Iterator
from typing import Any

from workflows.domain.deciding import decide
from workflows.domain.decisions import Decision, DecisionInputs
from workflows.domain.identity import Payload, digest, plain
from workflows.domain.policies import Policy


class Deviation(Payload):
    """One thing that does not come out as it was recorded."""

    what: str
    recorded: str
    now: str


class Rerun(Payload):
    """What became of a decision that was made again."""

    rule: int
    """Which rule of decision was used: the one that the inputs name."""
    deviations: tuple[Deviation, ...] = ()

    @property
    def equal(self) -> bool:
        """Whether every figure, rule and sentence came out as it was recorded."""
        return not self.deviations


def rerun(decision: Decision, inputs: DecisionInputs, policy: Policy) -> Rerun:
    """Decide again and compare, digests included: inputs or a policy that were altered later do not match theirs.

    Raises:
        InvalidInput: the inputs name a rule that this version does not know.
    """
    found = [*_digests(decision, inputs, policy)]
    found += _differing("", plain(decision.result), plain(decide(inputs, policy)))
    return Rerun(rule=inputs.rule, deviations=tuple(found))


def _digests(decision: Decision, inputs: DecisionInputs, policy: Policy) -> Iterator[Deviation]:
    for what, recorded, now in (
        ("inputs digest", decision.inputs_digest, digest(inputs)),
        ("policy digest", decision.policy_digest, policy.digest),
    ):
        if recorded != now:
            yield Deviation(what=what, recorded=recorded, now=now)


def _differing(path: str, recorded: Any, now: Any) -> Iterator[Deviation]:
    if isinstance(recorded, dict) and isinstance(now, dict):
        for key in sorted(recorded.keys() | now.keys()):
            yield from _differing(f"{path}.{key}" if path else key, recorded.get(key), now.get(key))
    elif isinstance(recorded, list) and isinstance(now, list) and len(recorded) == len(now):
        for number, (one, other) in enumerate(zip(recorded, now, strict=True), start=1):
            yield from _differing(f"{path} {number}", one, other)
    elif recorded != now:
        yield Deviation(what=path, recorded=_said(recorded), now=_said(now))


def _said(value: Any) -> str:
    return "nothing" if value is None else f"{len(value)} entries" if isinstance(value, list) else str(value)
