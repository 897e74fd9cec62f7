"""`quartermaster budget`, `kpi`: where money goes first, and how steady the orders are."""

from decimal import Decimal, InvalidOperation
from typing import Annotated

import typer

from connectors.postgres.planning import PostgresPlanning
from workers.commands.connection import State, connected
from workers.commands.output import AsJson, errors_explained, out, print_json, print_table, run
from workflows.domain.budgets import Ranking
from workflows.domain.errors import InvalidInput
from workflows.domain.planning import DEFINITIONS, Stability

budgets = typer.Typer(no_args_is_help=True, help="A limited amount of money over the open proposals.")


@budgets.command("rank")
def rank_budget(
    amount: Annotated[str, typer.Option(help="Money to spend, in the installation's currency.")],
    state: State = None,
    json: AsJson = False,
) -> None:
    """Say which packs of the open proposals to buy first with this much money, and what one more would save."""
    with errors_explained():
        ranking = run(_budget(state, _money(amount)))
        if json:
            print_json(ranking.model_dump(mode="json"))
            return
        rows = [
            (line.first_at or "", line.key, f"{line.units} of {line.wanted_units}", f"{line.money:.2f}",
             f"{line.benefit:.2f}", f"{line.benefit / line.money:.2f}" if line.money else "")
            for line in ranking.lines
        ]  # fmt: skip
        print_table("Budget", ("first", "proposal", "units", "money", "saves", "saves per money"), rows)
        out.print(f"{ranking.spent:.2f} of {ranking.amount:.2f} spent; all proposals would take {ranking.wanted:.2f}")
        if ranking.capped:
            out.print(f"Only the {len(ranking.lines):,} open proposals that are dearest to leave waiting were ranked.")
        if ranking.shadow_price is not None:
            out.print(f"Shadow price {ranking.shadow_price:.3f}: {DEFINITIONS['shadow_price']}")


def kpi(state: State = None, json: AsJson = False) -> None:
    """Show the stability figures: how much orders swing beside demand, and how often the plan changes its mind."""
    with errors_explained():
        found = run(_stability(state))
        if json:
            nervousness = None if found.nervousness is None else str(found.nervousness)
            print_json({**found.model_dump(mode="json"), "nervousness": nervousness, "definitions": DEFINITIONS})
            return
        rows = [
            (one.supplier, one.days, one.orders, one.order_variance, one.demand_variance,
             "" if one.variance_ratio is None else one.variance_ratio)
            for one in found.suppliers
        ]  # fmt: skip
        print_table("Stability", ("supplier", "days", "orders", "var(orders)", "var(demand)", "ratio"), rows)
        out.print(f"Ratio: {DEFINITIONS['variance_ratio']}.")
        share = "none was scored again" if found.nervousness is None else f"{found.nervousness * 100:.1f} %"
        out.print(f"Plan nervousness: {share} ({DEFINITIONS['nervousness']}).")


def _money(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0:
        raise InvalidInput(f"--amount {text} is not an amount of money; give a number of zero or more, such as 2500")
    return amount


async def _budget(state: str | None, amount: Decimal) -> Ranking:
    async with connected(state) as parts:
        return await PostgresPlanning(parts.database).budget(amount)


async def _stability(state: str | None) -> Stability:
    async with connected(state) as parts:
        return await PostgresPlanning(parts.database).stability()
