"""Where a thing is while it is hardly seen."""

import numpy as np
import pytest

from novaflow_core import se3
from novaflow_flowgen.core.motion_filter import MotionFilter, bridge

CENTRE = np.array([0.1, -0.05, 0.7])
SURE = np.diag([1e-3**2] * 3 + [0.01**2] * 3)


def motion(step, turn=0.02):
    """12 mm and `turn` a step, about the thing's centre."""
    rotation = se3.exp_so3(np.array([0.0, step * turn, 0.0]))
    at = CENTRE + step * np.array([0.012, 0.0, 0.0])
    return se3.from_rt(rotation, at - rotation @ CENTRE)


def off(a, b):
    shift = np.linalg.norm(se3.apply(a, CENTRE) - se3.apply(b, CENTRE))
    return shift, se3.rotation_angle(a[:3, :3].T @ b[:3, :3])


@pytest.fixture
def course():
    """After ten frames in which it was seen."""
    out = MotionFilter(CENTRE)
    for step in range(1, 11):
        out.predict()
        out.take(motion(step), SURE)
    return out


def test_it_goes_on_as_it_went(course):
    for step in range(11, 16):
        shift, turn = off(course.predict(), motion(step))
    assert shift < 0.005
    assert turn < 0.03


def test_a_leap_is_not_believed_until_much_may_have_happened(course):
    course.predict()
    leap = motion(11)
    leap[:3, 3] += [0.0, 0.0, 0.06]
    assert course.near(motion(11), SURE)
    assert not course.near(leap, SURE)
    for _ in range(4):
        course.predict()
    leap = motion(15)
    leap[:3, 3] += [0.0, 0.0, 0.06]
    assert course.near(leap, SURE)


def test_what_is_known_to_the_side_alone_leaves_the_distance_as_expected(course):
    expected = course.predict()
    blind = np.diag([1e-3**2, 1e-3**2, 0.5**2] + [0.01**2] * 3)
    found = motion(11)
    found[:3, 3] += [0.0, 0.008, 0.05]
    course.take(found, blind)
    shift = se3.apply(course.motion, CENTRE) - se3.apply(expected, CENTRE)
    assert shift[1] == pytest.approx(0.008, abs=0.001)
    assert abs(shift[2]) < 0.002


def test_poses_through_a_hidden_moment_end_where_it_was_seen_again():
    found = motion(5, turn=0.05)
    found[:3, 3] += [0.0, 0.01, 0.0]
    between = bridge([motion(step) for step in range(1, 6)], CENTRE, found)
    path = np.array([se3.apply(m, CENTRE) for m in [motion(1), *between, found]])
    assert len(between) == 3
    np.testing.assert_allclose(np.diff(path, axis=0), [[0.012, 0.0025, 0.0]] * 4, atol=1e-4)
