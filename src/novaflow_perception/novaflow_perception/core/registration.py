"""Where is an object that was seen before? Its points, moved, against a new colour and depth image.

The points carry their colours. A motion is judged by the share of points whose pixel in the new
view shows the same colour at the same depth; a pixel that shows something nearer hides the point
and says nothing, one that shows something farther contradicts it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_core.scene import Plane, RgbdView

Float = NDArray[np.float64]
Mask = NDArray[np.bool_]

_MODEL_POINTS = 1500
_SEARCH_POINTS = 260
_DEPTH_M = 0.010
_COLOUR = 75.0  # distance of RGB colours, 0..255 a channel, that shading explains
_BLUR = (5, 5)
_REFINE_STEPS = 16
_STARTS = 4
_ALSO = 6  # of further motions
_FACING = 0.2  # cosine; what is seen at a flatter angle is seen badly
_HIDDEN_COST = 0.3  # of a hidden point: otherwise a place where nothing can be seen fits best


@dataclass(frozen=True)
class ObjectModel:
    """What was seen of an object.

    Attributes:
        points: (K, 3) [m], planning frame.
        colours: (K, 3) RGB, 0..255.
        normals: (K, 3) unit, outwards; points that a motion turns away from the camera then say
            nothing. None: all points speak wherever they are turned to.
        explains: Which seen points (N, 3) a motion (4, 4) makes the object itself: what lies behind
            them is hidden by it, and no contradiction. None: an object never hides itself.
    """

    points: Float
    colours: Float
    normals: Float | None = None
    explains: Callable[[Float, Float], Mask] | None = None

    @classmethod
    def from_view(
        cls,
        view: RgbdView | NewView,
        mask: Mask,
        count: int = _MODEL_POINTS,
        seed: int = 0,
        *,
        border_px: int = 2,
    ) -> ObjectModel:
        """Take points of a mask; its border, where depth mixes two surfaces, is left out."""
        seen = view if isinstance(view, NewView) else NewView(view)
        view = seen.view
        kernel = np.ones((2 * border_px + 1, 2 * border_px + 1), np.uint8)
        inner = cv2.erode(mask.astype(np.uint8), kernel) > 0
        kept = inner if inner.sum() > 0.4 * mask.sum() else mask
        v, u = np.nonzero(kept & np.isfinite(seen.depth))
        pick = np.random.default_rng(seed).permutation(len(v))[:count]
        v, u = v[pick], u[pick]
        local = view.model.lift_pixels(np.stack([u, v], -1), seen.depth[v, u])
        return cls(se3.apply(view.T_planning_camera, local), seen.colour[v, u].astype(float))

    def thinned(self, count: int) -> ObjectModel:
        """Every n-th point, about `count` in all; the points are in random order."""
        normals = None if self.normals is None else self.normals[:count]
        return ObjectModel(self.points[:count], self.colours[:count], normals, self.explains)

    def lit(self, gain: Float) -> ObjectModel:
        """The same in another light: colours times a gain (3,)."""
        return replace(self, colours=np.clip(self.colours * gain, 0.0, 255.0))

    def facing(self, motion: Float, eye: Float) -> Mask:
        """Which points (K,) a motion (4, 4) leaves turned to an eye (3,)."""
        if self.normals is None:
            return np.ones(len(self.points), bool)
        to_eye = eye - se3.apply(motion, self.points)
        cosine = np.einsum("kd,kd->k", to_eye, self.normals @ motion[:3, :3].T)
        return np.asarray(cosine > _FACING * np.linalg.norm(to_eye, axis=1))


@dataclass(frozen=True)
class Fit:
    """How well a motion explains a view.

    Attributes:
        share: Points seen where they should be, among those that are not hidden; 0..1.
        hidden_share: Points that something nearer hides, that lie outside the image, or where
            the same was seen already before.
        closeness: As `share`, but a point counts by how near its depth is, and hidden ones count
            a little; to compare motions with, 0..1.
    """

    share: float
    hidden_share: float
    closeness: float


@dataclass(frozen=True)
class NewView:
    """A view, prepared for looking points up in it.

    Attributes:
        view: Colour and depth.
        was: Depth (H, W) [m] and colour (H, W, 3) of these pixels before anything moved, NaN where
            unknown; what looked the same already then is no evidence. None: not known.
    """

    view: RgbdView
    was: tuple[Float, NDArray[np.uint8]] | None = None

    @cached_property
    def depth(self) -> Float:
        """(H, W) [m], median filtered; NaN where nothing was seen."""
        smooth = cv2.medianBlur(np.nan_to_num(self.view.depth, nan=0.0).astype(np.float32), 5)
        return np.where(smooth > 0, smooth, np.nan).astype(float)

    @cached_property
    def colour(self) -> NDArray[np.uint8]:
        """(H, W, 3) RGB, blurred as the model's colours are."""
        return np.asarray(cv2.blur(self.view.color, _BLUR), np.uint8)

    def look(self, points: Float) -> tuple[Float, Float, Float]:
        """Depth expected and depth seen (K,), and colour seen (K, 3); NaN outside the image."""
        expected, inside, u, v = self.pixels(points)
        seen = np.where(inside, self.depth[v, u], np.nan)
        return expected, seen, self.colour[v, u].astype(float)

    def pixels(self, points: Float) -> tuple[Float, Mask, NDArray[np.int64], NDArray[np.int64]]:
        """Depth (K,) [m] of points, whether they are in the image, and pixels u, v (0 outside)."""
        model, T = self.view.model, self.view.T_planning_camera
        local = (points - T[:3, 3]) @ T[:3, :3]
        z = local[:, 2]
        safe = np.where(z > 1e-6, z, 1e-6)
        u = np.rint(np.clip(local[:, 0] / safe * model.fx + model.cx, -1.0, 1e6)).astype(np.int64)
        v = np.rint(np.clip(local[:, 1] / safe * model.fy + model.cy, -1.0, 1e6)).astype(np.int64)
        inside = (u >= 0) & (v >= 0) & (u < model.width) & (v < model.height) & (z > 1e-6)
        return z, inside, np.where(inside, u, 0), np.where(inside, v, 0)

    def surface(self, points: Float) -> tuple[Float, Float]:
        """Seen points (K, 3) and normals (K, 3) at the pixels of points; NaN where unknown."""
        model, T = self.view.model, self.view.T_planning_camera
        local = se3.apply(se3.inverse(T), points)
        at = np.rint(np.clip(np.nan_to_num(model.project(local), nan=-1e6), -1e6, 1e6))
        reach = 3
        inside = (at >= reach).all(axis=1)
        inside &= (at[:, 0] < model.width - reach) & (at[:, 1] < model.height - reach)
        at = np.where(inside[:, None], at, reach).astype(int)

        def lifted(du: int, dv: int) -> Float:
            u, v = at[:, 0] + du, at[:, 1] + dv
            return model.lift_pixels(np.stack([u, v], -1), self.depth[v, u])

        middle = np.where(inside[:, None], lifted(0, 0), np.nan)
        normal = np.cross(
            lifted(reach, 0) - lifted(-reach, 0), lifted(0, reach) - lifted(0, -reach)
        )
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
        return se3.apply(T, middle), normal @ T[:3, :3].T


def fit_of(model: ObjectModel, motion: Float, new: NewView) -> Fit:
    """Compare a moved model with a view."""
    agrees, hidden, known, gap = _votes(model, motion, new)
    facing = model.facing(motion, new.view.T_planning_camera[:3, 3])
    agrees, known = agrees & facing, known & facing
    open_count, count = int((known & ~hidden).sum()), len(model.points)
    unseen = float((facing & (hidden | ~known)).sum()) / max(int(facing.sum()), 1)
    if open_count < 12:
        return Fit(0.0, unseen, 0.0)
    nearness = float((1.0 - (gap[agrees] / _DEPTH_M) ** 2).sum())
    return Fit(
        float(agrees.sum()) / open_count,
        unseen,
        nearness / (open_count + _HIDDEN_COST * (count - open_count)),
    )


def search(
    model: ObjectModel, guess: Float, new: NewView, support: Plane, *, reach_m: float = 0.045
) -> tuple[Float, Fit]:
    """Find the motion (4, 4) near a guess that explains the view best; see `candidates`."""
    found = candidates(model, guess, new, support, reach_m=reach_m)
    return max(found, key=lambda item: item[1].share)


def candidates(
    model: ObjectModel,
    guess: Float,
    new: NewView,
    support: Plane,
    *,
    reach_m: float = 0.045,
    leans_rad: Sequence[float] = (),
    also: Sequence[Float] = (),
) -> list[tuple[Float, Fit]]:
    """Motions (4, 4) near a guess that may explain a view.

    A grid over places, heights and turns about the support's normal, then point-to-plane
    alignment of the best few in all six degrees of freedom.

    Args:
        model: What moves.
        guess: Where it should be.
        new: Where it is looked for.
        support: Heights and turns are along and about its normal.
        reach_m: How far from the guess the grid goes [m].
        leans_rad: By how much the best place is also leant, to every side, before it is aligned.
        also: Further motions, the best few of which are aligned.
    """
    few, more = model.thinned(_SEARCH_POINTS), model.thinned(3 * _SEARCH_POINTS)
    centre = se3.apply(guess, model.points.mean(axis=0))
    found: list[tuple[float, Float]] = []
    for offset in _offsets(support, reach_m):
        for turn in (-0.35, 0.0, 0.35):
            spin = se3.exp_so3(turn * support.normal)
            step = se3.from_rt(spin, centre + offset - spin @ centre)
            motion = step @ guess
            found.append((fit_of(few, motion, new).closeness, motion))
    found.sort(key=lambda item: -item[0])
    starts = [guess, *(motion for _, motion in found[:_STARTS])]
    leant = [pose for lean in leans_rad for pose in _leant(few, starts[1], lean, new, support)]
    ranked = sorted(also, key=lambda motion: -fit_of(few, motion, new).closeness)
    refined = [aligned(more, start, new) for start in [*starts, *leant, *ranked[:_ALSO]]]
    return [(motion, fit_of(model, motion, new)) for motion in [*refined, *starts]]


def aligned(model: ObjectModel, start: Float, new: NewView) -> Float:
    """Align a motion (4, 4) with a view, point to plane, with projective correspondences."""
    motion = start
    for i in range(_REFINE_STEPS):
        points = se3.apply(motion, model.points)
        surface, normal = new.surface(points)
        _, _, colour = new.look(points)
        gap = np.linalg.norm(surface - points, axis=1)
        gate = np.interp(i, [0, _REFINE_STEPS - 1], [0.03, 0.008])
        with np.errstate(invalid="ignore"):
            used = (gap < gate) & np.isfinite(normal).all(axis=1)
        used &= _same(colour, model.colours)
        used &= model.facing(motion, new.view.T_planning_camera[:3, 3])
        if used.sum() < 30:
            return motion
        p, n = points[used], normal[used]
        centre = p.mean(axis=0)
        design = np.hstack([np.cross(p - centre, n), n])
        error = np.einsum("kd,kd->k", surface[used] - p, n)
        weight = 1.0 / np.maximum(abs(error), 0.002)
        normal_matrix = design.T @ (weight[:, None] * design)
        # What the surface does not fix (a cup's yaw, a plate's place) stays as it was.
        damping = 0.02 * np.trace(normal_matrix) / 6 * np.diag([0.003] * 3 + [1.0] * 3)
        twist = np.linalg.solve(normal_matrix + damping, design.T @ (weight * error))
        spin = se3.exp_so3(twist[:3])
        motion = se3.from_rt(spin, centre + twist[3:] - spin @ centre) @ motion
        if np.linalg.norm(twist[3:]) < 5e-5 and np.linalg.norm(twist[:3]) < 5e-4 and i > 8:
            break
    return motion


def _leant(
    model: ObjectModel, motion: Float, lean_rad: float, new: NewView, support: Plane
) -> list[Float]:
    """The best two motions that lean an object to some side, a little higher or lower."""
    centre = se3.apply(motion, model.points.mean(axis=0))
    basis = support.basis()
    found = []
    for angle in np.arange(8) * (np.pi / 4):
        out = np.cos(angle) * basis[0] + np.sin(angle) * basis[1]
        spin = se3.exp_so3(lean_rad * np.cross(support.normal, out))
        for aside in (-0.015, 0.0, 0.015):
            for raised in (-0.01, 0.01):
                shift = aside * out + raised * support.normal
                pose = se3.from_rt(spin, centre + shift - spin @ centre) @ motion
                found.append((fit_of(model, pose, new).closeness, pose))
    found.sort(key=lambda item: -item[0])
    return [pose for _, pose in found[:2]]


def _offsets(support: Plane, reach_m: float) -> list[Float]:
    steps = np.arange(-3, 4) * (reach_m / 3)
    heights = (-0.02, 0.0, 0.02, 0.04)
    basis = support.basis()
    return [
        x * basis[0] + y * basis[1] + z * support.normal
        for x in steps
        for y in steps
        for z in heights
        if np.hypot(x, y) <= reach_m + 1e-9
    ]


def _votes(model: ObjectModel, motion: Float, new: NewView) -> tuple[Mask, Mask, Mask, Float]:
    """Which points (K,) agree, are hidden, have something to compare with; gaps in depth [m]."""
    expected, inside, u, v = new.pixels(se3.apply(motion, model.points))
    gap = np.where(inside, new.depth[v, u], np.nan) - expected
    known = np.isfinite(gap)
    with np.errstate(invalid="ignore"):
        close = abs(gap) < _DEPTH_M
        nearer = gap < -_DEPTH_M
    same = _same(new.colour[v, u], model.colours)
    if new.was is not None:
        depth, looked = new.was
        with np.errstate(invalid="ignore"):
            stood = abs(depth[v, u] - expected) < _DEPTH_M
        known &= ~(stood & _same(looked[v, u], model.colours))
    # Something nearer in the object's own colour is the object itself, elsewhere.
    hidden = nearer & ~same
    if model.explains is not None and (nearer & same).any():
        index = np.flatnonzero(nearer & same)
        view = new.view
        pixels = np.stack([u[index], v[index]], -1)
        local = view.model.lift_pixels(pixels, new.depth[v[index], u[index]])
        # Unless this motion has it hide itself there.
        hidden[index] = model.explains(se3.apply(view.T_planning_camera, local), motion)
    return close & same & known, hidden, known, gap


def _same(seen: NDArray[np.uint8] | Float, colours: Float) -> Mask:
    """Which colours (K, 3) are alike but for shading."""
    difference = seen - colours
    return np.asarray(np.einsum("kd,kd->k", difference, difference) < _COLOUR**2)
