"""Two pieces of one thing that something nearer hides the middle of.

They lie on the same planes, and every line of sight between them ends at something nearer. Planes
are all that is compared: prints differ from end to end. Round things that stand are left alone, for
two of them side by side share planes as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from novaflow_core.settings import setting
from novaflow_perception.core.surface import Surface

Array = NDArray[np.float64]
Labels = NDArray[np.int32]
Mask = NDArray[np.bool_]
_SAMPLE = 500
_TRIALS = 40
_LEAST_PLANE = 0.12  # of a piece's points


@dataclass(frozen=True)
class OcclusionSettings:
    """When two pieces continue each other behind something."""

    least_px: float = setting(400.0, "smaller pieces are not joined, at a 525 px focal length")
    band_m: float = setting(0.007, "how near to a plane a point of both must be", unit="m")
    cosine: float = setting(0.93, "how well its normal must agree with the plane's")
    shared: float = setting(0.5, "share of each piece on planes of the other")
    lid: float = setting(0.3, "share of each piece's points that face up, for its outline to count")
    edge_m: float = setting(0.010, "how near to a common rectangle their sides must be", unit="m")
    on_edge: float = setting(0.75, "share of each piece's side points that must be")
    level_m: float = setting(0.012, "how far apart their tops may be", unit="m")
    angular: float = setting(0.45, "how much the sides must face four directions only, 0..1")
    in_front_m: float = setting(0.015, "how much nearer what hides them must be", unit="m")
    hidden: float = setting(0.9, "share of the line between them that must be hidden")


@dataclass(frozen=True)
class _Part:
    label: int
    points: Array
    normal: Array
    flat: Array
    up: Array
    top_m: float
    planes: list[tuple[Array, float]]
    centre_px: Array
    depth_m: float


def join_behind(
    labels: Labels, surface: Surface, normal: Array, settings: OcclusionSettings | None = None
) -> Labels:
    """Give pieces that continue each other behind something nearer one label.

    Args:
        labels: (H, W) 0 none, 1.. pieces.
        surface: The same window.
        normal: (H, W, 3) unit normals.
        settings: Thresholds.
    """
    s = settings or OcclusionSettings()
    least = s.least_px * surface.px_scale**2
    counts = np.bincount(labels.ravel())
    parts = [
        part
        for i in range(1, len(counts))
        if counts[i] >= least and (part := _part(i, labels == i, surface, normal, s)) is not None
    ]
    out = labels.copy()
    owner = {part.label: part.label for part in parts}
    for k, a in enumerate(parts):
        for b in parts[k + 1 :]:
            same = owner[a.label] == owner[b.label]
            if not same and _continue(a, b, s) and _hidden_between(a, b, labels, surface, s):
                kept, gone = owner[a.label], owner[b.label]
                out[out == gone] = kept
                owner = {i: kept if o == gone else o for i, o in owner.items()}
    return out


def _part(
    label: int, mask: Mask, surface: Surface, normal: Array, s: OcclusionSettings
) -> _Part | None:
    rows, columns = np.nonzero(mask)
    n = normal[mask]
    up = n @ surface.support.normal
    side = (np.abs(up) < 0.5) & (np.abs(n).sum(axis=1) > 0)
    flat = n[side] @ surface.support.basis().T
    if len(flat) >= 40:
        angle = np.arctan2(flat[:, 1], flat[:, 0])
        if abs(np.exp(4j * angle).mean()) < s.angular:
            return None
    rng = np.random.default_rng(label)
    some = rng.choice(len(n), min(_SAMPLE, len(n)), replace=False)
    points, n = surface.points[mask][some].astype(float), n[some]
    return _Part(
        label,
        points,
        n,
        points @ surface.support.basis().T,
        n @ surface.support.normal,
        float(np.percentile(surface.height[mask], 97)),
        _planes(points, n, rng, s),
        np.array([columns.mean(), rows.mean()]),
        float(np.median(surface.depth[mask])),
    )


def _planes(
    points: Array, normal: Array, rng: np.random.Generator, s: OcclusionSettings
) -> list[tuple[Array, float]]:
    left, planes = np.ones(len(points), bool), []
    for _ in range(4):
        seeds = np.flatnonzero(left)
        if len(seeds) < 40:
            break
        seeds = rng.choice(seeds, min(_TRIALS, len(seeds)), replace=False)
        offset = np.einsum("ij,ij->i", points[seeds], normal[seeds])
        near = np.abs(points @ normal[seeds].T - offset) < s.band_m
        fits = near & (normal @ normal[seeds].T > s.cosine) & left[:, None]
        best = int(np.argmax(fits.sum(axis=0)))
        chosen = fits[:, best]
        if chosen.mean() < _LEAST_PLANE:
            break
        mean = normal[chosen].mean(axis=0)
        mean /= np.linalg.norm(mean)
        planes.append((mean, float((points[chosen] @ mean).mean())))
        left &= ~chosen
    return planes


def _continue(a: _Part, b: _Part, s: OcclusionSettings) -> bool:
    if abs(a.top_m - b.top_m) > s.level_m:
        return False
    if min(_share_on(a, b.planes, s), _share_on(b, a.planes, s)) > s.shared:
        return True
    return _one_rectangle(a, b, s)


def _one_rectangle(a: _Part, b: _Part, s: OcclusionSettings) -> bool:
    """Whether two level tops of one height, with their sides, make one upright box."""
    if min((a.up > 0.85).mean(), (b.up > 0.85).mean()) < s.lid:
        return False
    both = np.concatenate([a.flat, b.flat]).astype(np.float32)
    middle, size, turn = cv2.minAreaRect(both)
    c, si = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    axes = np.array([[c, si], [-si, c]])
    for part in (a, b):
        side = np.abs(part.up) < 0.5
        if side.sum() < 20:
            return False
        inset = np.asarray(size) / 2 - np.abs((part.flat[side] - middle) @ axes.T)
        if (inset.min(axis=1) < s.edge_m).mean() < s.on_edge:
            return False
    return True


def _share_on(part: _Part, planes: list[tuple[Array, float]], s: OcclusionSettings) -> float:
    """Share of a piece on two or more planes of another; one plane alone says little."""
    explained, used = np.zeros(len(part.points), bool), 0
    for normal, offset in planes:
        near = np.abs(part.points @ normal - offset) < s.band_m
        on = near & (part.normal @ normal > s.cosine)
        used += bool(on.mean() > 0.5 * _LEAST_PLANE)
        explained |= on
    return float(explained.mean()) if used >= 2 else 0.0


def _hidden_between(
    a: _Part, b: _Part, labels: Labels, surface: Surface, s: OcclusionSettings
) -> bool:
    steps = int(np.abs(a.centre_px - b.centre_px).max()) + 1
    share = np.linspace(0.0, 1.0, steps)
    line = np.rint(a.centre_px + share[:, None] * (b.centre_px - a.centre_px)).astype(int)
    rows, columns = line[:, 1], line[:, 0]
    found = labels[rows, columns]
    between = (found != a.label) & (found != b.label)
    if not between.any():
        return False
    expected = a.depth_m + share * (b.depth_m - a.depth_m)
    valid = surface.valid[rows, columns]
    nearer = valid & (surface.depth[rows, columns] < expected - s.in_front_m) & (found > 0)
    hidden = (nearer | ~valid)[between]
    return bool(nearer.any() and hidden.mean() >= s.hidden)
