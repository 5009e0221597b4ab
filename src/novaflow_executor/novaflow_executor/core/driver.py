"""What the executor asks of a robot: its state, one trajectory at a time, a gripper. Backends implement it.

Sending never waits: it returns a running motion whose `wait` returns as soon as the robot has finished.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class TimedPath(Protocol):
    """Joint positions over time, as the planner makes them."""

    @property
    def times_s(self) -> NDArray[np.float64]:
        """(M,) [s] from the start, strictly increasing."""

    @property
    def q(self) -> NDArray[np.float64]:
        """(M, N) [rad]."""

    @property
    def qd(self) -> NDArray[np.float64]:
        """(M, N) [rad/s]."""


@dataclass(frozen=True)
class ArmState:
    """Where the arm is.

    Attributes:
        q: (N,) joint positions [rad], in the driver's joint order.
        qd: (N,) joint velocities [rad/s].
        age_s: Time since this state arrived, on a steady clock [s].
    """

    q: NDArray[np.float64]
    qd: NDArray[np.float64]
    age_s: float


class RunningMotion(Protocol):
    """A motion that the robot has been asked for."""

    def wait(self, timeout_s: float) -> bool:
        """Return True as soon as it has ended, False when the time is over."""

    def check(self) -> None:
        """Return when it ended well.

        Raises:
            ExecutionError: CONTROLLER_REJECTED, CONTROLLER_FAILED or GRIPPER_FAILED, in the robot's own words.
        """

    def cancel(self) -> None:
        """Ask the robot to stop it; returns at once and may be called again."""


class RobotDriver(Protocol):
    """An arm with a parallel gripper."""

    def state(self) -> ArmState:
        """Return the newest state.

        Raises:
            ExecutionError: NO_ROBOT_STATE when there is none or it is too old, with its age.
        """

    def move(self, path: TimedPath) -> RunningMotion:
        """Send a trajectory.

        Raises:
            ExecutionError: CONTROLLER_UNAVAILABLE.
        """

    def move_gripper(self, opening_m: float) -> RunningMotion:
        """Open or close the gripper; it stops at what it meets, with the driver's limited force.

        Args:
            opening_m: Wanted distance between the pads [m]; 0 closes.

        Raises:
            ExecutionError: CONTROLLER_UNAVAILABLE.
        """

    def gripper_opening_m(self) -> float:
        """Return the distance between the pads now [m].

        Raises:
            ExecutionError: NO_ROBOT_STATE.
        """

    def cancel_all(self) -> None:
        """Ask the arm to stop whatever it does, also what others asked for; returns at once."""
