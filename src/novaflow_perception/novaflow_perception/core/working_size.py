"""Views at the size that the segmentation is made for, whatever the camera's.

Windows and least sizes of pieces are counted in pixels of a 525 px focal length, as of a 640x480
structured-light camera. A finer image costs time and tells nothing more of depth that is noisy over
several pixels; in a coarser one windows of a pixel or two would be left.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from novaflow_core.camera import CameraModel
from novaflow_core.scene import RgbdView

FOCAL_PX = 525.0
_COARSEST, _FINEST = 0.87, 1.3  # of that focal length: between them a view is left as it is
_JUMP_M = 0.01  # depth is not interpolated across more, at 1 m; grows with its square


def at_working_size(view: RgbdView) -> RgbdView:
    """Resample a view so that its focal length is about `FOCAL_PX`.

    Depth is never mixed across an edge: taken from the nearest pixel, or interpolated where the
    neighbours agree.

    Args:
        view: Colour (H, W, 3) and depth (H, W) [m], NaN for none.

    Returns:
        The same view when its focal length is near enough.
    """
    model = view.model
    scale = FOCAL_PX / model.fx
    if _COARSEST < 1 / scale < _FINEST:
        return view
    width, height = round(model.width * scale), round(model.height * scale)
    across, down = width / model.width, height / model.height
    return replace(
        view,
        color=cv2.resize(
            view.color,
            (width, height),
            interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR,
        ),
        depth=_resized(view.depth, (width, height)),
        model=CameraModel(
            width,
            height,
            model.fx * across,
            model.fy * down,
            (model.cx + 0.5) * across - 0.5,
            (model.cy + 0.5) * down - 0.5,
        ),
    )


def labels_of_size(labels: NDArray[np.int32], shape: tuple[int, int]) -> NDArray[np.int32]:
    """Resample labels (H, W) to another shape, each pixel from the nearest."""
    if labels.shape == shape:
        return labels
    rows = np.minimum((np.arange(shape[0]) + 0.5) * labels.shape[0] / shape[0], labels.shape[0] - 1)
    columns = (np.arange(shape[1]) + 0.5) * labels.shape[1] / shape[1]
    columns = np.minimum(columns, labels.shape[1] - 1)
    return np.ascontiguousarray(labels[rows.astype(int)][:, columns.astype(int)])


def _resized(depth: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    nearest = cv2.resize(depth, size, interpolation=cv2.INTER_NEAREST_EXACT)
    smooth = cv2.resize(depth, size, interpolation=cv2.INTER_LINEAR)  # NaN spreads
    # Compared with NaN, nothing holds.
    near = np.abs(smooth - nearest) < _JUMP_M * np.maximum(1.0, nearest * nearest)
    return np.where(near, smooth, nearest).astype(np.float32)
