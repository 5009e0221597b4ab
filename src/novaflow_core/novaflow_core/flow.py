"""Actionable 3D object flow: how points of one object move.

Source: NovaFlow (arXiv 2510.08568), sec. 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from novaflow_core.errors import ShapeError

DEFAULT_STEPS = 41  # frames of a generated video (NovaFlow, sec. 4)


class MotionKind(StrEnum):
    """How the object moves; decided from the flow."""

    RIGID = "rigid"
    PRISMATIC = "prismatic"
    REVOLUTE = "revolute"
    DEFORMABLE = "deformable"


@dataclass(frozen=True)
class ObjectFlow:
    """Points of one object over time, in the planning frame.

    Attributes:
        points: (T, K, 3) float32 [m]; NaN where not known.
        visible: (T, K) bool; whether the point was seen in that step. In a step without any,
            `points` are where the object is thought to have been between those that show it.
        confidence: (T, K) float32, 0..1.
        dt_s: Time between steps [s].
        frame_id: The planning frame.
        stamp_ns: Time of the view that step 0 shows [ns].
        label: What moves.
        kind: How it moves.
    """

    points: NDArray[np.float32]
    visible: NDArray[np.bool_]
    confidence: NDArray[np.float32]
    dt_s: float
    frame_id: str
    stamp_ns: int = 0
    label: str = ""
    kind: MotionKind = MotionKind.RIGID

    def __post_init__(self) -> None:
        """Check shapes and sizes."""
        if self.points.ndim != 3 or self.points.shape[2] != 3:
            raise ShapeError(f"flow points have shape {self.points.shape}, not (T, K, 3)")
        steps, count = self.points.shape[:2]
        if steps < 2 or count < 1:
            raise ShapeError(f"flow has {steps} steps of {count} points; it needs at least 2 of 1")
        if self.visible.shape != (steps, count) or self.confidence.shape != (steps, count):
            raise ShapeError(
                f"flow points {self.points.shape}, visible {self.visible.shape}, "
                f"confidence {self.confidence.shape}"
            )
        if not self.dt_s > 0:
            raise ShapeError(f"flow dt is {self.dt_s} s; it must be positive")

    @property
    def steps(self) -> int:
        """Number of steps T."""
        return int(self.points.shape[0])

    @property
    def point_count(self) -> int:
        """Number of points K."""
        return int(self.points.shape[1])

    def displacement(self) -> NDArray[np.float64]:
        """Net motion (3,) [m]: median over the points known in the first and the last step."""
        delta = (self.points[-1] - self.points[0]).astype(float)
        known = np.isfinite(delta).all(axis=1)
        return np.median(delta[known], axis=0) if known.any() else np.full(3, np.nan)
