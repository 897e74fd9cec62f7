"""`quartermaster audit workflows` and `audit histories`: kept histories replayed, and whether all of them are kept."""

from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from temporalio.exceptions import WorkflowAlreadyStartedError

from connectors.postgres.histories_read import kept_histories, note_replayed, recorded_histories
from connectors.postgres.pool import connect
from workers.commands.auditing import auditing
from workers.commands.connection import State, connected
from workers.commands.output import FAILED, AsJson, errors_explained, out, print_json, run, say
from workers.completeness import completeness
from workers.histories import TemporalRuns
from workers.replaying import replay_histories
from workflows import naming
from workflows.domain.errors import InvalidInput, NotFound
from workflows.domain.failpoints import Effect
from workflows.domain.histories_checked import Completeness, HistoryOutcome, HistoryReplay
from workflows.domain.people import Permission
from workflows.exporting import HistoriesWorkflow

SHOWN = 100
"""Failures that are told one by one."""
BAD = (HistoryOutcome.FAILED, HistoryOutcome.DAMAGED, HistoryOutcome.MISSING)


def workflows(
    identity: Annotated[str | None, typer.Option("--id", help="A workflow's id, `replenishment/DECISION` say.")] = None,
    since: Annotated[datetime | None, typer.Option(help="Closed on this day or later, in UTC.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every history that is kept.")] = False,
    state: State = None,
    json: AsJson = False,
) -> None:
    """Replay kept workflow histories with this release, each after its SHA-256 was compared with the ledger. Exit code
    1 when one does not replay, is damaged or is missing."""
    with errors_explained():
        if (identity is not None) + (since is not None) + everything != 1:
            raise InvalidInput("say which: --id ID, --since DATE or --all")
        document = run(_replayed(state, identity, since and since.replace(tzinfo=UTC)))
        if json:
            print_json(document)
        else:
            counted = ", ".join(f"{document[str(one)]:,} {one}" for one in HistoryOutcome)
            out.print(f"{document['histories']:,} histories: {counted}; the chain of exports is {document['chain']}")
            for told in document["found"]:
                out.print(f"  {told['workflow_id']} {told['run_id']} {told['outcome']}: {told['why']}")
        if not document["ok"]:
            raise typer.Exit(FAILED)


def histories(
    sweep: Annotated[bool, typer.Option("--sweep", help="First keep whatever is closed and not kept yet.")] = False,
    state: State = None,
    json: AsJson = False,
) -> None:
    """Compare closed workflows, kept histories and ended decisions. Exit code 1 when something is missing for good."""
    with errors_explained():
        found = run(_counted(state, sweep))
        if json:
            print_json({"complete": found.complete, **found.model_dump(mode="json"), "explained": found.explained})
        else:
            out.print(
                f"{found.visible:,} closed workflows in Temporal, {found.kept:,} histories kept, "
                f"{found.decisions_kept:,} of {found.decisions:,} ended decisions among them"
            )
            for words in found.explained:
                out.print(f"  {words}")
            for name in (*found.overdue, *found.decisions_without, *found.histories_without):
                out.print(f"    {name}")
        if not found.complete:
            raise typer.Exit(FAILED)


async def _replayed(state: str | None, identity: str | None, since: datetime | None) -> dict[str, Any]:
    async with auditing(state) as desk:
        counts: Counter[str] = Counter()
        found: list[HistoryReplay] = []

        def count(one: HistoryReplay) -> None:
            counts[one.outcome] += 1
            if one.outcome is not HistoryOutcome.REPLAYED and len(found) < SHOWN:
                found.append(one)

        with connect(desk.dsn, name="quartermaster-audit") as connection:
            recorded, breaks = recorded_histories(connection)
            left = {key for key in recorded if identity in (None, key[0])}
            asked = kept_histories(connection, workflow_id=identity, since=since)

            def each() -> Any:
                for one in asked:
                    left.discard((one.run.workflow_id, one.run.run_id))
                    yield one

            async for one in replay_histories(each(), recorded):
                count(one)
            if since is None:
                for workflow_id, run_id in sorted(left):
                    why = "the ledger says that it was kept, and it is not there"
                    count(HistoryReplay(
                        workflow_id=workflow_id, run_id=run_id, type="", outcome=HistoryOutcome.MISSING, why=why,
                    ))  # fmt: skip
            if identity is not None and not counts:
                raise NotFound(f"no history of {identity} is kept; `quartermaster audit histories` says what is")
            document = {
                "ok": not breaks and not any(counts[one] for one in BAD),
                "histories": counts.total(),
                **{str(one): counts[one] for one in HistoryOutcome},
                "chain": "whole" if not breaks else "BROKEN",
            }
            note_replayed(connection, desk.actor, {key: value for key, value in document.items() if key != "chain"})
        return {**document, "found": [one.model_dump(mode="json") for one in found]}


async def _counted(state: str | None, sweep: bool) -> Completeness:
    async with connected(state, Permission.AUDIT, worker=sweep) as parts:
        if sweep:
            say("Keeping the histories of closed workflows")
            handle = parts.client.get_workflow_handle_for(HistoriesWorkflow.run, naming.HISTORIES_SCHEDULE)
            async with Effect("histories.start"):
                with suppress(WorkflowAlreadyStartedError):
                    handle = await parts.client.start_workflow(
                        HistoriesWorkflow.run, id=naming.HISTORIES_SCHEDULE, task_queue=naming.ENGINE_QUEUE
                    )
            swept = await handle.result()
            say(f"{swept.exported:,} kept, {swept.lost:,} lost, {swept.overridden:,} found overridden")
        return await completeness(parts.database, TemporalRuns(parts.client))
