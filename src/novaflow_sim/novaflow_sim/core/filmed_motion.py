"""How things and a hand move in a rendered video, and how such videos go wrong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3

Float = NDArray[np.float64]

SPOILS = ("wrong_place", "other_object", "teleport", "vanish", "not_let_go")
PART_SPOILS = ("wrong_place", "other_object", "teleport", "not_let_go")  # a part cannot leave
_AWAY = np.array([0.1, -0.7, 0.55])  # from where the hand comes, base frame [m]
_BELOW_M = 3.0


@dataclass(frozen=True)
class Manner:
    """How a thing gets where it belongs.

    Attributes:
        slides: Straight on, without being lifted.
        enters_m: (3,) the last stretch of its way, base frame [m]; zero: from above.
        turns_late: It is turned once it is over there.
        held: The hand keeps it.
    """

    slides: bool = False
    enters_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    turns_late: bool = False
    held: bool = False


CARRIED = Manner()


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
    grip_m: Float,
    frames: int,
    random: np.random.Generator,
    spoil: str = "",
    manner: Manner = CARRIED,
) -> Film:
    """A hand comes, takes a thing, brings it over, lets go and leaves; never twice alike.

    Args:
        moves: Name of what moves.
        start: (4, 4) where it stands.
        end: (4, 4) where it is to go.
        grip_m: (3,) of the palm from the thing's origin, base frame, before it moves [m].
        frames: How many to make.
        random: Decides timing, height of the arc and what goes wrong.
        spoil: One of `SPOILS`, or "".
        manner: How it gets there.
    """
    time = _timing(frames, random)
    lift_m = random.uniform(0.10, 0.16) * _arc(end[2, 3] - start[2, 3])
    if spoil == "wrong_place":
        end = _misplaced(start, end, random, manner)
    taken, over, down = random.uniform(0.14, 0.2), random.uniform(0.36, 0.46), 0.86
    lowers = random.uniform(0.6, 0.68)
    there = lowers if manner.turns_late else down
    share = _ease(time, taken, there)
    turning = _ease(time, lowers, down) if manner.turns_late else share
    rise = _ease(time, taken, over) * (1.0 - _ease(time, lowers, down))
    enters = np.array(manner.enters_m)
    if enters.any():
        # It is over a place beside its own, then level with it, then it enters.
        share, ahead = _ease(time, taken, lowers - 0.1), 1.0 - _ease(time, lowers, down)
        rise = _ease(time, taken, over) * (1.0 - _ease(time, lowers - 0.12, lowers))
    else:
        ahead = np.zeros(frames)
    turn = se3.log_so3(end[:3, :3] @ start[:3, :3].T)
    poses = np.repeat(start[None], frames, axis=0)
    for k in range(frames):
        poses[k, :3, :3] = se3.exp_so3(turning[k] * turn) @ start[:3, :3]
        poses[k, :3, 3] = (1 - share[k]) * start[:3, 3] + share[k] * (
            end[:3, 3] - ahead[k] * enters
        )
        poses[k, 2, 3] += 0.0 if manner.slides else lift_m * rise[k]
    grip = np.add(grip_m, [random.uniform(-0.01, 0.01), random.uniform(-0.02, 0.01), 0.0])
    left = 0.0 if manner.held else _ease(time, down + 0.02, 1.0)
    near = _ease(time, 0.03, taken) * (1.0 - left)
    if spoil == "not_let_go":
        stop = int(np.searchsorted(time, random.uniform(0.5, 0.6)))
        poses[stop:] = poses[stop]
        near[stop:] = near[stop]
    if spoil == "teleport":
        jump = int(random.integers(frames // 3, 2 * frames // 3))
        poses[:jump], poses[jump:] = start, end
    turned = poses[:, :3, :3] @ start[:3, :3].T if manner.turns_late else np.eye(3)[None]
    hand = poses[:, :3, 3] + turned @ grip + (1.0 - near)[:, None] * _AWAY
    if spoil == "vanish":
        gone = int(random.uniform(0.45, 0.7) * frames)
        poses[gone:, 2, 3] -= _BELOW_M
    return Film(moves, poses, hand)


def _arc(climbs_m: float) -> float:
    """Share of the arc's height where a thing ends higher than it stood."""
    return float(np.clip(1.0 - (climbs_m - 0.03) / 0.12, 0.2, 1.0))


def _misplaced(start: Float, end: Float, random: np.random.Generator, manner: Manner) -> Float:
    """An end that is none: aside, standing on the table; what slides stops early."""
    end = end.copy()
    if manner.slides:
        end[:3, 3] = start[:3, 3] + random.uniform(0.15, 0.3) * (end[:3, 3] - start[:3, 3])
        return end
    way = random.uniform(0.0, 2 * np.pi)
    far = random.uniform(0.10, 0.15)
    end[:3, 3] += far * np.array([np.cos(way), np.sin(way), 0.0])
    if not manner.held:
        end[2, 3] = start[2, 3]
    return end


def _timing(frames: int, random: np.random.Generator) -> Float:
    """Times (T,) from 0 to 1 that hurry and dawdle."""
    pace = np.exp(random.normal(0.0, 0.35, 6))
    speed = np.interp(np.linspace(0, 1, frames - 1), np.linspace(0, 1, 6), pace)
    time = np.concatenate([[0.0], np.cumsum(speed)])
    return np.asarray(time / time[-1])


def _ease(time: Float, begin: float, end: float) -> Float:
    s = np.clip((time - begin) / (end - begin), 0.0, 1.0)
    return np.asarray(s * s * (3.0 - 2.0 * s))
