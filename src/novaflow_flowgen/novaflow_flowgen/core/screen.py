"""A cheap look at a video before it is drawn to its end, saved and lifted.

Every few frames, shrunk, are lifted as the real lifter does it, and the end is compared with the
instruction. Where that loses the object, which may only have been too fast, it is tried with twice
as many frames. What this look cannot tell passes: it is only there to save time, so its limits are
wider than those of the lifter and of any judge. A flow is never made of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from novaflow_core.camera import CameraModel
from novaflow_core.errors import Code, NovaflowError, TrackingError, VideoError
from novaflow_core.flow import ObjectFlow
from novaflow_core.grounding import Grounding
from novaflow_core.kabsch import fit_rigid
from novaflow_core.motion_check import MotionJudge
from novaflow_core.scene import RgbdView, Scene
from novaflow_flowgen.core.lift import MIN_SUPPORT, PnpLifter
from novaflow_flowgen.core.lift_checks import LiftLimits
from novaflow_flowgen.core.protocols import LiftRequest, ShouldStop, check_stop
from novaflow_flowgen.core.tracks import Gray, KltTracker

STRIDES = (4, 2)  # frames from one look to the next, in the order in which they are tried
GOAL_ERROR_M = 0.05  # a judge allows 12 mm; a coarse end is a few millimetres off
_TRACKS = 120  # at most; a third of the lifter's
_PIXELS = 1500  # of the object in a shrunk frame
_MAX_SHRINK = 3


class Frames(Protocol):
    """A video, of which single frames can be looked at."""

    @property
    def fps(self) -> float:
        """Frames per second of the motion [Hz]."""
        ...

    @property
    def steps(self) -> int:
        """Number of frames T."""
        ...

    def frame(self, step: int) -> NDArray[np.uint8]:
        """Frame (H, W, 3) uint8 RGB of a step."""
        ...


class CoarseScreen:
    """Looks at the candidates of one goal; safe to use from several threads."""

    def __init__(self, scene: Scene, grounding: Grounding) -> None:
        """Measure what all candidates share."""
        view, target = scene.main, grounding.target
        mask = np.asarray(grounding.mask(target), bool)
        self._shrink = _shrink_of(mask)
        self._view = _shrunk(view, self._shrink)
        self._mask = np.asarray(mask[_grid(self._view.model, self._shrink)])
        self._scene, self._grounding = scene, grounding
        self._lifters = {
            n: PnpLifter(KltTracker, MIN_SUPPORT, _limits(n), every=n, max_tracks=_TRACKS)
            for n in STRIDES
        }
        self._judge = _judge(scene, grounding)

    def check(self, video: Frames, should_stop: ShouldStop) -> None:
        """Look at frames in order, and stop at the first that is wrong.

        Raises:
            TrackingError: As of the lifter, with its code and the frame.
            VideoError: VIDEO_GOAL_MISSED when it ends far from what the instruction says.
            PlatformError: CANCELLED.
        """
        for stride in STRIDES:
            try:
                flow = self._lifted(video, stride, should_stop)
                break
            except TrackingError as error:
                # A fast object comes back with more frames; a camera that moves does not stop.
                if stride == STRIDES[-1] or error.code == Code.LIFT_UNCERTAIN:
                    raise
        if self._judge is None or (video.steps - 1) % stride:
            return
        found = self._judge.check(_end(flow))
        if found.error_m > GOAL_ERROR_M:
            raise VideoError(
                Code.VIDEO_GOAL_MISSED,
                f"the video ends far from the goal, in frame {video.steps}: {found.reason}",
                {"goal_error_m": found.error_m},
            )

    def _lifted(self, video: Frames, stride: int, should_stop: ShouldStop) -> ObjectFlow:
        picked = _Picked(video, stride, self._view.model, self._shrink, should_stop)
        request = LiftRequest(
            picked, self._view, self._mask, self._grounding.support,
            planning_frame=self._scene.planning_frame,
        )  # fmt: skip
        return self._lifters[stride].lift(request, lambda _: None, should_stop).flow


@dataclass(frozen=True)
class _Picked:
    """Some frames of a video, shrunk and grey: a `GrayFrames`."""

    video: Frames
    stride: int
    model: CameraModel
    shrink: int
    should_stop: ShouldStop

    @property
    def picks(self) -> range:
        return range(0, self.video.steps, self.stride)

    @property
    def fps(self) -> float:
        return self.video.fps / self.stride

    @property
    def steps(self) -> int:
        return len(self.picks)

    @property
    def width(self) -> int:
        return self.model.width

    @property
    def height(self) -> int:
        return self.model.height

    def grays(self) -> Iterator[Gray]:
        for pick in self.picks:
            check_stop(self.should_stop)
            yield np.asarray(cv2.cvtColor(self._small(pick), cv2.COLOR_RGB2GRAY), np.uint8)

    def colors(self) -> NDArray[np.uint8]:
        return np.stack([self._small(pick) for pick in self.picks])

    def _small(self, pick: int) -> NDArray[np.uint8]:
        n, size = self.shrink, (self.width, self.height)
        part = self.video.frame(pick)[: size[1] * n, : size[0] * n]
        if n == 1:
            return part
        return np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)


def _limits(stride: int) -> LiftLimits:
    """Wider than the lifter's: the picture is coarse, and more happens between two looks."""
    fine = LiftLimits()
    return LiftLimits(
        min_inlier_ratio=0.3,
        min_correlation=0.7,
        min_seen_share=0.4,
        max_point_std_m=0.02,
        max_hidden_std_m=0.02,
        max_step_m=fine.max_step_m * stride,
        max_turn_rad=fine.max_turn_rad * stride,
        max_background_m=0.03,
    )


def _shrink_of(mask: NDArray[np.bool_]) -> int:
    return int(np.clip(np.sqrt(mask.sum() / _PIXELS), 1, _MAX_SHRINK))


def _grid(model: CameraModel, n: int) -> tuple[slice, slice]:
    """Pixels of the large image that stand for those of an image shrunk by `n`."""
    return (
        slice(n // 2, (model.height - 1) * n + n // 2 + 1, n),
        slice(n // 2, (model.width - 1) * n + n // 2 + 1, n),
    )


def _shrunk(view: RgbdView, n: int) -> RgbdView:
    if n == 1:
        return view
    large = view.model
    size, shift = (large.width // n, large.height // n), (n - 1) / 2
    model = CameraModel(
        *size, large.fx / n, large.fy / n, (large.cx - shift) / n, (large.cy - shift) / n
    )
    grid = _grid(model, n)
    part = view.color[: size[1] * n, : size[0] * n]
    color = np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)
    return RgbdView(
        view.camera, view.frame_id, view.stamp_ns, color,
        np.ascontiguousarray(view.depth[grid]), model, view.T_planning_camera,
    )  # fmt: skip


def _judge(scene: Scene, grounding: Grounding) -> MotionJudge | None:
    """What tells ends apart; None where the scene does not tell: the selection says why."""
    references = grounding.references
    try:
        reference = grounding.points(scene, references[0]) if references else None
        target = grounding.points(scene, grounding.target)
        return MotionJudge(
            grounding.task, target, reference, grounding.support, scene.main.T_planning_camera
        )
    except NovaflowError:
        return None


def _end(flow: ObjectFlow) -> NDArray[np.float64]:
    """Motion (4, 4) from the first to the last step."""
    seen = flow.visible[0] & flow.visible[-1]
    return np.asarray(fit_rigid(flow.points[0, seen], flow.points[-1, seen]).T)
