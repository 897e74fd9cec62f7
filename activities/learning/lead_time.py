"""Lead times are learned per supplier lane in whole-number arithmetic: the same history, the same scenarios.

Index l means: ordered at the decision, sellable from projection day l on (day 0 is the day after the last known one).

The law is that of the whole way, ordered to sellable, taken jointly. Its two causes (what the supplier takes until it
ships, and what the transport takes) are learned apart only to judge a shipment that has left already: suppliers who are
late ship faster, so a convolution of the two laws would invent combinations that never happen.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from activities.learning.windows import Ints
from workflows.domain.scores import LeadTimes

LEAD_CAP_DAYS = 120
"""Longer lead times are counted as this long."""
SHRINKAGE = 10
"""Kappa of science 2.4: a lane speaks for itself once it has clearly more than ten deliveries."""
WHOLE = 1 << 30
"""The weights of every law add up to this: fine enough to matter to nobody, small enough for exact int64 products."""
REMEMBERED = 4_096


@dataclass(frozen=True)
class LeadTimeLaw:
    """Weights (whole numbers) of 0, 1, ... LEAD_CAP_DAYS days."""

    weights: Ints

    def quantile(self, permille: int) -> int:
        """The smallest number of days that suffices with a probability of at least `permille` / 1000."""
        running = np.cumsum(self.weights)
        return int(np.searchsorted(running * 1000, permille * int(running[-1])))

    def scenarios(self, count: int) -> Ints:
        """The law's quantiles at (k - 1/2) / count, ascending: equally likely scenarios without any chance."""
        running = np.cumsum(self.weights)
        levels = (2 * np.arange(count, dtype=np.int64) + 1) * int(running[-1])
        return np.searchsorted(running * (2 * count), levels).astype(np.int64)

    def beyond(self, days: int) -> int:
        """Weight of the lead times longer than `days`."""
        return int(self.weights[max(-1, days) + 1 :].sum())

    def residual(self, elapsed_days: int) -> "LeadTimeLaw":
        """The law of the days still to wait, P(l - elapsed | l > elapsed): at least one day.

        An order older than anything seen tells us only that it is late: it is expected as if it were ordered today.
        """
        remaining = np.zeros_like(self.weights)
        rest = self.weights[max(0, elapsed_days) + 1 :]
        if rest.sum() > 0:
            remaining[1 : len(rest) + 1] = rest
        else:
            remaining[1:] = self.weights[1:]
            remaining[1] += self.weights[0]
        return LeadTimeLaw(remaining)


def counts(days: Sequence[int]) -> Ints:
    """How often each number of days from 0 to LEAD_CAP_DAYS was seen."""
    clipped = np.clip(np.array(days, dtype=np.int64), 0, LEAD_CAP_DAYS)
    return np.bincount(clipped, minlength=LEAD_CAP_DAYS + 1).astype(np.int64)


def survival_law(observed: Ints, waiting: Ints, prior: LeadTimeLaw, parts: int = 1) -> LeadTimeLaw:
    """The law after `observed` deliveries and `waiting` orders by age, where the prior is worth SHRINKAGE deliveries.

    Susarla and Van Ryzin's estimate (1976): Kaplan and Meier's with the prior's weight counted among the deliveries.
    Without open orders it is (n emp + kappa prior)/(n + kappa). An order of age a is known to take more than a days;
    its weight goes to what was longer. What nobody ever waited out is expected as if it were ordered today.

    Args:
        observed: deliveries by days, [LEAD_CAP_DAYS + 1].
        waiting: orders in flight by age in days, [LEAD_CAP_DAYS + 1].
        parts: entries of `observed` that make one delivery.
    """
    # Python's own whole numbers: the products are longer than 64 bits.
    scale = int(prior.weights.sum())
    dead = [int(n) * scale + parts * SHRINKAGE * int(w) for n, w in zip(observed, prior.weights, strict=True)]
    left = [int(n) * scale * parts for n in waiting]
    at_risk = sum(dead) + sum(left)
    surviving, weights, last = WHOLE, [], 0
    for day, (died, censored) in enumerate(zip(dead, left, strict=True)):
        stays = surviving * (at_risk - died) // at_risk if at_risk else surviving
        weights.append(surviving - stays)
        if at_risk:
            last = day
        surviving, at_risk = stays, at_risk - died - censored
    law = np.array(weights, dtype=np.int64)
    if surviving:
        law += _after(last, surviving, prior)
    return LeadTimeLaw(law)


def _after(age: int, weight: int, prior: LeadTimeLaw) -> Ints:
    """`weight` spread like the prior, begun on day `age`; exact in sum."""
    longer = np.zeros_like(prior.weights)
    running, total, given = 0, int(prior.weights.sum()), 0
    for day, each in enumerate(prior.weights):
        running += int(each)
        share = weight * running // total - given
        longer[min(age + max(1, day), LEAD_CAP_DAYS)] += share
        given += share
    return longer


def promised_law(seen: LeadTimes) -> LeadTimeLaw:
    """What to expect of a supplier without history: its promise, missed as often and as far as all suppliers miss
    theirs. The promise itself is worth SHRINKAGE deliveries, so without any history anywhere it is believed."""
    exact = LeadTimeLaw(counts([seen.promised_days]) * WHOLE)
    slipped = counts([seen.promised_days + slip for slip in seen.everyone_slips])
    return survival_law(slipped, counts(()), exact)


@functools.lru_cache(maxsize=REMEMBERED)
def lead_time_law(seen: LeadTimes) -> LeadTimeLaw:
    """The lane's own days, shrunk to the supplier's, to all suppliers' slips, to the promise; open orders count."""
    parts = seen.parts_per_order
    supplier = survival_law(counts(seen.supplier_days), counts(seen.supplier_waiting), promised_law(seen), parts)
    law = survival_law(counts(seen.lane_days), counts(seen.lane_waiting), supplier, parts)
    law.weights.setflags(write=False)
    return law


@functools.lru_cache(maxsize=REMEMBERED)
def transport_law(seen: LeadTimes) -> LeadTimeLaw | None:
    """Shipped to sellable, lane shrunk to supplier; None where no shipment was ever announced."""
    if not seen.supplier_transport_days and not seen.lane_transport_days:
        return None
    own = LeadTimeLaw(counts(seen.supplier_transport_days or seen.lane_transport_days) * WHOLE)
    return survival_law(counts(seen.lane_transport_days), counts(()), own)
