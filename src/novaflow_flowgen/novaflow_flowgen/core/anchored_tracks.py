"""Tracks from the object's first frame, drawn where it is expected, to where it is seen.

From one frame to the next the errors of tracks add up, and a hand that carries the object at
another depth pulls the pose away little by little. These start from the first frame each time.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_flowgen.core.pose_fit import PixelAligner
from novaflow_flowgen.core.track_fit import TrackFit, fit_tracks, stretch_of
from novaflow_flowgen.core.tracks import Gray, KltTracker

Float = NDArray[np.float64]

_LEAST = 12  # points to track, and tracks to fit
_AGREE = 0.5  # share of the tracks that must follow one pose
_TRACKER = KltTracker(levels=1)  # the drawing is a few pixels off
_FRONT_M = 0.01  # a point this far behind the drawn surface is hidden by it


class Anchored(NamedTuple):
    """What tracks from the first frame say.

    Attributes:
        fit: The pose that they agree on; None where they do not, or there are too few.
        stretch: How much the object has surely changed its shape, see `stretch_of`; NaN where there
            are too few tracks.
    """

    fit: TrackFit | None
    stretch: float


_NOTHING = Anchored(None, float("nan"))


def anchored_fit(
    aligner: PixelAligner,
    points: Float,
    frame: Gray,
    expected: Float,
    seed: int,
) -> Anchored:
    """Fit a pose to tracks from the first frame.

    Args:
        aligner: Draws the object.
        points: (P, 3) [m] of the object that nothing hides, optical frame of the first image.
        frame: (h, w) grey, of the aligner's size.
        expected: (4, 4) motion at which to draw.
        seed: Of the fit's sampling.

    Returns:
        The fit and the object's change of shape; nothing where it is not in the picture.
    """
    look = aligner.look(frame, expected)
    if look is None:
        return _NOTHING
    u0, v0, u1, v1 = look.warp.roi
    corner = np.array([u0, v0])
    moved = se3.apply(expected, points)
    pixels = aligner.model.project(moved) - corner
    inside = ((pixels >= 1) & (pixels < [u1 - u0 - 2, v1 - v0 - 2])).all(axis=1)
    points, moved, pixels = points[inside], moved[inside], pixels[inside]
    at = np.rint(pixels).astype(int)
    front = moved[:, 2] < look.warp.depth[at[:, 1], at[:, 0]] + _FRONT_M
    if np.count_nonzero(front) < _LEAST:
        return _NOTHING
    points, pixels = points[front], pixels[front]
    there, ok = _TRACKER.track(look.expected, look.now, pixels, pixels)
    if np.count_nonzero(ok) < _LEAST:
        return _NOTHING
    points, there = points[ok], there[ok] + corner
    fit = fit_tracks(points, there, aligner.model, expected, seed)
    # A stretched object's tracks may agree on no pose.
    near = fit.T_camera_motion if fit is not None else expected
    stretch = stretch_of(points, there, aligner.model, near)
    if fit is not None and fit.inliers.mean() < _AGREE:
        fit = None
    return Anchored(fit, stretch)
