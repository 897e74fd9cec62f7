"""Takes an answer back as long as nothing came of it: the task waits again, and both stay on the record."""

from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import ledger
from connectors.postgres.people import person_of
from connectors.postgres.signatures import show_first
from workflows.domain.approvals import Actor, UndoCommand, Withdrawal
from workflows.domain.authority import Refusal, RefusalCode, of_person
from workflows.domain.errors import Conflict, InvalidInput, NotAllowed, NotFound
from workflows.domain.ledger import EntryType, NewEntry

Cursor = psycopg.AsyncCursor[DictRow]


async def withdraw(cursor: Cursor, command: UndoCommand, actor: Actor) -> Withdrawal | Refusal:
    """Void the answer and open the task, or say why not; a refusal is recorded too.

    The task is locked before the proposal, as everybody does who takes both: whoever orders or closes holds the
    proposal, so what this sees afterwards is final.
    """
    await cursor.execute("SELECT * FROM task WHERE decision_id = %s FOR UPDATE", [command.decision_id])
    task = await cursor.fetchone()
    if task is None:
        raise NotFound(f"there is no task {command.decision_id}")
    await cursor.execute("SELECT * FROM approval WHERE withdrawn_command = %s", [command.command_id])
    before = await cursor.fetchone()
    if before is not None:
        same = (before["decision_id"], before["actor"]) == (command.decision_id, actor.name)
        if not same or command.approval_id not in (None, before["approval_id"]):
            raise InvalidInput("this command id was used for another command; make a new one")
        return _withdrawal(before)
    await cursor.execute("SELECT * FROM replenishment WHERE decision_id = %s FOR UPDATE", [command.decision_id])
    proposal = await cursor.fetchone() or {}
    await cursor.execute(
        "SELECT * FROM approval WHERE decision_id = %s AND voided_at IS NULL ORDER BY complete DESC LIMIT 1",
        [command.decision_id],
    )
    standing = await cursor.fetchone()
    person = await person_of(cursor, actor.name)
    refusal = of_person(person, actor.name, task["location"]) or _refusal(standing, proposal, command, actor)
    if refusal is not None or standing is None:
        assert refusal is not None  # noqa: S101 - nothing that stands is a refusal
        body = {
            "command": command.command_id, "meaning": "undo", "refused": type(refusal.error).__name__,
            "code": str(refusal.code), "state": str(task["state"]),
        }  # fmt: skip
        await ledger.append(cursor, [_entry(command.decision_id, EntryType.VERDICT_REFUSED, actor, body)])
        return refusal
    await cursor.execute(
        """UPDATE approval SET voided_at = clock_timestamp(), void_reason = 'taken back', withdrawn_command = %s
           WHERE approval_id = %s""",
        [command.command_id, standing["approval_id"]],
    )
    if standing["complete"]:
        await cursor.execute(
            "UPDATE task SET state = 'open', answered_at = NULL, answered_by = NULL WHERE decision_id = %s",
            [command.decision_id],
        )
    else:
        await show_first(cursor, command.decision_id, None, task["signatures_needed"])
    body = {"command": command.command_id, "approval": standing["approval_id"], "channel": actor.channel}
    await ledger.append(cursor, [_entry(command.decision_id, EntryType.VERDICT_WITHDRAWN, actor, body)])
    return _withdrawal(standing)


def _refusal(standing: DictRow | None, proposal: DictRow, command: UndoCommand, actor: Actor) -> Refusal | None:
    if standing is None or command.approval_id not in (None, standing["approval_id"]):
        return Refusal(RefusalCode.NOTHING_STANDS, Conflict("there is no such answer (any more): nothing to take back"))
    if standing["actor"] != actor.name:
        words = f"{standing['actor']} gave this answer: nobody else can take it back"
        return Refusal(RefusalCode.NOT_THEIRS, NotAllowed(words))
    if proposal["state"] == "released":
        words = "too late: it is on the order already. The order itself can still be looked at and stopped."
        return Refusal(RefusalCode.TOO_LATE, Conflict(words))
    if proposal["state"] != "proposed":
        return Refusal(RefusalCode.TOO_LATE, Conflict(f"too late: the proposal is {proposal['state']} already"))
    if standing["complete"] and standing["undo_until"] is None:
        words = "too late: this installation gives no time to take answers back (QM_UNDO_SECONDS is 0)"
        return Refusal(RefusalCode.TOO_LATE, Conflict(words))
    return None


def _withdrawal(row: DictRow) -> Withdrawal:
    return Withdrawal.model_validate(row)


def _entry(stream: str, kind: EntryType, actor: Actor, body: dict[str, Any]) -> NewEntry:
    return NewEntry(stream=stream, type=kind, actor=actor.name, occurred_at=datetime.now(UTC), body=body)
