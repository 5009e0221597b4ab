"""Is the task done? The product's own verdict, from a fresh colour and depth image.

The target's points from before, moved as the flow says, predict what the new view shows. They are
registered there, must be gone from where they were, and must then stand as the instruction says.
Whatever cannot be confirmed is no success.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_core.errors import Code, NovaflowError
from novaflow_core.flow import ObjectFlow
from novaflow_core.grounding import Grounding
from novaflow_core.kabsch import fit_sequence
from novaflow_core.motion_check import MotionJudge
from novaflow_core.scene import RgbdView, Scene
from novaflow_perception.core.registration import Fit, NewView, ObjectModel, fit_of, search

Float = NDArray[np.float64]


@dataclass(frozen=True)
class OutcomeLimits:
    """When an outcome counts as observed.

    Attributes:
        min_fit: Share of the open points that must be seen where they should be.
        max_hidden: Share of the points that may be hidden.
        max_stayed: Share that may still be seen at the old place.
        max_error_m: How far the relation or motion may be from holding [m].
        moved_m: Shorter motions may overlap with the old place, which is then not looked at [m].
    """

    min_fit: float = 0.6
    max_hidden: float = 0.7
    max_stayed: float = 0.45
    max_error_m: float = 0.003
    moved_m: float = 0.04


@dataclass(frozen=True)
class Outcome:
    """What was observed.

    Attributes:
        code: OK, OUTCOME_NOT_OBSERVED or TARGET_LOST.
        reason: A sentence with numbers.
        motion: (4, 4) of the target since the scene, as registered: `p_now = motion @ p_before`.
        fit: Share of the target's open points that were found, 0..1.
    """

    code: Code
    reason: str
    motion: Float
    fit: float


def observe(
    before: Scene,
    grounding: Grounding,
    flow: ObjectFlow,
    after: Scene,
    limits: OutcomeLimits | None = None,
) -> Outcome:
    """Judge a fresh scene.

    Args:
        before: The scene that was grounded.
        grounding: Of `before`.
        flow: The flow that was followed.
        after: The same cameras' view of now.
        limits: When an outcome counts.

    Raises:
        TrackingError: POSE_SUPPORT_TOO_SMALL when the flow holds no rigid motion.
        PerceptionError: When target or reference have too few points in `before`.
    """
    limits = limits or OutcomeLimits()
    support = grounding.support
    model = ObjectModel.from_view(before.main, grounding.mask(grounding.target))
    if len(model.points) < 60:
        return Outcome(
            Code.TARGET_LOST,
            f"the target had depth at {len(model.points)} points before; 60 are needed",
            np.eye(4),
            0.0,
        )
    expected = fit_sequence(flow).poses[-1]
    new = NewView(after.main)
    motion, fit = search(model, expected, new, support)
    stayed = fit_of(model, np.eye(4), new)
    if fit.share < limits.min_fit or fit.hidden_share > limits.max_hidden:
        return _not_found(fit, stayed, limits)
    middle = model.points.mean(axis=0)
    travel = float(np.linalg.norm(se3.apply(motion, middle) - middle))
    if travel > limits.moved_m and stayed.share > limits.max_stayed:
        return Outcome(
            Code.OUTCOME_NOT_OBSERVED,
            f"the target is seen at its old place as well ({_percent(stayed)} of it there)",
            motion,
            fit.share,
        )
    try:
        check = MotionJudge(
            grounding.task,
            grounding.points(before, grounding.target),
            _reference_points(before.main, grounding, new),
            support,
            before.main.T_planning_camera,
        ).check(motion)
    except NovaflowError as error:
        return Outcome(Code.OUTCOME_NOT_OBSERVED, error.reason, motion, fit.share)
    found = f"{_percent(fit)} of the target was found, {1e3 * travel:.0f} mm from where it was"
    if check.error_m > limits.max_error_m:
        return Outcome(
            Code.OUTCOME_NOT_OBSERVED,
            f"{found}; it is {1e3 * check.error_m:.0f} mm off what was asked for: {check.reason}",
            motion,
            fit.share,
        )
    return Outcome(Code.OK, f"{found}; {check.reason}", motion, fit.share)


def _not_found(fit: Fit, stayed: Fit, limits: OutcomeLimits) -> Outcome:
    if stayed.share >= limits.min_fit and stayed.hidden_share <= limits.max_hidden:
        return Outcome(
            Code.OUTCOME_NOT_OBSERVED,
            f"the target is still where it was ({_percent(stayed)} of it seen there)",
            np.eye(4),
            stayed.share,
        )
    return Outcome(
        Code.TARGET_LOST,
        f"the target was not found where the flow ends: {_percent(fit)} of it agrees "
        f"({100 * limits.min_fit:.0f} % needed), {100 * fit.hidden_share:.0f} % is hidden",
        np.eye(4),
        fit.share,
    )


def _reference_points(before: RgbdView, grounding: Grounding, new: NewView) -> Float | None:
    """Points of the first reference, moved along if it was nudged on the support."""
    if not grounding.references:
        return None
    mask = grounding.mask(grounding.references[0])
    points = before.points()[mask]
    points = points[np.isfinite(points).all(axis=1)]
    model = ObjectModel.from_view(before, mask)
    stayed = fit_of(model, np.eye(4), new).share
    best, shift = stayed + 0.05, np.zeros(3)
    basis = grounding.support.basis()
    for step_m in (0.010, 0.004):
        around = shift
        for x in np.arange(-3, 4) * step_m:
            for y in np.arange(-3, 4) * step_m:
                there = around + x * basis[0] + y * basis[1]
                share = fit_of(model, se3.from_rt(np.eye(3), there), new).share
                if share > best:
                    best, shift = share, there
    return np.asarray(points + shift)


def _percent(fit: Fit) -> str:
    return f"{100 * fit.share:.0f} %"
