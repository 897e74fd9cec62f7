"""`quartermaster demand`: what counts as demand, what was said about single days, what drives it, what is to come."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from connectors.postgres.demand import PostgresDemand, Said
from connectors.postgres.drivers import load_drivers
from connectors.postgres.pool import connect
from connectors.postgres.shelves import PostgresShelves
from workers.commands import person
from workers.commands.connection import State, addresses, connected
from workers.commands.dated_rows import first_fault, read_rows
from workers.commands.demand_forecast import forecast
from workers.commands.output import AsJson, errors_explained, out, print_json, print_table, run
from workers.enrolling import let_in
from workers.wiring import required
from workflows.domain.demand import Adjustment, DayLayers, DemandDefinition, Layer
from workflows.domain.drivers import ExternalValue
from workflows.domain.errors import InvalidInput, NotFound
from workflows.domain.people import Permission
from workflows.domain.shelves import ShelfState

app = typer.Typer(no_args_is_help=True, help="Demand: its definition, its layers, its drivers and its forecast.")
drivers = typer.Typer(no_args_is_help=True, help="Numbers from outside that move demand.")
app.add_typer(drivers, name="drivers")
app.command("forecast")(forecast)

Item = Annotated[str, typer.Argument(help="The item.")]
Place = Annotated[str, typer.Argument(help="The location.")]
Reason = Annotated[str, typer.Option(help="Why: it stays on record.")]
DAY = "%Y-%m-%d"


@app.command()
def definition(
    adopt: Annotated[
        Path | None, typer.Option(help="A definition (JSON) to put into force.", exists=True, dir_okay=False)
    ] = None,
    state: State = None,
    json: AsJson = False,
) -> None:
    """Show which events count as demand, or put another definition into force."""
    with errors_explained():
        given = _read_definition(adopt) if adopt else None
        current, new = run(_definition(state, given))
        if json:
            document = {name: getattr(current, name) for name in DemandDefinition.model_fields}
            print_json({"digest": current.digest, "words": current.words, "adopted": new, "definition": document})
            return
        out.print(("Now in force: " if new else "Demand is, ") + current.words)
        out.print(f"Digest {current.digest}")


def _read_definition(path: Path) -> DemandDefinition:
    try:
        return DemandDefinition.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise InvalidInput(f"{path}: {first_fault(error)}") from None


async def _definition(state: str | None, given: DemandDefinition | None) -> tuple[DemandDefinition, bool]:
    async with connected(state, Permission.EDIT_CATALOG if given else Permission.SEE) as parts:
        demand = PostgresDemand(parts.database)
        new = await demand.adopt(given, person.me().name) if given else False
        return await demand.definition(), new


@app.command()
def adjust(
    item: Item,
    location: Place,
    first: Annotated[datetime, typer.Option("--from", formats=[DAY], help="The first day.")],
    reason: Reason,
    last: Annotated[
        datetime | None, typer.Option("--to", formats=[DAY], help="The last day. Default: the first.")
    ] = None,
    units: Annotated[int | None, typer.Option(min=0, help="The demand of each of these days.")] = None,
    missing: Annotated[bool, typer.Option("--missing", help="The demand of these days is unknown.")] = False,
    layer: Annotated[
        Layer, typer.Option(help="Which layer; 'promotion' marks days, also coming ones.")
    ] = Layer.ADJUSTMENT,
    state: State = None,
    json: AsJson = False,
) -> None:
    """Say what the demand of some days was. It comes after all other layers, and stays on record with your name."""
    with errors_explained():
        if layer in (Layer.ADJUSTMENT, Layer.OUTLIER) and (units is None) is not missing:
            raise InvalidInput("say either --units N or --missing")
        days = first.date(), (last or first).date()
        found = run(_adjust(state, location, item, days, layer, units, reason))
        if json:
            print_json(found.model_dump(mode="json"))
        else:
            out.print(f"{found.adjustment_id}: {_words(found)}")


async def _adjust(
    state: str | None, location: str, item: str, days: tuple[date, date], layer: Layer, units: int | None, reason: str
) -> Adjustment:
    async with connected(state, Permission.WORK) as parts:
        (await let_in(parts.settings, parts.database, Permission.WORK)).require(Permission.WORK, location)
        return await PostgresDemand(parts.database).adjust(
            location, item, *days, layer, units, reason=reason, author=person.me().name
        )


def _words(said: Adjustment) -> str:
    days = f"{said.first_day}" if said.first_day == said.last_day else f"{said.first_day} to {said.last_day}"
    what = "promoted" if said.layer is Layer.PROMOTION else "missing" if said.units is None else f"{said.units:,} units"
    return f"{days} {what} ({said.layer}: {said.reason}; {said.author})"


@app.command()
def withdraw(
    adjustment: Annotated[str, typer.Argument(help="Its id, as `demand show` lists it.")],
    reason: Reason,
    state: State = None,
    json: AsJson = False,
) -> None:
    """Take an adjustment back. What was trained and decided with it stays as it was."""
    with errors_explained():
        found = run(_withdraw(state, adjustment, reason))
        if json:
            print_json({"withdrawn": found.adjustment_id})
        else:
            out.print(f"Withdrawn: {_words(found)}")


async def _withdraw(state: str | None, adjustment: str, reason: str) -> Adjustment:
    async with connected(state, Permission.WORK) as parts:
        demand = PostgresDemand(parts.database)
        who = await let_in(parts.settings, parts.database, Permission.WORK)
        who.require(Permission.WORK, (await demand.find(adjustment)).location)
        return await demand.withdraw(adjustment, reason=reason, author=who.name)


@app.command()
def show(
    item: Item,
    location: Place,
    days: Annotated[int, typer.Option(min=1, max=1100, help="How many of the newest days.")] = 28,
    state: State = None,
    json: AsJson = False,
) -> None:
    """Show the layers of each day and the effective demand that forecasts see, and what was said about them."""
    with errors_explained():
        found, said = run(_show(state, location, item, days))
        if json:
            words = [{**one.adjustment.model_dump(mode="json"), "withdrawn_at": one.withdrawn_at,
                      "withdrawn_by": one.withdrawn_by} for one in said]  # fmt: skip
            print_json({"days": [one.model_dump(mode="json") for one in found], "said": words})
            return
        print_table(
            f"Demand of {item} at {location}",
            ("day", "sold", "promotion", "cut to", "in stock", "last word", "effective"),
            [_cells(one) for one in found],
        )
        for one in said:
            taken = f" withdrawn by {one.withdrawn_by}: {one.withdrawn_reason}" if one.withdrawn_at else ""
            out.print(f"{one.adjustment.adjustment_id}: {_words(one.adjustment)}{taken}")


def _cells(one: DayLayers) -> tuple[object, ...]:
    said = one.adjustment
    share = None if one.exposure_permille is None else f"{one.exposure_permille / 10:.0f} %"
    return (
        one.day, one.sold_units, "yes" if one.promotion else "", one.outlier_units,
        (share or "no") if one.censored else "yes", f"{said.layer} ({said.author})" if said else "",
        "missing" if one.effective_units is None else one.effective_units,
    )  # fmt: skip


async def _show(state: str | None, location: str, item: str, days: int) -> tuple[list[DayLayers], list[Said]]:
    async with connected(state) as parts:
        closed = await PostgresShelves(parts.database).closed_days()
        end = closed.get(location, datetime.now(UTC).date() - timedelta(days=1)) + timedelta(days=1)
        demand = PostgresDemand(parts.database)
        found = await demand.layers(location, item, end - timedelta(days=days), end)
        if not found:
            raise NotFound(f"nothing was ever recorded of {item} at {location}")
        return found, await demand.said(location, item)


@app.command()
def shelves(
    which: Annotated[ShelfState, typer.Option("--which", help="Findings in this state.")] = ShelfState.OPEN,
    state: State = None,
    json: AsJson = False,
) -> None:
    """Look for shelves that should be counted: stock on the books, and a silence that is next to impossible."""
    with errors_explained():
        found = run(_shelves(state, which))
        if json:
            print_json(
                {"shelves": [{k: str(v) if isinstance(v, Decimal) else v for k, v in one.items()} for one in found]}
            )
            return
        rows = [
            (one["location"], one["item"], one["on_hand_units"], one["silent_since"], f"{one['usual_units']:.0f}",
             f"{one['silence_ppm']} in a million", one["counted_units"])
            for one in found
        ]  # fmt: skip
        columns = ("location", "item", "on the books", "silent since", "usual units since", "chance", "counted")
        print_table("Count these shelves" if which is ShelfState.OPEN else f"Shelves, {which}", columns, rows)


async def _shelves(state: str | None, which: ShelfState) -> list[dict[str, Any]]:
    async with connected(state) as parts:
        kept = PostgresShelves(parts.database)
        for location, day in (await kept.closed_days()).items():
            await kept.watch(location, day)
        return await kept.findings(which)


@drivers.command("import")
def import_drivers(
    file: Annotated[
        Path,
        typer.Argument(help="CSV: location,name,day,value,known_at ('*': all locations).", exists=True, dir_okay=False),
    ],
    state: State = None,
    json: AsJson = False,
) -> None:
    """Load numbers by day, such as weather forecasts, each with the instant at which it was issued."""
    with errors_explained():
        values = read_drivers(file)
        given, new = run(_import(state, values))
        if json:
            print_json({"given": given, "new": new})
        else:
            out.print(f"{given:,} values, {new:,} of them new")


async def _import(state: str | None, values: list[ExternalValue]) -> tuple[int, int]:
    async with addresses(state, Permission.EDIT_CATALOG) as found:
        return await asyncio.to_thread(_load, required(found, "postgres_dsn"), values)


def _load(dsn: str, values: list[ExternalValue]) -> tuple[int, int]:
    with connect(dsn, name="quartermaster-import") as connection:
        return load_drivers(connection, values, actor=person.me().name)


def read_drivers(path: Path) -> list[ExternalValue]:
    """The numbers of a file, every row of it.

    Raises:
        InvalidInput: says line and column.
    """
    key = ("location", "name", "day", "known_at")
    return read_rows(path, ExternalValue, required=tuple(ExternalValue.model_fields), key=key)
