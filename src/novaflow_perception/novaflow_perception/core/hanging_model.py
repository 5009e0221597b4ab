"""What is known of a thing that hangs by its handle, for finding it again.

It was turned on its way and leans at its end: parts that were seen before look away, or are hidden,
by itself or by what it hangs on. Its body is round, so its handle alone tells how it is turned.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from novaflow_perception.core.evidence import Body
from novaflow_perception.core.explanation import Reference
from novaflow_perception.core.normals import normals_of
from novaflow_perception.core.registration import NewView, ObjectModel

Float = NDArray[np.float64]
Mask = NDArray[np.bool_]

_BODY_POINTS, _HANDLE_POINTS = 1200, 400
_FLOOR_M = 0.008  # what is seen through the hole stays where it is: the support first of all
_BEYOND_M = 0.007


def hanging_model(
    seen: NewView, mask: Mask, body: Body, reference: Reference | None
) -> ObjectModel:
    """Take points of a vessel and its handle; they know when they cannot be seen.

    Args:
        seen: The view before.
        mask: (H, W) the vessel's pixels.
        body: The vessel; it has a footprint.
        reference: What it is to hang on, which may be of a like colour and hide it.
    """
    handle = mask & _sticks_out(seen, mask, body)
    # A handle is thin: without its border little would be left of it.
    parts = (
        ObjectModel.from_view(seen, mask & ~handle, _BODY_POINTS),
        ObjectModel.from_view(seen, handle, _HANDLE_POINTS, border_px=1),
    )
    points = np.concatenate([part.points for part in parts])
    colours = np.concatenate([part.colours for part in parts])
    kept = np.flatnonzero(body.support.height(points) > _FLOOR_M)
    kept = np.random.default_rng(0).permutation(kept)  # so that a part of them is of everything
    points = points[kept]

    def explained(points: Float, motion: Float) -> Mask:
        own = body.explains(points, motion)
        return own if reference is None else own | reference.body.explains(points, reference.motion)

    eye = seen.view.T_planning_camera[:3, 3]
    return ObjectModel(points, colours[kept], normals_of(points, eye), explained)


def _sticks_out(seen: NewView, mask: Mask, body: Body) -> Mask:
    """Which pixels (H, W) show something beyond the round body."""
    out = np.zeros(mask.shape, bool)
    if body.foot is None:
        return out
    v, u = np.nonzero(mask & np.isfinite(seen.depth))
    local = seen.view.model.lift_pixels(np.stack([u, v], -1), seen.depth[v, u])
    T = seen.view.T_planning_camera
    flat = (local @ T[:3, :3].T + T[:3, 3]) @ body.support.basis().T - body.foot.centre
    out[v, u] = np.linalg.norm(flat, axis=1) > float(body.foot.half[0]) + _BEYOND_M
    return out
