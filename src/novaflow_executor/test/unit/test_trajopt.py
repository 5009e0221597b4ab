"""The C++ kernel against its NumPy twin, and what must not change its answers."""

from __future__ import annotations

import builtins
import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novaflow_core import se3
from novaflow_core.errors import Code, ExecutionError, PlatformError
from novaflow_core.grounding import CollisionScene
from novaflow_core.obstacles import Box, Capsule, Sphere
from novaflow_core.scene import Plane
from novaflow_executor.backends.banded_lm import BandedLm
from novaflow_executor.backends.trajopt import Trajopt
from novaflow_executor.core.collision import Carried, CollisionModel
from novaflow_executor.core.follow_cost import linearise
from novaflow_executor.core.motion import FollowProblem, FollowWeights
from novaflow_executor.core.robot import RobotModel

WIDE = FollowWeights(margin_m=0.05)


@pytest.fixture(scope="module")
def kernel(robot):
    return Trajopt(robot)


@pytest.fixture(scope="module", params=["avx512", "avx2", "portable"])
def instruction_set(request):
    """Run a test on each instruction set that this machine has."""
    from novaflow_trajopt import library

    best = library.target()[0]
    if library.load().novaflow_trajopt_use_target(request.param.encode()):
        pytest.skip(f"this processor or build has no {request.param}")
    yield request.param
    library.load().novaflow_trajopt_use_target(best.encode())


def random_rotation(rng, *shape):
    return se3.exp_so3(rng.normal(0, 1.5, (*shape, 3)))


def cluttered(robot, seed=0, boxes=3, capsules=2, held=True):
    """Plane, boxes, capsules, a sphere and a held object; some of it touches the arm."""
    rng = np.random.default_rng(seed)
    placed = tuple(
        Box(f"box_{k}", se3.from_rt(random_rotation(rng), rng.uniform(-0.6, 0.6, 3)), size)
        for k, size in enumerate(rng.uniform(0.05, 0.4, (boxes, 3)))
    )
    ends = rng.uniform(-0.7, 0.7, (capsules, 2, 3))
    others: list = [Capsule(f"rod_{k}", *pair, 0.05) for k, pair in enumerate(ends)]
    others.append(Sphere("ball", rng.uniform(-0.6, 0.6, 3), 0.1))
    normal = random_rotation(rng)[:, 2]
    scene = CollisionScene("s", "base", Plane(normal, 0.4), (*placed, *others))
    spheres = Carried(rng.uniform(-0.05, 0.05, (9, 3)), 0.02, frozenset({"support", "box_0"}))
    return CollisionModel(robot, scene, 0.05, spheres if held else None)


def random_problem(robot, collision, steps, seed=0, weights=WIDE, spread=0.6):
    rng = np.random.default_rng(seed)
    q = robot.home + rng.normal(0, spread, (steps, robot.joint_count))
    poses = se3.from_rt(random_rotation(rng, steps), rng.uniform(-0.7, 0.7, (steps, 3)))
    return FollowProblem(poses, q[0], q[-1], collision, weights, q)


def smooth_problem(robot, collision, steps=41, seed=0, weights=None):
    """Poses along a joint path, so that they can be followed, started from the line."""
    rng = np.random.default_rng(seed)
    share = np.linspace(0, 1, steps)[:, None]
    a, b = robot.home + rng.uniform(-0.4, 0.4, (2, robot.joint_count))
    bend = rng.uniform(-0.2, 0.2, robot.joint_count) * np.sin(np.pi * share)
    poses = robot.tcp(a + share * (b - a) + bend)
    return FollowProblem(poses, a, b, collision, weights or FollowWeights())


def assert_equals_twin(robot, kernel, problem):
    twin = linearise(robot, [problem], problem.q_initial[None])
    cost, gradient, hessian = kernel.linearise(problem)
    assert cost == pytest.approx(twin.cost[0], rel=1e-12)
    scale = np.abs(twin.gradient).max()
    assert np.abs(gradient - twin.gradient[0]).max() < 1e-11 * scale
    assert np.abs(hessian - twin.hessian[0]).max() < 1e-11 * np.abs(twin.hessian).max()


def arm_of(settings, joints, seed):
    """A random serial arm with turning and sliding joints about any axes."""
    rng = np.random.default_rng(seed)
    parts = ['<robot name="arm"><link name="l0"/>']
    for i in range(1, joints + 1):
        kind = "prismatic" if rng.uniform() < 0.25 else "revolute"
        axis = np.eye(3)[rng.integers(3)] if rng.uniform() < 0.5 else rng.normal(0, 1, 3)
        xyz, rpy = rng.uniform(-0.25, 0.25, 3), rng.uniform(-2, 2, 3)
        parts.append(
            f'<link name="l{i}"/><joint name="j{i}" type="{kind}"><parent link="l{i - 1}"/>'
            f'<child link="l{i}"/><origin xyz="{xyz[0]} {xyz[1]} {xyz[2]}" '
            f'rpy="{rpy[0]} {rpy[1]} {rpy[2]}"/><axis xyz="{axis[0]} {axis[1]} {axis[2]}"/>'
            '<limit lower="-1" upper="1" velocity="2"/></joint>'
        )
    capsules = {f"l{i}": np.array([[*rng.uniform(-0.1, 0.1, 6), 0.04]]) for i in range(joints + 1)}
    mine = dataclasses.replace(
        settings,
        base_link="l0",
        tip_link=f"l{joints}",
        home=rng.uniform(-0.5, 0.5, joints),
        acceleration=np.full(joints, 5.0),
        jerk=np.full(joints, 50.0),
        capsules=capsules,
    )
    return RobotModel("".join(parts) + "</robot>", mine)


@pytest.mark.parametrize("seed", range(8))
def test_objective_equals_the_twin(robot, kernel, instruction_set, seed):
    problem = random_problem(robot, cluttered(robot, seed), 19, seed)
    assert_equals_twin(robot, kernel, problem)


@pytest.mark.parametrize("joints", [1, 2, 3, 5, 6, 8, 12])
def test_objective_equals_the_twin_for_any_serial_arm(settings, joints):
    arm = arm_of(settings, joints, seed=joints)
    problem = random_problem(arm, cluttered(arm, joints), 9, joints)
    assert_equals_twin(arm, Trajopt(arm), problem)


def test_gradient_equals_finite_differences(robot, kernel):
    # without boxes: a segment inside one is met by its middle, not by its deepest point
    problem = random_problem(robot, cluttered(robot, boxes=0, held=False), 3, 4, spread=0.2)
    # Residuals of orientation use a Jacobian that is cut off after the second order.
    weights = dataclasses.replace(problem.weights, orientation=0.0, end_orientation=0.0)
    problem = dataclasses.replace(problem, weights=weights)
    _, gradient, _ = kernel.linearise(problem)
    numeric = np.zeros_like(gradient)
    for index in np.ndindex(gradient.shape):
        d = np.zeros_like(gradient)
        d[index] = 1e-6
        plus, minus = (
            kernel.linearise(dataclasses.replace(problem, q_initial=problem.q_initial + s * d))[0]
            for s in (1, -1)
        )
        numeric[index] = (plus - minus) / 2e-6
    assert np.abs(gradient - numeric).max() < 1e-5 * np.abs(gradient).max()


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-4, 1.0, 2.6, 2.9, 3.1, np.pi - 1e-7])
def test_orientation_error_at_any_angle(robot, kernel, angle):
    rng = np.random.default_rng(3)
    axis = rng.normal(0, 1, (16, 3))
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    q = robot.home + rng.normal(0, 0.3, (16, 7))
    poses = robot.tcp(q)
    poses[:, :3, :3] = se3.exp_so3(angle * axis) @ poses[:, :3, :3]
    model = CollisionModel(robot, None, 0.05)
    problem = FollowProblem(poses, q[0], q[-1], model, WIDE, q)
    assert_equals_twin(robot, kernel, problem)


@pytest.mark.parametrize("steps", [1, 2, 3, 8, 41, 200])
def test_solution_equals_the_twin(robot, kernel, make_scene, steps):
    scene = make_scene(("other_1", (0.45, 0.1, 0.2), (0.1, 0.2, 0.4)))
    for seed in range(3):
        problem = smooth_problem(robot, CollisionModel(robot, scene, 0.04), steps, seed)
        mine, twin = kernel.solve(problem), BandedLm(robot).solve(problem)
        assert mine.cost == pytest.approx(twin.cost, rel=1e-9)
        assert np.abs(mine.q - twin.q).max() < 1e-6
        assert np.abs(mine.position_error_m - twin.position_error_m).max() < 1e-7
        assert np.abs(mine.orientation_error_rad - twin.orientation_error_rad).max() < 1e-6
        assert np.abs(mine.clearance_m - twin.clearance_m).max() < 1e-7


def test_clearance_equals_the_twin(robot, kernel, instruction_set):
    rng = np.random.default_rng(5)
    q = rng.uniform(robot.limits.lower, robot.limits.upper, (137, 7))
    for seed in range(4):
        model = cluttered(robot, seed)
        for cap in (0.002, 0.05, 0.5):
            assert np.abs(kernel.clearance(model, q, cap) - model.clearance(q, cap)).max() < 1e-9


@given(seed=st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_order_of_obstacles_does_not_matter(robot, kernel, seed):
    rng = np.random.default_rng(seed)
    boxes = [
        Box(f"b{k}", se3.from_rt(random_rotation(rng), rng.uniform(-0.5, 0.5, 3)), np.full(3, 0.2))
        for k in range(4)
    ]
    rods = [Capsule(f"c{k}", *rng.uniform(-0.5, 0.5, (2, 3)), 0.05) for k in range(3)]
    plane = Plane(np.array([0.0, 0.0, 1.0]), 0.0)
    costs = []
    for order in (slice(None), slice(None, None, -1)):
        scene = CollisionScene("s", "base", plane, (*boxes[order], *rods[order]))
        model = CollisionModel(robot, scene, 0.05)
        costs.append(kernel.linearise(random_problem(robot, model, 5, seed))[0])
    assert costs[0] == pytest.approx(costs[1], rel=1e-12)


def test_moving_the_whole_cell_moves_nothing_in_joint_space(urdf_text, settings, robot):
    T_world_base = se3.from_rt(se3.exp_so3([0.3, -0.2, 0.9]), [0.4, -0.7, 0.2])
    angles = [np.arctan2(T_world_base[2, 1], T_world_base[2, 2]), 0.0, 0.0]
    angles[1] = -np.arcsin(T_world_base[2, 0])
    angles[2] = np.arctan2(T_world_base[1, 0], T_world_base[0, 0])
    bolt = (
        '<link name="world"/><joint name="bolt" type="fixed"><parent link="world"/>'
        '<child link="fr3_link0"/><origin xyz="0.4 -0.7 0.2" '
        f'rpy="{angles[0]} {angles[1]} {angles[2]}"/></joint></robot>'
    )
    moved = RobotModel(
        urdf_text.replace("</robot>", bolt), dataclasses.replace(settings, base_link="world")
    )
    box = Box("b", se3.from_rt(np.eye(3), [0.45, 0.1, 0.2]), np.array([0.1, 0.2, 0.4]))
    plane = Plane(np.array([0.0, 0.0, 1.0]), 0.02)
    here = CollisionScene("s", "base", plane, (box,))
    normal = T_world_base[:3, :3] @ plane.normal
    there = CollisionScene(
        "s",
        "world",
        Plane(normal, plane.offset - float(normal @ T_world_base[:3, 3])),
        (dataclasses.replace(box, T_planning_box=T_world_base @ box.T_planning_box),),
    )
    problem = smooth_problem(robot, CollisionModel(robot, here, 0.04))
    again = dataclasses.replace(
        problem,
        T_base_tcp=T_world_base @ problem.T_base_tcp,
        collision=CollisionModel(moved, there, 0.04),
    )
    first, second = Trajopt(robot).solve(problem), Trajopt(moved).solve(again)
    assert np.abs(first.q - second.q).max() < 1e-6
    assert first.cost == pytest.approx(second.cost, rel=1e-9)


def test_threads_change_nothing(robot, make_scene):
    model = CollisionModel(robot, make_scene(), 0.04)
    problems = [smooth_problem(robot, model, 20, seed) for seed in range(7)]
    one, three = (Trajopt(robot, threads=n).solve_batch(problems) for n in (1, 3))
    assert all(np.array_equal(a.q, b.q) for a, b in zip(one, three, strict=True))


def test_replanning_from_the_solution_keeps_it(robot, make_scene):
    model = CollisionModel(robot, make_scene(), 0.04)
    problem = smooth_problem(robot, model)
    solver = Trajopt(robot, tolerance=1e-9)
    found = solver.solve(problem)
    again = solver.solve(dataclasses.replace(problem, q_initial=found.q))
    assert np.abs(again.q - found.q).max() < 1e-5
    assert again.iterations < found.iterations


def test_guess_that_is_not_finite_is_an_error(robot, kernel, make_scene):
    problem = smooth_problem(robot, CollisionModel(robot, make_scene(), 0.04))
    guess = np.zeros((41, 7))
    guess[3, 2] = np.nan
    with pytest.raises(ExecutionError) as error:
        kernel.solve(dataclasses.replace(problem, q_initial=guess))
    assert error.value.code == Code.OPTIMISATION_FAILED


def test_missing_package_names_the_fix(robot, monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name == "novaflow_trajopt":
            raise ModuleNotFoundError("No module named 'novaflow_trajopt'")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(PlatformError, match="novaflow setup") as error:
        Trajopt(robot)
    assert error.value.code == Code.UNAVAILABLE
