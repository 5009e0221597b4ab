"""Joint paths around obstacles: RRT-Connect with edges checked in one batch, then shortcuts.

Source: Kuffner and LaValle, RRT-Connect, ICRA 2000.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
IsFree = Callable[[Array], NDArray[np.bool_]]

RESOLUTION_RAD = 0.04
REACH_RAD = 0.6  # longest edge


class _Tree:
    def __init__(self, root: Array) -> None:
        self.nodes = [root]
        self.parents = [-1]

    def nearest(self, q: Array) -> int:
        return int(np.argmin(((np.stack(self.nodes) - q) ** 2).sum(axis=1)))

    def add(self, q: Array, parent: int) -> int:
        self.nodes.append(q)
        self.parents.append(parent)
        return len(self.nodes) - 1

    def branch(self, index: int) -> list[Array]:
        out = []
        while index >= 0:
            out.append(self.nodes[index])
            index = self.parents[index]
        return out


def edge(a: Array, b: Array, resolution_rad: float = RESOLUTION_RAD) -> Array:
    """Configurations (K, N) along a straight edge, both ends included."""
    count = max(2, int(np.ceil(np.abs(b - a).max() / resolution_rad)) + 1)
    return np.asarray(a + np.linspace(0, 1, count)[:, None] * (b - a))


def connect(
    is_free: IsFree,
    start: Array,
    goal: Array,
    lower: Array,
    upper: Array,
    tries: int = 400,
    seed: int = 0,
) -> list[Array] | None:
    """Waypoints from start to goal, or None when `tries` samples did not connect them.

    Args:
        is_free: Says for configurations (K, N) whether each is free.
        start: (N,) [rad], free.
        goal: (N,) [rad], free.
        lower: (N,) [rad].
        upper: (N,) [rad].
        tries: Samples at most.
        seed: Of the samples; the same seed gives the same path.
    """
    if is_free(edge(start, goal)).all():
        return [start, goal]
    rng = np.random.default_rng(seed)
    trees = [_Tree(start), _Tree(goal)]
    for k in range(tries):
        grow, meet = trees[k % 2], trees[1 - k % 2]
        sample = rng.uniform(lower, upper)
        if k % 4 < 2:  # half of the samples stay near the straight way
            sample = np.clip(
                start + rng.uniform() * (goal - start) + rng.normal(0, 0.5, len(start)),
                lower,
                upper,
            )
        near = grow.nearest(sample)
        new = _toward(grow.nodes[near], sample)
        if not is_free(edge(grow.nodes[near], new)).all():
            continue
        at = grow.add(new, near)
        other = meet.nearest(new)
        while True:
            step = _toward(meet.nodes[other], new)
            if not is_free(edge(meet.nodes[other], step)).all():
                break
            other = meet.add(step, other)
            if np.abs(step - new).max() < 1e-9:
                first, second = grow.branch(at)[::-1], meet.branch(other)[1:]
                path = first + second
                return path if k % 2 == 0 else path[::-1]
    return None


def shortcut(is_free: IsFree, path: list[Array], tries: int = 60, seed: int = 0) -> list[Array]:
    """Replace parts of a path by straight edges where these are free; the ends stay."""
    rng = np.random.default_rng(seed)
    path = list(path)
    for _ in range(tries):
        if len(path) < 3:
            break
        lengths = np.concatenate([[0], np.cumsum([np.abs(b - a).max() for a, b in _pairs(path)])])
        low, high = np.sort(rng.uniform(0, lengths[-1], 2))
        i, j = (
            int(np.searchsorted(lengths, low, "right")) - 1,
            int(np.searchsorted(lengths, high, "right")) - 1,
        )
        if i == j or j + 1 >= len(path):
            continue
        a = _at(path, lengths, i, low)
        b = _at(path, lengths, j, high)
        if is_free(edge(a, b)).all():
            path = [*path[: i + 1], a, b, *path[j + 1 :]]
    return path


def _pairs(path: list[Array]) -> list[tuple[Array, Array]]:
    return list(pairwise(path))


def _at(path: list[Array], lengths: Array, i: int, where: float) -> Array:
    span = max(float(lengths[i + 1] - lengths[i]), 1e-12)
    return np.asarray(path[i] + (where - lengths[i]) / span * (path[i + 1] - path[i]))


def _toward(a: Array, b: Array) -> Array:
    distance = float(np.abs(b - a).max())
    return b if distance <= REACH_RAD else a + REACH_RAD / distance * (b - a)
