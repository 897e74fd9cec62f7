"""The rhythm of a location's day: which share of a usual day's sales is done by a certain minute, in whole numbers.

Learned from the times of sale events, one location at a time, and shrunk to what all locations do, which is shrunk to a
day that sells evenly: with no sale seen, half of the (UTC) day is half of the sales.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from fractions import Fraction

from pydantic import Field

from workflows.domain.identity import Payload

HOURS = 24
PERMILLE = 1_000
OWN_SALES = 200
"""A location's own sales weigh as much as all others' once there are so many of them."""
EVEN_SALES = 50
"""All sales weigh as much as the even day once there are so many of them."""
CLUMP_PAIRS = 500
"""Pairs of units of one item and day after which what was seen of clumping weighs as much as what is usual."""
USUAL_CLUMP_PERMILLE = 250
"""Without evidence: of two units sold of one item on one day, this share goes in one basket."""

ENOUGH_SALES = 300
"""With fewer sales seen anywhere nobody knows when shops are open: better no signal than a wrong one."""


class DayRhythm(Payload):
    """What was seen of the day at one location and at all. `*_sales` count sale events by hour of the UTC day."""

    own_sales: tuple[int, ...] = Field(default=(0,) * HOURS, min_length=HOURS, max_length=HOURS)
    all_sales: tuple[int, ...] = Field(default=(0,) * HOURS, min_length=HOURS, max_length=HOURS)
    same_sale_pairs: int = Field(default=0, ge=0)
    """Pairs of units that left in the same sale ..."""
    same_day_pairs: int = Field(default=0, ge=0)
    """... of all pairs of units of one item that were sold on the same day."""

    @property
    def known(self) -> bool:
        """Whether enough was seen to speak of a usual day."""
        return sum(self.all_sales) >= ENOUGH_SALES

    def elapsed_permille(self, moment: datetime) -> int:
        """The share of a usual day's sales that is done by this instant, in thousandths, 0 to 1000.

        Empirical Bayes with fixed strengths: (own + OWN_SALES * all) / (own sales + OWN_SALES), and `all` likewise
        towards the even day. Within an hour sales are taken to be even.
        """
        at = moment.astimezone(UTC)
        minute = at.hour * 60 + at.minute
        even = Fraction(minute, HOURS * 60)
        everybody = _shrunk(self.all_sales, minute, EVEN_SALES, even)
        return int(PERMILLE * _shrunk(self.own_sales, minute, OWN_SALES, everybody))

    @property
    def clump_permille(self) -> int:
        """Rho: the chance that two units of one item and day left together; 0 is a till that sells unit by unit."""
        seen = PERMILLE * self.same_sale_pairs + USUAL_CLUMP_PERMILLE * CLUMP_PAIRS
        return min(PERMILLE, seen // (self.same_day_pairs + CLUMP_PAIRS))


def _shrunk(by_hour: Sequence[int], minute: int, strength: int, towards: Fraction) -> Fraction:
    hour, within = divmod(minute, 60)
    done = Fraction(60 * sum(by_hour[:hour]) + by_hour[hour] * within, 60)
    return (done + strength * towards) / (sum(by_hour) + strength)


class TodaysForecast(Payload):
    """Demand of one whole day as it was forecast, in thousandths of a unit."""

    p10_milli: int
    p50_milli: int
    p90_milli: int

    def expected_rest_milli(self, sold_units: int, elapsed_permille: int) -> int:
        """Units (thousandths) still to come today, given what is sold when this share of a day is usually done.

        Mean m and variance v by Swanson's rule, 0.3 / 0.4 / 0.3 on P10 / P50 / P90 (Keefer and Bodily 1983), v at
        least m. Linear Bayes under binomial thinning (exact for Gamma-Poisson demand, Bühlmann 1967):
        E[D | s] = m + v (s - f m) / ((1 - f) m + f v); what comes is that less s, at least 0.
        """
        f, whole = min(max(elapsed_permille, 0), PERMILLE), 1_000
        mean = (3 * self.p10_milli + 4 * self.p50_milli + 3 * self.p90_milli) // 10
        around = zip((3, 4, 3), (self.p10_milli, self.p50_milli, self.p90_milli), strict=True)
        spread = sum(weight * (level - mean) ** 2 for weight, level in around) // (10 * whole)
        variance = max(mean, spread)
        sold = sold_units * whole
        known = (PERMILLE - f) * mean + f * variance
        if known == 0:  # nothing was expected: what was sold is all that is known of the rate
            return sold * (PERMILLE - f) // max(f, 1) if sold else 0
        surprise = sold * PERMILLE - f * mean
        return max(0, mean - sold + variance * surprise // known)
