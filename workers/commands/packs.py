"""`quartermaster audit pack`: the record as a file that an auditor takes along and checks without us."""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from connectors.postgres.auditing import note
from connectors.postgres.packs import reading
from workers.commands.auditing import auditing
from workers.commands.connection import State
from workers.commands.output import AsJson, errors_explained, out, print_json, run
from workers.packing import write_pack
from workers.recording import release
from workflows.domain.errors import InvalidInput, explained
from workflows.domain.ledger import EntryType
from workflows.domain.packs import PackMade, PackRequest

Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First day (UTC) of what was recorded.")]
Last = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last day (UTC), inclusive.")]


def pack(
    output: Annotated[Path, typer.Option("--output", help="The zip to write.", dir_okay=False)],
    decision: Annotated[str | None, typer.Option(help="One decision, with all that it rests on.")] = None,
    since: Day = None,
    until: Last = None,
    models: Annotated[bool, typer.Option(help="With the bytes of the models that decided.")] = True,
    state: State = None,
    json: AsJson = False,
) -> None:
    """Write an evidence pack: of one decision, of a period, or of everything. deploy/verify.py checks it offline."""
    with errors_explained():
        try:
            asked = PackRequest(
                decision=decision, since=since.date() if since else None, until=until.date() if until else None,
                models=models,
            )  # fmt: skip
        except ValidationError as error:
            raise InvalidInput(explained(error)) from None
        made = run(_make(state, asked, output.expanduser().absolute()))
        if json:
            print_json(made.model_dump(mode="json"))
            return
        counts = made.manifest.counts
        out.print(f"{made.path}: {made.size:,} bytes, SHA-256 {made.sha256}")
        out.print(
            f"  {counts.entries:,} entries in {counts.chains:,} chains, {counts.leaves:,} leaves, "
            f"{counts.checkpoints:,} checkpoints, {counts.evidence:,} objects of evidence"
        )
        if counts.evidence_absent:
            out.print(
                f"  {counts.evidence_absent:,} objects that decisions name are not there: the verifier says which"
            )
        out.print("Check it with deploy/verify.py and the anchors, on a machine of your own.")


async def _make(state: str | None, asked: PackRequest, output: Path) -> PackMade:
    async with auditing(state) as desk:

        def announce(made: PackMade) -> None:
            body = {
                "what": "evidence pack", "sha256": made.sha256, "bytes": made.size,
                "entries": made.manifest.counts.entries, "scope": made.manifest.scope.model_dump(mode="json"),
            }  # fmt: skip
            note(desk.dsn, desk.actor, EntryType.EXPORT_MADE, {**body, "channel": desk.actor.channel})

        kept = desk.settings.anchor_directory
        anchors = kept if kept is not None and kept.is_dir() else None

        def whole() -> PackMade:
            with reading(desk.dsn) as record:
                return write_pack(
                    record, asked, output, made_by=desk.actor.name, release=release(), announce=announce,
                    anchors=anchors,
                )  # fmt: skip

        return await asyncio.to_thread(whole)
