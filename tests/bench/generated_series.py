"""Weekly series of every shape from one seed: what forecasters are timed on, the same for each of them."""

from datetime import date

import numpy as np

from activities.learning.trial import Facts
from activities.learning.windows import Floats
from workflows.domain.studies import Period

WEEKS = 104
FIRST_WEEK = date(2023, 1, 2)
SEED = 20_240_501
CATEGORIES, LOCATIONS = 8, 5
AT_ONCE = 20_000
NEW_SHARE = 0.05


def weekly(count: int) -> tuple[Floats, Facts]:
    """[count, 104] units a week, NaN before a listing, and what is known of the series.

    A quarter each is smooth (Poisson), erratic (gamma-mixed Poisson), intermittent and lumpy; each category has a
    season, sizes are log-normal, one in twenty series is younger than half a year. A longer list begins with a shorter.
    """
    units = np.empty((count, WEEKS))
    for begin in range(0, count, AT_ONCE):
        rows = np.arange(begin, min(begin + AT_ONCE, count))
        # A generator for each block and always whole blocks, so that series n is the same in a list of any length.
        units[rows] = _block(np.random.Generator(np.random.PCG64([SEED, begin])))[: len(rows)]
    numbers = range(count)
    facts = Facts(
        item=tuple(f"item-{number // LOCATIONS}" for number in numbers),
        location=tuple(f"place-{number % LOCATIONS}" for number in numbers),
        categories={"family": tuple(f"family-{_category(number)}" for number in numbers)},
        period=Period.WEEK, first_day=FIRST_WEEK, scale=1,
    )  # fmt: skip
    return units, facts


def _category(number: int) -> int:
    return number // LOCATIONS % CATEGORIES


def _block(chance: np.random.Generator) -> Floats:
    weeks = np.arange(WEEKS)
    peak = 52 / CATEGORIES * np.array([_category(one) for one in range(AT_ONCE)])
    season = 1 + 0.4 * np.cos(2 * np.pi * (weeks[None, :] - peak[:, None]) / 52)
    mean = chance.lognormal(1.5, 1.0, AT_ONCE)[:, None] * season
    shape = chance.permutation(AT_ONCE) % 4
    restless = chance.gamma(1.5, 1 / 1.5, (AT_ONCE, WEEKS))
    visits = chance.random((AT_ONCE, WEEKS)) < np.where(shape == 2, 0.35, 0.2)[:, None]
    mean = np.where((shape == 0)[:, None], mean, mean * restless)
    mean = np.where((shape >= 2)[:, None], np.where(visits, mean, 0.0), mean)
    units = chance.poisson(mean).astype(np.float64)
    listed = np.where(chance.random(AT_ONCE) < NEW_SHARE, chance.integers(WEEKS - 26, WEEKS - 2, AT_ONCE), 0)
    units[weeks[None, :] < listed[:, None]] = np.nan
    return units
