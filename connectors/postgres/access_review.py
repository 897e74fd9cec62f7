"""Reviews access and controls from the ledger alone; entries are streamed, and only what an answer needs is held."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from connectors.postgres.evidence import PostgresEvidence
from connectors.postgres.ledger import COLUMNS
from connectors.postgres.pool import Connection, connect, reading
from workflows.domain.access_review import AccessReview
from workflows.domain.controls import BLOCKED, Controls, Counting
from workflows.domain.identity import rfc3339
from workflows.domain.ledger import Entry, EntryType
from workflows.domain.policy_timeline import PolicyTimeline, timeline_of
from workflows.domain.reviewing import Reviewing

AT_ONCE = 1_000
_PEOPLE = [EntryType.PERSON_CHANGED, EntryType.PERSON_ERASED, EntryType.POLICY_PROPOSED, EntryType.POLICY_APPROVED]
_ANSWERS = [
    EntryType.VERDICT_RECORDED, EntryType.VERDICT_REFUSED, EntryType.VERDICT_WITHDRAWN, EntryType.ACCESS_REFUSED,
    EntryType.SESSION_OPENED,
]  # fmt: skip
_ABOUT = [EntryType.TASK_OPENED, EntryType.DECISION_PROPOSED, EntryType.VERDICT_SIGNED]
_REVIEW = f"""
SELECT {COLUMNS} FROM ledger_entry WHERE recorded_at < %(end)s AND (
    type = ANY(%(people)s) OR (type = ANY(%(answers)s) AND recorded_at >= %(first)s)
    OR (type = 'verdict.signed' AND recorded_at >= %(first)s)
    OR (type = ANY(%(about)s) AND stream IN (
        SELECT stream FROM ledger_entry
        WHERE type = 'verdict.recorded' AND recorded_at >= %(first)s AND recorded_at < %(end)s)))
ORDER BY recorded_at, stream COLLATE "C", seq
"""  # noqa: S608 - our own column names
_BLOCKED = f"""
SELECT {COLUMNS} FROM ledger_entry WHERE type = ANY(%(types)s) AND recorded_at >= %(first)s AND recorded_at < %(end)s
ORDER BY recorded_at, stream COLLATE "C", seq
"""  # noqa: S608 - our own column names
_POLICIES = f"""
SELECT {COLUMNS} FROM ledger_entry WHERE type IN ('policy.adopted', 'policy.proposed') AND recorded_at < %(end)s
ORDER BY recorded_at, stream COLLATE "C", seq
"""  # noqa: S608 - our own column names


class PostgresAccess:
    """The `AccessRecords` and `ControlRecords` ports: each answer is of one instant of the store."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    def review(self, on: date, since: date) -> AccessReview:
        with self._reading() as connection:
            return _review(connection, on, since)

    def controls(self, since: date, until: date) -> Controls:
        with self._reading() as connection:
            counting = Counting()
            asked = {"types": [str(one) for one in BLOCKED], **_days(since, until)}
            counting.take(_stream(connection, _BLOCKED, asked))
            return counting.result(since, until, _review(connection, until, since).answers)

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with connect(self._dsn, name="quartermaster-access") as connection, reading(connection) as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            yield connection


def _review(connection: Connection, on: date, since: date) -> AccessReview:
    days = _days(since, on)
    reviewing = Reviewing(on, since, _policies(connection, days))
    kinds = {"people": _PEOPLE, "answers": _ANSWERS, "about": _ABOUT}
    asked = {name: [str(kind) for kind in types] for name, types in kinds.items()}
    reviewing.take(_stream(connection, _REVIEW, {**asked, **days}))
    return reviewing.result()


def _policies(connection: Connection, days: dict[str, Any]) -> PolicyTimeline:
    return timeline_of(list(_stream(connection, _POLICIES, days)), PostgresEvidence(connection))


def _stream(connection: Connection, query: str, arguments: dict[str, Any]) -> Iterator[Entry]:
    with connection.cursor(name="access") as cursor:
        cursor.itersize = AT_ONCE
        cursor.execute(query.encode(), arguments)
        for row in cursor:
            yield Entry(**row)


def _days(first: date, last: date) -> dict[str, Any]:
    """From the beginning of the one to the end of the other."""
    return {"first": _midnight(first), "end": _midnight(last + timedelta(days=1))}


def _midnight(day: date) -> str:
    return rfc3339(datetime.combine(day, time.min, UTC))
