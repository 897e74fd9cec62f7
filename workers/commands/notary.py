"""`quartermaster notary`: the process that certifies the ledger, its keys, and what it has to say."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Annotated, Any

import typer

from connectors.anchors import FileAnchor
from connectors.postgres.pool import Database
from connectors.postgres.proofs import PostgresProofs
from connectors.postgres.roles import DatabaseRole, user_of
from workers.commands import person
from workers.commands.connection import State, addresses, settings
from workers.commands.output import AsJson, errors_explained, out, print_json, print_table, run, say
from workers.notary import folder_of, notary_of, run_notary
from workers.recording import origin
from workers.session import settings_beside
from workers.settings import Settings
from workers.wiring import required, required_path
from workflows.domain.errors import QuartermasterError, Unavailable
from workflows.domain.notary import InstalledKey, NotaryRuns, SignedCheckpoint
from workflows.domain.people import Permission

app = typer.Typer(invoke_without_command=True, help="The notary: certifies the ledger. Without a command, it runs.")

ROTATED_WITHIN_S = 90.0
Reason = Annotated[str, typer.Option(help="Why; it stays on the record.")]


@app.callback()
def notary(context: typer.Context) -> None:
    """Run the notary until stopped: every committed entry gets its leaf, and a signed checkpoint covers it."""
    if context.invoked_subcommand is None:
        with errors_explained():
            run(run_notary(settings_beside(settings())))


@app.command()
def show(state: State = None, json: AsJson = False) -> None:
    """Show the notary's keys, its newest checkpoint, what waits, what it refuses, and how far the anchors are."""
    with errors_explained():
        told = run(_shown(state))
        if json:
            print_json(told)
            return
        newest = told["checkpoint"]
        if newest is None:
            say("Nothing has been signed yet")
        else:
            out.print(
                f"Checkpoint {newest['number']} of {told['origin']}: {newest['size']:,} entries, signed at "
                f"{newest['signed_at']}, {told['age_seconds']:.0f} s ago"
            )
        oldest = told["waiting"]["oldest_seconds"]
        out.print(
            f"{told['waiting']['entries']:,} entries wait"
            + ("" if oldest is None else f", the oldest for {oldest:.0f} s")
        )
        anchor = told["anchor"]
        if anchor is None:
            out.print("The anchor cannot be seen from here")
        else:
            has = "has the newest checkpoint" if anchor["has_newest"] else "does not have the newest checkpoint"
            out.print(f"Anchor {anchor['directory']}: {anchor['leaves']:,} leaves, {has}")
        if told["url"] is not None:
            out.print(f"Anchor {told['url']['address']}: took checkpoint {told['url']['posted'] or 'none'}")
        rows = [(k["verifier_key"], k["first_checkpoint"], k["installed_at"]) for k in told["keys"]]
        print_table("Keys", ("verifier key", "first checkpoint", "installed"), rows)
        alarms = [(a["kind"], f"{a['seconds']:.0f} s", a["detail"]) for a in told["alarms"]]
        print_table("Alarms", ("kind", "for", "what it says"), alarms)


@app.command()
def rotate(reason: Reason = "rotation", state: State = None, json: AsJson = False) -> None:
    """Sign with a new key from now on. The statement of it is signed by both keys; a running notary does it at once."""
    with errors_explained():
        _print_key(run(_replaced(state, reason, accepting=False)), json)


@app.command("accept-loss")
def accept_loss(reason: Reason, state: State = None, json: AsJson = False) -> None:
    """Go on although entries that were certified are gone for good: what is left begins a log of another name.

    The notary must not run. What is missing, who accepted it and why are signed, anchored and in the ledger; every
    verifier that has the older checkpoints will go on saying that entries are missing.
    """
    with errors_explained():
        _print_key(run(_replaced(state, reason, accepting=True)), json)


def _print_key(key: InstalledKey, json: bool) -> None:
    if json:
        print_json(key.model_dump(mode="json"))
        return
    for words in key.told().get("loss", {}).get("what", ()):
        out.print(f"Accepted as lost: {words}")
    out.print(f"From checkpoint {key.first_checkpoint} on: {key.verifier_key}")


def _needs(permission: Permission) -> Permission | None:
    """The notary's own role may not read who may do what: where it gives the command, having the role is enough."""
    dsn = settings().postgres_dsn
    return None if dsn is not None and user_of(dsn) == DatabaseRole.NOTARY else permission


async def _shown(state: str | None) -> dict[str, Any]:
    async with addresses(state, _needs(Permission.SEE)) as found:
        async with Database(required(found, "postgres_dsn"), name="quartermaster-cli", size=1) as database:
            proofs = PostgresProofs(database)
            keys, latest, waiting = await proofs.keys(), await proofs.latest(), await proofs.waiting()
            alarms = await proofs.alarms()
        newest = latest.model_dump(mode="json", exclude={"frontier", "horizon"}) if latest else None
        return {
            "origin": keys[-1].verifier_key.partition("+")[0] if keys else None,
            "keys": [key.model_dump(mode="json") for key in keys],
            "checkpoint": newest,
            "age_seconds": (datetime.now(UTC) - latest.signed_at).total_seconds() if latest else None,
            "waiting": waiting.model_dump(),
            "alarms": [alarm.model_dump() for alarm in alarms],
            "anchor": await asyncio.to_thread(_anchor, required_path(found, "anchor_directory"), latest),
            "url": _url(found),
        }  # fmt: skip


def _anchor(directory: Path, latest: SignedCheckpoint | None) -> dict[str, Any] | None:
    """How far it is; None where it cannot be seen from here."""
    if not directory.is_dir():
        return None
    standing = FileAnchor(directory).standing()
    has = bool(latest and latest.note in standing.notes)
    return {"directory": str(directory), "leaves": standing.next_leaf, "has_newest": has}


def _url(found: Settings) -> dict[str, Any] | None:
    if found.anchor_url is None:
        return None
    try:
        kept = folder_of(found).state()
    except QuartermasterError:
        kept = None
    return {"address": origin(found.anchor_url), "posted": kept.posted if kept else None}


async def _replaced(state: str | None, reason: str, *, accepting: bool) -> InstalledKey:
    async with addresses(state, _needs(Permission.OPERATE)) as found:
        folder, actor = folder_of(found), person.me().name
        try:
            folder.lock()
        except NotaryRuns:
            if accepting:
                raise
            before = await _keys(found)
            folder.ask({"actor": actor, "reason": reason})
            deadline = monotonic() + ROTATED_WITHIN_S
            while folder.asked() is not None and monotonic() < deadline:  # noqa: ASYNC110 - another process answers
                await asyncio.sleep(0.1)
            after = await _keys(found)
            if len(after) == len(before):
                folder.answered()
                raise Unavailable("the notary did not replace its key; its log and `notary show` say why") from None
            return after[-1]
        try:
            made = notary_of(found, folder)
            return await asyncio.to_thread(made.replace_key, actor, reason, accepting=accepting)
        finally:
            folder.unlock()


async def _keys(found: Settings) -> list[InstalledKey]:
    async with Database(required(found, "postgres_dsn"), name="quartermaster-cli", size=1) as database:
        return await PostgresProofs(database).keys()
