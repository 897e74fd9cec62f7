"""Chance that repeats itself: every draw is a function of the words it is drawn for, on any machine, in any order."""

import math
import random


def dice(*words: object) -> random.Random:
    """A generator whose whole sequence follows from the words: seed, day, item and the like."""
    return random.Random("/".join(str(word) for word in words))  # noqa: S311 - a generated world, no secret


def poisson(mean: float, roll: random.Random) -> int:
    """A Poisson number; above a mean of 30 its normal approximation, which costs one draw instead of thirty."""
    if mean <= 0:
        return 0
    if mean > 30:
        return max(0, round(roll.gauss(mean, math.sqrt(mean))))
    limit, product, count = math.exp(-mean), roll.random(), 0
    while product > limit:
        product *= roll.random()
        count += 1
    return count
