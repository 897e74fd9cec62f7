"""What people do with tasks, in memory: claims that end, naps, words, forwarding, views and substitutes."""

from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from typing import Any

from tests.fakes.desk import Case, MemoryShop
from tests.fakes.inbox import MemoryInbox, WallClock, row_of
from workflows.domain.approvals import Actor, TaskState, Text
from workflows.domain.decisions import SupplyOption
from workflows.domain.errors import AlreadyAnswered, InvalidInput, NotAllowed, NotFound
from workflows.domain.inbox import ClaimedByAnother, Comment, InboxRow, SavedView, Snooze, Substitute
from workflows.domain.ledger import EntryType
from workflows.domain.people import Permission, Person, Role
from workflows.domain.supplying import orderable
from workflows.domain.wishes import refuse_unless_offered

FindPerson = Callable[[str], Awaitable[Person | None]]


class Staff:
    """Some people, for whoever has no other list: Ada, Bo (an approver), Cleo (at YORK only), Vic (a viewer)."""

    PEOPLE = (
        Person(name="Ada", roles=frozenset({Role.PLANNER})),
        Person(name="Bo", roles=frozenset({Role.APPROVER})),
        Person(name="Cleo", roles=frozenset({Role.PLANNER}), locations=frozenset({"YORK"})),
        Person(name="Vic", roles=frozenset({Role.VIEWER})),
    )

    async def find(self, name: str) -> Person | None:
        """The person of this name."""
        return next((person for person in self.PEOPLE if person.name == name), None)


class MemoryTaskWork:
    """`TaskWork` over the shop."""

    def __init__(
        self, shop: MemoryShop, inbox: MemoryInbox, find: FindPerson | None = None, clock: WallClock | None = None
    ) -> None:
        self._shop, self._inbox = shop, inbox
        self._find = find or Staff().find
        self._clock = clock or WallClock()
        self._views: dict[str, SavedView] = {}
        self._done: dict[str, Comment] = {}
        self.rescores_asked: list[str] = []
        self.sold_by: dict[str, tuple[SupplyOption, ...]] = {}
        """Who else sells a task's item, beside the options of its decision."""

    async def claim(self, decision_id: str, actor: Actor, *, minutes: int = 15) -> InboxRow:
        case, task = self._open(decision_id)
        now = self._clock.now()
        holder = task.get("claimed_by")
        runs = holder is not None and task["claim_ends_at"] > now
        if runs and holder != actor.name:
            raise ClaimedByAnother(f"{holder} works on it until {task['claim_ends_at']:%H:%M} UTC.")
        task |= {"claimed_by": actor.name, "claim_ends_at": now + timedelta(minutes=minutes)}
        return self._changed(case, None if runs else EntryType.TASK_CLAIMED, actor, minutes=minutes)

    async def unclaim(self, decision_id: str, actor: Actor) -> InboxRow:
        case, task = self._open(decision_id)
        if task.get("claimed_by") != actor.name:
            return row_of(case, self._clock.now())
        task |= {"claimed_by": None, "claim_ends_at": None}
        return self._changed(case, EntryType.TASK_RELEASED_CLAIM, actor)

    async def snooze(self, decision_id: str, snooze: Snooze, actor: Actor) -> InboxRow:
        case, task = self._open(decision_id)
        if snooze.until is not None and snooze.until <= self._shop.clock:
            raise InvalidInput("That instant is over already; name a later one.")
        task |= {"snoozed_until": snooze.until, "snooze_words": snooze.words, "snoozed_by": actor.name}
        return self._changed(case, EntryType.TASK_SNOOZED, actor, until=snooze.words)

    async def wake(self, decision_id: str, actor: Actor) -> InboxRow:
        case, task = self._open(decision_id)
        if not task.get("snooze_words"):
            return row_of(case, self._clock.now())
        task |= {"snoozed_until": None, "snooze_words": ""}
        return self._changed(case, EntryType.TASK_WOKEN, actor, why="a person")

    async def comment(
        self, decision_id: str, text: Text, actor: Actor, *, command_id: str, to: str | None = None
    ) -> Comment:
        if command_id in self._done:
            return self._again(command_id, (decision_id, actor.name, to, text))
        case, task = self._open(decision_id)
        if to is not None and await self._find(to) is None:
            raise InvalidInput(f"There is nobody called {to}.")
        kind = "question" if to else "comment"
        said = self._say(task, decision_id, text, actor, command_id, to, kind)
        self._changed(case, EntryType.TASK_COMMENTED, actor, comment=command_id, kind=kind)
        return said

    async def comments(self, decision_id: str) -> list[Comment]:
        task = self._shop.case(decision_id).task
        if task is None:
            raise NotFound(f"There is no task {decision_id}.")
        return list(task.get("comments", ()))

    async def forward(self, decision_id: str, to: str, note: Text, actor: Actor, *, command_id: str) -> InboxRow:
        if command_id in self._done:
            self._again(command_id, (decision_id, actor.name, to, note))
            return await self._inbox.row(decision_id)
        case, task = self._open(decision_id)
        person = await self._find(to)
        if person is None or not person.may(Permission.ANSWER, case.decided.inputs.position.location):
            raise InvalidInput(f"{to} may not answer this task; forward it to somebody who may.")
        self._say(task, decision_id, note, actor, command_id, to, "forward")
        task |= {"forwarded_to": to, "claimed_by": None, "claim_ends_at": None}
        return self._changed(case, EntryType.TASK_FORWARDED, actor, to=to)

    async def rescore(self, decision_id: str, actor: Actor, *, supplier: str | None = None) -> None:
        case, task = self._open(decision_id)
        if supplier is not None:
            refuse_unless_offered(supplier, await self.suppliers(decision_id))
        self.rescores_asked.append(decision_id)
        task["wanted_supplier"] = supplier
        asked = {} if supplier is None else {"supplier": supplier}
        self._changed(case, EntryType.TASK_RESCORE_ASKED, actor, **asked)

    async def suppliers(self, decision_id: str) -> tuple[str, ...]:
        case = self._shop.case(decision_id)
        if case.task is None:
            raise NotFound(f"There is no task {decision_id}.")
        sold = self.sold_by.get(decision_id) or case.decided.inputs.options
        return tuple(one.supplier.supplier for one in orderable(sold))

    async def saved_views(self, who: Person) -> list[SavedView]:
        mine = [view for view in self._views.values() if view.shared or view.owner == who.name]
        return sorted(mine, key=lambda view: (view.owner != who.name, view.name, view.view_id))

    async def save_view(self, view: SavedView, actor: Actor) -> SavedView:
        before = self._views.get(view.view_id)
        if before is not None and before.owner != actor.name:
            raise NotAllowed(f"This view is {before.owner}'s.")
        self._views[view.view_id] = view.model_copy(update={"owner": actor.name})
        return self._views[view.view_id]

    async def drop_view(self, view_id: str, actor: Actor) -> None:
        before = self._views.get(view_id)
        if before is None:
            raise NotFound(f"There is no view {view_id}.")
        if before.owner != actor.name:
            raise NotAllowed(f"This view is {before.owner}'s.")
        del self._views[view_id]

    async def substitutes(self) -> list[Substitute]:
        today = self._clock.now().date()
        return sorted(
            (one for one in self._inbox.substitutes if one.last_day >= today),
            key=lambda one: (one.first_day, one.person),
        )

    async def substitute(self, substitute: Substitute, actor: Actor) -> Substitute:
        await self._own_absence(substitute.person, actor)
        if substitute.person == substitute.substitute:
            raise InvalidInput("Nobody stands in for themselves.")
        if substitute.last_day < substitute.first_day:
            raise InvalidInput("The last day is before the first one.")
        if await self._find(substitute.substitute) is None:
            raise InvalidInput(f"There is nobody called {substitute.substitute}.")
        self._forget(substitute.person, substitute.first_day)
        self._inbox.substitutes.append(substitute)
        return substitute

    async def drop_substitute(self, person: str, first_day: date, actor: Actor) -> None:
        await self._own_absence(person, actor)
        self._forget(person, first_day)

    def _forget(self, person: str, first_day: date) -> None:
        kept = [one for one in self._inbox.substitutes if (one.person, one.first_day) != (person, first_day)]
        self._inbox.substitutes[:] = kept

    async def _own_absence(self, person: str, actor: Actor) -> None:
        if person == actor.name:
            return
        somebody = await self._find(actor.name)
        if somebody is None or not somebody.may(Permission.MANAGE_PEOPLE):
            raise NotAllowed(f"{person} names a substitute, or somebody who manages people does.")

    def _open(self, decision_id: str) -> tuple[Case, dict[str, Any]]:
        case = self._shop.case(decision_id)
        if case.task is None:
            raise NotFound(f"There is no task {decision_id}.")
        if case.task["state"] != TaskState.OPEN:
            raise AlreadyAnswered(f"The task is {case.task['state']} by {case.task.get('answered_by')}.")
        return case, case.task

    def _say(
        self,
        task: dict[str, Any],
        decision_id: str,
        text: str,
        actor: Actor,
        command_id: str,
        to: str | None,
        kind: str,
    ) -> Comment:
        said = Comment(
            comment_id=command_id, decision_id=decision_id, author=actor.name, text=text, to=to, kind=kind,
            at=self._clock.now(),
        )  # fmt: skip
        task["comments"] = [*task.get("comments", ()), said]
        asked = set(task.get("asked", ())) - {actor.name}
        task["asked"] = asked | {to} if kind == "question" and to else asked
        self._done[command_id] = said
        return said

    def _again(self, command_id: str, asked: tuple[str, str, str | None, str]) -> Comment:
        before = self._done[command_id]
        if (before.decision_id, before.author, before.to, before.text) != asked:
            raise InvalidInput(f"The command id {command_id} was used for another command.")
        return before

    def _changed(self, case: Case, type_: EntryType | None, actor: Actor, **body: Any) -> InboxRow:
        task = case.task or {}
        task["version"] = task.get("version", 1) + 1
        if type_ is not None:
            case.note(type_, actor.name, self._shop.clock, **body)
        return row_of(case, self._clock.now())
