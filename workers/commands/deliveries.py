"""`quartermaster deliveries`: orders in flight, how likely they are late, and who keeps its promises."""

from typing import Annotated

import typer

from workers.commands.connection import State, connected
from workers.commands.output import AsJson, errors_explained, print_json, print_table, run
from workers.wiring import deliveries_of
from workflows.domain.deliveries import Delivery, SupplierRecord

app = typer.Typer(no_args_is_help=True, help="Orders in flight and their odds.")


@app.command("list")
def list_deliveries(
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 200, state: State = None, json: AsJson = False
) -> None:
    """List orders in flight, dearest to be late with first: promised day, probability of lateness, what runs out."""
    with errors_explained():
        found = run(_in_flight(state, limit))
        if json:
            print_json({"deliveries": [one.model_dump(mode="json") for one in found]})
            return
        rows = [
            (one.order_id, one.promised_on, f"{one.late_probability * 100:.0f} %", one.days_late, one.likely_on,
             one.surely_by, f"{one.value:.2f} {one.currency}", ", ".join(threat.item for threat in one.threats[:3]),
             one.source)
            for one in found
        ]  # fmt: skip
        columns = ("order", "promised", "late", "days late", "likely", "95 % by", "owed", "runs out first", "from")
        print_table("Orders in flight", columns, rows)


@app.command()
def suppliers(state: State = None, json: AsJson = False) -> None:
    """Lead times against promises, by supplier, over the last year."""
    with errors_explained():
        found = run(_suppliers(state))
        if json:
            print_json({"suppliers": [one.model_dump(mode="json") for one in found]})
            return
        rows = [
            (one.supplier, f"{one.late} of {one.orders}", one.promised_days, one.lead_time_p50_days,
             one.lead_time_p95_days, one.supplier_p50_days, one.transport_p50_days,
             f"{one.delivered_share * 100:.1f} %", one.in_flight)
            for one in found
        ]  # fmt: skip
        columns = ("supplier", "late", "promised", "usual", "95 % within", "until shipped", "transport", "delivered",
                   "in flight")  # fmt: skip
        print_table("Suppliers (days)", columns, rows)


async def _in_flight(state: str | None, limit: int) -> list[Delivery]:
    async with connected(state) as parts:
        return await deliveries_of(parts).in_flight(limit)


async def _suppliers(state: str | None) -> list[SupplierRecord]:
    async with connected(state) as parts:
        return await deliveries_of(parts).suppliers()
