"""`quartermaster demand forecast`: what the champion expects of categories and locations; the lines add up."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

import typer

from workers.commands.connection import State, connected
from workers.commands.output import AsJson, errors_explained, print_json, print_table, run
from workflows.domain.errors import NotFound

MILLI = 1_000
SHOWN_DAYS = 7
"""Days with a column of their own in the table; --json has them all."""


class By(StrEnum):
    """What one line of the report is."""

    CATEGORY = "category"
    LOCATION = "location"
    COMPANY = "company"


def forecast(
    by: Annotated[By, typer.Option(help="What one line of the report is.")] = By.CATEGORY,
    days: Annotated[int, typer.Option(min=1, max=160, help="How many days ahead.")] = 14,
    state: State = None,
    json: AsJson = False,
) -> None:
    """Forecast mean demand by category, by location or in all. Sums of the items' forecasts: every total agrees."""
    with errors_explained():
        first, totals = run(_forecast(state, by, days))
        company = [sum(column) for column in zip(*totals.values(), strict=True)]
        if json:
            lines = {name: [_units(value) for value in values] for name, values in totals.items()}
            print_json({
                "by": str(by), "first_day": str(first), "days": days, "units": lines,
                "company": [_units(value) for value in company],
            })  # fmt: skip
            return
        shown = min(days, SHOWN_DAYS)
        columns = (str(by), *(f"{first + timedelta(days=n):%a %d %b}" for n in range(shown)), f"{days} days")
        rows = [_row(name, values, shown) for name, values in totals.items()]
        if by is not By.COMPANY:
            rows.append(_row("all", company, shown))
        print_table(f"Expected demand in units, from {first}", columns, rows)


def _row(name: str, values: Sequence[int], shown: int) -> tuple[str, ...]:
    return (name, *(f"{_units(value):,}" for value in (*values[:shown], sum(values))))


def _units(milli: int) -> Decimal:
    return Decimal(milli) / MILLI


async def _forecast(state: str | None, by: By, days: int) -> tuple[date, Mapping[str, list[int]]]:
    async with connected(state) as parts:
        champion, last_day = await parts.models.champion(), await parts.models.newest_day()
        if champion is None or last_day is None:
            raise NotFound("there is no model or no demand yet; `quartermaster model train` makes a model")
        series = await parts.models.training_series(datetime.now(UTC), last_day)
        model = await asyncio.to_thread(parts.store.get, champion.digest)

        def totals() -> Mapping[str, list[int]]:
            # Imported here: the numeric libraries take a second, and no other command of this group needs them.
            from activities.learning.reporting import expected_demand, totals_by

            means = expected_demand(series, model, last_day=last_day, days=days)
            return {name: [int(value) for value in sums] for name, sums in totals_by(str(by), series, means).items()}

        return last_day + timedelta(days=1), await asyncio.to_thread(totals)
