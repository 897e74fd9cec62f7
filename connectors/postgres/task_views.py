"""Each view of the inbox as a condition on tasks that one of its indexes answers, however many tasks there are."""

from typing import Any, NamedTuple

import psycopg
from psycopg.rows import DictRow

from workflows.domain.approvals import TaskState
from workflows.domain.inbox import Filters, InboxRow, View
from workflows.domain.people import Permission, Person

Cursor = psycopg.AsyncCursor[DictRow]

ID = 't.decision_id COLLATE "C"'
ORDER = f"(-t.cost_of_waiting), t.expire_at, {ID}"
COLUMNS = """
t.decision_id, t.revision, t.proposal_hash, t.location, t.item, t.item_name, t.category, t.supplier, t.units, t.value,
t.currency, t.cost_of_waiting, t.stockout_risk, t.days_of_cover, t.rules, t.sentence, t.state, t.opened_at, t.remind_at,
t.escalate_at, t.expire_at, t.escalated_at IS NOT NULL AS escalated, t.answered_by, t.answered_at, t.version,
t.lead_time_days, t.order_by, t.forwarded_to, t.asked, t.signatures_needed, t.first_signature_by, t.comments,
t.changed_at, t.snoozed_until, t.snooze_words,
CASE WHEN t.claim_ends_at > now() THEN t.claimed_by END AS claimed_by,
CASE WHEN t.claim_ends_at > now() THEN t.claim_ends_at END AS claim_ends_at
"""
_AWAKE = "t.state = 'open' AND t.snoozed_at IS NULL"
# The end of each location's business day, by its own clock in its own time zone.
_DAY_ENDS = """((c.watermark AT TIME ZONE coalesce(l.time_zone, 'UTC'))::date + 1)::timestamp
                     AT TIME ZONE coalesce(l.time_zone, 'UTC')"""
_DUE = f"""EXISTS (
    SELECT 1 FROM business_clock c LEFT JOIN location l USING (location)
    WHERE c.location = t.location AND t.due_at < {_DAY_ENDS})"""  # noqa: S608 - our own words
FIRST_DUE = f"""
SELECT t.decision_id FROM business_clock c LEFT JOIN location l USING (location) CROSS JOIN LATERAL (
    SELECT t.decision_id FROM task t WHERE t.location = c.location AND {_AWAKE} AND t.due_at < {_DAY_ENDS}
    ORDER BY t.due_at LIMIT %(most)s
) t LIMIT %(most)s
"""  # noqa: S608 - the same
"""The tasks of "due today" from location to location, in an index: as many as were asked for, not the dearest ones."""
_ASKED = "(t.asked <> '{}' AND t.asked @> ARRAY[%(me)s]::text[])"
_MINE = f"""(
    ((%(places)s::text[] IS NULL OR t.location = ANY (%(places)s))
     AND (t.claimed_by IS NULL OR t.claim_ends_at <= now() OR t.claimed_by = ANY (%(names)s))
     AND (t.forwarded_to IS NULL OR t.forwarded_to = ANY (%(names)s))
     AND (t.first_signature_by IS NULL OR (%(countersigns)s AND t.first_signature_by <> %(me)s)))
    OR {_ASKED})"""
_VIEWS = {
    View.NEEDS_ME: f"{_AWAKE} AND {_MINE}",
    View.TEAM: _AWAKE,
    View.CLAIMED: "t.state = 'open' AND t.claimed_by IS NOT NULL AND t.claimed_by = %(me)s AND t.claim_ends_at > now()",
    View.SNOOZED: "t.state = 'open' AND t.snoozed_at IS NOT NULL",
    View.ESCALATED: f"{_AWAKE} AND t.escalated_at IS NOT NULL",
    View.DUE_TODAY: f"{_AWAKE} AND {_DUE}",
    View.SAMPLE: f"{_AWAKE} AND t.sampled",
    View.ANSWERED: "t.state <> 'open'",
}
_FILTERS = {
    "location": "t.location = %(location)s",
    "supplier": "t.supplier = %(supplier)s",
    "category": "t.category = %(category)s",
    "rule": "%(rule)s = ANY (t.rules)",
    "claimed_by": "t.claimed_by = %(claimed_by)s AND t.claim_ends_at > now()",
    "text": "(strpos(lower(t.item), lower(%(text)s)) > 0 OR strpos(lower(t.item_name), lower(%(text)s)) > 0"
            " OR starts_with(t.decision_id, %(text)s))",
}  # fmt: skip


class Condition(NamedTuple):
    """What to put after WHERE, on `task t`, and the values in it."""

    words: str
    values: dict[str, Any]


async def names_of(cursor: Cursor, name: str) -> list[str]:
    """The person's own name and those of whom the person stands in for today, by the calendar of UTC."""
    await cursor.execute(
        "SELECT person FROM substitute WHERE substitute = %s AND current_date BETWEEN first_day AND last_day", [name]
    )
    return [name, *(row["person"] for row in await cursor.fetchall())]


def condition(view: View, who: Person, names: list[str]) -> Condition:
    """The tasks that a person has in a view."""
    words = _VIEWS[view]
    if view is View.NEEDS_ME and not who.may(Permission.ANSWER):
        # Only what somebody asks of this person: by its own index, not through everybody's tasks.
        words = f"{_AWAKE} AND {_ASKED}"
    values = {
        "me": who.name,
        "names": names,
        "places": None if who.locations is None else sorted(who.locations),
        "countersigns": who.may(Permission.COUNTERSIGN),
    }
    return Condition(words, values)


def narrowed(view: View, filters: Filters) -> Condition:
    """What the filters ask for; no words when they ask for nothing."""
    given = {name: value for name in _FILTERS if (value := getattr(filters, name)) not in (None, "")}
    words = [_FILTERS[name] for name in given]
    if view is View.ANSWERED and filters.state not in (None, TaskState.OPEN):
        words.append("t.state = %(state)s")
        given["state"] = filters.state
    return Condition(" AND ".join(words), given)


def as_row(row: DictRow) -> InboxRow:
    """A row of `COLUMNS`."""
    return InboxRow.model_validate(row)
