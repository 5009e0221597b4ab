"""Depth of a generated video: the stage `depth`, its scale, and how far it can be trusted.

A monocular model knows depth up to a scale, which one real depth image fixes: the first frame of
the video shows the scene that the camera saw (NovaFlow, sec. 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from novaflow_core.camera import CameraModel
from novaflow_core.errors import Code, TrackingError
from novaflow_flowgen.core.protocols import OnProgress, ShouldStop

Float = NDArray[np.float64]

SCALE_IMAGE = "image"
SCALE_OBJECT = "object"
_MIN_PIXELS = 100
_MAX_DRIFT = 0.15  # of the whole picture's depth against the first frame's


@dataclass(frozen=True)
class DepthVideo:
    """Depth of all frames.

    Attributes:
        depth: (T, H, W) float32 along optical +z; NaN where unknown. In metres once scaled.
        T_first_camera: (T, 4, 4) pose of each frame's camera in the first one's frame, in the
            depth's unit; None where the model does not know, and the camera is taken to stand.
    """

    depth: NDArray[np.float32]
    T_first_camera: Float | None = None


class DepthEstimator(Protocol):
    """Estimates the depth of a video up to a scale; every failure is a `TrackingError`."""

    def estimate(
        self,
        frames: NDArray[np.uint8],
        model: CameraModel,
        on_progress: OnProgress,
        should_stop: ShouldStop,
    ) -> DepthVideo:
        """Return the depth of frames (T, H, W, 3) RGB; `on_progress` gets 0..1."""
        ...


@dataclass(frozen=True)
class Scale:
    """`real = factor * estimated + shift_m`."""

    factor: float
    shift_m: float = 0.0


def fit_scale(
    estimated: NDArray[np.floating],
    real: NDArray[np.floating],
    mask: NDArray[np.bool_],
    mode: str = SCALE_IMAGE,
) -> Scale:
    """Scale of an estimate against the first real depth.

    Args:
        estimated: (H, W) of the first frame.
        real: (H, W) [m]; NaN or 0 where the sensor saw nothing.
        mask: (H, W) the object.
        mode: `image`: median ratio over all valid pixels, as in the paper; `object`: factor and
            shift that fit the object's own pixels.

    Raises:
        TrackingError: DEPTH_UNRELIABLE when too few pixels are known in both.
    """
    known = np.isfinite(estimated) & (estimated > 0) & np.isfinite(real) & (real > 0)
    if mode == SCALE_OBJECT:
        known &= mask
    if known.sum() < _MIN_PIXELS:
        raise TrackingError(
            Code.DEPTH_UNRELIABLE,
            f"{int(known.sum())} pixels have a real and an estimated depth; "
            f"{_MIN_PIXELS} are needed",
        )
    x, y = estimated[known].astype(float), real[known].astype(float)
    factor = float(np.median(y / x))
    if mode != SCALE_OBJECT:
        return Scale(factor)
    shift = 0.0
    for _ in range(10):  # least absolute deviations by re-weighting
        weight = 1.0 / np.maximum(np.abs(factor * x + shift - y), 1e-4)
        mean_x, mean_y = np.average(x, weights=weight), np.average(y, weights=weight)
        spread = np.average((x - mean_x) ** 2, weights=weight)
        if spread < 1e-8:
            return Scale(float(np.median(y / x)))  # a flat patch fixes no shift
        factor = float(np.average((x - mean_x) * (y - mean_y), weights=weight) / spread)
        shift = float(mean_y - factor * mean_x)
    if not factor > 0:
        raise TrackingError(
            Code.DEPTH_UNRELIABLE,
            "the estimated depth of the object falls where the real one rises "
            f"(factor {factor:.2f})",
        )
    return Scale(factor, shift)


def scaled(video: DepthVideo, scale: Scale) -> DepthVideo:
    """The video in metres; cameras move by the factor alone."""
    depth = (video.depth * np.float32(scale.factor) + np.float32(scale.shift_m)).astype(np.float32)
    poses = video.T_first_camera
    if poses is not None:
        poses = poses.copy()
        poses[:, :3, 3] *= scale.factor
    return DepthVideo(depth, poses)


def steadiness(video: DepthVideo) -> dict[str, float]:
    """How the whole picture's depth wanders, where the camera stands still.

    Returns:
        `depth_drift`: largest deviation of the median ratio to the first frame from 1;
        `depth_flicker`: RMS of its change from frame to frame. Both without unit.
    """
    first = video.depth[0, ::4, ::4]
    ratios = []
    for frame in video.depth[:, ::4, ::4]:
        known = np.isfinite(frame) & np.isfinite(first) & (first > 0)
        ratios.append(float(np.median(frame[known] / first[known])) if known.any() else np.nan)
    ratio = np.array(ratios)
    return {
        "depth_drift": float(np.nanmax(np.abs(ratio - 1.0))),
        "depth_flicker": float(np.sqrt(np.nanmean(np.diff(ratio) ** 2))),
    }


def check_steady(stats: dict[str, float]) -> None:
    """Refuse depth that wanders.

    Raises:
        TrackingError: DEPTH_UNRELIABLE, with the numbers.
    """
    if not stats["depth_drift"] <= _MAX_DRIFT:
        raise TrackingError(
            Code.DEPTH_UNRELIABLE,
            f"the estimated depth of the whole picture drifts by {100 * stats['depth_drift']:.0f} %"
            f"; {100 * _MAX_DRIFT:.0f} % are allowed",
            dict(stats),
        )
