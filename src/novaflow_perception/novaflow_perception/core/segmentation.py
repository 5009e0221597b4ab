"""What stands on the support: pixels above it, cut at breaks and valleys, then joined again.

Two things that touch meet in a valley or at a jump of depth; one thing is convex almost everywhere,
except for vessels (their inside is a valley) and prints that the sensor sees as relief. So the cut
errs on the side of too many pieces and `merging` joins those that belong together.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from novaflow_core.settings import setting
from novaflow_perception.core import surface as geometry
from novaflow_perception.core.merging import MergeSettings, merge_pieces
from novaflow_perception.core.occlusion import join_behind
from novaflow_perception.core.surface import Surface

Mask = NDArray[np.bool_]
Labels = NDArray[np.int32]


@dataclass(frozen=True)
class SegmentationSettings:
    """What stands on the support, and where to cut. Pixels are for a focal length of 525 px."""

    floor_m: float = setting(0.006, "least height above the support", unit="m")
    floor_per_z2: float = setting(
        0.006, "least height at 1 m; grows with z squared as depth noise does"
    )
    top_m: float = setting(0.45, "greatest height above the support", unit="m")
    tall_m: float = setting(0.25, "what leaves the image and reaches higher is no object", unit="m")
    range_m: float = setting(1.9, "farthest depth", unit="m")
    jump_m: float = setting(0.012, "least jump of depth between two things", unit="m")
    jump_per_m: float = setting(0.010, "the same, for each metre of depth")
    valley_deg: float = setting(35.0, "least angle of a valley between two things", unit="deg")
    valley_reach_m: float = setting(0.05, "distance across which a valley is measured", unit="m")
    seed_px: float = setting(120.0, "least pixels of a piece after the cut")
    least_px: float = setting(200.0, "least pixels of an object")
    least_top_m: float = setting(0.010, "least height of an object's top", unit="m")


def segment(
    surface: Surface, settings: SegmentationSettings | None = None
) -> tuple[Labels, NDArray[np.float64]]:
    """Find the things on the support.

    Args:
        surface: One view.
        settings: Thresholds.

    Returns:
        Labels (H, W): 0 none, then 1.. by decreasing size. Normals (H, W, 3), 0 away from the
        things.
    """
    settings = settings or SegmentationSettings()
    labels = np.zeros(surface.valid.shape, np.int32)
    normal = np.zeros((*surface.valid.shape, 3))
    above = _above_support(surface, settings)
    if not above.any():
        return labels, normal
    window = _window_around(above, surface.px(12))
    part = surface.window(*window)
    labels[window], normal[window] = _segment_window(part, above[window], settings)
    return labels, normal


def support_pixels(surface: Surface, settings: SegmentationSettings | None = None) -> Mask:
    """Pixels (H, W) of the support itself: the largest connected part near the plane."""
    settings = settings or SegmentationSettings()
    z = surface.depth
    near: Mask = surface.valid & (
        np.abs(surface.height) < np.maximum(0.008, settings.floor_per_z2 * z * z)
    )
    count, parts, stats, _ = cv2.connectedComponentsWithStats(near.astype(np.uint8))
    if count < 2:
        return near
    return np.asarray(parts == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA])))


def _above_support(surface: Surface, settings: SegmentationSettings) -> Mask:
    """Pixels above the support and within its outline."""
    z = surface.depth
    floor = np.maximum(settings.floor_m, settings.floor_per_z2 * z * z)
    above = surface.valid & (surface.height > floor) & (z < settings.range_m)
    above = _without_tall(above, surface, settings)
    support = np.flatnonzero(support_pixels(surface, settings) & (z < settings.range_m * 1.2))
    if len(support) > 100:
        # Only what is asked about is laid into the plane: a frame has a million pixels.
        basis = surface.support.basis().T.astype(np.float32)
        some = surface.points.reshape(-1, 3)[support[:: max(1, len(support) // 20000)]] @ basis
        outline = np.asarray(cv2.convexHull(np.ascontiguousarray(some)), np.float32)[:, 0]
        above[above] = _inside_convex(outline, surface.points[above] @ basis, 0.0)
    return np.asarray(ndimage.binary_opening(above))


def _without_tall(above: Mask, surface: Surface, settings: SegmentationSettings) -> Mask:
    """Leave out what is tall and leaves the image, and what is too high: robot, walls, people."""
    tall = surface.height > settings.tall_m
    if not (above & tall).any():
        return above
    parts = cv2.connectedComponents(above.astype(np.uint8), connectivity=4)[1]
    n = surface.px(2)
    border = np.concatenate(
        [parts[:n].ravel(), parts[-n:].ravel(), parts[:, :n].ravel(), parts[:, -n:].ravel()]
    )
    leaving = np.zeros(int(parts.max()) + 1, bool)
    leaving[np.intersect1d(border, parts[above & tall])] = True
    leaving[0] = False
    return np.asarray(above & ~leaving[parts] & (surface.height < settings.top_m))


def _inside_convex(
    outline: NDArray[np.float32], points: NDArray[np.float32], margin_m: float
) -> Mask:
    """Whether points (*P, 2) lie in a convex polygon (N, 2) widened by a margin."""
    centre = outline.mean(axis=0)
    inside = np.ones(points.shape[:-1], bool)
    for a, b in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        edge = b - a
        length = float(np.linalg.norm(edge))
        if length < 1e-6:
            continue
        outward = np.array([edge[1], -edge[0]], np.float32) / length
        if (centre - a) @ outward > 0:
            outward = -outward
        inside &= (points - a) @ outward <= margin_m
    return inside


def _window_around(mask: Mask, margin_px: int) -> tuple[slice, slice]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return (
        slice(max(0, int(rows[0]) - margin_px), int(rows[-1]) + 1 + margin_px),
        slice(max(0, int(columns[0]) - margin_px), int(columns[-1]) + 1 + margin_px),
    )


def _segment_window(
    surface: Surface, above: Mask, settings: SegmentationSettings
) -> tuple[Labels, NDArray[np.float64]]:
    table = surface.valid & (np.abs(surface.height) < 0.008)
    near = np.asarray(ndimage.binary_dilation(above, iterations=surface.px(3))) & surface.valid
    smooth = geometry.smoothed_points(surface)
    normal = geometry.normals(smooth, (above | table) & surface.valid, near, surface.px(3))
    breaks = geometry.depth_breaks(surface, settings.jump_m, settings.jump_per_m)
    valley = geometry.concavity_deg(smooth, normal, above, surface, settings.valley_reach_m)
    core = np.asarray(ndimage.binary_opening(above & ~breaks & ~(valley > settings.valley_deg)))
    area = surface.px_scale**2
    pieces = _drop_small(np.asarray(ndimage.label(core)[0], np.int32), settings.seed_px * area)
    pieces = _grow(pieces, above, surface, settings)
    # What is a valley all over, as the inside of a mug, has no core: it makes pieces of its own.
    rest = np.asarray(ndimage.label(above & ~breaks & (pieces == 0))[0], np.int32)
    rest = _drop_small(rest, settings.seed_px * area)
    pieces = np.where((pieces == 0) & (rest > 0), rest + pieces.max(), pieces).astype(np.int32)
    pieces = _grow(pieces, above, surface, settings)
    pieces = merge_pieces(pieces, surface, normal, MergeSettings())
    pieces = _drop_small(pieces, settings.least_px * area)
    pieces = join_behind(pieces, surface, normal)
    pieces = _take_fringe(pieces, surface, above)
    return _ordered(pieces, surface, settings, area), normal


def _drop_small(pieces: Labels, least_px: float) -> Labels:
    sizes = np.bincount(pieces.ravel())
    keep = sizes >= least_px
    keep[0] = False
    number = np.where(keep, np.cumsum(keep), 0).astype(np.int32)
    return np.asarray(number[pieces], np.int32)


def _grow(pieces: Labels, above: Mask, surface: Surface, settings: SegmentationSettings) -> Labels:
    """Give the cut pixels to the piece beside them that continues their depth."""
    out, depth = pieces.copy(), surface.depth
    for _ in range(surface.px(25)):
        changed = False
        for dy, dx in ((0, 1), (0, -1), (1, 0), (-1, 0)):
            source, z = geometry.shifted(out, dy, dx), geometry.shifted(depth, dy, dx)
            take = above & (out == 0) & (source > 0) & (np.abs(z - depth) < settings.jump_m)
            if take.any():
                out[take] = source[take]
                changed = True
        if not changed:
            break
    return out


def _take_fringe(pieces: Labels, surface: Surface, above: Mask) -> Labels:
    """Add what a piece (nearly) encloses: dark prints, glossy spots, the low rim at its foot."""
    out = pieces.copy()
    low = surface.height > 0.004
    loose = surface.valid & low & (out == 0)
    loose &= np.asarray(ndimage.binary_dilation(above, iterations=surface.px(3)))
    parts, _ = ndimage.label(loose)
    reach = np.ones((2 * surface.px(3) + 1,) * 2, bool)
    for i, place in enumerate(ndimage.find_objects(parts), start=1):
        rows, columns = (slice(max(0, s.start - 8), s.stop + 8) for s in place)
        part = parts[rows, columns] == i
        if part.sum() > 1500 * surface.px_scale**2:
            continue
        around = out[rows, columns][ndimage.binary_dilation(part, reach)]
        around = around[around > 0]
        if len(around) > 0.6 * np.sqrt(part.sum()):
            votes = np.bincount(around)
            if votes.max() > 0.75 * len(around):
                out[rows, columns][part] = int(votes.argmax())
    n = surface.px(4)
    for i in range(1, int(out.max()) + 1):
        padded = np.pad(out == i, 2 * n)
        closed = ndimage.binary_closing(padded, iterations=n)[2 * n : -2 * n, 2 * n : -2 * n]
        filled = np.asarray(ndimage.binary_fill_holes(closed))
        deep = np.asarray(ndimage.binary_erosion(filled, iterations=surface.px(6)))
        out[filled & surface.valid & (out == 0) & (low | deep)] = i
    return out


def _ordered(
    pieces: Labels, surface: Surface, settings: SegmentationSettings, area: float
) -> Labels:
    """Drop what is too small or too low, number the rest by decreasing size."""
    sizes = np.bincount(pieces.ravel(), minlength=1)
    keep = [
        i
        for i in np.argsort(-sizes[1:], kind="stable") + 1
        if sizes[i] >= settings.least_px * area
        and np.percentile(surface.height[pieces == i], 98) >= settings.least_top_m
    ]
    number = np.zeros(len(sizes), np.int32)
    number[keep] = np.arange(1, len(keep) + 1)
    return np.asarray(number[pieces], np.int32)
