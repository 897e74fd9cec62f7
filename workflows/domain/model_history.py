"""What became of a model version: who trained, judged and promoted it, and how its forecasts turned out."""

from decimal import Decimal
from typing import Final, Protocol

from workflows.domain.identity import Instant, Payload
from workflows.domain.ledger import EntryType

OUTCOMES: Final = 2_000
"""The newest outcomes of a version that its record counts."""

RECORD_DEFINITIONS: Final[dict[str, str]] = {
    "at_or_below": (
        "Outcomes whose demand over the decision's horizon was at or below the forecast's 10 %, 50 % and 90 % "
        "quantile. A calibrated forecast has 10, 50 and 90 of a hundred there; demand in few units has more, because "
        "of ties."
    ),
    "bias": "Sum of demand less median forecast, over the sum of demand: positive means that more came than expected.",
    "stocked_out": "Outcomes with at least one day that closed without stock within the horizon.",
}
"""What the figures of a record count."""


class ModelEvent(Payload):
    """One step in a version's life, from the ledger."""

    type: EntryType
    actor: str
    at: Instant
    seq: int


class TurnedOut(Payload):
    """How the forecasts of one version turned out for one category."""

    category: str
    outcomes: int
    at_or_below_p10: int
    at_or_below_p50: int
    at_or_below_p90: int
    demand_units: int
    median_units: Decimal
    """Sum of the median forecasts."""
    stocked_out: int

    @property
    def bias(self) -> Decimal | None:
        """Share of demand by which more came than the medians said; None where nothing came."""
        return (self.demand_units - self.median_units) / self.demand_units if self.demand_units else None


class ModelHistory(Protocol):
    """Reads of the registry's past; bounded."""

    async def events(self, digest: str) -> list[ModelEvent]:
        """Its life, oldest step first."""
        ...

    async def turned_out(self, digest: str) -> list[TurnedOut]:
        """By category, those with most outcomes first, over the newest `OUTCOMES` of this version's decisions."""
        ...
