"""An object's outline from colour: depth has holes at edges and lies a pixel beside the colours."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

_HOLES_PX = 4  # pixels without depth this near the object may belong to it
_SLIP_PX = 2  # on both sides of its outline, depth may be that of the neighbour
_AROUND_PX = 14  # of its surroundings that tell what is not the object
_ROUNDS = 2
_LEAST_PIXELS = 40  # inside and outside, for a model of colours


def outlined(color: NDArray[np.uint8], depth_known: Mask, mask: Mask) -> Mask:
    """Draw an object's outline where its colours end.

    Only a band is decided by colour (GrabCut: mixtures of colours and a cut along contrast); what
    lies well inside stays the object, what lies well outside stays the rest.

    Args:
        color: (H, W, 3) RGB.
        depth_known: (H, W) where depth was measured.
        mask: (H, W) the object as depth tells it.

    Returns:
        (H, W) the object; `mask` itself where there is too little of it to tell colours apart.
    """
    if not mask.any():
        return mask
    rows, columns = np.nonzero(mask)
    pad = _AROUND_PX
    window = (
        slice(max(rows.min() - pad, 0), rows.max() + pad + 1),
        slice(max(columns.min() - pad, 0), columns.max() + pad + 1),
    )
    known = depth_known[window]
    closed = _morph(mask[window], cv2.MORPH_CLOSE, 3)
    own = mask[window] | (closed & ~known)
    band = _morph(own, cv2.MORPH_DILATE, _SLIP_PX) & ~_morph(own, cv2.MORPH_ERODE, _SLIP_PX)
    open_ = band | (_morph(own, cv2.MORPH_DILATE, _HOLES_PX) & ~known & ~own)
    if min((own & ~open_).sum(), (~own & ~open_).sum()) < _LEAST_PIXELS:
        return mask
    likely = np.where(own, cv2.GC_PR_FGD, cv2.GC_PR_BGD)
    marks = np.where(open_, likely, np.where(own, cv2.GC_FGD, cv2.GC_BGD)).astype(np.uint8)
    lab = cv2.cvtColor(np.ascontiguousarray(color[window]), cv2.COLOR_RGB2LAB)
    cv2.setRNGSeed(1)  # of the mixtures' first guess: the same picture has the same outline
    models = np.zeros((1, 65)), np.zeros((1, 65))
    smooth = cv2.bilateralFilter(lab, 5, 20, 3)
    cv2.grabCut(smooth, marks, None, *models, _ROUNDS, cv2.GC_INIT_WITH_MASK)  # type: ignore[call-overload]
    out = mask.copy()
    out[window] = (marks == cv2.GC_FGD) | (marks == cv2.GC_PR_FGD)
    return out


def _morph(mask: Mask, how: int, pixels: int) -> Mask:
    size = 2 * pixels + 1
    done = cv2.morphologyEx(mask.astype(np.uint8), how, np.ones((size, size), np.uint8))
    return np.asarray(done > 0)
