"""`quartermaster audit replay`: decisions made again from the record alone, and whether each number is the same."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated
from uuid import uuid4

import typer

from workers.commands import person
from workers.commands.connection import State, addresses, connected
from workers.commands.output import FAILED, AsJson, errors_explained, out, print_json, print_table, run, say
from workers.progress import progress
from workers.remaking import ReplayOpener, replay_many
from workflows.domain.comparing import said
from workflows.domain.errors import InvalidInput
from workflows.domain.people import Permission
from workflows.domain.remaking import Remade
from workflows.domain.replay import Replayed, Verdict
from workflows.domain.replaying import ReplayProgress, ReplayRequest

Threads = Annotated[int, typer.Option(min=1, max=64, help="Threads of the forecaster. The result is the same.")]


def replay(
    decision: Annotated[str | None, typer.Argument(help="A decision's id. Without it: --sample or --since.")] = None,
    revision: Annotated[int | None, typer.Option(min=1, help="Default: every revision of the decision.")] = None,
    sample: Annotated[str | None, typer.Option(help="So many decisions, drawn by --seed; or `all`.")] = None,
    seed: Annotated[int, typer.Option(help="Of the sample: the same seed draws the same decisions.")] = 1,
    since: Annotated[datetime | None, typer.Option(help="Decided on this day or later (business clock, UTC).")] = None,
    until: Annotated[datetime | None, typer.Option(help="Decided before this day.")] = None,
    threads: Threads = 1,
    state: State = None,
    json: AsJson = False,
) -> None:
    """Make decisions again from the ledger and the evidence alone. Exit code 1 unless every one comes out equal."""
    with errors_explained():
        if decision is not None:
            if (sample, since, until) != (None, None, None):
                raise InvalidInput("name one decision, or ask for --sample or --since; not both")
            _print_one(run(_one(state, decision, revision, threads)), json)
            return
        if sample is None and since is None and until is None:
            raise InvalidInput("name a decision, or ask for --sample N, --sample all or --since DATE")
        if revision is not None:
            raise InvalidInput("--revision goes with a decision's id")
        request = ReplayRequest(
            sample=_number(sample), seed=seed, since=_utc(since), until=_utc(until), threads=threads,
            asked_by=person.me().name,
        )  # fmt: skip
        _print_many(request, run(_many(state, request)), json)


def _number(sample: str | None) -> int | None:
    if sample in (None, "all"):
        return None
    if sample is None or not sample.isdecimal() or int(sample) == 0:
        raise InvalidInput(f"--sample takes a number of decisions or `all`, not {sample!r}")
    return int(sample)


def _utc(day: datetime | None) -> datetime | None:
    return None if day is None else day.replace(tzinfo=UTC) if day.tzinfo is None else day


async def _one(state: str | None, decision: str, revision: int | None, threads: int) -> list[Remade]:
    async with addresses(state, Permission.AUDIT) as found:
        opener = ReplayOpener(found)

        def work() -> list[Remade]:
            with opener() as replays:
                remade = replays.replaying.one(decision, revision, threads=threads)
                replays.note_one(person.me().name, remade, uuid4().hex)
                return remade

        return await asyncio.to_thread(work)


async def _many(state: str | None, request: ReplayRequest) -> ReplayProgress:
    async with connected(state, Permission.AUDIT, worker=True) as parts:
        asked = request.model_copy(update={"asked_by": person.me().name})
        return await replay_many(parts, asked, progress())


def _print_one(remade: list[Remade], json: bool) -> None:
    if json:
        print_json({"revisions": [_document(one) for one in remade]})
    else:
        for one in remade:
            _tell(one)
    if any(one.replayed.verdict is not Verdict.EQUAL for one in remade):
        raise typer.Exit(FAILED)


def _document(one: Remade) -> dict[str, object]:
    figures = [
        {"what": each.what, "recorded": said(each.recorded), "now": said(each.now), "same": each.same}
        for each in one.every
    ]
    return {**one.replayed.model_dump(mode="json"), "figures": figures}


def _tell(one: Remade) -> None:
    found = one.replayed
    rows = [(each.what, said(each.recorded), said(each.now), "" if each.same else "DIFFERENT") for each in one.every]
    print_table(f"{found.decision_id}, revision {found.revision}", ("what", "recorded", "now", ""), rows)
    _tell_verdict(found)
    made = ", ".join(f"{name} {version}" for name, version in sorted(found.made_with.items()))
    out.print(f"Decided by release {found.release or 'before snapshots'}" + (f" with {made}" if made else ""))


def _tell_verdict(found: Replayed) -> None:
    out.print(f"{found.decision_id}, revision {found.revision}: {found.verdict}, {found.compared} values compared")
    for one in found.deviations:
        out.print(f"  {one.what}: recorded {one.recorded}, now {one.now}")
    for lost in found.missing:
        out.print(f"  missing: {lost.what} {lost.digest}".rstrip())
    for what in found.not_recorded:
        out.print(f"  not recorded then: {what}")


def _print_many(request: ReplayRequest, found: ReplayProgress, json: bool) -> None:
    counts = found.counts
    if json:
        print_json({
            **counts.model_dump(mode="json"), "seed": request.seed, "threads": request.threads,
            "through": found.plan and found.plan.through, "not_recorded": dict(found.not_recorded),
            "not_equal": [one.model_dump(mode="json") for one in found.told],
        })  # fmt: skip
    else:
        for one in found.told:
            _tell_verdict(one)
        for what, number in sorted(found.not_recorded.items()):
            out.print(f"Not recorded then, for {number:,} decisions: {what}")
        if counts.skipped:
            out.print(f"Skipped {counts.skipped:,} holds of a release that recorded their number and no list of them")
        told = len(found.told)
        if told < counts.different + counts.incomplete:
            out.print(f"The first {told} of those that are not equal are told above")
        out.print(
            f"{counts.decisions:,} decisions: {counts.equal:,} equal, {counts.different:,} different, "
            f"{counts.incomplete:,} incomplete, {counts.skipped:,} skipped; {counts.compared:,} values compared"
        )
    if not counts.decisions:
        say("No decision was asked for: nothing is recorded in that time")
    if not found.faultless:
        raise typer.Exit(FAILED)
