"""What a sales file does not have and an engine needs: costs, packs, sourcing and opening stock, from a seed."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from connectors.feeds.chance import dice
from connectors.feeds.suppliers import PARTNERS, PROMISED_DAYS, REVIEW_DAYS
from workflows.domain.catalog import Sourcing
from workflows.domain.events import MAX_UNITS
from workflows.domain.feeds import StockKey

INVENTED = (
    "the six suppliers, their lead times, reliability and costs per order, and one supplier's failure in mid-stretch",
    "which supplier sells which item, at what unit cost (40 to 65 % of the price), in what packs and minimum orders",
    "opening stock on the first day; stock between events follows from sales, write-offs and our own receipts",
    "past deliveries, which teach lead times",
)
PACKS = (1, 1, 6, 12, 24)
SECOND_SOURCE_SHARE = 0.3


def sourcing_for(
    seed: int, prices: Mapping[str, Decimal], daily_units: Mapping[StockKey, float]
) -> tuple[Sourcing, ...]:
    """How each item is bought: the same supplier at all its locations, a dearer second one for some."""
    found = []
    for location, item in sorted(daily_units):
        roll = dice(seed, "sourcing", item)
        first, second = roll.sample(PARTNERS, 2)
        cost = (prices[item] * Decimal(roll.randint(40, 65)) / 100).quantize(Decimal("0.0001"))
        pack = roll.choice([pack for pack in PACKS if pack <= 1 + daily_units[location, item] * 14])
        minimum = pack * roll.choice((0, 0, 2))
        found.append(
            Sourcing(
                item=item, location=location, supplier=first.code, unit_cost=cost, pack_units=pack,
                minimum_order_units=minimum, lead_time_days=first.promised_days, review_days=REVIEW_DAYS,
            )
        )  # fmt: skip
        if roll.random() < SECOND_SOURCE_SHARE:
            dearer = (cost * Decimal("1.12")).quantize(Decimal("0.0001"))
            found.append(
                Sourcing(
                    item=item, location=location, supplier=second.code, rank=2, unit_cost=dearer, pack_units=pack,
                    minimum_order_units=minimum, lead_time_days=second.promised_days, review_days=REVIEW_DAYS,
                )
            )  # fmt: skip
    return tuple(found)


def opening_units(
    seed: int, sourcing: Sequence[Sourcing], daily_units: Mapping[StockKey, float], low_share: float
) -> dict[StockKey, int]:
    """Units on the shelf at the start: a `low_share` of the items has less than its lead time and two weeks need."""
    units: dict[StockKey, int] = {}
    for source in sourcing:
        if source.rank > 1:
            continue
        key = (source.location, source.item)
        roll = dice(seed, "opening", *key)
        lead_days = PROMISED_DAYS[source.supplier]
        low = roll.random() < low_share
        cover_days = roll.uniform(0.5, lead_days + 14) if low else lead_days + roll.uniform(90, 240)
        units[key] = min(MAX_UNITS, max(1 if low else 4, round(daily_units[key] * cover_days)))
    return units
