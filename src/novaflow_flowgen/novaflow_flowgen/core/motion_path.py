"""From a goal to a motion: one transform per frame, varied from candidate to candidate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_flowgen.core.goal import Goal

Float = NDArray[np.float64]

_TURN_FROM = 0.45
_RESTS = 0.08  # more of the video, where what was turned is held
_LEGS_SHARE = 0.30  # of the time
_LEG_AT_LEAST_M = 0.03  # short legs take time as well


@dataclass(frozen=True)
class Variation:
    """How one candidate differs from another.

    Attributes:
        clearance_m: Added to the height on the way.
        goal_m: (2,) shift of the goal in the support's basis.
        distance: Factor on default distances.
        begin: Share of the video before anything moves.
        rest: Share of the video after everything has moved.
        overlap: How far lifting and carrying overlap, 0..1.
    """

    clearance_m: float = 0.0
    goal_m: tuple[float, float] = (0.0, 0.0)
    distance: float = 1.0
    begin: float = 0.0
    rest: float = 0.06
    overlap: float = 0.5

    @classmethod
    def draw(cls, random: np.random.Generator, *, goal_std_m: float) -> Variation:
        """Draw a candidate's variation."""
        return cls(
            clearance_m=float(random.uniform(0.0, 0.025)),
            goal_m=tuple(
                np.clip(random.normal(0.0, goal_std_m, 2), -2 * goal_std_m, 2 * goal_std_m)
            ),
            distance=float(random.uniform(0.93, 1.07)),
            begin=float(random.uniform(0.0, 0.05)),
            rest=float(random.uniform(0.05, 0.1)),
            overlap=float(random.uniform(0.3, 0.7)),
        )


def ease(s: Float | float, start: float, end: float) -> Float:
    """Smooth step (continuous acceleration) from 0 at `start` to 1 at `end`."""
    x = np.clip((np.asarray(s, float) - start) / max(end - start, 1e-6), 0.0, 1.0)
    return np.asarray(x**3 * (10 - 15 * x + 6 * x * x))


def build_path(goal: Goal, variation: Variation, up: Float, basis: Float, steps: int) -> Float:
    """Motions (T, 4, 4) of the target's points, planning frame; the first is the identity."""
    s = np.linspace(0.0, 1.0, steps)
    rest = variation.rest + (_RESTS if goal.turns_last else 0.0)
    s = np.clip((s - variation.begin) / (1 - variation.begin - rest), 0.0, 1.0)
    shift = goal.shift + np.asarray(variation.goal_m) @ basis
    if goal.shrinkable or goal.varies:
        shift = goal.shift * variation.distance
    legs = np.stack(goal.legs) if goal.legs else np.zeros((0, 3))
    shift = shift - legs.sum(axis=0)
    s, on_legs = _split(s, legs)
    rise = float(shift @ up)
    flat = shift - rise * up
    if goal.clearance_m > 0:
        top = goal.clearance_m + variation.clearance_m
        lifted = 0.34
        settle = 0.66
        carry_from = lifted * (1 - variation.overlap)
        carry_to = settle if goal.straight_down else settle + (1 - settle) * variation.overlap * 0.6
        height = top * ease(s, 0.0, lifted) - (top - rise) * ease(s, settle, 1.0)
        along = ease(s, carry_from, carry_to)
    else:
        along = ease(s, 0.0, 1.0)
        height = rise * along
    translation = along[:, None] * flat + height[:, None] * up + on_legs @ legs
    # Large turns take all the time there is: between frames a thing must be known again.
    turned = ease(s, 0.05, 1.0) if goal.legs else along
    if goal.turns_last:
        turned = variation.distance * ease(s, _TURN_FROM, 1.0)
    rotation = se3.exp_so3(turned[:, None] * goal.rotation)
    offset = goal.pivot - np.einsum("tij,j->ti", rotation, goal.pivot)
    motions = se3.from_rt(rotation, translation + offset)
    motions[0] = np.eye(4)
    return motions


def _split(s: Float, legs: Float) -> tuple[Float, Float]:
    """Times (T,) of the way before the legs (L, 3), and how much (T, L) of each leg is done."""
    if not len(legs):
        return s, np.zeros((len(s), 0))
    weight = np.linalg.norm(legs, axis=1) + _LEG_AT_LEAST_M
    ends = 1.0 - _LEGS_SHARE * (1.0 - np.cumsum(weight) / weight.sum())
    starts = np.concatenate([[1.0 - _LEGS_SHARE], ends[:-1]])
    done = [ease(s, begin, end) for begin, end in zip(starts, ends, strict=True)]
    return np.clip(s / (1.0 - _LEGS_SHARE), 0.0, 1.0), np.stack(done, axis=1)
