"""2D tracks from one frame to the next: pyramidal Lucas-Kanade or DIS, checked both ways."""

from __future__ import annotations

from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from novaflow_core.camera import CameraModel

Gray = NDArray[np.uint8]
Float = NDArray[np.float64]

GRID = 32  # points a side inside the mask's box (NovaFlow, sec. 4)
_BACK_AND_FORTH_PX = 0.7
_WINDOW_PX = 17
_LEVELS = 3
_NEAR_LEVELS = 1  # fewer would follow what is not there
_CRITERIA = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 15, 0.02)
_CROP_PAD_PX = 72
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
        there, ok = _follow(before, after, points, guess, self._levels)
        lost = np.flatnonzero(~ok)
        if lost.size and self._levels > _NEAR_LEVELS:
            # High in the pyramid a small object that moves fast is overruled by what stands
            # behind it; near where it is expected it is found without.
            there[lost], ok[lost] = _follow(before, after, points[lost], guess[lost], _NEAR_LEVELS)
        return there, ok


def _follow(
    before: Gray, after: Gray, points: Float, guess: Float, levels: int
) -> tuple[Float, NDArray[np.bool_]]:
    """Lucas-Kanade there and back, from where the points are expected."""
    here = points.astype(np.float32).reshape(-1, 1, 2)
    options: dict[str, Any] = {
        "winSize": (_WINDOW_PX, _WINDOW_PX),
        "maxLevel": levels,
        "minEigThreshold": 3e-4,
        "criteria": _CRITERIA,
        "flags": cv2.OPTFLOW_USE_INITIAL_FLOW,
    }
    start = guess.astype(np.float32).reshape(-1, 1, 2)
    there, found, _ = cv2.calcOpticalFlowPyrLK(before, after, here, start.copy(), **options)
    back, found_back, _ = cv2.calcOpticalFlowPyrLK(after, before, there, here.copy(), **options)
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


def seed_points(mask: NDArray[np.bool_], known: NDArray[np.bool_], grid: int = GRID) -> Float:
    """Put a grid over the mask's box.

    Args:
        mask: (H, W) the object.
        known: (H, W) where depth is known.
        grid: Points a side.

    Returns:
        Points (P, 2) inside [px], off the outline by a few pixels.
    """
    v, u = np.nonzero(mask)
    if v.size == 0:
        return np.zeros((0, 2))
    solid = mask.astype(np.uint8)
    inner = cv2.erode(solid, np.ones((5, 5), np.uint8), borderValue=0)
    if inner.sum() < 0.4 * v.size:
        inner = cv2.erode(solid, np.ones((3, 3), np.uint8), borderValue=0)
    inside = _grid(u.min(), v.min(), u.max(), v.max(), grid)
    index = inside.astype(int)
    keep = (inner > 0) & known
    return np.asarray(inside[keep[index[:, 1], index[:, 0]]])


def crop_around(pixels: Float, model: CameraModel) -> tuple[slice, slice]:
    """Part of an image that holds points (P, 2) [px] and what a tracker sees around them."""
    if len(pixels) == 0:
        return slice(0, model.height), slice(0, model.width)
    low = np.floor(pixels.min(axis=0)).astype(int) - _CROP_PAD_PX
    high = np.ceil(pixels.max(axis=0)).astype(int) + _CROP_PAD_PX
    return (
        slice(max(low[1], 0), min(high[1], model.height)),
        slice(max(low[0], 0), min(high[0], model.width)),
    )


def inside_image(pixels: Float, model: CameraModel, margin: float = 3.0) -> NDArray[np.bool_]:
    """Which points (P, 2) [px] lie inside the image, off its edge; NaN does not."""
    size = np.array([model.width, model.height])
    with np.errstate(invalid="ignore"):
        return np.asarray(((pixels >= margin) & (pixels <= size - 1 - margin)).all(axis=1))


def _grid(u0: int, v0: int, u1: int, v1: int, count: int) -> Float:
    across = np.unique(np.rint(np.linspace(u0, u1, count)))
    down = np.unique(np.rint(np.linspace(v0, v1, count)))
    return np.stack(np.meshgrid(across, down), -1).reshape(-1, 2)


def _sample(field: NDArray[np.float32], points: Float) -> Float:
    at = points.astype(np.float32)[None]
    parts = [
        cv2.remap(np.ascontiguousarray(field[..., c]), at, _NO_MAP, cv2.INTER_LINEAR)[0]
        for c in (0, 1)
    ]
    return np.stack(parts, -1).astype(float)
