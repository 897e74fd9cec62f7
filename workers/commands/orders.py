"""`quartermaster orders`: where purchase orders are, and a word to one that waits for an operator."""

from decimal import Decimal
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from connectors.postgres.desk import PostgresDesk
from connectors.postgres.operations import PostgresOrderDesk
from workers.commands import doubt, person, reconciling
from workers.commands.connection import State, connected
from workers.commands.output import AsJson, errors_explained, print_json, print_table, run, say
from workflows.domain.errors import InvalidInput
from workflows.domain.operations import OrdersRetried, WaitingOrders
from workflows.domain.people import Permission

app = typer.Typer(no_args_is_help=True, help="Purchase orders.")
reconciling.register(app)
doubt.register(app)


@app.command("list")
def list_orders(
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 100, state: State = None, json: AsJson = False
) -> None:
    """List purchase orders, newest first, with the state of each."""
    with errors_explained():
        found = run(_orders(state, limit))
        if json:
            print_json({"orders": found})
            return
        rows = [
            (one["order_id"], one["state"], one["lines"], one["units"],
             f"{Decimal(one['value']):.2f} {one['currency']}", one["supplier_number"], one["reason"])
            for one in found
        ]  # fmt: skip
        print_table("Orders", ("order", "state", "lines", "units", "value", "supplier's number", "reason"), rows)


async def _orders(state: str | None, limit: int) -> list[dict[str, Any]]:
    async with connected(state) as parts:
        return await PostgresDesk(parts.database).orders(limit)


@app.command()
def retry(
    order: Annotated[str, typer.Argument(help="The order's id, as `orders list` shows it; none with --waiting.")] = "",
    waiting: Annotated[bool, typer.Option("--waiting", help="All that wait, as after a supplier's outage.")] = False,
    supplier: Annotated[str, typer.Option("--supplier", help="With --waiting: only this supplier's.")] = "",
    location: Annotated[str, typer.Option("--location", help="With --waiting: only this location's.")] = "",
    state: State = None,
    json: AsJson = False,
) -> None:
    """Go on with orders that could not be placed and wait for an operator: look for each, then send it if absent."""
    with errors_explained():
        if waiting == bool(order):
            raise InvalidInput("say which order, or --waiting for all that wait")
        if (supplier or location) and not waiting:
            raise InvalidInput("--supplier and --location narrow --waiting; an order's id names one already")
        if order:
            doubt.carry_out(state, json, lambda parts: PostgresOrderDesk(parts.database).retry(order, person.me()))
            return
        done = run(_retry_waiting(state, _which(supplier, location)))
        if json:
            print_json(done.model_dump(mode="json"))
        else:
            say(f"{done.orders:,} tried again" + (f"; {done.left:,} wait still: say it again" if done.left else ""))


def _which(supplier: str, location: str) -> WaitingOrders:
    try:
        return WaitingOrders(supplier=supplier, location=location)
    except ValidationError as error:
        raise InvalidInput(f"--{error.errors()[0]['loc'][0]}: {error.errors()[0]['msg']}") from error


async def _retry_waiting(state: str | None, which: WaitingOrders) -> OrdersRetried:
    """As many as waited when this began: each word is about so many at most, and some may soon wait anew."""
    async with connected(state, Permission.OPERATE) as parts:
        desk = PostgresOrderDesk(parts.database)
        done = await desk.retry_waiting(which, person.me())
        orders, waited = done.orders, done.orders + done.left
        while done.orders and orders < waited:
            done = await desk.retry_waiting(which, person.me())
            orders += done.orders
        return OrdersRetried(orders=orders, left=done.left)
