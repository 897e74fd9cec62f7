"""`quartermaster export` and `import --file`: the console's files on the command line, by the same desk."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from connectors.postgres.files import PostgresFiles
from connectors.postgres.inbox_desk import PostgresInbox
from console.files import FileDesk
from workers.commands import person
from workers.commands.connection import State, connected
from workers.commands.output import errors_explained, out, people, print_json, run
from workers.enrolling import let_in
from workers.wiring import Engine
from workflows.domain.errors import InvalidInput
from workflows.domain.files import GIVEN, NEEDS, FileKind, FileTaken
from workflows.domain.people import Permission
from workflows.domain.tables import Unusable

Table = Annotated[
    Path | None, typer.Option("--file", help="A CSV file from a spreadsheet.", exists=True, dir_okay=False)
]
Taken = Annotated[FileKind | None, typer.Option("--kind", help=f"What is in it: {', '.join(NEEDS)}.")]
Check = Annotated[bool, typer.Option("--check", help="Only say what the file would do.")]
Why = Annotated[str, typer.Option("--reason", help="Of a policy change.")]


def export(
    kind: Annotated[FileKind, typer.Argument(help=f"Which file: {', '.join(GIVEN)}.")],
    to: Annotated[Path | None, typer.Option("--to", help="Where it goes. Default: stdout.", dir_okay=False)] = None,
    state: State = None,
) -> None:
    """Write a CSV file for a spreadsheet. That it was taken away is on the record."""
    with errors_explained():
        run(_export(state, kind, to))


async def _export(state: str | None, kind: FileKind, to: Path | None) -> None:
    async with connected(state) as parts:
        who = await let_in(parts.settings, parts.database, Permission.SEE)
        pieces = await _desk(parts).give(kind, who, person.me(), None)
        file = to.open("wb") if to else sys.stdout.buffer
        try:
            async for piece in pieces:
                file.write(piece)
            file.flush()
        finally:
            if to:
                file.close()


def bring(table: Path | None, kind: FileKind | None, check: bool, reason: str, state: str | None, json: bool) -> None:
    """Take a file; every problem of one that cannot be taken is printed with its line.

    Raises:
        InvalidInput: nothing of the file was taken.
    """
    if table is None or kind is None or kind not in NEEDS:
        raise InvalidInput(f"a file goes with its kind: --file FILE --kind {', '.join(NEEDS)}")
    try:
        taken = run(_bring(state, kind, table.read_bytes(), check, reason))
    except Unusable as error:
        for problem in error.problems:
            people.print(problem.words, soft_wrap=True)
        raise InvalidInput(f"{table}: {len(error.problems) + error.more} problems, nothing was taken") from None
    if json:
        print_json(taken.model_dump(mode="json"))
        return
    out.print(_words(taken))
    for one in taken.answers:
        out.print(f"line {one.line}: {one.decision_id}: {'' if one.taken else 'refused: '}{one.words}")


async def _bring(state: str | None, kind: FileKind, raw: bytes, check: bool, reason: str) -> FileTaken:
    async with connected(state, NEEDS[kind]) as parts:
        who = await let_in(parts.settings, parts.database, NEEDS[kind])
        return await _desk(parts).take(kind, raw, who, person.me(), check=check, reason=reason)


def _desk(parts: Engine) -> FileDesk:
    return FileDesk(
        PostgresFiles(parts.database), PostgresInbox(parts.database), parts.policy_desk, parts.answers,
        parts.settings.currency,
    )  # fmt: skip


def _words(taken: FileTaken) -> str:
    if taken.repeated:
        return "This very file changed the catalog last; nothing was done again"
    would = "would be " if taken.checked_only else ""
    if taken.change_id:
        return f"Proposed as policy change {taken.change_id}: another person must approve it"
    return f"{taken.rows} rows: {taken.new} {would}new, {taken.changed} {would}changed, {taken.same} the same"
