"""Lead times are learned per supplier lane in exact whole-number arithmetic: the same history, the same scenarios.

Index l means: ordered at the decision, sellable from projection day l on (day 0 is the day after the last known one).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from activities.learning.windows import Ints
from workflows.domain.scores import LeadTimes, OpenReceipt

LEAD_CAP_DAYS = 120
"""Longer lead times are counted as this long."""
SHRINKAGE = 10
"""Kappa of science 2.4: a lane speaks for itself once it has clearly more than ten deliveries."""


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


def _counts(days: Sequence[int]) -> Ints:
    clipped = np.clip(np.array(days, dtype=np.int64), 0, LEAD_CAP_DAYS)
    return np.bincount(clipped, minlength=LEAD_CAP_DAYS + 1).astype(np.int64)


def lead_time_law(seen: LeadTimes) -> LeadTimeLaw:
    """The lane's own days, shrunk to the supplier's, shrunk to the promised ones; weights share one denominator."""
    lane, supplier, promised = _counts(seen.lane_days), _counts(seen.supplier_days), _counts([seen.promised_days])
    supplier_weights = supplier + SHRINKAGE * promised
    return LeadTimeLaw(lane * int(supplier_weights.sum()) + SHRINKAGE * supplier_weights)


def arrival_days(receipt: OpenReceipt, law: LeadTimeLaw, count: int) -> Ints:
    """The projection day on which an open receipt becomes sellable, one per scenario.

    The supplier's word counts while it lies ahead; a date that has passed without goods is no word any more.
    """
    if receipt.expected_in_days is not None and receipt.expected_in_days >= 0:
        return np.full(count, receipt.expected_in_days, dtype=np.int64)
    return law.residual(receipt.ordered_days_ago).scenarios(count)
