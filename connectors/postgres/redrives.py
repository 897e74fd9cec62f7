"""Keeps who asked that a dead letter be sent again, and who answered: two people, whatever a program believes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import ledger, operator_commands
from connectors.postgres.pool import Database
from workflows.domain.approvals import Actor
from workflows.domain.errors import NotFound
from workflows.domain.events import content_digest
from workflows.domain.ledger import EntryType, NewEntry
from workflows.domain.redrives import Redrive, Redriven, RedriveState, asked_so, given_so, refusal
from workflows.domain.stops import Reason

Cursor = psycopg.AsyncCursor[DictRow]
STREAM = "dead-letters"
_ENTRY = {
    RedriveState.ASKED: EntryType.DEAD_LETTER_REDRIVE_ASKED,
    RedriveState.CONFIRMED: EntryType.DEAD_LETTER_REDRIVE_CONFIRMED,
    RedriveState.DECLINED: EntryType.DEAD_LETTER_REDRIVE_DECLINED,
    RedriveState.WITHDRAWN: EntryType.DEAD_LETTER_REDRIVE_WITHDRAWN,
}
_REDRIVES = """
SELECT r.redrive_id, r.dead_letter_id, r.state, r.asked_by, r.asked_at, r.reason, r.payload IS NOT NULL AS mended,
       length(coalesce(r.payload, d.payload)) AS bytes, r.payload_sha256, r.decided_by, r.decided_at, r.decided_reason,
       r.sent_at
FROM redrive r JOIN dead_letter d USING (dead_letter_id)
"""


@dataclass(frozen=True)
class Confirmed:
    """What a second person let go: where it goes and with which bytes."""

    redrive: Redrive
    topic: str
    message_key: str | None
    payload: bytes
    traceparent: str | None


class PostgresRedrives:
    """The `Redrives` port but for the sending, which is nobody's transaction: `confirm`, send, then `sent`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def newest_redrives(self, letters: Sequence[int]) -> dict[int, Redrive]:
        """The newest wish for each of these letters, whatever became of it; nothing for those that nobody asked for."""
        query = """JOIN (SELECT DISTINCT ON (dead_letter_id) redrive_id FROM redrive WHERE dead_letter_id = ANY(%s)
                   ORDER BY dead_letter_id, redrive_id DESC) newest USING (redrive_id)"""
        async with self._database.reading() as cursor:
            await cursor.execute(_REDRIVES + query, [list(letters)])
            return {row["dead_letter_id"]: Redrive.model_validate(row) for row in await cursor.fetchall()}

    async def letters_never_asked(self, error_code: str) -> list[int]:
        """Letters with this reason that nobody sent again or asked about, in the order in which they came."""
        async with self._database.reading() as cursor:
            await cursor.execute(
                """SELECT dead_letter_id FROM dead_letter d WHERE error_code = %s AND redriven_at IS NULL
                     AND NOT EXISTS (SELECT 1 FROM redrive r WHERE r.dead_letter_id = d.dead_letter_id)
                   ORDER BY dead_letter_id""",
                [error_code],
            )
            return [row["dead_letter_id"] for row in await cursor.fetchall()]

    async def unsent_redrives(self, error_code: str) -> list[Redrive]:
        """What waits to be confirmed of the letters with this reason, and what was confirmed and may not have been
        sent, in the order in which the letters came."""
        async with self._database.reading() as cursor:
            await cursor.execute(
                _REDRIVES
                + """WHERE d.error_code = %s AND (r.state = 'asked' OR r.state = 'confirmed' AND r.sent_at IS NULL)
                     ORDER BY r.dead_letter_id, r.redrive_id""",
                [error_code],
            )
            return [Redrive.model_validate(row) for row in await cursor.fetchall()]

    async def ask_redrive(
        self, dead_letter_id: int, reason: Reason, actor: Actor, *, mended: bytes | None = None,
        command_id: str | None = None,
    ) -> Redrive:  # fmt: skip
        async with self._database.transaction("redrives.ask") as cursor:
            letter = await _locked(cursor, dead_letter_id)
            sha256 = content_digest(letter["payload"] if mended is None else mended)
            asked: dict[str, object] = {
                "do": "ask redrive", "by": actor.name, "dead_letter": dead_letter_id, "reason": reason,
                "sha256": sha256,
            }  # fmt: skip
            if before := await operator_commands.answered(cursor, command_id, asked, Redrive):
                return before
            await cursor.execute(_REDRIVES + "WHERE r.dead_letter_id = %s AND r.state = 'asked'", [dead_letter_id])
            row = await cursor.fetchone()
            if row is None or not asked_so(Redrive.model_validate(row), actor, reason, sha256):
                await cursor.execute(
                    """INSERT INTO redrive (dead_letter_id, asked_by, reason, payload, payload_sha256)
                       VALUES (%s, %s, %s, %s, %s) RETURNING redrive_id""",
                    [dead_letter_id, actor.name, reason, mended, sha256],
                )
                found = await _found(cursor, (await cursor.fetchone() or {})["redrive_id"])
                await _tell(cursor, found, _ENTRY[RedriveState.ASKED], actor, reason=reason)
            else:
                found = Redrive.model_validate(row)
            await operator_commands.keep(cursor, command_id, asked, found)
            return found

    async def decline_redrive(
        self, redrive_id: int, reason: Reason, actor: Actor, *, command_id: str | None = None
    ) -> Redrive:
        async with self._database.transaction("redrives.decline") as cursor:
            return await _decide(cursor, redrive_id, RedriveState.DECLINED, actor, command_id, reason)

    async def withdraw_redrive(self, redrive_id: int, actor: Actor, *, command_id: str | None = None) -> Redrive:
        async with self._database.transaction("redrives.withdraw") as cursor:
            return await _decide(cursor, redrive_id, RedriveState.WITHDRAWN, actor, command_id)

    async def confirmed_before(
        self, redrive_id: int, payload_sha256: str, actor: Actor, command_id: str | None
    ) -> Redriven | None:
        """What this command was answered before, if it was.

        Raises:
            InvalidInput: the key was used for another command.
        """
        async with self._database.reading() as cursor:
            asked = _confirming(redrive_id, payload_sha256, actor)
            return await operator_commands.answered(cursor, command_id, asked, Redriven)

    async def confirm(self, redrive_id: int, payload_sha256: str, actor: Actor) -> Confirmed:
        """The second person's word, on the record before anything is sent; what is to be sent now, if it is not yet.

        Raises:
            NotFound: nobody asked for this.
            Conflict: as `Redrives.confirm_redrive` has it.
        """
        async with self._database.transaction("redrives.confirm") as cursor:
            letter, found = await _held(cursor, redrive_id)
            same = found.payload_sha256 == payload_sha256
            if not (same and given_so(found, actor, RedriveState.CONFIRMED)):
                refused = refusal(found, actor, RedriveState.CONFIRMED, digest=payload_sha256,
                                  redriven_at=letter["redriven_at"])  # fmt: skip
                if refused is not None:
                    raise refused
                found = await _settle(cursor, found, RedriveState.CONFIRMED, actor)
            await cursor.execute("SELECT payload FROM redrive WHERE redrive_id = %s", [redrive_id])
            mended = (await cursor.fetchone() or {})["payload"]
            payload = letter["payload"] if mended is None else mended
            return Confirmed(found, letter["topic"], letter["message_key"], payload, letter["traceparent"])

    async def sent(self, confirmed: Redrive, topic: str, actor: Actor, *, command_id: str | None = None) -> Redriven:
        """Note, on the record and once, that the broker has what was confirmed."""
        asked = _confirming(confirmed.redrive_id, confirmed.payload_sha256, actor)
        answer = Redriven(dead_letter_id=confirmed.dead_letter_id, topic=topic)
        async with self._database.transaction("redrives.sent") as cursor:
            await _locked(cursor, confirmed.dead_letter_id)
            await cursor.execute(
                """UPDATE redrive SET sent_at = clock_timestamp()
                   WHERE redrive_id = %s AND sent_at IS NULL RETURNING sent_at""",
                [confirmed.redrive_id],
            )
            row = await cursor.fetchone()
            if row is not None:
                await cursor.execute(
                    "UPDATE dead_letter SET redriven_at = %s WHERE dead_letter_id = %s",
                    [row["sent_at"], confirmed.dead_letter_id],
                )
                await _tell(cursor, confirmed, EntryType.DEAD_LETTER_REDRIVEN, actor)
            if await operator_commands.answered(cursor, command_id, asked, Redriven) is None:
                await operator_commands.keep(cursor, command_id, asked, answer)
        return answer


def _confirming(redrive_id: int, payload_sha256: str, actor: Actor) -> dict[str, object]:
    return {"do": "confirm redrive", "by": actor.name, "redrive": redrive_id, "sha256": payload_sha256}


async def _decide(
    cursor: Cursor, redrive_id: int, word: RedriveState, actor: Actor, command_id: str | None, reason: str = ""
) -> Redrive:
    asked: dict[str, object] = {"do": f"{word} redrive", "by": actor.name, "redrive": redrive_id, "reason": reason}
    _, found = await _held(cursor, redrive_id)
    if before := await operator_commands.answered(cursor, command_id, asked, Redrive):
        return before
    if not given_so(found, actor, word):
        if (refused := refusal(found, actor, word)) is not None:
            raise refused
        found = await _settle(cursor, found, word, actor, reason)
    await operator_commands.keep(cursor, command_id, asked, found)
    return found


async def _settle(cursor: Cursor, redrive: Redrive, word: RedriveState, actor: Actor, reason: str = "") -> Redrive:
    await cursor.execute(
        """UPDATE redrive SET state = %s, decided_by = %s, decided_at = clock_timestamp(), decided_reason = %s
           WHERE redrive_id = %s""",
        [word, actor.name, reason, redrive.redrive_id],
    )
    found = await _found(cursor, redrive.redrive_id)
    await _tell(cursor, found, _ENTRY[word], actor, **({"reason": reason} if reason else {}))
    return found


async def _locked(cursor: Cursor, dead_letter_id: int) -> DictRow:
    """The letter; words about it wait for each other until the transaction ends."""
    await cursor.execute(
        """SELECT topic, message_key, payload, traceparent, redriven_at FROM dead_letter
           WHERE dead_letter_id = %s FOR NO KEY UPDATE""",
        [dead_letter_id],
    )
    row = await cursor.fetchone()
    if row is None:
        raise NotFound(f"there is no dead letter {dead_letter_id}; `quartermaster dead-letters list` shows them")
    return row


async def _held(cursor: Cursor, redrive_id: int) -> tuple[DictRow, Redrive]:
    """The letter, locked, and what was asked of it as it is under that lock."""
    letter = await _locked(cursor, (await _found(cursor, redrive_id)).dead_letter_id)
    return letter, await _found(cursor, redrive_id)


async def _found(cursor: Cursor, redrive_id: int) -> Redrive:
    await cursor.execute(_REDRIVES + "WHERE r.redrive_id = %s", [redrive_id])
    row = await cursor.fetchone()
    if row is None:
        raise NotFound(
            f"nobody asked for a re-drive {redrive_id}; `quartermaster dead-letters list` shows what is asked"
        )
    return Redrive.model_validate(row)


async def _tell(cursor: Cursor, redrive: Redrive, kind: EntryType, actor: Actor, **more: Any) -> None:
    body = {
        "dead_letter": redrive.dead_letter_id, "redrive": redrive.redrive_id, "mended": redrive.mended,
        "payload_sha256": redrive.payload_sha256, "channel": actor.channel, **more,
    }  # fmt: skip
    entry = NewEntry(stream=STREAM, type=kind, actor=actor.name, occurred_at=datetime.now(UTC), body=body)
    await ledger.append(cursor, [entry])
