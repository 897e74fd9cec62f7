"""What counts as demand is a rule that people can read: versioned, content-addressed, changed on the record only.

From it and from what people say about single days follow the layers of a day, kept apart: what was sold, what an
outlier was cut to, what could not be observed, what somebody set. The last layer is the effective demand, the only one
that forecasts and training see.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, SerializerFunctionWrapHandler, StringConstraints, model_serializer
from pydantic import model_validator as _model_validator

from workflows.domain.events import MAX_UNITS, ShortText
from workflows.domain.identity import Code, Instant, Payload, digest

OUTLIER_LOOKBACK_DAYS = 91
OUTLIER_MIN_SALE_DAYS = 8
"""With fewer days with a sale nobody knows what is usual, so nothing is cut."""
MAX_ADJUSTED_DAYS = 1_100
PERMILLE = 1_000


class Cancelled(StrEnum):
    """What becomes of the demand of a sale that was taken back."""

    LEAVES_ITS_DAY = "leaves_its_day"
    STAYS = "stays"


class PartialDay(StrEnum):
    """What a day is worth on which the item was in stock for a part of the usual sales hours only."""

    MISSING = "missing"
    SCALED = "scaled"
    """Sales / exposure where the exposure is at least half (science 1.2), else missing. The days on which a shelf sells
    empty are the good ones: with them missing, a shelf that is out on one day in four looks 15 to 40 % too slow."""


class DemandDefinition(Payload):
    """Which events are demand, and what a day is worth that was not in stock throughout."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int = Field(default=1, ge=1)
    cancelled_sales: Cancelled = Cancelled.LEAVES_ITS_DAY
    return_after_days: int | None = Field(default=None, ge=0, le=730)
    """A sale taken back more days later than this is a return: the customer wanted it, its demand stays. None: a
    return is a cancelled sale like any other."""
    counted_reasons: tuple[ShortText, ...] = ()
    """Stock adjustments downwards with one of these reasons are demand too: write-offs or transfers that this place
    must replenish. Compared without regard to case."""
    sale_cap_units: int | None = Field(default=None, ge=1, le=MAX_UNITS)
    """No single sale counts for more: a fraud or a one-off project is not the demand of the shelf."""
    outlier_factor: int | None = Field(default=None, ge=2, le=1_000)
    """No day counts for more than this many times the average sale day of the 91 days before it."""
    partial_days: PartialDay = PartialDay.SCALED

    @_model_validator(mode="after")
    def _one_spelling(self) -> Self:
        reasons = tuple(sorted({reason.strip().casefold() for reason in self.counted_reasons}))
        if "" in reasons:
            raise ValueError("counted_reasons: a reason is a word, not an empty text")
        object.__setattr__(self, "counted_reasons", reasons)
        return self

    @model_serializer(mode="wrap")
    def _without_what_changes_nothing(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What is at its default is left out, so that a definition keeps its digest when the rules grow."""
        fields = type(self).model_fields
        return {
            name: value
            for name, value in handler(self).items()
            if name == "version" or getattr(self, name) != fields[name].default
        }

    @property
    def digest(self) -> str:
        """SHA-256 of the document: what decisions and training sets name."""
        return digest(self)

    @property
    def counts_every_sale(self) -> bool:
        """Whether a day's demand is the sum that intake keeps: sales less what was taken back of them."""
        return (
            self.cancelled_sales is Cancelled.LEAVES_ITS_DAY
            and self.return_after_days is None
            and not self.counted_reasons
            and self.sale_cap_units is None
        )

    @property
    def words(self) -> str:
        """The rule in one line, for people."""
        parts = ["sales"]
        if self.sale_cap_units is not None:
            parts.append(f"at most {self.sale_cap_units:,} units of one sale")
        if self.cancelled_sales is Cancelled.STAYS:
            parts.append("cancelled ones too")
        elif self.return_after_days is None:
            parts.append("less those cancelled or returned")
        else:
            parts.append(f"less those cancelled within {self.return_after_days} days (later: a return, still demand)")
        if self.counted_reasons:
            parts.append(f"and stock taken off for {', '.join(self.counted_reasons)}")
        if self.outlier_factor is not None:
            parts.append(f"a day cut at {self.outlier_factor} times the average sale day")
        scaled = self.partial_days is PartialDay.SCALED
        out = "scaled up if in stock for half of the day or more, else unknown" if scaled else "unknown, not zero"
        return f"version {self.version}: {', '.join(parts)}; days without stock are {out}"


class Layer(StrEnum):
    """Why a day's effective demand is not simply what was sold."""

    SALES = "sales"
    OUTLIER = "outlier"
    CENSORED = "censored"
    PHANTOM_STOCK = "phantom_stock"
    PROMOTION = "promotion"
    ADJUSTMENT = "adjustment"


UNOBSERVED = frozenset({Layer.CENSORED, Layer.PHANTOM_STOCK})
Why = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


class Adjustment(Payload):
    """What somebody says about days of one item at one location. It is never changed, only withdrawn."""

    adjustment_id: str
    item: Code
    location: Code
    first_day: date
    last_day: date
    layer: Layer
    units: int | None = Field(default=None, ge=0, le=MAX_UNITS)
    """The demand of each of these days; None: it is missing (promotion: the days were, or will be, promoted)."""
    reason: Why
    author: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    recorded_at: Instant

    @_model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.layer is Layer.SALES:
            raise ValueError("sales are facts that come as events; use the layer 'adjustment' to set a day's demand")
        if not 0 <= (self.last_day - self.first_day).days < MAX_ADJUSTED_DAYS:
            raise ValueError(f"the last day is the first one or up to {MAX_ADJUSTED_DAYS - 1} days later")
        if self.units is not None and (self.layer in UNOBSERVED or self.layer is Layer.PROMOTION):
            raise ValueError(f"the layer '{self.layer}' takes no units: it says what the days are, not what was sold")
        return self

    def covers(self, day: date) -> bool:
        """Whether it speaks about this day."""
        return self.first_day <= day <= self.last_day


@dataclass(frozen=True, slots=True)
class KnownDay:
    """What was recorded of one day. Days without any record sold nothing."""

    day: date
    units: int
    """Net units by the definition; may be negative where more came back than was sold."""
    in_stock: bool = True
    promotion: bool = False
    exposure_permille: int | None = None
    """The share of the usual sales hours in stock, of a day that was not in stock throughout; None: not known."""


class DayLayers(Payload):
    """One day, layer by layer: for people."""

    day: date
    sold_units: int
    promotion: bool
    outlier_units: int | None = None
    """What the definition cut the day to; None: it was not cut."""
    censored: bool = False
    exposure_permille: int | None = None
    adjustment: Adjustment | None = None
    """The last word of a person (or of the engine, about phantom stock) on this day."""
    effective_units: int | None
    """None: missing."""


def sold_units(days: Sequence[KnownDay], end: date) -> list[int]:
    """Units per day from the first known day to the day before `end`; net-negative days are no demand."""
    units = [0] * (end - days[0].day).days
    for one in days:
        units[(one.day - days[0].day).days] = max(0, one.units)
    return units


def outliers_cut(units: Sequence[int], unseen: frozenset[int], factor: int | None) -> list[int]:
    """Each day at most `factor` times the average sale day of the 91 days before it, themselves already cut.

    Only earlier days matter, so a day's cut never changes later. `unseen`: positions of days that were not observed.
    """
    if factor is None:
        return list(units)
    cut: list[int] = []
    recent: deque[int] = deque(maxlen=OUTLIER_LOOKBACK_DAYS)
    total = sale_days = 0
    for position, value in enumerate(units):
        if sale_days >= OUTLIER_MIN_SALE_DAYS:
            # Rounded up: what is cut stays at least one unit above nothing.
            value = min(value, -(-factor * total // sale_days))
        cut.append(value)
        kept = 0 if position in unseen else value
        if len(recent) == OUTLIER_LOOKBACK_DAYS:
            gone = recent[0]
            total, sale_days = total - gone, sale_days - (gone > 0)
        recent.append(kept)
        total, sale_days = total + kept, sale_days + (kept > 0)
    return cut


def observed_units(units: int, known: KnownDay, definition: DemandDefinition) -> int | None:
    """The demand of a day that was not in stock throughout: scaled where the definition and the exposure allow it."""
    exposure = known.exposure_permille
    if definition.partial_days is PartialDay.SCALED and exposure is not None and 2 * exposure >= PERMILLE:
        return (units * PERMILLE + exposure // 2) // min(exposure, PERMILLE)
    return None


def last_words(adjustments: Sequence[Adjustment], first: date, end: date) -> dict[int, Adjustment]:
    """Position of a day (0 is `first`) to what was said last about its demand. The order given never matters: the
    newest word stands, of equally new ones the one with the larger id. Promotions say nothing about demand."""
    spoken = [one for one in adjustments if one.layer is not Layer.PROMOTION]
    found: dict[int, Adjustment] = {}
    for one in sorted(spoken, key=lambda each: (each.recorded_at, each.adjustment_id)):
        begin, stop = max(one.first_day, first), min(one.last_day.toordinal() + 1, end.toordinal())
        for ordinal in range(begin.toordinal(), stop):
            found[ordinal - first.toordinal()] = one
    return found


def effective_units(
    days: Sequence[KnownDay], end: date, definition: DemandDefinition, adjustments: Sequence[Adjustment] = ()
) -> list[int | None]:
    """Effective demand per day, never negative, None where it is missing.

    The layers apply in this order: sales by the definition, outliers cut, days without stock missing (or scaled by
    their exposure), adjustments last. Args: days in order, at least one, no day twice, all before `end`.
    """
    first = days[0].day
    short = {(one.day - first).days: one for one in days if not one.in_stock}
    cut = outliers_cut(sold_units(days, end), frozenset(short), definition.outlier_factor)
    effective: list[int | None] = list(cut)
    for position, known in short.items():
        effective[position] = observed_units(cut[position], known, definition)
    for position, said in last_words(adjustments, first, end).items():
        effective[position] = said.units
    return effective


def promoted_days(days: Sequence[KnownDay], adjustments: Sequence[Adjustment]) -> list[tuple[date, date]]:
    """Stretches (inclusive) of promotion, as sales told and as people announced; the announced may lie ahead."""
    told = [(one.day, one.day) for one in days if one.promotion]
    said = [(one.first_day, one.last_day) for one in adjustments if one.layer is Layer.PROMOTION]
    return sorted({*told, *said})


def layers(
    days: Sequence[KnownDay], end: date, definition: DemandDefinition, adjustments: Sequence[Adjustment] = ()
) -> list[DayLayers]:
    """`effective_units` with every step on the way: one entry per day."""
    if not days:
        return []
    first, sold = days[0].day, sold_units(days, end)
    known = {(one.day - first).days: one for one in days}
    short = frozenset(position for position, one in known.items() if not one.in_stock)
    cut = outliers_cut(sold, short, definition.outlier_factor)
    effective = effective_units(days, end, definition, adjustments)
    said = last_words(adjustments, first, end)
    spans = promoted_days(days, adjustments)
    listed = []
    for position, units in enumerate(effective):
        day = date.fromordinal(first.toordinal() + position)
        one = known.get(position)
        listed.append(
            DayLayers(
                day=day, sold_units=sold[position], promotion=any(begin <= day <= last for begin, last in spans),
                outlier_units=cut[position] if cut[position] != sold[position] else None, censored=position in short,
                exposure_permille=one.exposure_permille if one else None, adjustment=said.get(position),
                effective_units=units,
            )
        )  # fmt: skip
    return listed
