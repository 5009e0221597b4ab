"""Pose of a rigid object from 2D tracks and first-frame depth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_core.camera import CameraModel

Float = NDArray[np.float64]

INLIER_PX = 2.0


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
    """PnP with RANSAC and a last Levenberg-Marquardt step over the inliers.

    Args:
        points: (P, 3) [m], optical frame of the first image.
        pixels: (P, 2) where they are now [px].
        model: Intrinsics.
        guess: (4, 4) motion to start from.
        seed: Of the sampling, so that the same tracks give the same pose.

    Returns:
        None when too few points agree.
    """
    if len(points) < 6:
        return None
    cv2.setRNGSeed(seed)
    rotation: Any
    translation: Any
    rotation, translation = cv2.Rodrigues(guess[:3, :3])[0], guess[:3, 3:].copy()
    ok, rotation, translation, index = cv2.solvePnPRansac(
        points, pixels, model.matrix, None, rvec=rotation, tvec=translation, useExtrinsicGuess=True,
        iterationsCount=120, reprojectionError=INLIER_PX, flags=cv2.SOLVEPNP_ITERATIVE,
    )  # fmt: skip
    if not ok or index is None or len(index) < 6:
        return None
    used = index.ravel()
    rotation, translation = cv2.solvePnPRefineLM(
        points[used], pixels[used], model.matrix, None, rotation, translation
    )
    motion = se3.from_rt(cv2.Rodrigues(rotation)[0], translation.ravel())
    error = np.linalg.norm(model.project(se3.apply(motion, points)) - pixels, axis=1)
    inliers = error < INLIER_PX
    if inliers.sum() < 6:
        return None
    return TrackFit(motion, inliers, se3.apply(motion, points), points, pixels)
