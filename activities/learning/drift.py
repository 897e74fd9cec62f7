"""Drift statistics say when the world is no longer the one that the model learned: exact formulas, no die, no state.

Science 6.1 (D_t = d(P_ref, P_t) > theta). Each gives its value, its threshold and whether it alarms; what an alarm does
(a finding, or a retraining) is decided elsewhere.
"""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from activities.learning.distributions import binomial_tail, chi2_critical
from activities.learning.windows import Floats

EPSILON = 1e-4
PSI_FLOOR = 0.1
KS_ONE_PERCENT = 1.63


@dataclass(frozen=True)
class Reading:
    """One statistic on one stretch: alarm means that the value is beyond the threshold."""

    value: float
    threshold: float
    observations: int
    alarm: bool


def _above(value: float, threshold: float, observations: int) -> Reading:
    return Reading(value, threshold, observations, bool(value > threshold))


# Inputs: has what we see changed?


def psi(reference: Floats, recent: Floats, bins: int = 10) -> Reading:
    """Population stability index: sum over bins of (p - r) ln(p/r); bins are the reference's deciles and "missing".

    NaN is missing. Samples of fewer than 200 get wider bins, of 20 values each: the limit law needs them. Shares are
    floored at 1e-4. Alarm: PSI > 0.1 *and* PSI > chi2_{B-1, .99} (1/n + 1/m), its 99 % point under no drift (Yurdakul
    2018); the folklore 0.1/0.25 alone alarms on small samples and sleeps on large ones.
    """
    present = reference[~np.isnan(reference)]
    bins = max(2, min(bins, len(reference) // 20, len(recent) // 20))
    inner = np.unique(np.quantile(present, np.linspace(0, 1, bins + 1)[1:-1])) if len(present) else np.array([])
    shares = []
    for sample in (reference, recent):
        known = sample[~np.isnan(sample)]
        counts = np.bincount(np.searchsorted(inner, known, side="right"), minlength=len(inner) + 1)
        shares.append(np.maximum(np.append(counts, len(sample) - len(known)) / max(1, len(sample)), EPSILON))
    r, p = shares
    value = float(((p - r) * np.log(p / r)).sum())
    sizes = 1 / max(1, len(reference)) + 1 / max(1, len(recent))
    return _above(value, max(PSI_FLOOR, chi2_critical(len(r) - 1, 0.99) * sizes), len(recent))


def kolmogorov_smirnov(reference: Floats, recent: Floats) -> Reading:
    """Two samples' largest distance of distribution functions; alarm at 1 %: D > 1.63 sqrt((n + m)/(n m)) (Smirnov).

    With ties (counts, zeros) the level is below 1 %.
    """
    at = np.concatenate([reference, recent])
    below = [np.searchsorted(np.sort(sample), at, side="right") / len(sample) for sample in (reference, recent)]
    n, m = len(reference), len(recent)
    return _above(float(np.abs(below[0] - below[1]).max()), KS_ONE_PERCENT * ((n + m) / (n * m)) ** 0.5, m)


def categories(reference: Sequence[Hashable], recent: Sequence[Hashable]) -> Reading:
    """Pearson's chi-squared of homogeneity of two samples of categories; alarm beyond the 99 % point.

    Categories that either sample should hold fewer than 5 of are counted together (Cochran 1954).
    """
    first, second = Counter(reference), Counter(recent)
    n, m = len(reference), len(recent)
    rare = 5 * (n + m) / max(1, min(n, m))
    table: Counter[tuple[int, Hashable]] = Counter()
    for column, counts in enumerate((first, second)):
        for name, count in counts.items():
            table[column, name if first[name] + second[name] >= rare else "(rare)"] += count
    names = {name for _, name in table}
    value = 0.0
    for name in names:
        total = table[0, name] + table[1, name]
        for column, size in ((0, n), (1, m)):
            expected = total * size / (n + m)
            value += (table[column, name] - expected) ** 2 / expected
    return _above(value, chi2_critical(max(1, len(names) - 1), 0.99), m)


# Errors over time: one value per cycle, in standard deviations of the reference unless said otherwise.


def page_hinkley(errors: Sequence[float], delta: float = 0.25, limit: float = 12.0) -> Reading:
    """Page-Hinkley, both sides: m_t = sum(e_k - mean_k - delta), value max over sides of m_t - min m; alarm > limit.

    mean_k is the mean up to k (Page 1954, Hinkley 1971), so it needs no reference. The defaults give a false alarm
    every few thousand independent cycles and find a shift of one standard deviation within about twenty.
    """
    means = [total / (k + 1) for k, total in enumerate(accumulate(errors))]
    value = 0.0
    for sign in (1, -1):
        run = lowest = 0.0
        for error, mean in zip(errors, means, strict=True):
            run += sign * (error - mean) - delta
            lowest = min(lowest, run)
        value = max(value, run - lowest)
    return _above(value, limit, len(errors))


def cusum(errors: Sequence[float], slack: float = 0.5, limit: float = 5.0) -> Reading:
    """Tabular CUSUM, both sides: S = max(0, S + z - k), alarm S > h (Page 1954; k = .5, h = 5: ARL0 about 465)."""
    high = low = 0.0
    for error in errors:
        high, low = max(0.0, high + error - slack), max(0.0, low - error - slack)
    return _above(max(high, low), limit, len(errors))


def adwin(values: Sequence[float], delta: float = 0.002) -> Reading:
    """ADWIN0 of Bifet and Gavaldà (2007), with every cut of the window tried: values in [0, 1], one per cycle.

    While some cut splits the window W into parts of n0 and n1 whose means differ by at least
    eps = sqrt(2/m' var_W ln(2/d')) + 2/(3 m') ln(2/d'), m' = 1/(1/n0 + 1/n1), d' = delta/|W|, the oldest value leaves.

    Value: how many of the values have left; alarm: any has. The window that stays is what is alike.

    Raises:
        ValueError: a value outside [0, 1], for which the bound does not hold.
    """
    if any(not 0 <= value <= 1 for value in values):
        raise ValueError("ADWIN's bound holds for values from 0 to 1")
    window = np.empty(0)
    for value in values:
        window = np.append(window, value)
        while _cut(window, delta):
            window = window[1:]
    return _above(float(len(values) - len(window)), 0.0, len(values))


def _cut(window: Floats, delta: float) -> bool:
    size = len(window)
    if size < 2:
        return False
    before = np.arange(1, size)
    after = size - before
    sums = np.cumsum(window)
    gaps = np.abs(sums[:-1] / before - (sums[-1] - sums[:-1]) / after)
    harmonic = 1 / (1 / before + 1 / after)
    log = float(np.log(2 * size / delta))
    bounds = np.sqrt(2 / harmonic * float(window.var()) * log) + 2 / (3 * harmonic) * log
    return bool((gaps >= bounds).any())


def tracking_signal(errors: Sequence[float], window: int = 12) -> Reading:
    """TS = sum(e) / MAD over the last `window` errors; alarm |TS| > 4 with the last six of one sign (Brown 1959).

    MAD is the mean absolute error. A sum of errors wanders by itself: without the six signs it would alarm by chance.
    """
    newest = list(errors)[-window:]
    deviation = sum(abs(error) for error in newest) / max(1, len(newest))
    value = sum(newest) / deviation if deviation else 0.0
    last = newest[-6:]
    one_sided = len(last) == 6 and (all(error > 0 for error in last) or all(error < 0 for error in last))
    return Reading(value, 4.0, len(newest), bool(one_sided and abs(value) > 4))


# Calibration: do the probabilities still hold?


def coverage(
    at_or_below: int, strictly_below: int, observations: int, level: float, tolerance: float = 0.02
) -> Reading:
    """Exact binomial test of a quantile's coverage, for whole units: P(Y < q) <= level <= P(Y <= q) must hold.

    Too narrow when significantly fewer than `level` lie at or below q, too wide when significantly more lie strictly
    below; mass at q itself is nobody's fault. Alarm: one-sided p < 0.001 *and* further off than `tolerance`
    (science: 0.02). Value: the coverage nearest to the level that ties allow; threshold: the level.
    """
    low, high = strictly_below / max(1, observations), at_or_below / max(1, observations)
    value = min(max(level, low), high)
    if high < level - tolerance:
        alarm = binomial_tail(observations - at_or_below, observations, 1 - level) < 0.001
    elif low > level + tolerance:
        alarm = binomial_tail(strictly_below, observations, level) < 0.001
    else:
        alarm = False
    return Reading(value, level, observations, alarm)


def pit_chi2(
    at_or_below: Sequence[int], strictly_below: Sequence[int], observations: int, levels: Sequence[float]
) -> Reading:
    """Pearson's chi-squared of the PIT against even ones, in the bins that the levels cut (Dawid 1984).

    For whole units the PIT of a value that ties with a quantile is anywhere from P(Y < q) to P(Y <= q): the cumulated
    count at each level is the one nearest to what the level says that ties allow, so mass at a quantile is nobody's
    fault and the test is never too eager. Alarm beyond the 99.9 % point.
    """
    cumulated = [0.0]
    for level, high, low in zip(levels, at_or_below, strictly_below, strict=True):
        cumulated.append(max(cumulated[-1], min(max(level * observations, low), high)))
    cumulated.append(float(observations))
    edges = [0.0, *levels, 1.0]
    value = 0.0
    for k in range(1, len(edges)):
        expected = (edges[k] - edges[k - 1]) * observations
        value += (cumulated[k] - cumulated[k - 1] - expected) ** 2 / max(expected, 1e-9)
    return _above(value, chi2_critical(len(levels), 0.999), observations)


def calibration_error(probabilities: Floats, happened: Floats, bins: int = 10) -> Reading:
    """ECE = sum over equal-width bins of n_b/n |mean p - mean y| (Naeini et al. 2015).

    A calibrated forecaster's ECE is above 0: chance puts sqrt(2/pi) sigma_b into each bin, give or take
    sqrt(1 - 2/pi) sigma_b, with sigma_b = sqrt(mean p (1 - p)/n_b). Alarm: above 0.03 (science 3.3) and above what
    chance explains by three of its standard deviations.
    """
    which = np.minimum((probabilities * bins).astype(np.int64), bins - 1)
    value = chance = variance = 0.0
    for each in range(bins):
        inside = which == each
        count = int(inside.sum())
        if count:
            p, weight = probabilities[inside], count / len(which)
            value += weight * abs(float(p.mean()) - float(happened[inside].mean()))
            spread = weight**2 * float((p * (1 - p)).mean()) / count
            chance += (2 / np.pi * spread) ** 0.5
            variance += (1 - 2 / np.pi) * spread
    return _above(value, max(0.03, chance + 3 * variance**0.5), len(which))


# Decisions: do they come out as they said, and do people still go along?


def promised_against_realised(probabilities: Floats, happened: Floats, limit: float = 3.0) -> Reading:
    """z = (sum y - sum p) / sqrt(sum p (1 - p)): risks promised against events that came (Spiegelhalter 1986).

    Alarm |z| > 3. Positive: more came than was said.
    """
    spread = float((probabilities * (1 - probabilities)).sum()) ** 0.5
    value = float(happened.sum() - probabilities.sum()) / spread if spread else 0.0
    return Reading(value, limit, len(probabilities), abs(value) > limit)


def share_shift(before: int, of_before: int, now: int, of_now: int, limit: float = 3.0, least: float = 0.05) -> Reading:
    """Two-proportion z-test (pooled), for the share of gated proposals or of overrides.

    Alarm: |z| > 3 *and* the share moved by more than `least`. Positive: it rose.
    """
    if not of_before or not of_now:
        return Reading(0.0, limit, of_now, False)
    pooled = (before + now) / (of_before + of_now)
    spread = (pooled * (1 - pooled) * (1 / of_before + 1 / of_now)) ** 0.5
    moved = now / of_now - before / of_before
    value = moved / spread if spread else 0.0
    return Reading(value, limit, of_now, abs(value) > limit and abs(moved) > least)
