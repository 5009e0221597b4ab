from __future__ import annotations

import numpy as np
import pytest

from novaflow_executor.core.timing import TimingLimits, joined, time_path


def wave(robot, count=41):
    s = np.linspace(0, 1, count)[:, None]
    return robot.home + np.sin(2 * np.pi * s * [0.5, 1, 0.5, 1, 0.5, 1, 0.5]) * 0.3


@pytest.mark.parametrize("speed", [0.2, 1.0])
@pytest.mark.parametrize("shape", ["line", "wave", "noisy"])
def test_limits_are_kept_and_both_ends_rest(robot, speed, shape):
    path = {
        "line": np.stack([robot.home, robot.home + 0.8]),
        "wave": wave(robot),
        "noisy": wave(robot) + np.random.default_rng(0).normal(0, 0.004, (41, 7)),
    }[shape]
    out = time_path(robot, path, TimingLimits(speed=speed, tcp_m_s=2.0))
    assert np.abs(out.velocity / robot.limits.velocity).max() <= speed + 1e-9
    assert np.abs(out.acceleration / robot.limits.acceleration).max() <= speed + 1e-9
    assert np.abs(out.velocity[[0, -1]]).max() < 1e-6
    assert np.allclose(out.position[0], path[0])
    assert np.allclose(out.position[-1], path[-1])
    assert (np.diff(out.time_s) > 0).all()


def test_claims_agree_with_the_positions(robot):
    out = time_path(robot, wave(robot), TimingLimits(period_s=0.005))
    velocity = np.gradient(out.position, out.time_s, axis=0)
    assert np.abs(velocity - out.velocity)[2:-2].max() < 0.03
    acceleration = np.gradient(out.velocity, out.time_s, axis=0)
    assert np.abs(acceleration - out.acceleration)[2:-2].max() < 0.5


def test_speed_of_the_tcp_is_kept_and_lower_at_the_end(robot):
    out = time_path(robot, wave(robot)[:21], TimingLimits(1.0, 0.2, 0.05, 0.03, 0.01))
    tcp = robot.tcp(out.position)[:, :3, 3]
    speed = np.linalg.norm(np.diff(tcp, axis=0), axis=1) / np.diff(out.time_s)
    to_go = np.linalg.norm(tcp[:-1] - tcp[-1], axis=1)
    assert speed.max() < 0.21
    assert speed.max() > 0.15
    assert speed[to_go < 0.025].max() < 0.06


def test_path_is_followed(robot):
    path = wave(robot)
    out = time_path(robot, path, TimingLimits())
    nearest = np.abs(out.position[:, None] - path[None]).max(axis=2).min(axis=0)
    assert nearest.max() < 0.02


def test_slower_is_slower(robot):
    path = wave(robot)
    fast, slow = (time_path(robot, path, TimingLimits(s, 5.0)).duration_s for s in (1.0, 0.25))
    assert slow > 1.9 * fast


def test_standing_still_is_a_trajectory_too(robot):
    out = time_path(robot, np.stack([robot.home, robot.home]), TimingLimits())
    assert out.duration_s > 0
    assert np.allclose(out.velocity, 0)


def test_joined_trajectories_go_on_where_the_last_one_ended(robot):
    a = time_path(robot, np.stack([robot.home, robot.home + 0.1]), TimingLimits())
    b = time_path(robot, np.stack([robot.home + 0.1, robot.home]), TimingLimits())
    both = joined([a, b])
    assert both.duration_s == pytest.approx(a.duration_s + b.duration_s)
    assert (np.diff(both.time_s) > 0).all()
    assert np.allclose(both.position[-1], robot.home)
