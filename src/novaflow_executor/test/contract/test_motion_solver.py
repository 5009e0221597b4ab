"""What every backend of the stage `motion` must do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from novaflow_core import se3
from novaflow_core.errors import Code, PlatformError
from novaflow_core.obstacles import Box, Capsule, Sphere
from novaflow_core.registry import backend_names, load_backend
from novaflow_executor.core import ik
from novaflow_executor.core.collision import CollisionModel
from novaflow_executor.core.follow_cost import linearise
from novaflow_executor.core.motion import FollowProblem, FollowWeights

STEPS = 41


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(name, marks=pytest.mark.slow) if name == "pyroki" else name
        for name in sorted({"banded_lm", "trajopt", *backend_names("motion")})
    ],
)
def solver(request, robot):
    factory = load_backend("motion", request.param)
    try:
        return factory(robot)
    except PlatformError as error:
        if request.param == "pyroki" and error.code == Code.UNAVAILABLE:
            pytest.skip(error.reason)  # it is optional; a kernel that is not built is a failure
        raise


def arc(lift: float = 0.2, yaw: float = 0.4):
    s = np.linspace(0, 1, STEPS)
    place = np.stack([0.48 + 0.03 * s, -0.22 + 0.45 * s, 0.12 + lift * np.sin(np.pi * s)], 1)
    turn = se3.exp_so3(np.stack([0 * s, 0 * s, yaw * s], 1)) @ np.diag([1.0, -1.0, -1.0])
    return se3.from_rt(turn, place)


def problem(robot, scene, poses=None, opening=0.04):
    poses = arc() if poses is None else poses
    ends = ik.solve(robot, poses[[0, -1]])
    assert ends.found.all()
    return FollowProblem(poses, ends.q[0], ends.q[1], CollisionModel(robot, scene, opening))


def line(p):
    return p.q_start + np.linspace(0, 1, STEPS)[:, None] * (p.q_end - p.q_start)


def test_follows_a_free_flow(solver, robot, make_scene):
    solution = solver.solve(problem(robot, make_scene()))
    assert solution.position_error_m.max() < 2e-3
    assert solution.orientation_error_rad.max() < 0.02
    assert np.abs(robot.limits.violation(solution.q)).max() < 1e-3
    reached = robot.tcp(solution.q)[:, :3, 3]
    assert np.linalg.norm(reached - arc()[:, :3, 3], axis=1).max() < 2e-3


def test_cost_is_below_the_first_guess(solver, robot, make_scene):
    p = problem(robot, make_scene())
    before = linearise(robot, [p], line(p)[None]).cost[0]
    solution = solver.solve(p)
    after = linearise(robot, [p], solution.q[None])
    assert after.cost[0] < 0.2 * before
    assert after.cost[0] == pytest.approx(solution.cost, rel=1e-6)
    assert (
        np.abs(after.gradient).max()
        < 0.05 * np.abs(linearise(robot, [p], line(p)[None]).gradient).max()
    )


PLACE, ASIDE = np.array([0.495, 0.0, 0.27]), np.array([0.04, 0.0, 0.0])
SOLIDS = {
    "box": Box("other_1", se3.from_rt(np.eye(3), PLACE), np.full(3, 0.05)),
    "sphere": Sphere("other_1", PLACE, 0.03),
    "upright capsule": Capsule("other_1", PLACE * [1, 1, 0], PLACE, 0.035),
    "lying capsule": Capsule("other_1", PLACE - ASIDE, PLACE + ASIDE, 0.025),
}


@pytest.mark.parametrize("kind", SOLIDS)
def test_gives_way_to_an_obstacle(solver, robot, make_scene, kind):
    scene = replace(make_scene(), obstacles=(SOLIDS[kind],))
    blind, aware = (
        solver.solve(problem(robot, make_scene())),
        solver.solve(replace(problem(robot, scene), weights=FollowWeights(collision=150))),
    )
    model = CollisionModel(robot, scene, 0.04)
    assert model.clearance(aware.q).min() > model.clearance(blind.q).min() + 4e-3


def test_stays_within_joint_limits(solver, robot, make_scene):
    poses = arc(yaw=3.0)  # turns the last joint to its end
    solution = solver.solve(problem(robot, make_scene(), poses))
    assert np.abs(robot.limits.violation(solution.q)).max() < robot.settings.limit_margin


def test_batch_equals_single(solver, robot, make_scene):
    scenes = (make_scene(), make_scene(("other_1", (0.5, 0.0, 0.1), (0.1, 0.1, 0.2))))
    problems = [problem(robot, scene) for scene in scenes]
    together = solver.solve_batch(problems)
    for p, solution in zip(problems, together, strict=True):
        assert np.allclose(solver.solve(p).q, solution.q, atol=1e-9)
    assert solver.solve_batch([]) == []


def test_same_question_same_answer(solver, robot, make_scene):
    p = problem(robot, make_scene())
    assert np.array_equal(solver.solve(p).q, solver.solve(p).q)


def test_turned_base_gives_the_same_tracking(solver, robot, make_scene):
    turn = se3.from_rt(se3.exp_so3([0, 0, 0.5]), np.zeros(3))
    first = solver.solve(problem(robot, make_scene()))
    again = solver.solve(problem(robot, make_scene(), turn @ arc()))
    assert again.position_error_m.max() == pytest.approx(first.position_error_m.max(), abs=1e-3)
