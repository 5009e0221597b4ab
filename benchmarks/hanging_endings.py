"""Where a mug may end that was to hang on a tree: on the peg, nearly, and all that goes wrong."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from outcome_endings import GONE_M, Ending, Place, Random

from novaflow_core.se3 import exp_so3, from_rt
from novaflow_sim.core import mug_tree, objects
from novaflow_sim.core.task_endings import ON_PEG_M, on_peg, wanted_end

Float = NDArray[np.float64]

_MUG, _TREE, _OTHER = objects.MUG.name, objects.TREE.name, objects.CARTON.name
_DROP_M = 0.001


def planned_hanging(start: Mapping[str, Float]) -> Float:
    """T_base_mug (4, 4) that a plan wants: upright on the peg, turned the shorter way."""
    return wanted_end("mug", start)


def _side(start: Mapping[str, Float]) -> float:
    goal = planned_hanging(start)
    return 1.0 if np.allclose(goal, on_peg(start[_TREE], ON_PEG_M, side=1.0)) else -1.0


def _hung(
    along_m: tuple[float, float],
    aside_m: tuple[float, float] = (-0.006, 0.006),
    raised_m: tuple[float, float] = (-0.003, 0.003),
    *,
    settles: bool = True,
) -> Place:
    def place(random: Random, start: Mapping[str, Float]) -> Ending:
        pose = on_peg(
            start[_TREE],
            random.uniform(*along_m),
            side=_side(start),
            aside_m=random.uniform(*aside_m),
            raised_m=random.uniform(*raised_m),
            turn=random.uniform(-0.12, 0.12),
        )
        return Ending({_MUG: pose}, settles=settles)

    return place


def _on_table(far_m: tuple[float, float], tip_deg: tuple[float, float]) -> Place:
    """On the table under the peg, upright or tipped over."""

    def place(random: Random, start: Mapping[str, Float]) -> Ending:
        goal = on_peg(start[_TREE], random.uniform(0.09, 0.12), side=_side(start))
        away, angle = random.uniform(*far_m), random.uniform(0, 2 * np.pi)
        goal[:2, 3] += away * np.array([np.cos(angle), np.sin(angle)])
        tip = np.radians(random.uniform(*tip_deg))
        axis = np.array([np.cos(angle), np.sin(angle), 0.0])
        rotation = exp_so3(tip * axis) @ goal[:3, :3]
        rise = mug_tree.RADIUS_M * abs(np.sin(tip)) + mug_tree.HEIGHT_M * max(-np.cos(tip), 0.0)
        return Ending(
            {_MUG: from_rt(rotation, [*goal[:2, 3], rise + 0.03 * np.sin(tip) + _DROP_M])}
        )

    return place


def _at_home(low_m: float, high_m: float, tip_deg: tuple[float, float] = (0.0, 0.0)) -> Place:
    def place(random: Random, start: Mapping[str, Float]) -> Ending:
        angle, far = random.uniform(0, 2 * np.pi), random.uniform(low_m, high_m)
        tip = np.radians(random.uniform(*tip_deg))
        way = np.array([np.cos(angle), np.sin(angle), 0.0])
        rotation = exp_so3(tip * way) @ start[_MUG][:3, :3]
        rise = 0.065 * np.sin(tip) + _DROP_M
        return Ending({_MUG: from_rt(rotation, start[_MUG][:3, 3] + far * way + [0, 0, rise])})

    return place


def _gone(_random: Random, _start: Mapping[str, Float]) -> Ending:
    return Ending({_MUG: from_rt(np.eye(3), GONE_M)})


def _other_moved(random: Random, start: Mapping[str, Float]) -> Ending:
    goal = planned_hanging(start)
    at = [*goal[:2, 3], objects.CARTON.rest_height_m + random.uniform(0.0, 0.08)]
    return Ending({_OTHER: from_rt(goal[:3, :3], at)}, settles=False)


HANGING: dict[str, Place] = {
    "on the peg": _hung((0.028, 0.050)),
    "on the peg, again": _hung((0.028, 0.050)),
    "on the peg, third": _hung((0.024, 0.060)),
    "on the peg, loosely": _hung((0.030, 0.062), (-0.012, 0.012)),
    "at the tip": _hung((0.062, 0.090)),
    "held before the tip": _hung((0.098, 0.130), settles=False),
    "held, peg outside": _hung((0.030, 0.060), (-0.034, -0.026), settles=False),
    "held, above the peg": _hung((0.030, 0.060), raised_m=(0.035, 0.06), settles=False),
    "held, below the peg": _hung((0.030, 0.060), raised_m=(-0.075, -0.055), settles=False),
    "let go above the peg": _hung((0.030, 0.060), raised_m=(0.035, 0.06)),
    "let go before the tip": _hung((0.096, 0.115)),
    "under the peg": _on_table((0.0, 0.05), (0, 0)),
    "tipped under the peg": _on_table((0.0, 0.05), (60, 110)),
    "at its place": _at_home(0.0, 0.003),
    "knocked": _at_home(0.015, 0.045),
    "tipped at its place": _at_home(0.0, 0.03, (60, 110)),
    "gone": _gone,
    "other moved": _other_moved,
}
