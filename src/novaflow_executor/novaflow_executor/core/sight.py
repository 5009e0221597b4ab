"""What is seen of the object while the arm works, and how far it is from where it should be."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_core.errors import Code, NovaflowError
from novaflow_executor.core.plan import Segment

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Sighting:
    """Where one image shows the object.

    Attributes:
        time_s: Of the image, on the robot's clock [s].
        T_moved: (4, 4) motion since the scene was captured, planning frame.
        visible: False: the pose is an older one.
    """

    time_s: float
    T_moved: Array
    visible: bool


class ObjectSight(Protocol):
    """What is seen of the object."""

    def since(self, time_s: float) -> list[Sighting]:
        """Sightings of images taken at `time_s` or later, oldest first."""

    def expect(self, time_s: float, T_moved: Array, carry: int) -> None:
        """Tell where the object should be at a time: a hint for who looks, not a sighting.

        Args:
            time_s: On the robot's clock [s].
            T_moved: (4, 4) motion since the scene was captured, planning frame.
            carry: Only hints of one carry tell of one motion.
        """


@dataclass(frozen=True)
class StrayLimits:
    """When an object in motion is not where it should be.

    Attributes:
        shift_m: Farther away, it has strayed [m].
        turn_rad: The same for turns [rad].
        frames: Images in a row that must say so.
    """

    shift_m: float = 0.010
    turn_rad: float = 0.26
    frames: int = 3


TELL_S = 0.05  # between two hints


class StrayedError(NovaflowError):
    """The object is not where it should be; raised while the arm moves, and stops it."""


class StrayWatch:
    """Compares every new image with where the object should be; called many times a second.

    Args:
        sight: Of the object.
        expected: Its motion (4, 4) since capture at a time [s]; None where that is not known.
        middle: (3,) of the object at capture [m].
        clock_s: The robot's clock; images before now do not count [s].
        limits: When it has strayed.
        carry: Number of the motion that takes the object along; None: none does.
    """

    def __init__(
        self,
        sight: ObjectSight,
        expected: Callable[[float], Array | None],
        middle: Array,
        clock_s: Callable[[], float],
        limits: StrayLimits,
        carry: int | None = None,
    ) -> None:
        """Begin."""
        self._carry = carry
        self._sight, self._expected, self._middle = sight, expected, middle
        self._clock_s, self._limits = clock_s, limits
        self._told_s = self._seen_s = clock_s()
        self._odd = 0

    def __call__(self, segment: Segment) -> None:
        """Look at what is new.

        Raises:
            StrayedError: When several images in a row disagree.
        """
        limits, now_s = self._limits, self._clock_s()
        if self._carry is not None and now_s - self._told_s >= 2 * TELL_S:
            told_s = now_s - TELL_S  # the joints of this very moment are not known yet
            if (there := self._expected(told_s)) is not None:
                self._sight.expect(told_s, there, self._carry)
                self._told_s = told_s
        for sighting in self._sight.since(self._seen_s):
            if sighting.time_s == self._seen_s:
                continue
            self._seen_s = sighting.time_s
            expected = self._expected(sighting.time_s)
            if expected is None or not sighting.visible:
                continue
            shift, turn = apart(sighting.T_moved, expected, self._middle)
            strayed = shift > limits.shift_m or turn > limits.turn_rad
            self._odd = self._odd + 1 if strayed else 0
            if self._odd >= limits.frames:
                raise StrayedError(
                    Code.GRASP_LOST,
                    f"during '{segment.name}' the object is {1e3 * shift:.0f} mm and "
                    f"{math.degrees(turn):.0f} deg from where it should be",
                )


def apart(T_a: Array, T_b: Array, middle: Array) -> tuple[float, float]:
    """Distance of the object's middle [m] and angle [rad] between two of its motions."""
    shift = np.linalg.norm(se3.apply(T_a, middle) - se3.apply(T_b, middle))
    return float(shift), float(se3.rotation_angle(T_a[:3, :3].T @ T_b[:3, :3]))


def middle_pose(sightings: list[Sighting], middle: Array) -> Array:
    """Motion (4, 4) in the middle of several: a median, so that one odd image does not count."""
    poses = np.stack([s.T_moved for s in sightings])
    about = poses[len(poses) // 2, :3, :3]
    turns = se3.log_so3(about.T @ poses[:, :3, :3])
    rotation = about @ se3.exp_so3(np.median(turns, axis=0))
    place = np.median(poses[:, :3, :3] @ middle + poses[:, :3, 3], axis=0)
    return np.asarray(se3.from_rt(rotation, place - rotation @ middle))
