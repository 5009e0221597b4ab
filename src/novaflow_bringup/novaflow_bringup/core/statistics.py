"""Proportions with their uncertainty."""

from __future__ import annotations

import math
from collections.abc import Sequence

NORMAL_95 = 1.959964


def wilson(successes: int, trials: int, z: float = NORMAL_95) -> tuple[float, float]:
    """Wilson's interval of a proportion; without trials, all from 0 to 1.

    Source: E. B. Wilson (1927), Probable inference, the law of succession.
    """
    if trials == 0:
        return 0.0, 1.0
    p = successes / trials
    centre = p + z * z / (2 * trials)
    half = z * math.sqrt(p * (1 - p) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def paired_difference(
    first: Sequence[bool], second: Sequence[bool], z: float = NORMAL_95
) -> tuple[float, float, float]:
    """Difference of two proportions over the same trials, and its interval.

    Source: R. G. Newcombe (1998), Improved confidence intervals for the difference between binomial
    proportions based on paired data, method 10.

    Args:
        first: Outcomes of one arm.
        second: Outcomes of the other, trial by trial.
        z: Quantile of the normal distribution.

    Returns:
        First minus second, lower and upper bound; each from -1 to 1.

    Raises:
        ValueError: If the lengths differ.
    """
    both = list(zip(first, second, strict=True))
    n = len(both)
    if n == 0:
        return 0.0, -1.0, 1.0
    a = sum(x and y for x, y in both)
    b = sum(x and not y for x, y in both)
    c = sum(y and not x for x, y in both)
    d = n - a - b - c
    p1, p2 = (a + b) / n, (a + c) / n
    l1, u1 = wilson(a + b, n, z)
    l2, u2 = wilson(a + c, n, z)
    product = (a + b) * (c + d) * (a + c) * (b + d)
    phi = 0.0
    if product > 0:
        covered = float(a * d - b * c)
        # With a correction for continuity where the outcomes agree more often than by chance.
        covered = max(covered - n / 2, 0.0) if covered > 0 else covered
        phi = covered / math.sqrt(product)
    low = (p1 - l1) ** 2 - 2 * phi * (p1 - l1) * (u2 - p2) + (u2 - p2) ** 2
    high = (p2 - l2) ** 2 - 2 * phi * (p2 - l2) * (u1 - p1) + (u1 - p1) ** 2
    difference = p1 - p2
    return difference, difference - math.sqrt(low), difference + math.sqrt(high)
