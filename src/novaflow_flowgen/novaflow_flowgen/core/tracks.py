"""2D tracks from one frame to the next: pyramidal Lucas-Kanade or DIS, checked both ways."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

Gray = NDArray[np.uint8]
Float = NDArray[np.float64]

GRID = 32  # points a side inside the mask's box (NovaFlow, sec. 4)
_BACK_AND_FORTH_PX = 0.7
_WINDOW_PX = 17
_LEVELS = 3
_NO_MAP: Any = None  # OpenCV takes both coordinates from the first map then


class PairTracker(Protocol):
    """Follows points from one grey image into the next."""

    def track(
        self, before: Gray, after: Gray, points: Float, guess: Float
    ) -> tuple[Float, NDArray[np.bool_]]:
        """Return where points (P, 2) [px] went, and which of them came back when tracked backwards.

        `guess` (P, 2) is where they are expected.
        """
        ...


class KltTracker:
    """Lucas-Kanade per point: fast, precise on texture."""

    def __init__(self, levels: int = _LEVELS) -> None:
        """Keep the pyramid's height; each level doubles the reach and what disturbs a point."""
        self._levels = levels

    def track(
        self, before: Gray, after: Gray, points: Float, guess: Float
    ) -> tuple[Float, NDArray[np.bool_]]:
        """See `PairTracker.track`."""
        if len(points) == 0:
            return points, np.zeros(0, bool)
        here = points.astype(np.float32).reshape(-1, 1, 2)
        options: dict[str, Any] = {
            "winSize": (_WINDOW_PX, _WINDOW_PX),
            "maxLevel": self._levels,
            "minEigThreshold": 3e-4,
        }
        there, found, _ = cv2.calcOpticalFlowPyrLK(
            before,
            after,
            here,
            guess.astype(np.float32).reshape(-1, 1, 2).copy(),
            flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
            **options,
        )
        back, found_back, _ = cv2.calcOpticalFlowPyrLK(
            after, before, there, here.copy(), flags=cv2.OPTFLOW_USE_INITIAL_FLOW, **options
        )
        error = np.linalg.norm((back - here)[:, 0], axis=1)
        ok = (found.ravel() > 0) & (found_back.ravel() > 0) & (error < _BACK_AND_FORTH_PX)
        return there[:, 0].astype(float), ok


class DisTracker:
    """Dense inverse search, sampled at the points: slower, steadier on weak texture."""

    def __init__(self) -> None:
        """Build the solver."""
        make: Any = vars(cv2)["DISOpticalFlow_create"]  # missing in OpenCV's own stubs
        self._solver = make(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def track(
        self, before: Gray, after: Gray, points: Float, guess: Float
    ) -> tuple[Float, NDArray[np.bool_]]:
        """See `PairTracker.track`; the guess is not used."""
        if len(points) == 0:
            return points, np.zeros(0, bool)
        forward = self._solver.calc(before, after, None)
        backward = self._solver.calc(after, before, None)
        step = _sample(forward, points)
        there = points + step
        error = np.linalg.norm(step + _sample(backward, there), axis=1)
        return there, error < _BACK_AND_FORTH_PX


@dataclass(frozen=True)
class Seeds:
    """Points to follow in frame 0.

    Attributes:
        inside: (P, 2) on the object [px].
        around: (Q, 2) on the background around it [px].
    """

    inside: Float
    around: Float


def seed_points(mask: NDArray[np.bool_], known: NDArray[np.bool_], grid: int = GRID) -> Seeds:
    """Put a grid over the mask's box, and a ring of points around it.

    Args:
        mask: (H, W) the object.
        known: (H, W) where depth is known.
        grid: Points a side.

    Returns:
        Points inside, off the outline by a few pixels, and points around.
    """
    v, u = np.nonzero(mask)
    if v.size == 0:
        return Seeds(np.zeros((0, 2)), np.zeros((0, 2)))
    solid = mask.astype(np.uint8)
    inner = cv2.erode(solid, np.ones((5, 5), np.uint8), borderValue=0)
    if inner.sum() < 0.4 * v.size:
        inner = cv2.erode(solid, np.ones((3, 3), np.uint8), borderValue=0)
    inside = _grid(u.min(), v.min(), u.max(), v.max(), grid)
    inside = _keep(inside, (inner > 0) & known)
    pad = max(60, round(1.2 * max(np.ptp(u), np.ptp(v))))
    away = cv2.dilate(solid, np.ones((13, 13), np.uint8)) == 0
    h, w = mask.shape
    around = _grid(
        max(u.min() - pad, 10), max(v.min() - pad, 10),
        min(u.max() + pad, w - 11), min(v.max() + pad, h - 11), 20,
    )  # fmt: skip
    return Seeds(inside, _keep(around, away))


def _grid(u0: int, v0: int, u1: int, v1: int, count: int) -> Float:
    across = np.unique(np.rint(np.linspace(u0, u1, count)))
    down = np.unique(np.rint(np.linspace(v0, v1, count)))
    return np.stack(np.meshgrid(across, down), -1).reshape(-1, 2)


def _keep(points: Float, where: NDArray[np.bool_]) -> Float:
    index = points.astype(int)
    return np.asarray(points[where[index[:, 1], index[:, 0]]])


def _sample(field: NDArray[np.float32], points: Float) -> Float:
    at = points.astype(np.float32)[None]
    parts = [
        cv2.remap(np.ascontiguousarray(field[..., c]), at, _NO_MAP, cv2.INTER_LINEAR)[0]
        for c in (0, 1)
    ]
    return np.stack(parts, -1).astype(float)
