"""What the executor asks of a robot: its state, one trajectory at a time, a gripper.

Backends implement it. Sending never waits: it returns a running motion, whose `wait` returns as
soon as the robot has finished.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from novaflow_core.errors import Code, PlatformError
from novaflow_executor.core.plan import JointTrajectory

# `error_code` in the evidence of a CONTROLLER_FAILED: off the path, off the goal. The numbers are
# those of control_msgs/FollowJointTrajectory.
RESISTED = (-4, -5)


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
            ExecutionError: CONTROLLER_REJECTED, CONTROLLER_FAILED or GRIPPER_FAILED, in the
                robot's own words; see `RESISTED`.
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

    def joints_at(self, time_s: float) -> NDArray[np.float64] | None:
        """Return the joints (N,) [rad] at a time of the robot's clock [s]; None if not known."""

    def move(self, trajectory: JointTrajectory) -> RunningMotion:
        """Send a trajectory.

        Raises:
            ExecutionError: CONTROLLER_UNAVAILABLE.
        """

    def move_gripper(self, opening_m: float, max_force_n: float) -> RunningMotion:
        """Open or close the gripper; it stops at what it meets.

        Args:
            opening_m: Wanted distance between the pads [m]; 0 closes.
            max_force_n: Largest force [N]; the driver's own limit holds as well.

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


@dataclass(frozen=True)
class JawTable:
    """How the gripper's joint position relates to the distance between its pads; linear in between.

    Attributes:
        positions: (P,) joint positions [rad or m], strictly increasing.
        openings_m: (P,) distances between the pads [m].
    """

    positions: tuple[float, ...]
    openings_m: tuple[float, ...]

    def __post_init__(self) -> None:
        """Check that the table can be read both ways."""
        steps = np.diff(self.positions), np.diff(self.openings_m)
        if len(self.positions) != len(self.openings_m) or len(self.positions) < 2:
            raise PlatformError(
                Code.INVALID_SETTING,
                f"gripper table has {len(self.positions)} positions and "
                f"{len(self.openings_m)} openings; both need the same number, at least 2",
            )
        if not (steps[0] > 0).all() or not ((steps[1] > 0).all() or (steps[1] < 0).all()):
            raise PlatformError(
                Code.INVALID_SETTING, "gripper positions must rise and its openings rise or fall"
            )

    def opening_m(self, position: float) -> float:
        """Distance between the pads [m] at a joint position."""
        return float(np.interp(position, self.positions, self.openings_m))

    def position(self, opening_m: float) -> float:
        """Joint position at a distance between the pads [m]."""
        order = np.argsort(self.openings_m)
        openings, positions = np.array(self.openings_m), np.array(self.positions)
        return float(np.interp(opening_m, openings[order], positions[order]))
