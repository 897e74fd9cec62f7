"""The demo's scripted planner answers tasks as people would: by the same desk, one at a time, not all of them.

Where the policy wants two signatures, a second person signs what the first one did.
"""

from datetime import date

from connectors.postgres.desk import PostgresDesk
from console.desk import AnswerDesk
from workflows.domain.approvals import Actor, Meaning, RejectReason, VerdictCommand
from workflows.domain.desk import TaskRow
from workflows.domain.errors import Conflict
from workflows.domain.identity import digest
from workflows.domain.people import People, Person, Role

CHANNEL = "script"
PLANNER = Actor(name="demo planner", channel=CHANNEL)
HEAD_PLANNER = Actor(name="demo head planner", channel=CHANNEL)
PEOPLE = (
    Person(name=PLANNER.name, roles=frozenset({Role.PLANNER})),
    Person(name=HEAD_PLANNER.name, roles=frozenset({Role.APPROVER})),
)
APPROVES, EDITS, REJECTS = 70, 10, 15
"""Out of a hundred tasks; the rest is left to expire."""


class ScriptedPlanner:
    """What it answers is a function of the task, so a resumed demo goes on as it would have."""

    def __init__(self, desk: PostgresDesk, answers: AnswerDesk, people: People) -> None:
        self._desk = desk
        self._answers = answers
        self._people = people

    async def arrive(self) -> None:
        """Make both people known, so that their answers count."""
        for person in PEOPLE:
            await self._people.register(person, Actor(name="demo", channel=CHANNEL))

    async def work(self, _: date) -> None:
        """Go through the inbox once."""
        for task in await self._desk.tasks(limit=500):
            command = answer_to(task)
            if command is None:
                continue
            try:
                receipt = await self._answers.answer(command, PLANNER)
                if not receipt.complete:
                    await self._answers.answer(countersigned(command), HEAD_PLANNER)
            except Conflict:
                continue  # the proposal changed meanwhile: it is looked at again tomorrow


def answer_to(task: TaskRow) -> VerdictCommand | None:
    """The verdict on a task, or None for one that nobody gets to."""
    roll = int(digest(task.decision_id.encode())[:8], 16) % 100
    if roll >= APPROVES + EDITS + REJECTS:
        return None
    meaning, units, reason = Meaning.APPROVE, None, None
    if roll >= APPROVES + EDITS:
        meaning, reason = Meaning.REJECT, RejectReason.TOO_MUCH
    elif roll >= APPROVES:
        meaning, units = Meaning.APPROVE_EDITED, max(1, task.units * 4 // 5)
    return VerdictCommand(
        command_id=f"demo-{digest([task.decision_id, task.revision])[:24]}",
        decision_id=task.decision_id,
        proposal_hash=task.proposal_hash,
        meaning=meaning,
        units=units,
        reason=reason,
    )


def countersigned(command: VerdictCommand) -> VerdictCommand:
    """The same verdict from a second person."""
    return command.model_copy(update={"command_id": f"{command.command_id}-second"})
