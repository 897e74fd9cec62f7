"""Judges orders in flight when somebody looks: facts from PostgreSQL, odds from the champion model, nothing stored."""

import asyncio
from typing import TYPE_CHECKING

from connectors.postgres.deliveries import PostgresDeliveries
from workflows.domain.deliveries import Deliveries, Delivery, SupplierRecord
from workflows.domain.ports import Models, ModelStore

if TYPE_CHECKING:
    from activities.learning.deliveries import DeliveryForecasts


class LiveDeliveries(Deliveries):
    """The `Deliveries` port of console, REST and command line."""

    def __init__(self, facts: PostgresDeliveries, models: Models, store: ModelStore) -> None:
        self._facts = facts
        self._models = models
        self._store = store

    async def in_flight(self, limit: int = 200) -> list[Delivery]:
        """Dearest first: by expected lost sales, then by probability of lateness.

        Raises:
            ModelUnusable: the champion's bytes are missing or damaged.
        """
        orders = await self._facts.in_flight(limit)
        champion = await self._models.champion() if orders else None
        model = await asyncio.to_thread(self._store.get, champion.digest) if champion else None
        found = await asyncio.to_thread(lambda: _forecasts().assess(orders, model))
        return sorted(found, key=lambda one: (-one.lost_value, -one.late_probability, one.promised_on, one.order_id))

    async def suppliers(self) -> list[SupplierRecord]:
        years = await self._facts.years()
        return await asyncio.to_thread(lambda: _forecasts().records(years))


def _forecasts() -> "DeliveryForecasts":
    # The numeric libraries take seconds to load: only a process that is asked about deliveries does it.
    from activities.learning.deliveries import DeliveryForecasts

    return DeliveryForecasts(nthread=1)
