"""`quartermaster dead-letters`: what could not be read, and the two words by which one is sent again."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from connectors.postgres.desk import PostgresDesk
from connectors.postgres.redrives import PostgresRedrives
from workers.commands import person
from workers.commands.connection import State, addresses, connected
from workers.commands.doubt import REASON, checked
from workers.commands.output import AsJson, errors_explained, out, people, print_json, print_table, run
from workers.operations import LiveOperations
from workers.personal_key import database_of
from workers.wiring import required
from workflows.domain.errors import Conflict, InvalidInput, NotFound, QuartermasterError
from workflows.domain.people import Permission
from workflows.domain.redrives import Redrive, Redriven, may_send

SHORTEST = 12
app = typer.Typer(no_args_is_help=True, help="Messages that nothing could be made of.")
Code = Annotated[str, typer.Argument(help="The code of the reason, as `dead-letters list` has it.")]
Number = Annotated[int, typer.Argument(help="The dead letter's number.")]


@app.command("list")
def list_letters(
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 100, state: State = None, json: AsJson = False
) -> None:
    """List dead letters, newest first, with the reason of each and what was asked about it last."""
    with errors_explained():
        found = run(_letters(state, limit))
        if json:
            print_json({"dead_letters": found})
            return
        rows = [
            (one["dead_letter_id"], f"{one['topic']}/{one['partition']}@{one['kafka_offset']}", one["error_code"],
             one["error_detail"], one["redriven_at"], _asked(one["redrive"]))
            for one in found
        ]  # fmt: skip
        print_table("Dead letters", ("#", "from", "code", "reason", "re-driven", "asked last"), rows)


@app.command()
def redrive(
    number: Number,
    reason: Annotated[str, typer.Option(help="Why; whoever confirms it reads this.")],
    payload: Annotated[
        Path | None, typer.Option(help="A mended message to send instead.", exists=True, dir_okay=False)
    ] = None,
    state: State = None,
    json: AsJson = False,
) -> None:
    """Ask that a dead letter be sent again, mended if need be. Another person must confirm it."""
    why = checked(REASON, reason, "--reason")
    with errors_explained():
        _say(run(_ask(state, number, why, payload.read_bytes() if payload else None)), json)


@app.command()
def confirm(
    number: Number,
    sha256: Annotated[
        str, typer.Option(help="Of the bytes that you mean, as `dead-letters list` has it; 12 digits do.")
    ],
    state: State = None,
    json: AsJson = False,
) -> None:
    """Send a dead letter that somebody else asked for. The inbox still knows its event id."""
    with errors_explained():
        sent = run(_confirm(state, number, sha256.strip().lower()))
        if json:
            print_json(sent.model_dump(mode="json"))
        else:
            out.print(f"Dead letter {number} was sent to {sent.topic} again")


@app.command()
def decline(
    number: Number,
    reason: Annotated[str, typer.Option(help="Why not.")],
    state: State = None,
    json: AsJson = False,
) -> None:
    """Do not send what somebody else asked for."""
    why = checked(REASON, reason, "--reason")
    with errors_explained():
        _say(run(_decline(state, number, why)), json)


@app.command()
def withdraw(number: Number, state: State = None, json: AsJson = False) -> None:
    """Take back what you asked about a dead letter."""
    with errors_explained():
        _say(run(_withdraw(state, number)), json)


@app.command("redrive-all")
def redrive_all(
    code: Code,
    reason: Annotated[str, typer.Option(help="Why; whoever confirms them reads this.")],
    state: State = None,
    json: AsJson = False,
) -> None:
    """Ask that every dead letter with this code be sent again as it is, but for those that somebody asked about
    before. Another person must confirm them. Interrupted, it goes on where it stopped."""
    why = checked(REASON, reason, "--reason")
    with errors_explained():
        asked = run(_ask_all(state, code, why))
        if json:
            print_json({"code": code, "asked": asked})
        else:
            out.print(f"Asked that {asked} dead letters with {code} be sent again. Another person confirms them: "
                      f"`quartermaster dead-letters confirm-all {code} --expect NUMBER`")  # fmt: skip


@app.command("confirm-all")
def confirm_all(
    code: Code,
    expect: Annotated[
        int, typer.Option(min=1, help="How many you mean; with another number that wait, nothing is sent.")
    ],
    state: State = None,
    json: AsJson = False,
) -> None:
    """Send every dead letter with this code that somebody else asked for, in the order in which they came."""
    with errors_explained():
        sent = run(_confirm_all(state, code, expect))
        if json:
            print_json({"code": code, "sent": sent})
        else:
            out.print(f"{sent} dead letters with {code} were sent again")


async def _letters(state: str | None, limit: int) -> list[dict[str, Any]]:
    async with connected(state) as parts:
        found = await PostgresDesk(parts.database).dead_letters(limit)
        asked = await PostgresRedrives(parts.database).newest_redrives([one["dead_letter_id"] for one in found])
    plain = {number: one.model_dump(mode="json") for number, one in asked.items()}
    return [{**one, "redrive": plain.get(one["dead_letter_id"])} for one in found]


@asynccontextmanager
async def _operations(state: str | None) -> AsyncIterator[LiveOperations]:
    async with (
        addresses(state, Permission.OPERATE) as found,
        database_of(found, required(found, "postgres_dsn"), name="quartermaster-redrive", size=1) as database,
    ):
        yield LiveOperations(database, found)


async def _ask(state: str | None, number: int, reason: str, mended: bytes | None) -> Redrive:
    async with _operations(state) as operations:
        return await operations.ask_redrive(number, reason, person.me(), mended=mended)


async def _confirm(state: str | None, number: int, sha256: str) -> Redriven:
    if len(sha256) < SHORTEST:
        raise InvalidInput(f"--sha256 takes at least {SHORTEST} digits of what `quartermaster dead-letters list` shows")
    async with _operations(state) as operations:
        asked = await _newest(operations, number)
        if not asked.payload_sha256.startswith(sha256):
            raise Conflict("the bytes that you confirm are not those that were asked for: look again")
        return await operations.confirm_redrive(asked.redrive_id, asked.payload_sha256, person.me())


async def _ask_all(state: str | None, code: str, reason: str) -> int:
    async with _operations(state) as operations:
        numbers, asked = await operations.letters_never_asked(code), 0
        for number in numbers:
            # Somebody may have asked meanwhile: that wish stands.
            with suppress(Conflict):
                await operations.ask_redrive(number, reason, person.me())
                asked += 1
        return asked


async def _confirm_all(state: str | None, code: str, expect: int) -> int:
    async with _operations(state) as operations:
        waiting = [one for one in await operations.unsent_redrives(code) if may_send(one, person.me())]
        if len(waiting) != expect:
            raise Conflict(f"{len(waiting)} dead letters with {code} wait for your word, not {expect}: look again with "
                           "`quartermaster dead-letters list`")  # fmt: skip
        for number, one in enumerate(waiting):
            try:
                await operations.confirm_redrive(one.redrive_id, one.payload_sha256, person.me())
            except QuartermasterError:
                people.print(f"{number} of {expect} were sent. The next one was not:")
                raise
        return len(waiting)


async def _decline(state: str | None, number: int, reason: str) -> Redrive:
    async with _operations(state) as operations:
        return await operations.decline_redrive((await _newest(operations, number)).redrive_id, reason, person.me())


async def _withdraw(state: str | None, number: int) -> Redrive:
    async with _operations(state) as operations:
        return await operations.withdraw_redrive((await _newest(operations, number)).redrive_id, person.me())


async def _newest(operations: LiveOperations, number: int) -> Redrive:
    found = await operations.newest_redrives([number])
    if number not in found:
        raise NotFound(f"nobody asked that dead letter {number} be sent again; `quartermaster dead-letters redrive "
                       f"{number} --reason WHY` does")  # fmt: skip
    return found[number]


def _asked(redrive: dict[str, Any] | None) -> str:
    if redrive is None:
        return ""
    answer = f" by {redrive['decided_by']}" if redrive["decided_by"] else ""
    return (
        f"{redrive['state']}{answer}; asked by {redrive['asked_by']}: {redrive['reason']} "
        f"({'mended, ' if redrive['mended'] else ''}{redrive['payload_sha256'][:SHORTEST]})"
    )


def _say(redrive: Redrive, json: bool) -> None:
    if json:
        print_json(redrive.model_dump(mode="json"))
        return
    number, sha256 = redrive.dead_letter_id, redrive.payload_sha256[:SHORTEST]
    answer = f" by {redrive.decided_by}" if redrive.decided_by else (
        f" and waits for another person; `quartermaster dead-letters confirm {number} --sha256 {sha256}`"
    )  # fmt: skip
    out.print(f"That dead letter {number} be sent again is {redrive.state}{answer}")
