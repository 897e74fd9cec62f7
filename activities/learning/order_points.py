"""The static order point of ERP systems: a year's mean and 1.65 sigma over lead time plus review, typed in and kept."""

import numpy as np

from activities.learning.windows import Floats, Ints
from workflows.domain.studies import Period

ERP_SIGMAS = 1.65
"""The factor of a 95 % service level under a normal law, as ERP systems are set up with."""
REVIEW_PERIODS = 1


def mean_and_deviation(past: Floats) -> tuple[Floats, Floats]:
    """Of each row's observed periods; 0 where there are too few of them (none; one)."""
    seen = ~np.isnan(past)
    count = seen.sum(axis=1)
    mean = np.where(seen, past, 0.0).sum(axis=1) / np.maximum(count, 1)
    squares = np.where(seen, (past - mean[:, None]) ** 2, 0.0).sum(axis=1)
    return mean, np.sqrt(squares / np.maximum(count - 1, 1))


def static_level(past: Floats, lead: Ints, period: Period, sigmas: float = ERP_SIGMAS) -> Ints:
    """Order-up-to level in lattice units: mean x P + sigmas x deviation x sqrt(P), P = lead time plus review periods,
    both of the last year of [rows, periods] `past`."""
    mean, deviation = mean_and_deviation(past[:, -period.a_year :])
    protection = (lead + REVIEW_PERIODS).astype(np.float64)
    return np.ceil(mean * protection + sigmas * deviation * np.sqrt(protection) - 1e-9).astype(np.int64)
