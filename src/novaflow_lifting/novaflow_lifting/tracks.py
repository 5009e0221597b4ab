"""Poses and strains from tracks that start in the first frame: arrays in, arrays out.

Shapes are checked here, numbers in the library. Calls release the interpreter's lock.
"""

from __future__ import annotations

from ctypes import byref
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from novaflow_core.camera import CameraModel
from novaflow_core.errors import ShapeError
from novaflow_lifting import library

Float = NDArray[np.float64]

LEAST = 6  # tracks for a pose


class Strain(NamedTuple):
    """How a thing's shape has changed, in the first frame's image plane.

    Attributes:
        amount: By how much more it got longer along one axis than across it, as a share.
        std: Standard deviation of that.
    """

    amount: float
    std: float


def fit(
    points: Float,
    pixels: Float,
    model: CameraModel,
    guess: Float,
    *,
    inlier_px: float,
    seed: int = 0,
) -> tuple[Float, NDArray[np.bool_]] | None:
    """Find the pose that most tracks agree with: random samples, then least squares.

    Args:
        points: (P, 3) [m], optical frame of the first image.
        pixels: (P, 2) where they are now [px].
        model: Intrinsics.
        guess: (4, 4) motion to start from.
        inlier_px: How far a track that agrees may be off [px].
        seed: Of the sampling; the same input gives the same answer.

    Returns:
        The motion (4, 4) and which tracks (P,) agree; None where fewer than six do.

    Raises:
        ShapeError: For arrays that do not fit together.
        PlatformError: INVALID_SETTING for fewer than six tracks or numbers that are not finite,
            UNAVAILABLE when the library is not built.
    """
    tracks, kept = _table(points, pixels, model)
    start = _transform(guess)
    motion, inliers = np.empty((4, 4)), np.empty(len(points), np.uint8)
    status = library.load().novaflow_lifting_fit(
        byref(tracks), start.ctypes.data, inlier_px, seed & 0xFFFFFFFF,
        motion.ctypes.data, inliers.ctypes.data,
    )  # fmt: skip
    library.check(status, f"a pose from {len(kept[0])} tracks")
    return None if status == library.NO_POSE else (motion, inliers.astype(bool))


def strain(points: Float, pixels: Float, model: CameraModel, motion: Float) -> Strain | None:
    """Measure how a thing's shape has changed since the first frame.

    Depth that was measured wrong looks like a change of shape as soon as the thing turns. So a
    whole strain is fitted, and only what lies in the first frame's image plane is told.

    Args:
        points: (P, 3) [m], optical frame of the first image.
        pixels: (P, 2) where they are now, tracked from where they are drawn at `motion` [px].
        model: Intrinsics.
        motion: (4, 4) about where the thing is.

    Returns:
        The strain; None where a point lies behind the camera.

    Raises:
        ShapeError: As of `fit`.
        PlatformError: As of `fit`.
    """
    tracks, kept = _table(points, pixels, model)
    at, out = _transform(motion), np.empty(2)
    status = library.load().novaflow_lifting_strain(byref(tracks), at.ctypes.data, out.ctypes.data)
    library.check(status, f"a strain from {len(kept[0])} tracks")
    return None if status == library.NO_POSE else Strain(float(out[0]), float(out[1]))


def _table(
    points: Float, pixels: Float, model: CameraModel
) -> tuple[library.TrackTable, tuple[Float, Float]]:
    """The record, and the arrays that must outlive it."""
    first = np.ascontiguousarray(points, float)
    now = np.ascontiguousarray(pixels, float)
    if first.ndim != 2 or first.shape[1] != 3 or now.shape != (len(first), 2):
        raise ShapeError(f"points {first.shape} and pixels {now.shape} are not (P, 3) and (P, 2)")
    table = library.TrackTable(
        len(first), first.ctypes.data, now.ctypes.data, model.fx, model.fy, model.cx, model.cy
    )
    return table, (first, now)


def _transform(motion: Float) -> Float:
    out = np.ascontiguousarray(motion, float)
    if out.shape != (4, 4):
        raise ShapeError(f"a motion is {out.shape}, not (4, 4)")
    return out
