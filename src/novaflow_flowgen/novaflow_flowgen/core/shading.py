"""How the light on a surface changes as the object turns.

A face that turns away from the light darkens, which a single gain for the whole object cannot say:
its pixels would count as hidden. To first order the grey value of a point whose normal changes by
`dn` is multiplied by `1 + dn . light`, with one light for the whole object.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from novaflow_core.camera import CameraModel
from novaflow_flowgen.core.warp import Surface, Warp, fill_nearest

Float = NDArray[np.float64]
Image32 = NDArray[np.float32]

_LEAST_TURN = 0.05  # change of a normal below which light is left alone
_SMOOTH_PX = 3.0
_SPREAD = 0.6  # standard deviation of each of the light's components, before anything is seen
_STEP = 0.1  # the same of its change from one frame to the next
_NOISE = 6.0  # grey levels
_CORRELATED = 50.0  # samples that share one independent error
_CUTS = (40.0, 24.0)  # grey levels off at which a pixel shows something else


class Shading:
    """The normals of an object's seen surface, in the camera's axes of the first frame."""

    def __init__(self, surface: Surface, model: CameraModel) -> None:
        """Measure them."""
        u0, v0 = surface.pixels.min(axis=0)
        u1, v1 = surface.pixels.max(axis=0) + 1
        shape = (v1 - v0, u1 - u0)
        u, v = (surface.pixels - [u0, v0]).T
        depth, inside = np.zeros(shape, np.float32), np.zeros(shape, bool)
        depth[v, u], inside[v, u] = surface.points[:, 2], True
        depth = cv2.GaussianBlur(fill_nearest(depth, inside), (0, 0), _SMOOTH_PX)
        ray_u = (np.arange(u0, u1, dtype=np.float32) - np.float32(model.cx)) / np.float32(model.fx)
        ray_v = (np.arange(v0, v1, dtype=np.float32) - np.float32(model.cy)) / np.float32(model.fy)
        points = np.stack([depth * ray_u, depth * ray_v[:, None], depth], -1)
        across = cv2.Sobel(points, cv2.CV_32F, 1, 0, ksize=3)
        down = cv2.Sobel(points, cv2.CV_32F, 0, 1, ksize=3)
        normals = np.cross(down, across)
        normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-12)
        self._normals: Image32 = np.zeros((model.height, model.width, 3), np.float32)
        self._normals[v0:v1, u0:u1] = normals

    def change(self, warp: Warp, T_camera_motion: Float, index: NDArray[np.intp]) -> Image32 | None:
        """Change of the normals (N, 3) at a warp's pixels; None where the object hardly turns."""
        turn = T_camera_motion[:3, :3] - np.eye(3)
        if np.linalg.norm(turn, 2) < _LEAST_TURN:
            return None
        # Where cracks are closed at the image's edge, the source may lie just outside.
        most = np.array(self._normals.shape[1::-1]) - 1
        at = np.clip(np.rint(warp.source.reshape(-1, 2)[index]).astype(np.intp), 0, most)
        normals = self._normals[at[:, 1], at[:, 0]] @ turn.T.astype(np.float32)
        return np.asarray(np.where(warp.alpha.ravel()[index, None] > 0.5, normals, 0), np.float32)


def fit_light(
    model: Image32, now: Image32, change: Image32, tones: tuple[float, float], last: Float
) -> Float:
    """Light (3,) that explains grey values.

    Args:
        model: (N,) grey values in the first frame.
        now: (N,) in this one.
        change: (N, 3) of the normals.
        tones: Gain and bias between the two.
        last: (3,) light of the frame before.
    """
    gain, bias = tones
    columns = gain * model[:, None] * change
    light = last.astype(float)
    prior = np.eye(3) * (1 / _SPREAD**2 + 1 / _STEP**2)
    held = light / _STEP**2
    for cut in _CUTS:
        off = now - bias - gain * model
        weight = np.square(1 - np.minimum(np.square((off - columns @ light) / cut), 1.0))
        weight /= _NOISE**2 * _CORRELATED
        weighted = columns * weight[:, None]
        light = np.linalg.solve(weighted.T @ columns + prior, weighted.T @ off + held)
    return light
