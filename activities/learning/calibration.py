"""Probabilities are judged by how often they come true, and corrected by nothing but their order."""

from dataclasses import dataclass

import numpy as np

from activities.learning.windows import Floats

BINS = 10


@dataclass(frozen=True)
class Isotonic:
    """A non-decreasing map from a score to a probability: linear between the blocks' centres, flat outside them."""

    scores: Floats
    rates: Floats

    def __call__(self, scores: Floats) -> Floats:
        """The probability of each score."""
        return np.interp(scores, self.scores, self.rates).astype(np.float64)


def fit_isotonic(scores: Floats, outcomes: Floats, weights: Floats, prior_rate: float) -> Isotonic:
    """Pool adjacent violators: the least-squares non-decreasing fit of the outcomes (0 or 1) along the scores.

    Equal scores are one block from the start. Each block's rate is that of its weight plus one observation of
    `prior_rate`, so that a block of three never claims certainty; where that breaks the order, the larger one counts.

    Source: Ayer et al. 1955; Barlow et al. 1972.
    """
    levels, place = np.unique(scores, return_inverse=True)
    weight = np.bincount(place, weights=weights)
    total = np.bincount(place, weights=weights * outcomes)
    centre = levels * weight
    blocks: list[tuple[float, float, float]] = []  # weight, sum of outcomes, sum of scores by weight
    for each in zip(weight.tolist(), total.tolist(), centre.tolist(), strict=True):
        block = each
        while blocks and blocks[-1][1] * block[0] >= block[1] * blocks[-1][0]:
            before = blocks.pop()
            block = (before[0] + block[0], before[1] + block[1], before[2] + block[2])
        blocks.append(block)
    rates = np.array([(late + prior_rate) / (mass + 1) for mass, late, _ in blocks])
    return Isotonic(np.array([middle / mass for mass, _, middle in blocks]), np.maximum.accumulate(rates))


@dataclass(frozen=True)
class Skill:
    """How good probabilities were on outcomes that they had not seen."""

    observations: int
    base_rate: float
    brier: float
    """Mean of (p - y)^2."""
    brier_skill: float
    """1 - Brier / Brier of the base rate: above 0 is better than knowing only how often it happens."""
    calibration_error: float
    """ECE: the mean gap between probability and frequency over ten equal-width bins, weighted by their size."""
    auc: float
    """Probability that a late one was given the higher probability; 0.5 says nothing."""


def skill(probabilities: Floats, outcomes: Floats, base_rate: float) -> Skill:
    """Judge probabilities of outcomes (0 or 1). `base_rate` is what was known before them."""
    brier = float(((probabilities - outcomes) ** 2).mean())
    reference = float(((base_rate - outcomes) ** 2).mean())
    return Skill(
        observations=len(outcomes), base_rate=float(outcomes.mean()), brier=brier,
        brier_skill=1 - brier / reference if reference > 0 else 0.0,
        calibration_error=calibration_error(probabilities, outcomes), auc=auc(probabilities, outcomes),
    )  # fmt: skip


def calibration_error(probabilities: Floats, outcomes: Floats) -> float:
    """ECE = sum of n_b/n |mean p - mean y| over ten equal-width bins (science 3.2)."""
    place = np.minimum((probabilities * BINS).astype(np.int64), BINS - 1)
    gaps = np.bincount(place, weights=probabilities - outcomes, minlength=BINS)
    return float(np.abs(gaps).sum() / len(outcomes))


def expected_calibration_error(probabilities: Floats, draws: int = 500, seed: int = 1) -> float:
    """The 95 % point of the ECE that perfectly calibrated probabilities would show on so few outcomes."""
    chance = np.random.Generator(np.random.PCG64(seed))
    found = [
        calibration_error(probabilities, (chance.random(len(probabilities)) < probabilities).astype(np.float64))
        for _ in range(draws)
    ]
    return float(np.percentile(found, 95))


def auc(probabilities: Floats, outcomes: Floats) -> float:
    """Mann and Whitney's statistic, ties counted half; 0.5 where all outcomes are the same."""
    levels, place, many = np.unique(probabilities, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(many) - (many - 1) / 2)[place]
    late = float(outcomes.sum())
    on_time = len(outcomes) - late
    if late == 0 or on_time == 0 or len(levels) == 1:
        return 0.5
    return float((ranks[outcomes == 1].sum() - late * (late + 1) / 2) / (late * on_time))
