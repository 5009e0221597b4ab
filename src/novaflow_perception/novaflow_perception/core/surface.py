"""Local geometry of a depth view: points, heights, normals, breaks of depth, valleys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from novaflow_core.camera import CameraModel
from novaflow_core.scene import Plane

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
S = TypeVar("S", bound=np.generic)


@dataclass(frozen=True)
class Surface:
    """One view, or a window of it, in the camera frame.

    Attributes:
        points: (H, W, 3) [m]; 0 where there is no depth.
        valid: (H, W) whether there is depth.
        height: (H, W) above the support [m]; 0 where there is no depth.
        support: The plane, camera frame.
        color: (H, W, 3) uint8 RGB.
        px_scale: How much finer than a 525 px focal length the pixels are; windows in pixels grow
            with it.
    """

    points: NDArray[np.float32]
    valid: Mask
    height: NDArray[np.float32]
    support: Plane
    color: NDArray[np.uint8]
    px_scale: float

    @property
    def depth(self) -> NDArray[np.float32]:
        """Depth (H, W) along optical +z [m]; 0 where there is none."""
        return self.points[..., 2]

    def footprint(self) -> NDArray[np.float32]:
        """Coordinates (H, W, 2) along the support's plane [m]."""
        out: NDArray[np.float32] = (self.points @ self.support.basis().T.astype(np.float32)).astype(
            np.float32
        )
        return out

    def window(self, rows: slice, columns: slice) -> Surface:
        """Cut out a part."""
        at = (rows, columns)
        return Surface(
            self.points[at],
            self.valid[at],
            self.height[at],
            self.support,
            self.color[at],
            self.px_scale,
        )

    def px(self, reference_px: float) -> int:
        """A length in this view's pixels, given for a focal length of 525 px; at least 1."""
        return max(1, round(reference_px * self.px_scale))


def surface_of(
    depth: NDArray[np.float32], model: CameraModel, color: NDArray[np.uint8], support: Plane
) -> Surface:
    """Lift one view; `depth` (H, W) [m] with NaN for none, `support` in the camera frame."""
    valid = np.isfinite(depth)
    z = np.where(valid, depth, 0.0).astype(np.float32)
    points = (model.rays().astype(np.float32)) * z[..., None]
    height = points @ support.normal.astype(np.float32) + np.float32(support.offset)
    height[~valid] = 0.0
    return Surface(points, valid, height, support, color, model.fx / 525.0)


def smoothed_points(surface: Surface) -> NDArray[np.float32]:
    """Points (H, W, 3) from depth that is smoothed where it is continuous."""
    depth = surface.depth
    smooth = cv2.bilateralFilter(np.ascontiguousarray(depth), 5, 0.01, 3)
    ratio = np.where(depth > 0, smooth / np.maximum(depth, 1e-6), 0.0)
    return (surface.points * ratio[..., None]).astype(np.float32)


def normals(points: NDArray[np.float32], valid: Mask, where: Mask, radius_px: int) -> Array:
    """Unit normals (H, W, 3) toward the camera, from a window's scatter; 0 outside `where`.

    Args:
        points: (H, W, 3) [m], camera frame.
        valid: (H, W) which points to use.
        where: (H, W) for which pixels.
        radius_px: The window's half size.
    """
    size = (2 * radius_px - 1, 2 * radius_px - 1)

    def window_sum(image: Array) -> Array:
        return np.asarray(cv2.boxFilter(image, -1, size, normalize=False), float)

    # Sums of squares lose digits when taken far from the origin: shift to the middle of the data
    # first.
    weight = valid.astype(float)
    shift = points[valid].mean(axis=0) if valid.any() else np.zeros(3)
    p = (points.astype(float) - shift) * weight[..., None]
    count = np.maximum(window_sum(weight), 1e-9)
    mean = [window_sum(p[..., i]) / count for i in range(3)]
    scatter = np.empty((int(where.sum()), 3, 3))
    for i in range(3):
        for j in range(i, 3):
            value = window_sum(p[..., i] * p[..., j]) / count - mean[i] * mean[j]
            scatter[:, i, j] = scatter[:, j, i] = value[where]
    out = np.zeros(points.shape, float)
    normal = np.linalg.eigh(scatter)[1][..., 0]
    away = np.einsum("ij,ij->i", normal, points[where]) > 0
    out[where] = np.where(away[:, None], -normal, normal)
    return out


def shifted(image: NDArray[S], dy: int, dx: int) -> NDArray[S]:
    """Shift an image so that out[y, x] = image[y + dy, x + dx]; the border repeats."""
    h, w = image.shape[:2]
    rows = np.clip(np.arange(h) + dy, 0, h - 1)
    columns = np.clip(np.arange(w) + dx, 0, w - 1)
    return image[rows][:, columns]


def depth_breaks(surface: Surface, jump_m: float, jump_per_m: float) -> Mask:
    """Pixels (H, W) across which the depth jumps more than either side's slope explains."""
    depth = surface.depth
    out = np.zeros(depth.shape, bool)
    k = surface.px(2)
    allowed = np.maximum(jump_m, jump_per_m * depth)
    for dy, dx in ((0, 1), (1, 0)):
        ahead, behind = shifted(depth, dy * k, dx * k), shifted(depth, -dy * k, -dx * k)
        ahead2, behind2 = (
            shifted(depth, 2 * dy * k, 2 * dx * k),
            shifted(depth, -2 * dy * k, -2 * dx * k),
        )
        far = np.float32(9.0)
        slope_ahead = np.where(ahead2 > 0, np.abs(ahead2 - ahead) * 2, far)
        slope_behind = np.where(behind2 > 0, np.abs(behind2 - behind) * 2, far)
        expected = 1.2 * np.minimum(slope_ahead, slope_behind)
        out |= (ahead > 0) & (behind > 0) & (np.abs(ahead - behind) > allowed + expected)
    return out


def concavity_deg(
    points: NDArray[np.float32], normal: Array, inside: Mask, surface: Surface, reach_m: float
) -> Array:
    """Angle (H, W) [deg] by which normals beside a pixel lean together; 0 where convex."""
    out = np.zeros(inside.shape)
    for reference_px in (4, 6):
        k = surface.px(reference_px)
        for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
            normal_a, normal_b = shifted(normal, dy * k, dx * k), shifted(normal, -dy * k, -dx * k)
            step = shifted(points, -dy * k, -dx * k) - shifted(points, dy * k, dx * k)
            length = np.sqrt(np.einsum("ijk,ijk->ij", step, step)) + 1e-9
            lean = np.einsum("ijk,ijk->ij", normal_a - normal_b, step) / length
            ok = (
                inside
                & shifted(inside, dy * k, dx * k)
                & shifted(inside, -dy * k, -dx * k)
                & (length < reach_m)
                & (lean > 0.05)
            )
            cosine = np.clip(np.einsum("ijk,ijk->ij", normal_a, normal_b), -1, 1)
            out = np.maximum(out, np.where(ok, np.degrees(np.arccos(cosine)), 0))
    return out
