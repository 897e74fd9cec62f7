"""`quartermaster policy`: what is in force, what a change would do, and the decision about it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from console.policy_desk import LIMIT, WEEKS
from workers.commands import person
from workers.commands.connection import State, connected
from workers.commands.output import AsJson, errors_explained, out, print_json, print_table, run
from workers.enrolling import let_in
from workflows.domain.errors import InvalidInput, NotFound
from workflows.domain.people import Permission
from workflows.domain.policies import Policy
from workflows.domain.policy_changes import (
    Difference,
    PolicyChange,
    PolicyVersion,
    ServiceRecord,
    limits_of,
    may_answer,
    read_document,
)
from workflows.domain.policy_trials import Standing, Tally, Trial
from workflows.domain.service_proposals import ServiceProposal

app = typer.Typer(no_args_is_help=True, help="The policy: what may be ordered without a person, and how that changes.")
File = Annotated[Path, typer.Argument(help="A policy as JSON, as `policy show --json` prints it, changed.")]
Change = Annotated[str, typer.Argument(help="The change's number or id, as `policy changes` lists it.")]
Weeks = Annotated[int, typer.Option(min=1, max=104, help="Weeks of past decisions, on the business clock.")]
Limit = Annotated[int, typer.Option(min=1, help="At most so many decisions are tried: open tasks, then the newest.")]


@app.command()
def show(
    version: Annotated[int | None, typer.Option("--version", min=1, help="This version instead of the newest.")] = None,
    state: State = None,
    json: AsJson = False,
) -> None:
    """Show the policy in force. With --json it is the document that a change starts from."""
    with errors_explained():
        found = [one for one in run(_history(state)) if version in (None, one.policy.version)]
        if not found:
            raise NotFound(f"there is no version {version}; `quartermaster policy history` lists them")
        if json:
            print_json(found[0].policy.model_dump(mode="json"))
            return
        print_policy(found[0])


@app.command()
def history(state: State = None, json: AsJson = False) -> None:
    """List every version that is or was in force, newest first."""
    with errors_explained():
        versions = run(_history(state))
        if json:
            print_json({"versions": [one.model_dump(mode="json") for one in versions]})
            return
        rows = [
            (v.policy.version, v.digest[:12], f"{v.adopted_at:%Y-%m-%d %H:%M}", v.author or "installation",
             v.approved_by)
            for v in versions
        ]  # fmt: skip
        print_table("Policy versions", ("version", "digest", "in force since", "proposed by", "approved by"), rows)


@app.command()
def check(file: File, state: State = None, json: AsJson = False) -> None:
    """Say whether a file is a policy and what it would change. Stores nothing."""
    with errors_explained():
        policy, found = run(_check(state, _document(file)))
        if json:
            print_json({"digest": policy.digest, "version": policy.version, "differences": _plain(found)})
            return
        out.print(f"{file} is a policy; it would be version {policy.version}, {policy.digest[:12]}")
        print_differences(found)


@app.command("dry-run")
def dry_run(file: File, weeks: Weeks = WEEKS, limit: Limit = LIMIT, state: State = None, json: AsJson = False) -> None:
    """Say what a policy would have made of the open tasks and of past weeks. Stores nothing."""
    with errors_explained():
        trial = run(_dry_run(state, _document(file), weeks, limit))
        if json:
            print_json(trial.model_dump(mode="json"))
            return
        print_trial(trial)


@app.command()
def propose(
    file: File,
    reason: Annotated[str, typer.Option(help="Why; whoever approves it reads this.")],
    weeks: Weeks = WEEKS,
    limit: Limit = LIMIT,
    state: State = None,
    json: AsJson = False,
) -> None:
    """Propose a policy, with its dry run. Another person must approve it before it is in force."""
    with errors_explained():
        change = run(_propose(state, _document(file), reason, weeks, limit))
        _say(change, json)
        if not json:
            print_trial(change.trial)


@app.command()
def suggest(
    weeks: Weeks = WEEKS,
    propose: Annotated[
        bool, typer.Option("--propose", help="Store what the outcomes ask for as a change that waits for a person.")
    ] = False,
    state: State = None,
    json: AsJson = False,
) -> None:
    """Compare how often stock ran out with what was aimed at, per category, and suggest service targets."""
    with errors_explained():
        records, proposals, change = run(_suggest(state, weeks, propose))
        if json:
            print_json({
                "served": [one.model_dump(mode="json") for one in records],
                "proposals": [one.model_dump(mode="json") for one in proposals],
                "change": change.model_dump(mode="json") if change else None,
            })  # fmt: skip
            return
        targets = {one.category: one.proposed for one in proposals}
        rows = [
            (r.category, r.decisions, f"{r.share:.1%}", f"{1 - r.target:.1%}", targets.get(r.category, "as it is"))
            for r in records
        ]
        columns = ("category", "outcomes", "stock ran out", "accepted", "target")
        print_table(f"Service in the last {weeks} weeks", columns, rows)
        if change:
            _say(change, json)


@app.command()
def changes(state: State = None, json: AsJson = False) -> None:
    """List policy changes, newest first."""
    with errors_explained():
        found = run(_changes(state))
        if json:
            print_json({"changes": [change.model_dump(mode="json") for change in found]})
            return
        rows = [
            (c.number, c.change_id, c.state, c.kind, c.author, c.reason, c.decided_by or "")
            for c in found
        ]  # fmt: skip
        print_table("Policy changes", ("#", "id", "state", "about", "author", "reason", "answered by"), rows)


@app.command()
def approve(change: Change, comment: str = "", state: State = None, json: AsJson = False) -> None:
    """Bring a change into force that somebody else proposed."""
    with errors_explained():
        _say(run(_answer(state, change, True, comment)), json)


@app.command()
def reject(
    change: Change, reason: Annotated[str, typer.Option(help="Why not.")], state: State = None, json: AsJson = False
) -> None:
    """Reject a change, or withdraw one of your own."""
    with errors_explained():
        _say(run(_answer(state, change, False, reason)), json)


def _document(file: Path) -> dict[str, Any]:
    try:
        return read_document(file.read_bytes())
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read: {error.strerror}") from None


async def _history(state: str | None) -> list[PolicyVersion]:
    async with connected(state) as parts:
        return await parts.policy_desk.policies.history()


async def _check(state: str | None, document: dict[str, Any]) -> tuple[Policy, list[Difference]]:
    async with connected(state) as parts:
        return await parts.policy_desk.check(document)


async def _dry_run(state: str | None, document: dict[str, Any], weeks: int, limit: int) -> Trial:
    async with connected(state) as parts:
        return await parts.policy_desk.dry_run(document, weeks=weeks, limit=limit)


async def _propose(state: str | None, document: dict[str, Any], reason: str, weeks: int, limit: int) -> PolicyChange:
    async with connected(state, Permission.PROPOSE_POLICY) as parts:
        return await parts.policy_desk.propose(document, reason, person.me(), weeks=weeks, limit=limit)


async def _suggest(
    state: str | None, weeks: int, propose: bool
) -> tuple[list[ServiceRecord], list[ServiceProposal], PolicyChange | None]:
    async with connected(state, Permission.PROPOSE_POLICY if propose else Permission.SEE) as parts:
        records, proposals = await parts.policy_desk.service_proposals(weeks)
        change = await parts.policy_desk.propose_service(person.me(), weeks=weeks) if propose else None
        return records, proposals, change


async def _changes(state: str | None) -> list[PolicyChange]:
    async with connected(state) as parts:
        return await parts.policy_desk.policies.changes()


async def _answer(state: str | None, change: str, approve: bool, reason: str) -> PolicyChange:
    async with connected(state, Permission.PROPOSE_POLICY) as parts:
        found = await parts.policy_desk.find(change)
        may_answer(await let_in(parts.settings, parts.database, Permission.PROPOSE_POLICY), found, approve=approve)
        return await parts.policy_desk.answer(found.change_id, person.me(), approve=approve, reason=reason)


def _say(change: PolicyChange, json: bool) -> None:
    if json:
        print_json(change.model_dump(mode="json"))
        return
    by = f" by {change.decided_by}" if change.decided_by else f"; `quartermaster policy approve {change.number}`"
    waits = "" if change.decided_by else " waits for another person"
    out.print(
        f"Change {change.number} ({change.change_id}), version {change.policy.version}: {change.state}{waits}{by}"
    )


def print_policy(version: PolicyVersion) -> None:
    """A version, limit by limit."""
    out.print(f"Version {version.policy.version}, {version.digest}, in force since {version.adopted_at:%Y-%m-%d %H:%M}")
    print_table(
        "Limits", ("limit", "value"), [(name, value or "-") for name, value in limits_of(version.policy).items()]
    )


def print_differences(found: Sequence[Difference]) -> None:
    """What a document changes."""
    print_table("Changes", ("limit", "now", "then"), [(d.limit, d.before or "-", d.after or "-") for d in found])


def print_trial(trial: Trial) -> None:
    """A dry run, for reading."""
    rows = [_tally_row(name, tally, trial.currency) for name, tally in (
        ("now", trial.before), ("then", trial.after),
        ("open tasks now", trial.waiting_before), ("open tasks then", trial.waiting_after),
    )]  # fmt: skip
    columns = ("", "nothing ordered", "released", "value released", "a person decides", "blocked")
    print_table(f"{trial.decisions:,} decisions of {trial.weeks} weeks and of open tasks", columns, rows)
    if trial.left_out:
        out.print(f"{trial.left_out:,} older decisions were left out; --limit takes more")
    for words in trial.blind_to:
        out.print(f"Not shown: {words}")
    out.print(f"{trial.changed:,} decisions change, {trial.quantity_changed:,} of them in quantity")
    shown = [(c.decision_id, c.item_name, _standing(c.before), _standing(c.after), ", ".join(c.after.rules))
             for c in trial.biggest]  # fmt: skip
    if shown:
        print_table("The biggest of them", ("decision", "item", "now", "then", "why"), shown)


def _tally_row(name: str, tally: Tally, currency: str) -> tuple[object, ...]:
    return name, tally.hold, tally.auto, f"{tally.auto_value:,.2f} {currency}", tally.review, tally.blocked


def _standing(one: Standing) -> str:
    return f"{one.outcome}, {one.units} for {one.value:.2f}" if one.units else one.outcome


def _plain(found: Sequence[Difference]) -> list[dict[str, Any]]:
    return [one.model_dump(mode="json") for one in found]
