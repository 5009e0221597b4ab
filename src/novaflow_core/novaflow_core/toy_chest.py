"""A chest with a drawer for the ray-cast tabletop, for tests."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_core.toy_scene import Solid

Float = NDArray[np.float64]

FRONT, BODY = "front", "body"
_WIDTH_M, _DEPTH_M, _HEIGHT_M = 0.20, 0.16, 0.11
_WOOD, _BROWN, _DARK = (190, 170, 135), (150, 95, 60), (60, 62, 68)
# Of the drawer: extents, and where the middle of its foot is in the chest's frame [m].
_DRAWER = {
    FRONT: ((0.012, 0.20, 0.104), (0.086, 0.0, 0.006), _BROWN),
    "bar": ((0.012, 0.12, 0.012), (0.134, 0.0, 0.078), _DARK),
    "post_a": ((0.042, 0.008, 0.008), (0.113, -0.048, 0.080), _DARK),
    "post_b": ((0.042, 0.008, 0.008), (0.113, 0.048, 0.080), _DARK),
    "tray": ((0.140, 0.176, 0.020), (0.010, 0.0, 0.014), _WOOD),
    "side_a": ((0.140, 0.006, 0.060), (0.010, -0.085, 0.014), _WOOD),
    "side_b": ((0.140, 0.006, 0.060), (0.010, 0.085, 0.014), _WOOD),
}


def toy_chest(T_base_chest: Float, opened_m: float = 0.0) -> dict[str, Solid]:
    """A chest whose drawer comes out along its x axis.

    Args:
        T_base_chest: (4, 4), origin in the middle of the chest's foot.
        opened_m: How far the drawer is out [m].

    Returns:
        Solids by name: the chest's body, then the parts of the drawer.
    """
    body = Solid((_DEPTH_M, _WIDTH_M, _HEIGHT_M), T_base_chest, _WOOD, texture=11)
    out = {BODY: body}
    for number, (name, (size, at, colour)) in enumerate(_DRAWER.items()):
        place = se3.from_rt(np.eye(3), np.add(at, [opened_m, 0.0, 0.0]))
        out[name] = Solid(size, T_base_chest @ place, colour, texture=12 + number)
    return out
