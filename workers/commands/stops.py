"""`quartermaster stop`, `resume` and `stops`: hold orders back, let them go on, and see what is held and why."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from pydantic import ValidationError

from connectors.postgres.stops import PostgresStops
from workers.commands import person
from workers.commands.connection import State, connected
from workers.commands.output import AsJson, errors_explained, print_json, print_table, run, say
from workflows.domain.errors import InvalidInput
from workflows.domain.people import Permission
from workflows.domain.stops import Stop, StopCommand, StopScope

Reason = Annotated[str, typer.Option("--reason", help="Why; everybody sees it and the ledger keeps it.")]


def stop(
    reason: Reason,
    location: Annotated[str | None, typer.Option(help="Only orders for this location.")] = None,
    supplier: Annotated[str | None, typer.Option(help="Only orders to this supplier.")] = None,
    model: Annotated[str | None, typer.Option(help="Only orders that this model (its digest) decided.")] = None,
    order: Annotated[str | None, typer.Option(help="Only this order, by its id.")] = None,
    minutes: Annotated[
        int | None, typer.Option("--minutes", min=1, max=60 * 24 * 31, help="A pause: it ends by itself after so long.")
    ] = None,
    state: State = None,
    json: AsJson = False,
) -> None:
    """Hold orders back before they leave: all of them, or those of one location, supplier or model, or one order."""
    with errors_explained():
        given = {
            StopScope.LOCATION: location, StopScope.SUPPLIER: supplier, StopScope.MODEL: model, StopScope.ORDER: order,
        }  # fmt: skip
        named = [(scope, subject) for scope, subject in given.items() if subject]
        if len(named) > 1:
            raise InvalidInput(
                "one switch holds one thing: give --location, --supplier, --model or --order, or none for all"
            )
        scope, subject = named[0] if named else (StopScope.EVERYTHING, "")
        try:
            ends_at = None if minutes is None else datetime.now(UTC) + timedelta(minutes=minutes)
            command = StopCommand(scope=scope, subject=subject, reason=reason, ends_at=ends_at)
        except ValidationError as error:
            raise InvalidInput("; ".join(found["msg"] for found in error.errors())) from error
        thrown = run(_stop(state, command))
        if json:
            print_json(thrown.model_dump(mode="json"))
            return
        say(f"{thrown.words}: stopped since {thrown.stopped_at:%Y-%m-%d %H:%M:%S} UTC: {thrown.reason}")
        if thrown.under_way:
            say(f"{thrown.under_way} requests had left before; their answers are still recorded")
        if thrown.ends_at is not None:
            say(f"They go on by themselves at {thrown.ends_at:%Y-%m-%d %H:%M:%S} UTC, or before that after:")
        say(f"They go on after: quartermaster resume {thrown.stop_id} --reason ...")


async def _stop(state: str | None, command: StopCommand) -> Stop:
    async with connected(state, Permission.OPERATE) as parts:
        return await PostgresStops(parts.database).stop(command, person.me())


def resume(
    stop_id: Annotated[str, typer.Argument(help="The switch, as `quartermaster stops` shows it.")],
    reason: Reason,
    state: State = None,
    json: AsJson = False,
) -> None:
    """Lift a stop switch: the orders that it held go on by themselves within seconds."""
    with errors_explained():
        lifted = run(_resume(state, stop_id, reason))
        if json:
            print_json(lifted.model_dump(mode="json"))
        else:
            say(f"{lifted.words} go on since {lifted.lifted_at:%Y-%m-%d %H:%M:%S} UTC; {lifted.held_orders} were held")


async def _resume(state: str | None, stop_id: str, reason: str) -> Stop:
    async with connected(state, Permission.OPERATE) as parts:
        return await PostgresStops(parts.database).lift(stop_id, reason.strip()[:500], person.me())


def stops(
    everything: Annotated[bool, typer.Option("--all", help="Lifted ones too, newest first.")] = False,
    state: State = None,
    json: AsJson = False,
) -> None:
    """List the stop switches that are set: what each holds, who set it, when and why."""
    with errors_explained():
        found = run(_stops(state, everything))
        if json:
            print_json({"stops": [one.model_dump(mode="json") for one in found]})
            return
        rows = [
            (one.stop_id, one.words, one.held_orders, one.stopped_by, f"{one.stopped_at:%Y-%m-%d %H:%M}", one.reason,
             f"lifted by {one.lifted_by}" if one.lifted_by else "in force"
             + (f" until {one.ends_at:%Y-%m-%d %H:%M}" if one.ends_at else "")
             + (" for a value cap" if one.over_cap else ""))
            for one in found
        ]  # fmt: skip
        print_table("Stops", ("switch", "holds", "orders", "by", "since", "why", "state"), rows)


async def _stops(state: str | None, everything: bool) -> list[Stop]:
    async with connected(state) as parts:
        kept = PostgresStops(parts.database)
        return await (kept.history(limit=500) if everything else kept.in_force())
