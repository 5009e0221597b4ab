"""From a camera's last messages to one view: fresh, whole, the depth noise averaged out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from novaflow_core.camera import CameraModel
from novaflow_core.errors import Code, PerceptionError
from novaflow_core.scene import RgbdView

LEAST_DEPTH_SHARE = 0.05
LEAST_SEEN = 0.5  # of the averaged frames that must have depth at a pixel


@dataclass(frozen=True)
class CameraFrame:
    """One colour image and the depth aligned to it.

    Attributes:
        stamp_ns: Of the colour image [ns].
        color: (H, W, 3) uint8 RGB.
        depth: (H, W) float32 [m]; NaN where the sensor saw nothing.
    """

    stamp_ns: int
    color: NDArray[np.uint8]
    depth: NDArray[np.float32]


def check_sizes(
    camera: str,
    color: tuple[int, int],
    depth: tuple[int, int],
    model: CameraModel,
    depth_model: CameraModel,
) -> None:
    """Check that the images and both camera_infos describe one image; sizes are (height, width).

    Raises:
        PerceptionError: CAMERA_INFO_MISMATCH, with all four sizes.
    """
    sizes = {
        "colour": color,
        "aligned depth": depth,
        "colour camera_info": (model.height, model.width),
        "depth camera_info": (depth_model.height, depth_model.width),
    }
    if len(set(sizes.values())) > 1:
        text = ", ".join(f"{name} {w}x{h}" for name, (h, w) in sizes.items())
        raise PerceptionError(
            Code.CAMERA_INFO_MISMATCH,
            f"camera '{camera}': {text} px; they must agree. Is align_depth enabled?",
        )


def make_view(
    camera: str,
    frame_id: str,
    frames: Sequence[CameraFrame],
    model: CameraModel,
    T_planning_camera: NDArray[np.float64],
) -> RgbdView:
    """Make one view of frames of a scene at rest, oldest first.

    The colour is that of the newest frame, the depth the median over all of them, which takes out
    most of a stereo camera's noise and fills holes that come and go.

    Raises:
        PerceptionError: DEPTH_INVALID if too few pixels have depth.
    """
    depth = average_depth([frame.depth for frame in frames])
    share = float(np.isfinite(depth).mean())
    if share < LEAST_DEPTH_SHARE:
        raise PerceptionError(
            Code.DEPTH_INVALID,
            f"camera '{camera}': {share:.1%} of the pixels have depth; "
            f"at least {LEAST_DEPTH_SHARE:.0%} are needed",
        )
    newest = frames[-1]
    return RgbdView(
        camera, frame_id, newest.stamp_ns, newest.color, depth, model, T_planning_camera
    )


def average_depth(depths: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Median (H, W) [m] over frames; NaN where fewer than half of them saw anything."""
    if len(depths) == 1:
        return depths[0]
    stack = np.sort(np.stack(depths), axis=0)  # NaN sorts last
    seen = np.isfinite(stack).sum(axis=0)
    middle = np.maximum(seen - 1, 0)
    low = np.take_along_axis(stack, (middle // 2)[None], 0)[0]
    high = np.take_along_axis(stack, ((middle + 1) // 2)[None], 0)[0]
    median = ((low + high) / 2).astype(np.float32)
    median[seen < LEAST_SEEN * len(depths)] = np.nan
    return median
