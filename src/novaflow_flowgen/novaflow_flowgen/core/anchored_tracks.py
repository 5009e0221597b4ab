"""Tracks from the object's first frame, drawn where it is expected, to where it is seen.

From one frame to the next the errors of tracks add up, and a hand that carries the object at
another depth pulls the pose away little by little. These start from the first frame each time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_flowgen.core.pose_fit import PixelAligner
from novaflow_flowgen.core.track_fit import TrackFit, fit_tracks
from novaflow_flowgen.core.tracks import Gray, KltTracker

Float = NDArray[np.float64]

_LEAST = 12  # points to track, and tracks to fit
_AGREE = 0.5  # share of the tracks that must follow one pose
_TRACKER = KltTracker(levels=1)  # the drawing is a few pixels off
_FRONT_M = 0.01  # a point this far behind the drawn surface is hidden by it


def anchored_fit(
    aligner: PixelAligner,
    points: Float,
    frame: Gray,
    expected: Float,
    seed: int,
) -> TrackFit | None:
    """Fit a pose to tracks from the first frame.

    Args:
        aligner: Draws the object.
        points: (P, 3) [m] of the object that nothing hides, optical frame of the first image.
        frame: (h, w) grey, of the aligner's size.
        expected: (4, 4) motion at which to draw.
        seed: Of the fit's sampling.

    Returns:
        None where the object is not in the picture, or its tracks do not agree.
    """
    look = aligner.look(frame, expected)
    if look is None:
        return None
    u0, v0, u1, v1 = look.warp.roi
    corner = np.array([u0, v0])
    moved = se3.apply(expected, points)
    pixels = aligner.model.project(moved) - corner
    inside = ((pixels >= 1) & (pixels < [u1 - u0 - 2, v1 - v0 - 2])).all(axis=1)
    points, moved, pixels = points[inside], moved[inside], pixels[inside]
    at = np.rint(pixels).astype(int)
    front = moved[:, 2] < look.warp.depth[at[:, 1], at[:, 0]] + _FRONT_M
    if np.count_nonzero(front) < _LEAST:
        return None
    points, pixels = points[front], pixels[front]
    there, ok = _TRACKER.track(look.expected, look.now, pixels, pixels)
    if np.count_nonzero(ok) < _LEAST:
        return None
    fit = fit_tracks(points[ok], there[ok] + corner, aligner.model, expected, seed)
    if fit is None or fit.inliers.mean() < _AGREE:
        return None
    return fit
