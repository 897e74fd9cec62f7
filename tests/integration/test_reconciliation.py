"""Reports in Postgres: what differs from a supplier's list is stored once, proved, and explained by people."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from connectors.postgres import reconciliation
from connectors.postgres.reconciliation import PostgresReconciliations
from connectors.postgres.reconciliation_desk import PostgresReconciliationDesk
from tests.storeroom import SUPPLIER, Storeroom, catalog, clock, counted
from workflows.domain import failpoints
from workflows.domain.approvals import Actor
from workflows.domain.errors import Conflict, InvalidInput, NotFound, Unavailable
from workflows.domain.ledger import EntryType
from workflows.domain.order_lists import ListedLine, ListedOrder, ListedPage
from workflows.domain.orders import PurchaseOrder
from workflows.domain.reconciliation import Difference, DifferenceKind
from workflows.domain.reconciling import Reading, Report, ReportDigest

OLGA = Actor(name="olga")


async def placed(storeroom: Storeroom, *, long_ago: bool = True) -> PurchaseOrder:
    """One placed order, which left an hour ago."""
    await storeroom.stock(catalog(1))
    storeroom.take(counted(9), clock())
    await storeroom.assess()
    await storeroom.answer("LEEDS:ITEM-001:1")
    released = await storeroom.orders.release("LEEDS:ITEM-001:1", storeroom.hash_of("LEEDS:ITEM-001:1"))
    assert released.order_id
    order = await storeroom.place(released.order_id)
    assert order is not None
    if long_ago:
        storeroom.connection.execute("UPDATE purchase_order SET last_sent_at = last_sent_at - interval '1 hour'")
    return order


def listed(order: PurchaseOrder, **changes: Any) -> ListedOrder:
    lines = tuple(ListedLine(item=one.item, units=one.units, unit_cost=one.unit_cost) for one in order.lines)
    known = ListedOrder(
        key=order.key, supplier_number="A-1", currency=order.currency, lines=lines, ordered_at=order.ordered_at
    )
    return known.model_copy(update=changes)


async def reported(storeroom: Storeroom, *pages: Sequence[ListedOrder]) -> Report:
    """A report over a list of these pages."""
    reports = PostgresReconciliations(storeroom.database)
    return await reports.finish(await read(reports, *pages))


async def read(reports: PostgresReconciliations, *pages: Sequence[ListedOrder]) -> Reading:
    reading = await reports.begin(SUPPLIER)
    for n, page in enumerate(pages, 1):
        further = None if n == len(pages) else f"page {n}"
        reading = await reports.keep(reading, ListedPage(orders=tuple(page), next=further))
    return reading


async def differences(storeroom: Storeroom, report: Report) -> list[Difference]:
    return await PostgresReconciliationDesk(storeroom.database).differences(report.report_id)


def entries(storeroom: Storeroom) -> list[Any]:
    return storeroom.rows(
        "SELECT type, actor, convert_from(body, 'UTF8')::jsonb AS body FROM ledger_entry "
        "WHERE stream = 'reconciliation:acme' ORDER BY seq"
    )


async def test_where_both_agree_the_report_is_clean_and_in_the_ledger(storeroom: Storeroom) -> None:
    order = await placed(storeroom)

    report = await reported(storeroom, [listed(order)])

    assert (report.ours, report.theirs, report.agreed, report.found, report.clean) == (1, 1, 1, 0, True)
    (entry,) = entries(storeroom)
    assert entry["type"] == EntryType.RECONCILIATION_REPORTED
    assert entry["body"]["digest"] == report.digest
    assert (entry["body"]["agreed"], entry["body"]["kinds"]) == (1, {})
    assert storeroom.rows("SELECT * FROM reconciliation_listed") == []
    assert await PostgresReconciliations(storeroom.database).suppliers() == [SUPPLIER]
    assert storeroom.verified().ok


async def test_each_kind_of_difference_is_found_over_many_pages_and_stretches(
    storeroom: Storeroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciliation, "KEYS", 2)
    order = await placed(storeroom)
    strangers = [listed(order, key=f"{n:064x}", supplier_number=f"X-{n}") for n in range(5)]
    by_hand = [listed(order, key="", supplier_number="phone")] * 3

    report = await reported(storeroom, [listed(order), *strangers], [], by_hand, [listed(order)])

    found = await differences(storeroom, report)
    assert [one.kind for one in found].count(DifferenceKind.UNKNOWN_ORIGIN) == 8
    assert [one.order_id for one in found if one.kind is DifferenceKind.DUPLICATE] == [order.order_id]
    assert (report.theirs, report.found, report.open, report.agreed) == (10, 9, 9, 0)
    assert entries(storeroom)[0]["body"]["kinds"] == {"duplicate": 1, "unknown_origin": 8}


async def test_anybody_can_make_the_digest_again(storeroom: Storeroom) -> None:
    order = await placed(storeroom)
    reports = PostgresReconciliations(storeroom.database)
    reading = await read(reports, [listed(order, currency="USD"), listed(order, key="")])
    report = await reports.finish(reading)

    again = ReportDigest(reading)
    again.take(await differences(storeroom, report))

    assert again.hexdigest() == report.digest


async def test_what_left_just_now_and_is_not_listed_yet_is_explained(storeroom: Storeroom) -> None:
    await placed(storeroom, long_ago=False)

    report = await reported(storeroom, [])

    (found,) = await differences(storeroom, report)
    assert (found.kind, found.explained is not None, report.open) == (DifferenceKind.MISSING, True, 0)


async def test_what_the_supplier_has_from_long_ago_is_not_compared(storeroom: Storeroom) -> None:
    order = await placed(storeroom)
    old = listed(order, key="b" * 64, ordered_at=order.ordered_at - timedelta(days=91))

    report = await reported(storeroom, [listed(order), old])

    assert (report.theirs, report.found) == (1, 0)


async def test_a_person_explains_a_difference_once_and_for_later_reports(storeroom: Storeroom) -> None:
    order = await placed(storeroom)
    desk = PostgresReconciliationDesk(storeroom.database)
    page = [listed(order), listed(order, key="", supplier_number="phone")]
    report = await reported(storeroom, page)
    assert (report.open, report.clean) == (1, False)
    (found,) = await differences(storeroom, report)

    await desk.explain(found.difference_id, "ordered by phone for the fair", OLGA)
    await desk.explain(found.difference_id, "ordered by phone for the fair", OLGA)
    with pytest.raises(Conflict, match="olga explained it already"):
        await desk.explain(found.difference_id, "no idea", Actor(name="otto"))
    with pytest.raises(NotFound):
        await desk.explain("0" * 64, "no such thing", OLGA)
    for nothing in ("", " x ", "two\nlines", "y" * 501):
        with pytest.raises(InvalidInput, match="one line of 3 to 500"):
            await desk.explain(found.difference_id, nothing, OLGA)

    assert [one.open for one in await desk.newest()] == [0]
    (again,) = await differences(storeroom, report)
    assert (again.explained, again.explained_by) == ("ordered by phone for the fair", "olga")
    later = await reported(storeroom, page)
    assert later.report_id == "acme:2"
    assert (later.found, later.open) == (1, 0)
    assert [row["type"] for row in entries(storeroom)] == [
        EntryType.RECONCILIATION_REPORTED, EntryType.DIFFERENCE_EXPLAINED, EntryType.RECONCILIATION_REPORTED,
    ]  # fmt: skip
    assert storeroom.verified().ok


async def test_a_supplier_without_a_list_is_reported_as_that(storeroom: Storeroom) -> None:
    await placed(storeroom)
    reports = PostgresReconciliations(storeroom.database)

    report = await reports.finish(await reports.begin(SUPPLIER), not_listed="501")

    assert (report.not_listed, report.found, report.clean) == ("501", 0, True)
    assert entries(storeroom)[0]["body"]["not_listed"] == "501"


async def test_of_two_that_read_the_same_list_one_goes_on(storeroom: Storeroom) -> None:
    order = await placed(storeroom)
    reports = PostgresReconciliations(storeroom.database)
    readings = await asyncio.gather(reports.begin(SUPPLIER), reports.begin(SUPPLIER))
    assert readings[0] == readings[1]
    page = ListedPage(orders=(listed(order),), next="more")

    kept = await asyncio.gather(*(reports.keep(one, page) for one in readings), return_exceptions=True)

    assert sorted(type(one).__name__ for one in kept) == ["Reading", "Unavailable"]
    (reading,) = [one for one in kept if isinstance(one, Reading)]
    reading = await reports.keep(reading, ListedPage(orders=(), next=None))
    both = await asyncio.gather(reports.finish(reading), reports.finish(reading))
    assert both[0] == both[1]
    assert both[0].theirs == 1
    assert len(entries(storeroom)) == 1


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("name", ["reconciliation.begin", "reconciliation.keep", "reconciliation.finish"])
async def test_a_killed_report_is_gone_on_with_and_nothing_counts_twice(
    storeroom: Storeroom, name: str, moment: str
) -> None:
    order = await placed(storeroom)
    reports = PostgresReconciliations(storeroom.database)
    pages = {None: ListedPage(orders=(listed(order),), next="more"),
             "more": ListedPage(orders=(listed(order, key="c" * 64),), next=None)}  # fmt: skip
    armed = {f"{name}:{moment}"}

    def die(point: str) -> float:
        if point in armed:
            armed.remove(point)
            raise ConnectionError("killed")
        return 0

    async def attempt() -> Report:
        reading = await reports.begin(SUPPLIER)
        while not reading.read_whole:
            reading = await reports.keep(reading, pages[reading.read_to])
        return await reports.finish(reading)

    failpoints.install(die)
    try:
        with pytest.raises(ConnectionError):
            await attempt()
        report = await attempt()
    finally:
        failpoints.install(None)

    if (name, moment) == ("reconciliation.finish", "after"):
        assert report.report_id == "acme:2", "the first one was finished: nobody had been told"
    else:
        assert report.report_id == "acme:1"
        assert len(entries(storeroom)) == 1
    assert (report.theirs, report.agreed, report.found) == (2, 1, 1)
    assert storeroom.verified().ok


async def test_a_list_that_was_begun_yesterday_is_read_again(storeroom: Storeroom) -> None:
    order = await placed(storeroom)
    reports = PostgresReconciliations(storeroom.database)
    stale = await reports.begin(SUPPLIER)
    stale = await reports.keep(stale, ListedPage(orders=(listed(order),), next="more"))
    storeroom.connection.execute("UPDATE reconciliation_report SET begun_at = begun_at - interval '1 day'")

    fresh = await reports.begin(SUPPLIER)

    assert (fresh.report_id, fresh.pages, fresh.read_to) == (stale.report_id, 0, None)
    with pytest.raises(Unavailable):
        await reports.keep(stale, ListedPage(orders=(), next=None))
    assert (await reported(storeroom, [listed(order)])).theirs == 1
