"""Last check before anything is sent: independent of the planner.

It shares no kinematics and no distances with the planner: the URDF is read again, links are moved
with SciPy's rotations, and bodies are rows of balls instead of capsules. What the two have in
common is the robot's settings file.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from novaflow_core.errors import Code, ExecutionError
from novaflow_core.grounding import CollisionScene
from novaflow_executor.core.plan import Contact, ExecutionPlan, JointTrajectory, Phase, Segment
from novaflow_executor.core.robot_settings import RobotSettings, load_robot_settings
from novaflow_executor.core.surface_gap import surface_gap

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ValidatorLimits:
    """What a plan is held against.

    Attributes:
        start_rad: Largest difference between measured joints and the first point.
        between_rad: Largest difference between the end of a segment and the next one's start.
        rate_share: Tolerated excess over velocity and acceleration limits.
        step_rad: Largest joint motion between checked configurations.
        touch_m: Tolerated penetration of the arm; balls and capsules differ by less.
        carried_touch_m: Tolerated penetration of the carried object, whose surface is noisy.
        support_touch_m: The same against the support.
        target_clear_m: Distance of the gripper to the object where it must not touch it.
        place_radius_m: Within this of the place the object may overlap the reference's solid.
    """

    start_rad: float = 0.05
    between_rad: float = 0.02
    rate_share: float = 0.03
    step_rad: float = 0.02
    touch_m: float = 0.003
    carried_touch_m: float = 0.012
    support_touch_m: float = 0.012
    target_clear_m: float = -0.004
    place_radius_m: float = 0.15


class PlanValidator:
    """Checks plans against the URDF, the limits, the workspace and the scene.

    Args:
        urdf_text: The arm's URDF.
        settings: Tip, TCP, capsules, gripper, limits.
        limits: What a plan is held against.
    """

    def __init__(
        self, urdf_text: str, settings: RobotSettings, limits: ValidatorLimits | None = None
    ) -> None:
        """Read the chain."""
        self.settings, self.limits = settings, limits or ValidatorLimits()
        self._joints = _read_chain(urdf_text, settings.base_link, settings.tip_link)
        self._moving = [j for j in self._joints if j["kind"] != "fixed"]
        self.joint_names = tuple(j["name"] for j in self._moving)

    @classmethod
    def from_files(cls, urdf_text: str, settings_path: str) -> PlanValidator:
        """Build from the same sources as the planner, but with own code."""
        return cls(urdf_text, load_robot_settings(settings_path))

    def check(self, plan: ExecutionPlan, q_now: Array, scene: CollisionScene) -> None:
        """Pass or raise.

        Args:
            plan: All of it is checked, also what follows the first segment.
            q_now: (N,) measured joint positions [rad].
            scene: What must not be touched.

        Raises:
            ExecutionError: PLAN_START_STATE, PLAN_JOINT_LIMIT, PLAN_VELOCITY, PLAN_ACCELERATION,
                PLAN_WORKSPACE or PLAN_COLLISION, with segment, time and numbers.
        """
        expected, tolerance = np.asarray(q_now, float), self.limits.start_rad
        for segment in plan.segments:
            if segment.trajectory is None:
                continue
            self._check_start(segment, expected, tolerance)
            self._check_rates(segment.name, segment.trajectory)
            self._check_space(segment, plan, scene)
            expected, tolerance = segment.trajectory.position[-1], self.limits.between_rad

    def _check_start(self, segment: Segment, expected: Array, tolerance: float) -> None:
        trajectory = segment.trajectory
        assert trajectory is not None
        if trajectory.joint_names != self.joint_names:
            raise ExecutionError(
                Code.PLAN_START_STATE,
                f"'{segment.name}' moves joints {', '.join(trajectory.joint_names)}, "
                f"the arm has {', '.join(self.joint_names)}",
            )
        arrays = (trajectory.time_s, trajectory.position, trajectory.velocity)
        if not all(np.isfinite(a).all() for a in arrays) or (np.diff(trajectory.time_s) <= 0).any():
            raise ExecutionError(
                Code.PLAN_START_STATE,
                f"'{segment.name}' has points without a number or out of order",
            )
        away = np.abs(trajectory.position[0] - expected)
        if away.max() > tolerance:
            worst = int(np.argmax(away))
            raise ExecutionError(
                Code.PLAN_START_STATE,
                f"'{segment.name}' starts with {self.joint_names[worst]} at "
                f"{trajectory.position[0, worst]:.3f} rad, the arm is at {expected[worst]:.3f} rad "
                f"({away[worst]:.3f} apart, {tolerance:.3f} allowed)",
            )

    def _check_rates(self, name: str, trajectory: JointTrajectory) -> None:
        slack = 1.0 + self.limits.rate_share
        lower = np.array([j["lower"] for j in self._moving])
        upper = np.array([j["upper"] for j in self._moving])
        speed = np.array([j["velocity"] for j in self._moving])
        time, q = trajectory.time_s, trajectory.position
        step = np.diff(time)[:, None]
        # what is claimed and what the positions really do
        rate = np.maximum(
            np.abs(trajectory.velocity), np.abs(np.gradient(q, time, axis=0)) if len(q) > 2 else 0.0
        )
        hop = np.abs(np.diff(q, axis=0)) / step
        change = np.abs(np.diff(trajectory.velocity, axis=0)) / step
        bend = np.maximum(np.abs(trajectory.acceleration), np.concatenate([change, change[-1:]]))
        outside = np.maximum(lower - q, q - upper)
        for code, values, limit, unit in (
            (Code.PLAN_JOINT_LIMIT, outside, np.full(len(lower), 1e-6), "rad outside"),
            (Code.PLAN_VELOCITY, rate, speed * slack, "rad/s"),
            (Code.PLAN_VELOCITY, hop, speed * slack, "rad/s"),
            (Code.PLAN_ACCELERATION, bend, self.settings.acceleration * slack, "rad/s^2"),
        ):
            row, joint = np.unravel_index(int(np.argmax(values / np.abs(limit))), values.shape)
            if values[row, joint] > limit[joint]:
                raise ExecutionError(
                    code,
                    f"'{name}' at {time[row]:.2f} s: {self.joint_names[joint]} has "
                    f"{values[row, joint]:.3f} {unit}, allowed {limit[joint]:.3f}",
                )
        ends = np.abs(trajectory.velocity[[0, -1]])
        if ends.max() > 0.02:
            raise ExecutionError(
                Code.PLAN_VELOCITY,
                f"'{name}' begins or ends with {ends.max():.2f} rad/s, not at rest",
            )

    def _check_space(self, segment: Segment, plan: ExecutionPlan, scene: CollisionScene) -> None:
        trajectory = segment.trajectory
        assert trajectory is not None
        q, time = _dense(trajectory, self.limits.step_rad)
        balls, radius, owner, T_tcp = self._balls(q, segment.opening_m)
        free = owner > 1  # the first link turns on the bolted base, inside what stands behind it
        low, high = self.settings.workspace_min, self.settings.workspace_max
        reach = np.maximum(low - balls, balls - high)[:, free].max(axis=2)
        self._raise_if(
            Code.PLAN_WORKSPACE,
            segment,
            time,
            reach,
            0.02,
            "part of the arm is {:.0f} mm outside the workspace",
        )
        height = scene.support.height(balls) - radius
        self._raise_if(
            Code.PLAN_COLLISION,
            segment,
            time,
            -height[:, free],
            self.limits.touch_m,
            "the arm is {:.0f} mm inside the support",
        )
        for item in scene.obstacles:
            gap = surface_gap(item, balls) - radius
            self._raise_if(
                Code.PLAN_COLLISION,
                segment,
                time,
                -gap[:, free],
                self.limits.touch_m,
                "the arm is {:.0f} mm inside " + item.name,
            )
        self._check_self(segment, time, balls, radius, owner)
        if segment.contact == Contact.CARRIED:
            self._check_carried(segment, plan, scene, time, T_tcp)
        elif segment.contact == Contact.NONE and len(plan.object_points):
            points = plan.object_points
            if segment.phase > Phase.CARRY:
                last = plan.T_base_obj[-1]
                points = points @ last[:3, :3].T + last[:3, 3]
            tree = cKDTree(points)
            gripper = owner == len(self._moving)
            gap = (
                tree.query(balls[:, gripper].reshape(-1, 3))[0].reshape(len(q), -1)
                - radius[gripper]
            )
            self._raise_if(
                Code.PLAN_COLLISION,
                segment,
                time,
                -gap,
                -self.limits.target_clear_m,
                "the gripper is {:.0f} mm inside the object",
            )

    def _check_carried(
        self,
        segment: Segment,
        plan: ExecutionPlan,
        scene: CollisionScene,
        time: Array,
        T_tcp: Array,
    ) -> None:
        if not len(plan.object_points):
            return
        T_tcp_base = np.linalg.inv(plan.grasp.T_planning_tcp)
        held = plan.object_points @ T_tcp_base[:3, :3].T + T_tcp_base[:3, 3]
        points = np.einsum("sij,pj->spi", T_tcp[:, :3, :3], held) + T_tcp[:, None, :3, 3]
        away = np.linalg.norm(points.mean(axis=1) - points[-1].mean(axis=0), axis=1)
        free = away > self.limits.place_radius_m
        depth = -scene.support.height(points)
        self._raise_if(
            Code.PLAN_COLLISION,
            segment,
            time,
            depth,
            self.limits.support_touch_m,
            "the object is {:.0f} mm inside the support",
        )
        for item in scene.obstacles:
            depth = -surface_gap(item, points)
            if item.name.startswith("reference"):
                depth = np.where(free[:, None], depth, -1.0)
            self._raise_if(
                Code.PLAN_COLLISION,
                segment,
                time,
                depth,
                self.limits.carried_touch_m,
                "the object is {:.0f} mm inside " + item.name,
            )

    def _check_self(
        self, segment: Segment, time: Array, balls: Array, radius: Array, owner: NDArray[np.int_]
    ) -> None:
        i, j = np.triu_indices(len(radius), 1)
        apart = np.abs(owner[i] - owner[j]) >= 3
        i, j = i[apart], j[apart]
        for start in range(0, len(balls), 64):  # bounds the memory
            part = balls[start : start + 64]
            gap = np.linalg.norm(part[:, i] - part[:, j], axis=2) - radius[i] - radius[j]
            self._raise_if(
                Code.PLAN_COLLISION,
                segment,
                time[start : start + 64],
                -gap,
                0.005,
                "two parts of the arm are {:.0f} mm inside each other",
            )

    def _raise_if(
        self, code: Code, segment: Segment, time: Array, depth: Array, allowed: float, text: str
    ) -> None:
        if depth.size and depth.max() > allowed:
            row = int(np.argmax(depth.max(axis=1)))
            raise ExecutionError(
                code,
                f"'{segment.name}' at {time[row]:.2f} s: {text.format(1e3 * depth.max())} "
                f"({1e3 * allowed:.0f} mm allowed)",
                {
                    "segment": segment.name,
                    "time_s": float(time[row]),
                    "depth_m": float(depth.max()),
                },
            )

    def _balls(self, q: Array, opening_m: float) -> tuple[Array, Array, NDArray[np.int_], Array]:
        """Centres (S, P, 3), radii (P,), moving joints before each (P,), TCP poses (S, 4, 4)."""
        turn, place = Rotation.identity(len(q)), np.zeros((len(q), 3))
        centres, radii, owners, moved = [], [], [], 0

        def add(capsules: Array, turn: Rotation, place: Array) -> None:
            for row in capsules:
                count = int(np.ceil(np.linalg.norm(row[3:6] - row[:3]) / 0.02)) + 1
                for share in np.linspace(0, 1, count):
                    centres.append(turn.apply(row[:3] + share * (row[3:6] - row[:3])) + place)
                    radii.append(row[6])
                    owners.append(moved)

        add(self.settings.capsules.get(self.settings.base_link, np.zeros((0, 7))), turn, place)
        for joint in self._joints:
            place = place + turn.apply(joint["xyz"])
            turn = turn * Rotation.from_euler("xyz", joint["rpy"])
            if joint["kind"] == "prismatic":
                place = place + turn.apply(q[:, moved, None] * joint["axis"])
                moved += 1
            elif joint["kind"] != "fixed":
                turn = turn * Rotation.from_rotvec(q[:, moved, None] * joint["axis"])
                moved += 1
            add(self.settings.capsules.get(joint["child"], np.zeros((0, 7))), turn, place)
        T_tip_tcp = self.settings.T_tip_tcp
        place = place + turn.apply(T_tip_tcp[:3, 3])
        turn = turn * Rotation.from_matrix(T_tip_tcp[:3, :3])
        add(self.settings.gripper.capsules(opening_m), turn, place)
        T_tcp = np.tile(np.eye(4), (len(q), 1, 1))
        T_tcp[:, :3, :3], T_tcp[:, :3, 3] = turn.as_matrix(), place
        return np.stack(centres, axis=1), np.array(radii), np.array(owners), T_tcp


def _dense(trajectory: JointTrajectory, step_rad: float) -> tuple[Array, Array]:
    """Configurations no farther apart than `step_rad`, with their times."""
    q, time = trajectory.position, trajectory.time_s
    travel = np.concatenate([[0], np.cumsum(np.abs(np.diff(q, axis=0)).max(axis=1))])
    count = max(2, int(np.ceil(travel[-1] / step_rad)) + 1)
    at = np.linspace(0, travel[-1], count)
    travel = travel + np.arange(len(travel)) * 1e-12  # where it stands still
    dense = np.stack([np.interp(at, travel, q[:, k]) for k in range(q.shape[1])], axis=1)
    return dense, np.interp(at, travel, time)


def _read_chain(urdf_text: str, base: str, tip: str) -> list[dict[str, Any]]:
    """Joints from base to tip, as plain numbers."""
    parents: dict[str, dict[str, Any]] = {}
    for element in ET.fromstring(urdf_text).iter("joint"):
        if element.find("child") is None:
            continue  # a joint in a transmission or a ros2_control block
        place, limit, axis = element.find("origin"), element.find("limit"), element.find("axis")
        place = ET.Element("origin") if place is None else place
        limit = ET.Element("limit") if limit is None else limit
        direction = np.array(
            (axis.get("xyz", "1 0 0") if axis is not None else "1 0 0").split(), float
        )
        child = element.find("child").get("link")  # type: ignore[union-attr]
        parents[str(child)] = {
            "name": str(element.get("name")),
            "kind": str(element.get("type")),
            "child": str(child),
            "parent": element.find("parent").get("link"),  # type: ignore[union-attr]
            "xyz": np.array(place.get("xyz", "0 0 0").split(), float),
            "rpy": np.array(place.get("rpy", "0 0 0").split(), float),
            "axis": direction / np.linalg.norm(direction),
            "lower": float(limit.get("lower", "-inf")),
            "upper": float(limit.get("upper", "inf")),
            "velocity": float(limit.get("velocity", "0")),
        }
    chain: list[dict[str, Any]] = []
    while tip != base:
        if tip not in parents:
            raise ExecutionError(
                Code.PLAN_START_STATE, f"robot description: no chain from '{base}' to '{tip}'"
            )
        chain.insert(0, parents[tip])
        tip = parents[tip]["parent"]
    return chain
