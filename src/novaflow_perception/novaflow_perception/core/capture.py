"""From what a camera delivered to a view that can be trusted, or an error that says why not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from novaflow_core.camera import CameraModel
from novaflow_core.errors import Code, PerceptionError
from novaflow_core.scene import RgbdView


@dataclass(frozen=True)
class RawView:
    """What one camera delivered.

    Attributes:
        camera: Name of the camera.
        frame_id: The colour optical frame.
        stamp_ns: Time of the colour image [ns].
        color: (H, W, 3) uint8 RGB.
        depths: Depth images (H, W) float32 [m], NaN for none, newest last; the last one belongs to
            the colour image.
        color_model: From the colour image's camera_info.
        depth_model: From the aligned depth image's camera_info.
    """

    camera: str
    frame_id: str
    stamp_ns: int
    color: NDArray[np.uint8]
    depths: Sequence[NDArray[np.float32]]
    color_model: CameraModel
    depth_model: CameraModel


@dataclass(frozen=True)
class CaptureLimits:
    """What a view must meet.

    Attributes:
        max_age_s: Oldest image that still shows the present [s].
        least_depth_share: Least share of pixels with depth.
        static_m: Depth frames that differ from the newest by more than this in the median are left
            out of the mean: something moved [m].
    """

    max_age_s: float = 1.0
    least_depth_share: float = 0.05
    static_m: float = 0.004


def assemble(
    raw: RawView, T_planning_camera: NDArray[np.float64], now_ns: int, limits: CaptureLimits
) -> RgbdView:
    """Check what a camera delivered and make a view of it.

    Args:
        raw: Images and camera models.
        T_planning_camera: (4, 4) pose of the colour optical frame.
        now_ns: Present time on the clock of the stamps [ns].
        limits: What the view must meet.

    Raises:
        PerceptionError: STALE_IMAGE, CAMERA_INFO_MISMATCH or DEPTH_INVALID, with numbers.
    """
    age_s = (now_ns - raw.stamp_ns) * 1e-9
    if age_s > limits.max_age_s:
        raise PerceptionError(
            Code.STALE_IMAGE,
            f"camera '{raw.camera}': the newest image is {age_s:.2f} s old, at most "
            f"{limits.max_age_s:.2f} s are allowed; does the camera still run, on the same clock?",
            {"age_s": age_s},
        )
    _check_sizes(raw)
    depth = merged_depth(raw.depths, limits.static_m)
    share = float(np.isfinite(depth).mean())
    if share < limits.least_depth_share:
        raise PerceptionError(
            Code.DEPTH_INVALID,
            f"camera '{raw.camera}': {share:.1%} of the pixels have depth, at least "
            f"{limits.least_depth_share:.0%} are needed",
            {"share": share},
        )
    return RgbdView(
        raw.camera, raw.frame_id, raw.stamp_ns, raw.color, depth, raw.color_model, T_planning_camera
    )


def _check_sizes(raw: RawView) -> None:
    sizes = {
        "colour image": (raw.color.shape[1], raw.color.shape[0]),
        "colour camera_info": (raw.color_model.width, raw.color_model.height),
        "aligned depth image": (raw.depths[-1].shape[1], raw.depths[-1].shape[0]),
        "aligned depth camera_info": (raw.depth_model.width, raw.depth_model.height),
    }
    if len(set(sizes.values())) > 1:
        text = ", ".join(f"{name} {w}x{h}" for name, (w, h) in sizes.items())
        raise PerceptionError(
            Code.CAMERA_INFO_MISMATCH,
            f"camera '{raw.camera}': sizes in px differ: {text}; is depth aligned to colour?",
        )
    ours = np.array(
        [raw.color_model.fx, raw.color_model.fy, raw.color_model.cx, raw.color_model.cy]
    )
    other = np.array(
        [raw.depth_model.fx, raw.depth_model.fy, raw.depth_model.cx, raw.depth_model.cy]
    )
    if np.abs(ours - other).max() > 2.0:
        raise PerceptionError(
            Code.CAMERA_INFO_MISMATCH,
            f"camera '{raw.camera}': colour has fx fy cx cy {ours.round(1).tolist()} px, "
            f"aligned depth {other.round(1).tolist()} px; is depth aligned to colour?",
        )


def merged_depth(depths: Sequence[NDArray[np.float32]], static_m: float) -> NDArray[np.float32]:
    """Median of depth images (H, W) [m] of one static scene, newest last.

    It has less noise and fewer holes. Frames of another size, or in which much moved, are left
    out; a pixel that is seen in fewer than half of the frames stays NaN.
    """
    newest = depths[-1]
    alike = [d for d in depths[:-1] if d.shape == newest.shape and _same_scene(d, newest, static_m)]
    if not alike:
        return newest
    frames = [*alike, newest]
    out, known = _median(frames)
    out[known * 2 < len(frames)] = np.nan
    # Where the newest frame is far from the median, something small moved: the newest is right.
    moved = np.abs(newest - out) > np.maximum(3 * static_m, 0.02 * newest**2)
    return np.where(moved, newest, out).astype(np.float32)


def _median(
    frames: Sequence[NDArray[np.float32]],
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Median (H, W) over the frames that have a value, and how many do.

    By a sorting network: `np.nanmedian` sorts pixel by pixel and takes ten times as long.
    """
    ordered = [np.where(np.isfinite(frame), frame, np.float32(np.inf)) for frame in frames]
    for last in range(len(ordered) - 1, 0, -1):
        for i in range(last):
            low = np.minimum(ordered[i], ordered[i + 1])
            ordered[i + 1] = np.maximum(ordered[i], ordered[i + 1])
            ordered[i] = low
    known = np.sum([np.isfinite(frame) for frame in frames], axis=0)
    out = np.full(known.shape, np.nan, np.float32)
    for count in range(1, len(frames) + 1):
        middle = np.float32(0.5) * (ordered[(count - 1) // 2] + ordered[count // 2])
        out = np.where(known == count, middle, out)
    return out, known


def _same_scene(depth: NDArray[np.float32], newest: NDArray[np.float32], static_m: float) -> bool:
    a, b = depth[::4, ::4], newest[::4, ::4]
    both = np.isfinite(a) & np.isfinite(b)
    if both.sum() < 100:
        return False
    # Noise grows with z squared; what moved shows as a share of pixels far off.
    off = np.abs(a[both] - b[both]) > np.maximum(static_m, 0.012 * b[both] ** 2) * 3
    return bool(off.mean() < 0.02)
