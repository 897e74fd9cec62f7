"""The inbox in memory: the same views, the same order and the same rules as the database's, over the shop."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.fakes.desk import Case, MemoryShop
from workflows.domain.approvals import TaskState
from workflows.domain.decisions import Proposal
from workflows.domain.errors import NotFound
from workflows.domain.identity import Instant
from workflows.domain.inbox import COUNT_CAP, Count, FailedOrder, Filters, InboxPage, InboxRow, Substitute, View
from workflows.domain.orders import OrderState
from workflows.domain.paging import Place, PlaceAnswered
from workflows.domain.people import Permission, Person
from workflows.domain.policies import RuleCode
from workflows.domain.urgency import cost_of_waiting, days_of_cover

FAILED = {OrderState.REFUSED, OrderState.IN_DOUBT}


class WallClock:
    """What time it is for claims: a test may move it."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        """The real time, and what the test added to it."""
        return datetime.now(UTC) + self.ahead


class MemoryInbox:
    """`Inbox` over the shop."""

    def __init__(self, shop: MemoryShop, clock: WallClock | None = None) -> None:
        self._shop = shop
        self._clock = clock or WallClock()
        self.substitutes: list[Substitute] = []

    async def page(
        self, view: View, filters: Filters, who: Person, *, limit: int = 100, after: str | None = None
    ) -> InboxPage:
        found = [row for row in self._rows() if self._shown(row, view, who) and passes(row, view, filters)]
        if view is View.ANSWERED:
            found.sort(key=lambda row: (row.answered_at, row.decision_id), reverse=True)
            begin = PlaceAnswered.of(after) if after else None
            rest = [row for row in found if begin is None or (row.answered_at, row.decision_id) < begin]
            token = PlaceAnswered(rest[limit - 1].answered_at or row_end(), rest[limit - 1].decision_id).token() \
                if len(rest) > limit else None  # fmt: skip
        else:
            found.sort(key=_order)
            start = Place.of(after) if after else None
            rest = [row for row in found if start is None or _order(row) > (-start[0], start[1], start[2])]
            last = rest[limit - 1] if len(rest) > limit else None
            token = Place(last.cost_of_waiting, last.expire_at, last.decision_id).token() if last else None
        return InboxPage(rows=tuple(rest[:limit]), after=token)

    async def counts(self, who: Person) -> Mapping[View, Count]:
        rows = self._rows()
        found = {view: sum(self._shown(row, view, who) for row in rows) for view in View if view is not View.ANSWERED}
        return {view: Count(n=min(n, COUNT_CAP), capped=n > COUNT_CAP) for view, n in found.items()}

    async def row(self, decision_id: str) -> InboxRow:
        case = self._shop.case(decision_id)
        if case.task is None:
            raise NotFound(f"There is no task {decision_id}.")
        return row_of(case, self._clock.now())

    async def choices(self) -> Mapping[str, Sequence[str]]:
        rows = [row for row in self._rows() if row.state is TaskState.OPEN]
        found = {
            "location": {row.location for row in rows},
            "supplier": {row.supplier for row in rows},
            "category": {row.category for row in rows if row.category},
            "rule": {rule for row in rows for rule in row.rules},
            "claimed_by": {row.claimed_by for row in rows if row.claimed_by},
        }
        return {name: sorted(values)[:200] for name, values in found.items()}

    async def failed(self, limit: int = 100) -> list[FailedOrder]:
        found = [
            FailedOrder(
                order_id=order["order_id"], supplier=order["supplier"], location=order["location"],
                state=order["state"], reason=order["reason"], lines=order["lines"], value=order["value"],
                currency=order["currency"], since=self._shop.clock - timedelta(hours=2),
                awaits_operator=order["state"] == "in_doubt",
            )
            for order in self._shop.orders if order["state"] in FAILED
        ]  # fmt: skip
        return found[:limit]

    def _rows(self) -> list[InboxRow]:
        now = self._clock.now()
        return [row_of(case, now) for case in self._shop.cases.values() if case.task is not None]

    def _shown(self, row: InboxRow, view: View, who: Person) -> bool:
        """Whether a view has the task."""
        if view is View.ANSWERED:
            return row.state is not TaskState.OPEN
        if row.state is not TaskState.OPEN:
            return False
        awake = not row.snooze_words
        match view:
            case View.NEEDS_ME:
                return awake and self._needs(row, who)
            case View.TEAM:
                return awake
            case View.CLAIMED:
                return row.claimed_by == who.name
            case View.SNOOZED:
                return not awake
            case View.ESCALATED:
                return awake and row.escalated
            case View.DUE_TODAY:
                end = (self._shop.clock + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
                return awake and (row.expire_at < end or (row.order_by is not None and row.order_by < end))
            case View.SAMPLE:
                return awake and row.rules == (RuleCode.AUDIT_SAMPLE,)

    def _needs(self, row: InboxRow, who: Person) -> bool:
        if who.name in row.asked:
            return True
        today = self._clock.now().date()
        names = {who.name} | {
            one.person for one in self.substitutes
            if one.substitute == who.name and one.first_day <= today <= one.last_day
        }  # fmt: skip
        if not who.may(Permission.ANSWER, row.location):
            return False
        if row.first_signature_by is not None:
            can = row.first_signature_by != who.name and who.may(Permission.COUNTERSIGN, row.location)
            if not can:
                return False
        return {row.claimed_by, row.forwarded_to} <= names | {None}


def passes(row: InboxRow, view: View, filters: Filters) -> bool:
    """Whether the filters let the task through."""
    text = filters.text.casefold()
    return all((
        filters.location in (None, row.location),
        filters.supplier in (None, row.supplier),
        filters.category in (None, row.category),
        filters.rule is None or filters.rule in row.rules,
        filters.claimed_by in (None, row.claimed_by),
        view is not View.ANSWERED or filters.state in (None, row.state),
        not text or text in row.item.casefold() or text in row.item_name.casefold()
        or row.decision_id.startswith(filters.text),
    ))  # fmt: skip


def row_of(case: Case, now: datetime) -> InboxRow:
    """The task as the inbox shows it."""
    decision, inputs, task = case.decided.decision, case.decided.inputs, case.task or {}
    proposal = decision.result
    assert isinstance(proposal, Proposal)
    scores, opened = inputs.scores, decision.decided_at
    claimed = task.get("claim_ends_at") is not None and task["claim_ends_at"] > now
    stakes = proposal.stakes
    kept: dict[str, Any] = {
        name: task[name]
        for name in (
            "snoozed_until", "forwarded_to", "signatures_needed", "first_signature_by", "changed_at", "answered_at",
            "version",
        )
        if task.get(name) is not None
    }  # fmt: skip
    return InboxRow(
        decision_id=decision.decision_id, revision=decision.revision, proposal_hash=decision.proposal_hash,
        location=inputs.position.location, item=inputs.item.item, item_name=case.item_name,
        category=inputs.item.category, supplier=proposal.supplier, units=proposal.units, value=proposal.value,
        currency=proposal.currency, cost_of_waiting=task.get("cost_of_waiting", cost_of_waiting(inputs)),
        stockout_risk=scores.stockout_risk, days_of_cover=days_of_cover(inputs),
        rules=tuple(rule.code.value for rule in proposal.rules), sentence=proposal.sentence, state=task["state"],
        opened_at=opened, expire_at=task["expire_at"], escalated=bool(task.get("escalated_at")),
        answered_by=task.get("answered_by"), lead_time_days=scores.lead_time_p50_days,
        order_by=stakes.order_by if stakes else None,
        remind_at=task.get("remind_at", opened + timedelta(hours=4)),
        escalate_at=task.get("escalate_at", opened + timedelta(hours=8)),
        claimed_by=task["claimed_by"] if claimed else None, claim_ends_at=task["claim_ends_at"] if claimed else None,
        snooze_words=task.get("snooze_words", ""), comments=len(task.get("comments", ())),
        asked=tuple(sorted(task.get("asked", ()))), **kept,
    )  # fmt: skip


def row_end() -> Instant:
    """Never reached: an answered task says when it was answered."""
    raise AssertionError("an answered task without an instant")


def _order(row: InboxRow) -> tuple[Decimal, datetime, str]:
    return -row.cost_of_waiting, row.expire_at, row.decision_id
