"""REST for the inbox: views of what waits, and what people do with a task besides answering it."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StringConstraints, model_validator

from console.api_answers import DecisionId
from console.api_pages import After, Limit, behind
from console.api_problems import NOT_HERE, FreeKey, KeptKey, told
from console.api_times import Moment
from console.auth import Caller, Gate
from console.ports import ConsolePorts
from workflows.domain.approvals import STORABLE, TaskState, Text
from workflows.domain.errors import InvalidInput, NotFound
from workflows.domain.identity import Payload
from workflows.domain.inbox import Comment, Count, Filters, Inbox, InboxRow, Snooze, TaskWork, View
from workflows.domain.people import Permission, PersonName

TaskFilter = Literal["open", "approved", "rejected", "expired", "voided", "all"]
Narrow = Annotated[str | None, Query(max_length=100, pattern=STORABLE)]
Said = Annotated[str, StringConstraints(min_length=1, max_length=1000, strip_whitespace=True, pattern=STORABLE)]


class TaskPage(Payload):
    """Tasks by cost of waiting, dearest first; answered ones newest first."""

    tasks: tuple[InboxRow, ...]
    next: str | None
    """Give it as `after` to get the page that follows; null on the last page."""
    next_after: str | None
    """The same, under its first name."""


class TaskCounts(Payload):
    """How many tasks the caller has in each view; `capped`: there are more."""

    counts: dict[View, Count]


class Choices(Payload):
    """What the filters of a view can be set to: the values that open tasks have."""

    choices: dict[str, tuple[str, ...]]


class Comments(Payload):
    """What was said about a task, oldest first."""

    comments: tuple[Comment, ...]
    next: str | None
    """Give it as `after` to get the page that follows; null on the last page."""


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ClaimBody(_Body):
    """How long the claim runs."""

    minutes: int = Field(default=15, ge=1, le=480)


class SnoozeBody(_Body):
    """Until when: exactly one of them."""

    until: Moment | None = Field(default=None, description="An instant of the location's business clock")
    until_receipt: StrictBool = False
    forecast_moves_percent: Annotated[int, Field(gt=0, le=500)] | None = None

    @model_validator(mode="after")
    def _one(self) -> "SnoozeBody":
        self.snooze()
        return self

    def snooze(self) -> Snooze:
        """The same, for the port."""
        return Snooze(
            until=self.until, until_receipt=self.until_receipt, forecast_moves_percent=self.forecast_moves_percent
        )


class CommentBody(_Body):
    """What to say; with `to` it is a question to that person."""

    text: Said
    to: PersonName | None = None


class ForwardBody(_Body):
    """Whom to hand it to, and a note."""

    to: PersonName
    note: Text = ""


class RescoreBody(_Body):
    """From whom the next proposal should be, for as long as the task is open."""

    supplier: Annotated[str, Field(min_length=1, max_length=100, pattern=STORABLE)] | None = Field(
        default=None, description="One who sells the item to the location and is not blocked; null: the engine chooses"
    )


def inbox_of(ports: ConsolePorts) -> Inbox:
    """The inbox.

    Raises:
        NotFound: this installation has none.
    """
    if ports.inbox is None:
        raise NotFound("This installation has no views of its tasks.")
    return ports.inbox


def work_of(ports: ConsolePorts) -> TaskWork:
    """What people do with tasks.

    Raises:
        NotFound: in this installation tasks can only be answered.
    """
    if ports.work is None:
        raise NotFound("In this installation tasks can only be answered.")
    return ports.work


def routes(ports: ConsolePorts, gate: Gate) -> APIRouter:
    """`/api/v1/tasks` and what is under it, verdicts apart."""
    router = APIRouter(prefix="/api/v1", tags=["tasks"])
    _reading(router, ports, gate)
    _working(router, ports, gate)
    return router


def _reading(router: APIRouter, ports: ConsolePorts, gate: Gate) -> None:
    seer = Annotated[Caller, Depends(gate.api(Permission.SEE))]

    @router.get("/tasks", summary="Tasks by cost of waiting, dearest first", responses=NOT_HERE)
    async def tasks(
        caller: seer,
        view: Annotated[View | None, Query(description="One of the inbox's views, as the caller has it")] = None,
        state: Annotated[TaskFilter | None, Query(description="Without a view: all tasks in this state")] = None,
        location: Narrow = None,
        supplier: Narrow = None,
        category: Narrow = None,
        rule: Narrow = None,
        claimed_by: Narrow = None,
        text: Annotated[str, Query(max_length=100, pattern=STORABLE)] = "",
        limit: Limit = 100,
        after: Annotated[
            str | None, Query(max_length=500, pattern=STORABLE, description="`next` of the page before")
        ] = None,
    ) -> TaskPage:
        """Without a view, all tasks in a state (open unless told otherwise), snoozed ones too."""
        ended = None if state in (None, "open", "all") else TaskState(state)
        filters = Filters(
            location=location, supplier=supplier, category=category, rule=rule, claimed_by=claimed_by, text=text,
            state=ended,
        )  # fmt: skip
        if view is not None:
            page = await inbox_of(ports).page(view, filters, caller.person, limit=limit, after=after)
            return TaskPage(tasks=page.rows, next=page.after, next_after=page.after)
        if filters != Filters(state=ended):
            raise InvalidInput("filters narrow a view: name one (`view=team` has all open tasks)")
        wanted = None if state == "all" else ended or TaskState.OPEN
        rows = await ports.desk.tasks(state=wanted, limit=limit, after=after)
        last = rows[-1].decision_id if len(rows) == limit else None
        shown = tuple(InboxRow.model_validate(dict(row)) for row in rows)
        return TaskPage(tasks=shown, next=last, next_after=last)

    @router.get("/tasks/counts", summary="How many tasks the caller has in each view", responses=NOT_HERE)
    async def counts(caller: seer) -> TaskCounts:
        return TaskCounts(counts=dict(await inbox_of(ports).counts(caller.person)))

    @router.get("/tasks/choices", summary="What the filters of a view can be set to", responses=NOT_HERE)
    async def choices(caller: seer) -> Choices:
        found = await inbox_of(ports).choices()
        return Choices(choices={name: tuple(values) for name, values in found.items()})

    @router.get("/tasks/{decision_id}/row", summary="One task as the inbox shows it", responses=NOT_HERE)
    async def row(caller: seer, decision_id: DecisionId) -> InboxRow:
        return await inbox_of(ports).row(decision_id)

    @router.get("/tasks/{decision_id}/comments", summary="What was said about a task, oldest first", responses=NOT_HERE)
    async def comments(caller: seer, decision_id: DecisionId, limit: Limit = 100, after: After = None) -> Comments:
        found = await work_of(ports).comments(decision_id)
        shown, following = behind(found, lambda one: one.comment_id, limit, after)
        return Comments(comments=tuple(shown), next=following)


def _working(router: APIRouter, ports: ConsolePorts, gate: Gate) -> None:
    seer = Annotated[Caller, Depends(gate.api(Permission.SEE))]
    worker = Annotated[Caller, Depends(gate.api(Permission.WORK))]

    async def there(caller: Caller, decision_id: str) -> TaskWork:
        """The work on a task at one of the caller's locations."""
        row = await inbox_of(ports).row(decision_id)
        caller.person.require(Permission.WORK, row.location)
        return work_of(ports)

    @router.post("/tasks/{decision_id}/claim", summary="Tell others that one works on it")
    async def claim(
        caller: worker, decision_id: DecisionId, idempotency_key: FreeKey, body: ClaimBody | None = None
    ) -> InboxRow:
        """To claim again what one has claimed lets the claim run on. It holds nobody back from answering."""
        work = await there(caller, decision_id)
        return await work.claim(decision_id, caller.actor, minutes=(body or ClaimBody()).minutes)

    @router.post("/tasks/{decision_id}/unclaim", summary="Give one's own claim back")
    async def unclaim(caller: worker, decision_id: DecisionId, idempotency_key: FreeKey) -> InboxRow:
        return await (await there(caller, decision_id)).unclaim(decision_id, caller.actor)

    @router.post("/tasks/{decision_id}/snooze", summary="Show it later; its deadlines go on")
    async def snooze(caller: worker, decision_id: DecisionId, idempotency_key: FreeKey, body: SnoozeBody) -> InboxRow:
        return await (await there(caller, decision_id)).snooze(decision_id, body.snooze(), caller.actor)

    @router.post("/tasks/{decision_id}/wake", summary="Show it again")
    async def wake(caller: worker, decision_id: DecisionId, idempotency_key: FreeKey) -> InboxRow:
        return await (await there(caller, decision_id)).wake(decision_id, caller.actor)

    @router.post("/tasks/{decision_id}/forward", summary="Hand it to somebody who may answer it")
    async def forward(caller: worker, decision_id: DecisionId, idempotency_key: KeptKey, body: ForwardBody) -> InboxRow:
        work = await there(caller, decision_id)
        return await work.forward(decision_id, body.to, body.note, caller.actor, command_id=idempotency_key)

    @router.post(
        "/tasks/{decision_id}/rescore", summary="Have it proposed anew with today's facts, also by another supplier",
        status_code=202,
    )  # fmt: skip
    async def rescore(
        caller: worker, decision_id: DecisionId, idempotency_key: FreeKey, body: RescoreBody | None = None
    ) -> InboxRow:
        """The workflow is told within seconds; where the proposal comes out different, the row gets a new revision and
        approvals given so far are void."""
        wanted = (body or RescoreBody()).supplier
        await (await there(caller, decision_id)).rescore(decision_id, caller.actor, supplier=wanted)
        return await inbox_of(ports).row(decision_id)

    @router.post(
        "/tasks/{decision_id}/comments", summary="Say something about it, or ask somebody", status_code=201,
        responses={409: told()},
    )  # fmt: skip
    async def comment(caller: seer, decision_id: DecisionId, idempotency_key: KeptKey, body: CommentBody) -> Comment:
        """Whoever was asked may say something, whatever else they may do."""
        row = await inbox_of(ports).row(decision_id)
        if caller.person.name not in row.asked:
            caller.person.require(Permission.WORK, row.location)
        work = work_of(ports)
        return await work.comment(decision_id, body.text, caller.actor, command_id=idempotency_key, to=body.to)
