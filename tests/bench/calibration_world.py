"""A demo world large enough to judge probabilities on: what the engine would know of it, and its law for what comes.

The engine sees recorded demand, receipts and promotions and nothing else; truth is drawn from the law that makes the
world's own days, anew for each question that is put to it.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property

from connectors.feeds.chance import dice
from connectors.feeds.suppliers import PARTNERS, PROMISED_DAYS, past_receipts
from connectors.feeds.world_catalog import assortment
from connectors.feeds.world_demand import HISTORY_DAYS, Pattern, Series, past, promotion_days
from connectors.postgres.lead_times import EVERYONE_RECEIPTS, PARTS, parts
from workflows.domain.catalog import Sourcing
from workflows.domain.models import TrainingSeries
from workflows.domain.scores import DemandHistory, LeadTimes, Promotion, ScoringRow

FIRST_DAY = date(2025, 3, 3)
LAST_DAY = FIRST_DAY - timedelta(days=1)
"""The last day that is trained on."""
NEWCOMER_WORLDS = 8
"""New articles are taken from an assortment so many times as large: articles that were not there at training."""
LONGEST_DAYS = 120
"""Days after the first one whose promotions are settled."""
SHORTAGE, HOLDING = Decimal(4), Decimal("0.02")

PARTNER = {partner.code: partner for partner in PARTNERS}


def lead_days(supplier: str, *words: object) -> int:
    """Days that one order takes, by the law that `past_receipts` and the simulated supplier follow."""
    partner, roll = PARTNER[supplier], dice("calibration", "lead", supplier, *words)
    late = partner.late_extra_days if roll.random() < partner.late_probability else 0
    return roll.choice(partner.lead_days) + late


@dataclass(frozen=True)
class Shelf:
    """One item at one location: its law, and what the engine knows of it."""

    law: Series
    category: str
    supplier: str
    promoted: frozenset[date]
    known: dict[date, int | None]
    """Units of each recorded day from the listing on; None where the shelf was empty."""

    @property
    def key(self) -> tuple[str, str]:
        """(location, item)."""
        return self.law.location, self.law.item

    def history(self, last_day: date) -> DemandHistory | None:
        """What was recorded through `last_day`; None before the listing."""
        first = max(self.law.sold_since, FIRST_DAY - timedelta(days=HISTORY_DAYS))
        count = (last_day - first).days + 1
        if count <= 0:
            return None
        days = (first + timedelta(days=place) for place in range(count))
        return DemandHistory(first_day=first, daily_units=tuple(self.known[day] for day in days))

    def wanted(self, day: date, *words: object) -> int:
        """One draw of the day's demand from the world's law."""
        roll = dice("calibration", "demand", self.law.location, self.law.item, day, *words)
        return self.law.wanted(day, roll, promotion=day in self.promoted)

    def promotions(self, last_day: date, *, announced: bool) -> tuple[Promotion, ...]:
        """Promotion days as stretches of one day; those after `last_day` only where they are announced ahead."""
        return tuple(
            Promotion(first_day=day, last_day=day) for day in sorted(self.promoted) if announced or day <= last_day
        )


class CalibrationWorld:
    """`items` articles at three locations, their 500 recorded days and as many days beyond as are asked for.

    Args:
        announced: promotions are known ahead, as `quartermaster demand` lets planners announce them; else the engine
            learns of one from the sales of its days, as it does from the demo world's events alone.
    """

    def __init__(self, seed: int, items: int, *, days: int, announced: bool) -> None:
        goods = assortment(seed, items * NEWCOMER_WORLDS, FIRST_DAY)
        names = {item.item for item in goods.catalog.items[:items]}
        self._seed, self._announced = seed, announced
        self.sourcing: Sequence[Sourcing] = [
            source for source in goods.catalog.sourcing if source.rank == 1 and source.item in names
        ]
        suppliers = {(s.location, s.item): s.supplier for s in goods.catalog.sourcing if s.rank == 1}
        categories = {item.item: item.category for item in goods.catalog.items}
        begins, until = FIRST_DAY - timedelta(days=HISTORY_DAYS), FIRST_DAY + timedelta(days=LONGEST_DAYS)
        promoted = {item: promotion_days(seed, item, begins, until) for item in categories}
        made = [
            Shelf(
                one, categories[one.item], suppliers[one.location, one.item], promoted[one.item],
                self._known(one, promoted[one.item], days),
            )
            for one in goods.series
            if one.item in names or one.pattern is Pattern.NEW
        ]  # fmt: skip
        self.shelves = [shelf for shelf in made if shelf.law.item in names]
        # One article in twenty is new: too few to judge by, so those of further assortments are asked about, too.
        self.newcomers = [shelf for shelf in made if shelf.law.item not in names]

    def _known(self, one: Series, promoted: frozenset[date], days: int) -> dict[date, int | None]:
        # Days without a record are days without a sale; after the first day shelves are never empty.
        begins = max(one.sold_since, FIRST_DAY - timedelta(days=HISTORY_DAYS))
        known: dict[date, int | None] = {
            begins + timedelta(days=place): 0 for place in range((FIRST_DAY - begins).days)
        }
        for record in past(self._seed, one, promoted, FIRST_DAY):
            known[record.day] = record.units if record.in_stock else None
        for place in range(days):
            day = FIRST_DAY + timedelta(days=place)
            roll = dice(self._seed, "day", f"{day}:{one.location}:{one.item}")
            known[day] = one.wanted(day, roll, promotion=day in promoted)
        return known

    def training(self) -> list[TrainingSeries]:
        """All that is recorded before the first day."""
        return [
            TrainingSeries(
                item=shelf.law.item, location=shelf.law.location, category=shelf.category, history=history,
                promotions=shelf.promotions(LAST_DAY, announced=self._announced),
            )
            for shelf in self.shelves
            if (history := shelf.history(LAST_DAY)) is not None
        ]  # fmt: skip

    def row(self, shelf: Shelf, last_day: date, on_hand: int) -> ScoringRow | None:
        """What production would ask at the end of `last_day`; None where the item is not yet listed."""
        history = shelf.history(last_day)
        if history is None:
            return None
        return ScoringRow(
            item=shelf.law.item, location=shelf.law.location, category=shelf.category, supplier=shelf.supplier,
            last_day=last_day, history=history, promotions=shelf.promotions(last_day, announced=self._announced),
            on_hand_units=on_hand, lead_times=self.lead_times[shelf.supplier, shelf.law.location], review_days=7,
            shortage_per_unit=SHORTAGE, holding_per_unit_day=HOLDING,
        )  # fmt: skip

    @cached_property
    def lead_times(self) -> dict[tuple[str, str], LeadTimes]:
        """What each (supplier, location) has shown in its receipts: the view that `connectors.postgres` gives."""
        usual = {shelf.key: shelf.law.daily_units for shelf in self.shelves if shelf.law.pattern is not Pattern.NEW}
        orders: dict[tuple[str, str, date], list[tuple[date, int]]] = defaultdict(list)
        slips: list[tuple[date, int]] = []
        for receipt in past_receipts(self._seed, self.sourcing, usual, FIRST_DAY, every_days=30):
            orders[receipt.supplier, receipt.location, receipt.ordered_on].append((receipt.received_on, receipt.units))
            waited = (receipt.received_on - receipt.ordered_on).days
            slips.append((receipt.received_on, waited - PROMISED_DAYS[receipt.supplier]))
        lane: dict[tuple[str, str], list[int]] = defaultdict(list)
        everywhere: dict[str, list[int]] = defaultdict(list)
        for (supplier, location, ordered_on), came in sorted(orders.items()):
            waits = [(day - ordered_on).days for day in parts([day for day, _ in came], [units for _, units in came])]
            lane[supplier, location] += waits
            everywhere[supplier] += waits
        newest = sorted(slips, reverse=True)[:EVERYONE_RECEIPTS]
        return {
            (supplier, location): LeadTimes(
                lane_days=tuple(lane[supplier, location]), supplier_days=tuple(everywhere[supplier]),
                promised_days=PROMISED_DAYS[supplier], parts_per_order=PARTS,
                everyone_slips=tuple(slip for _, slip in newest),
            )
            for supplier in PARTNER
            for location in {source.location for source in self.sourcing}
        }  # fmt: skip
