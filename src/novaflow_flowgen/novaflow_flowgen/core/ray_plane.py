"""Lift a video of a rope, or a cloth, that lies on the support: its tracks' rays meet the plane.

One camera does not tell how far away a bit of rope is, and no rigid motion binds the bits together.
But what lies on the support keeps its height above it, so that each track's ray ends there. What is
lifted off is then put too far away, by its height over the tangent of the camera's angle: a rope
should be dragged. A thing that stands up is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from novaflow_core.camera import CameraModel
from novaflow_core.errors import Code, ShapeError, TrackingError
from novaflow_core.flow import MotionKind, ObjectFlow
from novaflow_core.scene import Plane, RgbdView
from novaflow_core.video import Video
from novaflow_flowgen.core.background import BackgroundWatch
from novaflow_flowgen.core.lift import ALL_VISIBLE, MIN_SUPPORT
from novaflow_flowgen.core.lift_checks import LiftLimits
from novaflow_flowgen.core.object_colours import ObjectColours
from novaflow_flowgen.core.protocols import (
    LiftRequest,
    LiftResult,
    OnProgress,
    ShouldStop,
    check_stop,
)
from novaflow_flowgen.core.tracks import Gray, KltTracker, inside_image
from novaflow_flowgen.core.video_masks import refuse_masks
from novaflow_flowgen.core.warp import smooth_depth

Float = NDArray[np.float64]
Mask = NDArray[np.bool_]

_POINTS = 400  # about, at most
_HEIGHT_M = 0.04  # what rises higher above the support does not lie on it
_NEIGHBOURS = 8
_BESIDE_M = (0.008, 0.02)  # how far these are: a bend or a pixel hardly changes that
_GIVES = 0.35  # change of the distance to most of its neighbours at which a track has slipped
_STRETCHES = 0.2  # median change of such distances at which it is no rope that is followed
_LEAST_SHARE = 0.4  # of the points, that must still be followed
_NEAR_M = 0.1  # rays meet the plane in front of the camera


@dataclass(frozen=True)
class _Ground:
    """Where rays of a view end: on planes above the support, in the planning frame."""

    view: RgbdView
    support: Plane

    def meet(self, pixels: Float, heights: Float) -> Float:
        """Points (P, 3) [m] of pixels (P, 2) at heights (P,) [m]; NaN where a ray misses."""
        pose, model = self.view.T_planning_camera, self.view.model
        rays = model.lift_pixels(pixels, np.ones(len(pixels))) @ pose[:3, :3].T
        down = rays @ self.support.normal
        with np.errstate(divide="ignore", invalid="ignore"):
            far = (heights - self.support.height(pose[:3, 3])) / down
        far = np.where(far > _NEAR_M, far, np.nan)
        return np.asarray(pose[:3, 3] + rays * far[:, None])


class RayPlaneLifter:
    """The `ray_plane` backend."""

    def __init__(self, track_filter: str = MIN_SUPPORT, limits: LiftLimits | None = None) -> None:
        """Keep the settings.

        Args:
            track_filter: `all_visible` keeps points seen in every step (NovaFlow, sec. 3),
                `min_support` those seen in at least half.
            limits: When to abstain.
        """
        self._filter = track_filter
        self._limits = limits or LiftLimits()

    def lift(
        self, request: LiftRequest, on_progress: OnProgress, should_stop: ShouldStop
    ) -> LiftResult:
        """Follow what lies on the support through the video.

        Raises:
            TrackingError: TRACKS_TOO_FEW when too little of it has depth or can be followed,
                LIFT_UNCERTAIN when it does not lie on the support or the camera moves,
                LIFT_DIVERGED when its parts leap or move apart.
            ShapeError: When the video is not of the view's size.
            PlatformError: CANCELLED.
        """
        frames = _frames(request)
        view, mask = request.view, np.asarray(request.mask, bool)
        ground = _Ground(view, request.support)
        pixels, heights = self._seeds(request, mask)
        colours = ObjectColours(frames[0], mask)
        steps = len(frames)
        background = BackgroundWatch(_gray(frames[0]), mask, view.model, steps)
        tracker, last = KltTracker(levels=1), colours.alone(frames[0])
        points = ground.meet(pixels, heights)
        near = _neighbours(points)
        path, speed = [points], np.zeros_like(pixels)
        alive = np.ones(len(pixels), bool)
        seen, stretch = [alive], 0.0
        for step, frame in enumerate(frames[1:], start=1):
            check_stop(should_stop)
            now, at = colours.alone(frame), np.flatnonzero(alive)
            there, ok = tracker.track(last, now, pixels[at], pixels[at] + speed[at])
            ok &= inside_image(there, view.model)
            speed[at], pixels[at] = there - pixels[at], there
            alive = alive.copy()
            alive[at[~ok]] = False
            here = ground.meet(pixels, heights)
            alive &= np.isfinite(here).all(axis=1)
            change = _changes(points, here, near, alive)
            with np.errstate(invalid="ignore"):
                alive &= ~(change > _GIVES)
            lasting = np.nanmedian(change[alive]) if alive.any() else 0.0
            stretch = max(stretch, float(np.nan_to_num(lasting)))
            background.see(step, _gray(frame), pixels[alive])
            self._check(step, steps, alive, path[-1], here, stretch)
            self._check_camera(view.model, background.moved_px, here[alive], view)
            path.append(here)
            seen.append(alive)
            last = now
            on_progress(step / (steps - 1))
        stats = {
            "tracked_share_min": float(seen[-1].mean()),
            "background_motion_px": background.moved_px,
            "neighbour_change": stretch,
            "height_max_m": float(heights.max()),
        }
        return self._flow(request, np.stack(path), np.stack(seen), stats)

    def _seeds(self, request: LiftRequest, mask: Mask) -> tuple[Float, Float]:
        """Pixels (P, 2) all over the thing, and their heights (P,) [m] above the support."""
        view = request.view
        known = mask & np.isfinite(view.depth) & (view.depth > 0)
        inner = known & (cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0)
        v, u = np.nonzero(inner)
        if len(v) < self._limits.min_seeds:
            raise TrackingError(
                Code.TRACKS_TOO_FEW,
                f"only {len(v)} points with depth lie on the object; "
                f"{self._limits.min_seeds} are needed",
                {"seeds": len(v)},
            )
        apart = max(1, round(np.sqrt(len(v) / _POINTS)))
        thin = (u % apart == 0) & (v % apart == 0)
        if np.count_nonzero(thin) >= self._limits.min_seeds:
            u, v = u[thin], v[thin]
        pixels = np.stack([u, v], -1).astype(float)
        depth = smooth_depth(np.where(mask, view.depth, np.nan), mask)
        points = view.model.lift_pixels(pixels, depth[v, u])
        pose = view.T_planning_camera
        heights = request.support.height(points @ pose[:3, :3].T + pose[:3, 3])
        top = float(np.percentile(heights, 95))
        if top > _HEIGHT_M:
            raise TrackingError(
                Code.LIFT_UNCERTAIN,
                f"it is {1e3 * top:.0f} mm high, and what lies on the support at most "
                f"{1e3 * _HEIGHT_M:.0f} mm; tracks:=klt lifts what is rigid",
                {"height_m": top},
            )
        return pixels, np.maximum(heights, 0.0)

    def _check(
        self, step: int, steps: int, alive: Mask, before: Float, here: Float, stretch: float
    ) -> None:
        """Give up where too little is left, or it is not one thing that moves on.

        Raises:
            TrackingError: TRACKS_TOO_FEW or LIFT_DIVERGED.
        """
        where = f"in frame {step + 1} of {steps}"
        least = max(self._limits.min_seeds, int(np.ceil(_LEAST_SHARE * len(alive))))
        if np.count_nonzero(alive) < least:
            raise TrackingError(
                Code.TRACKS_TOO_FEW,
                f"{where} {np.count_nonzero(alive)} of {len(alive)} points are still followed; "
                f"{least} are needed",
            )
        moved = np.linalg.norm(here[alive] - before[alive], axis=1)
        leap = float(np.percentile(moved, 90))
        if leap > self._limits.max_step_m:
            raise TrackingError(
                Code.LIFT_DIVERGED, f"{where} the object jumps by {1e3 * leap:.0f} mm"
            )
        if stretch > _STRETCHES:
            raise TrackingError(
                Code.LIFT_DIVERGED,
                f"{where} the distance between neighbouring points has changed by "
                f"{100 * stretch:.0f} % ({100 * _STRETCHES:.0f} % allowed)",
            )

    def _check_camera(
        self, model: CameraModel, moved_px: float, points: Float, view: RgbdView
    ) -> None:
        """Give up where the camera moves.

        Raises:
            TrackingError: LIFT_UNCERTAIN.
        """
        pose = view.T_planning_camera
        depth = float(np.mean((points - pose[:3, 3]) @ pose[:3, 2]))
        drift_m = moved_px / model.fx * depth
        if drift_m > self._limits.max_background_m:
            raise TrackingError(
                Code.LIFT_UNCERTAIN,
                f"the camera moves: the background drifts by {moved_px:.0f} px, "
                f"{1e3 * drift_m:.0f} mm at the object",
            )

    def _flow(
        self, request: LiftRequest, path: Float, seen: Mask, stats: dict[str, float]
    ) -> LiftResult:
        """Build the flow of the points (T, P, 3) that the filter keeps; NaN where not followed."""
        kept = seen.mean(axis=0) >= (1.0 if self._filter == ALL_VISIBLE else 0.5)
        stats["share_kept"] = float(kept.mean())
        if np.count_nonzero(kept) < self._limits.min_seeds:
            raise TrackingError(
                Code.TRACKS_TOO_FEW,
                f"{np.count_nonzero(kept)} of {len(kept)} points are seen long enough "
                f"({self._filter}); {self._limits.min_seeds} are needed",
                stats,
            )
        seen = seen[:, kept]
        points = np.where(seen[..., None], path[:, kept], np.nan)
        flow = ObjectFlow(
            points=points.astype(np.float32),
            visible=seen,
            confidence=seen.astype(np.float32),
            dt_s=1.0 / request.video.fps,
            kind=MotionKind.DEFORMABLE,
            frame_id=request.planning_frame,
            stamp_ns=request.view.stamp_ns,
            label=request.label,
        )
        return LiftResult(flow, stats)


def make_ray_plane(settings: object) -> RayPlaneLifter:
    """Entry point of the `ray_plane` backend.

    Raises:
        PlatformError: INVALID_SETTING where masks are asked for: it sees by colour.
    """
    refuse_masks(settings, "ray_plane", "tells the object by its colour")
    return RayPlaneLifter(str(getattr(settings, "track_filter", MIN_SUPPORT)))


def _frames(request: LiftRequest) -> NDArray[np.uint8]:
    """All frames (T, H, W, 3), RGB; errors as of `RayPlaneLifter.lift`."""
    video, model = request.video, request.view.model
    frames = video.frames if isinstance(video, Video) else video.colors()
    height, width = frames.shape[1:3]
    if (width, height) != (model.width, model.height):
        raise ShapeError(f"the video is {width}x{height}, the view {model.width}x{model.height}")
    return np.asarray(frames)


def _gray(frame: NDArray[np.uint8]) -> Gray:
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), np.uint8)


def _neighbours(points: Float) -> NDArray[np.intp]:
    """Indices (P, N) of some points beside each of them; its own where there are fewer."""
    out = np.repeat(np.arange(len(points))[:, None], _NEIGHBOURS, axis=1)
    inner, outer = _BESIDE_M
    for own, found in enumerate(cKDTree(points).query_ball_point(points, outer)):
        others = np.array(found)
        others = others[np.linalg.norm(points[others] - points[own], axis=1) > inner]
        chosen = others[:: max(1, len(others) // _NEIGHBOURS)][:_NEIGHBOURS]
        out[own, : len(chosen)] = chosen
    return out


def _changes(first: Float, now: Float, near: NDArray[np.intp], alive: Mask) -> Float:
    """Median change (P,) of the distances to neighbours (P, N) since the first step, as a share.

    NaN where no neighbour is followed.
    """
    before = np.linalg.norm(first[:, None] - first[near], axis=2)
    after = np.linalg.norm(now[:, None] - now[near], axis=2)
    told = alive[near] & (before > 0)
    share = np.where(told, abs(after / np.where(told, before, 1.0) - 1), np.nan)
    out = np.full(len(first), np.nan)
    some = np.isfinite(share).any(axis=1)
    out[some] = np.nanmedian(share[some], axis=1)
    return out
