"""What goes wrong on purpose while the arm moves: a push, a slip, or something in the way.

For benchmarks. A disturbance follows from task and seed alone, so that two ways of executing meet
the same one; when it happens follows from what the arm does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

NONE, PUSH, SLIP, OBSTACLE = "none", "push", "slip", "obstacle"
KINDS = (NONE, PUSH, SLIP, OBSTACLE)

SHIFT_M = (0.010, 0.020)
TURN_DEG = (3.0, 8.0)
DELAY_S = (0.3, 0.7)
LEFT_HOME_RAD = 0.15
LIFTED_M = 0.010


@dataclass(frozen=True)
class Observation:
    """What decides when it happens.

    Attributes:
        time_s: Simulated time [s].
        from_home_rad: Largest distance of an arm joint from its home [rad].
        lifted_m: Height of the target above where it stood [m].
        held: The gripper touches the target.
    """

    time_s: float
    from_home_rad: float
    lifted_m: float
    held: bool


@dataclass(frozen=True)
class Displacement:
    """What happens to the target.

    Attributes:
        shift_m: (3,) [m]; of a push in the base frame, of a slip in the TCP's frame.
        turn_rad: About the TCP's x axis, along which the fingers press [rad].
    """

    shift_m: Float
    turn_rad: float


class Disturbance:
    """Waits for its moment, then happens once.

    Attributes:
        kind: One of `KINDS`.
        done: It has happened.
    """

    def __init__(self, kind: str, stream: int, seed: int) -> None:
        """Draw what happens.

        Args:
            kind: One of `KINDS`.
            stream: Of the task's random numbers.
            seed: Of the episode.
        """
        self.kind, self.done = kind, False
        random = np.random.default_rng([seed, stream, KINDS.index(kind), 0xD157])
        way = random.uniform(0.0, 2 * math.pi)
        far = random.uniform(*SHIFT_M)
        turn = math.radians(random.uniform(*TURN_DEG)) * random.choice([-1.0, 1.0])
        self._delay_s = random.uniform(*DELAY_S)
        self._since_s: float | None = None
        if kind == SLIP:
            # Along the pads' faces, where friction is all that holds.
            along = 0.5 * far * np.array([0.0, np.sign(turn), 0.3])
            self._displacement = Displacement(along, turn)
        else:
            flat = far * np.array([math.cos(way), math.sin(way), 0.0])
            self._displacement = Displacement(flat, 0.0)

    def due(self, seen: Observation) -> Displacement | None:
        """What happens now, or None."""
        if self.done or self.kind not in (PUSH, SLIP):
            return None
        if self.kind == PUSH:
            ready = seen.from_home_rad > LEFT_HOME_RAD
        else:
            ready = seen.held and seen.lifted_m > LIFTED_M
        if not ready:
            self._since_s = None
        elif self._since_s is None:
            self._since_s = seen.time_s
        if self._since_s is None or seen.time_s < self._since_s + self._delay_s:
            return None
        self.done = True
        return self._displacement
