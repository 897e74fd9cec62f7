"""The command line. It parses and calls; what happens is elsewhere."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from workers.commands import books, tasks
from workers.commands.output import FAILED, AsJson, errors_explained, out, people, print_json, run, say, settings
from workers.demo import run_demo
from workers.preparing import FEEDS, feed_source, prepare_schema
from workers.processes import run_console, run_intake, run_worker
from workers.session import DEMO, settings_beside
from workers.wiring import required

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    help="Quartermaster: every replenishment need becomes exactly one explained, approvable order decision.",
)
app.add_typer(tasks.app, name="tasks")
app.add_typer(books.decisions, name="decision")
app.add_typer(books.audit, name="audit")
app.add_typer(books.models, name="model")

Feed = Annotated[str, typer.Option(help=f"Which world: {', '.join(FEEDS)}.")]
File = Annotated[Path | None, typer.Option(help="The file of a file feed.", dir_okay=False)]
Days = Annotated[int | None, typer.Option(min=1, help="How many days are played; a file feed plays its last ones.")]


@app.command()
def demo(
    feed: Feed = "demo",
    file: File = None,
    days: Days = None,
    seed: int = 7,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a killed demo stopped.")] = False,
    json: AsJson = False,
) -> None:
    """Play a stretch of a world with a scripted planner, then check the books. Ends by itself."""
    with errors_explained():
        known = settings()
        state_dir = known.home / DEMO
        source = feed_source(feed, file, days or (DEMO_DAYS if feed == "demo" else None), seed)
        if not resume:
            fresh(state_dir)
        outcome = run(run_demo(state_dir, known, source, say))
        if json:
            print_json(outcome.summary)
        else:
            for name, value in outcome.summary.items():
                out.print(f"{name:>20}  {value}")
        for fault in outcome.broken:
            people.print(f"[bold red]broken[/]: {fault}")
        if outcome.broken:
            raise typer.Exit(FAILED)
        say(f"The state stays in {state_dir}: try `quartermaster tasks list`, `quartermaster audit verify`.")


DEMO_DAYS = 21


def fresh(state_dir: Path) -> None:
    """An empty state directory, unless somebody runs on the one that is there."""
    from workers.embedded import StackRunning
    from workers.session import running

    if running(state_dir):
        raise StackRunning(f"a demo is running on {state_dir}; wait for it, or stop it")
    shutil.rmtree(state_dir, ignore_errors=True)


@app.command()
def intake() -> None:
    """Take events in from Kafka and relay what is owed. Runs until stopped."""
    with errors_explained():
        run(run_intake(settings_beside(settings())))


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
        prepare_schema(known, say)
        say("The schema is up to date")


def main() -> None:
    """Entry point."""
    app()


if __name__ == "__main__":
    main()
