"""Keeps figures that take long to make: a reader gets them at once, and newer ones are made behind the readers' backs.

What is made quickly is made anew for each reader, so a small installation never sees an old figure. The longer making
takes, the longer it is kept, though never longer than ten minutes: making takes at most a hundredth of the time.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable
from time import perf_counter
from typing import Generic, NamedTuple, TypeVar

from workflows.domain.deliveries import Deliveries, Delivery, SupplierRecord
from workflows.domain.errors import QuartermasterError
from workflows.domain.money import WEEKS, Money, MoneyReport

T = TypeVar("T")
log = logging.getLogger(__name__)

QUICK_SECONDS = 0.05
REST = 99
LONGEST_SECONDS = 600.0
MOST_KEYS = 100


class _Made(NamedTuple, Generic[T]):
    figure: T
    due: float


class Kept(Generic[T]):
    """Figures by what was asked for."""

    def __init__(self) -> None:
        self._made: dict[Hashable, _Made[T]] = {}
        self._making: dict[Hashable, asyncio.Task[None]] = {}

    async def get(self, key: Hashable, make: Callable[[], Awaitable[T]]) -> T:
        """The figure; only the first reader of one that takes long waits for it."""
        found = self._made.get(key)
        if found is None:
            return await self._make(key, make)
        if perf_counter() >= found.due and key not in self._making:
            task = self._making[key] = asyncio.create_task(self._make_behind(key, make))
            task.add_done_callback(lambda _: self._making.pop(key, None))
        return found.figure

    async def _make(self, key: Hashable, make: Callable[[], Awaitable[T]]) -> T:
        begun = perf_counter()
        figure = await make()
        took = perf_counter() - begun
        if took > QUICK_SECONDS:
            if len(self._made) >= MOST_KEYS:
                self._made.clear()
            self._made[key] = _Made(figure, perf_counter() + min(LONGEST_SECONDS, REST * took))
        else:
            self._made.pop(key, None)
        return figure

    async def _make_behind(self, key: Hashable, make: Callable[[], Awaitable[T]]) -> None:
        try:
            await self._make(key, make)
        except QuartermasterError as error:
            log.warning("figures stay as they were: %s", error)


class KeptMoney(Money):
    """The `Money` port: with a million decisions counting them takes a while."""

    def __init__(self, money: Money) -> None:
        self._money = money
        self._kept: Kept[MoneyReport] = Kept()

    async def report(self, weeks: int = WEEKS) -> MoneyReport:
        return await self._kept.get(weeks, lambda: self._money.report(weeks))


class KeptDeliveries(Deliveries):
    """The `Deliveries` port: orders in flight are of this moment, records of a supplier's last year may be kept."""

    def __init__(self, deliveries: Deliveries) -> None:
        self._deliveries = deliveries
        self._kept: Kept[list[SupplierRecord]] = Kept()

    async def in_flight(self, limit: int = 200) -> list[Delivery]:
        return await self._deliveries.in_flight(limit)

    async def suppliers(self) -> list[SupplierRecord]:
        return await self._kept.get("suppliers", self._deliveries.suppliers)
