"""How things and a hand move in a rendered video, and how such videos go wrong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3

Float = NDArray[np.float64]

SPOILS = ("wrong_place", "other_object", "teleport", "vanish", "not_let_go")
_AWAY = np.array([0.1, -0.7, 0.55])  # from where the hand comes, base frame [m]
_BELOW_M = 3.0


@dataclass(frozen=True)
class Film:
    """One video's motion.

    Attributes:
        moves: Name of what moves.
        poses: (T, 4, 4) its pose in the base frame.
        hand: (T, 3) position of the palm in the base frame [m].
    """

    moves: str
    poses: Float
    hand: Float


def film(
    moves: str,
    start: Float,
    end: Float,
    height_m: float,
    frames: int,
    random: np.random.Generator,
    spoil: str = "",
) -> Film:
    """A hand comes, takes a thing, carries it over, lets go and leaves; never twice alike.

    Args:
        moves: Name of what moves.
        start: (4, 4) where it stands.
        end: (4, 4) where it is to go.
        height_m: Of the thing above its origin [m].
        frames: How many to make.
        random: Decides timing, height of the arc and what goes wrong.
        spoil: One of `SPOILS`, or "".
    """
    time = _timing(frames, random)
    lift_m = random.uniform(0.10, 0.16)
    if spoil == "wrong_place":
        way = random.uniform(0.0, 2 * np.pi)
        far = random.uniform(0.10, 0.15)
        end = end.copy()
        end[:3, 3] += far * np.array([np.cos(way), np.sin(way), 0.0])
        end[2, 3] = start[2, 3]
    taken, over, down = random.uniform(0.14, 0.2), random.uniform(0.36, 0.46), 0.86
    share = _ease(time, taken, down)
    rise = _ease(time, taken, over) * (1.0 - _ease(time, random.uniform(0.6, 0.68), down))
    turn = se3.log_so3(end[:3, :3] @ start[:3, :3].T)
    poses = np.repeat(start[None], frames, axis=0)
    for k in range(frames):
        poses[k, :3, :3] = se3.exp_so3(share[k] * turn) @ start[:3, :3]
        poses[k, :3, 3] = (1 - share[k]) * start[:3, 3] + share[k] * end[:3, 3]
        poses[k, 2, 3] += lift_m * rise[k]
    grip = np.array([random.uniform(-0.01, 0.01), random.uniform(-0.02, 0.01), height_m + 0.015])
    near = _ease(time, 0.03, taken) * (1.0 - _ease(time, down + 0.02, 1.0))
    if spoil == "not_let_go":
        stop = int(np.searchsorted(time, random.uniform(0.5, 0.6)))
        poses[stop:] = poses[stop]
        near[stop:] = near[stop]
    if spoil == "teleport":
        jump = int(random.integers(frames // 3, 2 * frames // 3))
        poses[:jump], poses[jump:] = start, end
    hand = poses[:, :3, 3] + grip + (1.0 - near)[:, None] * _AWAY
    if spoil == "vanish":
        gone = int(random.uniform(0.45, 0.7) * frames)
        poses[gone:, 2, 3] -= _BELOW_M
    return Film(moves, poses, hand)


def _timing(frames: int, random: np.random.Generator) -> Float:
    """Times (T,) from 0 to 1 that hurry and dawdle."""
    pace = np.exp(random.normal(0.0, 0.35, 6))
    speed = np.interp(np.linspace(0, 1, frames - 1), np.linspace(0, 1, 6), pace)
    time = np.concatenate([[0.0], np.cumsum(speed)])
    return np.asarray(time / time[-1])


def _ease(time: Float, begin: float, end: float) -> Float:
    s = np.clip((time - begin) / (end - begin), 0.0, 1.0)
    return np.asarray(s * s * (3.0 - 2.0 * s))
