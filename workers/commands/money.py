"""`quartermaster money`: what a decision costs, and what deciding saves against the static reorder point."""

from datetime import timedelta
from typing import Annotated

import typer

from connectors.postgres.money import PostgresMoney
from workers.commands.connection import State, connected
from workers.commands.output import AsJson, errors_explained, out, print_json, print_table, run
from workflows.domain.money import DEFINITIONS, REVIEW_SHARE, TARGET_PER_DECISION, WEEKS, MoneyReport

NO_WAIT = timedelta(0)


def money(
    weeks: Annotated[int, typer.Option(min=1, max=520, help="How many weeks are shown and added up.")] = WEEKS,
    state: State = None,
    json: AsJson = False,
) -> None:
    """Say what a decision costs, and what was avoided beside the static reorder point on the same days."""
    with errors_explained():
        report = run(_report(state, weeks))
        if json:
            print_json(report.document())
            return
        show(report)


def show(report: MoneyReport) -> None:
    """Both figures with their definitions."""
    cost, avoided, currency = report.cost, report.avoided, report.currency
    if cost.per_decision is None:
        out.print("Nothing was decided yet.")
        return
    out.print(
        f"A decision costs {cost.per_decision:.4f} {currency}: compute {cost.compute:.4f}, storage {cost.storage:.2f}, "
        f"people {cost.people:.2f} over {cost.decisions:,} decisions, {(cost.review_share or 0) * 100:.1f} % of them "
        f"answered by a person. At {REVIEW_SHARE * 100:.0f} % it would be {cost.at_review_share:.4f} "
        f"(target {TARGET_PER_DECISION})."
    )
    rows = [
        (week.week, week.decisions, week.days, f"{week.happened.total:,.2f}", f"{week.static.total:,.2f}",
         f"{week.avoided:+,.2f}")
        for week in avoided.weeks
    ]  # fmt: skip
    print_table("Cost avoided", ("week of", "decisions", "days", "happened", "static point", "avoided"), rows)
    if rows:
        sure = "no interval" if avoided.low is None else f"95 % interval {avoided.low:+,.2f} to {avoided.high:+,.2f}"
        out.print(
            f"{avoided.avoided:+,.2f} {currency} ({sure}) over {avoided.days:,} days of {avoided.places:,} items at "
            f"locations; on {avoided.censored_share * 100:.1f} % of the days demand is a forecast, because the shelf "
            "was empty."
        )
    if avoided.uncounted:
        out.print(f"{avoided.uncounted:,} measured decisions are not compared yet.")
    for name, words in DEFINITIONS.items():
        out.print(f"{name.replace('_', ' ')}: {words}")


async def _report(state: str | None, weeks: int) -> MoneyReport:
    async with connected(state) as parts:
        found = PostgresMoney(parts.database, threads=parts.settings.training_threads)
        await found.compare(settled=NO_WAIT, rounds=1_000_000)
        return await found.report(weeks)
