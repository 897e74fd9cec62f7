"""A decision's picture is drawn from its recorded evidence and nothing else, so it looks the same years later.

Its digest is that of everything the drawing depends on; the evidence is under the hash that approvals are bound to.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Annotated

from pydantic import Field

from workflows.domain.decisions import DecisionInputs, Hold, Proposal
from workflows.domain.identity import Payload, digest
from workflows.domain.scores import DayForecast
from workflows.domain.supplying import as_seen_from


class StockDay(Payload):
    """Stock at the end of one day, in units: the median and 8 of 10 futures, without and with the order."""

    day: date
    p10: int
    p50: int
    p90: int
    with_p10: int
    with_p50: int
    with_p90: int


class Picture(Payload):
    """Everything that the charts of a decision show."""

    recent: tuple[int | None, ...] = ()
    """Demand of the days before the first of `days`, newest last; empty where it was not recorded."""
    days: tuple[DayForecast, ...]
    on_hand_units: int
    stock: tuple[StockDay, ...] = ()
    """Empty where the stock's course was not recorded."""
    order_units: int = 0
    """0: nothing is ordered."""
    arrives_after_days: Annotated[int, Field(ge=0)]
    """Median lead time, in days from the first of `days`."""
    arrives_late_after_days: Annotated[int, Field(ge=0)]
    """The lead time that 19 of 20 orders keep."""
    lasts_days: Annotated[int, Field(ge=0)]
    """Days that one order must last."""
    watch_level_units: int
    """Available stock below which the engine looks again."""

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical form: the same digest is the same picture."""
        return digest(self)

    @property
    def runs_out(self) -> date | None:
        """The first day at whose end nothing is left in half of the futures, if nothing is ordered."""
        return next((one.day for one in self.stock if one.p50 <= 0), None)

    @property
    def may_run_out(self) -> date | None:
        """The same for 1 of 10 futures."""
        return next((one.day for one in self.stock if one.p10 <= 0), None)

    @property
    def arrives(self) -> date | None:
        """The day on which an order of now is expected, if anything is forecast."""
        return self.days[0].day + timedelta(days=self.arrives_after_days) if self.days else None

    @property
    def first_recent(self) -> date | None:
        """The first day of `recent`."""
        return self.days[0].day - timedelta(days=len(self.recent)) if self.days and self.recent else None


def picture_of(inputs: DecisionInputs, result: Hold | Proposal) -> Picture:
    """The picture of a decision; lead times are those of the supplier that it takes."""
    proposal = result if isinstance(result, Proposal) else None
    option = next(
        (one for one in inputs.options if proposal and one.sourcing.supplier == proposal.supplier), None
    )  # fmt: skip
    scores = (as_seen_from(inputs, option) if option else inputs).scores
    units = proposal.units if proposal else 0
    recorded = inputs.scores
    without = [on_shelf(line) for line in (recorded.stock_p10, recorded.stock_p50, recorded.stock_p90)]
    after = [
        on_shelf(line, units, scores.lead_time_p50_days)
        for line in (recorded.stock_p10, recorded.stock_p50, recorded.stock_p90)
    ]
    stock = tuple(
        StockDay(day=day.day, p10=a, p50=b, p90=c, with_p10=d, with_p50=e, with_p90=f)
        for day, a, b, c, d, e, f in zip(recorded.days, *without, *after, strict=False)
    )
    return Picture(
        recent=recorded.recent_units, days=recorded.days, on_hand_units=inputs.position.on_hand_units, stock=stock,
        order_units=units, arrives_after_days=scores.lead_time_p50_days,
        arrives_late_after_days=scores.lead_time_p95_days, lasts_days=scores.protection_days,
        watch_level_units=scores.watch_level_units,
    )  # fmt: skip


def on_shelf(net: Sequence[int], units: int = 0, arrives_after_days: int = 0) -> list[int]:
    """Stock on the shelf by day from net stock, never below zero: what is asked for in vain does not come back.

    `units` arrive on day `arrives_after_days` (0: the first of the days).
    """
    shelf, lost = [], 0
    for ahead, value in enumerate(net):
        present = value + lost + (units if ahead >= arrives_after_days else 0)
        if present < 0:
            lost -= present
            present = 0
        shelf.append(present)
    return shelf
