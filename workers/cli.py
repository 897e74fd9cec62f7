"""The command line. It parses and calls; what happens is elsewhere."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from connectors.kafka.shares import Share
from console.auth import api_token, sign_in_token
from workers.commands import (
    access,
    bench,
    books,
    counterfactual,
    deliveries,
    demand,
    feeds,
    files,
    histories,
    letters,
    model_show,
    money,
    notary,
    orders,
    packs,
    planning,
    policy,
    population,
    replay,
    stops,
    studies,
    tasks,
    what_if,
)
from workers.commands.connection import State, settings
from workers.commands.output import FAILED, AsJson, errors_explained, out, people, print_json, run, say
from workers.commands.people import app as people_app
from workers.databases import unsafe_in
from workers.demo import Stretch, remember, remembered, run_demo
from workers.doctor import Part, Probe, as_json, as_table, examine, healthy
from workers.failing import listen
from workers.leaving import leaving_for_good
from workers.preparing import FEEDS, prepare_schema
from workers.processes import run_console, run_intake, run_worker, take_events
from workers.session import DEMO, UP, emptied, running, settings_beside, state_directory
from workers.source import running_version
from workers.up import UP_DAYS, UP_SPEED, Plan, run_up
from workers.wiring import console_key, required
from workflows.domain.errors import InvalidInput

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    help="Quartermaster: every replenishment need becomes exactly one explained, approvable order decision.",
)


def _say_version(asked: bool) -> None:
    if asked:
        out.print(running_version())
        raise typer.Exit


@app.callback()
def _whole(
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Say which release and source run.")
    ] = False,
) -> None:
    pass


app.add_typer(tasks.app, name="tasks")
app.add_typer(orders.app, name="orders")
app.add_typer(deliveries.app, name="deliveries")
app.add_typer(books.decisions, name="decision")
app.add_typer(books.audit, name="audit")
app.add_typer(notary.app, name="notary")
app.add_typer(books.models, name="model")
app.add_typer(policy.app, name="policy")
app.add_typer(people_app, name="people")
app.add_typer(letters.app, name="dead-letters")
app.add_typer(demand.app, name="demand")
app.add_typer(planning.budgets, name="budget")
app.command("stop")(stops.stop)
app.command("resume")(stops.resume)
app.command("stops")(stops.stops)
app.command("kpi")(planning.kpi)
app.command("feed")(feeds.feed)
app.command("import")(feeds.import_files)
app.command("export")(files.export)
app.command("bench", context_settings=bench.PASSES_ON)(bench.bench)
app.command("simulate")(studies.simulate)
app.command("what-if")(what_if.what_if)
app.command("money")(money.money)
books.audit.command("histories")(histories.histories)
books.audit.command("pack")(packs.pack)
books.audit.command("replay")(replay.replay)
books.audit.command("workflows")(histories.workflows)
books.audit.command("access")(access.access)
books.audit.command("controls")(access.controls)
books.audit.command("population")(population.population)
books.models.command("show")(model_show.show)
books.audit.command("what-if")(counterfactual.what_if)
app.command("evaluate")(studies.evaluate)

Feed = Annotated[str, typer.Option(help=f"Which world: {', '.join(FEEDS)}.")]
File = Annotated[Path | None, typer.Option(help="The file of a file feed.", dir_okay=False)]
Days = Annotated[int | None, typer.Option(min=1, help="How many days are played; a file feed plays its last ones.")]


@app.command()
def up(
    empty: Annotated[
        bool, typer.Option("--empty", help="No demo world: an empty installation, on the clock that QM_CLOCK names.")
    ] = False,
    days: Annotated[int, typer.Option(min=1, help="How many days of the demo world are played.")] = UP_DAYS,
    speed: Annotated[
        float, typer.Option(min=1, help="Business seconds in a second; 1440 is a day a minute.")
    ] = UP_SPEED,
    seed: int = 7,
) -> None:
    """Start everything on this machine: servers, engine, console, simulated suppliers and a demo world."""
    with errors_explained():
        known = settings()
        run_up(known.home / UP, known, Plan(empty=empty, days=days, speed=speed, seed=seed), say)


@app.command()
def demo(
    feed: Feed = "demo",
    file: File = None,
    days: Days = None,
    seed: int = 7,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where a killed demo stopped; which world it plays is remembered.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Play a stretch of a world with a scripted planner, then check the books. Ends by itself."""
    with errors_explained():
        known = settings()
        state_dir = known.home / DEMO
        if resume:
            source = remembered(state_dir).source()
        else:
            stretch = Stretch(feed=feed, file=file, days=days or (DEMO_DAYS if feed == "demo" else None), seed=seed)
            source = stretch.source()
            emptied(state_dir)
            remember(state_dir, stretch)
        outcome = run(run_demo(state_dir, known, source, say))
        if json:
            print_json(outcome.summary)
        else:
            for name, value in outcome.summary.items():
                out.print(f"{name:>20}  {value}")
        for fault in outcome.broken:
            people.print("broken", style="bold red", end=": ")
            people.print(fault, soft_wrap=True)
        if outcome.broken:
            raise typer.Exit(FAILED)
        say(f"The state stays in {state_dir}: try `quartermaster tasks list`, `quartermaster audit verify`.")


DEMO_DAYS = 21


@app.command()
def intake(
    events_only: Annotated[
        bool, typer.Option("--events-only", help="another one beside the first: does nothing but take events in")
    ] = False,
    share: Annotated[
        str | None, typer.Option(help="which partitions, as in 2/3; else as many as the consumer group gives it")
    ] = None,
) -> None:
    """Take events in from Kafka and relay what is owed. Runs until stopped."""
    with errors_explained():
        here = settings_beside(settings())
        part = None if share is None else Share.of(share)
        run(take_events(here, part) if events_only else run_intake(here, part))


@app.command()
def worker() -> None:
    """Run workflows and activities. Runs until stopped."""
    with errors_explained():
        run(run_worker(settings_beside(settings())))


@app.command()
def console() -> None:
    """Serve the console and its REST API. Runs until stopped."""
    with errors_explained():
        run(run_console(settings_beside(settings())))


@app.command()
def migrate() -> None:
    """Bring the database's schema up to date, forward only."""
    with errors_explained():
        known = settings()
        required(known, "postgres_dsn")
        listen(known)
        prepare_schema(known, say)
        say("The schema is up to date")


@app.command()
def doctor(json: AsJson = False) -> None:
    """Say what is configured, what answers and what is unsafe. Exit code 1 when something does not answer."""
    with errors_explained():
        known = settings()
        alive = running(known.home / UP) or running(known.home / DEMO)
        addresses = alive.addresses if alive else None
        database = known.postgres_dsn or (addresses.postgres_dsn if addresses else None)
        dangers: dict[Part, Probe] = {"postgres": partial(unsafe_in, database)} if database else {}
        findings = run(examine(known, running=addresses, dangers=dangers))
        if json:
            print_json(as_json(findings))
        else:
            out.print(as_table(findings))
        if not healthy(findings):
            raise typer.Exit(FAILED)


@app.command("sign-in")
def sign_in(
    name: Annotated[str, typer.Argument(help="Who signs in; this name is on every verdict.")],
    api: Annotated[bool, typer.Option("--api", help="A bearer token for the REST API instead of a link.")] = False,
    state: State = None,
    json: AsJson = False,
) -> None:
    """Print a link that signs somebody in to the console of an embedded stack once, or a token for its REST API."""
    with errors_explained():
        known = settings()
        if known.postgres_dsn is not None and state is None:
            raise InvalidInput(LINKS_ELSEWHERE)
        state_dir = state_directory(known, state)
        alive = running(state_dir)
        kept = known.console_key_file or state_dir / "console.key"
        key = console_key(known.model_copy(update={"console_key_file": kept}))
        if api:
            document = {"name": name, "token": api_token(key, name)}
        else:
            address = alive.console if alive and alive.console else f"http://127.0.0.1:{known.console_port}"
            document = {"name": name, "link": f"{address}/sign-in?token={sign_in_token(key, name)}"}
        if json:
            print_json(document)
        else:
            out.print(document.get("token") or document.get("link"), soft_wrap=True)


LINKS_ELSEWHERE = (
    "sign-in links work only on a stack that runs its own servers (`quartermaster up`); here people sign in at the "
    "identity provider, and `quartermaster people token NAME --for WHAT` makes a token for the REST API"
)


def main() -> None:
    """Entry point."""
    leaving_for_good(app)


if __name__ == "__main__":
    main()
