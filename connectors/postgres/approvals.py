"""Stores verdicts: bound to the proposal's hash, the first valid one counts, refused attempts are on the record too."""

import hashlib
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import ledger
from connectors.postgres.answer_words import words_id
from connectors.postgres.authority import Approving, approving
from connectors.postgres.people import person_of
from connectors.postgres.personal import SEALED, Words
from connectors.postgres.pool import Database
from connectors.postgres.signatures import first_signature, show_first, void
from connectors.postgres.tasks import rest
from connectors.postgres.withdrawals import withdraw
from workflows.domain.approvals import (
    Actor,
    Approval,
    Meaning,
    TaskState,
    UndoCommand,
    VerdictCommand,
    VerdictNotice,
    Withdrawal,
)
from workflows.domain.authority import Refusal, RefusalCode, of_person
from workflows.domain.errors import AlreadyAnswered, InvalidInput, NotFound, StaleProposal
from workflows.domain.identity import digest
from workflows.domain.ledger import EntryType, NewEntry

Cursor = psycopg.AsyncCursor[DictRow]
_STATE_OF = {
    Meaning.APPROVE: TaskState.APPROVED,
    Meaning.APPROVE_EDITED: TaskState.APPROVED,
    Meaning.REJECT: TaskState.REJECTED,
    Meaning.EXPIRE: TaskState.EXPIRED,
}
_USED = "this command id was used for another command; make a new one"


class PostgresApprovals:
    """The `Approvals` port. Nothing comes of an answer for `undo_seconds`; at 0 it cannot be taken back."""

    def __init__(self, database: Database, undo_seconds: int = 0) -> None:
        self._database = database
        self._undo_seconds = undo_seconds

    async def record(self, command: VerdictCommand, actor: Actor) -> Approval:
        async with self._database.transaction("approvals.record") as cursor:
            task = await _lock_task(cursor, command.decision_id)
            known = await _approval(cursor, command.command_id)
            if known is not None:
                kept = await self._database.vault.read(cursor, [words_id(command.command_id)])
                said = kept[words_id(command.command_id)].text if kept else ""
                if known["command_digest"] != _asked(command, actor) or said != command.comment:
                    raise InvalidInput(_USED)
                return _as_approval(known)
            first = await first_signature(cursor, command.decision_id)
            judged = await _judged(cursor, task, command, actor, first)
            if judged.refusal is None:
                return await self._store(cursor, task, command, actor, judged, first)
            # Not the refusal's words: they name whoever answered first.
            refused = {"refused": type(judged.refusal.error).__name__, "code": str(judged.refusal.code)}
            body = {**_command_body(command, None), **refused, "state": str(task["state"])}
            await ledger.append(cursor, [_entry(command.decision_id, EntryType.VERDICT_REFUSED, actor.name, body)])
        raise judged.refusal.error

    async def _store(
        self,
        cursor: Cursor,
        task: DictRow,
        command: VerdictCommand,
        actor: Actor,
        judged: Approving,
        first: DictRow | None,
    ) -> Approval:
        rejected = command.meaning is Meaning.REJECT
        if first is not None and (rejected or judged.outdated or not judged.completes):
            await void(cursor, first, "rejected" if rejected else judged.outdated or "replaced")
        window = self._undo_seconds if judged.completes and self._undo_seconds else None
        await cursor.execute(
            """INSERT INTO approval (approval_id, decision_id, revision, proposal_hash, meaning, units, reason, comment,
                                     actor, channel, command_digest, complete, signatures_needed, undo_until)
               VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s,
                       clock_timestamp() + make_interval(secs => %s))
               ON CONFLICT (approval_id) DO NOTHING RETURNING *""",
            [
                command.command_id, command.decision_id, task["revision"], command.proposal_hash, command.meaning,
                command.units, command.reason, SEALED if command.comment else "", actor.name,
                actor.channel, _asked(command, actor),
                judged.completes, judged.needed, window,
            ],
        )  # fmt: skip
        row = await cursor.fetchone()
        if row is None:
            # Commands for one task wait for each other; this one was used for another task in the same moment.
            raise InvalidInput(_USED)
        words = None
        if command.comment:
            words = await self._database.vault.words(cursor, actor.name, words_id(command.command_id), command.comment)
        if judged.completes:
            await _answer(cursor, command.decision_id, _STATE_OF[command.meaning], actor.name)
            if first is not None and (rejected or judged.outdated):
                await show_first(cursor, command.decision_id, None, task["signatures_needed"])
        else:
            await show_first(cursor, command.decision_id, actor.name, judged.needed)
        kind = EntryType.VERDICT_RECORDED if judged.completes else EntryType.VERDICT_SIGNED
        body = {**_command_body(command, words), "revision": task["revision"], "channel": actor.channel}
        if judged.needed > 1:
            body["signatures_needed"] = judged.needed
        await ledger.append(cursor, [_entry(command.decision_id, kind, actor.name, body)])
        return _as_approval(row)

    async def withdraw(self, command: UndoCommand, actor: Actor) -> Withdrawal:
        async with self._database.transaction("approvals.withdraw") as cursor:
            found = await withdraw(cursor, command, actor)
        if isinstance(found, Refusal):
            raise found.error
        return found

    async def find(self, approval_id: str) -> Approval | None:
        async with self._database.reading() as cursor:
            row = await _approval(cursor, approval_id)
            return _as_approval(row) if row and row["voided_at"] is None and row["complete"] else None

    async def heard(self, approval_id: str) -> None:
        async with self._database.transaction("approvals.heard") as cursor:
            await cursor.execute(
                "UPDATE approval SET heard_at = clock_timestamp() WHERE approval_id = %s AND heard_at IS NULL",
                [approval_id],
            )

    async def unheard(self, older_than_s: float) -> list[tuple[str, VerdictNotice]]:
        """Standing approvals that no workflow has acknowledged: (decision id, notice). Of ended proposals too: a
        workflow whose step was lost after it had ordered still waits to hear of it."""
        async with self._database.reading() as cursor:
            await cursor.execute(
                """SELECT approval_id, decision_id, proposal_hash, meaning FROM approval
                   WHERE heard_at IS NULL AND voided_at IS NULL AND complete AND meaning <> 'expire'
                     AND recorded_at < clock_timestamp() - make_interval(secs => %s)
                   ORDER BY recorded_at LIMIT 100""",
                [older_than_s],
            )
            return [(row["decision_id"], VerdictNotice.model_validate(row)) for row in await cursor.fetchall()]

    async def remind(self, decision_id: str) -> None:
        await self._note(decision_id, "reminded_at", EntryType.TASK_REMINDED)

    async def escalate(self, decision_id: str) -> None:
        await self._note(decision_id, "escalated_at", EntryType.TASK_ESCALATED)

    async def _note(self, decision_id: str, column: str, kind: EntryType) -> None:
        async with self._database.transaction("approvals.note") as cursor:
            await cursor.execute(
                f"""UPDATE task SET {column} = clock_timestamp()
                    WHERE decision_id = %s AND state = 'open' AND {column} IS NULL""",  # noqa: S608 - our own names
                [decision_id],
            )
            if cursor.rowcount == 1:
                await ledger.append(cursor, [_entry(decision_id, kind, "clock", {})])

    async def expire(self, decision_id: str, proposal_hash: str) -> TaskState:
        async with self._database.transaction("approvals.expire") as cursor:
            task = await _lock_task(cursor, decision_id)
            if task["state"] != "open":
                return TaskState(task["state"])
            if first := await first_signature(cursor, decision_id):
                await void(cursor, first, "expired")
                await show_first(cursor, decision_id, None, task["signatures_needed"])
            # Derived, so that an activity that runs twice stores one expiry.
            approval_id = "expire-" + hashlib.sha256(f"{decision_id}/{task['revision']}".encode()).hexdigest()[:32]
            await cursor.execute(
                """INSERT INTO approval (approval_id, decision_id, revision, proposal_hash, meaning, actor, channel,
                                         command_digest, heard_at)
                   VALUES (%s, %s, %s, %s, 'expire', 'clock', 'clock', '', clock_timestamp())""",
                [approval_id, decision_id, task["revision"], task["proposal_hash"]],
            )
            await _answer(cursor, decision_id, TaskState.EXPIRED, "clock")
            await close(cursor, decision_id, TaskState.EXPIRED, "nobody answered in time; expiry never approves")
            return TaskState.EXPIRED


async def close(cursor: Cursor, decision_id: str, state: TaskState, reason: str) -> None:
    """End a proposal without an order: its need is closed and the item rests before it is asked about again."""
    await cursor.execute(
        """UPDATE replenishment SET state = %s, closed_at = clock_timestamp()
           WHERE decision_id = %s AND state = 'proposed' RETURNING location, item""",
        [state, decision_id],
    )
    row = await cursor.fetchone()
    if row is None:
        return
    await cursor.execute("UPDATE need SET state = 'closed' WHERE need_id = %s", [decision_id])
    await rest(cursor, row["location"], row["item"])
    body = {"state": str(state), "reason": reason}
    await ledger.append(cursor, [_entry(decision_id, EntryType.DECISION_CLOSED, "engine", body)])


async def _lock_task(cursor: Cursor, decision_id: str) -> DictRow:
    await cursor.execute("SELECT * FROM task WHERE decision_id = %s FOR UPDATE", [decision_id])
    task = await cursor.fetchone()
    if task is None:
        raise NotFound(f"there is no task {decision_id}")
    return task


async def _approval(cursor: Cursor, approval_id: str) -> DictRow | None:
    await cursor.execute("SELECT * FROM approval WHERE approval_id = %s", [approval_id])
    return await cursor.fetchone()


async def _judged(
    cursor: Cursor, task: DictRow, command: VerdictCommand, actor: Actor, first: DictRow | None
) -> Approving:
    """Whether the answer counts, and whether another person must sign too."""
    person = await person_of(cursor, actor.name)
    refusal = of_person(person, actor.name, task["location"]) or _refusal(task, command)
    if refusal is not None or person is None or command.meaning is Meaning.REJECT:
        return Approving(refusal)
    return await approving(cursor, command.decision_id, command.units, person, first)


def _refusal(task: DictRow, command: VerdictCommand) -> Refusal | None:
    if task["state"] != "open":
        words = f"this task is {task['state']} already, by {task['answered_by'] or 'the engine'}"
        return Refusal(RefusalCode.ANSWERED, AlreadyAnswered(words))
    if task["proposal_hash"] != command.proposal_hash:
        words = f"the proposal changed: revision {task['revision']} is current; look at it and answer again"
        return Refusal(RefusalCode.STALE, StaleProposal(words))
    return None


async def _answer(cursor: Cursor, decision_id: str, state: TaskState, actor: str) -> None:
    await cursor.execute(
        "UPDATE task SET state = %s, answered_at = clock_timestamp(), answered_by = %s WHERE decision_id = %s",
        [state, actor, decision_id],
    )


def _asked(command: VerdictCommand, actor: Actor) -> str:
    """What was asked, and by whom: the same command id for anything else is a mistake. Without the comment: a digest
    tells whoever guesses it what it was."""
    return digest([command.model_copy(update={"comment": ""}), actor.name])


def _command_body(command: VerdictCommand, words: Words | None) -> dict[str, Any]:
    """What the ledger keeps of a verdict; of the comment what fits any other once its salt is gone, because people
    write names into comments. Of a refused answer nothing of the comment is kept."""
    return {
        "command": command.command_id,
        "meaning": str(command.meaning),
        "proposal_hash": command.proposal_hash,
        "units": command.units,
        "reason": str(command.reason) if command.reason else None,
        "comment_hmac": words.mac if words else None,
    }


def _entry(stream: str, kind: EntryType, actor: str, body: dict[str, Any]) -> NewEntry:
    return NewEntry(stream=stream, type=kind, actor=actor, occurred_at=datetime.now(UTC), body=body)


def _as_approval(row: DictRow) -> Approval:
    return Approval.model_validate(row)
