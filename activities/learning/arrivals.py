"""Arrivals are what open receipts bring, day by day and future by future: as promised, late, short or on their way.

A supplier's word about a day counts for as much as its words have been worth; a date that has passed without goods is
no word any more.
"""

import functools
from collections.abc import Sequence

import numpy as np

from activities.learning import risk
from activities.learning.lead_time import (
    LEAD_CAP_DAYS,
    SHRINKAGE,
    WHOLE,
    LeadTimeLaw,
    counts,
    lead_time_law,
    survival_law,
    transport_law,
)
from activities.learning.windows import Ints
from workflows.domain.scores import LeadTimes, OpenReceipt, ScoringRow

PERMILLE = 1_000
PPM = 1_000_000


def broken_words_ppm(receipt: OpenReceipt, seen: LeadTimes) -> int:
    """Probability, in millionths, that the receipt comes after the day that its supplier named, from counts alone.

    (broken + kappa b)/(named + kappa): b is how often the lead time exceeds the catalog's promise, so a supplier whose
    named days were never tested is doubted as much as its promises deserve.
    """
    slips = seen.revised_slips if receipt.revised else seen.slips
    law = lead_time_law(seen)
    broken = sum(1 for slip in slips if slip > 0)
    doubt = PPM * law.beyond(seen.promised_days) // int(law.weights.sum())
    return (broken * PPM + SHRINKAGE * doubt) // (len(slips) + SHRINKAGE)


@functools.lru_cache(maxsize=4_096)
def _excess_law(seen: LeadTimes, revised: bool) -> LeadTimeLaw:
    """Days late, given late: at least one. The missed words, shrunk to the missed promises, else a day."""
    law = lead_time_law(seen)
    missed = np.zeros_like(law.weights)
    beyond = law.weights[max(0, seen.promised_days) + 1 :]
    missed[1 : len(beyond) + 1] = beyond
    if missed.sum() == 0:
        missed[1] = WHOLE
    slips = seen.revised_slips if revised else seen.slips
    return survival_law(counts([slip for slip in slips if slip > 0]), counts(()), LeadTimeLaw(missed))


def arrival_law(receipt: OpenReceipt, seen: LeadTimes, late_ppm: int | None = None) -> LeadTimeLaw:
    """The law of the projection day on which an open receipt becomes sellable.

    With the day that was named ahead: that day with 1 - p, else so many days later as late ones are. With a day that
    has passed: late ones that were later still, else the residual law. Without a day: what is left of the transport
    for a shipment that has left, else the residual lead time P(l - elapsed | l > elapsed), and given p, with p of its
    weight beyond the promise.

    Args:
        late_ppm: p in millionths when something better than the counts says it.
    """
    law, expected = lead_time_law(seen), receipt.expected_in_days
    if receipt.late_risk is not None:
        late_ppm = int(receipt.late_risk * PPM)
    if expected is None:
        underway = _underway(receipt, seen, law.residual(receipt.ordered_days_ago))
        promised = seen.promised_days if receipt.promised_days is None else receipt.promised_days
        return underway if late_ppm is None else _reweighted(underway, promised - receipt.ordered_days_ago, late_ppm)
    excess = _excess_law(seen, receipt.revised)
    if expected < 0:
        slips = seen.revised_slips if receipt.revised else seen.slips
        later = counts([slip + expected for slip in slips if slip > -expected])
        return survival_law(later, counts(()), _underway(receipt, seen, law.residual(receipt.ordered_days_ago)))
    late_weight = WHOLE * (broken_words_ppm(receipt, seen) if late_ppm is None else late_ppm) // PPM
    weights = np.zeros_like(law.weights)
    running = np.cumsum(excess.weights)
    # Cumulated, so that the shares are exact in sum; the product stays below 2**61.
    shares = np.diff(running * late_weight // int(running[-1]), prepend=0)
    np.add.at(weights, np.minimum(expected + np.arange(len(shares)), LEAD_CAP_DAYS), shares)
    weights[min(expected, LEAD_CAP_DAYS)] += WHOLE - late_weight
    return LeadTimeLaw(weights)


def _reweighted(law: LeadTimeLaw, promised_in_days: int, late_ppm: int) -> LeadTimeLaw:
    """The law with a share of `late_ppm` beyond the promised day; as it is where one of the two sides has no weight."""
    late = np.arange(len(law.weights)) > promised_in_days
    beyond, before = int(law.weights[late].sum()), int(law.weights[~late].sum())
    if beyond == 0 or before == 0:
        return law
    # Exact: each side is brought to the other's total, then weighed by the two shares, in Python's whole numbers.
    weights = [
        int(weight) * (late_ppm * before if after else (PPM - late_ppm) * beyond)
        for weight, after in zip(law.weights, late, strict=True)
    ]
    total = sum(weights)
    return LeadTimeLaw(np.array([weight * WHOLE // total for weight in weights], dtype=np.int64))


def _underway(receipt: OpenReceipt, seen: LeadTimes, residual: LeadTimeLaw) -> LeadTimeLaw:
    """What a shipment that has left still needs: the transport's residual, shrunk to the whole way's."""
    transport = None if receipt.shipped_days_ago is None else transport_law(seen)
    if transport is None or receipt.shipped_days_ago is None:
        return residual
    if transport.beyond(receipt.shipped_days_ago) == 0:
        return residual
    seen_transports = len(seen.supplier_transport_days) + len(seen.lane_transport_days)
    left = transport.residual(receipt.shipped_days_ago).weights
    # Each law once brought to the same total, so that `n` and kappa weigh them.
    total, other = int(left.sum()), int(residual.weights.sum())
    return LeadTimeLaw((left * WHOLE // total) * seen_transports + (residual.weights * WHOLE // other) * SHRINKAGE)


def delivered_scenarios(receipt: OpenReceipt, seen: LeadTimes, count: int) -> Ints:
    """Units that come, ascending, one per scenario: the supplier's short deliveries, shrunk to complete ones.

    What has been shipped comes whole: what will never come was said with the shipment and is no longer owed.
    """
    if receipt.shipped_days_ago is not None or not seen.delivered_permille:
        return np.full(count, receipt.units, dtype=np.int64)
    shares = np.sort(np.clip(np.array(seen.delivered_permille, dtype=np.int64), 0, PERMILLE))
    shares = np.concatenate([shares, np.full(SHRINKAGE, PERMILLE, dtype=np.int64)])
    places = (2 * np.arange(count, dtype=np.int64) + 1) * len(shares) // (2 * count)
    units: Ints = (receipt.units * shares[places] + PERMILLE // 2) // PERMILLE
    return units


def arrivals_of(
    rows: Sequence[ScoringRow], tables: Ints, days: int, late_ppm: Sequence[Sequence[int | None]] = ()
) -> Ints:
    """Units that open orders bring, [rows, days, scenarios]; each receipt has its own permutation.

    Args:
        tables: permutations of each row, [rows, columns, scenarios].
        days: projection days.
        late_ppm: per row and receipt the probability of lateness in millionths; None, or nothing: from the counts.
    """
    arrivals = np.zeros((len(rows), days, risk.SCENARIOS), dtype=np.int64)
    everywhere = np.arange(risk.SCENARIOS)
    for i, row in enumerate(rows):
        for number, receipt in enumerate(row.open_receipts):
            said = late_ppm[i][number] if late_ppm else None
            column = number % risk.RECEIPT_COLUMNS
            seen = receipt.lead_times or row.lead_times
            day = arrival_law(receipt, seen, said).scenarios(risk.SCENARIOS)
            day = day[tables[i, risk.RECEIPT_COLUMN + column]]
            units = delivered_scenarios(receipt, seen, risk.SCENARIOS)
            # Short and late are taken as independent: the units follow the next receipt's permutation.
            units = units[tables[i, risk.RECEIPT_COLUMN + (column + 1) % risk.RECEIPT_COLUMNS]]
            inside = day < days
            np.add.at(arrivals[i], (day[inside], everywhere[inside]), units[inside])
    return arrivals
