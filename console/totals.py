"""The running totals in words: every figure on the home page says in one line what it counts."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple


class Total(NamedTuple):
    """One running total: its glossary name, how it is called on the page and what it counts."""

    key: str
    title: str
    definition: str


GROUPS: tuple[tuple[str, tuple[Total, ...]], ...] = (
    (
        "From event to decision",
        (
            Total("events", "Events", "facts from outside that were accepted, each once"),
            Total("dead_lettered", "Dead letters", "messages that could not be read, kept with the reason"),
            Total("needs", "Needs", "times that an item at a location had to be assessed"),
            Total("needs_open", "Still open", "needs that are not decided yet"),
            Total("holds", "Holds", "needs for which nothing was ordered, with the reason"),
            Total("proposals", "Proposals", "needs for which an order was proposed"),
            Total("auto_released", "Released by policy", "proposals that the policy let through without a person"),
            Total(
                "blocked",
                "Blocked",
                "needed, and not the engine's to order: no supplier, or the policy lets nobody release it",
            ),
        ),
    ),
    (
        "What people were asked",
        (
            Total("tasks_opened", "Tasks", "proposals that needed a person's word"),
            Total("open", "Open", "tasks that still wait; silence never approves"),
            Total("approved", "Approved", "tasks that somebody approved, as proposed or edited"),
            Total("rejected", "Rejected", "tasks that somebody rejected, with a reason"),
            Total("expired", "Expired", "tasks that nobody answered before their deadline; not ordered"),
            Total("voided", "No longer needed", "tasks whose need went away while they waited"),
        ),
    ),
    (
        "Purchase orders",
        (
            Total("orders_placed", "Orders placed", "purchase orders that a supplier has confirmed"),
            Total("orders_at_supplier", "At the supplier", "orders that the supplier's own journal holds"),
            Total("receipts", "Receipts", "deliveries that arrived"),
            Total("orders_open", "Open", "orders that still collect lines or are being sent"),
            Total("orders_in_doubt", "In doubt", "orders of which nobody knows yet whether the supplier has them"),
            Total("orders_refused", "Refused", "orders that the supplier said no to"),
        ),
    ),
    (
        "Learning and record",
        (
            Total("outcomes", "Outcomes", "decisions whose horizon has passed and that were measured"),
            Total("models_trained", "Models trained", "candidates made from recorded history"),
            Total("model_promoted", "Models promoted", "candidates that became the champion"),
            Total("ledger_entries", "Ledger entries", "steps in the tamper-evident record"),
        ),
    ),
)


class Shown(NamedTuple):
    """A total with its figure."""

    total: Total
    figure: int


def in_words(counts: dict[str, int]) -> list[tuple[str, list[Shown]]]:
    """The groups with their figures; totals that nobody counts are left out, unknown ones come last by name."""
    known = {total.key for _, totals in GROUPS for total in totals}
    groups = [
        (title, [Shown(total, counts[total.key]) for total in totals if total.key in counts])
        for title, totals in GROUPS
    ]
    other = [
        Shown(Total(key, key.replace("_", " ").capitalize(), "counted by the engine"), count)
        for key, count in sorted(counts.items())
        if key not in known
    ]
    return [(title, shown) for title, shown in [*groups, ("Other totals", other)] if shown]


OLD_AFTER = timedelta(minutes=5)
"""Figures older than this are shown with a warning: somebody looks, and they are not counted anew."""


def looks_old(as_of: datetime) -> bool:
    """Whether figures of this instant should not be taken for today's without a second look."""
    return datetime.now(UTC) - as_of > OLD_AFTER
