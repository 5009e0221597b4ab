"""Motions of the target that may explain a new view, weighed on both sides of the evidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_core.grounding import GroundedObject, Grounding
from novaflow_core.scene import Plane, Scene
from novaflow_perception.core.evidence import Body, Change
from novaflow_perception.core.registration import Fit, ObjectModel, candidates, fit_of

Float = NDArray[np.float64]

_LEANS_RAD = (0.35, 0.8, 1.5)  # 20, 46 and 86 deg: alignment bridges what lies between
_SLIDES = ((0.006, 0.08), (0.003, 0.04), (0.0015, 0.02))  # [m], [rad]
_MOST_SLIDES = 4  # of one size
_OLD_PLACE_PX = 9  # the target's edge, grown by the slip of depth against colour
_MIN_ARRIVED = 40  # fewer pixels do not tell
_REFERENCE_POINTS = 500
_PUSHED_SHARE = 0.7  # a reference of which less is seen at its old place was pushed far
_GAIN_SHARE = 0.05  # by which another place of the reference must fit better


@dataclass(frozen=True)
class Explanation:
    """A motion of the target and how well it explains the new view.

    Attributes:
        motion: (4, 4) since the scene.
        fit: How much of what it predicts is seen.
        unexplained: Share of what is new and looks like the target that it does not predict, 0..1.
    """

    motion: Float
    fit: Fit
    unexplained: float

    @property
    def score(self) -> float:
        """Both sides of the evidence in one number, 0..1."""
        return self.fit.closeness * (1.0 - self.unexplained)


@dataclass(frozen=True)
class Reference:
    """Something that should have stayed, found again.

    Attributes:
        motion: (4, 4) since the scene, along the support.
        share: Share of its open points that are seen there, 0..1.
        points: (M, 3) its points now [m], planning frame.
        body: What it was before.
    """

    motion: Float
    share: float
    points: Float
    body: Body


class Scales:
    """Weighs motions of a target on both sides of the evidence.

    Attributes:
        model: The target in the light of now.
        body: The target before.
        expected: (4, 4) where it should be, `p_now = expected @ p_before`.
        reach_m: How far from there it is looked for [m].
        new: The view after, without what was already there.
    """

    def __init__(
        self,
        model: ObjectModel,
        body: Body,
        expected: Float,
        change: Change,
        reference: Reference | None,
        reach_m: float,
    ) -> None:
        """Gather the evidence; what the reference may explain is not the target's to explain."""
        self.model, self.body = model, body
        self.expected, self.reach_m = expected, reach_m
        centre = model.points.mean(axis=0)
        radius = float(np.linalg.norm(model.points - centre, axis=1).max())
        arrived = change.arrived(se3.apply(expected, centre), 1.5 * radius + reach_m)
        if reference is not None:
            arrived = arrived[~reference.body.explains(arrived, reference.motion)]
        self._arrived = arrived
        kernel = np.ones((_OLD_PLACE_PX, _OLD_PLACE_PX), np.uint8)
        own = cv2.dilate(np.isfinite(body.depth).astype(np.uint8), kernel) > 0
        self.new = change.after_with_past(np.asarray(own))

    def weigh(self, motion: Float, fit: Fit | None = None) -> Explanation:
        """How well a motion (4, 4) explains the view; `fit` if it is known already."""
        share = 0.0
        if len(self._arrived) >= _MIN_ARRIVED:
            share = 1.0 - float(self.body.explains(self._arrived, motion).mean())
        return Explanation(motion, fit or fit_of(self.model, motion, self.new), share)


def explanations(scales: Scales, also: Sequence[Float] = ()) -> list[Explanation]:
    """Find motions (4, 4) near the expected one; the best explanation comes first.

    Args:
        scales: What motions are weighed with.
        also: Further motions to begin from.
    """
    model, support = scales.model, scales.body.support
    found = [
        scales.weigh(motion, fit)
        for motion, fit in candidates(
            model, scales.expected, scales.new, support,
            reach_m=scales.reach_m, leans_rad=_LEANS_RAD, also=also,
        )
    ]  # fmt: skip
    centre = model.points.mean(axis=0)
    best = _slid(max(found, key=lambda item: item.score), scales.weigh, centre, support)
    return [best, *sorted(found, key=lambda item: -item.score)]


def _slid(
    best: Explanation, weigh: Callable[[Float], Explanation], centre: Float, support: Plane
) -> Explanation:
    """Slide and turn the best explanation while that helps: along its faces alignment is blind."""
    basis = support.basis()
    for step_m, turn_rad in _SLIDES:
        for _ in range(_MOST_SLIDES):
            at = se3.apply(best.motion, centre)
            moves = [(sign * step_m * way, 0.0) for way in basis for sign in (-1, 1)]
            moves += [(np.zeros(3), turn_rad), (np.zeros(3), -turn_rad)]
            tried = []
            for shift, turn in moves:
                spin = se3.exp_so3(turn * support.normal)
                tried.append(weigh(se3.from_rt(spin, at + shift - spin @ at) @ best.motion))
            better = max(tried, key=lambda item: item.score)
            if better.score <= best.score:
                break
            best = better
    return best


def find_reference(before: Scene, grounding: Grounding, change: Change) -> Reference | None:
    """Find the first reference again, moved along if it was pushed on the support.

    Returns:
        None when the instruction names none.
    """
    if not grounding.references:
        return None
    return find_again(before, grounding, grounding.references[0], change)


def find_again(
    before: Scene, grounding: Grounding, item: GroundedObject, change: Change
) -> Reference:
    """Find an object again that stayed, or was pushed along the support."""
    mask, support = grounding.mask(item), grounding.support
    model = ObjectModel.from_view(change.before, mask, _REFERENCE_POINTS).lit(change.gain)

    def share_at(place: Float) -> float:
        return fit_of(model, se3.from_rt(np.eye(3), place), change.after).share

    shift = np.zeros(3)
    best = share_at(shift)
    steps_m = (0.010, 0.004) if best > _PUSHED_SHARE else (0.020, 0.010, 0.004)
    best += _GAIN_SHARE
    basis = support.basis()
    for step_m in steps_m:
        around = shift
        for x in np.arange(-3, 4) * step_m:
            for y in np.arange(-3, 4) * step_m:
                there = around + x * basis[0] + y * basis[1]
                share = share_at(there)
                if share > best:
                    best, shift = share, there
    return Reference(
        se3.from_rt(np.eye(3), shift),
        share_at(shift),
        grounding.points(before, item) + shift,
        Body.from_view(change.before, mask, support),
    )
