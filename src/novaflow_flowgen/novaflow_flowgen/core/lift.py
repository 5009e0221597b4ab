"""Lift a video to object flow without a depth network: tracks, PnP, then the pixels.

A lifter that cannot tell says so: every check below raises a `TrackingError` with its numbers
instead of a bad flow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_core.camera import CameraModel
from novaflow_core.errors import Code, ShapeError, TrackingError
from novaflow_core.flow import MotionKind, ObjectFlow
from novaflow_flowgen.core.lift_checks import LiftLimits, StepRecord, check_lift, summarise
from novaflow_flowgen.core.pose_fit import Alignment, PixelAligner, fit_tracks
from novaflow_flowgen.core.protocols import (
    LiftRequest,
    LiftResult,
    OnProgress,
    ShouldStop,
    check_stop,
)
from novaflow_flowgen.core.tracks import DisTracker, KltTracker, PairTracker, Seeds, seed_points
from novaflow_flowgen.core.warp import Surface, smooth_depth, surface_of

Float = NDArray[np.float64]
Gray = NDArray[np.uint8]

ALL_VISIBLE = "all_visible"
MIN_SUPPORT = "min_support"
_CROP_PAD_PX = 72
_MAX_SURFACE = 16000  # pixels that the alignment renders; larger objects are aligned at half size
_BACKGROUND_EVERY = 3
_REACH_PX = 24  # a tracker's window, and what its coarser level sees beyond it
_TRUSTED_CORRELATION = 0.5


@dataclass
class _Work:
    """Everything of one lift that its steps share."""

    request: LiftRequest
    grays: list[Gray]
    seeds: Seeds
    points: Float  # (P, 3) of seeds.inside, optical frame
    surface: Surface
    depth_behind: NDArray[np.float32]
    tracker: PairTracker
    aligner: PixelAligner
    scale: float
    motions: list[Float] = field(default_factory=lambda: [np.eye(4)])
    records: list[StepRecord] = field(default_factory=list)


class PnpLifter:
    """Rigid lifting with any pair tracker."""

    def __init__(
        self,
        make_tracker: Callable[[], PairTracker],
        track_filter: str = MIN_SUPPORT,
        limits: LiftLimits | None = None,
    ) -> None:
        """Keep the settings; a tracker is built per video, since lifts run in parallel.

        Args:
            make_tracker: Builds a tracker.
            track_filter: `all_visible` keeps points seen in every step (NovaFlow, sec. 3),
                `min_support` those seen in at least half of them.
            limits: When to abstain.
        """
        self._make_tracker = make_tracker
        self._filter = track_filter
        self._limits = limits or LiftLimits()

    def lift(
        self, request: LiftRequest, on_progress: OnProgress, should_stop: ShouldStop
    ) -> LiftResult:
        """Follow the masked object through the video."""
        work = self._prepare(request)
        steps = len(work.grays)
        seen = [np.ones(len(work.points), np.float32)]
        for step in range(1, steps):
            check_stop(should_stop)
            seen.append(self._advance(work, step))
            on_progress(step / steps)
        background_px = _background_motion(work)
        view = request.view
        stats = summarise(work.records, background_px)
        check_lift(work.records, stats, self._limits, view.model)
        return self._flow(work, np.stack(seen), stats)

    def _prepare(self, request: LiftRequest) -> _Work:
        view, frames = request.view, request.video.frames
        if frames.shape[1:] != view.color.shape:
            raise ShapeError(
                f"the video is {frames.shape[2]}x{frames.shape[1]}, the view "
                f"{view.model.width}x{view.model.height}"
            )
        grays = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
        mask = np.asarray(request.mask, bool)
        depth = smooth_depth(view.depth, mask, size=9)
        known = np.isfinite(depth) & np.isfinite(view.depth)
        seeds = seed_points(mask, known)
        if len(seeds.inside) < self._limits.min_seeds:
            raise TrackingError(
                Code.TRACKS_TOO_FEW,
                f"only {len(seeds.inside)} points with depth lie on the object; "
                f"{self._limits.min_seeds} are needed",
                {"seeds": len(seeds.inside)},
            )
        index = seeds.inside.astype(int)
        points = view.model.lift_pixels(seeds.inside, depth[index[:, 1], index[:, 0]])
        behind = np.where(np.isfinite(view.depth) & ~mask, view.depth, 1e6).astype(np.float32)
        behind = np.where(mask, np.float32(1e6), cv2.medianBlur(behind, 5))
        scale = 0.5 if mask.sum() > _MAX_SURFACE else 1.0
        aligner = _make_aligner(grays[0], depth, behind, mask, view.model, scale)
        return _Work(
            request, grays, seeds, points, surface_of(depth, mask, view.model), behind,
            self._make_tracker(), aligner, scale,
        )  # fmt: skip

    def _advance(self, work: _Work, step: int) -> NDArray[np.float32]:
        """Find the pose of one step; returns how well each point (P,) is seen in it, 0..1."""
        model = work.request.view.model
        last = work.motions[-1]
        guess = last
        if (
            len(work.motions) > 1
        ):  # constant velocity, about the object: it stays sane for large rotations
            guess = last @ se3.inverse(work.motions[-2]) @ last
        before = model.project(se3.apply(last, work.points))
        expected = model.project(se3.apply(guess, work.points))
        usable = _inside(before, model) & _inside(expected, model)
        usable &= ~_hidden(last, work, before)
        crop = _crop(np.concatenate([before[usable], expected[usable]]), model)
        offset = np.array([crop[1].start, crop[0].start], float)
        there, ok = work.tracker.track(
            np.ascontiguousarray(work.grays[step - 1][crop]),
            np.ascontiguousarray(work.grays[step][crop]),
            before[usable] - offset,
            expected[usable] - offset,
        )
        there = there + offset
        points = work.points[usable][ok]
        fit = fit_tracks(points, there[ok], model, last, seed=step)
        frame = _scaled(work.grays[step], work.scale)
        starts = [fit.T_camera_motion] if fit is not None else [guess, last]
        aligned = _best([work.aligner.align(frame, start, fit) for start in starts])
        motion = starts[0]
        if aligned is not None and aligned.correlation > _TRUSTED_CORRELATION:
            motion = aligned.T_camera_motion
            work.aligner.learn_background(frame, aligned.warp)
        agree = (
            np.linalg.norm(model.project(se3.apply(motion, points)) - there[ok], axis=1)
            if len(points)
            else np.zeros(0)
        )
        work.motions.append(motion)
        work.records.append(_record(work, motion, last, usable, agree, aligned))
        return _seen(work, motion, aligned)

    def _flow(self, work: _Work, seen: NDArray[np.float32], stats: dict[str, float]) -> LiftResult:
        """Build the flow (T, K) of the points that the filter keeps."""
        visible = seen > 0.1
        share = 1.0 if self._filter == ALL_VISIBLE else 0.5
        kept = visible.mean(axis=0) >= share
        stats["share_kept"] = float(kept.mean())
        if kept.sum() < self._limits.min_seeds:
            raise TrackingError(
                Code.TRACKS_TOO_FEW,
                f"{int(kept.sum())} of {kept.size} points are seen long enough ({self._filter}); "
                f"{self._limits.min_seeds} are needed",
                stats,
            )
        view = work.request.view
        path = [
            se3.apply(view.T_planning_camera @ motion, work.points[kept]) for motion in work.motions
        ]
        flow = ObjectFlow(
            points=np.stack(path).astype(np.float32),
            visible=visible[:, kept],
            confidence=np.clip(seen[:, kept], 0, 1).astype(np.float32),
            dt_s=1.0 / work.request.video.fps,
            # A straight path does not prove a slide, nor an arc a hinge: without a model of joints
            # it stays rigid.
            kind=MotionKind.RIGID,
            frame_id=work.request.planning_frame,
            stamp_ns=view.stamp_ns,
            label=work.request.label,
        )
        return LiftResult(flow, stats)


def _make_aligner(
    first: Gray,
    depth: NDArray[np.float32],
    behind: NDArray[np.float32],
    mask: NDArray[np.bool_],
    model: CameraModel,
    scale: float,
) -> PixelAligner:
    if scale != 1.0:
        size = (model.width // 2, model.height // 2)
        # Pixel centres are at whole numbers, so the principal point moves by a quarter pixel as
        # well.
        model = CameraModel(
            *size, model.fx / 2, model.fy / 2, (model.cx - 0.5) / 2, (model.cy - 0.5) / 2
        )
        first = _scaled(first, scale)
        mask = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_AREA) > 0
        nearest = cv2.INTER_NEAREST
        depth = np.asarray(cv2.resize(depth, size, interpolation=nearest), np.float32)
        behind = np.asarray(cv2.resize(behind, size, interpolation=nearest), np.float32)
        depth = smooth_depth(depth, mask & np.isfinite(depth))
    return PixelAligner(first, surface_of(depth, mask, model), behind, mask, model)


def _scaled(image: Gray, scale: float) -> Gray:
    if scale == 1.0:
        return image
    size = (image.shape[1] // 2, image.shape[0] // 2)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _best(found: list[Alignment | None]) -> Alignment | None:
    known = [a for a in found if a is not None]
    return max(known, key=lambda a: a.correlation * a.seen_share, default=None)


def _inside(pixels: Float, model: CameraModel, margin: float = 3.0) -> NDArray[np.bool_]:
    size = np.array([model.width, model.height])
    with np.errstate(invalid="ignore"):
        return np.asarray(((pixels >= margin) & (pixels <= size - 1 - margin)).all(axis=1))


def _hidden(motion: Float, work: _Work, pixels: Float) -> NDArray[np.bool_]:
    """Whether points (P,) lie behind what the first frame saw there."""
    out = np.zeros(len(pixels), bool)
    inside = _inside(pixels, work.request.view.model)
    at = np.rint(pixels[inside]).astype(int)
    depth = se3.apply(motion, work.points[inside])[:, 2]
    out[inside] = depth > work.depth_behind[at[:, 1], at[:, 0]] + 0.01
    return out


def _crop(pixels: Float, model: CameraModel) -> tuple[slice, slice]:
    if len(pixels) == 0:
        return slice(0, model.height), slice(0, model.width)
    low = np.floor(pixels.min(axis=0)).astype(int) - _CROP_PAD_PX
    high = np.ceil(pixels.max(axis=0)).astype(int) + _CROP_PAD_PX
    return (
        slice(max(low[1], 0), min(high[1], model.height)),
        slice(max(low[0], 0), min(high[0], model.width)),
    )


def _record(
    work: _Work,
    motion: Float,
    last: Float,
    usable: NDArray[np.bool_],
    agree: Float,
    aligned: Alignment | None,
) -> StepRecord:
    moved = se3.apply(motion, work.points) - se3.apply(last, work.points)
    inliers = agree < 2.0
    return StepRecord(
        usable=int(usable.sum()),
        tracked=len(agree),
        inliers=int(inliers.sum()),
        reprojection_px=float(np.sqrt(np.mean(agree[inliers] ** 2))) if inliers.any() else np.nan,
        correlation=aligned.correlation if aligned else 0.0,
        seen_share=aligned.seen_share if aligned else 0.0,
        point_std_m=aligned.point_std_m if aligned else np.inf,
        step_m=float(np.linalg.norm(moved, axis=1).max()),
        turn_rad=float(se3.rotation_angle(motion[:3, :3] @ last[:3, :3].T)),
        depth_m=float(se3.apply(motion, work.points)[:, 2].mean()),
    )


def _seen(work: _Work, motion: Float, aligned: Alignment | None) -> NDArray[np.float32]:
    out = np.zeros(len(work.points), np.float32)
    if aligned is None:
        return out
    model = work.request.view.model
    pixels = model.project(se3.apply(motion, work.points))
    inside = _inside(pixels, model)
    weight = cv2.dilate(aligned.weight, np.ones((3, 3), np.uint8))
    at = pixels if work.scale == 1.0 else (pixels - 0.5) / 2
    u = np.rint(np.nan_to_num(at[:, 0])).astype(int) - aligned.warp.roi[0]
    v = np.rint(np.nan_to_num(at[:, 1])).astype(int) - aligned.warp.roi[1]
    inside &= (u >= 0) & (v >= 0) & (u < weight.shape[1]) & (v < weight.shape[0])
    depth = se3.apply(motion, work.points)[:, 2]
    out[inside] = weight[v[inside], u[inside]]
    front = np.zeros(len(out), bool)
    front[inside] = depth[inside] < aligned.warp.depth[v[inside], u[inside]] + 0.015
    return np.where(front, out, np.float32(0))


def _background_motion(work: _Work) -> float:
    """How far the background moves at most [px]; NaN where nothing could be followed."""
    model = work.request.view.model
    start = work.seeds.around
    # What the object passes is dragged along in a tracker's window, so only the rest is asked.
    start = start[~_passed(work, start)]
    if len(start) < 8:
        return float("nan")
    at, alive = start.copy(), np.ones(len(start), bool)
    tracker = KltTracker(levels=1)
    worst, last = 0.0, 0
    marks = [*range(_BACKGROUND_EVERY, len(work.grays), _BACKGROUND_EVERY), len(work.grays) - 1]
    crop = _crop(start, model)
    offset = np.array([crop[1].start, crop[0].start], float)
    for step in dict.fromkeys(marks):
        moved, ok = tracker.track(
            np.ascontiguousarray(work.grays[last][crop]),
            np.ascontiguousarray(work.grays[step][crop]),
            at - offset,
            at - offset,
        )
        at = np.where(ok[:, None], moved + offset, at)
        alive &= ok & _inside(at, model)
        if alive.sum() < 8:
            break
        worst = max(worst, float(np.linalg.norm(np.median((at - start)[alive], axis=0))))
        last = step
    return worst if last else float("nan")


def _passed(work: _Work, points: Float) -> NDArray[np.bool_]:
    """Whether background points (Q,) are ever near the moving object."""
    out = np.zeros(len(points), bool)
    for motion in work.motions[::2] + work.motions[-1:]:
        pixels = work.request.view.model.project(se3.apply(motion, work.points))
        pixels = pixels[np.isfinite(pixels).all(axis=1)]
        if len(pixels):
            low, high = pixels.min(axis=0) - _REACH_PX, pixels.max(axis=0) + _REACH_PX
            out |= ((points > low) & (points < high)).all(axis=1)
    return out


def make_klt(settings: object) -> PnpLifter:
    """Entry point of the `klt` backend."""
    return PnpLifter(KltTracker, str(getattr(settings, "track_filter", MIN_SUPPORT)))


def make_dis(settings: object) -> PnpLifter:
    """Entry point of the `dis` backend."""
    return PnpLifter(DisTracker, str(getattr(settings, "track_filter", MIN_SUPPORT)))
