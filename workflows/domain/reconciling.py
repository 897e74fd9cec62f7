"""Reports of reconciliations: how one is made in steps, what it says, and what people say about it."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from typing import Any, Protocol

from workflows.domain.approvals import Actor
from workflows.domain.identity import Code, Instant, Payload, canonical
from workflows.domain.order_lists import ListedPage
from workflows.domain.reconciliation import Difference

DAYS = 90
"""Orders of so many days of the business clock are compared."""


class Reading(Payload):
    """A report under way: how far the supplier's list was read."""

    report_id: str
    supplier: Code
    begun_at: Instant
    since: Instant
    """Orders with a cutoff from this instant of the business clock on."""
    read_to: str | None = None
    read_whole: bool = False
    pages: int = 0


class Report(Payload):
    """A finished comparison with one supplier."""

    report_id: str
    supplier: Code
    begun_at: Instant
    finished_at: Instant
    since: Instant
    not_listed: str | None = None
    """Why nothing was compared; None: it was."""
    ours: int = 0
    """Orders of ours that should be there, or may be."""
    theirs: int = 0
    """Entries of their list."""
    agreed: int = 0
    """Keys on which both agree."""
    found: int = 0
    """Differences."""
    open: int = 0
    """Differences that nobody has explained until now."""
    digest: str = ""

    @property
    def clean(self) -> bool:
        """Every difference is explained."""
        return self.open == 0


class Reconciled(Payload):
    """What a round over all suppliers came to so far."""

    through: str = ""
    """The last supplier by name that was looked at."""
    reports: int = 0
    open: int = 0
    """Differences that nobody has explained."""
    failed: int = 0
    """Suppliers whose list could not be read."""

    def with_report(self, report: Report) -> "Reconciled":
        """One more supplier was compared."""
        told = {"through": report.supplier, "reports": self.reports + 1, "open": self.open + report.open}
        return self.model_copy(update=told)

    def without(self, supplier: str) -> "Reconciled":
        """One more supplier could not be asked."""
        return self.model_copy(update={"through": supplier, "failed": self.failed + 1})


class ReportDigest:
    """The report's digest, made while differences pass by: there may be more of them than memory holds.

    SHA-256 over the canonical bytes of supplier, report, since and then of each difference, each followed by a newline,
    in the order of the report.
    """

    def __init__(self, reading: Reading) -> None:
        self._sha = hashlib.sha256()
        self._add([reading.supplier, reading.report_id, reading.since])
        self.kinds: Counter[str] = Counter()
        self.explained = 0

    def take(self, differences: Iterable[Difference]) -> None:
        """The next differences."""
        for one in differences:
            self._add(
                [one.difference_id, one.kind, one.key, one.order_id, one.supplier_number, one.says, one.explained]
            )
            self.kinds[one.kind] += 1
            self.explained += one.explained is not None

    def hexdigest(self) -> str:
        """The digest of everything taken."""
        return self._sha.hexdigest()

    def _add(self, value: Any) -> None:
        self._sha.update(canonical(value) + b"\n")


class Reconciliations(Protocol):
    """Where reports are made."""

    async def suppliers(self) -> list[str]:
        """Those that something was ordered from in the days that are compared, by name."""
        ...

    async def begin(self, supplier: str) -> Reading:
        """A new report, or the one that is under way: whoever comes second goes on with it."""
        ...

    async def keep(self, reading: Reading, page: ListedPage) -> Reading:
        """Put a page aside and note how far the list was read, in one step.

        Raises:
            Unavailable: somebody else goes on with this report.
        """
        ...

    async def finish(self, reading: Reading, *, not_listed: str | None = None) -> Report:
        """Compare, store the report with its differences, and enter it in the ledger; finished already: as it is."""
        ...


class ReconciliationDesk(Protocol):
    """What people see of reports, and say about differences."""

    async def newest(self) -> list[Report]:
        """The newest finished report of each supplier, those with open differences first."""
        ...

    async def under_way(self) -> list[Reading]:
        """Suppliers whose list is being read, or could not be read to its end; longest first."""
        ...

    async def report(self, report_id: str) -> Report:
        """A finished report, however old.

        Raises:
            NotFound: there is no such report.
        """
        ...

    async def differences(self, report_id: str, *, after: int = 0, limit: int = 100) -> list[Difference]:
        """Differences of a report in its order, from number `after` + 1 on.

        Raises:
            NotFound: there is no such report.
        """
        ...

    async def explain(self, difference_id: str, explanation: str, actor: Actor) -> None:
        """Note why it is no fault, for this report and every later one in which it is the same. The first word counts.

        Raises:
            InvalidInput: the explanation says nothing, or is no single line.
            NotFound: no report has such a difference.
            Conflict: somebody explained it otherwise.
        """
        ...
