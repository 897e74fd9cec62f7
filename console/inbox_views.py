"""What the inbox knows beside its rows: views in words, filters of the address, what guards a row, how old data is."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from pydantic import ValidationError

from console import words
from console.formats import money
from console.ports import ConsolePorts
from console.rendering import link
from workflows.domain.approvals import TaskState
from workflows.domain.errors import InvalidInput
from workflows.domain.inbox import Count, Filters, InboxPage, InboxRow, View
from workflows.domain.people import Permission, Person
from workflows.domain.policies import RuleCode
from workflows.domain.urgency import what_happens_next

PAGE = 100
"""Tasks on one page."""
FAILED = "failed"
"""The view of orders that need a person; what waits there are orders, not tasks."""

VIEWS: Mapping[View, str] = {
    View.NEEDS_ME: "Needs me",
    View.TEAM: "My team",
    View.CLAIMED: "Claimed by me",
    View.DUE_TODAY: "Due today",
    View.ESCALATED: "Escalated",
    View.SNOOZED: "Snoozed",
    View.SAMPLE: "Sample to review",
    View.ANSWERED: "Answered",
}
"""In the order in which people look at them."""

GUARDED = (RuleCode.MORE_THAN_LAST_ORDER, RuleCode.COVER_TOO_LONG, RuleCode.PRICE_DEVIATES, RuleCode.STALE_INPUTS)
"""Rules that ask for a second look: one key press is not enough while one of them fires."""

LATE = timedelta(minutes=1)


class Sought(NamedTuple):
    """What an address asks for."""

    view: View
    filters: Filters
    after: str | None

    def address(self, path: str = "/inbox", **other: object) -> str:
        """The same, as an address; `other` replaces parts of it, None leaves one out."""
        asked = {"view": self.view.value, **self.filters.model_dump(mode="json"), "after": self.after, **other}
        return link(path, **{name: value for name, value in asked.items() if value not in (None, "")})

    @property
    def narrowed(self) -> int:
        """How many filters are set."""
        return sum(value not in (None, "") for value in self.filters.model_dump().values())


def sought(view: View, after: str | None, filters: Mapping[str, str]) -> Sought:
    """What the address asks for; an empty field of the form is no filter.

    Raises:
        InvalidInput: a filter is none.
    """
    try:
        return Sought(view, Filters.model_validate({name: text for name, text in filters.items() if text}), after)
    except ValidationError as error:
        raise InvalidInput("; ".join(f"{item['loc'][0]}: {item['msg']}" for item in error.errors())) from error


def guards(rules: Mapping[str, str], value: Decimal, person: Person, currency: str) -> list[str]:
    """Why one key press is not enough to approve it, in the list and on the decision's page alike; empty when it is.

    `rules` are those that fired, each with its detail where that is known; `value` is in `currency`.
    """
    limit = person.approval_limit
    said = [f"Above your limit of {money(limit, currency)}"] if limit is not None and value > limit else []
    for code in GUARDED:
        if code in rules:
            text = words.word(words.RULES, code).text
            said.append(f"{text}: {rules[code]}" if rules[code] else text)
    return said


def guard(row: InboxRow, person: Person, currency: str) -> str:
    """The same of a row of the list, in one line."""
    return ", ".join(guards(dict.fromkeys(row.rules, ""), row.value, person, currency))


def may_answer(row: InboxRow, person: Person) -> bool:
    """Whether to offer answering at all; the desk asks again."""
    return row.state is TaskState.OPEN and person.may(Permission.ANSWER, row.location)


def next_steps(clocks: Mapping[str, datetime]) -> Callable[[InboxRow, Mapping[str, str]], str]:
    """What becomes of an open task that nobody answers, in words, on its location's clock and in its time zone."""
    return lambda row, zones: what_happens_next(row, clocks.get(row.location), zones.get(row.location, "UTC"))


class NextRun(NamedTuple):
    """When a location looks at its stock again, on its business clock: each full hour at what moved, when its day ends
    (midnight UTC) at everything."""

    location: str
    hour: datetime
    day: datetime


def next_runs(clocks: Mapping[str, datetime]) -> list[NextRun]:
    """Of each location, the soonest first."""
    runs = []
    for location, clock in clocks.items():
        hour = clock.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        runs.append(NextRun(location, hour + timedelta(hours=1), hour.replace(hour=0) + timedelta(days=1)))
    return sorted(runs, key=lambda run: (run.day - clocks[run.location], run.location))


async def page_of(ports: ConsolePorts, asked: Sought, person: Person, *, limit: int = PAGE) -> InboxPage:
    """A page of the view; an installation without views shows its plain list of tasks."""
    if ports.inbox is not None:
        return await ports.inbox.page(asked.view, asked.filters, person, limit=limit, after=asked.after)
    state = None if asked.view is View.ANSWERED else TaskState.OPEN
    tasks = await ports.desk.tasks(state=state, limit=limit, after=asked.after)
    rows = tuple(InboxRow.model_validate(dict(task)) for task in tasks)
    return InboxPage(rows=rows, after=rows[-1].decision_id if len(rows) == limit else None)


def shown_count(count: Count | None) -> str:
    """A capped count: "5,000+"."""
    return "" if count is None else f"{count.n:,}{'+' if count.capped else ''}"


def old_places(clocks: Mapping[str, datetime], agreed: timedelta, *, live: bool) -> list[tuple[str, timedelta]]:
    """Locations whose newest facts are older than agreed, oldest first, with their age: beside the wall clock where
    business clocks follow it, else beside the location that is furthest."""
    newest = datetime.now(UTC) if live else max(clocks.values(), default=datetime.now(UTC))
    ages = [(location, newest - clock) for location, clock in clocks.items()]
    return sorted(((location, age) for location, age in ages if age > agreed + LATE), key=lambda pair: -pair[1])


def ages_in_words(places: Iterable[tuple[str, timedelta]], most: int = 5) -> str:
    """Which locations are behind and by how much."""
    told = [f"{place} by {_age(age)}" for place, age in places]
    return ", ".join(told[:most]) + (f" and {len(told) - most} more" if len(told) > most else "")


def _age(age: timedelta) -> str:
    hours = int(age.total_seconds() // 3600)
    return f"{hours} h" if hours < 48 else f"{hours // 24} days"
