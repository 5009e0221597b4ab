"""The simulated cell: physics, servos, and the controllers that a real robot's driver brings."""

from __future__ import annotations

import threading
from typing import NamedTuple

import mujoco
import numpy as np
from numpy.typing import NDArray

from novaflow_core.se3 import exp_so3, from_rt
from novaflow_sim.backends import layout, scene
from novaflow_sim.core import objects, robot_model
from novaflow_sim.core.arm_controller import ArmController, Limits
from novaflow_sim.core.disturbance import NONE, OBSTACLE, Displacement, Disturbance, Observation
from novaflow_sim.core.gripper_controller import GripperController, GripperLimits
from novaflow_sim.core.joint_path import JointState
from novaflow_sim.core.scoring import GRIPPER, MAX_SPEED_M_S, TABLE, Truth
from novaflow_sim.core.shared_state import SharedState, Snapshot

# Simulated time does not begin at zero: a stamp of zero means "none" in ROS.
START_TIME_S = 1.0
# The 2F-85's data sheet: 20 to 235 N; the model's actuator saturates at 5 Nm.
GRIPPER_EFFORT_N = (20.0, 235.0)
_FINGER_JOINT = "gripper/left_driver_joint"
_FINGER_ACTUATOR = "gripper/fingers_actuator"
_FINGER_CONTROL_PER_RAD = 255.0 / 0.8


class RobotReading(NamedTuple):
    """What encoders and torque sensors read: arm joints first, then the gripper's, each (8,)."""

    time_s: float
    position: NDArray[np.float64]
    velocity: NDArray[np.float64]
    effort: NDArray[np.float64]


def default_limits() -> Limits:
    """Tolerances of the arm's controller as a user would configure them."""
    count = len(robot_model.ARM_JOINTS)
    return Limits(
        deceleration=robot_model.ACCELERATION_LIMIT_RAD_S2,
        path_tolerance=np.full(count, 0.2),
        goal_tolerance=np.full(count, 0.01),
        goal_time_s=2.0,
    )


class Cell:
    """One task's cell. `advance` is to be called by one thread; everything else by any."""

    def __init__(
        self,
        task: str,
        seed: int,
        limits: Limits | None = None,
        gripper_limits: GripperLimits | None = None,
        disturb: str = NONE,
    ) -> None:
        """Load the model and put the objects where `seed` says.

        Args:
            task: Name of a task.
            seed: Of the layout.
            limits: Of the arm's controller.
            gripper_limits: Of the gripper's controller.
            disturb: What goes wrong on purpose; a kind of `disturbance`.

        Raises:
            PlatformError: INVALID_SETTING when the task knows no such disturbance.
        """
        self.task = task
        self.seed = seed
        self._disturb = disturb
        objects.refuse_disturbance(task, disturb)
        self.model = scene.load(task)
        self.data = mujoco.MjData(self.model)
        self._lock = threading.Lock()
        self._steps = 0
        self.arm = ArmController(
            robot_model.HOME_RAD,
            limits or default_limits(),
            robot_model.POSITION_LOW_RAD,
            robot_model.POSITION_HIGH_RAD,
        )
        self.gripper = GripperController(gripper_limits or GripperLimits(), GRIPPER_EFFORT_N[1])
        m = self.model
        self._q = np.array([m.joint(j).qposadr[0] for j in robot_model.ARM_JOINTS])
        self._v = np.array([m.joint(j).dofadr[0] for j in robot_model.ARM_JOINTS])
        self._u = np.array([m.actuator(j).id for j in robot_model.ARM_JOINTS])
        self._finger_q = int(m.joint(_FINGER_JOINT).qposadr[0])
        self._finger_v = int(m.joint(_FINGER_JOINT).dofadr[0])
        self._finger_u = int(m.actuator(_FINGER_ACTUATOR).id)
        self._finger_force = float(m.actuator_forcerange[self._finger_u, 1])
        self._stiffness = np.array(scene.SERVO_STIFFNESS)
        self._damping = np.array(scene.SERVO_DAMPING)
        self._acceleration, self._inertia_torque = np.zeros(m.nv), np.zeros(m.nv)
        self._names = [self._part_name(k) for k in range(m.nbody)]
        self.shared = SharedState.create(m.nq, m.nmocap)
        self.reset(seed)

    @property
    def time_s(self) -> float:
        """Simulated time [s]; it goes on over resets."""
        return START_TIME_S + self._steps * scene.TIMESTEP_S

    def reset(self, seed: int) -> None:
        """Home the arm, open the gripper and place the objects of a seed."""
        cast = objects.TASKS[self.task]
        drawn = layout.layout_of(self.model, self.task, seed, self._disturb == OBSTACLE)
        with self._lock:
            self.seed = seed
            self.disturbance = Disturbance(self._disturb, cast.stream, seed)
            self._rest_height_m = drawn.placements[cast.target.name].z_m
            self.obstacle_contact_s = self._held_still_s = 0.0
            mujoco.mj_resetData(self.model, self.data)
            layout.apply_poses(self.model, self.data, self.task, drawn)
            self._placed = {
                name: from_rt(exp_so3([0.0, 0.0, at.yaw_rad]), [at.x_m, at.y_m, at.z_m])
                for name, at in drawn.placements.items()
            }
            self.data.qpos[self._q] = robot_model.HOME_RAD
            self.arm.reset(robot_model.HOME_RAD)
            self.gripper.reset()
            mujoco.mj_forward(self.model, self.data)
            self._share()

    def advance(self, steps: int) -> RobotReading:
        """Simulate; returns the reading at the end."""
        with self._lock:
            for _ in range(steps):
                self._control()
                mujoco.mj_step(self.model, self.data)
                self._steps += 1
            if self._disturb != NONE:
                self._disturb_now(steps)
            if objects.TASKS[self.task].ends_held:
                self._time_held_still(steps)
            self._share()
            d = self.data
            return RobotReading(
                self.time_s,
                np.append(d.qpos[self._q], d.qpos[self._finger_q]),
                np.append(d.qvel[self._v], d.qvel[self._finger_v]),
                np.append(d.actuator_force[self._u], d.actuator_force[self._finger_u]),
            )

    def _control(self) -> None:
        d, now = self.data, self.time_s
        command = self.arm.update(now, d.qpos[self._q])
        d.ctrl[self._u] = command.position + self._feed_forward(command) / self._stiffness
        position, effort = self.gripper.update(
            now,
            scene.TIMESTEP_S,
            float(d.qpos[self._finger_q]),
            float(d.qvel[self._finger_v]),
        )
        d.ctrl[self._finger_u] = np.clip(position * _FINGER_CONTROL_PER_RAD, 0.0, 255.0)
        force = self._finger_force * np.clip(effort, *GRIPPER_EFFORT_N) / GRIPPER_EFFORT_N[1]
        self.model.actuator_forcerange[self._finger_u] = [-force, force]

    def _feed_forward(self, command: JointState) -> NDArray[np.float64]:
        """Torques (7,) [Nm] that let the servo follow without lag, as a real controller does."""
        torque = self._damping * command.velocity
        if command.acceleration.any():
            self._acceleration[self._v] = command.acceleration
            mujoco.mj_mulM(self.model, self.data, self._inertia_torque, self._acceleration)
            torque = torque + self._inertia_torque[self._v]
        return torque

    # --- what goes wrong on purpose ---
    def _disturb_now(self, steps: int) -> None:
        cast = objects.TASKS[self.task]
        if self._disturb == OBSTACLE:
            obstacle = cast.obstacle.name
            if any(self._touching(obstacle, part) for part in (GRIPPER, "arm", cast.target.name)):
                self.obstacle_contact_s += steps * scene.TIMESTEP_S
            return
        target = self.data.body(cast.target.name)
        seen = Observation(
            self.time_s,
            float(np.abs(self.data.qpos[self._q] - robot_model.HOME_RAD).max()),
            float(target.xpos[2]) - self._rest_height_m,
            self._touching(cast.target.name, GRIPPER),
        )
        if (displacement := self.disturbance.due(seen)) is not None:
            self._displace(cast.target.name, displacement)

    def _time_held_still(self, steps: int) -> None:
        name = objects.TASKS[self.task].target.name
        start = int(self.model.joint(f"{name}_free").dofadr[0])
        speed = float(np.linalg.norm(self.data.qvel[start : start + 3]))
        still = speed < MAX_SPEED_M_S and self._touching(name, GRIPPER)
        self._held_still_s = self._held_still_s + steps * scene.TIMESTEP_S if still else 0.0

    def _displace(self, name: str, displacement: Displacement) -> None:
        start = int(self.model.joint(f"{name}_free").qposadr[0])
        position, rotation = slice(start, start + 3), slice(start + 3, start + 7)
        qpos, shift = self.data.qpos, displacement.shift_m
        if displacement.turn_rad:
            tcp = self.data.site("tcp").xmat.reshape(3, 3)
            shift = tcp @ shift
            turn, before = np.zeros(4), qpos[rotation].copy()
            mujoco.mju_axisAngle2Quat(turn, tcp[:, 0].copy(), displacement.turn_rad)
            mujoco.mju_mulQuat(qpos[rotation], turn, before)
        qpos[position] += shift

    def _touching(self, a: str, b: str) -> bool:
        pairs = self.model.geom_bodyid[self.data.contact.geom]
        wanted = {a, b}
        return any({self._names[i], self._names[j]} == wanted for i, j in pairs)

    def _share(self) -> None:
        d = self.data
        mocap = np.concatenate([d.mocap_pos, d.mocap_quat], axis=1)
        self.shared.write(Snapshot(self.time_s, self.seed, d.qpos, mocap))

    # --- truth: for the scorer alone ---
    def truth(self) -> Truth:
        """Poses, speeds and contacts of the objects."""
        with self._lock:
            d = self.data
            poses, speeds = {}, {}
            for prop in objects.TASKS[self.task].props:
                body = d.body(prop.name)
                poses[prop.name] = from_rt(body.xmat.reshape(3, 3), body.xpos)
                speeds[prop.name] = 0.0
                if not prop.fixed:
                    start = int(self.model.joint(f"{prop.name}_free").dofadr[0])
                    speeds[prop.name] = float(np.linalg.norm(d.qvel[start : start + 3]))
            part = objects.TASKS[self.task].part
            if part:
                body = d.body(part)
                poses[part] = from_rt(body.xmat.reshape(3, 3), body.xpos)
                speeds[part] = float(abs(d.joint(part).qvel[0]))
            owner = self.model.geom_bodyid
            contacts = {
                frozenset((self._names[owner[c.geom1]], self._names[owner[c.geom2]]))
                for c in d.contact
            }
            return Truth(poses, speeds, contacts, dict(self._placed), self._held_still_s)

    def tcp(self) -> NDArray[np.float64]:
        """T_base_tcp (4, 4)."""
        with self._lock:
            site = self.data.site("tcp")
            return from_rt(site.xmat.reshape(3, 3), site.xpos)

    def arm_velocity(self) -> NDArray[np.float64]:
        """True joint velocities (7,) [rad/s]."""
        with self._lock:
            return self.data.qvel[self._v].copy()

    def _part_name(self, body: int) -> str:
        name = self.model.body(body).name
        if name.startswith("gripper/"):
            return GRIPPER
        if name == "world":
            return TABLE
        return "arm" if name.startswith(("fr3_", "base")) else name
