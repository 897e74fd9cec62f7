"""Does the closing of decisions: measures what came of them, in bounded rounds."""

from temporalio import activity

from workflows.domain.outcomes import measure
from workflows.domain.ports import Outcomes

ROUND = 500
"""Outcomes in one transaction."""


class OutcomeActivities:
    """Closes decisions."""

    def __init__(self, outcomes: Outcomes) -> None:
        self._outcomes = outcomes

    @activity.defn
    async def close_due(self) -> int:
        """Measure every decision whose horizon has passed; how many were closed."""
        closed = 0
        while due := await self._outcomes.due(ROUND):
            stored = await self._outcomes.record([measure(facts) for facts in due])
            closed += stored
            activity.heartbeat(closed)
            if stored == 0:
                # Somebody else stores the same ones right now; their round will finish them.
                break
        return closed
