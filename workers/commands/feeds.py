"""`quartermaster feed` and `import`: what comes in."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from connectors.erp.supplier_control import SupplierControl
from connectors.kafka.producer import EventProducer
from connectors.kafka.topics import ensure_topics
from connectors.postgres.catalog import load_catalog, load_history
from connectors.postgres.pool import connect
from connectors.postgres.settling import Settling
from workers.commands import files, person
from workers.commands.connection import State, addresses
from workers.commands.dated_rows import read_rows
from workers.commands.output import AsJson, errors_explained, out, print_json, run, say
from workers.enrolling import let_in
from workers.feeding import Journal, WorldDriver
from workers.personal_key import database_of
from workers.preparing import FEEDS, feed_source, first_model, load_world, prepare_schema
from workers.settings import Settings
from workers.wiring import engine, required
from workflows.domain.catalog import Catalog
from workflows.domain.errors import InvalidInput
from workflows.domain.feeds import FeedSource, RecordedDemand
from workflows.domain.needs import ClockMode
from workflows.domain.people import Permission


def feed(
    world: Annotated[str, typer.Argument(help=f"Which world: {', '.join(FEEDS)}.")],
    file: Annotated[Path | None, typer.Argument(help="The file of a file feed.")] = None,
    days: Annotated[
        int | None, typer.Option(min=1, help="Play this many days; a file feed plays its last ones.")
    ] = None,
    seed: int = 7,
    speed: Annotated[
        float | None,
        typer.Option(min=1, help="Business seconds in a second; 1440 is a day a minute. Default: at once."),
    ] = None,
    state: State = None,
    json: AsJson = False,
) -> None:
    """Play a world into the running engine, from where it stopped the last time."""
    with errors_explained():
        source = feed_source(world, file, days, seed)
        run(_feed(state, source, speed))
        report = source.report()
        if json:
            print_json({"feed": source.name, **report.model_dump(mode="json")})
            return
        out.print(f"{report.rows_read:,} rows read, {report.events:,} events")
        for reason, count in sorted(report.skipped.items()):
            out.print(f"  skipped {count:,}: {reason}")
        for words in report.invented:
            out.print(f"  invented: {words}")


async def _feed(state: str | None, source: FeedSource, speed: float | None) -> None:
    async with addresses(state) as found:
        if ClockMode(found.clock) is ClockMode.LIVE:
            raise InvalidInput(
                "the engine runs on a live clock, and a feed plays the past: nothing of it would happen today. "
                "Stop the engine and start it for feeds: QM_CLOCK=replayed quartermaster up --empty"
            )
        await asyncio.to_thread(prepare_schema, found, say)  # without it nobody can be known
        async with database_of(found, required(found, "postgres_dsn"), name="quartermaster-feed", size=1) as database:
            await let_in(found, database, Permission.EDIT_CATALOG)
        await play(found, source, speed)


async def play(found: Settings, source: FeedSource, speed: float | None) -> None:
    """Load the world, train a first model if there is none, and play.

    Raises:
        InvalidInput: an address is missing, or the suppliers are not the simulated ones.
    """
    bootstrap, dsn = required(found, "kafka_bootstrap"), required(found, "postgres_dsn")
    control = SupplierControl(required(found, "supplier_url"))
    await asyncio.to_thread(ensure_topics, bootstrap)
    await asyncio.to_thread(prepare_schema, found, say)
    await asyncio.to_thread(load_world, found, source, say)
    async with engine(found, name="quartermaster-feed", pool_size=2) as parts:
        await first_model(parts, say)
    with connect(dsn, name="quartermaster-feed") as connection:
        journal = Journal(Path(required(found, "model_store")).parent / f"feed-{source.name}.json")
        driver = WorldDriver(
            source, EventProducer(bootstrap), Settling(connection), control, journal, say=say, speed=speed
        )
        await driver.play()
    control.close()


def import_files(
    catalog: Annotated[
        Path | None, typer.Option(help="A catalog document (JSON).", exists=True, dir_okay=False)
    ] = None,
    history: Annotated[
        Path | None,
        typer.Option(
            help="Past demand (CSV: location,item,day,units[,in_stock,promotion,unit_price]).",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    table: files.Table = None,
    kind: files.Taken = None,
    check: files.Check = False,
    reason: files.Why = "",
    state: State = None,
    json: AsJson = False,
) -> None:
    """Load a catalog, the recorded past, or a file from a spreadsheet. All of a file or nothing."""
    with errors_explained():
        if table is not None or kind is not None:
            files.bring(table, kind, check, reason, state, json)
            return
        if catalog is None and history is None:
            raise InvalidInput("say what to import: --catalog FILE, --history FILE or both, or --file FILE --kind KIND")
        loaded = run(_import(state, catalog, history))
        if json:
            print_json(loaded)
        else:
            out.print(", ".join(f"{count:,} {what}" for what, count in loaded.items()))


async def _import(state: str | None, catalog: Path | None, history: Path | None) -> dict[str, int]:
    # Read and checked before anything is opened: a bad row changes nothing.
    document = _read_catalog(catalog) if catalog else None
    days = read_history(history) if history else []
    async with addresses(state, Permission.EDIT_CATALOG) as found:
        return await asyncio.to_thread(_load, required(found, "postgres_dsn"), document, days)


def _load(dsn: str, document: Catalog | None, days: list[RecordedDemand]) -> dict[str, int]:
    loaded: dict[str, int] = {}
    with connect(dsn, name="quartermaster-import") as connection:
        if document is not None:
            load_catalog(connection, document, actor=person.me().name)
            loaded |= {"items": len(document.items), "sourcings": len(document.sourcing)}
        if days:
            load_history(connection, days, (), actor=person.me().name)
            loaded["days of demand"] = len(days)
    return loaded


def _read_catalog(path: Path) -> Catalog:
    try:
        return Catalog.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(f"{path}: {where}: {first['msg']}") from None


def read_history(path: Path) -> list[RecordedDemand]:
    """The recorded past of a file, every row of it.

    Raises:
        InvalidInput: says line and column.
    """
    needed = ("location", "item", "day", "units")
    further = tuple(name for name in RecordedDemand.model_fields if name not in needed)
    return read_rows(path, RecordedDemand, required=needed, optional=further, key=("location", "item", "day"))
