"""How many entries the lists have that come without pages: the description says it, so that nobody waits for more.

Each follows from what stands behind the list: a limit in its query, or how many such things there can be.
"""

from collections.abc import Mapping
from types import MappingProxyType

_BY_LIMIT = "At most `limit`."
_ONE_EACH = "One for each; an installation has few."
BOUNDS: Mapping[tuple[str, str], str] = MappingProxyType({
    ("AccessReview", "answers"): "One for each person who answered.",
    ("AccessReview", "conflicts"): "Duties that met in one person, on the day or in at most two years.",
    ("AccessReview", "notes"): "A sentence for each thing to know.",
    ("AccessReview", "people"): "One for each person whose rights were ever recorded.",
    ("Alternatives", "alternatives"): "At most one for each course.",
    ("AnswerDocument", "notes"): "A sentence for each thing to know.",
    ("Arrived", "events"): _BY_LIMIT,
    ("Blocked", "blocked"): _BY_LIMIT,
    ("Chain", "breaks"): "At most one for each line.",
    ("Chain", "lines"): "At most 5,000: the life of one thing.",
    ("ControlsDocument", "answers"): "One for each person who answered.",
    ("ControlsDocument", "attempts"): "At most 500, the newest.",
    ("ControlsDocument", "blocked"): "One for each control and reason.",
    ("ControlsDocument", "by_person"): "One for each person who was held back.",
    ("DecisionDocument", "approvals"): "The answers to one decision.",
    ("DecisionDocument", "timeline"): "The life of one decision.",
    ("DeliveryPage", "deliveries"): _BY_LIMIT,
    ("DeliveryPage", "suppliers"): f"Suppliers with orders in flight. {_ONE_EACH}",
    ("DemandHistoryView", "days"): "At most `days`.",
    ("DemandHistoryView", "forecast"): "The days of one decision's forecast, at most 90.",
    ("Drift", "alarms"): "At most 50: open ones, then the newest that are over.",
    ("Drift", "readings"): "One for each segment and statistic.",
    ("EntryProof", "keys"): "One for each key of the notary, which are few.",
    ("EntryProof", "path"): "At most one for each doubling of the tree: 64.",
    ("EntryProof", "steps"): "One for each thing that is checked.",
    ("Health", "checks"): "One for each aspect.",
    ("InboxRow", "asked"): "People who were asked about one task.",
    ("InboxRow", "rules"): "Rules of the policy, each once.",
    ("KpiDocument", "figures"): "One for each definition.",
    ("KpiDocument", "locations"): _ONE_EACH,
    ("ModelDocument", "events"): "The life of one version.",
    ("ModelDocument", "turned_out"): "One for each category.",
    ("OrderView", "lines"): "At most 2,000.",
    ("OrderView", "steps"): "The steps from the line to the receipt.",
    ("OrderView", "timeline"): "The life of one order.",
    ("Picture", "days"): "The days of one decision's forecast, at most 90.",
    ("Picture", "recent"): "The days before one decision that its chart shows.",
    ("Picture", "stock"): "The days of one decision's forecast, at most 90.",
    ("PolicyChangeDocument", "differences"): "One for each limit of the policy.",
    ("PolicyChangeDocument", "evidence"): "One for each aim that the change proposes.",
    ("PositionDetail", "decisions"): "At most 10, the newest.",
    ("PositionDetail", "movements"): _BY_LIMIT,
    ("PositionDetail", "on_order"): "At most 50, by promised day.",
    ("Ranking", "lines"): "The open proposals, dearest to leave waiting first, as many as a budget looks at.",
    ("Recomputation", "remarks"): "A sentence for each thing to know.",
    ("Recomputation", "rules"): "Rules of the policy, each once.",
    ("RecordState", "alarms"): "One for each kind.",
    ("RecordState", "anchors"): _ONE_EACH,
    ("RecordState", "keys"): "One for each key of the notary, which are few.",
    ("RerunDocument", "deviations"): "At most one for each field of one decision.",
    ("SalesReport", "best"): "The few that sold most.",
    ("SalesReport", "fallers"): "The few that fell most.",
    ("SalesReport", "points"): "At most one for each period asked for.",
    ("SalesReport", "risers"): "The few that rose most.",
    ("SalesReport", "today"): "One for each location, those that sold most.",
    ("SimilarDecisions", "similar"): "At most 5.",
})  # fmt: skip
"""By schema and property."""
