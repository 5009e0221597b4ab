"""The target's pixels in every frame: the stage `masks`, and which tracks they leave.

A tracker may slip to what lies beside or behind the object. A point counts as seen only where it
is on the object (NovaFlow, sec. 3).
"""

from __future__ import annotations

from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from novaflow_core.errors import Code, PlatformError, TrackingError
from novaflow_flowgen.core.protocols import OnProgress, ShouldStop

Masks = NDArray[np.bool_]

NO_MASKS = "none"
EDGE_PX = 3  # SAM 2 draws a mask 256 pixels wide: each is 2.5 px of a frame 640 px wide
MIN_FIRST_IOU = 0.5  # a mask that takes in as much again, or lacks half, follows something else


class VideoMasks(Protocol):
    """Follows pixels of the first frame through a video; every failure is a `NovaflowError`."""

    def follow(
        self,
        frames: NDArray[np.uint8],
        mask: Masks,
        on_progress: OnProgress,
        should_stop: ShouldStop,
    ) -> Masks:
        """Return masks (T, H, W) of what `mask` (H, W) holds in the first of frames (T, H, W, 3).

        A mask is empty where the thing is not seen; `on_progress` gets 0..1, `should_stop` is asked
        between frames.
        """
        ...


def refuse_masks(settings: object, tracks: str, why: str) -> None:
    """Refuse masks where the lifter has no use for them.

    Raises:
        PlatformError: INVALID_SETTING.
    """
    masks = str(getattr(settings, "masks", NO_MASKS))
    if masks != NO_MASKS:
        raise PlatformError(
            Code.INVALID_SETTING,
            f"masks is '{masks}', but tracks:={tracks} {why}; allowed there: {NO_MASKS}",
        )


def first_overlap(masks: Masks, mask: Masks) -> float:
    """Look whether masks (T, H, W) begin on the target.

    Args:
        masks: Of all frames.
        mask: (H, W) the target in the first.

    Returns:
        Intersection over union in the first frame, 0..1.

    Raises:
        TrackingError: LIFT_UNCERTAIN when they begin on something else, with the number.
    """
    iou = float((masks[0] & mask).sum()) / max(int((masks[0] | mask).sum()), 1)
    if iou < MIN_FIRST_IOU:
        raise TrackingError(
            Code.LIFT_UNCERTAIN,
            f"in the first frame the mask that is followed overlaps the target by {iou:.2f} "
            f"(intersection over union); {MIN_FIRST_IOU} are needed",
            {"mask_first_iou": iou},
        )
    return iou


def on_masks(masks: Masks, pixels: NDArray[np.float64]) -> Masks:
    """Tell which pixels lie on their step's mask, or not more than `EDGE_PX` off it.

    Args:
        masks: (T, H, W).
        pixels: (T, K, 2) [px]; NaN lies on no mask.

    Returns:
        (T, K).
    """
    size = 2 * EDGE_PX + 1
    round_one = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    out = np.zeros(pixels.shape[:2], bool)
    height, width = masks.shape[1:]
    for step, (mask, at) in enumerate(zip(masks, pixels, strict=True)):
        wide = cv2.dilate(mask.astype(np.uint8), round_one) > 0
        with np.errstate(invalid="ignore"):
            inside = ((at > -0.5) & (at < np.array([width, height]) - 0.5)).all(axis=1)
        u, v = np.rint(at[inside]).astype(int).T
        out[step, inside] = wide[v, u]
    return out
