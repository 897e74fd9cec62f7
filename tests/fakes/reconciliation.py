"""Suppliers' lists, reports and permits in memory."""

from collections.abc import Sequence
from datetime import UTC, datetime

from workflows.domain.order_lists import ListedOrder, ListedPage, NotListed
from workflows.domain.permits import CallOutcome, Permit
from workflows.domain.reconciliation import OurOrder, compare
from workflows.domain.reconciling import Reading, Report
from workflows.domain.requests import RequestKind

NOW = datetime(2025, 3, 3, 6, tzinfo=UTC)


class ToldLists:
    """`OrderLists` that tell what a test says, a page for each call."""

    def __init__(self, pages: dict[str, Sequence[Sequence[ListedOrder]]]) -> None:
        self.pages = pages
        self.asked: list[tuple[str, str | None]] = []

    async def listed(self, supplier: str, after: str | None) -> ListedPage:
        self.asked.append((supplier, after))
        if supplier not in self.pages:
            raise NotListed(f"{supplier} tells no list")
        pages, n = self.pages[supplier], int(after or 0)
        return ListedPage(orders=tuple(pages[n]), next=str(n + 1) if n + 1 < len(pages) else None)


class MemoryReconciliations:
    """`Reconciliations` over orders of ours in memory."""

    def __init__(self, ours: dict[str, Sequence[OurOrder]]) -> None:
        self._ours = ours
        self._kept: dict[str, list[ListedOrder]] = {}
        self._readings: dict[str, Reading] = {}
        self.reports: list[Report] = []

    async def suppliers(self) -> list[str]:
        return sorted(self._ours)

    async def begin(self, supplier: str) -> Reading:
        if supplier not in self._readings:
            number = 1 + sum(report.supplier == supplier for report in self.reports)
            self._kept[supplier] = []
            self._readings[supplier] = Reading(
                report_id=f"{supplier}:{number}", supplier=supplier, begun_at=NOW, since=NOW
            )
        return self._readings[supplier]

    async def keep(self, reading: Reading, page: ListedPage) -> Reading:
        self._kept[reading.supplier] += page.orders
        told = {"read_to": page.next, "read_whole": page.next is None, "pages": reading.pages + 1}
        self._readings[reading.supplier] = reading.model_copy(update=told)
        return self._readings[reading.supplier]

    async def finish(self, reading: Reading, *, not_listed: str | None = None) -> Report:
        supplier = reading.supplier
        ours = {one.key: one for one in self._ours[supplier]}
        theirs = self._kept.pop(supplier)
        keys = sorted(ours.keys() | {one.key for one in theirs}) if not_listed is None else []
        found = [d for key in keys for d in compare(supplier, ours.get(key), [t for t in theirs if t.key == key])]
        report = Report(
            report_id=reading.report_id, supplier=supplier, begun_at=NOW, finished_at=NOW, since=NOW,
            not_listed=not_listed, found=len(found), open=sum(one.explained is None for one in found),
        )  # fmt: skip
        del self._readings[supplier]
        self.reports.append(report)
        return report


class ToldPermits:
    """`SendPermits` that refuse as often as a test says, and keep what they were told."""

    def __init__(self, *waits: float) -> None:
        self.waits = list(waits)
        self.told: list[tuple[str, CallOutcome]] = []

    async def permit(self, supplier: str, kind: RequestKind) -> Permit:
        assert kind.reads
        return (
            Permit(granted=False, wait_seconds=self.waits.pop(0), reason="busy") if self.waits else Permit(granted=True)
        )

    async def observed(
        self, supplier: str, kind: RequestKind, outcome: CallOutcome, retry_after_s: float | None = None
    ) -> None:
        self.told.append((supplier, outcome))
