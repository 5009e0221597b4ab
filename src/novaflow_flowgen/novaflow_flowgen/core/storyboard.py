"""Imagine the task without a video model: cut the target out, move it, paint behind it.

It stands in for a video model and outputs RGB frames only; whatever reads them knows nothing of the
motion behind.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_core.errors import Code, VideoError
from novaflow_core.grounding import LABEL_SUPPORT, GroundedObject, Role
from novaflow_core.scene import Plane, RgbdView
from novaflow_core.task import Motion, Relation
from novaflow_core.video import Video
from novaflow_flowgen.core import hallucination
from novaflow_flowgen.core.goal import Goal, Stage, plan_goal
from novaflow_flowgen.core.hallucination import Effects
from novaflow_flowgen.core.motion_path import Variation, build_path
from novaflow_flowgen.core.outline import outlined
from novaflow_flowgen.core.protocols import (
    DEFAULT_FPS,
    OnProgress,
    ShouldStop,
    Spoil,
    VideoRequest,
    check_stop,
)
from novaflow_flowgen.core.warp import Surface, forward_warp, smooth_depth, surface_of

Float = NDArray[np.float64]

_IN_FRONT_M = 0.007  # depth noise: the moved surface may lie this far behind what it hides
_SEEN_SHARE = 0.6  # of the target's pixels that must stay inside the image
_GOAL_STD_M = {Relation.IN: 0.0003, Relation.ON: 0.001, Relation.HANG: 0.001}
_MIN_SHRINK = 0.4


@dataclass(frozen=True)
class Script:
    """What a video shows; known to the generator and to harnesses only.

    Attributes:
        label: Of the object that moves.
        motions: (T, 4, 4) of its points, planning frame.
        spoil: Hallucination, or None.
        effects: What else happens to the picture.
    """

    label: int
    motions: Float
    spoil: Spoil | None
    effects: Effects


@dataclass(frozen=True)
class _Cutout:
    """A scene taken apart: one object and everything behind it."""

    surface: Surface
    color: NDArray[np.uint8]
    background: NDArray[np.uint8]
    background_depth: NDArray[np.float32]


class StoryboardSketch:
    """One video, drawn frame by frame: a `Sketch`."""

    fps = DEFAULT_FPS

    def __init__(self, request: VideoRequest, script: Script, cutout: _Cutout) -> None:
        """Begin with no frame drawn."""
        self._view, self._script, self._cutout = request.scene.main, script, cutout
        self.steps = request.steps
        shape = (request.steps, *self._view.color.shape)
        self._frames = np.empty(shape, np.uint8) if request.canvas is None else request.canvas
        self._drawn = [False] * request.steps

    def frame(self, step: int) -> NDArray[np.uint8]:
        """See `Sketch.frame`."""
        out: NDArray[np.uint8] = self._frames[step]
        if not self._drawn[step]:
            view = self._view
            to_camera = se3.inverse(view.T_planning_camera)
            motion = to_camera @ self._script.motions[step] @ view.T_planning_camera
            _render(out, self._cutout, motion, view, self._script.effects, step)
            self._drawn[step] = True
        return out

    def finish(self, on_progress: OnProgress, should_stop: ShouldStop) -> Video:
        """See `Sketch.finish`."""
        for step in range(self.steps):
            check_stop(should_stop)
            self.frame(step)
            on_progress((step + 1) / self.steps)
        return Video(self._frames, self.fps)


class Storyboard:
    """The `storyboard` backend: general rigid motions by words, candidates that differ by seed."""

    reads_prompt = False

    def __init__(self) -> None:
        """Start without a scene; cut-outs are kept, since all candidates share them."""
        self._lock = threading.Lock()
        self._cutouts: dict[tuple[str, int], _Cutout] = {}
        self._goals: dict[tuple[str, str, int], Goal] = {}

    def generate(
        self, request: VideoRequest, on_progress: OnProgress, should_stop: ShouldStop
    ) -> Video:
        """Render the task as T frames of the main view's size."""
        return self.sketch(request).finish(on_progress, should_stop)

    def sketch(self, request: VideoRequest) -> StoryboardSketch:
        """Decide what the video shows; see `script` for the errors."""
        script = self.script(request)
        return StoryboardSketch(request, script, self._cutout(request, script.label))

    def spoils(self, request: VideoRequest) -> tuple[Spoil, ...]:
        """All kinds, but the wrong object only where another one can be seen well enough."""
        alone = not hallucination.other_objects(request.grounding)
        return tuple(kind for kind in Spoil if not (alone and kind is Spoil.WRONG_OBJECT))

    def script(self, request: VideoRequest) -> Script:
        """Decide what the video shows; the same request gives the same script.

        Raises:
            VideoError: VIDEO_UNKNOWN_MOTION or VIDEO_GOAL_UNREACHABLE.
        """
        grounding = request.grounding
        random = np.random.default_rng([abs(request.seed), request.candidate])
        std_m = _GOAL_STD_M.get(grounding.task.relation or Relation.OVER, 0.002)
        variation = Variation.draw(random, goal_std_m=std_m)
        moving = grounding.target
        if request.spoil is Spoil.WRONG_OBJECT:
            others = hallucination.other_objects(grounding)
            if not others:
                raise VideoError(Code.VIDEO_GOAL_UNREACHABLE, "there is no other object to move")
            moving = others[int(random.integers(len(others)))]
        if moving.role is Role.REFERENCE:
            # It cannot go to itself, so it comes to the target.
            honest = self._goal(request, grounding.target)
            goal = hallucination.reversed_roles(
                honest, Stage(request.scene, grounding).footprint(moving), grounding.support
            )
        else:
            goal = self._goal(request, moving)
        support = grounding.support
        basis = support.basis()
        if request.spoil in (Spoil.WRONG_GOAL, Spoil.WRONG_DIRECTION):
            opens = grounding.task.motion is Motion.OPEN
            spoiled = hallucination.misopen if opens else hallucination.misplace
            goal = spoiled(goal, request.spoil, random, support)
        motions = build_path(goal, variation, support.normal, basis, request.steps)
        if goal.shrinkable:
            motions = self._shrunk(request, moving, goal, variation, motions)
        # A hallucination may well leave the picture; an honest one says that it cannot be shown.
        if request.spoil is None:
            _check_in_image(request, moving, motions)
        effects = Effects()
        if request.spoil is not None:
            motions, effects = hallucination.distort(request.spoil, motions, goal.pivot, random)
        return Script(moving.label, motions, request.spoil, effects)

    def _shrunk(
        self,
        request: VideoRequest,
        moving: GroundedObject,
        goal: Goal,
        variation: Variation,
        motions: Float,
    ) -> Float:
        """Shorten a default distance until the target stays in the picture."""
        support = request.grounding.support
        factor, points = 1.0, _probes(request, moving)
        while _share_in_image(request, points, motions[-1]) < 0.97 and factor > _MIN_SHRINK:
            factor -= 0.1
            shorter = replace(goal, shift=goal.shift * factor)
            motions = build_path(shorter, variation, support.normal, support.basis(), request.steps)
        return motions

    def _goal(self, request: VideoRequest, moving: GroundedObject) -> Goal:
        key = (request.scene.scene_id, request.grounding.task.instruction, moving.label)
        with self._lock:
            if key not in self._goals:
                if len(self._goals) > 16:
                    self._goals.clear()
                self._goals[key] = plan_goal(Stage(request.scene, request.grounding), moving)
            return self._goals[key]

    def _cutout(self, request: VideoRequest, label: int) -> _Cutout:
        key = (request.scene.scene_id, label)
        with self._lock:
            if key not in self._cutouts:
                if len(self._cutouts) > 4:
                    self._cutouts.clear()
                self._cutouts[key] = _cut_out(
                    request.scene.main,
                    request.grounding.labels[0],
                    label,
                    request.grounding.support,
                )
            return self._cutouts[key]


def _probes(request: VideoRequest, moving: GroundedObject) -> Float:
    """Some points (N, 3) [m] of an object, optical frame."""
    view = request.scene.main
    v, u = np.nonzero(request.grounding.mask(moving) & np.isfinite(view.depth))
    pick = slice(None, None, max(1, v.size // 500))
    return view.model.lift_pixels(np.stack([u, v], -1)[pick], view.depth[v, u][pick])


def _share_in_image(request: VideoRequest, points: Float, motion: Float) -> float:
    """How many of an object's points (N, 3) are in the picture after a motion."""
    view = request.scene.main
    if len(points) == 0:
        return 0.0
    to_camera = se3.inverse(view.T_planning_camera) @ motion @ view.T_planning_camera
    at = view.model.project(se3.apply(to_camera, points))
    inside = (
        (at > 1).all(1) & (at[:, 0] < view.model.width - 2) & (at[:, 1] < view.model.height - 2)
    )
    return float(inside.mean())


def _check_in_image(request: VideoRequest, moving: GroundedObject, motions: Float) -> None:
    points = _probes(request, moving)
    start = max(_share_in_image(request, points, motions[0]), 1e-3)
    worst = min(_share_in_image(request, points, m) for m in motions[:: max(1, len(motions) // 10)])
    share = min(worst, _share_in_image(request, points, motions[-1])) / start
    if share < _SEEN_SHARE:
        raise VideoError(
            Code.VIDEO_GOAL_UNREACHABLE,
            f"the goal lies outside the picture: {100 * share:.0f} % of the target would be "
            f"seen on the way, "
            f"{100 * _SEEN_SHARE:.0f} % are needed",
            {"share_in_image": share},
        )


def _cut_out(view: RgbdView, labels: NDArray[np.uint8], label: int, support: Plane) -> _Cutout:
    mask = labels == label
    whole = outlined(view.color, np.isfinite(view.depth), mask)
    depth = smooth_depth(np.where(mask, view.depth, np.nan), whole, size=9)
    if np.isfinite(depth).sum() < 100:
        raise VideoError(
            Code.VIDEO_GOAL_UNREACHABLE,
            f"the object to move has depth at {int(np.isfinite(depth).sum())} pixels; 100 "
            f"are needed",
        )
    surface = surface_of(depth, whole, view.model)
    hole = cv2.dilate(whole.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    hole &= whole | (labels <= LABEL_SUPPORT)
    v, u = np.nonzero(hole)
    pad = 12
    window = (
        slice(max(v.min() - pad, 0), v.max() + pad + 1),
        slice(max(u.min() - pad, 0), u.max() + pad + 1),
    )
    background = view.color.copy()
    background[window] = _inpaint(view.color[window], hole[window])
    return _Cutout(surface, view.color, background, _depth_behind(view, hole, support))


def _inpaint(color: NDArray[np.uint8], hole: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Paint a hole from its surroundings; large ones coarse first, which is faster and smoother."""
    scale = min(1.0, 120.0 / max(1.0, np.sqrt(hole.sum())))
    if scale == 1.0:
        filled = cv2.inpaint(color, hole.astype(np.uint8), 4, cv2.INPAINT_TELEA)
        return np.asarray(filled, np.uint8)
    size = (max(8, round(color.shape[1] * scale)), max(8, round(color.shape[0] * scale)))
    small: NDArray[Any] = cv2.resize(color, size, interpolation=cv2.INTER_AREA)
    small_hole = cv2.resize(hole.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    small_hole = cv2.dilate(small_hole, np.ones((3, 3), np.uint8))
    small = cv2.inpaint(np.asarray(small), small_hole, 4, cv2.INPAINT_TELEA)
    large = cv2.resize(small, color.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.where(hole[..., None], large, color), np.uint8)


def _depth_behind(view: RgbdView, hole: NDArray[np.bool_], support: Plane) -> NDArray[np.float32]:
    """Depth (H, W) [m] of the scene without the target: the support plane where it stood."""
    seen = np.where(np.isfinite(view.depth) & (view.depth > 0), view.depth, 1e6).astype(np.float32)
    seen = np.asarray(cv2.medianBlur(seen, 5), np.float32)
    rays = view.model.rays() @ view.T_planning_camera[:3, :3].T
    down = rays @ support.normal
    eye_height = float(support.height(view.T_planning_camera[:3, 3]))
    plane = np.where(down < -1e-6, -eye_height / np.minimum(down, -1e-6), 1e6)
    return np.where(hole, plane, seen).astype(np.float32)


def _render(
    out: NDArray[np.uint8],
    cutout: _Cutout,
    T_camera_motion: Float,
    view: RgbdView,
    effects: Effects,
    step: int,
) -> None:
    moved = np.allclose(T_camera_motion, np.eye(4), atol=1e-9)
    opacity = effects.opacity_at(step)
    if moved and opacity == 1.0:
        out[:] = cutout.color
    else:
        out[:] = cutout.background
        warp = forward_warp(cutout.surface, T_camera_motion, view.model)
        if warp is not None and opacity > 0:
            window = warp.window
            shown = warp.depth < cutout.background_depth[window] + _IN_FRONT_M
            alpha = (warp.alpha * shown * opacity)[..., None]
            image = warp.sample(cutout.color)
            blended = alpha * image + (1 - alpha) * out[window]
            out[window] = np.clip(np.rint(blended), 0, 255).astype(np.uint8)
    shake = effects.homography_at(step)
    if shake is not None:
        size = (view.model.width, view.model.height)
        out[:] = cv2.warpPerspective(
            out, shake, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )


def make_storyboard(_settings: object) -> Storyboard:
    """Entry point of the `storyboard` backend; it needs no settings."""
    return Storyboard()
