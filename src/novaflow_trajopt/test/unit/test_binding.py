from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

import novaflow_trajopt as nt
from novaflow_core.errors import Code, ExecutionError, NovaflowError, PlatformError, ShapeError

WEIGHTS = nt.Weights(100.0, 10.0, 15.0, 0.1, 50.0, 10.0, 200.0, 40.0, 0.02)


def planar_arm() -> nt.Arm:
    """Two links of half a metre that turn about z."""
    offset = np.repeat(np.eye(4)[None], 2, axis=0)
    offset[1, 0, 3] = 0.5
    tip = np.eye(4)
    tip[0, 3] = 0.5
    up = np.tile([0.0, 0.0, 1.0], (2, 1))
    return nt.Arm(
        offset, up, np.array([True, True]), np.full(2, -3.0), np.full(2, 3.0), np.zeros(2), tip
    )


def bodies(*obstacles: tuple[float, ...]) -> nt.Bodies:
    return nt.Bodies(
        frame=np.array([2]),
        capsule=np.array([[0.0, 0, 0, 0.5, 0, 0, 0.05]]),
        pair=np.zeros((0, 2), int),
        plane=None,
        T_box_base=np.zeros((0, 4, 4)),
        box_half=np.zeros((0, 3)),
        obstacle=np.array(obstacles, float).reshape(-1, 7),
        meets=np.ones((1, 1 + len(obstacles)), bool),
    )


def arc(steps: int = 20) -> nt.Problem:
    """The tip goes on a circle of radius 0.8 m about the base, facing along the last link."""
    fold = 2 * np.arccos(0.8)  # of the elbow, so that the tip is 0.8 m away
    turn = np.linspace(0.0, 1.0, steps)
    poses = np.repeat(np.eye(4)[None], steps, axis=0)
    angle = turn + fold / 2
    poses[:, 0, 0] = poses[:, 1, 1] = np.cos(angle)
    poses[:, 1, 0], poses[:, 0, 1] = np.sin(angle), -np.sin(angle)
    poses[:, 0, 3], poses[:, 1, 3] = 0.8 * np.cos(turn), 0.8 * np.sin(turn)
    first = np.array([-fold / 2, fold])
    model = nt.Model(planar_arm(), bodies())
    return nt.Problem(model, poses, first, first + np.array([1.0, 0.0]), WEIGHTS)


def test_follows_an_arc_exactly():
    (found,) = nt.follow([arc()])
    assert found.position_error_m.max() < 1e-3
    assert found.q[:, 0] == pytest.approx(np.linspace(0, 1, 20) + found.q[0, 0], abs=5e-3)
    assert found.clearance_m == pytest.approx(0.02)  # nothing near: capped at the margin


def test_sphere_in_the_way_is_kept_clear():
    centre = np.array([0.75 * np.cos(0.5), 0.75 * np.sin(0.5), 0.11])
    sphere = (*centre, *centre, 0.05)
    blocked = replace(arc(), model=nt.Model(planar_arm(), bodies(sphere)))
    (found,) = nt.follow([blocked])
    near = nt.clearance(blocked.model, found.q, 1.0)
    assert found.clearance_m == pytest.approx(np.minimum(near, 0.02), abs=1e-12)
    assert near.min() == pytest.approx(0.01, abs=5e-3)  # 11 cm less both radii; it cannot dive


def test_problems_of_different_length_go_together():
    problems = [arc(steps) for steps in (2, 41, 7)]
    together = nt.follow(problems, threads=2)
    for problem, found in zip(problems, together, strict=True):
        assert np.array_equal(nt.follow([problem])[0].q, found.q)
    assert nt.follow([]) == []


def test_solution_is_a_fixed_point_of_replanning():
    problem = arc()
    (found,) = nt.follow([problem], tolerance=1e-9)
    (again,) = nt.follow([replace(problem, q_initial=found.q)])
    assert again.iterations <= 2
    assert again.q == pytest.approx(found.q, abs=1e-6)


@pytest.mark.parametrize("name", ["T_base_tcp", "q_start", "q_end"])
def test_nan_is_refused_in_words(name):
    problem = arc()
    broken = getattr(problem, name).copy()
    broken.flat[1] = np.nan
    with pytest.raises(ExecutionError, match="not finite") as error:
        nt.follow([problem, replace(problem, **{name: broken})])
    assert error.value.code == Code.OPTIMISATION_FAILED
    assert "problem 2 of 2" in error.value.reason


def test_shapes_are_named():
    problem = arc()
    with pytest.raises(ShapeError, match=r"q_start is \(3,\), wanted is \(2,\)"):
        nt.follow([replace(problem, q_start=np.zeros(3))])
    with pytest.raises(ShapeError, match="T_base_tcp"):
        nt.follow([replace(problem, T_base_tcp=np.zeros((4, 3, 3)))])
    with pytest.raises(ShapeError, match="meets"):
        nt.Model(planar_arm(), replace(bodies(), meets=np.ones((1, 3))))
    with pytest.raises(ShapeError, match="q is"):
        nt.clearance(problem.model, np.zeros((4, 3)), 0.1)


def test_indices_and_weights_out_of_range_are_refused():
    for broken in (
        lambda: nt.Model(planar_arm(), replace(bodies(), frame=np.array([5]))),
        lambda: nt.Model(planar_arm(), replace(bodies(), pair=np.array([[0, 1]]))),
        lambda: nt.Model(replace(planar_arm(), axis=np.full((2, 3), 1.0)), bodies()),
        lambda: nt.follow([replace(arc(), weights=replace(WEIGHTS, margin_m=0.0))]),
        lambda: nt.follow([arc()], threads=0),
    ):
        with pytest.raises(PlatformError) as error:
            broken()
        assert error.value.code == Code.INVALID_SETTING


def test_path_without_any_pull_is_an_error_and_no_crash():
    nothing = replace(WEIGHTS, **dict.fromkeys(("smooth", "rest", "position", "end_position"), 0.0))
    with pytest.raises(NovaflowError, match="not positive definite"):
        nt.follow([replace(arc(), weights=replace(nothing, orientation=0.0, end_orientation=0.0))])


def test_missing_library_names_the_command_that_builds_it(tmp_path):
    script = "import novaflow_trajopt; novaflow_trajopt.instruction_set()"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "NOVAFLOW_TRAJOPT_LIBRARY": str(tmp_path / "nothing.so")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "UNAVAILABLE" in done.stderr
    assert "./novaflow setup" in done.stderr
