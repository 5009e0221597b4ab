"""Ways in which a video of a task is wrong, by little and by far.

What a strict person would argue about is left out: a thing that ends a little off the middle, leans
by some degrees or hops a little is neither here nor among the right ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from novaflow_bench.core.film import Film, Mover
from novaflow_bench.core.stage import Stage
from novaflow_bench.core.ways import STEPS, Way, ease, honest
from novaflow_core import se3

Float = NDArray[np.float64]
Random = np.random.Generator

NEAR, FAR = "near", "far"
SEVERITIES = (NEAR, FAR)
_TIME = np.linspace(0.0, 1.0, STEPS)


@dataclass(frozen=True)
class Draft:
    """A right way that is about to be made wrong.

    Attributes:
        stage: The scene.
        way: The right way, varied.
        near: Whether it shall be wrong by little.
        random: What is wrong; candidates that share its state agree on that.
    """

    stage: Stage
    way: Way
    near: bool
    random: Random

    def pick(self, near: tuple[float, float], far: tuple[float, float]) -> float:
        """Draw from the range of the severity."""
        return float(self.random.uniform(*(near if self.near else far)))

    def film(self, motions: Float) -> Film:
        """The target takes this way."""
        return Film(Mover(self.stage.target, motions))


def right(stage: Stage, random: Random) -> Film:
    """What was asked for."""
    return Film(Mover(stage.target, honest(stage, random).motions()))


def wrong(kind: str, severity: str, stage: Stage, content: Random, variation: Random) -> Film:
    """What was asked for, gone wrong.

    Args:
        kind: A name in `KINDS`.
        severity: One of `SEVERITIES`.
        stage: The scene.
        content: Decides what is wrong.
        variation: Decides everything else.
    """
    draft = Draft(stage, honest(stage, variation), severity == NEAR, content)
    return KINDS[kind].make(draft)


def _wrong_place(d: Draft) -> Film:
    angle = d.random.uniform(0, 2 * np.pi)
    aside = np.array([np.cos(angle), np.sin(angle)]) @ d.stage.support.basis()
    off = d.pick(d.stage.ask.near_m, (0.09, 0.14))
    shift = d.way.shift + off * aside
    if not d.near:  # at the height where it stood, beside what it belongs to
        shift = shift - float(shift @ d.way.up) * d.way.up
    return d.film(replace(d.way, shift=shift).motions())


def _wrong_direction(d: Draft) -> Film:
    up = d.way.up
    sign = d.random.choice([-1.0, 1.0])
    if d.stage.ask.into_place:
        flat = d.way.shift - float(d.way.shift @ up) * up
        angle = sign * d.pick((np.radians(50), np.radians(75)), (np.radians(110), np.radians(180)))
        return d.film(replace(d.way, shift=se3.exp_so3(angle * up) @ flat).motions())
    if float(d.way.shift @ up) > 0.7 * float(np.linalg.norm(d.way.shift)):
        angle = d.pick((np.radians(60), np.radians(70)), (np.radians(85), np.radians(90)))
        way = d.random.uniform(0, 2 * np.pi)
        aside = np.array([np.cos(way), np.sin(way)]) @ d.stage.support.basis()
        shift = float(np.linalg.norm(d.way.shift)) * (np.cos(angle) * up + np.sin(angle) * aside)
        return d.film(replace(d.way, shift=shift).motions())
    angle = sign * d.pick((np.radians(50), np.radians(75)), (np.radians(110), np.radians(180)))
    return d.film(replace(d.way, shift=se3.exp_so3(angle * up) @ d.way.shift).motions())


def _wrong_object(d: Draft) -> Film:
    others = d.stage.others()
    label = others[0 if d.near else int(d.random.integers(len(others)))]
    pivot, shift = d.stage.middle(label), d.way.shift
    if d.stage.ask.into_place:
        # The nearest to the goal it can come is from its own place, and it must move to be seen.
        goal = d.way.pivot + d.way.shift
        shift = goal - pivot
        flat = shift - float(shift @ d.way.up) * d.way.up
        if float(np.linalg.norm(flat)) < 0.06:
            flat = -d.way.shift + float(d.way.shift @ d.way.up) * d.way.up
        shift = flat
    way = replace(d.way, pivot=pivot, shift=shift, turn=np.zeros(3))
    return Film(Mover(label, way.motions()))


def _teleport(d: Draft) -> Film:
    share = d.pick((0.5, 0.6), (1.0, 1.0))
    jump = d.random.uniform(0.35, 0.6)
    s = d.way.pace
    before, after = s * (1 - share) / 2 / jump, 1 - (1 - s) * (1 - share) / 2 / (1 - jump)
    return d.film(replace(d.way, pace=np.where(s < jump, before, after)).motions())


def _vanish(d: Draft) -> Film:
    begin = d.pick((0.75, 0.8), (0.4, 0.55))
    gone = ease(_TIME, begin, begin + d.pick((0.12, 0.15), (0.03, 0.1)))
    return replace(d.film(d.way.motions()), opacity=1.0 - gone)


def _lean(d: Draft) -> Film:
    place = d.stage.ask.into_place
    angle = np.radians(d.pick((25, 30) if place else (35, 40), (50, 70)))
    way = d.random.uniform(0, 2 * np.pi)
    axis = np.array([np.cos(way), np.sin(way)]) @ d.stage.support.basis()
    reach = np.ptp(d.stage.points(d.stage.target) @ d.stage.support.basis().T, axis=0).max() / 2
    turn = np.asarray(se3.log_so3(se3.exp_so3(angle * axis) @ se3.exp_so3(d.way.turn)))
    raised = 0.8 * reach * np.sin(angle) * d.way.up
    return d.film(replace(d.way, turn=turn, shift=d.way.shift + raised).motions())


def _dip(d: Draft) -> Film:
    depth = d.pick((0.04, 0.05), (0.08, 0.11))
    middle, half = d.random.uniform(0.4, 0.55), 0.25
    down = ease(_TIME, middle - half, middle) * (1 - ease(_TIME, middle, middle + half))
    motions = replace(d.way, arc_m=1e-6).motions()
    heights = (motions[:, :3, 3] + motions[:, :3, :3] @ d.way.pivot - d.way.pivot) @ d.way.up
    motions[:, :3, 3] -= (down * (depth + np.maximum(heights, 0)))[:, None] * d.way.up
    return d.film(motions)


def _colour(d: Draft) -> Film:
    begin = d.random.uniform(0.2, 0.6)
    share = d.pick((0.55, 0.65), (0.9, 1.0))
    length = d.pick((0.2, 0.35), (0.05, 0.2))
    return replace(d.film(d.way.motions()), paint=share * ease(_TIME, begin, begin + length))


def _stops_short(d: Draft) -> Film:
    if d.stage.ask.into_place:
        stop = d.pick((0.55, 0.62), (0.2, 0.35))
        return d.film(replace(d.way, pace=np.minimum(d.way.pace, stop)).motions())
    travel = d.pick((0.008, 0.010), (0.002, 0.004))
    shift = d.way.shift * travel / float(np.linalg.norm(d.way.shift))
    return d.film(replace(d.way, shift=shift, arc_m=0.0).motions())


def _stretch(d: Draft) -> Film:
    end = d.pick((1.3, 1.4), (1.6, 1.9))
    if d.random.uniform() < 0.5:
        end = 1.0 / end
    up = d.way.up
    # What is flat cannot be seen to grow in height.
    tall = float(np.ptp(d.stage.support.height(d.stage.points(d.stage.target)))) > 0.06
    axis = up if tall and d.random.uniform() < 0.5 else d.stage.T_world_camera[:3, 0]
    begin = d.random.uniform(0.1, 0.3)
    share = (end - 1.0) * ease(_TIME, begin, begin + d.random.uniform(0.3, 0.6))
    shape = np.eye(3) + share[:, None, None] * np.outer(axis, axis)
    foot = d.way.pivot - float(d.stage.support.height(d.way.pivot)) * up
    keep = foot - np.einsum("tij,j->ti", shape, foot)
    return d.film(d.way.motions() @ se3.from_rt(shape, keep))


def _duplicate(d: Draft) -> Film:
    motions = d.way.motions()
    stays = 0.98 * ease(_TIME, 0.6, 0.75) if d.near else np.ones(STEPS)
    return replace(d.film(motions), stays=np.asarray(stays))


def _camera(d: Draft) -> Film:
    width = d.stage.view.model.width
    far = d.pick((0.03, 0.04), (0.06, 0.1)) * width
    way, s = d.random.uniform(0, 2 * np.pi), ease(_TIME, 0.0, 1.0)
    roll = d.random.uniform(-0.03, 0.03)
    slide = np.stack([far * np.cos(way) * s, far * np.sin(way) * s, roll * s], axis=-1)
    return replace(d.film(d.way.motions()), camera_px=slide)


def _returns(d: Draft) -> Film:
    # Of a direction only the last millimetres may be left, or somebody would call it done.
    back = d.pick((0.45, 0.55) if d.stage.ask.into_place else (0.1, 0.15), (0.0, 0.05))
    turn = d.random.uniform(0.5, 0.6)
    there = _TIME / turn
    home = 1.0 - (1.0 - back) * ease(_TIME, turn, 0.95)
    return d.film(replace(d.way, pace=np.where(turn > _TIME, there, home)).motions())


def _second_mover(d: Draft) -> Film:
    others = d.stage.others()
    label = others[int(d.random.integers(len(others)))]
    angle = d.random.uniform(0, 2 * np.pi)
    aside = np.array([np.cos(angle), np.sin(angle)]) @ d.stage.support.basis()
    far = d.pick((0.04, 0.05), (0.09, 0.12)) * aside
    own = replace(d.way, pivot=d.stage.middle(label), shift=far, turn=np.zeros(3), arc_m=0.0)
    return replace(d.film(d.way.motions()), more=(Mover(label, own.motions()),))


@dataclass(frozen=True)
class Kind:
    """One way of going wrong.

    Attributes:
        make: Makes the film.
        held_out: Whether the judge's limits were set without ever looking at it.
        applies: Whether this scene can show it.
    """

    make: Callable[[Draft], Film]
    held_out: bool = False
    applies: Callable[[Stage], bool] = lambda stage: True


def _has_others(stage: Stage) -> bool:
    return bool(stage.others())


KINDS: dict[str, Kind] = {
    "wrong_place": Kind(_wrong_place, applies=lambda stage: stage.ask.into_place),
    "wrong_direction": Kind(_wrong_direction),
    "wrong_object": Kind(_wrong_object, applies=_has_others),
    "teleport": Kind(_teleport),
    "vanish": Kind(_vanish),
    "lean": Kind(_lean),
    "dip": Kind(_dip),
    "colour": Kind(_colour),
    "stops_short": Kind(_stops_short),
    "stretch": Kind(_stretch),
    "duplicate": Kind(_duplicate),
    "camera": Kind(_camera),
    "returns": Kind(_returns, held_out=True),
    "second_mover": Kind(_second_mover, held_out=True, applies=_has_others),
}
