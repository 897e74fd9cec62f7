"""What people do with a task besides answering it: each deed is one transaction with its ledger entry."""

from datetime import UTC, date, datetime
from typing import Any

import psycopg
from psycopg.rows import DictRow

from connectors.postgres import ledger, saved_views, substitutes, task_comments, wishes
from connectors.postgres.inbox_desk import row_of
from connectors.postgres.people import meant, person_of
from connectors.postgres.pool import Database
from workflows.domain.approvals import Actor, Text
from workflows.domain.errors import AlreadyAnswered, InvalidInput, NotFound
from workflows.domain.identity import rfc3339
from workflows.domain.inbox import ClaimedByAnother, Comment, InboxRow, SavedView, Snooze, Substitute
from workflows.domain.ledger import EntryType, NewEntry
from workflows.domain.people import Permission, Person
from workflows.domain.wishes import refuse_unless_offered

Cursor = psycopg.AsyncCursor[DictRow]

_NAP = """
UPDATE task SET snoozed_at = now(), snoozed_by = %(by)s, snooze_words = %(words)s, snoozed_until = %(until)s,
    snoozed_receipts = CASE WHEN %(receipt)s THEN
        (SELECT count(*) FROM movement m WHERE m.location = task.location AND m.item = task.item AND m.kind = 'receipt')
        END,
    snoozed_percent = %(percent)s,
    snoozed_daily_units = CASE WHEN %(percent)s::integer IS NOT NULL THEN daily_units END
WHERE decision_id = %(task)s
"""


class PostgresTaskWork:
    """The `TaskWork` port. Saved views are a person's preferences: they leave no ledger entry."""

    def __init__(self, database: Database) -> None:
        self._database, self._vault = database, database.vault

    async def claim(self, decision_id: str, actor: Actor, *, minutes: int = 15) -> InboxRow:
        async with self._database.transaction("task_work.claim") as cursor:
            task = await locked(cursor, decision_id)
            runs = task["claim_ends_at"] is not None and task["claim_ends_at"] > task["wall_clock"]
            if runs and task["claimed_by"] != actor.name:
                until = task["claim_ends_at"].astimezone(UTC)
                raise ClaimedByAnother(f"{task['claimed_by']} works on it until {until:%H:%M} UTC")
            await cursor.execute(
                """UPDATE task SET claimed_by = %s, claim_ends_at = clock_timestamp() + make_interval(mins => %s)
                   WHERE decision_id = %s""",
                [actor.name, minutes, decision_id],
            )
            if not runs:  # to go on with a claim is no new one
                await _note(cursor, decision_id, EntryType.TASK_CLAIMED, actor, minutes=minutes)
            return await row_of(cursor, decision_id)

    async def unclaim(self, decision_id: str, actor: Actor) -> InboxRow:
        async with self._database.transaction("task_work.unclaim") as cursor:
            task = await locked(cursor, decision_id)
            if task["claimed_by"] == actor.name:
                await cursor.execute(
                    "UPDATE task SET claimed_by = NULL, claim_ends_at = NULL WHERE decision_id = %s", [decision_id]
                )
                await _note(cursor, decision_id, EntryType.TASK_RELEASED_CLAIM, actor)
            return await row_of(cursor, decision_id)

    async def snooze(self, decision_id: str, snooze: Snooze, actor: Actor) -> InboxRow:
        async with self._database.transaction("task_work.snooze") as cursor:
            task = await locked(cursor, decision_id)
            if snooze.until is not None:
                await _not_over(cursor, task["location"], snooze.until)
            if task["snooze_words"] != snooze.words or task["snoozed_by"] != actor.name:
                values = {
                    "task": decision_id, "by": actor.name, "words": snooze.words, "until": snooze.until,
                    "receipt": snooze.until_receipt, "percent": snooze.forecast_moves_percent,
                }  # fmt: skip
                await cursor.execute(_NAP, values)
                body = {
                    "until": rfc3339(snooze.until) if snooze.until else None, "until_receipt": snooze.until_receipt,
                    "forecast_moves_percent": snooze.forecast_moves_percent,
                }  # fmt: skip
                await _note(cursor, decision_id, EntryType.TASK_SNOOZED, actor, **body)
            return await row_of(cursor, decision_id)

    async def wake(self, decision_id: str, actor: Actor) -> InboxRow:
        async with self._database.transaction("task_work.wake") as cursor:
            task = await locked(cursor, decision_id)
            if task["snoozed_at"] is not None:
                await cursor.execute(f"UPDATE task SET {AWAKE} WHERE decision_id = %s".encode(), [decision_id])  # noqa: S608 - our own names
                await _note(cursor, decision_id, EntryType.TASK_WOKEN, actor, why="a person woke it")
            return await row_of(cursor, decision_id)

    async def comment(
        self, decision_id: str, text: Text, actor: Actor, *, command_id: str, to: str | None = None
    ) -> Comment:
        async with self._database.transaction("task_work.comment") as cursor:
            await locked(cursor, decision_id, open_only=False)
            to = await meant(cursor, self._vault, to) or to if to else None
            said = Comment(
                comment_id=command_id, decision_id=decision_id, author=actor.name, text=text, to=to,
                kind="question" if to else "comment", at=datetime.now(UTC),
            )  # fmt: skip
            if known := await task_comments.known(cursor, self._vault, said):
                return known
            await locked(cursor, decision_id)
            if to is not None:
                await _somebody(cursor, to)
            kept, words = await task_comments.keep(cursor, self._vault, said)
            await _note(cursor, decision_id, EntryType.TASK_COMMENTED, actor, **task_comments.told(kept, words))
            return kept

    async def comments(self, decision_id: str) -> list[Comment]:
        async with self._database.reading() as cursor:
            await row_of(cursor, decision_id)
            return await task_comments.of_task(cursor, self._vault, decision_id)

    async def forward(self, decision_id: str, to: str, note: Text, actor: Actor, *, command_id: str) -> InboxRow:
        async with self._database.transaction("task_work.forward") as cursor:
            task = await locked(cursor, decision_id, open_only=False)
            to = await meant(cursor, self._vault, to) or to
            said = Comment(
                comment_id=command_id, decision_id=decision_id, author=actor.name, text=note, to=to, kind="forward",
                at=datetime.now(UTC),
            )  # fmt: skip
            if await task_comments.known(cursor, self._vault, said) is None:
                await locked(cursor, decision_id)
                person = await _somebody(cursor, to)
                if not person.may(Permission.ANSWER, task["location"]):
                    raise InvalidInput(f"{to} may not answer tasks of {task['location']}: forward it to who may")
                kept, words = await task_comments.keep(cursor, self._vault, said)
                await cursor.execute(
                    """UPDATE task SET forwarded_to = %s, claimed_by = NULL, claim_ends_at = NULL
                       WHERE decision_id = %s""",
                    [to, decision_id],
                )
                await _note(cursor, decision_id, EntryType.TASK_FORWARDED, actor, **task_comments.told(kept, words))
            return await row_of(cursor, decision_id)

    async def rescore(self, decision_id: str, actor: Actor, *, supplier: str | None = None) -> None:
        """The relay tells the workflow, as it does when the world moved: nothing is lost while Temporal is away."""
        async with self._database.transaction("task_work.rescore") as cursor:
            task = await locked(cursor, decision_id)
            if supplier is not None:
                refuse_unless_offered(supplier, await wishes.offered(cursor, task))
            if not task["rescore_wanted"] or task["wanted_supplier"] != supplier:
                await cursor.execute(
                    "UPDATE task SET rescore_wanted = true, wanted_supplier = %s WHERE decision_id = %s",
                    [supplier, decision_id],
                )
                asked = {} if supplier is None else {"supplier": supplier}
                await _note(cursor, decision_id, EntryType.TASK_RESCORE_ASKED, actor, **asked)

    async def suppliers(self, decision_id: str) -> tuple[str, ...]:
        async with self._database.reading() as cursor:
            await cursor.execute("SELECT location, item FROM task WHERE decision_id = %s", [decision_id])
            task = await cursor.fetchone()
            if task is None:
                raise NotFound(f"there is no task {decision_id}")
            return await wishes.offered(cursor, task)

    async def saved_views(self, who: Person) -> list[SavedView]:
        async with self._database.reading() as cursor:
            return await saved_views.of_person(cursor, who.name)

    async def save_view(self, view: SavedView, actor: Actor) -> SavedView:
        async with self._database.transaction("task_work.save_view") as cursor:
            return await saved_views.save(cursor, view, actor.name)

    async def drop_view(self, view_id: str, actor: Actor) -> None:
        async with self._database.transaction("task_work.drop_view") as cursor:
            await saved_views.drop(cursor, view_id, actor.name)

    async def substitutes(self) -> list[Substitute]:
        async with self._database.reading() as cursor:
            return await substitutes.current(cursor)

    async def substitute(self, substitute: Substitute, actor: Actor) -> Substitute:
        async with self._database.transaction("task_work.substitute") as cursor:
            who = await meant(cursor, self._vault, substitute.substitute) or substitute.substitute
            return await substitutes.name(cursor, substitute.model_copy(update={"substitute": who}), actor)

    async def drop_substitute(self, person: str, first_day: date, actor: Actor) -> None:
        async with self._database.transaction("task_work.drop_substitute") as cursor:
            await substitutes.drop(cursor, person, first_day, actor)


AWAKE = """snoozed_at = NULL, snoozed_by = NULL, snooze_words = '', snoozed_until = NULL, snoozed_receipts = NULL,
    snoozed_percent = NULL, snoozed_daily_units = NULL"""
"""What a task is set to when it wakes."""


async def locked(cursor: Cursor, decision_id: str, *, open_only: bool = True) -> DictRow:
    """The task, held until the transaction ends, and the wall clock.

    Raises:
        NotFound: there is no such task.
        AlreadyAnswered: it is no longer open.
    """
    await cursor.execute(
        "SELECT *, clock_timestamp() AS wall_clock FROM task WHERE decision_id = %s FOR UPDATE", [decision_id]
    )
    task = await cursor.fetchone()
    if task is None:
        raise NotFound(f"there is no task {decision_id}")
    if open_only and task["state"] != "open":
        raise AlreadyAnswered(f"this task is {task['state']} already, by {task['answered_by'] or 'the engine'}")
    return task


async def _note(cursor: Cursor, decision_id: str, kind: EntryType, actor: Actor, /, **body: Any) -> None:
    """Append to the task's own chain."""
    told = {"channel": actor.channel, **body}
    entry = NewEntry(stream=decision_id, type=kind, actor=actor.name, occurred_at=datetime.now(UTC), body=told)
    await ledger.append(cursor, [entry])


async def _somebody(cursor: Cursor, name: str) -> Person:
    person = await person_of(cursor, name)
    if person is None or person.disabled_at is not None:
        raise InvalidInput(f"there is nobody called {name}: write the name as the list of people has it")
    return person


async def _not_over(cursor: Cursor, location: str, until: datetime) -> None:
    await cursor.execute("SELECT watermark FROM business_clock WHERE location = %s", [location])
    row = await cursor.fetchone()
    if row is not None and until <= row["watermark"]:
        raise InvalidInput(f"it is {row['watermark']:%Y-%m-%d %H:%M} UTC at {location} already: name a later instant")
