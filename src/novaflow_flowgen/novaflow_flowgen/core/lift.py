"""Lift a video to object flow without a depth network: tracks, PnP, then the pixels.

A lifter that cannot tell says so: a step that fails a check ends the lift with a `TrackingError`
and its numbers instead of a bad flow, unless the object is soon seen again where it was going.
Frames are read one by one, so a video that goes wrong early costs little.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

import novaflow_lifting
from novaflow_core import se3
from novaflow_core.camera import CameraModel
from novaflow_core.errors import Code, ShapeError, TrackingError
from novaflow_core.flow import MotionKind, ObjectFlow
from novaflow_core.video import Video
from novaflow_flowgen.core.anchored_tracks import anchored_fit
from novaflow_flowgen.core.background import LOOK_EVERY, BackgroundWatch
from novaflow_flowgen.core.lift_checks import (
    Fault,
    LiftGuard,
    LiftLimits,
    StepRecord,
    refusal,
    summarise,
)
from novaflow_flowgen.core.motion_filter import MotionFilter, bridge
from novaflow_flowgen.core.object_template import MAX_TRACKS, ObjectTemplate, TemplateStore
from novaflow_flowgen.core.path_smoothing import smooth_path
from novaflow_flowgen.core.pose_fit import Alignment, PixelAligner
from novaflow_flowgen.core.protocols import (
    LiftRequest,
    LiftResult,
    OnProgress,
    ShouldStop,
    check_stop,
)
from novaflow_flowgen.core.track_fit import INLIER_PX, fit_tracks
from novaflow_flowgen.core.tracks import (
    DisTracker,
    Gray,
    KltTracker,
    PairTracker,
    crop_around,
    inside_image,
)
from novaflow_flowgen.core.video_masks import refuse_masks

Float = NDArray[np.float64]

ALL_VISIBLE = "all_visible"
MIN_SUPPORT = "min_support"
_TRUSTED_CORRELATION = 0.5
_SURE_CORRELATION = 0.95
_SEEN = 0.1
_MIN_OPEN_SHARE = 0.3


@dataclass
class _Work:
    """Everything of one lift that its steps share."""

    request: LiftRequest
    template: ObjectTemplate
    tracker: PairTracker
    aligner: PixelAligner
    background: BackgroundWatch
    guard: LiftGuard
    course: MotionFilter
    last_frame: Gray
    points: Float  # (P, 3) of the template, in the last frame
    seen: list[NDArray[np.float32]]  # (P,) by frame, of each of the template's points, 0..1
    motions: list[Float] = field(default_factory=lambda: [np.eye(4)])
    records: list[StepRecord] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)  # of the frames since it was last seen
    known: list[Float | None] = field(default_factory=list)  # (6, 6) of the motions but the first


@dataclass(frozen=True)
class _Found:
    """What one frame says."""

    frame: Gray
    small: Gray  # as the alignment sees it
    motion: Float
    aligned: Alignment | None
    usable: int
    points: Float  # (P, 3) that were tracked, in the first frame
    pixels: Float  # (P, 2) where they were tracked to
    stretch: float  # by which it has surely changed its shape; NaN where that is not known

    def record(
        self, motion: Float, here: Float, last: Float, before: Float, model: CameraModel
    ) -> StepRecord:
        """Hold a motion (4, 4) against it, and against the last one.

        `here` and `before` are the object's points (N, 3) at the two.
        """
        moved = here - before
        off = model.project(se3.apply(motion, self.points)) - self.pixels
        off = np.linalg.norm(off, axis=-1)
        inliers = off < INLIER_PX
        aligned = self.aligned
        return StepRecord(
            usable=self.usable,
            tracked=len(off),
            inliers=int(inliers.sum()),
            reprojection_px=float(np.sqrt(np.mean(off[inliers] ** 2))) if inliers.any() else np.nan,
            correlation=aligned.correlation if aligned else 0.0,
            seen_share=aligned.seen_share if aligned else 0.0,
            point_std_m=aligned.point_std_m if aligned else np.inf,
            step_m=float(np.linalg.norm(moved, axis=1).max()),
            turn_rad=float(se3.rotation_angle(motion[:3, :3] @ last[:3, :3].T)),
            depth_m=float(here[:, 2].mean()),
            stretch=self.stretch,
        )


class PnpLifter:
    """Rigid lifting with any pair tracker."""

    def __init__(
        self,
        make_tracker: Callable[[], PairTracker],
        track_filter: str = MIN_SUPPORT,
        limits: LiftLimits | None = None,
        *,
        every: int = 1,
        max_tracks: int = MAX_TRACKS,
    ) -> None:
        """Keep the settings; a tracker is built per video, since lifts run in parallel.

        Args:
            make_tracker: Builds a tracker.
            track_filter: Of the steps that show any of the object, `all_visible` keeps points seen
                in every one (NovaFlow, sec. 3), `min_support` those seen in at least half.
            limits: When to abstain.
            every: How far the frames that it gets are apart in the whole video.
            max_tracks: Most points that are tracked.
        """
        self._every = every
        self._make_tracker = make_tracker
        self._filter = track_filter
        self._limits = limits or LiftLimits()
        self._templates = TemplateStore(self._limits.min_seeds, max_tracks)

    def lift(
        self, request: LiftRequest, on_progress: OnProgress, should_stop: ShouldStop
    ) -> LiftResult:
        """Follow the masked object through the video."""
        steps, grays = _open(request)
        check_stop(should_stop)
        work = self._prepare(request, next(grays), steps)
        for step, frame in enumerate(grays, start=1):
            check_stop(should_stop)
            expected = _expected(work)
            self._weigh(work, step, self._look(work, step, frame, expected))
            on_progress(step / steps)
        if work.faults:
            raise _not_seen_again(work)
        return self._flow(work, summarise(work.records, work.background.moved_px))

    def _prepare(self, request: LiftRequest, first: Gray, steps: int) -> _Work:
        mask = np.asarray(request.mask, bool)
        template = self._templates.of(request.view, mask)
        model = request.view.model
        share = len(template.tracked) / len(template.points)
        return _Work(
            request, template, self._make_tracker(),
            PixelAligner(template.alignment.scaled(first), template.alignment, share),
            BackgroundWatch(first, mask, model, steps, max(1, LOOK_EVERY // self._every)),
            LiftGuard(self._limits, model, steps, self._every),
            MotionFilter(template.points.mean(axis=0), self._every), first, template.points,
            [np.ones(len(template.points), np.float32)],
        )  # fmt: skip

    def _look(self, work: _Work, step: int, frame: Gray, expected: Float) -> _Found:
        """Find the object in a frame, near where it is expected (4, 4)."""
        model, template = work.request.view.model, work.template
        tracked = template.points[template.tracked]
        last = work.motions[-1]
        here = se3.apply(last, tracked)
        before, after = model.project(here), model.project(se3.apply(expected, tracked))
        usable = inside_image(before, model) & inside_image(after, model)
        usable &= ~_hidden(work, here, before)
        usable = _uncovered(usable, work.seen[-1][template.tracked])
        crop = crop_around(np.concatenate([before[usable], after[usable]]), model)
        offset = np.array([crop[1].start, crop[0].start], float)
        there, ok = work.tracker.track(
            np.ascontiguousarray(work.last_frame[crop]),
            np.ascontiguousarray(frame[crop]),
            before[usable] - offset,
            after[usable] - offset,
        )
        pixels, points = (there + offset)[ok], tracked[usable][ok]
        # What was not seen in the last frame cannot be followed from it.
        fit = None if work.faults else fit_tracks(points, pixels, model, last, seed=step)
        small = template.alignment.scaled(frame)
        near = fit.T_camera_motion if fit is not None else expected
        here = se3.apply(near, tracked)
        free = tracked[~_hidden(work, here, model.project(here))]
        anchored = anchored_fit(work.aligner, free, small, near, step)
        if anchored.fit is not None:
            fit = anchored.fit
            points, pixels = fit.first, template.alignment.whole(fit.pixels)
        starts = [fit.T_camera_motion] if fit is not None else [expected, last]
        aligned = _best([work.aligner.align(small, start, fit) for start in starts])
        motion = starts[0]
        if aligned is not None and aligned.correlation > _TRUSTED_CORRELATION:
            motion = aligned.T_camera_motion
        return _Found(
            frame, small, motion, aligned, int(usable.sum()), points, pixels, anchored.stretch
        )

    def _weigh(self, work: _Work, step: int, found: _Found) -> None:
        """Believe what a frame says, or pass over it; too much of that ends the lift."""
        model, template, aligned = work.request.view.model, work.template, found.aligned
        motion, last = found.motion, work.motions[-1]
        points = se3.apply(motion, template.points)
        work.records.append(found.record(motion, points, last, work.points, model))
        fault = work.guard.step_fault(work.records)
        near = False
        if aligned is not None and (fault is not None or work.faults):
            near = work.course.near(found.motion, aligned.covariance)
        if fault is None and work.faults and not (near and _sure(aligned)):
            fault = work.faults[0]  # it is not surely seen again, where it was going
        if fault is None:
            self._see_again(work, motion)
        else:
            work.faults.append(fault)
            if len(work.faults) > self._limits.max_hidden_frames // self._every:
                raise _not_seen_again(work)
        if aligned is not None and (near or fault is None):
            work.course.take(motion, aligned.covariance)
        if fault is not None:
            motion = work.course.motion
            points = se3.apply(motion, template.points)
            work.records[-1] = found.record(motion, points, last, work.points, model)
        here = model.project(points)
        work.background.see(step, found.frame, here)
        camera = work.guard.camera_fault(work.records, work.background.moved_px)
        if camera is not None:
            raise refusal(camera, work.records, work.background.moved_px)
        work.motions.append(motion)
        work.points, work.last_frame = points, found.frame
        if fault is None and aligned is not None:
            work.aligner.learn_background(found.small, aligned.warp)
            work.aligner.learn_scatter(aligned)
            work.seen.append(_seen(template, points[:, 2], here, aligned))
            work.known.append(aligned.covariance)
        else:
            work.known.append(None)
            work.seen.append(np.zeros(len(template.points), np.float32))

    def _see_again(self, work: _Work, found: Float) -> None:
        """Lead the poses through a hidden moment, if there was one, to where it ended (4, 4)."""
        if work.faults:
            count = len(work.faults)
            between = [*work.motions[-count - 1 :], work.course.motion]
            work.motions[-count:] = bridge(between, work.template.points.mean(axis=0), found)
            work.faults.clear()

    def _flow(self, work: _Work, stats: dict[str, float]) -> LiftResult:
        """Build the flow (T, K) of the points that the filter keeps."""
        seen = np.stack(work.seen)
        visible = seen > _SEEN
        share = 1.0 if self._filter == ALL_VISIBLE else 0.5
        kept = visible[visible.any(axis=1)].mean(axis=0) >= share
        stats["share_kept"] = float(kept.mean())
        if kept.sum() < self._limits.min_seeds:
            raise TrackingError(
                Code.TRACKS_TOO_FEW,
                f"{int(kept.sum())} of {kept.size} points are seen long enough ({self._filter}); "
                f"{self._limits.min_seeds} are needed",
                stats,
            )
        view, motions = work.request.view, work.motions
        if any(known is None for known in work.known):
            motions = smooth_path(motions, work.known, work.template.points.mean(axis=0))
        path = [
            se3.apply(view.T_planning_camera @ motion, work.template.points[kept])
            for motion in motions
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


def _open(request: LiftRequest) -> tuple[int, Iterator[Gray]]:
    """Number of frames, and the frames in grey."""
    video, view = request.video, request.view
    if isinstance(video, Video):
        steps, height, width = video.frames.shape[:3]
        grays: Iterator[Gray] = (
            np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), np.uint8) for frame in video.frames
        )
    else:
        steps, height, width, grays = video.steps, video.height, video.width, video.grays()
    if (width, height) != (view.model.width, view.model.height):
        raise ShapeError(
            f"the video is {width}x{height}, the view {view.model.width}x{view.model.height}"
        )
    return steps, grays


def _expected(work: _Work) -> Float:
    """Where the object should be in the next frame, (4, 4)."""
    thought = work.course.predict()
    if work.faults or len(work.motions) < 2:
        return thought
    last, before = work.motions[-1], work.motions[-2]
    return np.asarray(last @ se3.inverse(before) @ last)


def _not_seen_again(work: _Work) -> TrackingError:
    """What went wrong first; what came after did not mend it."""
    first, count = work.faults[0], len(work.faults) - 1
    if count:
        first = first._replace(reason=f"{first.reason}; {count} frames later it is no better")
    return refusal(first, work.records, work.background.moved_px)


def _best(found: list[Alignment | None]) -> Alignment | None:
    """Of some poses in one frame the one that explains most of it [px]."""

    # A share of the object would favour what is drawn too small.
    def explained(a: Alignment) -> float:
        return a.correlation * a.seen_share * np.count_nonzero(a.warp.alpha > 0.5)

    return max((a for a in found if a is not None), key=explained, default=None)


def _sure(aligned: Alignment | None) -> bool:
    """Whether what is seen of the object looks so much like it that it can be nothing else."""
    return aligned is not None and aligned.correlation > _SURE_CORRELATION


def _hidden(work: _Work, points: Float, pixels: Float) -> NDArray[np.bool_]:
    """Whether points (P, 3), at pixels (P, 2), lie behind what the first frame saw there."""
    out = np.zeros(len(pixels), bool)
    inside = inside_image(pixels, work.request.view.model)
    u, v = np.rint(pixels[inside]).astype(int).T
    out[inside] = points[inside, 2] > work.template.depth_behind[v, u] + 0.01
    return out


def _uncovered(usable: NDArray[np.bool_], seen: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Leave out points (P,) that something else was in front of, unless too few would remain.

    A hand that carries the object moves with it, at another depth: its tracks agree with one
    another and pull the pose away little by little.
    """
    open_ = usable & (seen > _SEEN)
    return open_ if open_.sum() >= _MIN_OPEN_SHARE * max(int(usable.sum()), 1) else usable


def _seen(
    template: ObjectTemplate, depth: Float, pixels: Float, aligned: Alignment
) -> NDArray[np.float32]:
    """How well each point (P,) is seen, 0..1: `depth` (P,) [m] and `pixels` (P, 2) are its now."""
    out = np.zeros(len(pixels), np.float32)
    weight = cv2.dilate(aligned.weight, np.ones((3, 3), np.uint8))
    at = np.rint(np.nan_to_num(template.alignment.pixels(pixels))).astype(int)
    u, v = at[:, 0] - aligned.warp.roi[0], at[:, 1] - aligned.warp.roi[1]
    inside = np.isfinite(pixels).all(axis=1)
    inside &= (u >= 0) & (v >= 0) & (u < weight.shape[1]) & (v < weight.shape[0])
    out[inside] = weight[v[inside], u[inside]]
    front = np.zeros(len(out), bool)
    front[inside] = depth[inside] < aligned.warp.depth[v[inside], u[inside]] + 0.015
    return np.where(front, out, np.float32(0))


def make_klt(settings: object) -> PnpLifter:
    """Entry point of the `klt` backend."""
    return _configured("klt", KltTracker, settings)


def make_dis(settings: object) -> PnpLifter:
    """Entry point of the `dis` backend."""
    return _configured("dis", DisTracker, settings)


def _configured(name: str, make_tracker: Callable[[], PairTracker], settings: object) -> PnpLifter:
    refuse_masks(settings, name, "sees by itself what hides the object")
    novaflow_lifting.library.load()  # what is not built is told now, not by each candidate
    return PnpLifter(make_tracker, str(getattr(settings, "track_filter", MIN_SUPPORT)))
