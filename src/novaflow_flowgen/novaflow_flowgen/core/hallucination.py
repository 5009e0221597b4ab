"""Ways in which generated videos go wrong, made on purpose to test the judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_core.footprint import Footprint
from novaflow_core.grounding import GroundedObject, Grounding
from novaflow_core.scene import Plane
from novaflow_flowgen.core.goal import Goal
from novaflow_flowgen.core.motion_path import ease
from novaflow_flowgen.core.protocols import Spoil

Float = NDArray[np.float64]

_MIN_PIXELS = 400


@dataclass(frozen=True)
class Effects:
    """What happens to the picture besides the motion.

    Attributes:
        opacity: (T,) of the moving object, or None for always 1.
        camera: (T, 3, 3) homographies of the whole picture [px], or None.
    """

    opacity: Float | None = None
    camera: Float | None = None

    def opacity_at(self, step: int) -> float:
        """Opacity of the moving object."""
        return 1.0 if self.opacity is None else float(self.opacity[step])

    def homography_at(self, step: int) -> Float | None:
        """Homography of the picture, None when it stands still."""
        return None if self.camera is None else self.camera[step]


def assign_spoils(
    kinds: Sequence[Spoil], candidates: int, spoiled: int, seed: int
) -> list[Spoil | None]:
    """Decide which candidates hallucinate and how: shuffled, all kinds before any twice."""
    random = np.random.default_rng([abs(seed), 0x5F01])
    count = min(spoiled, candidates) if kinds else 0
    chosen: list[Spoil | None] = []
    while len(chosen) < count:
        chosen += [kinds[i] for i in random.permutation(len(kinds))]
    pool = chosen[:count] + [None] * (candidates - count)
    return [pool[i] for i in random.permutation(candidates)]


def other_objects(grounding: Grounding) -> list[GroundedObject]:
    """Other objects that are seen well enough to be moved by mistake, references first."""
    target = grounding.target
    ranked = [*grounding.references, *grounding.objects]
    seen: list[GroundedObject] = []
    for item in ranked:
        if item.label in {target.label, *(s.label for s in seen)}:
            continue
        if int(grounding.mask(item).sum()) >= _MIN_PIXELS:
            seen.append(item)
    return seen


def reversed_roles(honest: Goal, reference: Footprint, support: Plane) -> Goal:
    """The reference goes to where the target stands, instead of the other way round."""
    up = support.normal
    height = (reference.bottom_m + reference.top_m) / 2
    pivot = reference.centre @ support.basis() + (height - support.offset) * up
    flat = honest.shift - (honest.shift @ up) * up
    return replace(
        honest, pivot=pivot, shift=-0.7 * flat, rotation=np.zeros(3), clearance_m=0.04, legs=()
    )


def misplace(goal: Goal, kind: Spoil, random: np.random.Generator, support: Plane) -> Goal:
    """A goal somewhere else, or on the other side of the start."""
    up = support.normal
    rise = float(goal.shift @ up)
    flat = goal.shift - rise * up
    if kind is Spoil.WRONG_DIRECTION:
        angle = random.uniform(np.radians(110), np.radians(250))
        if np.linalg.norm(flat) < 0.02:  # a lift or a turn: go sideways instead
            flat = 0.1 * support.basis()[0]
            angle = random.uniform(0.0, 2 * np.pi)
        flat = se3.exp_so3(angle * up) @ flat
        return replace(goal, shift=flat, rotation=-goal.rotation, clearance_m=0.03, legs=())
    angle = random.uniform(0.0, 2 * np.pi)
    aside = np.array([np.cos(angle), np.sin(angle)]) @ support.basis()
    return replace(
        goal,
        shift=flat + random.uniform(0.09, 0.14) * aside + min(rise, 0.02) * up,
        clearance_m=max(goal.clearance_m, 0.03),
        legs=(),
    )


def misopen(goal: Goal, kind: Spoil, random: np.random.Generator, support: Plane) -> Goal:
    """A drawer that sticks half way, or that comes out another way than its front looks."""
    up = support.normal
    if kind is Spoil.WRONG_GOAL:
        return replace(goal, shift=random.uniform(0.15, 0.5) * goal.shift)
    length = float(np.linalg.norm(goal.shift))
    aside = np.cross(up, goal.shift / max(length, 1e-9))
    angle = random.choice([-1.0, 1.0]) * random.uniform(np.radians(35), np.radians(80))
    shift = se3.exp_so3(angle * up) @ goal.shift
    if random.random() < 0.3:
        shift = 0.6 * goal.shift + 0.8 * length * up
    turn = random.choice([0.0, 1.0]) * random.uniform(-0.2, 0.2) * aside
    return replace(goal, shift=shift, rotation=turn)


def distort(
    kind: Spoil, motions: Float, pivot: Float, random: np.random.Generator
) -> tuple[Float, Effects]:
    """Change the motions (T, 4, 4) or the picture; the first frame stays as it is."""
    steps = len(motions)
    if kind is Spoil.TELEPORT:
        jump = int(random.integers(steps // 3, 2 * steps // 3))
        out = np.repeat(motions[:1], steps, axis=0)
        out[jump:] = motions[-1]
        return out, Effects()
    if kind is Spoil.VANISH:
        end = random.uniform(0.45, 0.75)
        s = np.linspace(0.0, 1.0, steps)
        return motions, Effects(opacity=1.0 - ease(s, end - 0.15, end))
    if kind is Spoil.SCALE_DRIFT:
        return motions @ _growth(steps, pivot, random), Effects()
    if kind is Spoil.CAMERA_DRIFT:
        return motions, Effects(camera=_drift(steps, random))
    return motions, Effects()


def _growth(steps: int, pivot: Float, random: np.random.Generator) -> Float:
    """Similarities (T, 4, 4) that blow the object up, or shrink it, about a point (3,)."""
    end = random.choice([random.uniform(1.3, 1.5), random.uniform(0.6, 0.72)])
    factor = 1.0 + (end - 1.0) * ease(np.linspace(0.0, 1.0, steps), 0.0, 1.0)
    return se3.from_rt(factor[:, None, None] * np.eye(3), (1.0 - factor)[:, None] * pivot)


def _drift(steps: int, random: np.random.Generator) -> Float:
    """Homographies (T, 3, 3) of a camera that slides and rolls."""
    s = ease(np.linspace(0.0, 1.0, steps), 0.0, 1.0)
    way = random.uniform(0.0, 2 * np.pi)
    far_px = random.uniform(35.0, 60.0)
    roll = random.choice([-1.0, 1.0]) * random.uniform(np.radians(1.0), np.radians(2.5))
    out = np.repeat(np.eye(3)[None], steps, axis=0)
    c, n = np.cos(roll * s), np.sin(roll * s)
    out[:, 0, 0], out[:, 0, 1], out[:, 0, 2] = c, -n, far_px * np.cos(way) * s
    out[:, 1, 0], out[:, 1, 1], out[:, 1, 2] = n, c, far_px * np.sin(way) * s
    return out
