"""`quartermaster orders reconcile`, `differences` and `explain`: our orders against each supplier's own list."""

from typing import Annotated, Any

import typer

from connectors.postgres.reconciliation_desk import PostgresReconciliationDesk
from workers.commands import person
from workers.commands.connection import State, connected
from workers.commands.output import FAILED, AsJson, errors_explained, out, print_json, print_table, run, say
from workers.wiring_limits import reconciling
from workflows.domain.errors import NotFound
from workflows.domain.people import Permission
from workflows.domain.reconciliation import Difference
from workflows.domain.reconciling import Report

SHOWN = 100
"""Differences of a report that are told at once."""
Supplier = Annotated[str | None, typer.Option("--supplier", help="Only this supplier.")]
Words = Annotated[str, typer.Option("--reason", help="Why it is no fault; everybody sees it and the ledger keeps it.")]


def reconcile(supplier: Supplier = None, state: State = None, json: AsJson = False) -> None:
    """Compare our orders with each supplier's own list of them now. Exit code 1 when differences are unexplained."""
    with errors_explained():
        found = run(_reconciled(state, supplier))
        _print(found, json=json)
        if not all(report.clean for report, _ in found):
            raise typer.Exit(FAILED)


def differences(supplier: Supplier = None, state: State = None, json: AsJson = False) -> None:
    """Show what the newest reports found, and what is unexplained."""
    with errors_explained():
        _print(run(_newest(state, supplier)), json=json)


def explain(
    difference: Annotated[str, typer.Argument(help="The difference's id, as `orders differences` shows it.")],
    reason: Words,
    state: State = None,
    json: AsJson = False,
) -> None:
    """Say why a difference is no fault, in this report and in later ones. The first word counts."""
    with errors_explained():
        run(_explain(state, difference, reason))
        if json:
            print_json({"difference_id": difference, "explained": reason})
        else:
            say("It is on the record, and later reports know it")


def register(app: typer.Typer) -> None:
    """Add the commands to `quartermaster orders`."""
    app.command()(reconcile)
    app.command()(differences)
    app.command()(explain)


_Found = list[tuple[Report, list[Difference]]]


async def _reconciled(state: str | None, supplier: str | None) -> _Found:
    async with connected(state, Permission.OPERATE) as parts, reconciling(parts) as activities:
        suppliers = await _suppliers(activities.suppliers_after, supplier)
        for name in suppliers:
            say(f"Comparing with the list of {name}")
        found = [await activities.reconcile(name) for name in suppliers]
        desk = PostgresReconciliationDesk(parts.database)
        return [(report, await desk.differences(report.report_id, limit=SHOWN)) for report in found]


async def _suppliers(after: Any, supplier: str | None) -> list[str]:
    known: list[str] = []
    while page := await after(known[-1] if known else ""):
        known += page
    if supplier is None:
        return known
    if supplier not in known:
        raise NotFound(f"nothing was ordered from {supplier} lately: {', '.join(known) or 'from nobody'}")
    return [supplier]


async def _newest(state: str | None, supplier: str | None) -> _Found:
    async with connected(state) as parts:
        desk = PostgresReconciliationDesk(parts.database)
        reports = [report for report in await desk.newest() if supplier in (None, report.supplier)]
        return [(report, await desk.differences(report.report_id, limit=SHOWN)) for report in reports]


async def _explain(state: str | None, difference: str, reason: str) -> None:
    async with connected(state, Permission.OPERATE) as parts:
        await PostgresReconciliationDesk(parts.database).explain(difference, reason, person.me())


def _print(found: _Found, *, json: bool) -> None:
    if json:
        print_json({
            "open": sum(report.open for report, _ in found),
            "reports": [
                {**report.model_dump(mode="json"), "differences": [one.model_dump(mode="json") for one in listed]}
                for report, listed in found
            ],
        })  # fmt: skip
        return
    rows = [
        (report.supplier, report.report_id, report.ours, report.theirs, report.agreed, report.found, report.open,
         report.not_listed or "")
        for report, _ in found
    ]  # fmt: skip
    print_table(
        "Reports", ("supplier", "report", "ours", "theirs", "agreed", "differences", "unexplained", "not listed"), rows
    )
    for report, listed in found:
        for one in listed:
            out.print(f"{report.supplier} {one.kind} {one.order_id or one.key[:12] or '-'}: {one.says}", soft_wrap=True)
            told = f"explained{' by ' + one.explained_by if one.explained_by else ''}: {one.explained}"
            out.print(f"    {told if one.explained else one.difference_id}", soft_wrap=True)
        if report.found > len(listed):
            out.print(f"    and {report.found - len(listed):,} more")
