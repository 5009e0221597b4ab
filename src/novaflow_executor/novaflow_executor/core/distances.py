"""Distances of segments to planes, boxes and each other, batched; negative is a penetration."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def segment_plane(a: Array, b: Array, normal: Array, offset: float) -> tuple[Array, Array]:
    """Height of the lower end of segments and that end.

    Args:
        a: (*B, 3) first ends [m].
        b: (*B, 3) second ends [m].
        normal: (3,) unit.
        offset: Plane `normal . p + offset = 0` [m].

    Returns:
        Heights (*B,) and points (*B, 3) [m].
    """
    height_a, height_b = a @ normal + offset, b @ normal + offset
    lower = height_a < height_b
    return np.where(lower, height_a, height_b), np.where(lower[..., None], a, b)


def segment_box(a: Array, b: Array, half: Array) -> tuple[Array, Array, Array]:
    """Exact distance between segments and boxes that are centred and aligned with the axes.

    The squared distance along a segment is convex; its derivative is continuous and piecewise
    linear, with breaks where the segment crosses a face's plane. It vanishes at the minimum: on a
    whole interval where the segment is parallel to a face, or inside, whose middle then stands for
    it.

    Args:
        a: (*B, 3) first ends in the box's frame [m].
        b: (*B, 3) second ends [m].
        half: (*B, 3) or (3,) half extents [m].

    Returns:
        Distance (*B,) [m], negative inside; the segment's closest point and the outward normal
        there (*B, 3).
    """
    d = b - a
    half = np.broadcast_to(half, a.shape)
    safe = np.where(np.abs(d) < 1e-9, 1e-9, d)
    breaks = np.concatenate(
        [
            (half - a) / safe,
            (-half - a) / safe,
            np.zeros_like(a[..., :1]),
            np.ones_like(a[..., :1]),
        ],
        axis=-1,
    )
    breaks = np.sort(np.clip(breaks, 0.0, 1.0), axis=-1)  # (*B, 8)
    points = a[..., None, :] + breaks[..., None] * d[..., None, :]
    excess = points - np.clip(points, -half[..., None, :], half[..., None, :])
    slope = np.einsum("...ki,...i->...k", excess, d)
    falling, rising = (slope < -1e-12).sum(axis=-1), (slope > 1e-12).sum(axis=-1)
    first = _root(breaks, slope, falling)
    last = _root(breaks, slope, 8 - rising)
    closest = a + (0.5 * (first + last))[..., None] * d
    gap = closest - np.clip(closest, -half, half)
    distance = np.linalg.norm(gap, axis=-1)
    depth = half - np.abs(closest)
    shallow = np.argmin(depth, axis=-1)[..., None] == np.arange(3)
    outside = distance > 1e-9
    normal = np.where(
        outside[..., None],
        gap / np.where(outside, distance, 1.0)[..., None],
        np.where(shallow, np.where(closest < 0, -1.0, 1.0), 0.0),
    )
    return np.where(outside, distance, -depth.min(axis=-1)), closest, normal


def segment_segment(a1: Array, b1: Array, a2: Array, b2: Array) -> tuple[Array, Array, Array]:
    """Closest points of pairs of segments (*B, 3).

    Returns:
        Distance (*B,) [m] and the points on the first and the second segment (*B, 3).
    """
    d1, d2, r = b1 - a1, b2 - a2, a1 - a2
    e1, e2, f, c, k = (
        _dot(d1, d1) + 1e-12,
        _dot(d2, d2) + 1e-12,
        _dot(d2, r),
        _dot(d1, r),
        _dot(d1, d2),
    )
    den = e1 * e2 - k * k
    skew = den > 1e-9 * e1 * e2
    s = np.where(skew, np.clip((k * f - c * e2) / np.where(skew, den, 1.0), 0, 1), 0.0)
    t = (k * s + f) / e2
    s = np.where(t < 0, np.clip(-c / e1, 0, 1), np.where(t > 1, np.clip((k - c) / e1, 0, 1), s))
    t = np.clip(t, 0, 1)
    p1, p2 = a1 + s[..., None] * d1, a2 + t[..., None] * d2
    return np.linalg.norm(p2 - p1, axis=-1), p1, p2


def _root(breaks: Array, slope: Array, after: NDArray[np.int_]) -> Array:
    """Where the slope crosses zero (*B,) between the breaks `after - 1` and `after`."""
    low, high = np.maximum(after - 1, 0), np.minimum(after, breaks.shape[-1] - 1)
    t0, t1, s0, s1 = (
        _pick(breaks, low),
        _pick(breaks, high),
        _pick(slope, low),
        _pick(slope, high),
    )
    rise = s1 - s0
    share = np.where(rise > 1e-15, -s0 / np.where(rise > 1e-15, rise, 1.0), 0.0)
    return np.asarray(t0 + np.clip(share, 0.0, 1.0) * (t1 - t0))


def _pick(values: Array, index: NDArray[np.int_]) -> Array:
    """Values (*B,) at an index (*B,) of the last axis."""
    return np.asarray(np.take_along_axis(values, index[..., None], axis=-1)[..., 0])


def _dot(x: Array, y: Array) -> Array:
    return np.asarray(np.einsum("...i,...i->...", x, y))
