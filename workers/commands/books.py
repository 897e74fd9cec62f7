"""`quartermaster decision`, `audit`, `model`: what was decided, whether the record is whole, which model decides."""

from typing import Annotated

import typer

from connectors.postgres.audit import PostgresAudit
from connectors.postgres.pool import Database
from connectors.postgres.roles import DatabaseRole
from workers.commands import person
from workers.commands.connection import State, addresses, connected
from workers.commands.output import FAILED, AsJson, errors_explained, out, print_json, print_table, run, say
from workers.commands.tasks import _view, print_decision
from workers.commands.verified_words import verified_words
from workers.databases import dsn_of
from workers.preparing import train
from workflows.domain.errors import NotFound
from workflows.domain.ledger import Verification
from workflows.domain.models import ModelVersion, TrainingRequest
from workflows.domain.monitoring import DEFINITIONS, DriftView
from workflows.domain.people import Permission
from workflows.retraining import RetrainingClosed

decisions = typer.Typer(no_args_is_help=True, help="Decisions and what became of them.")
audit = typer.Typer(no_args_is_help=True, help="The ledger.")
models = typer.Typer(no_args_is_help=True, help="Model versions.")


@decisions.command("show")
def show_decision(decision: str, state: State = None, json: AsJson = False) -> None:
    """Show one decision from its facts to its outcome."""
    with errors_explained():
        view = run(_view(state, decision))
        if json:
            print_json(view.model_dump(mode="json"))
            return
        print_decision(view)
        if view.outcome:
            facts = view.outcome["facts"]
            out.print(
                f"Outcome: {facts['demand_units']} sold, {facts['forecast_p50']} expected, cost {view.outcome['cost']}"
            )


@audit.command()
def verify(state: State = None, json: AsJson = False) -> None:
    """Check every hash, the tree, its signatures and the anchors. Exit code 1: something is not what was written."""
    with errors_explained():
        found = run(_verify(state))
        if json:
            print_json({"ok": found.ok, **found.model_dump(mode="json")})
        else:
            for words in verified_words(found):
                out.print(words)
            for one in found.breaks[:100]:
                out.print(f"  {one.stream} entry {one.seq}: {one.problem}")
        if not found.ok:
            raise typer.Exit(FAILED)


@models.command("list")
def list_models(state: State = None, json: AsJson = False) -> None:
    """List model versions, newest first."""
    with errors_explained():
        versions = run(_versions(state))
        if json:
            print_json({"models": [version.model_dump(mode="json") for version in versions]})
            return
        rows = [
            (v.number, v.digest[:12], v.status, v.trained_through, v.comparison.loss_ratio if v.comparison else "",
             "; ".join(v.gate.reasons) if v.gate else "")
            for v in versions
        ]  # fmt: skip
        print_table("Models", ("#", "digest", "status", "trained through", "loss ratio", "gate"), rows)


@models.command("drift")
def show_drift(state: State = None, json: AsJson = False) -> None:
    """Show what is watched for drift: the newest business day's readings, and the alarms."""
    with errors_explained():
        view = run(_drift(state))
        if json:
            definitions = {name: {"kind": kind, "value": words} for name, (kind, words) in DEFINITIONS.items()}
            print_json({**view.model_dump(mode="json"), "definitions": definitions})
            return
        if view.day is None:
            say("No business day has been read yet")
            return
        read = [(r.segment, r.statistic, r.kind, r.value, r.threshold, r.observations, "ALARM" if r.alarm else "")
                for r in view.readings]  # fmt: skip
        print_table(f"Drift on {view.day}", ("segment", "statistic", "kind", "value", "threshold", "n", ""), read)
        alarms = [(a.segment, a.statistic, a.started_on, a.ended_on or "open", a.retraining_id or "", a.detail)
                  for a in view.alarms]  # fmt: skip
        print_table("Alarms", ("segment", "statistic", "from", "until", "retraining", "what it said"), alarms)


@models.command("train")
def train_model(
    seed: int = 1,
    unseen_days: Annotated[int, typer.Option(min=1, help="Newest days kept back to judge the candidate on.")] = 7,
    state: State = None,
    json: AsJson = False,
) -> None:
    """Train a candidate, compare it with the champion, and promote it if it passes the gate."""
    with errors_explained():
        closed = run(_train(state, seed, unseen_days))
        if json:
            print_json(closed.model_dump(mode="json"))
            return
        out.print(f"{str(closed.digest)[:12] if closed.digest else 'No candidate'}: {closed.status or 'nothing new'}")
        for reason in closed.reasons:
            out.print(f"  {reason}")


@models.command()
def promote(digest: str, state: State = None, json: AsJson = False) -> None:
    """Make a model the champion: one that waits for a person's word, or an earlier one."""
    with errors_explained():
        _print_version(run(_promote(state, digest)), json)


@models.command()
def rollback(state: State = None, json: AsJson = False) -> None:
    """Go back to the champion before this one."""
    with errors_explained():
        _print_version(run(_rollback(state)), json)


def _print_version(version: ModelVersion, json: bool) -> None:
    if json:
        print_json(version.model_dump(mode="json"))
    else:
        out.print(f"Model {version.digest[:12]} is the {version.status}")


async def _verify(state: str | None) -> Verification:
    async with addresses(state, Permission.AUDIT) as found:
        dsn = dsn_of(found, DatabaseRole.AUDITOR)
        async with Database(dsn, name="quartermaster-verify", size=1) as database:
            return await PostgresAudit(database, dsn, found.anchor_directory).verify(person.me())  # which is recorded


async def _versions(state: str | None) -> list[ModelVersion]:
    async with connected(state) as parts:
        return await parts.models.versions()


async def _drift(state: str | None) -> DriftView:
    async with connected(state) as parts:
        return await parts.monitoring.view()


async def _train(state: str | None, seed: int, unseen_days: int) -> RetrainingClosed:
    async with connected(state, Permission.PROMOTE, worker=True) as parts:
        request = TrainingRequest(seed=seed, reason=f"asked by {person.me().name}", unseen_days=unseen_days)
        return await train(parts, request, say)


async def _promote(state: str | None, digest: str) -> ModelVersion:
    async with connected(state, Permission.PROMOTE) as parts:
        version = await parts.models.find(digest)
        if version is None:
            raise NotFound(f"no model, or more than one, begins with {digest}; `quartermaster model list` shows them")
        return await parts.models.promote(version.digest, person.me().name)


async def _rollback(state: str | None) -> ModelVersion:
    async with connected(state, Permission.PROMOTE) as parts:
        return await parts.models.rollback(person.me().name)
