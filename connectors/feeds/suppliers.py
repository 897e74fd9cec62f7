"""Six generated suppliers: what they promise, how they really behave, and the past deliveries that show it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from connectors.feeds.chance import dice
from workflows.domain.catalog import Sourcing, Supplier
from workflows.domain.feeds import RecordedReceipt, StockKey, SupplierBehaviour


@dataclass(frozen=True, slots=True)
class Partner:
    """One supplier: its promise in calendar days, and the days it really takes."""

    code: str
    name: str
    promised_days: int
    lead_days: tuple[int, ...]
    cost_per_order: Decimal
    late_probability: float = 0.03
    late_extra_days: int = 2
    partial_probability: float = 0.03
    short_probability: float = 0.01


REVIEW_DAYS = 7
"""One order lasts a week beyond its lead time: what a planner with a weekly rhythm would set."""

ALDER = Partner("ALDER", "Alder & Sons", 2, (2, 2, 2, 3), Decimal(8))
BIRCH = Partner("BIRCH", "Birch Trading", 3, (3, 3, 4), Decimal(10))
CEDAR = Partner("CEDAR", "Cedar Works", 5, (4, 5, 5, 6), Decimal(15), partial_probability=0.25, short_probability=0.08)
LATE = Partner("LARCH", "Larch Imports", 7, (7, 8, 8, 9), Decimal(20), late_probability=0.45, late_extra_days=6)
FAILING = Partner("MAPLE", "Maple Wholesale", 4, (4, 4, 5), Decimal(12), late_probability=0.08)
OAK = Partner("OAK", "Oak Overseas", 12, (11, 12, 12, 13, 14), Decimal(35), late_probability=0.1, late_extra_days=4)

PARTNERS = (ALDER, BIRCH, CEDAR, LATE, FAILING, OAK)
PROMISED_DAYS = {partner.code: partner.promised_days for partner in PARTNERS}


def suppliers() -> tuple[Supplier, ...]:
    """The catalog's view: names and the fixed cost of an order."""
    return tuple(Supplier(supplier=p.code, name=p.name, cost_per_order=p.cost_per_order) for p in PARTNERS)


def behaviours(first_day: date, last_day: date) -> tuple[SupplierBehaviour, ...]:
    """The truth about the suppliers; one refuses every order for about a sixth of the stretch, in its middle."""
    days = (last_day - first_day).days + 1
    fails_on = first_day + timedelta(days=days * 2 // 5)
    fails_until = fails_on + timedelta(days=min(days // 6, 6))
    return tuple(
        SupplierBehaviour(
            supplier=p.code,
            lead_days=p.lead_days,
            late_probability=p.late_probability,
            late_extra_days=p.late_extra_days,
            partial_probability=p.partial_probability,
            short_probability=p.short_probability,
            refuses=((fails_on, fails_until),) if p is FAILING else (),
        )
        for p in PARTNERS
    )


def past_receipts(
    seed: int,
    sourcing: Sequence[Sourcing],
    daily_units: Mapping[StockKey, float],
    first_day: date,
    *,
    every_days: int,
    days_back: int = 240,
) -> Iterator[RecordedReceipt]:
    """Deliveries before `first_day`: one per sourcing and `every_days`, each about what sells in that time.

    A sourcing that sold nothing (`daily_units` 0 or absent) was never delivered.
    """
    truth = {partner.code: partner for partner in PARTNERS}
    for source in sourcing:
        units = round(daily_units.get((source.location, source.item), 0.0) * every_days)
        if source.rank > 1 or units <= 0:
            continue
        partner = truth[source.supplier]
        roll = dice(seed, "receipts", source.location, source.item)
        ordered_on = first_day - timedelta(days=days_back - roll.randrange(every_days))
        while ordered_on < first_day:
            lead = roll.choice(partner.lead_days)
            lead += partner.late_extra_days if roll.random() < partner.late_probability else 0
            received_on = ordered_on + timedelta(days=lead)
            packs = max(1, round(units * roll.uniform(0.7, 1.3) / source.pack_units))
            if received_on < first_day:
                yield RecordedReceipt(
                    supplier=source.supplier, item=source.item, location=source.location, ordered_on=ordered_on,
                    received_on=received_on, units=packs * source.pack_units,
                )  # fmt: skip
            ordered_on += timedelta(days=every_days)
