"""The peg of a tree: the highest thin thing that sticks out of an upright stem."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from novaflow_core.errors import Code, PerceptionError
from novaflow_core.scene import Plane

Float = NDArray[np.float64]

_CELL_M = 0.008
_LEVEL_M = 0.006
_OFF_STEM_M = 0.018  # beyond it, from the stem's axis, nothing is the stem
_MIN_POINTS = 25
_LEAST_LENGTH_M = 0.025
_MOST_RADIUS_M = 0.015
_SEEN_DEPTH = 0.785  # of the radius: how far the seen half of a rod lies before its axis, mean
_ROUNDS = 4


@dataclass(frozen=True)
class Peg:
    """A straight rod, planning frame.

    Attributes:
        root: (3,) point of its axis nearest to the stem's axis [m].
        tip: (3,) end of its axis [m].
        radius_m: Of the rod.
    """

    root: Float
    tip: Float
    radius_m: float

    @property
    def way(self) -> Float:
        """(3,) unit vector from root to tip."""
        return np.asarray((self.tip - self.root) / self.length_m)

    @property
    def length_m(self) -> float:
        """From the stem's axis to the tip [m]."""
        return float(np.linalg.norm(self.tip - self.root))


def find_peg(points: Float, support: Plane, eye: Float) -> Peg:
    """Measure the highest peg of a tree.

    Args:
        points: (N, 3) observed points of stem and pegs [m].
        support: What the tree stands on.
        eye: (3,) position of the camera [m]: it saw the near side of the rods only.

    Raises:
        PerceptionError: REFERENCE_NOT_FOUND where no peg is seen.
    """
    known = points[np.isfinite(points).all(axis=1)]
    if len(known) < 2 * _MIN_POINTS:
        raise _not_found(f"{len(known)} of its points are known")
    stem = _stem_axis(known, support, eye)
    flat = known @ support.basis().T - stem
    off = known[np.linalg.norm(flat, axis=1) > _OFF_STEM_M]
    rods = [rod for rod in _pieces(off) if _length(rod) > _LEAST_LENGTH_M]
    if not rods:
        raise _not_found("nothing long and thin sticks out of its stem")
    highest = max(rods, key=lambda rod: float(np.median(support.height(rod))))
    return _rod(highest, stem, support, eye)


def _stem_axis(points: Float, support: Plane, eye: Float) -> Float:
    """(2,) place of the stem's axis in the support's basis: where points are at most heights."""
    flat, height = points @ support.basis().T, support.height(points)
    cells = np.floor(flat / _CELL_M).astype(np.int64)
    levels = np.floor(height / _LEVEL_M).astype(np.int64)
    keys, owner = np.unique(cells, axis=0, return_inverse=True)
    pairs = np.unique(np.stack([owner.ravel(), levels], -1), axis=0)
    best = int(np.argmax(np.bincount(pairs[:, 0], minlength=len(keys))))
    place = (keys[best] + 0.5) * _CELL_M
    for _ in range(_ROUNDS):
        near = np.linalg.norm(flat - place, axis=1) < _OFF_STEM_M
        place = np.median(flat[near], axis=0)
    toward = support.basis() @ eye - place
    toward /= np.linalg.norm(toward)
    across = (flat[near] - place) @ np.array([-toward[1], toward[0]])
    radius = min(0.5 * float(np.ptp(np.percentile(across, [4, 96]))), _MOST_RADIUS_M)
    return np.asarray(place - _SEEN_DEPTH * radius * toward)


def _pieces(points: Float) -> list[Float]:
    """Points (N, 3) by what hangs together."""
    if len(points) < _MIN_POINTS:
        return []
    cell = np.floor(points / _CELL_M).astype(np.int64)
    cell -= cell.min(axis=0)
    grid = np.zeros(cell.max(axis=0) + 1, bool)
    grid[tuple(cell.T)] = True
    parts, count = ndimage.label(grid, np.ones((3, 3, 3), int))
    owner = parts[tuple(cell.T)]
    found = [points[owner == k] for k in range(1, count + 1)]
    return [piece for piece in found if len(piece) >= _MIN_POINTS]


def _length(rod: Float) -> float:
    along = (rod - rod.mean(axis=0)) @ _long_axis(rod)
    return float(np.ptp(np.percentile(along, [3, 97])))


def _long_axis(rod: Float) -> Float:
    return np.asarray(np.linalg.svd(rod - rod.mean(axis=0), full_matrices=False)[2][0])


def _rod(points: Float, stem: Float, support: Plane, eye: Float) -> Peg:
    kept = points
    for _ in range(_ROUNDS):
        middle, way = kept.mean(axis=0), _long_axis(kept)
        off = points - middle
        aside = np.linalg.norm(off - (off @ way)[:, None] * way, axis=1)
        limit = max(2.0 * float(np.median(aside)), 0.004)
        if (aside < limit).sum() < _MIN_POINTS:
            break
        kept = points[aside < limit]
    foot = stem @ support.basis()
    outward = middle - foot
    outward -= (outward @ support.normal) * support.normal
    way = way if way @ outward > 0 else -way
    toward = eye - middle
    toward -= (toward @ way) * way
    toward /= np.linalg.norm(toward)
    across = (kept - middle) @ np.cross(way, toward)
    radius = 0.5 * float(np.ptp(np.percentile(across, [3, 97])))
    if radius > _MOST_RADIUS_M:
        raise _not_found(f"what sticks out highest is {2e3 * radius:.0f} mm thick, no peg")
    middle = middle - _SEEN_DEPTH * radius * toward
    along = (kept - kept.mean(axis=0)) @ way
    # Where the axis passes the stem's: nearest in the support's plane.
    level = way - (way @ support.normal) * support.normal
    to_stem = (foot - middle) - ((foot - middle) @ support.normal) * support.normal
    back = float(to_stem @ level) / max(float(level @ level), 1e-9)
    tip = middle + float(np.percentile(along, 99)) * way
    return Peg(middle + back * way, tip, radius)


def _not_found(why: str) -> PerceptionError:
    return PerceptionError(Code.REFERENCE_NOT_FOUND, f"no peg is seen to hang something on: {why}")
