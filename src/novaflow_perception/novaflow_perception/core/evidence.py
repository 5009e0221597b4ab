"""Does a motion of an object explain what changed between two views?

Registration asks whether what a motion predicts is there; that alone is content with a part. This
is the other side: a pixel that became nearer and looks like the object is carried back by the
motion into the view before, and must land on the object's surface there, or behind it and within
its outline. Where it lands in space that was seen empty, the motion is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_core.footprint import Footprint
from novaflow_core.front import Front
from novaflow_core.scene import Plane
from novaflow_perception.core.registration import NewView, ObjectModel

Float = NDArray[np.float64]
Mask = NDArray[np.bool_]

NEARER_M = 0.010  # what became nearer by more has arrived
_STATIC_M = 0.004
_SURFACE_M = 0.009  # thickness of what counts as the surface: noise and a fit's error
_OUTLINE_M = 0.008  # how far the outline may be off
_EDGE_PX = 5  # grows the object's silhouette: depth slips against colour, edges have holes
_PALETTE = 5
_PALETTE_SHARE = 0.12  # rarer colours of the object are print, and others may share them
_LIKE = 26.0  # distance in CIELAB with lightness at half weight
_COMMON_SHARE = 0.015  # of the rest of a view: a colour with more is not the object's alone
_MOST_PIXELS = 1500
_SAME_CAMERA = 1e-6
_SEAMS = np.ones((6, 6), np.uint8)


@dataclass(frozen=True)
class Body:
    """An object as it was seen before, and the room it may fill.

    Nothing is known of what was hidden, but that it lies behind what was seen and in the outline.

    Attributes:
        depth: (H, W) [m] of its surface in the view before, grown by some pixels; NaN elsewhere.
        seen: The view before.
        support: What it stood on.
        foot: Its footprint; None: only the surface that was seen is its own.
        front: Where it is the front of a drawer, what comes out behind it is its own, too.
    """

    depth: Float
    seen: NewView
    support: Plane
    foot: Footprint | None = None
    front: Front | None = None

    @classmethod
    def from_view(
        cls,
        seen: NewView,
        mask: Mask,
        support: Plane,
        foot: Footprint | None = None,
        front: Front | None = None,
    ) -> Body:
        """Take an object's pixels (H, W) of a view."""
        inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        depth = np.where(inner, seen.depth, np.nan)
        return cls(_grown(depth, _EDGE_PX + 1), seen, support, foot, front)

    def explains(self, points: Float, motion: Float) -> Mask:
        """Which points (K, 3) of now the object may show after a motion (4, 4)."""
        if len(points) == 0:
            return np.zeros(0, bool)
        back = se3.apply(se3.inverse(motion), points)
        depth, inside, u, v = self.seen.pixels(back)
        own = np.where(inside, self.depth[v, u], np.nan)
        seen = np.where(inside, self.seen.depth[v, u], np.nan)
        with np.errstate(invalid="ignore"):
            on = abs(depth - own) < _SURFACE_M
            hidden = (depth > own) | (depth > seen + _SURFACE_M) | ~np.isfinite(seen)
        if self.foot is not None:
            on = on | (hidden & _within(self.foot, back, self.support))
        return on if self.front is None else on | _drawn_out(self.front, points, motion)


def _drawn_out(front: Front, points: Float, motion: Float) -> Mask:
    """Which points (K, 3) lie between a front's old place and its new one."""
    face = front.offset * front.normal
    travel = float(front.beyond(se3.apply(motion, face[None]))[0])
    beyond = front.beyond(points)
    between = (beyond > -_SURFACE_M) & (beyond < travel + _SURFACE_M)
    return np.asarray(front.before(points) & between)


def _within(foot: Footprint, points: Float, support: Plane) -> Mask:
    """Which points (K, 3) lie in the prism over an outline."""
    height = support.height(points)
    flat = points @ support.basis().T - foot.centre
    if foot.is_round:
        out = np.hypot(flat[:, 0], flat[:, 1]) - foot.half[0]
    else:
        c, s = np.cos(foot.yaw_rad), np.sin(foot.yaw_rad)
        out = (abs(flat @ np.array([[c, -s], [s, c]])) - foot.half).max(axis=1)
    low, high = foot.bottom_m - _OUTLINE_M, foot.top_m + _OUTLINE_M
    return np.asarray((out < _OUTLINE_M) & (height > low) & (height < high))


class Change:
    """What changed between two views, as far as it concerns one object."""

    def __init__(
        self, before: NewView, after: NewView, model: ObjectModel, apart: Mask | None = None
    ) -> None:
        """Compare two views of cameras that see the same.

        Args:
            before: Before anything moved.
            after: Now.
            model: The object, as seen before.
            apart: (H, W) pixels of before that do not show the object. Where given, only colours
                that are not found there as well tell what looks like it: the arm is in the picture.
        """
        self.before, self.after = before, after
        self._model, self._apart = model, apart

    @cached_property
    def depth_before(self) -> Float:
        """(H, W) [m] of the view before, as the camera of the view after saw it; NaN unknown."""
        if self._same_camera:
            return self.before.depth
        old, new = self.before.view, self.after.view
        points = se3.apply(
            se3.inverse(new.T_planning_camera) @ old.T_planning_camera,
            old.model.back_project(np.asarray(self.before.depth, np.float32)),
        ).reshape(-1, 3)
        at = np.nan_to_num(new.model.project(points), nan=-1.0)
        u, v = np.rint(np.clip(at, -1, 1e6)).astype(int).T
        kept = (u >= 0) & (v >= 0) & (u < new.model.width) & (v < new.model.height)
        out = np.full(new.depth.shape, np.inf)
        np.minimum.at(out, (v[kept], u[kept]), points[kept, 2])
        return np.where(np.isfinite(out), out, np.nan)

    @property
    def _same_camera(self) -> bool:
        old, new = self.before.view, self.after.view
        moved = float(abs(old.T_planning_camera - new.T_planning_camera).max())
        return moved < _SAME_CAMERA and old.model == new.model

    def after_with_past(self, own: Mask) -> NewView:
        """The view after that knows how it looked before, but for the object's own pixels."""
        if not self._same_camera:
            return self.after
        depth = np.where(own, np.nan, self.depth_before)
        colour = np.clip(self.before.colour * self.gain, 0, 255).astype(np.uint8)
        return NewView(self.after.view, (depth, colour))

    @cached_property
    def gain(self) -> Float:
        """(3,) by which the light of the things that stayed has changed."""
        step = 4
        with np.errstate(invalid="ignore"):
            still = abs(self.after.depth - self.depth_before)[::step, ::step] < _STATIC_M
        if still.sum() < 200:
            return np.ones(3)
        old = self.before.colour[::step, ::step][still].astype(float)
        new = self.after.colour[::step, ::step][still].astype(float)
        fair = ((old > 20) & (old < 235)).all(axis=1)
        if fair.sum() < 200:
            return np.ones(3)
        return np.asarray(np.clip(np.median(new[fair] / old[fair], axis=0), 0.5, 2.0))

    def arrived(self, centre: Float, radius_m: float) -> Float:
        """Points (K, 3) of now within a ball that became nearer and look like the object."""
        rows, columns = self._window(centre, radius_m)
        now, was = self.after.depth[rows, columns], self.depth_before[rows, columns]
        with np.errstate(invalid="ignore"):
            nearer = now < was - NEARER_M
        # An edge that slipped by a pixel or two is no arrival.
        nearer = (
            cv2.morphologyEx(nearer.astype(np.uint8), cv2.MORPH_OPEN, np.ones((4, 4), np.uint8)) > 0
        )
        nearer &= self._alike(self.after.colour[rows, columns])
        if self._apart is not None:
            # Where an arm's dark parts meet its bright ones, blur makes seams of any colour.
            nearer = cv2.morphologyEx(nearer.astype(np.uint8), cv2.MORPH_OPEN, _SEAMS) > 0
        v, u = np.nonzero(nearer)
        pixels = np.stack([u + columns.start, v + rows.start], -1)
        view = self.after.view
        points = se3.apply(view.T_planning_camera, view.model.lift_pixels(pixels, now[v, u]))
        points = points[np.linalg.norm(points - centre, axis=1) < radius_m]
        step = max(1, len(points) // _MOST_PIXELS)
        return np.asarray(points[::step])

    def _window(self, centre: Float, radius_m: float) -> tuple[slice, slice]:
        view = self.after.view
        local = se3.apply(se3.inverse(view.T_planning_camera), centre)
        if not local[2] > 2 * radius_m:
            return slice(0, view.model.height), slice(0, view.model.width)
        u, v = view.model.project(local)
        reach = view.model.fx * radius_m / (local[2] - radius_m)
        low = np.clip([v - reach, u - reach], 0, [view.model.height, view.model.width])
        high = np.clip([v + reach + 1, u + reach + 1], 0, [view.model.height, view.model.width])
        return slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))

    def _alike(self, colour: NDArray[np.uint8]) -> Mask:
        if colour.size == 0:
            return np.zeros(colour.shape[:2], bool)
        lab = _lab(colour.astype(float) / self.gain)
        distance = np.stack([np.linalg.norm(lab - one, axis=-1) for one in self._palette])
        return np.asarray(distance.min(axis=0) < _LIKE)

    @cached_property
    def _palette(self) -> Float:
        """(P, 3) colours that much of the object has, Lab."""
        lab = _lab(self._model.colours[None])[0].astype(np.float32)
        stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_MAX_ITER, 20, 0.5)
        count = min(_PALETTE, len(lab))
        cv2.setRNGSeed(0)
        _, owner, centres = cv2.kmeans(lab, count, None, stop, 1, cv2.KMEANS_PP_CENTERS)  # type: ignore[call-overload]
        share = np.bincount(owner.ravel(), minlength=count) / len(lab)
        usual = np.asarray(centres[share >= min(_PALETTE_SHARE, share.max())], float)
        return usual if self._apart is None else self._own(usual, self._apart)

    def _own(self, palette: Float, apart: Mask) -> Float:
        """Those of the colours (P, 3) that the rest of the view hardly has; all, where none is."""
        some = (slice(None, None, 5), slice(None, None, 5))
        rest = _lab(self.before.colour[some][apart[some]][None].astype(float))[0]
        common = [(np.linalg.norm(rest - one, axis=1) < _LIKE).mean() for one in palette]
        own = palette[np.array(common) < _COMMON_SHARE]
        return own if len(own) else palette


def _lab(rgb: Float) -> Float:
    """Lab of colours (..., 3), 0..255, with lightness at half weight: shading changes it."""
    image = (np.clip(rgb, 0, 255) / 255.0).astype(np.float32)
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2LAB), float) * [0.5, 1.0, 1.0]


def _grown(depth: Float, pixels: int) -> Float:
    """Depth (H, W) continued beyond its border by the nearest of its values."""
    v, u = np.nonzero(np.isfinite(depth))
    if len(v) == 0:
        return depth
    out = depth.copy()
    rows = slice(max(0, int(v.min()) - pixels), int(v.max()) + pixels + 1)
    columns = slice(max(0, int(u.min()) - pixels), int(u.max()) + pixels + 1)
    part = depth[rows, columns]
    known = np.isfinite(part)
    away, index = cv2.distanceTransformWithLabels(
        (~known).astype(np.uint8), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
    )
    # The labels number the known pixels; which number is whose is read off at those pixels.
    values = np.zeros(int(index.max()) + 1)
    values[index[known]] = part[known]
    out[rows, columns] = np.where(away <= pixels, values[index], np.nan)
    return out
