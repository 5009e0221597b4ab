"""Grasps in the simulator are solid: a scripted pick by truth does not slip, a stop does not drop.

Inverse kinematics here is a few damped least-squares steps on the core's own kinematics.
"""

from collections.abc import Callable

import numpy as np
import pytest

from novaflow_core.se3 import exp_so3, from_rt, inverse, log_so3
from novaflow_sim.backends.cell import Cell
from novaflow_sim.core import objects, scoring
from novaflow_sim.core import robot_model as robot
from novaflow_sim.core.arm_controller import Outcome
from novaflow_sim.core.gripper_controller import GripOutcome
from novaflow_sim.core.joint_path import JointPath

pytestmark = pytest.mark.slow
STEPS = 5


def tcp_at(q: np.ndarray) -> np.ndarray:
    return robot.link_poses(q)[8] @ robot.tcp_on_flange()


def solve(T_base_tcp: np.ndarray, q: np.ndarray) -> np.ndarray:
    for _ in range(100):
        links, T = robot.link_poses(q), tcp_at(q)
        error = np.concatenate(
            [T_base_tcp[:3, 3] - T[:3, 3], log_so3(T_base_tcp[:3, :3] @ T[:3, :3].T)]
        )
        if np.linalg.norm(error) < 1e-5:
            return q
        axes, origins = links[1:8, :3, 2], links[1:8, :3, 3]
        jacobian = np.concatenate([np.cross(axes, T[:3, 3] - origins).T, axes.T])
        step = jacobian.T @ np.linalg.solve(jacobian @ jacobian.T + 1e-4 * np.eye(6), error)
        q = np.clip(q + step, robot.POSITION_LOW_RAD, robot.POSITION_HIGH_RAD)
    raise AssertionError("no inverse kinematics")


def move(cell: Cell, position: np.ndarray, yaw: float, seconds: float) -> None:
    """Straight line of the TCP, pointing down, slow at both ends."""
    c, s = np.cos(yaw), np.sin(yaw)
    goal = from_rt([[c, s, 0], [s, -c, 0], [0, 0, -1]], position)
    q = cell.arm.command.position
    start = tcp_at(q)
    turn = log_so3(start[:3, :3].T @ goal[:3, :3])
    times, points = np.linspace(0, seconds, 41), [q]
    for t in times[1:] / seconds:
        share = t**3 * (10 - 15 * t + 6 * t**2)
        between = start[:3, 3] + share * (goal[:3, 3] - start[:3, 3])
        q = solve(from_rt(start[:3, :3] @ exp_so3(share * turn), between), q)
        points.append(q)
    velocity = np.gradient(np.array(points), times, axis=0)
    velocity[0] = velocity[-1] = 0.0
    trajectory = cell.arm.follow(JointPath(times, np.array(points), velocity), cell.time_s)
    while not trajectory.done.is_set():
        cell.advance(STEPS)
    assert trajectory.outcome == Outcome.SUCCEEDED, trajectory.reason


def close(cell: Cell, position: float) -> GripOutcome:
    goal = cell.gripper.close_to(position, 0.0, cell.time_s)
    while not goal.done.is_set():
        cell.advance(STEPS)
    return goal.outcome


def in_hand(cell: Cell, name: str) -> np.ndarray:
    return inverse(cell.tcp()) @ cell.truth().poses[name]


def slip_m(before: np.ndarray, after: np.ndarray) -> float:
    return float(np.linalg.norm(after[:3, 3] - before[:3, 3]))


def nearest_yaw(yaw: float) -> float:
    """The same closing direction within a quarter turn of the home pose's, which is -90 degrees."""
    return yaw - np.pi * np.ceil((yaw - 1e-9) / np.pi)


def cup_grasp(T_base_cup: np.ndarray) -> tuple[np.ndarray, float]:
    """Offset from the cup's origin and yaw: over the rim at the side where the handle is not."""
    handle = np.arctan2(T_base_cup[1, 0], T_base_cup[0, 0])
    sides = [a for a in np.linspace(0, 2 * np.pi, 36) if np.cos(a - handle) < 0.7]
    angle = min(sides, key=lambda a: abs(np.cos(a)))
    radius = objects.MUG_RADIUS_M - objects.MUG_WALL_M / 2
    return np.array([radius * np.cos(angle), radius * np.sin(angle), 0.078]), nearest_yaw(angle)


def block_grasp(T_base_block: np.ndarray) -> tuple[np.ndarray, float]:
    yaw = np.arctan2(T_base_block[1, 0], T_base_block[0, 0])
    best = min((nearest_yaw(yaw + k * np.pi / 2) for k in (0, 1)), key=lambda a: abs(np.cos(a)))
    return np.array([0.0, 0.0, 0.010]), best


@pytest.mark.parametrize(
    ("task", "grasp", "lowering_m"), [("cup", cup_grasp, 0.006), ("insert", block_grasp, 0.012)]
)
def test_pick_hold_stop_and_place(
    task: str, grasp: Callable[[np.ndarray], tuple[np.ndarray, float]], lowering_m: float
) -> None:
    cell = Cell(task, 1000)
    cell.advance(200)
    cast = objects.TASKS[task]
    target, goal = (cell.truth().poses[p.name] for p in (cast.target, cast.reference))
    offset, yaw = grasp(target)
    up = np.array([0.0, 0.0, 0.13])
    pick = target[:3, 3] + offset
    move(cell, pick + up, yaw, 2.0)
    move(cell, pick, yaw, 1.5)
    assert close(cell, robot.GRIPPER_CLOSED_RAD) == GripOutcome.STALLED
    gripped = in_hand(cell, cast.target.name)
    move(cell, pick + up, yaw, 1.5)
    lifted = in_hand(cell, cast.target.name)
    assert slip_m(gripped, lifted) < 0.001
    cell.advance(1000)
    assert slip_m(lifted, in_hand(cell, cast.target.name)) < 0.0005

    stop_from_full_swing(cell)
    assert slip_m(lifted, in_hand(cell, cast.target.name)) < 0.0015

    turn = 0.0
    if task == "insert":
        turn = (np.arctan2(goal[1, 0], goal[0, 0]) - np.arctan2(target[1, 0], target[0, 0])) % (
            np.pi / 2
        )
    place = goal[:3, 3] + exp_so3([0, 0, turn]) @ offset + [0, 0, target[2, 3] + lowering_m]
    move(cell, place + up, yaw + turn, 2.5)
    move(cell, place, yaw + turn, 1.5)
    close(cell, 0.3)
    move(cell, place + up, yaw + turn, 1.5)
    verdict = scoring.score(task, cell.truth())
    assert verdict.success, (verdict.failed, verdict.numbers)


def test_what_is_held_beside_its_middle_does_not_creep() -> None:
    cell = Cell("insert", 1000)
    cell.advance(200)
    block = objects.TASKS["insert"].target.name
    target = cell.truth().poses[block]
    offset, yaw = block_grasp(target)
    beside = 0.009 * np.array([-np.sin(yaw), np.cos(yaw), 0.0])
    pick, up = target[:3, 3] + offset + beside, np.array([0.0, 0.0, 0.13])
    move(cell, pick + up, yaw, 2.0)
    move(cell, pick, yaw, 1.5)
    assert close(cell, robot.GRIPPER_CLOSED_RAD) == GripOutcome.STALLED
    move(cell, pick + up, yaw, 1.5)
    cell.advance(250)
    held = in_hand(cell, block)
    cell.advance(4000)
    turned = np.linalg.norm(log_so3(held[:3, :3].T @ in_hand(cell, block)[:3, :3]))
    assert np.degrees(turned) < 0.1  # in 8 s


def stop_from_full_swing(cell: Cell) -> None:
    """Cancel a swing of the first joint in mid-course, within the limit, and go back."""
    q = cell.arm.command.position
    away = q + np.eye(7)[0] * 0.8 * -np.sign(q[0])
    still = np.zeros((2, 7))
    swing = cell.arm.follow(
        JointPath(np.array([0.0, 1.0]), np.stack([q, away]), still, still), cell.time_s
    )
    cell.advance(250)
    assert abs(cell.arm.command.velocity[0]) > 1.0
    cell.arm.cancel(swing)
    speeds = np.array([cell.advance(1).velocity[:7] for _ in range(250)])
    deceleration = np.abs(speeds[10:] - speeds[:-10]) / (10 * 0.002)
    assert deceleration.max() < 10.5
    assert np.abs(speeds[-1]).max() < 0.01
    back = cell.arm.follow(
        JointPath(np.array([0.0, 1.5]), np.stack([cell.arm.command.position, q]), still, still),
        cell.time_s,
    )
    while not back.done.is_set():
        cell.advance(STEPS)
