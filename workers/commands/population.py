"""`quartermaster audit population`: every item of a period with its place in the ledger, and a proof that it is all."""

import asyncio
import hashlib
import json as documents
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from connectors.postgres.auditing import note
from connectors.postgres.population import PostgresPopulations
from workers.commands.auditing import Desk, auditing
from workers.commands.connection import State
from workers.commands.output import FAILED, AsJson, errors_explained, out, people, print_json, run, say
from workers.drafts import draft_of
from workflows.domain.errors import InvalidInput
from workflows.domain.ledger import EntryType
from workflows.domain.population import Item, PopulationFormat, PopulationKind, Proof, Wanted, header, line

BAR_EVERY = 5_000
Output = Annotated[
    Path, typer.Option("--output", help="FILE.csv or FILE.jsonl; its proof goes beside it, to FILE.proof.json.")
]


def population(
    output: Output,
    since: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="First day, as recorded, in UTC.")],
    until: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last day, inclusive. Default: today.")
    ] = None,
    what: Annotated[PopulationKind, typer.Option(help="What is exported.")] = PopulationKind.DECISIONS,
    state: State = None,
    json: AsJson = False,
) -> None:
    """Write every decision, order, approval or entry of a period to a file, with a proof that none is left out.

    Exit code 1 when the file does not hold everything that was counted.
    """
    with errors_explained():
        form = output.suffix.removeprefix(".").lower()
        if form not in set(PopulationFormat):
            raise InvalidInput(f"{output}: the name ends in .csv or .jsonl, which says how it is written")
        last = (until or datetime.now(UTC)).date()
        if last < since.date():
            raise InvalidInput(f"the last day, {last}, lies before the first, {since.date()}")
        wanted = Wanted(what=what, since=since.date(), until=last)
        proof = run(_export(state, wanted, PopulationFormat(form), output))
        if json:
            print_json(proof.model_dump(mode="json"))
        else:
            show(proof, output)
        if not proof.whole:
            raise typer.Exit(FAILED)


async def _export(state: str | None, wanted: Wanted, form: PopulationFormat, output: Path) -> Proof:
    async with auditing(state) as desk:
        return await asyncio.to_thread(_written, desk, wanted, form, output)


def _written(desk: Desk, wanted: Wanted, form: PopulationFormat, output: Path) -> Proof:
    """The file appears whole or not at all, and after the ledger says that it was taken."""
    sha, count = hashlib.sha256(), 0
    with draft_of(output) as table, draft_of(proof_of(output)) as beside:
        with table.open("wb") as file:

            def write(text: str) -> None:
                raw = text.encode()
                sha.update(raw)
                file.write(raw)

            def take(item: Item) -> None:
                nonlocal count
                write(line(form, item))
                count += 1
                if count % BAR_EVERY == 0:
                    say(f"{count:,} rows written")

            for text in header(form):
                write(text)
            found = PostgresPopulations(desk.dsn).export(wanted, take)
        proof = found.model_copy(update={"sha256": sha.hexdigest()})
        beside.write_text(documents.dumps(proof.model_dump(mode="json"), indent=2) + "\n", encoding="utf-8")
        note(desk.dsn, desk.actor, EntryType.EXPORT_MADE, proof.told)
    return proof


def proof_of(output: Path) -> Path:
    """Where the proof of this file lies."""
    return output.with_name(output.name + ".proof.json")


def show(proof: Proof, output: Path) -> None:
    """What was written, and what it can be recounted by."""
    out.print(
        f"{output}: {proof.items:,} {proof.wanted.what} of {proof.wanted.since} to {proof.wanted.until} in "
        f"{proof.entries:,} entries, SHA-256 {proof.sha256}"
    )
    for one in proof.counted:
        apart = proof.counted_apart.get(one.type, 0)
        out.print(f"  {one.type}: {one.entries:,} entries with {one.items:,} items; counted apart: {apart:,}")
    if proof.tree is None:
        out.print("No notary has signed a checkpoint yet: nothing outside this database proves that this is all.")
    else:
        out.print(
            f"Checkpoint {proof.tree.number} covers {proof.tree.size:,} entries, root {proof.tree.root}; "
            f"{proof.without_leaf + proof.beyond_checkpoint:,} entries of this file are newer than it."
        )
    out.print(f"The proof is in {proof_of(output)}")
    if not proof.whole:
        people.print("NOT WHOLE: the file and the count differ", style="bold red")
