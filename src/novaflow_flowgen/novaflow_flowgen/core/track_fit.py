"""Pose of a rigid object from 2D tracks and first-frame depth, and whether it stays as it was."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import novaflow_lifting
from novaflow_core import se3
from novaflow_core.camera import CameraModel

Float = NDArray[np.float64]

INLIER_PX = 2.0
_SURE = 2.0  # standard deviations below which a change of shape is not surely one


@dataclass(frozen=True)
class TrackFit:
    """Pose from tracks.

    Attributes:
        T_camera_motion: (4, 4) motion of the object's points in the optical frame.
        inliers: (P,) bool.
        points: (P, 3) that it was fitted to, at that motion [m].
        first: (P, 3) the same in the first frame [m].
        pixels: (P, 2) where they were tracked to [px].
    """

    T_camera_motion: Float
    inliers: NDArray[np.bool_]
    points: Float
    first: Float
    pixels: Float


def fit_tracks(
    points: Float, pixels: Float, model: CameraModel, guess: Float, seed: int = 0
) -> TrackFit | None:
    """Find the pose that most tracks agree with.

    Args:
        points: (P, 3) [m], optical frame of the first image.
        pixels: (P, 2) where they are now [px].
        model: Intrinsics.
        guess: (4, 4) motion to start from.
        seed: Of the sampling, so that the same tracks give the same pose.

    Returns:
        None when too few points agree.
    """
    if len(points) < novaflow_lifting.LEAST:
        return None
    found = novaflow_lifting.fit(points, pixels, model, guess, inlier_px=INLIER_PX, seed=seed)
    if found is None:
        return None
    motion, inliers = found
    return TrackFit(motion, inliers, se3.apply(motion, points), points, pixels)


def stretch_of(points: Float, pixels: Float, model: CameraModel, motion: Float) -> float:
    """How much longer an object has surely become along one axis of the image than across it.

    Args:
        points: (P, 3) [m] of the object, optical frame of the first image.
        pixels: (P, 2) where they are now, drawn from the first frame [px].
        model: Intrinsics.
        motion: (4, 4) about where it is.

    Returns:
        As a share; at or below 0 where tracks do not tell that it changed, NaN where there are too
        few.
    """
    if len(points) < novaflow_lifting.LEAST:
        return float("nan")
    strain = novaflow_lifting.strain(points, pixels, model, motion)
    return float("nan") if strain is None else strain.amount - _SURE * strain.std
