"""What deciding costs and what it saves, each figure with its definition; nothing here is assumed that can be measured.

Cost avoided compares what happened with the static reorder point on the same days. Days are counted once, by item and
location: the horizons of decisions overlap, the days that they cover do not.
"""

from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Protocol

from workflows.domain.attention import Attention
from workflows.domain.identity import Payload

CORE_HOUR = Decimal("0.05")
"""Money for an hour of one processor core: the upper end of what large clouds ask for a shared one."""
GIGABYTE_MONTH = Decimal("0.12")
"""Money for a gigabyte of replicated block storage and its backup for a month."""
KEPT_MONTHS = 84
"""Records of decisions are kept for seven years, and their storage is paid for so long."""
REVIEW_SHARE, TARGET_PER_DECISION = Decimal("0.03"), Decimal("0.05")
"""The share of reviews at which the cost of a decision is compared with its target."""
SIGMAS = Decimal("1.65")
LEAST_OBSERVED = 28
"""Days of known demand without which nobody would type in a reorder point: such decisions are not compared."""
LEAST_PLACES = 10
"""Items at locations without which an interval says nothing."""
Z95 = Decimal("1.96")
WEEKS = 13
BYTES, SECONDS = Decimal(10) ** 9, 3600
CENT, MICRO = Decimal("0.01"), Decimal("0.000001")

DEFINITIONS = {
    "per_decision": "(compute + storage + people) / decisions, everything since the installation began",
    "compute": f"seconds from the start to the end of each batch of assessments, waiting included, and of each "
    f"training on its threads, at {CORE_HOUR} per core-hour: more than the processors were really busy",
    "storage": f"size of the whole database now, kept for {KEPT_MONTHS} months at {GIGABYTE_MONTH} per gigabyte-month",
    "people": "verdicts that people gave x the minutes of a review x the wage, both from the policy's attention rule "
    "or, where it has none, from that rule's defaults",
    "at_review_share": f"what a decision would cost if {REVIEW_SHARE:.0%} of them were reviewed, compute and storage "
    f"as measured; the target is {TARGET_PER_DECISION}",
    "avoided": "what the static reorder point would have cost less what happened, over the days between a decision and "
    "the end of its horizon, for decisions whose horizon has passed; each day of an item at a location counts once",
    "happened": "holding on the stock left at each day's end + shortage on demand not served + order lines",
    "static": "the same days from the same stock with the same deliveries under way, ordering every review period up "
    "to mean x P + 1.65 x deviation x sqrt(P) of the year before the newest decision, P = promised lead time + review "
    "period, in packs and minimums as they were; its orders take as long as the real deliveries of their days took. "
    f"Decisions with fewer than {LEAST_OBSERVED} known days in that year are not compared",
    "prices": "holding, shortage and cost per order as recorded with the newest decision; an order line bears the cost "
    "per order shared by as many lines as the supplier's orders have had",
    "censored": "on a day that ended without stock nobody knows what was wanted: it is taken to be the decision's "
    "median forecast of the day, or what was sold if that is more, for both sides; the share of such days is told",
    "half_years": "the comparison begins anew from the real stock on 1 January and 1 July",
    "interval": f"95 %: the sum +- 1.96 x sqrt(n) x the deviation of the differences of the n items at locations; "
    f"none with fewer than {LEAST_PLACES}",
}
"""What each figure means, as pages and commands say it."""


class CostPerDecision(Payload):
    """What was measured, and what it amounts to."""

    decisions: int
    compute_seconds: Decimal
    """On one core: of batches of assessments and of trainings."""
    storage_bytes: int
    verdicts: int
    """Given by people, those that were voided later included."""
    review_minutes: int
    wage_per_hour: Decimal

    @property
    def compute(self) -> Decimal:
        """Money."""
        return _money(self.compute_seconds * CORE_HOUR / SECONDS)

    @property
    def storage(self) -> Decimal:
        """Money."""
        return _money(self.storage_bytes / BYTES * GIGABYTE_MONTH * KEPT_MONTHS)

    @property
    def review_cost(self) -> Decimal:
        """c_rev: what one review costs."""
        return Attention(minutes=self.review_minutes, wage_per_hour=self.wage_per_hour).review_cost

    @property
    def people(self) -> Decimal:
        """Money."""
        return _money(self.verdicts * self.review_cost)

    @property
    def per_decision(self) -> Decimal | None:
        """None before the first decision."""
        return _money((self.compute + self.storage + self.people) / self.decisions) if self.decisions else None

    @property
    def at_review_share(self) -> Decimal | None:
        """At `REVIEW_SHARE`; None before the first decision."""
        if not self.decisions:
            return None
        return _money((self.compute + self.storage) / self.decisions + REVIEW_SHARE * self.review_cost)

    @property
    def review_share(self) -> Decimal | None:
        """Verdicts per decision."""
        return (Decimal(self.verdicts) / self.decisions).quantize(Decimal("0.0001")) if self.decisions else None

    def document(self) -> dict[str, object]:
        """Everything, JSON-ready."""
        told = ("compute", "storage", "people", "review_cost", "review_share", "per_decision", "at_review_share")
        derived = {name: getattr(self, name) for name in told}
        shown = {name: None if value is None else str(value) for name, value in derived.items()}
        return {**self.model_dump(mode="json"), **shown, "target": str(TARGET_PER_DECISION)}


class Costs(Payload):
    """Of some days."""

    holding: Decimal = Decimal(0)
    shortage: Decimal = Decimal(0)
    ordering: Decimal = Decimal(0)

    @property
    def total(self) -> Decimal:
        """All three."""
        return self.holding + self.shortage + self.ordering

    def __add__(self, other: "Costs") -> "Costs":
        return Costs(
            holding=self.holding + other.holding, shortage=self.shortage + other.shortage,
            ordering=self.ordering + other.ordering,
        )  # fmt: skip


class AvoidedWeek(Payload):
    """One calendar week."""

    week: date
    """Its Monday."""
    decisions: int
    """Taken in this week, of those whose horizon has passed."""
    days: int
    """Days of items at locations that are counted here."""
    happened: Costs
    static: Costs

    @property
    def avoided(self) -> Decimal:
        """Static - happened; negative where the static reorder point would have been cheaper."""
        return self.static.total - self.happened.total


class CostAvoided(Payload):
    """All weeks that were asked for, newest first."""

    weeks: tuple[AvoidedWeek, ...] = ()
    low: Decimal | None = None
    high: Decimal | None = None
    places: int = 0
    """Items at locations behind it."""
    censored_days: int = 0
    wanted_units: Decimal = Decimal(0)
    imputed_units: Decimal = Decimal(0)
    """Of the units wanted, those that are a forecast because the shelf was empty."""
    uncounted: int = 0
    """Measured decisions that are not compared yet."""

    @property
    def days(self) -> int:
        """Days of items at locations."""
        return sum(week.days for week in self.weeks)

    @property
    def decisions(self) -> int:
        """Decisions behind it."""
        return sum(week.decisions for week in self.weeks)

    @property
    def happened(self) -> Costs:
        """Sum over the weeks."""
        return sum((week.happened for week in self.weeks), Costs())

    @property
    def static(self) -> Costs:
        """Sum over the weeks."""
        return sum((week.static for week in self.weeks), Costs())

    @property
    def avoided(self) -> Decimal:
        """Static - happened."""
        return self.static.total - self.happened.total

    @property
    def censored_share(self) -> Decimal:
        """Of the days."""
        return (Decimal(self.censored_days) / max(1, self.days)).quantize(Decimal("0.0001"))

    def document(self) -> dict[str, object]:
        """Everything, JSON-ready."""
        weeks = [
            {**week.model_dump(mode="json"), "avoided": str(week.avoided.quantize(CENT))} for week in self.weeks
        ]  # fmt: skip
        return {
            **self.model_dump(mode="json"), "weeks": weeks, "avoided": str(self.avoided.quantize(CENT)),
            "happened": str(self.happened.total.quantize(CENT)), "static": str(self.static.total.quantize(CENT)),
            "days": self.days, "decisions": self.decisions, "censored_share": str(self.censored_share),
        }  # fmt: skip


class MoneyReport(Payload):
    """Both figures."""

    currency: str
    cost: CostPerDecision
    avoided: CostAvoided

    def document(self) -> dict[str, object]:
        """Everything with its definitions, JSON-ready."""
        return {
            "currency": self.currency, "cost_per_decision": self.cost.document(),
            "cost_avoided": self.avoided.document(), "definitions": DEFINITIONS,
        }  # fmt: skip


class Money(Protocol):
    """The figures. Never changes a decision."""

    async def report(self, weeks: int = WEEKS) -> MoneyReport:
        """The cost per decision since ever, and the cost avoided in the newest weeks that are counted."""
        ...


def interval(total: Decimal, places: int, deviation: Decimal | None) -> tuple[Decimal | None, Decimal | None]:
    """95 % interval of a sum of differences, one per item at a location, given their sample deviation."""
    if places < LEAST_PLACES or deviation is None:
        return None, None
    half = Z95 * Decimal(places).sqrt() * deviation
    return (total - half).quantize(CENT), (total + half).quantize(CENT)


def _money(amount: Decimal) -> Decimal:
    return amount.quantize(MICRO, rounding=ROUND_HALF_EVEN)
