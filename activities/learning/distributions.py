"""Critical values of the laws that drift is tested against, to nine digits, from the standard library alone."""

from functools import cache
from math import exp, lgamma, log

DIGITS = 1e-10


@cache
def chi2_critical(freedom: int, level: float) -> float:
    """The value that a chi-squared variable of `freedom` degrees stays below with probability `level`."""
    low, high = 0.0, float(freedom)
    while _gamma_below(freedom / 2, high / 2) < level:
        high *= 2
    while high - low > DIGITS * high:
        middle = (low + high) / 2
        if _gamma_below(freedom / 2, middle / 2) < level:
            low = middle
        else:
            high = middle
    return high


def _gamma_below(shape: float, x: float) -> float:
    """The regularised lower incomplete gamma function by its series (Abramowitz and Stegun 6.5.29)."""
    if x <= 0:
        return 0.0
    term = total = 1 / shape
    k = shape
    while term > total * 1e-16:
        k += 1
        term *= x / k
        total += term
    return total * exp(shape * log(x) - x - lgamma(shape))


def binomial_tail(least: int, trials: int, p: float) -> float:
    """P(X >= least) for a binomial variable, summed exactly from its largest term down."""
    if least <= 0:
        return 1.0
    if least > trials or p <= 0:
        return 0.0
    if p >= 1:
        return 1.0
    if least <= trials * p:
        return 1.0 - _upper(trials - least + 1, trials, 1 - p)
    return _upper(least, trials, p)


def _upper(least: int, trials: int, p: float) -> float:
    """The same where `least` is above the mean: the terms only shrink."""
    if least > trials:
        return 0.0
    term = exp(
        lgamma(trials + 1)
        - lgamma(least + 1)
        - lgamma(trials - least + 1)
        + least * log(p)
        + (trials - least) * log(1 - p)
    )
    total = term
    for k in range(least, trials):
        term *= (trials - k) / (k + 1) * p / (1 - p)
        total += term
        if term < total * 1e-16:
            break
    return min(1.0, total)
