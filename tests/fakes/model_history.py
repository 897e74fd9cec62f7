"""A model version's life and record in memory."""

from datetime import UTC, datetime
from decimal import Decimal

from workflows.domain.ledger import EntryType
from workflows.domain.model_history import ModelEvent, TurnedOut

MARCH = datetime(2025, 3, 1, 4, tzinfo=UTC)


class MemoryModelHistory:
    """`ModelHistory` with one story for every version."""

    async def events(self, digest: str) -> list[ModelEvent]:
        kinds = (
            (EntryType.MODEL_TRAINED, "engine"),
            (EntryType.MODEL_JUDGED, "engine"),
            (EntryType.MODEL_PROMOTED, "Ada"),
        )
        return [ModelEvent(type=kind, actor=actor, at=MARCH, seq=n) for n, (kind, actor) in enumerate(kinds, start=1)]

    async def turned_out(self, digest: str) -> list[TurnedOut]:
        return [
            TurnedOut(
                category="drinks", outcomes=200, at_or_below_p10=24, at_or_below_p50=104, at_or_below_p90=178,
                demand_units=4000, median_units=Decimal(3900), stocked_out=9,
            ),
            TurnedOut(
                category="ceramics", outcomes=0, at_or_below_p10=0, at_or_below_p50=0, at_or_below_p90=0,
                demand_units=0, median_units=Decimal(0), stocked_out=0,
            ),
        ]  # fmt: skip
