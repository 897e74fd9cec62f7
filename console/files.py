"""Files for spreadsheets and back: checked whole, told with lines, and taken by the same desks as everything else."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from decimal import Decimal

from console.desk import AnswerDesk
from console.inbox_views import guards
from console.policy_desk import PolicyDesk
from workflows.domain.approvals import Actor, Meaning, TaskState, VerdictCommand
from workflows.domain.errors import Conflict, InvalidInput, NotFound, QuartermasterError, StaleProposal
from workflows.domain.files import (
    CATALOG,
    COLUMNS,
    KEYS,
    NEEDS,
    SHAPES,
    DecisionFilters,
    FileKind,
    Files,
    FileTaken,
    RowAnswer,
    catalog_cells,
    catalog_rows,
    cell,
    task_cells,
    verdict_commands,
)
from workflows.domain.identity import digest
from workflows.domain.inbox import Filters, Inbox, View
from workflows.domain.people import Permission, Person
from workflows.domain.policies import Policy, RuleCode
from workflows.domain.policy_changes import differences, next_policy
from workflows.domain.policy_files import policy_document, policy_rows
from workflows.domain.tables import Cells, Problem, Unusable, read_table, write_row, write_table

PAGE = 500
MOST_TASKS = 100_000
MOST_DECISIONS = 1_000_000
"""An export ends here, and its last line says so."""
Narrowing = DecisionFilters | Filters | None


class FileDesk:
    """Gives and takes files. It holds nothing: what a file says is in the file."""

    def __init__(
        self, files: Files, inbox: Inbox | None, policies: PolicyDesk, answers: AnswerDesk, currency: str
    ) -> None:
        self._files, self._inbox, self._policies = files, inbox, policies
        self._answers, self._currency = answers, currency

    async def give(self, kind: FileKind, person: Person, actor: Actor, narrowing: Narrowing) -> AsyncIterator[bytes]:
        """The file, in pieces; that it was taken away is on the record before the first one.

        Raises:
            NotFound: there is no such file here.
        """
        pieces = self._pieces(kind, person, narrowing)
        said = narrowing.model_dump(mode="json", exclude_defaults=True) if narrowing else {}
        await self._files.exported(kind, {name: str(value) for name, value in said.items()}, actor)
        return (piece.encode() async for piece in pieces)

    async def take(
        self, kind: FileKind, raw: bytes, person: Person, actor: Actor, *, check: bool, reason: str = ""
    ) -> FileTaken:
        """Take a file, or with `check` only say what it would do. Nothing of it counts unless all of it can.

        Raises:
            Unusable: with every problem of the file.
            NotAllowed: the person may not bring such a file.
            NotFound: nobody takes such files here.
        """
        if kind not in NEEDS:
            raise NotFound(f"Files of {kind} are given and never taken.")
        person.require(NEEDS[kind])
        rows = await asyncio.to_thread(read_table, raw, SHAPES[kind])
        taken = FileTaken(kind=kind, digest=digest(raw), checked_only=check, rows=len(rows))
        if kind is FileKind.LIMITS:
            return await self._propose(rows, taken, actor, reason)
        if kind is FileKind.VERDICTS:
            return await self._answer(rows, taken, person, actor)
        read = await asyncio.to_thread(catalog_rows, kind, rows, self._currency)
        change = await self._files.change_catalog(kind, read, taken.digest, actor, check=check)
        return taken.model_copy(update=dict(change))

    async def _propose(self, rows: Sequence[Cells], taken: FileTaken, actor: Actor, reason: str) -> FileTaken:
        """The file as a change that waits for another person; one that changes nothing is none."""
        document = await asyncio.to_thread(policy_document, rows)
        base = (await self._policies.policies.current()).policy
        found = differences(base, Policy.model_validate({**document, "version": base.version}))
        taken = taken.model_copy(update={"differences": found, "changed": len(found)})
        if taken.checked_only or not found:
            return taken
        next_policy(document, base)
        words = reason.strip() or f"From a file of limits ({taken.digest[:12]})"
        change = await self._policies.propose(document, words, actor)
        return taken.model_copy(update={"change_id": change.change_id})

    async def _answer(self, rows: Sequence[Cells], taken: FileTaken, person: Person, actor: Actor) -> FileTaken:
        """Every answer is looked at before the first is given; then each is given by itself."""
        if self._inbox is None:
            raise NotFound("This installation takes no files of verdicts.")
        commands = await asyncio.to_thread(verdict_commands, rows, taken.digest)
        problems = [found for line, one in commands if (found := await self._problem(line, one, person))]
        if problems:
            raise Unusable(problems)
        if taken.checked_only:
            return taken.model_copy(update={"new": len(commands)})
        answers = [await self._one(line, command, actor) for line, command in commands]
        return taken.model_copy(update={"answers": answers, "new": sum(one.taken for one in answers)})

    async def _problem(self, line: int, command: VerdictCommand, person: Person) -> Problem | None:
        """Why this answer could never count; whether somebody was quicker is found out when it is given."""
        assert self._inbox is not None  # noqa: S101 - asked before
        try:
            row = await self._inbox.row(command.decision_id)
            person.require(Permission.ANSWER, row.location)
        except (NotFound, Conflict) as error:
            return Problem(line=line, column="decision_id", reason=str(error))
        if row.proposal_hash != command.proposal_hash:
            reason = "the proposal changed since the file was made; export the tasks anew"
            return Problem(line=line, column="proposal_hash", reason=reason)
        if command.meaning is Meaning.REJECT or row.state is not TaskState.OPEN:
            return None
        # The person's amount is judged with the units of the row, when the answer is given.
        second_look = guards(dict.fromkeys(row.rules, ""), Decimal(0), person, self._currency)
        if row.signatures_needed > 1 or RuleCode.NEEDS_TWO_SIGNATURES in row.rules:
            second_look.append("two people must sign it")
        if second_look:
            reason = f"it wants a look by itself, in the inbox: {', '.join(second_look)}"
            return Problem(line=line, column="meaning", reason=reason)
        return None

    async def _one(self, line: int, command: VerdictCommand, actor: Actor) -> RowAnswer:
        try:
            receipt = await self._answers.answer(command, actor)
        except (Conflict, InvalidInput, NotFound, StaleProposal) as error:
            return RowAnswer(line=line, decision_id=command.decision_id, taken=False, words=str(error))
        except QuartermasterError as error:
            words = f"{error} (bring the same file again: what was taken is not taken twice)"
            return RowAnswer(line=line, decision_id=command.decision_id, taken=False, words=words)
        return RowAnswer(line=line, decision_id=command.decision_id, taken=True, words=str(receipt.meaning))

    def _pieces(self, kind: FileKind, person: Person, narrowing: Narrowing) -> AsyncIterator[str]:
        if kind in CATALOG:
            return _table(kind, self._catalog(kind))
        if kind is FileKind.LIMITS:
            return _table(kind, self._limits())
        if kind is FileKind.DECISIONS:
            filters = narrowing if isinstance(narrowing, DecisionFilters) else DecisionFilters()
            return _table(kind, self._decisions(filters), MOST_DECISIONS)
        if kind is FileKind.TASKS and self._inbox is not None:
            chosen = narrowing if isinstance(narrowing, Filters) else Filters()
            return _table(kind, self._tasks(self._inbox, chosen, person), MOST_TASKS)
        raise NotFound(f"There is no file of {kind} here.")

    async def _catalog(self, kind: FileKind) -> AsyncIterator[Mapping[str, str]]:
        after: list[str] | None = None
        while page := await self._files.catalog(kind, after, PAGE):
            for row in page:
                yield catalog_cells(row, self._currency)
            after = [str(getattr(page[-1], name)) for name in KEYS[kind]]

    async def _limits(self) -> AsyncIterator[Mapping[str, str]]:
        for row in policy_rows((await self._policies.policies.current()).policy):
            yield row

    async def _decisions(self, filters: DecisionFilters) -> AsyncIterator[Mapping[str, str]]:
        after: tuple[str, int] | None = None
        while page := await self._files.decisions(filters, after, PAGE):
            for row in page:
                yield {name: cell(value) for name, value in row.items()}
            after = str(page[-1]["decision_id"]), int(page[-1]["revision"])

    async def _tasks(self, inbox: Inbox, filters: Filters, person: Person) -> AsyncIterator[Mapping[str, str]]:
        after: str | None = None
        while True:
            page = await inbox.page(View.TEAM, filters, person, limit=100, after=after)
            for row in page.rows:
                yield task_cells(row)
            after = page.after
            if after is None:
                return


async def _table(kind: FileKind, rows: AsyncIterator[Mapping[str, str]], most: int = 10**9) -> AsyncIterator[str]:
    """The header and the rows, a page of them at a time."""
    columns = COLUMNS[kind]
    piece = "".join(write_table(columns, ()))
    written = 0
    async for row in rows:
        if written >= most:
            piece += write_row(columns, {columns[0]: f"# only the first {most:,} rows; narrow the export"})
            break
        piece += write_row(columns, row)
        written += 1
        if len(piece) > 65_536:
            yield piece
            piece = ""
    yield piece
