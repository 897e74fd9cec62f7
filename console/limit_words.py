"""The policy's limits in words: what each asks, and its value with its unit."""

from decimal import Decimal, InvalidOperation
from typing import NamedTuple

from console.formats import money, number, percent
from workflows.domain.limits import Autonomy


class Limit(NamedTuple):
    """What a limit asks. `unit` is money, share, times, hours, days, or empty where the value says it all."""

    text: str
    unit: str = ""


LIMITS: dict[str, Limit] = {
    "auto_value_limit": Limit("An order line worth more waits for a person", "money"),
    "soon_risk_limit": Limit("A person looks when it may run out before an order arrives, above a risk of", "share"),
    "soon_lost_value_limit": Limit("... and when more margin than this would be lost meanwhile", "money"),
    "usual_quantity_factor": Limit("More than this times the largest receipt of 13 weeks waits for a person", "times"),
    "costly_if_wrong_limit": Limit("A person looks when the expected cost that an order could avoid is above", "money"),
    "stale_after_hours": Limit("Facts older than this are old: a person looks", "hours"),
    "refused_memory_days": Limit("A supplier's refusal asks a person for so long", "days"),
    "tolerance_share": Limit("A waiting proposal is scored again when stock moved by more, of its units", "share"),
    "remind_after_hours": Limit("An unanswered task is reminded of after", "hours"),
    "escalate_after_hours": Limit("... goes to the approvers after", "hours"),
    "expire_after_hours": Limit("... and expires, not ordered, after", "hours"),
    "promotion_needs_approval": Limit("A model that passed its tests also waits for a person"),
    "review_value_limit": Limit("An order line worth more is blocked: nobody may release it", "money"),
    "last_order_factor": Limit("More than this times the item's last order waits for a person", "times"),
    "cover_cap_days": Limit("An order that lasts longer waits for a person", "days"),
    "price_deviation_limit": Limit("A price this far from the one last paid waits for a person", "share"),
    "new_item_asks": Limit("The first order of an item asks a person"),
    "new_supplier_asks": Limit("The first order at a supplier asks a person"),
    "little_history_asks": Limit("A forecast on little history asks a person"),
    "autonomy": Limit("What the engine may do by itself"),
    "audit_share": Limit("Where it orders by itself (L4), a person samples", "share"),
    "service": Limit("Service target instead of the cheapest one"),
    "review_days": Limit("An order lasts beyond its lead time", "days"),
    "suppliers_by_rank": Limit("Always order from the best-ranked supplier, whatever others cost"),
    "attention": Limit("What a person's look is worth and costs"),
    "four_eyes_above": Limit("Two people sign an order line worth more", "money"),
    "four_eyes_for_new_supplier": Limit("Two people sign the first order at a supplier"),
    "sent_value_per_hour": Limit("Orders that leave within an hour wait for a person above a value of", "money"),
    "sent_value_per_day": Limit("Orders that leave within 24 hours wait for a person above a value of", "money"),
    "supplier_value_per_day": Limit("... and those to one supplier above a value of", "money"),
}
"""By the name of the policy's field."""

LEVELS = {
    Autonomy.L1: "it suggests, people place the orders",
    Autonomy.L2: "a person approves each order",
    Autonomy.L3: "it orders what no rule objects to",
    Autonomy.L4: "as L3, and the rules about cost only speak up",
}


def limit(name: str) -> str:
    """What the limit asks; a limit that this console does not know yet is shown by its name."""
    known = LIMITS.get(name)
    return known.text if known else name.replace("_", " ").capitalize()


def limit_value(name: str, value: str | None, currency: str) -> str:
    """A limit's value with its unit; what is no figure is shown as it is."""
    if value is None:
        return "not set"
    if name == "autonomy":
        return f"{value}: {LEVELS[Autonomy(value)]}" if value in tuple(Autonomy) else value
    unit = LIMITS[name].unit if name in LIMITS else ""
    try:
        amount = Decimal(value) if unit else Decimal(0)
    except InvalidOperation:
        return value
    if unit == "money":
        return money(amount, currency)
    if unit == "share":
        return percent(amount)
    return f"{number(amount, 2)} {unit}" if unit else value
