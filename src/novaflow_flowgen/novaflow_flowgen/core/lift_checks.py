"""When a lifter abstains: limits, what is measured in each step, and the verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from novaflow_core.camera import CameraModel
from novaflow_core.errors import Code, TrackingError

_LASTS = 3  # looks that a change of shape lasts; what hides the object may mislead one


@dataclass(frozen=True)
class LiftLimits:
    """Limits beyond which no flow is given.

    Attributes:
        min_seeds: Points that must lie on the object.
        min_tracked: Tracks that must survive a step.
        min_inlier_ratio: Share of a step's tracks that must agree with its pose.
        min_correlation: Between the moved first frame and each frame.
        min_seen_share: Share of the object that must neither be hidden nor contradicted.
        max_point_std_m: Standard deviation of the worst point of a pose [m].
        max_hidden_std_m: The same while something hides part of the object [m]; each frame is
            compared with the first, so the error does not stay.
        hidden_share: Below this share of the object that is seen, something hides it.
        max_step_m: Largest motion between two frames [m].
        max_turn_rad: Largest rotation between two frames [rad].
        max_background_m: Motion of the background, seen at the object's distance [m].
        max_hidden_frames: So many frames in a row may show too little of the object, if it is seen
            again afterwards where it was going.
    """

    min_seeds: int = 12
    min_tracked: int = 8
    min_inlier_ratio: float = 0.4
    min_correlation: float = 0.8
    min_seen_share: float = 0.45
    max_point_std_m: float = 0.006
    max_hidden_std_m: float = 0.008
    hidden_share: float = 0.85
    max_step_m: float = 0.08
    max_turn_rad: float = float(np.radians(25.0))
    max_background_m: float = 0.02
    max_hidden_frames: int = 6


@dataclass(frozen=True)
class StepRecord:
    """What was measured from one frame to the next.

    Attributes:
        usable: Points expected to be seen.
        tracked: Of these, how many survive the forward-backward check.
        inliers: Of the tracked, how many agree with the pose.
        reprojection_px: RMS of the inliers.
        correlation: Between the moved first frame and this frame.
        seen_share: Of the object, neither hidden nor contradicted.
        point_std_m: Of the worst point.
        step_m: Largest motion of a point since the last frame.
        turn_rad: Rotation since the last frame.
        depth_m: Mean distance from the camera along its axis.
        stretch: How much longer than wide, in the image, it has surely become; NaN when unknown.
    """

    usable: int
    tracked: int
    inliers: int
    reprojection_px: float
    correlation: float
    seen_share: float
    point_std_m: float
    step_m: float
    turn_rad: float
    depth_m: float
    stretch: float = float("nan")

    @property
    def inlier_ratio(self) -> float:
        """Inliers among the tracked; 0 when nothing was tracked."""
        return self.inliers / self.tracked if self.tracked else 0.0


def summarise(records: list[StepRecord], background_px: float) -> dict[str, float]:
    """Statistics of the steps so far; the unit is each name's suffix."""
    return {
        "inlier_ratio_min": min(r.inlier_ratio for r in records),
        "inlier_ratio_median": float(np.median([r.inlier_ratio for r in records])),
        "tracked_min": float(min(r.tracked for r in records)),
        "tracked_share_min": min(r.tracked / max(r.usable, 1) for r in records),
        "reprojection_px": float(
            np.nan_to_num(np.nanmax([0.0, *(r.reprojection_px for r in records)]))
        ),
        "correlation_min": min(r.correlation for r in records),
        "seen_share_min": min(r.seen_share for r in records),
        "point_std_max_m": max(min(r.point_std_m, 1.0) for r in records),
        "step_max_m": max(r.step_m for r in records),
        "turn_max_rad": max(r.turn_rad for r in records),
        "background_motion_px": background_px,
        "depth_end_m": records[-1].depth_m,
        "stretch": _lasting([r.stretch for r in records]),
    }


def _lasting(values: list[float]) -> float:
    """Largest of what is reached in a few looks in a row; NaN when there are fewer."""
    known = [value for value in values if np.isfinite(value)]
    runs = [known[i : i + _LASTS] for i in range(len(known) - _LASTS + 1)]
    return max((min(run) for run in runs), default=float("nan"))


class Fault(NamedTuple):
    """Why a step cannot be trusted.

    Attributes:
        code: Of the refusal.
        reason: With frame and numbers.
    """

    code: Code
    reason: str


class LiftGuard:
    """Finds the first step that cannot be trusted."""

    def __init__(self, limits: LiftLimits, model: CameraModel, steps: int, every: int = 1) -> None:
        """Keep the limits.

        Args:
            limits: When to abstain.
            model: Intrinsics of the video.
            steps: Number of frames that are looked at.
            every: How far these are apart in the whole video.
        """
        self._limits, self._model = limits, model
        self._every, self._total = every, (steps - 1) * every + 1

    def check(self, records: list[StepRecord], background_px: float) -> None:
        """Look at the newest record.

        Args:
            records: Of all steps so far.
            background_px: Motion of the background so far; NaN when unknown.

        Raises:
            TrackingError: TRACKS_TOO_FEW, LIFT_LOW_INLIERS, LIFT_DIVERGED or LIFT_UNCERTAIN, with
                step, numbers and the statistics so far.
        """
        fault = self.step_fault(records) or self.camera_fault(records, background_px)
        if fault is not None:
            raise refusal(fault, records, background_px)

    def step_fault(self, records: list[StepRecord]) -> Fault | None:
        """What is wrong with the newest record; None when nothing is."""
        where = f"in frame {len(records) * self._every + 1} of {self._total}"
        limits, r = self._limits, records[-1]
        hidden = r.seen_share < limits.hidden_share
        std_m = limits.max_hidden_std_m if hidden else limits.max_point_std_m
        if r.step_m > limits.max_step_m or r.turn_rad > limits.max_turn_rad:
            return Fault(
                Code.LIFT_DIVERGED,
                f"{where} the object jumps by {1000 * r.step_m:.0f} mm and "
                f"{np.degrees(r.turn_rad):.0f} deg",
            )
        if r.tracked < limits.min_tracked:
            return Fault(
                Code.TRACKS_TOO_FEW,
                f"{where} {r.tracked} of {r.usable} tracks survive; {limits.min_tracked} are "
                "needed",
            )
        if r.inlier_ratio < limits.min_inlier_ratio:
            return Fault(
                Code.LIFT_LOW_INLIERS,
                f"{where} {r.inliers} of {r.tracked} tracks agree with one rigid motion; "
                f"{100 * limits.min_inlier_ratio:.0f} % are needed",
            )
        if r.correlation < limits.min_correlation or r.seen_share < limits.min_seen_share:
            return Fault(
                Code.LIFT_DIVERGED,
                f"{where} the moved object does not look like the frame: correlation "
                f"{r.correlation:.2f} (at least {limits.min_correlation}), "
                f"seen {100 * r.seen_share:.0f} %",
            )
        if r.point_std_m > std_m:
            return Fault(
                Code.LIFT_UNCERTAIN,
                f"{where} the pose is known to {1000 * r.point_std_m:.1f} mm only; "
                f"{1000 * std_m:.1f} mm are needed",
            )
        return None

    def camera_fault(self, records: list[StepRecord], background_px: float) -> Fault | None:
        """Whether the camera has moved: None when it has not, or that is unknown."""
        drift_m = background_px / self._model.fx * records[-1].depth_m
        if drift_m > self._limits.max_background_m:
            return Fault(
                Code.LIFT_UNCERTAIN,
                f"the camera moves: the background drifts by {background_px:.0f} px, "
                f"{1000 * drift_m:.0f} mm at the object",
            )
        return None


def refusal(fault: Fault, records: list[StepRecord], background_px: float) -> TrackingError:
    """The error of a fault, with the statistics of all steps so far."""
    return TrackingError(fault.code, fault.reason, summarise(records, background_px))
