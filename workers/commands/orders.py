"""`quartermaster orders`: where purchase orders are, and a word to one that waits for an operator."""

from decimal import Decimal
from typing import Annotated, Any

import typer

from connectors.postgres.desk import PostgresDesk
from connectors.postgres.orders import PostgresOrders
from workers.commands import doubt, reconciling
from workers.commands.connection import State, connected
from workers.commands.output import AsJson, errors_explained, print_json, print_table, run, say
from workers.temporal import Messenger
from workflows.domain.errors import Conflict
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
    order: Annotated[str, typer.Argument(help="The order's id, as `orders list` shows it.")],
    state: State = None,
    json: AsJson = False,
) -> None:
    """Go on with an order that could not be placed and waits for an operator: look for it, then send it if absent."""
    with errors_explained():
        run(_retry(state, order))
        if json:
            print_json({"order_id": order, "retried": True})
        else:
            say(f"{order} is tried again: it is looked for at the supplier, and sent if it is not there")


async def _retry(state: str | None, order: str) -> None:
    async with connected(state, Permission.OPERATE, worker=True) as parts:
        kept = await PostgresOrders(parts.database).state(order)
        messenger = Messenger(parts.client)
        if not await messenger.awaits_operator(order) or not await messenger.try_order_again(order):
            raise Conflict(f"nothing waits for an operator: the order {order} is {kept}")
