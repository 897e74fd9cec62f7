"""`quartermaster tasks claim`, `snooze`, `forward` and the like: what the inbox's buttons do, from the command line."""

import uuid
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated

import typer
from pydantic import ValidationError

from connectors.postgres.inbox_desk import PostgresInbox
from connectors.postgres.people import PostgresPeople
from connectors.postgres.task_work import PostgresTaskWork
from workers.commands import person
from workers.commands.connection import State, connected
from workers.commands.output import AsJson, errors_explained, out, print_json, print_table, run
from workers.wiring import Engine
from workflows.domain.approvals import Actor
from workflows.domain.errors import InvalidInput, NotFound
from workflows.domain.inbox import Comment, Count, Filters, InboxRow, Snooze, View
from workflows.domain.people import Permission, Person

Deed = Callable[[PostgresTaskWork, Actor], Awaitable[object]]


def claim(
    decision: str, minutes: Annotated[int, typer.Option(min=1, max=480)] = 15, state: State = None, json: AsJson = False
) -> None:
    """Tell others that you work on a task, for a quarter of an hour unless told otherwise."""
    _done(decision, state, json, lambda work, me: work.claim(decision, me, minutes=minutes))


def unclaim(decision: str, state: State = None, json: AsJson = False) -> None:
    """Give your claim back."""
    _done(decision, state, json, lambda work, me: work.unclaim(decision, me))


def snooze(
    decision: str,
    until: Annotated[
        str | None, typer.Option(help="An instant of the location's business clock: 2025-11-25T06:00Z.")
    ] = None,
    receipt: Annotated[bool, typer.Option("--receipt", help="Until something of the item arrives.")] = False,
    forecast_moves: Annotated[
        int | None, typer.Option(min=1, max=500, help="Until the forecast moves by more than so many percent.")
    ] = None,
    state: State = None,
    json: AsJson = False,
) -> None:
    """Hide a task until something happens; its deadlines go on."""
    with errors_explained():
        nap = _nap(until, receipt, forecast_moves)
    _done(decision, state, json, lambda work, me: work.snooze(decision, nap, me))


def wake(decision: str, state: State = None, json: AsJson = False) -> None:
    """Show a snoozed task again."""
    _done(decision, state, json, lambda work, me: work.wake(decision, me))


def forward(decision: str, to: str, note: str = "", state: State = None, json: AsJson = False) -> None:
    """Hand a task to somebody who may answer it."""
    command_id = f"cli-{uuid.uuid4()}"
    _done(decision, state, json, lambda work, me: work.forward(decision, to, note, me, command_id=command_id))


def comment(
    decision: str,
    text: str,
    to: Annotated[str | None, typer.Option(help="Ask this person: the task comes among theirs.")] = None,
    state: State = None,
    json: AsJson = False,
) -> None:
    """Say something about a task, or ask somebody."""
    command_id = f"cli-{uuid.uuid4()}"
    _done(decision, state, json, lambda work, me: work.comment(decision, text, me, command_id=command_id, to=to))


def rescore(
    decision: str,
    supplier: Annotated[
        str | None, typer.Option(help="Have it proposed from this supplier. Default: the engine chooses.")
    ] = None,
    state: State = None,
    json: AsJson = False,
) -> None:
    """Have a task's proposal made again with today's facts, from a supplier of your choice; its deadlines go on."""
    _done(decision, state, json, lambda work, me: work.rescore(decision, me, supplier=supplier))


def comments(decision: str, state: State = None, json: AsJson = False) -> None:
    """List what was said about a task."""
    with errors_explained():
        said = run(_comments(state, decision))
        if json:
            print_json({"comments": [one.model_dump(mode="json") for one in said]})
            return
        rows = [(f"{one.at:%Y-%m-%d %H:%M}", one.author, one.to or "", one.text) for one in said]
        print_table(f"Comments on {decision}", ("at", "who", "to", "what"), rows)


def views(state: State = None, json: AsJson = False) -> None:
    """Count the tasks that you have in each view."""
    with errors_explained():
        found = run(_views(state))
        if json:
            print_json({"counts": {view: count.model_dump() for view, count in found.items()}})
            return
        rows = [(view, f"{count.n:,}{'+' if count.capped else ''}") for view, count in found.items()]
        print_table("Views", ("view", "tasks"), rows)


def register(app: typer.Typer) -> None:
    """Add these commands to `quartermaster tasks`."""
    for command in (claim, unclaim, snooze, wake, forward, comment, comments, rescore, views):
        app.command()(command)


async def rows_of(parts: Engine, view: View, filters: Filters, limit: int) -> tuple[InboxRow, ...]:
    """The first rows of a view, as whoever gives the command has it."""
    page = await PostgresInbox(parts.database).page(view, filters, await _me(parts), limit=limit)
    return page.rows


def _done(decision: str, state: str | None, json: bool, deed: Deed) -> None:
    with errors_explained():
        row = run(_do(state, decision, deed))
        if json:
            print_json(row.model_dump(mode="json"))
            return
        told = [
            f"claimed by {row.claimed_by} until {row.claim_ends_at:%H:%M} UTC" if row.claim_ends_at else "",
            f"snoozed {row.snooze_words}" if row.snooze_words else "",
            f"forwarded to {row.forwarded_to}" if row.forwarded_to else "",
            f"{row.comments} comments" if row.comments else "",
        ]
        out.print(f"{row.decision_id}: " + (", ".join(word for word in told if word) or "waits"))


async def _do(state: str | None, decision: str, deed: Deed) -> InboxRow:
    async with connected(state, Permission.WORK) as parts:
        inbox = PostgresInbox(parts.database)
        (await _me(parts)).require(Permission.WORK, (await inbox.row(decision)).location)
        await deed(PostgresTaskWork(parts.database), person.me())
        return await inbox.row(decision)


async def _comments(state: str | None, decision: str) -> list[Comment]:
    async with connected(state) as parts:
        return await PostgresTaskWork(parts.database).comments(decision)


async def _views(state: str | None) -> dict[View, Count]:
    async with connected(state) as parts:
        return dict(await PostgresInbox(parts.database).counts(await _me(parts)))


async def _me(parts: Engine) -> Person:
    found = await PostgresPeople(parts.database).named(person.name())
    if found is None:
        raise NotFound(f"nobody knows {person.name()} here; `quartermaster people add` adds people")
    return found


def _nap(until: str | None, receipt: bool, percent: int | None) -> Snooze:
    try:
        instant = datetime.fromisoformat(until) if until else None
        return Snooze(until=instant, until_receipt=receipt, forecast_moves_percent=percent)
    except ValidationError as error:
        raise InvalidInput(error.errors()[0]["msg"]) from None
    except ValueError:
        raise InvalidInput(f"{until} is no instant; write it like 2025-11-25T06:00Z") from None
