"""What a thing's surface says of its form: extents, corners or roundness, lid or opening."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from novaflow_perception.core.surface import Surface

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

_UPRIGHT = 0.5  # |cosine| between normal and up below which a pixel is on a side
_LEVEL = 0.85  # cosine above which it faces up
_PLANE_BAND_M = 0.005
_PLANE_COSINE = 0.94
_AXIS_COSINE = 0.95
_BOX_AXES = (0.54, 0.64)


@dataclass(frozen=True)
class Shape:
    """Measures of one thing; lengths in m.

    Attributes:
        long_m: Larger side of the footprint's rectangle.
        short_m: Its smaller side.
        bottom_m: Lowest visible height above the support.
        top_m: Greatest height above the support.
        angular: How much its side faces four directions only (1, a box) or all (0, round); NaN
            without sides.
        sides: Share of its pixels on upright sides.
        flat: Share of its pixels that three planes explain.
        disc: How much the outline of its top fills its circle: 1 a disc, 0.64 a square.
        hollow: Share of its pixels that see an inside: below the rim and facing its middle, or a
            floor within it.
        lid: Share of its pixels that face up at its top.
        taper: Width near its foot over width near its top.
        axes: Share of its pixels whose normals lie along three axes at right angles, in whatever
            pose: near 1 for a box, about 0.4 for the side of a cylinder.
        crown: Whether leaves grow over it, 0 or 1; only looked for where it matters.
        spout_m: How far a spout sticks out of it; only looked for where it matters.
    """

    long_m: float
    short_m: float
    bottom_m: float
    top_m: float
    angular: float
    sides: float
    flat: float
    disc: float
    hollow: float
    lid: float
    taper: float
    axes: float
    crown: float = 0.0
    spout_m: float = 0.0

    @property
    def height_m(self) -> float:
        """Visible height."""
        return self.top_m - self.bottom_m

    @property
    def big_m(self) -> float:
        """Largest extent."""
        return max(self.long_m, self.height_m)

    @property
    def boxy(self) -> float:
        """0 round .. 1 made of few planes that meet at right angles."""
        if self.top_m < 0.03 or self.sides < 0.06:
            # Too low or seen from above: only the outline and the planes speak.
            outline = ramp(0.80 - self.disc, 0.0, 0.12)
            return min(outline, ramp(self.flat, 0.62, 0.75))
        return min(
            ramp(self.angular, 0.30, 0.50),
            ramp(self.flat, 0.64, 0.76),
            ramp(self.axes, *_BOX_AXES),
        )

    @property
    def lying(self) -> bool:
        """Whether it is a round thing whose axis is level: its sides face two ways only."""
        return bool(self.boxy < 0.5 and self.angular > 0.5)

    @property
    def length_m(self) -> float:
        """Extent along the axis of a round thing, which may lie; the height of anything else."""
        if not self.lying:
            return self.height_m
        across = [self.long_m, self.short_m]
        return max(across, key=lambda side: abs(side - self.top_m))

    @property
    def girth_m(self) -> float:
        """Extent across that axis; a handle makes the longer side longer still."""
        return self.height_m if self.lying else self.short_m


def ramp(value: float, low: float, high: float) -> float:
    """0 below `low`, 1 above `high`, linear between."""
    return float(np.clip((value - low) / (high - low), 0.0, 1.0))


def solid_pixels(surface: Surface, mask: Mask) -> Mask:
    """Pixels (H, W) of a thing without those at its edge, whose depth may be mixed."""
    inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    inner = inner if inner.sum() > max(40, 0.3 * mask.sum()) else mask
    depth = np.where(mask, surface.depth, np.float32(0))
    high = cv2.dilate(depth, np.ones((3, 3), np.uint8))
    low = cv2.erode(np.where(mask, surface.depth, np.float32(9)), np.ones((3, 3), np.uint8))
    steep = (high - low) > np.maximum(0.012, 0.012 * surface.depth)
    solid = inner & ~steep
    return solid if solid.sum() > max(40, 0.3 * mask.sum()) else inner


def measure(surface: Surface, normal: Array, mask: Mask, seed: int = 1) -> Shape:
    """Measure one thing.

    Args:
        surface: The view.
        normal: (H, W, 3) unit normals, camera frame.
        mask: (H, W) its pixels.
        seed: Of the sampling for planes.
    """
    solid = solid_pixels(surface, mask)
    flat = surface.footprint()[solid].astype(float)
    height = surface.height[solid].astype(float)
    n = normal[solid]
    up = n @ surface.support.normal
    top = float(np.percentile(height, 98))
    bottom = float(np.percentile(height, 2))
    rectangle = cv2.minAreaRect(_core(flat).astype(np.float32))
    short, long = sorted(rectangle[1])
    side = (np.abs(up) < _UPRIGHT) & (np.abs(n).sum(axis=1) > 0)
    rim = height > top - max(0.012, 0.12 * (top - bottom))
    hull = np.asarray(cv2.convexHull(_core(flat[rim]).astype(np.float32)), np.float32)
    hollow = _inside_share(hull, flat, height, n @ surface.support.basis().T, up, top)
    radius = cv2.minEnclosingCircle(hull)[1]
    return Shape(
        long_m=float(long),
        short_m=float(short),
        bottom_m=bottom,
        top_m=top,
        angular=_four_fold(n[side] @ surface.support.basis().T),
        sides=float(side.mean()),
        flat=_planar_share(surface.points[solid].astype(float), n, seed),
        disc=float(cv2.contourArea(hull) / (np.pi * radius * radius + 1e-9)),
        hollow=hollow,
        lid=float(((up > _LEVEL) & rim).mean()),
        taper=_taper(flat, height, bottom, top),
        axes=_axes_share(n, surface.support.normal, seed),
    )


def _core(flat: Array) -> Array:
    """Footprint points without the sparsest few percent: depth at edges flies."""
    if len(flat) < 50:
        return flat
    cell = np.floor(flat / 0.006).astype(np.int64)
    cell -= cell.min(axis=0)
    key = cell[:, 0] * (int(cell[:, 1].max()) + 1) + cell[:, 1]
    _, inverse, count = np.unique(key, return_inverse=True, return_counts=True)
    keep = count[inverse] > max(2.0, 0.15 * float(np.median(count)))
    return flat[keep] if keep.sum() > 20 else flat


def _inside_share(
    hull: NDArray[np.float32], flat: Array, height: Array, horizontal: Array, up: Array, top: float
) -> float:
    """Share of pixels within and below the rim that face its middle or, on a floor, up."""
    below = height < top - max(0.008, 0.10 * (top - float(height.min())))
    if len(hull) < 3 or below.sum() < 20:
        return 0.0
    middle = hull[:, 0].astype(float).mean(axis=0)
    inward = middle - flat
    distance = np.linalg.norm(inward, axis=1)
    facing = np.einsum("ij,ij->i", inward, horizontal) / np.maximum(distance, 1e-6)
    wall = below & (facing > 0.35) & (distance > 0.006) & (np.abs(up) < 0.8)
    floor = below & (up > 0.6)
    out = np.zeros(len(flat), bool)
    for sort, margin_m in ((wall, -0.006), (floor, 0.008)):
        chosen = np.flatnonzero(sort)
        out[chosen] |= _inside(hull, flat[chosen], margin_m)
    return float(out.mean())


def _inside(hull: NDArray[np.float32], points: Array, margin_m: float) -> Mask:
    if len(hull) < 3 or not len(points):
        return np.zeros(len(points), bool)
    corners = hull[:, 0].astype(float)
    edges = np.roll(corners, -1, axis=0) - corners
    length = np.linalg.norm(edges, axis=1) + 1e-12
    outward = np.stack([edges[:, 1], -edges[:, 0]], -1) / length[:, None]
    centre = corners.mean(axis=0)
    flip = np.einsum("ij,ij->i", outward, centre - corners) > 0
    outward[flip] *= -1
    distance = points @ outward.T - np.einsum("ij,ij->i", outward, corners)
    return np.asarray((distance < -margin_m).all(axis=1))


def _four_fold(horizontal: Array) -> float:
    """Length of the mean of exp(4 i angle): 1 for four directions at 90 degrees, 0 for all."""
    if len(horizontal) < 40:
        return float("nan")
    angle = np.arctan2(horizontal[:, 1], horizontal[:, 0])
    return float(abs(np.exp(4j * angle).mean()))


def _planar_share(points: Array, normal: Array, seed: int) -> float:
    """Share of points that the three best planes explain, by position and by normal."""
    rng = np.random.default_rng(seed)
    some = rng.choice(len(points), min(1000, len(points)), replace=False)
    x, n = points[some], normal[some]
    left, explained = np.ones(len(x), bool), 0
    for _ in range(3):
        if left.sum() < 40:
            break
        seeds = rng.choice(np.flatnonzero(left), 60)
        distance = np.abs(x @ n[seeds].T - np.einsum("ij,ij->i", x[seeds], n[seeds]))
        fits = (distance < _PLANE_BAND_M) & (n @ n[seeds].T > _PLANE_COSINE) & left[:, None]
        best = fits[:, int(np.argmax(fits.sum(axis=0)))]
        if best.sum() < 0.08 * len(x):
            break
        explained += int(best.sum())
        left &= ~best
    return explained / len(x)


def _axes_share(normal: Array, up: Array, seed: int) -> float:
    """Share of normals (N, 3) along the best three axes at right angles to each other."""
    rng = np.random.default_rng(seed)
    known = normal[np.abs(normal).sum(axis=1) > 0]
    if len(known) < 40:
        return 0.0
    known = known[rng.choice(len(known), min(600, len(known)), replace=False)]
    first = np.concatenate([up[None], known[rng.integers(len(known), size=24)]])
    second = known[rng.integers(len(known), size=12)]
    a = np.repeat(first, len(second), axis=0)
    b = np.tile(second, (len(first), 1))
    b = b - np.einsum("ij,ij->i", a, b)[:, None] * a
    length = np.linalg.norm(b, axis=1)
    a, b = a[length > 0.5], b[length > 0.5] / length[length > 0.5, None]
    if not len(a):
        return float((np.abs(known @ first.T) > _AXIS_COSINE).mean(axis=0).max())
    along = np.maximum(np.abs(known @ a.T), np.abs(known @ b.T))
    along = np.maximum(along, np.abs(known @ np.cross(a, b).T))
    return float((along > _AXIS_COSINE).mean(axis=0).max())


def _taper(flat: Array, height: Array, bottom: float, top: float) -> float:
    """Width of the lowest quarter over width of the highest quarter, as seen; NaN without both."""
    quarter = (top - bottom) / 4
    widths = []
    for part in (height < bottom + quarter, height > top - quarter):
        if part.sum() < 20:
            return float("nan")
        low, high = np.percentile(flat[part], [3, 97], axis=0)
        widths.append(float((high - low).max()))
    return widths[0] / (widths[1] + 1e-9)
