"""Does the comparing with suppliers' own lists: one supplier at a time, page by page, gone on with after a crash."""

import asyncio
from collections.abc import Awaitable, Callable

from temporalio import activity

from activities.heartbeats import heartbeats
from workflows.domain.errors import TurnedAway, Unavailable
from workflows.domain.order_lists import ListedPage, NotListed, OrderLists
from workflows.domain.permits import CallOutcome, SendPermits
from workflows.domain.reconciling import Reading, Reconciliations, Report
from workflows.domain.requests import RequestKind

PATIENCE_SECONDS = 120.0
"""How long one page waits to be allowed to be asked for, before the attempt is given up."""
MOST_PAGES = 1_000_000
"""A list that goes round in circles ends here."""
SUPPLIERS = 200
"""Suppliers of one run of the workflow."""


class ReconciliationActivities:
    """Compares. A page is a question to the supplier like any other: the circuit and the pace are asked first."""

    def __init__(
        self, reports: Reconciliations, lists: OrderLists, permits: SendPermits,
        rest: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:  # fmt: skip
        self._reports = reports
        self._lists = lists
        self._permits = permits
        self._rest = rest

    @activity.defn
    async def suppliers_after(self, name: str) -> list[str]:
        """The next suppliers to compare with, by name."""
        return [one for one in await self._reports.suppliers() if one > name][:SUPPLIERS]

    @activity.defn
    async def reconcile(self, supplier: str) -> Report:
        """Compare our orders with this supplier's list and store the report.

        Raises:
            Unavailable: the list could not be read to its end now; the next attempt goes on where this one stopped.
        """
        async with heartbeats():
            reading = await self._reports.begin(supplier)
            while not reading.read_whole:
                if reading.pages >= MOST_PAGES:
                    return await self._reports.finish(reading, not_listed="the list has no end")
                try:
                    page = await self._asked(reading)
                except NotListed as error:
                    return await self._reports.finish(reading, not_listed=str(error))
                reading = await self._reports.keep(reading, page)
            return await self._reports.finish(reading)

    async def _asked(self, reading: Reading) -> ListedPage:
        supplier, kind = reading.supplier, RequestKind.RECONCILE
        await self._allowed(supplier)
        try:
            page = await self._lists.listed(supplier, reading.read_to)
        except NotListed:
            await self._permits.observed(supplier, kind, CallOutcome.ANSWERED)
            raise
        except Unavailable as error:
            away = isinstance(error, TurnedAway)
            outcome = CallOutcome.ANSWERED if away else CallOutcome.UNAVAILABLE
            await self._permits.observed(supplier, kind, outcome, error.wait_seconds)
            raise
        await self._permits.observed(supplier, kind, CallOutcome.ANSWERED)
        return page

    async def _allowed(self, supplier: str) -> None:
        waited = 0.0
        while not (permit := await self._permits.permit(supplier, RequestKind.RECONCILE)).granted:
            if waited + permit.wait_seconds > PATIENCE_SECONDS:
                raise Unavailable(f"the list of {supplier} may not be asked for: {permit.reason}").later(
                    permit.wait_seconds
                )
            await self._rest(permit.wait_seconds)
            waited += permit.wait_seconds
