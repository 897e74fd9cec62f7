"""`quartermaster tasks`: the inbox on the command line, by the same desk as the console."""

import uuid
from collections.abc import Sequence
from typing import Annotated

import typer

from connectors.postgres.desk import PostgresDesk
from workers.commands import person
from workers.commands.connection import State, connected
from workers.commands.output import AsJson, errors_explained, out, print_json, print_table, run
from workers.commands.task_work import register, rows_of
from workflows.domain.approvals import (
    Meaning,
    RejectReason,
    TaskState,
    UndoCommand,
    UndoReceipt,
    VerdictCommand,
    VerdictReceipt,
)
from workflows.domain.desk import BlockedRow, DecisionView, TaskRow
from workflows.domain.errors import InvalidInput, NotFound
from workflows.domain.inbox import Filters, View
from workflows.domain.people import Permission

app = typer.Typer(no_args_is_help=True, help="Restock tasks that wait for a person.")


@app.command("list")
def list_tasks(
    state: State = None,
    which: Annotated[TaskState, typer.Option("--which", help="Tasks in this state.")] = TaskState.OPEN,
    view: Annotated[View | None, typer.Option("--view", help="One of the inbox's views, as you have it.")] = None,
    location: Annotated[str | None, typer.Option(help="With --view: only tasks of this location.")] = None,
    supplier: Annotated[str | None, typer.Option(help="With --view: only tasks for this supplier.")] = None,
    rule: Annotated[str | None, typer.Option(help="With --view: only tasks for which this rule fired.")] = None,
    text: Annotated[str, typer.Option(help="With --view: part of an item's code or name.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=500)] = 100,
    json: AsJson = False,
) -> None:
    """List tasks, the dearest to wait for first."""
    with errors_explained():
        try:
            filters = Filters(location=location, supplier=supplier, rule=rule, text=text)
        except ValueError as error:
            raise InvalidInput(str(error)) from None
        if view is None and filters != Filters():
            raise InvalidInput("filters narrow a view: add --view team for all open tasks")
        rows = run(_list(state, which, view, filters, limit))
        if json:
            print_json({"tasks": [row.model_dump(mode="json") for row in rows]})
            return
        columns = ("decision", "item", "units", "value", "risk", "supplier", "until", "why")
        print_table(
            "Tasks",
            columns,
            [
                (r.decision_id, r.item_name, r.units, f"{r.value:.2f} {r.currency}", f"{r.stockout_risk:.0%}",
                 r.supplier,                 f"{r.expire_at:%Y-%m-%d %H:%M}", ", ".join(r.rules))
                for r in rows
            ],
        )  # fmt: skip


@app.command()
def blocked(
    state: State = None, limit: Annotated[int, typer.Option(min=1, max=500)] = 100, json: AsJson = False
) -> None:
    """List what is needed and the engine may not order: nobody sells it, or the policy lets nobody release it."""
    with errors_explained():
        rows = run(_blocked(state, limit))
        if json:
            print_json({"blocked": [row.model_dump(mode="json") for row in rows]})
            return
        print_table(
            "Needed, and not the engine's to order",
            ("decision", "item", "units", "value", "supplier", "what is in the way"),
            [
                (r.decision_id, r.item_name, r.units, f"{r.value:.2f} {r.currency}", r.supplier,
                 "; ".join(rule.detail for rule in r.rules))
                for r in rows
            ],
        )  # fmt: skip


@app.command()
def show(decision: str, state: State = None, json: AsJson = False) -> None:
    """Show one task: what is proposed, and why."""
    with errors_explained():
        view = run(_view(state, decision))
        if view.task is None:
            raise NotFound(f"{decision} never was a task; `quartermaster decision show {decision}` shows the decision")
        if json:
            print_json(view.model_dump(mode="json"))
            return
        print_decision(view)


@app.command()
def approve(
    decision: str,
    units: Annotated[int | None, typer.Option(min=1, help="Order this many instead of what is proposed.")] = None,
    comment: str = "",
    revision_hash: Annotated[
        str | None, typer.Option("--hash", help="The proposal's hash, if you looked earlier.")
    ] = None,
    state: State = None,
    json: AsJson = False,
) -> None:
    """Approve a task, or approve it with another quantity."""
    meaning = Meaning.APPROVE if units is None else Meaning.APPROVE_EDITED
    _answer(decision, meaning, revision_hash, state, json, units=units, comment=comment)


@app.command()
def reject(
    decision: str,
    reason: Annotated[RejectReason, typer.Option(help="Why not.")],
    comment: str = "",
    revision_hash: Annotated[
        str | None, typer.Option("--hash", help="The proposal's hash, if you looked earlier.")
    ] = None,
    state: State = None,
    json: AsJson = False,
) -> None:
    """Reject a task, with a reason."""
    _answer(decision, Meaning.REJECT, revision_hash, state, json, reason=reason, comment=comment)


def _answer(
    decision: str,
    meaning: Meaning,
    revision_hash: str | None,
    state: str | None,
    json: bool,
    *,
    units: int | None = None,
    reason: RejectReason | None = None,
    comment: str = "",
) -> None:
    with errors_explained():
        receipt = run(_submit(state, decision, meaning, revision_hash, units, reason, comment))
        if json:
            print_json(receipt.model_dump(mode="json"))
            return
        out.print(f"{receipt.decision_id}: {receipt.meaning}{_what_next(receipt)}")


@app.command()
def undo(decision: str, state: State = None, json: AsJson = False) -> None:
    """Take your own answer back, as long as nothing came of it."""
    with errors_explained():
        receipt = run(_undo(state, decision))
        if json:
            print_json(receipt.model_dump(mode="json"))
            return
        heard = "" if receipt.heard else " (the workflow finds out before it orders)"
        out.print(f"{receipt.decision_id}: {receipt.meaning} is taken back, the task waits again{heard}")


def _what_next(receipt: VerdictReceipt) -> str:
    if not receipt.complete:
        return " (the first of two signatures: another person must sign the same units)"
    if not receipt.heard:
        return " (recorded; the workflow hears of it when it runs)"
    if receipt.undo_seconds:
        return f" (for {receipt.undo_seconds} s: quartermaster tasks undo {receipt.decision_id})"
    return ""


async def _submit(
    state: str | None,
    decision: str,
    meaning: Meaning,
    revision_hash: str | None,
    units: int | None,
    reason: RejectReason | None,
    comment: str,
) -> VerdictReceipt:
    async with connected(state, Permission.ANSWER) as parts:
        view = await PostgresDesk(parts.database).decision(decision)
        try:
            command = VerdictCommand(
                command_id=f"cli-{uuid.uuid4()}",
                decision_id=decision,
                proposal_hash=revision_hash or view.decision.proposal_hash,
                meaning=meaning,
                units=units,
                reason=reason,
                comment=comment,
            )
        except ValueError as error:
            raise InvalidInput(str(error)) from None
        return await parts.answers.answer(command, person.me())


async def _undo(state: str | None, decision: str) -> UndoReceipt:
    async with connected(state, Permission.ANSWER) as parts:
        command = UndoCommand(command_id=f"cli-{uuid.uuid4()}", decision_id=decision)
        return await parts.answers.undo(command, person.me())


async def _list(
    state: str | None, which: TaskState, view: View | None, filters: Filters, limit: int
) -> Sequence[TaskRow]:
    async with connected(state) as parts:
        if view is not None:
            return await rows_of(parts, view, filters, limit)
        return await PostgresDesk(parts.database).tasks(state=which, limit=limit)


async def _blocked(state: str | None, limit: int) -> list[BlockedRow]:
    async with connected(state) as parts:
        return await PostgresDesk(parts.database).blocked(limit)


async def _view(state: str | None, decision: str) -> DecisionView:
    async with connected(state) as parts:
        return await PostgresDesk(parts.database).decision(decision)


def print_decision(view: DecisionView) -> None:
    """One decision, for reading."""
    decision = view.decision
    out.print(
        f"{decision.decision_id} revision {decision.revision}, decided at {decision.decided_at:%Y-%m-%d %H:%M}",
        style="bold",
    )
    out.print(decision.result.sentence)
    rows = [(step.step, step.units, step.rule, f"{step.cost:+.2f}") for step in decision.result.waterfall]
    print_table("Quantity", ("step", "units", "rule", "expected cost"), rows)
    for rule in getattr(decision.result, "rules", ()):
        out.print(f"  needs a person: {rule.detail}")
    if view.task:
        out.print(
            f"Task: {view.task['state']}" + (f" by {view.task['answered_by']}" if view.task["answered_by"] else "")
        )
    if view.order:
        order = view.order
        out.print(
            f"Order {order['order_id']}: {order['state']}, {order['received_units']} of {order['units']} received"
        )
    out.print(f"Proposal hash {decision.proposal_hash}\nModel {decision.model_digest}\nPolicy {decision.policy_digest}")
    print_table("Timeline", ("at", "what", "who"), [(e["at"], e["type"], e["actor"]) for e in view.timeline])


register(app)
