"""Is the task done? The product's own verdict, from a fresh colour and depth image.

The target's points from before, moved as the flow says, predict what the new view shows. They are
registered there; what is new and looks like the target must in turn be explained by that motion;
the target must be gone from where it was, and must then stand as the instruction says. So must
every other motion that explains the view as well. Whatever cannot be confirmed is no success.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_core.errors import Code, NovaflowError
from novaflow_core.flow import ObjectFlow
from novaflow_core.grounding import Grounding
from novaflow_core.kabsch import fit_sequence
from novaflow_core.motion_check import MotionJudge, tilt_rad
from novaflow_core.scene import Scene
from novaflow_core.task import Relation
from novaflow_perception.core.evidence import Body, Change
from novaflow_perception.core.explanation import (
    Explanation,
    Reference,
    Scales,
    explanations,
    find_reference,
)
from novaflow_perception.core.hanging_model import hanging_model
from novaflow_perception.core.holder import Held, look_at_holder
from novaflow_perception.core.in_hand import near_hand
from novaflow_perception.core.registration import Fit, NewView, ObjectModel, fit_of

Float = NDArray[np.float64]

_MIN_POINTS = 60


@dataclass(frozen=True)
class OutcomeLimits:
    """When an outcome counts as observed.

    Attributes:
        min_fit: Share of the open points that must be seen where they should be.
        max_hidden: Share of the points that may be hidden.
        max_hidden_in_hand: The same where the gripper holds it and tells where it is: what is seen
            must agree with that then.
        max_unexplained: Share of what arrived and looks like the target that may not be it.
        max_stayed: Share that may still be seen at the old place.
        max_error_m: How far the relation or motion may be from holding [m].
        max_lean_rad: How far something put into a relation may lean [rad]; registration errs by up
            to four degrees where only its top is seen.
        moved_m: Shorter motions may overlap with the old place, which is then not looked at [m].
        rival: A motion with at least this share of the best one's score must be a success as well.
        max_rival_error_m: How far such a motion may be from holding [m].
        min_reference: Share of the reference's open points that must be seen near its old place.
        reach_m: How far from where the flow ends the target is looked for [m].
    """

    min_fit: float = 0.6
    max_hidden: float = 0.7
    max_hidden_in_hand: float = 0.92
    max_unexplained: float = 0.12
    max_stayed: float = 0.45
    max_error_m: float = 0.0
    max_lean_rad: float = float(np.radians(8.0))
    moved_m: float = 0.04
    rival: float = 0.93
    max_rival_error_m: float = 0.005
    min_reference: float = 0.65
    reach_m: float = 0.045


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
    *,
    held: Float | None = None,
) -> Outcome:
    """Judge a fresh scene.

    Args:
        before: The scene that was grounded.
        grounding: Of `before`.
        flow: The flow that was followed.
        after: The same cameras' view of now.
        limits: When an outcome counts.
        held: (4, 4) motion of a target that the gripper still holds, as the gripper tells it; None:
            it was let go. The arm is new in the view then: colours of the target that are not its
            alone do not tell it from the arm, which may hide most of it.

    Raises:
        TrackingError: POSE_SUPPORT_TOO_SMALL when the flow holds no rigid motion.
    """
    limits = limits or OutcomeLimits()
    mask = grounding.mask(grounding.target)
    old = NewView(before.main)
    seen = ObjectModel.from_view(old, mask)
    if len(seen.points) < _MIN_POINTS:
        return Outcome(
            Code.TARGET_LOST,
            f"the target had depth at {len(seen.points)} points before; {_MIN_POINTS} are needed",
            np.eye(4),
            0.0,
        )
    expected = fit_sequence(flow).poses[-1] if held is None else held
    change = Change(old, NewView(after.main), seen, apart=None if held is None else ~mask)
    reference = find_reference(before, grounding, change)
    if reference is not None and held is None:
        expected = reference.motion @ expected  # what was pushed took the target along
    try:
        judge = MotionJudge(
            grounding.task,
            grounding.points(before, grounding.target),
            None if reference is None else reference.points,
            grounding.support,
            before.main.T_planning_camera,
            max_lean_rad=limits.max_lean_rad,
        )
    except NovaflowError as error:
        return Outcome(Code.OUTCOME_NOT_OBSERVED, error.reason, np.eye(4), 0.0)
    body = Body.from_view(old, mask, grounding.support, judge.foot, judge.front)
    model = seen.lit(change.gain)
    if grounding.task.relation is Relation.HANG:
        model = hanging_model(old, mask, body, reference).lit(change.gain)
    scales = Scales(model, body, expected, change, reference, limits.reach_m)
    found = explanations(scales, judge.at_rest(expected))
    stayed = fit_of(model, np.eye(4), change.after)
    middle, max_hidden = model.points.mean(axis=0), limits.max_hidden
    if held is not None and found[0].fit.hidden_share > max_hidden:
        max_hidden = limits.max_hidden_in_hand
        told = judge.check(held)
        if told.error_m > limits.max_error_m:
            return Outcome(
                Code.OUTCOME_NOT_OBSERVED,
                f"the arm hides {_percent(found[0].fit.hidden_share)} of the target, and by its "
                f"joints it is {1e3 * told.error_m:.0f} mm off what was asked for: {told.reason}",
                held,
                found[0].fit.share,
            )
        found = [near_hand(held, middle, scales.weigh)]
    best = found[0].fit
    if best.share < limits.min_fit or best.hidden_share > max_hidden:
        return _not_found(best, stayed, limits)
    holder = None
    if judge.front is not None:
        holder = look_at_holder(before, grounding, judge.front, change)
    return _verdict(found, stayed, reference, holder, judge, middle, limits)


def _verdict(
    found: Sequence[Explanation],
    stayed: Fit,
    reference: Reference | None,
    holder: Held | None,
    judge: MotionJudge,
    middle: Float,
    limits: OutcomeLimits,
) -> Outcome:
    """Judge a target that was found.

    Args:
        found: Explanations, the best first.
        stayed: What is seen of the target at its old place.
        reference: Found again; None when there is none.
        holder: Of a part on a joint; None for other targets.
        judge: Of motions.
        middle: (3,) of the target before [m].
        limits: When an outcome counts.
    """
    best = found[0]
    travel = float(np.linalg.norm(se3.apply(best.motion, middle) - middle))
    told = (
        f"{_percent(best.fit.share)} of the target was found, "
        f"{1e3 * travel:.0f} mm from where it was"
    )

    def refused(reason: str) -> Outcome:
        return Outcome(Code.OUTCOME_NOT_OBSERVED, reason, best.motion, best.fit.share)

    if best.unexplained > limits.max_unexplained:
        return refused(
            f"{told}, but {_percent(best.unexplained)} of what is new there and looks like the "
            f"target is not where it would be ({_percent(limits.max_unexplained)} allowed)"
        )
    if travel > limits.moved_m and stayed.share > limits.max_stayed:
        return refused(
            f"the target is seen at its old place as well ({_percent(stayed.share)} of it there)"
        )
    if reference is not None and reference.share < limits.min_reference:
        return refused(
            f"{told}, but the reference was not found again: {_percent(reference.share)} of it "
            f"agrees ({_percent(limits.min_reference)} needed)"
        )
    if holder is not None and not holder.stayed:
        return refused(f"{told}, but {holder.reason}")
    rivals = [item for item in found if item.score >= limits.rival * best.score]
    checks = [judge.check(item.motion) for item in rivals]
    if checks[0].error_m > limits.max_error_m:
        return refused(
            f"{told}; it is {1e3 * checks[0].error_m:.0f} mm off what was asked for: "
            f"{checks[0].reason}"
        )
    for item, check in zip(rivals, checks, strict=True):
        if check.error_m > limits.max_rival_error_m:
            lean = np.degrees(tilt_rad(item.motion, judge.support))
            return refused(
                f"{told}, but it may as well lean by {lean:.0f} deg and be "
                f"{1e3 * check.error_m:.0f} mm off what was asked for: {check.reason}"
            )
    return Outcome(Code.OK, f"{told}; {checks[0].reason}", best.motion, best.fit.share)


def _not_found(best: Fit, stayed: Fit, limits: OutcomeLimits) -> Outcome:
    if stayed.share >= limits.min_fit and stayed.hidden_share <= limits.max_hidden:
        return Outcome(
            Code.OUTCOME_NOT_OBSERVED,
            f"the target is still where it was ({_percent(stayed.share)} of it seen there)",
            np.eye(4),
            stayed.share,
        )
    return Outcome(
        Code.TARGET_LOST,
        f"the target was not found where the flow ends: {_percent(best.share)} of it agrees "
        f"({_percent(limits.min_fit)} needed), {_percent(best.hidden_share)} is hidden",
        np.eye(4),
        best.share,
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
