"""Move the visible surface of an object in an image: project, z-buffer, sample once.

Splatting colours blurs them. Splatting *where each pixel came from* and sampling the image there
once keeps texture sharp, and the identity motion returns the image unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from novaflow_core.camera import CameraModel

_SAME_SURFACE_M = (
    0.012  # two surfaces closer than this in depth are blended, not hidden by one another
)
_MARGIN_PX = 3
_FAR_M = 1e6
_NO_MAP: Any = None  # OpenCV takes both coordinates from the first map then

_BOX = np.ones((3, 3), np.uint8)

Float = NDArray[np.float64]
Image32 = NDArray[np.float32]


@dataclass(frozen=True)
class Surface:
    """The pixels of one object and where they are.

    Attributes:
        pixels: (N, 2) int, u right and v down.
        points: (N, 3) [m] in the optical frame.
    """

    pixels: NDArray[np.int64]
    points: Float

    @cached_property
    def columns(self) -> Image32:
        """Points (3, N), single precision: a thousandth of a pixel at any distance."""
        return np.ascontiguousarray(self.points.T, np.float32)

    @cached_property
    def places(self) -> Image32:
        """Pixels (2, N), single precision."""
        return np.ascontiguousarray(self.pixels.T, np.float32)


@dataclass(frozen=True)
class Warp:
    """A moved surface, rasterised in a region of interest.

    Attributes:
        roi: u0, v0, u1, v1 [px], half-open, inside the image.
        source: (h, w, 2) float32, the pixel of the original image that each pixel shows.
        depth: (h, w) float32 [m]; very large where the object is not.
        alpha: (h, w) float32, 0..1, how much of each pixel the object covers.
    """

    roi: tuple[int, int, int, int]
    source: NDArray[np.float32]
    depth: NDArray[np.float32]
    alpha: NDArray[np.float32]

    @property
    def window(self) -> tuple[slice, slice]:
        """Slices of the region in an image array."""
        u0, v0, u1, v1 = self.roi
        return slice(v0, v1), slice(u0, u1)

    def sample(self, image: NDArray[Any]) -> NDArray[Any]:
        """Pixels (h, w[, C]) of the original image, moved; meaningful where `alpha` is above 0."""
        return np.asarray(
            cv2.remap(image, self.source, _NO_MAP, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        )


def smooth_depth(
    depth: NDArray[np.floating], mask: NDArray[np.bool_], size: int = 5
) -> NDArray[np.float32]:
    """Depth (H, W) [m] inside a mask, filled and median filtered; NaN outside.

    Depth of the neighbours never bleeds in: pixels outside the mask take part with the nearest
    inside value.
    """
    out = np.full(depth.shape, np.nan, np.float32)
    v, u = np.nonzero(mask)
    if v.size == 0:
        return out
    pad = size + 1
    window = (
        slice(max(v.min() - pad, 0), v.max() + pad + 1),
        slice(max(u.min() - pad, 0), u.max() + pad + 1),
    )
    crop = np.asarray(depth[window], np.float32)
    inside = mask[window]
    good = inside & np.isfinite(crop) & (crop > 0)
    if not good.any():
        return out
    filled = fill_nearest(crop, good)
    filled = np.asarray(cv2.medianBlur(filled, 5), np.float32)
    if size > 5:
        filled = np.asarray(cv2.medianBlur(fill_nearest(filled, inside), 5), np.float32)
    out[window] = np.where(inside, filled, np.nan)
    return out


def fill_nearest(values: NDArray[np.float32], good: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Replace values (h, w) where not good by the nearest good one."""
    if good.all():
        return values
    _, index = cv2.distanceTransformWithLabels(
        (~good).astype(np.uint8), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
    )
    # Each good pixel has a label of its own; read the values back through it.
    table = np.zeros(int(index.max()) + 1, np.float32)
    table[index[good]] = values[good]
    return np.where(good, values, table[index]).astype(np.float32)


def surface_of(depth: NDArray[np.floating], mask: NDArray[np.bool_], model: CameraModel) -> Surface:
    """Pixels and points of a mask; `depth` as `smooth_depth` gives it."""
    v, u = np.nonzero(mask & np.isfinite(depth))
    pixels = np.stack([u, v], -1)
    return Surface(pixels, model.lift_pixels(pixels, depth[v, u]))


def forward_warp(surface: Surface, T_camera_motion: Float, model: CameraModel) -> Warp | None:
    """Rasterise a surface after a motion of the optical frame's points (`p' = T p`).

    Returns:
        None when nothing of it lies inside the image.
    """
    x, y, z, pixels = _project(surface, T_camera_motion, model)
    if len(z) < 4:
        return None
    u0 = max(int(x.min()) - _MARGIN_PX, 0)
    v0 = max(int(y.min()) - _MARGIN_PX, 0)
    u1 = min(int(x.max()) + _MARGIN_PX + 2, model.width)
    v1 = min(int(y.max()) + _MARGIN_PX + 2, model.height)
    h, w = v1 - v0, u1 - u0
    shift_u, shift_v = pixels[0] - x, pixels[1] - y
    x, y = x - np.float32(u0), y - np.float32(v0)
    near = _nearest_only(x, y, z, h, w)
    if not near.all():
        x, y, z, shift_u, shift_v = x[near], y[near], z[near], shift_u[near], shift_v[near]
    weight, sums = _splat_bilinear(x, y, (shift_u, shift_v, z), h, w)

    # Cracks open where the surface comes closer; close them from their neighbours, never beyond
    # the outline.
    blurred = cv2.blur(weight, (3, 3))
    solid = cv2.morphologyEx((weight > 0.3).astype(np.uint8), cv2.MORPH_CLOSE, _BOX)
    core = cv2.erode(solid, _BOX, borderValue=1) > 0
    has = blurred > 1e-3
    thick = weight > 0.5
    share = np.maximum(np.where(thick, weight, blurred), np.float32(1e-3))
    means = [np.where(thick, s, cv2.blur(s, (3, 3))) / share for s in sums]
    alpha = np.where(core, np.float32(1), np.where(has, np.minimum(weight, 1), np.float32(0)))
    source = np.empty((h, w, 2), np.float32)
    source[..., 0] = np.where(has, means[0], 0) + np.arange(u0, u1, dtype=np.float32)
    source[..., 1] = np.where(has, means[1], 0) + np.arange(v0, v1, dtype=np.float32)[:, None]
    depth = np.where(has, means[2], np.float32(_FAR_M))
    return Warp((u0, v0, u1, v1), source, depth, alpha)


def _project(
    surface: Surface, T_camera_motion: Float, model: CameraModel
) -> tuple[Image32, Image32, Image32, Image32]:
    """Pixels u (N,), v (N,), depths (N,) [m] and first pixels (2, N) of what is in the image."""
    rotation = T_camera_motion[:3, :3].astype(np.float32)
    moved = rotation @ surface.columns + T_camera_motion[:3, 3:].astype(np.float32)
    z = moved[2]
    front = z > 0.05
    z = np.where(front, z, np.float32(1))
    x = moved[0] / z * np.float32(model.fx) + np.float32(model.cx)
    y = moved[1] / z * np.float32(model.fy) + np.float32(model.cy)
    inside = front & (x > 0) & (y > 0) & (x < model.width - 1) & (y < model.height - 1)
    if inside.all():
        return x, y, z, surface.places
    return x[inside], y[inside], z[inside], surface.places[:, inside]


def _nearest_only(x: Image32, y: Image32, z: Image32, h: int, w: int) -> NDArray[np.bool_]:
    index = np.rint(y).astype(np.int32) * np.int32(w) + np.rint(x).astype(np.int32)
    buffer = np.full(h * w, _FAR_M, np.float32)
    np.minimum.at(buffer, index, z)
    nearest = cv2.erode(buffer.reshape(h, w), _BOX)
    return np.asarray(z < nearest.ravel()[index] + np.float32(_SAME_SURFACE_M))


def _splat_bilinear(
    x: Image32, y: Image32, values: tuple[Image32, ...], h: int, w: int
) -> tuple[Image32, list[Image32]]:
    """Spread values (N,) over the four pixels around each place: weights and sums (h, w)."""
    left, top = np.floor(x), np.floor(y)
    fx, fy = (x - left).astype(float), (y - top).astype(float)
    base = top.astype(np.intp) * w + left.astype(np.intp)
    gx, gy = 1 - fx, 1 - fy
    index = np.concatenate([base, base + 1, base + w, base + w + 1])
    share = np.stack([gx * gy, fx * gy, gx * fy, fx * fy])

    def spread(weights: Float) -> Image32:
        return np.bincount(index, weights.ravel(), h * w)[: h * w].reshape(h, w).astype(np.float32)

    return spread(share), [spread(share * v) for v in values]
