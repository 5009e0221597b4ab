"""Move the visible surface of an object in an image: project, z-buffer, sample once.

Splatting colours blurs them. Splatting *where each pixel came from* and sampling the image there
once keeps texture sharp, and the identity motion returns the image unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass
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

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Surface:
    """The pixels of one object and where they are.

    Attributes:
        pixels: (N, 2) int, u right and v down.
        points: (N, 3) [m] in the optical frame.
    """

    pixels: NDArray[np.int64]
    points: Float


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
    moved = surface.points @ T_camera_motion[:3, :3].T + T_camera_motion[:3, 3]
    z = moved[:, 2]
    front = z > 0.05
    z = np.where(front, z, 1.0)
    u = moved[:, 0] / z * model.fx + model.cx
    v = moved[:, 1] / z * model.fy + model.cy
    inside = front & (u > 0) & (v > 0) & (u < model.width - 1) & (v < model.height - 1)
    if inside.sum() < 4:
        return None
    u, v, z, pixels = u[inside], v[inside], z[inside], surface.pixels[inside]
    u0 = max(int(u.min()) - _MARGIN_PX, 0)
    v0 = max(int(v.min()) - _MARGIN_PX, 0)
    u1 = min(int(u.max()) + _MARGIN_PX + 2, model.width)
    v1 = min(int(v.max()) + _MARGIN_PX + 2, model.height)
    h, w = v1 - v0, u1 - u0
    x, y = u - u0, v - v0

    near = _nearest_only(x, y, z, h, w)
    x, y, z, pixels = x[near], y[near], z[near], pixels[near]
    shift = np.stack([pixels[:, 0] - (x + u0), pixels[:, 1] - (y + v0), z], -1)
    weight, sums = _splat_bilinear(x, y, shift, h, w)

    # Cracks open where the surface comes closer; close them from their neighbours, never beyond
    # the outline.
    blurred = cv2.blur(weight, (3, 3))
    blurred_sums = cv2.blur(sums, (3, 3))
    solid = cv2.morphologyEx(
        (weight > 0.3).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8)
    )
    core = cv2.erode(solid, np.ones((3, 3), np.uint8), borderValue=1) > 0
    has = blurred > 1e-3
    mean = np.where(has[..., None], blurred_sums / np.maximum(blurred, 1e-3)[..., None], 0.0)
    thick = weight > 0.5
    own = sums / np.maximum(weight, 1e-3)[..., None]
    mean = np.where(thick[..., None], own, mean)
    alpha = np.where(core, 1.0, np.where(has, np.minimum(weight, 1.0), 0.0)).astype(np.float32)
    grid_v, grid_u = np.mgrid[v0:v1, u0:u1].astype(np.float32)
    source = np.dstack([grid_u + mean[..., 0], grid_v + mean[..., 1]]).astype(np.float32)
    depth = np.where(has, mean[..., 2], _FAR_M).astype(np.float32)
    return Warp((u0, v0, u1, v1), source, depth, alpha)


def _nearest_only(x: Float, y: Float, z: Float, h: int, w: int) -> NDArray[np.bool_]:
    index = np.rint(y).astype(np.int64) * w + np.rint(x).astype(np.int64)
    buffer = np.full(h * w, _FAR_M, np.float64)
    np.minimum.at(buffer, index, z)
    nearest = cv2.erode(buffer.reshape(h, w).astype(np.float32), np.ones((3, 3), np.uint8))
    return np.asarray(z < nearest.ravel()[index] + _SAME_SURFACE_M)


def _splat_bilinear(
    x: Float, y: Float, values: Float, h: int, w: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    left, top = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    fx, fy = x - left, y - top
    base = top * w + left
    index = np.concatenate([base, base + 1, base + w, base + w + 1])
    share = np.concatenate([(1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy])
    weight = np.bincount(index, share, h * w)[: h * w].reshape(h, w)
    sums = [
        np.bincount(index, share * np.tile(values[:, c], 4), h * w)[: h * w].reshape(h, w)
        for c in range(values.shape[1])
    ]
    return weight.astype(np.float32), np.dstack(sums).astype(np.float32)
