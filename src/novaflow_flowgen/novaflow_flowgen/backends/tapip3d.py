"""Lifting backend `tapip3d`: 3D point tracking by a model server, on estimated depth.

As in the paper (sec. 3): depth of the video, scaled by the first real depth; a 32x32 grid of query
points inside the object; tracks in XYZ of the first camera's frame, which takes the camera's motion
out; with a backend of the stage `masks`, points count as seen only on the target's pixels. The
server's model `tapip3d` (novaflow_flowgen.serving.contract):

    in:  frames (T, H, W, 3) uint8, depth (T, H, W) float32 [m], intrinsics (3, 3),
         T_first_camera (T, 4, 4), queries (K, 3) float64 [m] in step 0, iterations () int
    out: points (T, K, 3) [m] in the first camera's frame, visible (T, K) bool,
         and optionally confidence (T, K) 0..1
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_core.camera import CameraModel
from novaflow_core.errors import Code, ShapeError, TrackingError
from novaflow_core.flow import MotionKind, ObjectFlow
from novaflow_core.kabsch import fit_rigid
from novaflow_core.registry import load_backend
from novaflow_core.video import Video
from novaflow_flowgen.backends.model_depth import expect
from novaflow_flowgen.core.background import BackgroundWatch
from novaflow_flowgen.core.depth_video import (
    DepthEstimator,
    DepthVideo,
    check_steady,
    fit_scale,
    scaled,
    steadiness,
)
from novaflow_flowgen.core.lift import ALL_VISIBLE
from novaflow_flowgen.core.lift_checks import LiftGuard, LiftLimits, StepRecord, summarise
from novaflow_flowgen.core.protocols import (
    LiftRequest,
    LiftResult,
    OnProgress,
    ShouldStop,
    check_stop,
)
from novaflow_flowgen.core.settings import FlowgenSettings
from novaflow_flowgen.core.tracks import seed_points
from novaflow_flowgen.core.video_masks import NO_MASKS, VideoMasks, first_overlap, on_masks
from novaflow_flowgen.serving.client import ModelClient

Float = NDArray[np.float64]

_MASKS_SHARE = 0.2  # of the progress, where there are masks
_DEPTH_SHARE = 0.5  # of what is left; the tracker has the rest
_AGREE_M = 0.015  # of a track with its step's rigid motion


class Tapip3dLifter:
    """Lifts with two models: one for depth, one for tracks; a third may tell what they are on."""

    def __init__(
        self,
        depth: DepthEstimator,
        tracks: ModelClient,
        settings: FlowgenSettings,
        masks: VideoMasks | None = None,
    ) -> None:
        """Keep the models and the settings."""
        self._depth, self._tracks, self._settings = depth, tracks, settings
        self._masks = masks
        self._limits = LiftLimits()

    def lift(
        self, request: LiftRequest, on_progress: OnProgress, should_stop: ShouldStop
    ) -> LiftResult:
        """See `Lifter.lift`."""
        check_stop(should_stop)
        view, mask = request.view, np.asarray(request.mask, bool)
        # Before anything costly: points on the object, with a depth that was measured.
        pixels = seed_points(mask, np.isfinite(view.depth) & (view.depth > 0))
        if len(pixels) < self._limits.min_seeds:
            raise TrackingError(
                Code.TRACKS_TOO_FEW,
                f"{len(pixels)} points of the object have depth; {self._limits.min_seeds} "
                "are needed",
            )
        frames = _frames(request)
        masks, stats = self._follow(frames, mask, on_progress, should_stop)
        begin = 0.0 if masks is None else _MASKS_SHARE
        depth = self._depth.estimate(
            frames,
            view.model,
            lambda share: on_progress(begin + (1 - begin) * _DEPTH_SHARE * share),
            should_stop,
        )
        check_stop(should_stop)
        if depth.T_first_camera is None:
            steady = steadiness(depth)
            check_steady(steady)
            stats |= steady
        scale = fit_scale(depth.depth[0], view.depth, mask, self._settings.depth_scale)
        stats |= {"depth_factor": scale.factor, "depth_shift_m": scale.shift_m}
        metric = scaled(depth, scale)
        at = pixels.astype(int)
        queries = view.model.lift_pixels(pixels, metric.depth[0, at[:, 1], at[:, 0]])
        known = np.isfinite(queries).all(axis=1)
        pixels, queries = pixels[known], queries[known]
        points, visible, confidence = self._track(request, frames, metric, queries, should_stop)
        on_progress(1.0)
        if masks is not None:
            tracked = int(visible.sum())
            visible &= on_masks(masks, _pixels(view.model, metric, points))
            stats["mask_kept_share"] = float(visible.sum()) / tracked
        # The flow starts where the sensor saw the object; how it moves is the models' word.
        at = pixels.astype(int)
        real = view.model.lift_pixels(pixels, view.depth[at[:, 1], at[:, 0]])
        stats["start_offset_m"] = float(np.median(np.linalg.norm(real - points[0], axis=1)))
        points = points + (real - points[0])
        moved_px = self._camera_motion(request, frames, mask, metric, points)
        try:
            stats |= self._check(request, points, visible, moved_px)
        except TrackingError as error:
            error.evidence = {**stats, **error.evidence}
            raise
        return self._flow(request, points, visible, confidence, stats)

    def _follow(
        self,
        frames: NDArray[np.uint8],
        mask: NDArray[np.bool_],
        on_progress: OnProgress,
        should_stop: ShouldStop,
    ) -> tuple[NDArray[np.bool_] | None, dict[str, float]]:
        """The target's pixels (T, H, W), and how well they begin on it; None where nobody looks."""
        if self._masks is None:
            return None, {}
        masks = self._masks.follow(
            frames, mask, lambda share: on_progress(_MASKS_SHARE * share), should_stop
        )
        if masks.shape != frames.shape[:3]:
            raise ShapeError(f"the masks are {masks.shape}, the video is {frames.shape[:3]}")
        return masks, {"mask_first_iou": first_overlap(masks, mask)}

    def _track(
        self,
        request: LiftRequest,
        frames: NDArray[np.uint8],
        metric: DepthVideo,
        queries: Float,
        should_stop: ShouldStop,
    ) -> tuple[Float, NDArray[np.bool_], Float]:
        steps, count, who = len(frames), len(queries), self._tracks.address
        if count < self._limits.min_seeds:
            raise TrackingError(
                Code.DEPTH_UNRELIABLE,
                f"{count} points of the object have an estimated depth; "
                f"{self._limits.min_seeds} are needed",
            )
        poses = metric.T_first_camera
        answer = self._tracks.ask(
            {
                "frames": frames,
                "depth": metric.depth,
                "intrinsics": request.view.model.matrix,
                "T_first_camera": np.tile(np.eye(4), (steps, 1, 1)) if poses is None else poses,
                "queries": queries,
                "iterations": np.array(self._settings.tapip3d_iterations),
            },
            should_stop,
        )
        points = expect(answer, "points", (steps, count, 3), who).astype(float)
        visible = expect(answer, "visible", (steps, count), who).astype(bool)
        confidence = visible.astype(float)
        if "confidence" in answer:
            confidence = expect(answer, "confidence", (steps, count), who).astype(float)
        visible &= np.isfinite(points).all(axis=2)
        if not visible[0].any() or not np.isfinite(points[0]).all():
            raise TrackingError(Code.MODEL_NONSENSE, f"{who} loses its own queries in step 0")
        return points, visible, np.clip(np.nan_to_num(confidence), 0.0, 1.0)

    def _camera_motion(
        self,
        request: LiftRequest,
        frames: NDArray[np.uint8],
        mask: NDArray[np.bool_],
        metric: DepthVideo,
        points: Float,
    ) -> float:
        """Motion of the background [px] that nothing took out; 0 where the depth model knows it."""
        if metric.T_first_camera is not None:
            return 0.0
        model, steps = request.view.model, len(frames)
        gray = np.asarray(cv2.cvtColor(frames[0], cv2.COLOR_RGB2GRAY), np.uint8)
        watch = BackgroundWatch(gray, mask, model, steps)
        for step in range(1, steps):
            gray = np.asarray(cv2.cvtColor(frames[step], cv2.COLOR_RGB2GRAY), np.uint8)
            watch.see(step, gray, model.project(points[step]))
        return watch.moved_px

    def _check(
        self,
        request: LiftRequest,
        points: Float,
        visible: NDArray[np.bool_],
        background_px: float,
    ) -> dict[str, float]:
        """Hold every step against the limits of all lifters; returns what was measured."""
        steps, count = visible.shape
        guard, model = LiftGuard(self._limits, request.view.model, steps), request.view.model
        last, records = np.eye(4), []
        for step in range(1, steps):
            seen = np.flatnonzero(visible[step])
            record, last = _record(points, seen, step, last, count)
            records.append(record)
            guard.check(records, background_px if step == steps - 1 else float("nan"))
        stats = summarise(records, background_px)
        for name in ("correlation_min", "reprojection_px"):
            stats.pop(name)  # no picture is compared here
        image = model.project(points)
        stats["flow_px"] = float(np.nanmax(np.linalg.norm(image - image[:1], axis=-1), initial=0.0))
        return stats

    def _flow(
        self,
        request: LiftRequest,
        points: Float,
        visible: NDArray[np.bool_],
        confidence: Float,
        stats: dict[str, float],
    ) -> LiftResult:
        share = 1.0 if self._settings.track_filter == ALL_VISIBLE else 0.5
        kept = visible.mean(axis=0) >= share
        stats["share_kept"] = float(kept.mean())
        if kept.sum() < self._limits.min_seeds:
            raise TrackingError(
                Code.TRACKS_TOO_FEW,
                f"{int(kept.sum())} of {kept.size} points are seen long enough "
                f"({self._settings.track_filter}); {self._limits.min_seeds} are needed",
                stats,
            )
        view = request.view
        flow = ObjectFlow(
            points=se3.apply(view.T_planning_camera, points[:, kept]).astype(np.float32),
            visible=visible[:, kept],
            confidence=confidence[:, kept].astype(np.float32),
            dt_s=1.0 / request.video.fps,
            kind=MotionKind.RIGID,
            frame_id=request.planning_frame,
            stamp_ns=view.stamp_ns,
            label=request.label,
        )
        return LiftResult(flow, stats)


def _frames(request: LiftRequest) -> NDArray[np.uint8]:
    """All frames (T, H, W, 3): the models see the whole video at once."""
    video = request.video
    frames = video.frames if isinstance(video, Video) else video.colors()
    size = (request.view.model.height, request.view.model.width)
    if frames.shape[1:3] != size:
        raise ShapeError(f"the video is {frames.shape[1:3]}, the view {size}")
    return frames


def _pixels(model: CameraModel, metric: DepthVideo, points: Float) -> Float:
    """Where points (T, K, 3) of the first camera's frame lie (T, K, 2) [px] in each step."""
    if metric.T_first_camera is None:
        return model.project(points)
    way = zip(se3.inverse(metric.T_first_camera), points, strict=True)
    return np.stack([model.project(se3.apply(T_camera_first, p)) for T_camera_first, p in way])


def _record(
    points: Float, seen: NDArray[np.int64], step: int, last: Float, count: int
) -> tuple[StepRecord, Float]:
    """What one step shows, and its motion against step 0; the last one where nothing fits."""
    motion, residual, agree = last, np.inf, np.zeros(len(seen), bool)
    if len(seen) >= 6:
        fit = fit_rigid(points[0, seen], points[step, seen])
        motion, residual = fit.T, fit.residual_m
        off = np.linalg.norm(se3.apply(motion, points[0, seen]) - points[step, seen], axis=1)
        agree = off < _AGREE_M
    here = se3.apply(motion, points[0])
    moved = np.linalg.norm(here - se3.apply(last, points[0]), axis=1)
    record = StepRecord(
        usable=count,
        tracked=len(seen),
        inliers=int(agree.sum()),
        reprojection_px=0.0,
        correlation=1.0,
        seen_share=len(seen) / count,
        point_std_m=residual / np.sqrt(max(len(seen), 1)),
        step_m=float(moved.max()),
        turn_rad=float(se3.rotation_angle(motion[:3, :3] @ last[:3, :3].T)),
        depth_m=float(here[:, 2].mean()),
    )
    return record, motion


def make_tapip3d(settings: FlowgenSettings) -> Tapip3dLifter:
    """Entry point of the `tapip3d` backend."""
    depth = load_backend("depth", settings.depth)(settings)
    tracks = ModelClient(settings.tracks_url, "tapip3d", settings)
    masks = settings.masks
    follower = None if masks == NO_MASKS else load_backend("masks", masks)(settings)
    return Tapip3dLifter(depth, tracks, settings, follower)
