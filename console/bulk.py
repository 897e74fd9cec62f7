"""Many tasks answered in one request: each row for itself, and none slips in that somebody must look at by itself."""

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated

from pydantic import Field, StringConstraints

from console.desk import AnswerDesk
from console.inbox_views import guard
from console.ports import ConsolePorts
from workflows.domain.approvals import (
    STORABLE,
    Actor,
    Approval,
    Meaning,
    RejectReason,
    TaskState,
    Text,
    VerdictCommand,
    VerdictReceipt,
)
from workflows.domain.errors import InvalidInput, NotFound, QuartermasterError
from workflows.domain.identity import Digest, Payload
from workflows.domain.inbox import InboxRow
from workflows.domain.judging import Judgement
from workflows.domain.people import Permission, Person

MOST = 200
"""Rows of one request."""
AT_ONCE = 4
"""Rows that are read or answered at the same time: the rest of the console wants connections too."""


class BulkRow(Payload):
    """One task, and the proposal that the caller saw."""

    decision_id: Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=STORABLE)]
    proposal_hash: Digest


Rows = Annotated[tuple[BulkRow, ...], Field(min_length=1, max_length=MOST)]


class BulkLine(Payload):
    """What became of one row, or would."""

    decision_id: str
    done: bool
    """In a preview: it would be answered."""
    why: str = ""
    """Why not, in words; empty when it is done."""
    receipt: VerdictReceipt | None = None


class BulkGroup(Payload):
    """What goes to one supplier in one currency; amounts of different currencies are never added up."""

    supplier: str
    currency: str
    tasks: int
    units: int
    value: Decimal


class BulkTotal(Payload):
    """What is spent in one currency."""

    currency: str
    tasks: int
    value: Decimal


class BulkPreview(Payload):
    """What answering these rows would come to; nothing is answered yet."""

    tasks: int
    """Rows that would be answered."""
    totals: tuple[BulkTotal, ...]
    groups: tuple[BulkGroup, ...]
    worst_risk: Decimal | None
    """The highest probability of running out among them; None where there is none."""
    apart: tuple[BulkLine, ...]
    """Rows that would be refused, and why: these are answered one by one, or not at all."""


class BulkAnswer(Payload):
    """Row by row, in the order asked."""

    done: int
    refused: int
    lines: tuple[BulkLine, ...]


class BulkDesk:
    """Previews and answers many rows. Whoever comes here, pages or programs, gets the same rows refused."""

    def __init__(self, ports: ConsolePorts, answers: AnswerDesk) -> None:
        self._ports, self._answers = ports, answers
        self._places = asyncio.Semaphore(AT_ONCE)

    async def preview(self, rows: Sequence[BulkRow], meaning: Meaning, person: Person) -> BulkPreview:
        """What would be answered and what would be refused.

        Raises:
            InvalidInput: a task is named twice, or it is neither approving as proposed nor rejecting.
        """
        _check(rows, meaning)
        judged = await self._judged(rows, meaning, person)
        found = await asyncio.gather(*(self._row(row) for row in rows))
        ready, apart = [], []
        for asked, row in zip(rows, found, strict=True):
            why = self._refusal(asked, row, meaning, person, judged)
            if row is None or why:
                apart.append(BulkLine(decision_id=asked.decision_id, done=False, why=why))
            else:
                ready.append(row)
        groups = _groups(ready)
        return BulkPreview(
            tasks=len(ready), groups=groups, totals=_totals(groups), apart=tuple(apart),
            worst_risk=max((row.stockout_risk for row in ready), default=None),
        )  # fmt: skip

    async def answer(
        self, rows: Sequence[BulkRow], meaning: Meaning, person: Person, actor: Actor, *, key: str,
        reason: RejectReason | None = None, comment: Text = "",
    ) -> BulkAnswer:  # fmt: skip
        """Answer each row by itself: one that is refused holds up no other. The same key again answers nothing twice.

        Raises:
            InvalidInput: a task is named twice, a rejection has no reason, or it is neither of the two answers.
        """
        _check(rows, meaning)
        if (meaning is Meaning.REJECT) != (reason is not None):
            raise InvalidInput("a rejection has one reason for all rows, an approval has none")
        judged = await self._judged(rows, meaning, person)

        async def one(asked: BulkRow) -> BulkLine:
            command = VerdictCommand(
                command_id=command_of(key, asked.decision_id), decision_id=asked.decision_id,
                proposal_hash=asked.proposal_hash, meaning=meaning, reason=reason, comment=comment,
            )  # fmt: skip
            try:
                if not await self._given(command, actor):
                    why = self._refusal(asked, await self._row(asked), meaning, person, judged)
                    if why:
                        return BulkLine(decision_id=asked.decision_id, done=False, why=why)
                async with self._places:
                    receipt = await self._answers.answer(command, actor)
            except QuartermasterError as error:
                return BulkLine(decision_id=asked.decision_id, done=False, why=str(error))
            return BulkLine(decision_id=asked.decision_id, done=True, receipt=receipt)

        lines = await asyncio.gather(*(one(row) for row in rows))
        done = sum(line.done for line in lines)
        return BulkAnswer(done=done, refused=len(lines) - done, lines=tuple(lines))

    async def _given(self, command: VerdictCommand, actor: Actor) -> bool:
        """Whether this row of the request was counted before: then it is not judged by what it has become since."""
        async with self._places:
            stored: Approval | None = await self._ports.approvals.find(command.command_id)
        return stored is not None and stored.actor == actor.name

    async def _row(self, asked: BulkRow) -> InboxRow | None:
        if self._ports.inbox is None:
            raise NotFound("this installation has no views of its tasks")
        try:
            async with self._places:
                return await self._ports.inbox.row(asked.decision_id)
        except NotFound:
            return None

    async def _judged(self, rows: Sequence[BulkRow], meaning: Meaning, person: Person) -> Mapping[str, Judgement]:
        if meaning is Meaning.REJECT or self._ports.judging is None:
            return {}
        return await self._ports.judging.judge([row.decision_id for row in rows], person.name)

    def _refusal(
        self, asked: BulkRow, row: InboxRow | None, meaning: Meaning, person: Person, judged: Mapping[str, Judgement]
    ) -> str:
        """Why this row is not answered together with others; empty when it may be."""
        if row is None:
            return "there is no such task"
        if row.state is not TaskState.OPEN:
            return f"it is {row.state} already, by {row.answered_by or 'the engine'}"
        if row.proposal_hash != asked.proposal_hash:
            return f"the proposal changed: revision {row.revision} is current; look at it and answer again"
        if not person.may(Permission.ANSWER, row.location):
            return f"{person.name} does not answer tasks of {row.location}"
        if meaning is Meaning.REJECT:
            return ""
        if second_look := guard(row, person, self._ports.currency):
            return f"it wants a look by itself: {second_look}"
        judgement = judged.get(row.decision_id, Judgement(signatures=row.signatures_needed))
        if judgement.refused:
            return judgement.refused
        if judgement.signatures > 1:
            return "two people must sign it: sign it by itself"
        return ""


def command_of(key: str, decision_id: str) -> str:
    """The key of one row's verdict: of the request's key and the task, so that a repetition is recognised."""
    return "bulk-" + hashlib.blake2b(f"{key}|{decision_id}".encode(), digest_size=24).hexdigest()


def _check(rows: Sequence[BulkRow], meaning: Meaning) -> None:
    if meaning not in (Meaning.APPROVE, Meaning.REJECT):
        raise InvalidInput("many tasks at once are approved as proposed, or rejected")
    if len({row.decision_id for row in rows}) < len(rows):
        raise InvalidInput("a task is named twice; name each once")


def _groups(rows: Sequence[InboxRow]) -> tuple[BulkGroup, ...]:
    by: dict[tuple[str, str], list[InboxRow]] = defaultdict(list)
    for row in rows:
        by[row.currency, row.supplier].append(row)
    found = [
        BulkGroup(
            supplier=supplier, currency=currency, tasks=len(own), units=sum(row.units for row in own),
            value=sum((row.value for row in own), Decimal(0)),
        )
        for (currency, supplier), own in by.items()
    ]  # fmt: skip
    return tuple(sorted(found, key=lambda group: (group.currency, -group.value, group.supplier)))


def _totals(groups: Sequence[BulkGroup]) -> tuple[BulkTotal, ...]:
    return tuple(
        BulkTotal(
            currency=currency,
            tasks=sum(group.tasks for group in groups if group.currency == currency),
            value=sum((group.value for group in groups if group.currency == currency), Decimal(0)),
        )
        for currency in sorted({group.currency for group in groups})
    )
