"""Join pieces of one thing: what lies within an outline, a vessel's inside, caps, handles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from novaflow_core.settings import setting
from novaflow_perception.core.surface import Surface

Mask = NDArray[np.bool_]
Labels = NDArray[np.int32]


@dataclass(frozen=True)
class MergeSettings:
    """When two pieces are one thing. Pixels are for a focal length of 525 px."""

    least_px: float = setting(60.0, "smaller pieces are not compared")
    inside_share: float = setting(0.75, "share of a piece's footprint within the other's outline")
    inside_margin_m: float = setting(0.006, "by which the outline is widened", unit="m")
    inside_top_m: float = setting(0.012, "how much higher than the other it may reach", unit="m")
    contact_px: float = setting(15.0, "least pixels of contact")
    hollow: float = setting(-0.12, "how hollow a vessel's inside is: normals against positions")
    wall_hollow: float = setting(0.03, "the same for one wall of a vessel's inside")
    wall_rim_m: float = setting(
        0.012, "how far apart the rims of a wall and the outside may be", unit="m"
    )
    wall_facing: float = setting(0.3, "how much a wall faces the outside: cosine")
    lid_share: float = setting(0.15, "share of upward pixels at the rim that makes a lid")
    lid_depth_m: float = setting(0.015, "how far below the top they count", unit="m")
    cap_size: float = setting(0.2, "greatest size of a cap or a floating part, of the thing's")
    cap_gap_m: float = setting(0.02, "how far from the thing's top a cap may begin", unit="m")
    floating_m: float = setting(0.015, "what ends higher than this hangs on something", unit="m")
    part_size: float = setting(0.1, "greatest size of a part of the same colour, of the thing's")
    part_top_m: float = setting(0.02, "how much higher than the thing it may reach", unit="m")
    part_gap_m: float = setting(0.03, "greatest gap in depth to the thing", unit="m")
    part_contact_px: float = setting(6.0, "least pixels of contact with the thing")
    vessel_rim_m: float = setting(0.035, "how much higher the outside's rim may be", unit="m")
    vessel_chroma: float = setting(
        14.0, "how far apart the colours of inside and outside may be, a*b*"
    )
    vessel_chroma_same_hue: float = setting(35.0, "the same where the hues agree")
    vessel_hue_rad: float = setting(0.35, "within which hues agree", unit="rad")
    colour_contact_px: float = setting(15.0, "least pixels of contact of pieces of one colour")
    vessel_lightness: float = setting(90.0, "how far apart in lightness, of 255")


@dataclass(frozen=True)
class _Piece:
    mask: Mask
    size: int
    outline: NDArray[np.float32]
    sample: NDArray[np.float32]
    top_m: float
    bottom_m: float
    hollow: float
    lid: float
    centre: NDArray[np.float64]
    normal: NDArray[np.float64]
    lab: NDArray[np.float32]


def merge_pieces(
    pieces: Labels, surface: Surface, normal: NDArray[np.float64], settings: MergeSettings
) -> Labels:
    """Join pieces until no rule applies.

    Args:
        pieces: (H, W) 0 none, 1.. pieces.
        surface: The same window.
        normal: (H, W, 3) unit normals.
        settings: Thresholds.

    Returns:
        Labels (H, W) with joined pieces.
    """
    work = _Merge(pieces.copy(), surface, normal, settings)
    work.join(work.lies_within)
    work.join(work.inside_of_vessel)
    work.join(work.wall_of_vessel)
    work.join(work.lies_within)
    work.join(work.cap)
    work.join(work.part)
    return work.labels


class _Merge:
    def __init__(
        self, labels: Labels, surface: Surface, normal: NDArray[np.float64], settings: MergeSettings
    ) -> None:
        self.labels, self._surface, self._normal, self._s = labels, surface, normal, settings
        self._flat = surface.footprint()
        blurred = cv2.GaussianBlur(surface.color, (0, 0), 1.5 * surface.px_scale)
        self._lab = cv2.cvtColor(blurred, cv2.COLOR_RGB2LAB).astype(np.float32)
        self._pieces = {
            int(i): self._describe(labels == i)
            for i in np.unique(labels)
            if i and (labels == i).sum() >= settings.least_px * surface.px_scale**2
        }

    def join(self, rule: Callable[[_Piece, _Piece], float]) -> None:
        """Join the best pair under a rule until none is left; a rule returns 0 for no."""
        scores: dict[tuple[int, int], float] = {}
        fresh = set(self._pieces)
        while True:
            for i in self._pieces:
                for j in self._pieces:
                    if i != j and (i in fresh or j in fresh):
                        scores[i, j] = rule(self._pieces[i], self._pieces[j])
            if not scores or max(scores.values()) <= 0:
                return
            i, j = max(scores, key=lambda pair: scores[pair])
            self.labels[self.labels == i] = j
            del self._pieces[i]
            scores = {pair: s for pair, s in scores.items() if i not in pair}
            self._pieces[j] = self._describe(self.labels == j)
            fresh = {j}

    def lies_within(self, inner: _Piece, outer: _Piece) -> float:
        """A piece over the other's footprint that does not rise above it."""
        s = self._s
        if inner.size > 1.5 * outer.size or inner.top_m > outer.top_m + s.inside_top_m:
            return 0.0
        share = self._share_inside(inner, outer)
        if share <= s.inside_share:
            return 0.0
        return share if self._contact(inner, outer, 8) > s.contact_px else 0.0

    def inside_of_vessel(self, inner: _Piece, outer: _Piece) -> float:
        """A hollow piece beside one of the same colour and rim."""
        s = self._s
        if inner.hollow > s.hollow or outer.top_m - inner.top_m > s.vessel_rim_m:
            return 0.0
        return self._joined_by_colour(inner, outer)

    def wall_of_vessel(self, inner: _Piece, outer: _Piece) -> float:
        """A wall seen over an open rim: it faces the outside's wall and ends as high."""
        s = self._s
        if inner.hollow > s.wall_hollow or outer.lid > s.lid_share or inner.lid > s.lid_share:
            return 0.0
        if abs(outer.top_m - inner.top_m) > s.wall_rim_m:
            return 0.0
        up = self._surface.support.normal
        toward = outer.centre - inner.centre
        toward -= (toward @ up) * up
        facing = inner.normal @ toward / (np.linalg.norm(toward) + 1e-9)
        return self._joined_by_colour(inner, outer) if facing > s.wall_facing else 0.0

    def cap(self, inner: _Piece, outer: _Piece) -> float:
        """A small piece over something that has no flat top for it to stand on."""
        s = self._s
        if inner.size > s.cap_size * outer.size or outer.lid > s.lid_share:
            return 0.0
        if inner.bottom_m < outer.top_m - s.cap_gap_m:
            return 0.0
        share = self._share_inside(inner, outer)
        touching = self._contact(inner, outer, 9, s.part_gap_m) > 8
        return share if share > s.inside_share and touching else 0.0

    def part(self, inner: _Piece, outer: _Piece) -> float:
        """A handle or a flap: of the same colour, and small, or ending above the support."""
        s = self._s
        floating = inner.bottom_m > s.floating_m and inner.size < s.cap_size * outer.size
        if not floating and inner.size > s.part_size * outer.size:
            return 0.0
        if inner.top_m > outer.top_m + s.part_top_m:
            return 0.0
        if self._contact(inner, outer, 9, s.part_gap_m) < s.part_contact_px:
            return 0.0
        return self._joined_by_colour(inner, outer, s.part_contact_px)

    def _share_inside(self, inner: _Piece, outer: _Piece) -> float:
        """Share of a piece's footprint within the other's outline."""
        distance = [
            cv2.pointPolygonTest(outer.outline, (float(x), float(y)), True) for x, y in inner.sample
        ]
        return float((np.array(distance) > -self._s.inside_margin_m).mean())

    def _joined_by_colour(
        self, inner: _Piece, outer: _Piece, least_px: float | None = None
    ) -> float:
        """Length of contact of two pieces of one colour; 0 when their colours or places differ."""
        s = self._s
        chroma_a, chroma_b = inner.lab[1:] - 128, outer.lab[1:] - 128
        turn = abs(np.arctan2(*chroma_a[::-1]) - np.arctan2(*chroma_b[::-1]))
        same_hue = min(turn, 2 * np.pi - turn) <= s.vessel_hue_rad
        allowed = s.vessel_chroma_same_hue if same_hue else s.vessel_chroma
        if np.linalg.norm(chroma_a - chroma_b) > allowed:
            return 0.0
        if abs(inner.lab[0] - outer.lab[0]) > s.vessel_lightness:
            return 0.0
        contact = self._contact(inner, outer, 6)
        return contact if contact >= (least_px or s.colour_contact_px) else 0.0

    def _contact(
        self, a: _Piece, b: _Piece, reach_px: float, depth_m: float | None = None
    ) -> float:
        """Pixels of b near a, at a 525 px focal length; `depth_m`: near in depth, too."""
        n = 2 * self._surface.px(reach_px) + 1
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (n, n))
        near = cv2.dilate(a.mask.astype(np.uint8), kernel).astype(bool)
        near &= b.mask
        if depth_m is not None and near.any():
            depth = self._surface.depth
            far = cv2.dilate(np.where(a.mask, depth, np.float32(0)), kernel)
            close = cv2.erode(np.where(a.mask, depth, np.float32(99)), kernel)
            near &= (depth > close - depth_m) & (depth < far + depth_m)
        return float(near.sum()) / self._surface.px_scale

    def _describe(self, mask: Mask) -> _Piece:
        inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
        inner = inner if inner.sum() > 40 else mask
        points, normal = self._surface.points[inner].astype(float), self._normal[inner]
        offset = points - points.mean(axis=0)
        lean = np.einsum("ij,ij->i", offset, normal - normal.mean(axis=0)).mean()
        spread = np.sqrt(np.einsum("ij,ij->i", offset, offset).mean()) + 1e-9
        flat = self._flat[mask]
        height = self._surface.height[inner]
        top = float(np.percentile(self._surface.height[mask], 98))
        upward = normal @ self._surface.support.normal > 0.8
        return _Piece(
            mask=mask,
            size=int(mask.sum()),
            outline=np.asarray(cv2.convexHull(flat.reshape(-1, 1, 2)), np.float32),
            sample=flat[:: max(1, len(flat) // 80)],
            top_m=top,
            bottom_m=float(np.percentile(self._surface.height[mask], 4)),
            hollow=float(lean / spread),
            lid=float((upward & (height > top - self._s.lid_depth_m)).mean()),
            centre=points.mean(axis=0),
            normal=normal.mean(axis=0) / (np.linalg.norm(normal.mean(axis=0)) + 1e-9),
            lab=np.median(self._lab[inner], axis=0),
        )
