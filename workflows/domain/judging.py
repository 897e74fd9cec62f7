"""What would become of an approval, before anybody gives it: asked for many tasks that shall be answered at once."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from workflows.domain.identity import Payload


class Judgement(Payload):
    """Whether an approval of the proposed units would count now, and how many people would have to sign."""

    refused: str = ""
    """Why it would not count, in words for whoever would give it; empty: it would."""
    signatures: int = 1
    """How many people must sign, this one included."""


class Judging(Protocol):
    """Judges by the rules that the storage of answers asks, and changes nothing."""

    async def judge(self, decision_ids: Sequence[str], name: str) -> Mapping[str, Judgement]:
        """Approvals of these open tasks by this person; tasks that are not known are left out."""
        ...
