"""Edges across many short lines of an image, and a model that bends to them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from novaflow_core.scene import RgbdView

Float = NDArray[np.float64]
Image = NDArray[np.float32]

_BLUR_PX = 0.8
_ROUNDS = 8
_FLANK = 0.6  # of a peak: what is lower is not part of it


def smooth_colours(view: RgbdView) -> Image:
    """Colours (H, W, 3) of a view, 0..255, without the noise of single pixels."""
    blurred = cv2.GaussianBlur(view.color.astype(np.float32), (0, 0), _BLUR_PX)
    return np.asarray(blurred, np.float32)


def changes_along(image: Image, lines: Float, width: int) -> Float:
    """How much the colour changes along lines, smoothed from line to line: noise is not shared.

    Args:
        image: (H, W, 3).
        lines: (N, S, 2) pixels along each line; neighbouring lines lie beside each other.
        width: Steps to either side over which a change is measured.

    Returns:
        (N, S - 2 * width), the first of them at step `width`.
    """
    colours = cv2.remap(
        image,
        lines[..., 0].astype(np.float32),
        lines[..., 1].astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    change = np.linalg.norm(colours[:, 2 * width :] - colours[:, : -2 * width], axis=2)
    return np.asarray(cv2.blur(change, (1, 5)), float)


def edge_places(change: Float, best: NDArray[np.int_], width: int) -> Float:
    """Where edges lie, in steps: the middle of the change around peaks (N,), which may be flat.

    Args:
        change: (N, S), as of `changes_along`.
        best: (N,) step of a peak in each row.
        width: As of `changes_along`; a sharp edge is flat over twice this.
    """
    near = best[:, None] + np.arange(-2 * width, 2 * width + 1)
    inside = (near >= 0) & (near < change.shape[1])
    rows = np.arange(len(best))
    weight = np.where(inside, change[rows[:, None], np.clip(near, 0, change.shape[1] - 1)], 0.0)
    # Only what belongs to this peak: another edge may lie beside it.
    weight = np.maximum(weight - _FLANK * change[rows, best][:, None], 0.0)
    return np.asarray((weight * near).sum(axis=1) / weight.sum(axis=1))


def robust_solution(
    design: Float, value: Float, weight: Float, scale: float
) -> tuple[Float, float]:
    """Weighted least squares in which residuals far beyond `scale` hardly count (Cauchy).

    Args:
        design: (M, P).
        value: (M,).
        weight: (M,).
        scale: Of a usual residual, in the unit of `value`.

    Returns:
        Solution (P,) and the RMS of the residuals, weighted as in the end.
    """
    solution: Float = np.zeros(design.shape[1])
    total, error = weight, value
    for _ in range(_ROUNDS):
        root = np.sqrt(total)
        fit = np.linalg.lstsq(design * root[:, None], value * root, rcond=None)
        solution = np.asarray(fit[0], float)
        error = value - design @ solution
        total = weight / (1.0 + (error / scale) ** 2)
    return solution, float(np.sqrt((total * error**2).sum() / total.sum()))
