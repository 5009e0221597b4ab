"""What is sent to the robot: phases of timed joint trajectories and gripper commands."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from novaflow_core.errors import ShapeError
from novaflow_core.grasp import Grasp

Array = NDArray[np.float64]


class Phase(IntEnum):
    """Parts of an execution, in order. The numbers equal those of `ExecuteFlow` feedback."""

    APPROACH = 0
    GRASP = 1
    CARRY = 2
    RELEASE = 3
    RETREAT = 4


class Contact(IntEnum):
    """What may be touched during a segment, besides nothing."""

    NONE = 0
    TARGET = 1  # the fingers are around the object: on the last centimetres, closing and opening
    CARRIED = 2  # the object is held: it touches the support or the reference at both ends


@dataclass(frozen=True)
class JointTrajectory:
    """Joint motion over time; it starts and ends at rest.

    Attributes:
        joint_names: N names, in the order of the columns.
        time_s: (M,) [s], strictly increasing from 0.
        position: (M, N) [rad].
        velocity: (M, N) [rad/s].
        acceleration: (M, N) [rad/s^2].
    """

    joint_names: tuple[str, ...]
    time_s: Array
    position: Array
    velocity: Array
    acceleration: Array

    def __post_init__(self) -> None:
        """Check that all arrays have one size."""
        shape = (len(self.time_s), len(self.joint_names))
        for name in ("position", "velocity", "acceleration"):
            if getattr(self, name).shape != shape:
                raise ShapeError(f"{name} has shape {getattr(self, name).shape}, not {shape}")

    @property
    def duration_s(self) -> float:
        """Time from the first to the last point [s]."""
        return float(self.time_s[-1] - self.time_s[0])


@dataclass(frozen=True)
class GripperCommand:
    """Move the fingers and wait until they rest.

    Attributes:
        opening_m: Wanted opening between the pads [m]; 0 to close on whatever is there.
        max_force_n: Force limit [N].
        grasps: Whether an object is expected between the pads; then stalling is success.
    """

    opening_m: float
    max_force_n: float
    grasps: bool = False


@dataclass(frozen=True)
class Segment:
    """One thing to do: either a joint trajectory or a gripper command.

    Attributes:
        phase: Part of the execution that it belongs to.
        name: For people, e.g. "descend".
        trajectory: Joint motion; None for a gripper command.
        gripper: Gripper command; None for a motion.
        opening_m: Opening of the fingers while the segment's motion runs [m].
        contact: What may be touched.
    """

    phase: Phase
    name: str
    trajectory: JointTrajectory | None
    gripper: GripperCommand | None
    opening_m: float
    contact: Contact = Contact.NONE


@dataclass(frozen=True)
class ExecutionPlan:
    """All segments of one execution, in order.

    Attributes:
        scene_id: Scene that it was planned in.
        candidate_id: Flow that it follows.
        grasp: Where the object is taken, in the planning frame.
        segments: In order.
        T_base_obj: (T, 4, 4) motion of the object relative to its first pose.
        object_points: (P, 3) [m] points of the object's body at step 0, planning frame.
        q_grasp: (N,) [rad] at the grasp.
        held: Why the object is still held at the end; "" where it is let go.
    """

    scene_id: str
    candidate_id: str
    grasp: Grasp
    segments: tuple[Segment, ...]
    T_base_obj: Array
    object_points: Array
    q_grasp: Array = field(default_factory=lambda: np.zeros(0))
    held: str = ""

    @property
    def hash(self) -> str:
        """SHA-256 (hex) of everything that moves: an approval binds to it."""
        digest = hashlib.sha256()
        for text in (self.scene_id, self.candidate_id):
            digest.update(text.encode() + b"\0")
        digest.update(np.ascontiguousarray(self.grasp.T_planning_tcp, dtype="<f8").tobytes())
        for segment in self.segments:
            digest.update(f"{int(segment.phase)} {segment.name} {int(segment.contact)} ".encode())
            if segment.gripper is not None:
                digest.update(repr(segment.gripper).encode())
            if segment.trajectory is not None:
                digest.update(" ".join(segment.trajectory.joint_names).encode())
                for array in (
                    segment.trajectory.time_s,
                    segment.trajectory.position,
                    segment.trajectory.velocity,
                    segment.trajectory.acceleration,
                ):
                    digest.update(np.ascontiguousarray(array, dtype="<f8").tobytes())
        return digest.hexdigest()

    @property
    def duration_s(self) -> float:
        """Time of all motions [s], without the gripper."""
        return sum(s.trajectory.duration_s for s in self.segments if s.trajectory is not None)

    def carry_end(self) -> Array:
        """Joints (N,) [rad] at which the carry ends."""
        carries = [s.trajectory for s in self.segments if s.phase == Phase.CARRY and s.trajectory]
        return np.asarray(carries[-1].position[-1])

    def preview(self) -> JointTrajectory:
        """All motions one after the other, for display."""
        parts = [s.trajectory for s in self.segments if s.trajectory is not None]
        times, offset = [], 0.0
        for part in parts:
            times.append(part.time_s - part.time_s[0] + offset)
            offset = float(times[-1][-1]) + 0.01  # joints stand still between segments
        return JointTrajectory(
            parts[0].joint_names,
            np.concatenate(times),
            np.concatenate([p.position for p in parts]),
            np.concatenate([p.velocity for p in parts]),
            np.concatenate([p.acceleration for p in parts]),
        )
