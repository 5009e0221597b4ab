"""How a thing is carried: paths that are right, and never twice alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from novaflow_bench.core.stage import Stage
from novaflow_core import se3

Float = NDArray[np.float64]

STEPS = 41


@dataclass(frozen=True)
class Way:
    """A path of one thing, world frame.

    Attributes:
        pivot: (3,) what rotations turn about [m].
        shift: (3,) of the pivot, from start to end [m].
        turn: (3,) rotation vector from start to end [rad].
        up: (3,) away from the support.
        arc_m: How high it is lifted on the way.
        straight_down: Whether it is above its goal before it is lowered.
        pace: (T,) how far along it is at each step, 0..1.
        lift_until: Share of the way at which it is lifted.
        sink_from: Share of the way at which it is lowered.
    """

    pivot: Float
    shift: Float
    turn: Float
    up: Float
    arc_m: float
    straight_down: bool
    pace: Float
    lift_until: float
    sink_from: float

    def motions(self) -> Float:
        """Motions (T, 4, 4) of the thing's points; the first is the identity."""
        s = self.pace
        last = self.sink_from + (0.06 if self.straight_down else 0.5 * (1 - self.sink_from))
        along = ease(s, 0.5 * self.lift_until, last) if self.arc_m > 0 else ease(s, 0.0, 1.0)
        bump = ease(s, 0.0, self.lift_until) * (1.0 - ease(s, self.sink_from, 1.0))
        rise = float(self.shift @ self.up)
        flat = self.shift - rise * self.up
        high = along if self.arc_m == 0 else ease(s, self.sink_from, 1.0)
        place = along[:, None] * flat + (rise * high + self.arc_m * bump)[:, None] * self.up
        rotation = se3.exp_so3(along[:, None] * self.turn)
        offset = self.pivot - np.einsum("tij,j->ti", rotation, self.pivot)
        out = np.asarray(se3.from_rt(rotation, place + offset))
        out[0] = np.eye(4)
        return out


def honest(stage: Stage, random: np.random.Generator) -> Way:
    """A way that does what is asked; `random` varies everything that a person would not mind."""
    ask, up = stage.ask, stage.support.normal
    pivot = stage.middle(stage.target)
    shift = se3.apply(ask.end, pivot) - pivot
    turn = np.asarray(se3.log_so3(ask.end[:3, :3]), float)
    if ask.into_place:
        angle = random.uniform(0, 2 * np.pi)
        shift = shift + ask.jitter_m * random.uniform(0, 1) * _aside(stage, angle)
        shift = shift + random.uniform(*ask.above_m) * up
    else:
        shift = shift * random.uniform(0.9, 1.05)
    if ask.slides:
        arc = 0.0
    elif float(shift @ up) > 0.7 * float(np.linalg.norm(shift)) and not ask.into_place:
        arc = 0.0  # a lift goes straight up
    else:
        arc = ask.clearance_m + random.uniform(0.0, 0.03)
    return Way(
        pivot, shift, turn, up, arc, ask.into_place, pace(random),
        random.uniform(0.3, 0.4), random.uniform(0.6, 0.7),
    )  # fmt: skip


def pace(random: np.random.Generator, steps: int = STEPS) -> Float:
    """Share of the way (T,) at each step: waits, hurries a little, and rests at the end."""
    s = np.linspace(0.0, 1.0, steps)
    begin, rest = random.uniform(0.0, 0.08), random.uniform(0.05, 0.12)
    s = np.clip((s - begin) / (1 - begin - rest), 0.0, 1.0)
    bend = random.uniform(-0.12, 0.12)
    return np.asarray(np.clip(s + bend * s * (1 - s), 0.0, 1.0))


def ease(s: Float, start: float, end: float) -> Float:
    """Smooth step (T,) from 0 at `start` to 1 at `end`."""
    x = np.clip((s - start) / max(end - start, 1e-6), 0.0, 1.0)
    return np.asarray(x * x * x * (10 - 15 * x + 6 * x * x))


def _aside(stage: Stage, angle: float) -> Float:
    return np.asarray(np.array([np.cos(angle), np.sin(angle)]) @ stage.support.basis())
