"""`quartermaster audit access` and `audit controls`: who could approve what, and what was kept from happening."""

import asyncio
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

import typer

from connectors.postgres.access_review import PostgresAccess
from connectors.postgres.auditing import note
from workers.commands.auditing import auditing
from workers.commands.connection import State
from workers.commands.output import AsJson, errors_explained, out, print_json, print_table, run
from workflows.domain.access_review import CONFLICTS, DAYS, AccessReview, Answers, place_of
from workflows.domain.access_rows import COLUMNS, rows
from workflows.domain.controls import BLOCKED, Controls
from workflows.domain.errors import InvalidInput
from workflows.domain.ledger import EntryType
from workflows.domain.tables import write_table

Given = datetime | None
On = Annotated[Given, typer.Option("--on", formats=["%Y-%m-%d"], help="The day, to its end in UTC. Default: today.")]
Since = Annotated[
    Given, typer.Option(formats=["%Y-%m-%d"], help=f"First day of what people did. Default: {DAYS} days before.")
]
Until = Annotated[Given, typer.Option(formats=["%Y-%m-%d"], help="Last day, to its end in UTC. Default: today.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="Print a CSV file for a spreadsheet on stdout, a row per person.")]


def access(
    on: On = None, since: Since = None, state: State = None, csv: AsCsv = False, json: AsJson = False
) -> None:  # fmt: skip
    """Say who could approve what on a day, which duties met in one person, and who did approve, from the ledger."""
    with errors_explained():
        if csv and json:
            raise InvalidInput("--csv and --json are two files: ask for one at a time")
        first, last = _days(since, on)
        review = run(_review(state, last, first))
        if json:
            print_json({**review.model_dump(mode="json"), "definitions": {str(k): v for k, v in CONFLICTS.items()}})
        elif csv:
            sys.stdout.writelines(write_table(COLUMNS, rows(review)))
        else:
            show(review)


def controls(since: Since = None, until: Until = None, state: State = None, json: AsJson = False) -> None:
    """Say what the engine kept from happening in a period, by control and by person, and how people answered."""
    with errors_explained():
        first, last = _days(since, until)
        found = run(_controls(state, first, last))
        if json:
            print_json({**found.model_dump(mode="json"), "definitions": {str(k): v for k, v in BLOCKED.items()}})
            return
        show_controls(found)


def _days(first: Given, last: Given) -> tuple[date, date]:
    until = last.date() if last else datetime.now(UTC).date()
    since = first.date() if first else until - timedelta(days=DAYS)
    if until < since:
        raise InvalidInput(f"the last day, {until}, lies before the first, {since}")
    return since, until


async def _review(state: str | None, on: date, since: date) -> AccessReview:
    async with auditing(state) as desk:
        found = await asyncio.to_thread(PostgresAccess(desk.dsn).review, on, since)
        body = {"what": "access", "on": on, "since": since, "people": len(found.people)}
        await asyncio.to_thread(note, desk.dsn, desk.actor, EntryType.AUDIT_READ, body)
        return found


async def _controls(state: str | None, since: date, until: date) -> Controls:
    async with auditing(state) as desk:
        found = await asyncio.to_thread(PostgresAccess(desk.dsn).controls, since, until)
        body = {"what": "controls", "since": since, "until": until, "entries": found.entries}
        await asyncio.to_thread(note, desk.dsn, desk.actor, EntryType.AUDIT_READ, body)
        return found


def show(review: AccessReview) -> None:
    """The review as tables."""
    table = [
        (one.person, one.state, " ".join(one.roles), place_of(one) if one.approves else "approves nothing",
         "any" if one.approval_limit is None else f"{one.approval_limit:,.2f}", f"{one.since:%Y-%m-%d %H:%M}",
         one.granted_by)
        for one in review.people
    ]  # fmt: skip
    heads = ("person", "state", "roles", "approves at", "up to", "since", "granted by")
    print_table(f"Rights at the end of {review.on} (UTC)", heads, table)
    policy = review.policy
    two = "nothing" if policy.four_eyes_above is None else f"orders above {policy.four_eyes_above:,.2f}"
    since = f"in force since {policy.since:%Y-%m-%d %H:%M}, adopted by {policy.adopted_by}" if policy.since else (
        "which nobody adopted: an installation starts with it"
    )  # fmt: skip
    out.print(
        f"Policy version {policy.version}, {policy.digest[:12]}, {since}: above {policy.auto_value_limit:,.2f} a "
        f"person approves; {two} two must sign; {policy.overrides} overrides."
    )
    found = [(one.person, CONFLICTS[one.kind], one.what, one.at and f"{one.at:%Y-%m-%d %H:%M}")
             for one in review.conflicts]  # fmt: skip
    print_table("Duties that met in one person", ("person", "what", "about", "when"), found)
    show_answers(f"Answers from {review.since} to {review.on}", review.answers)
    for text in review.notes:
        out.print(f"Note: {text}.")


def show_answers(title: str, answers: Sequence[Answers]) -> None:
    """How people answered."""
    table = [
        (one.person, one.approved, one.edited, one.rejected, one.signed_first, one.withdrawn, one.refused,
         "" if one.approve_share is None else f"{one.approve_share * 100:.1f} %",
         "" if one.median_seconds is None else timedelta(seconds=one.median_seconds), one.quick)
        for one in answers
    ]  # fmt: skip
    heads = ("person", "approved", "edited", "rejected", "signed first", "taken back", "refused", "approves",
             "median time", "within 10 s")  # fmt: skip
    print_table(title, heads, table)


def show_controls(found: Controls) -> None:
    """What was kept from happening."""
    words = {str(kind): text for kind, text in BLOCKED.items()}
    table = [(words[one.type], one.code, f"{one.entries:,}") for one in found.blocked]
    print_table(f"Kept from happening, {found.since} to {found.until}", ("control", "why", "times"), table)
    if found.only_counted:
        out.print(
            f"{found.only_counted:,} more refused attempts were only counted: of one person few an hour are kept."
        )
    print_table("By person", ("who", "times"), [(one.actor, f"{one.entries:,}") for one in found.by_person])
    newest = [(one.recorded_at[:19], one.stream, one.seq, words[one.type], one.actor, one.code)
              for one in found.attempts[:25]]  # fmt: skip
    print_table("The newest", ("recorded", "chain", "entry", "control", "who", "why"), newest)
    show_answers("Answers", found.answers)
