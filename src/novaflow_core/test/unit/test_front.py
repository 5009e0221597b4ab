"""The front of a chest, from points as a camera sees them."""

from __future__ import annotations

import numpy as np
import pytest

from novaflow_core import se3
from novaflow_core.errors import Code, PerceptionError
from novaflow_core.front import find_front
from novaflow_core.scene import Plane

TABLE = Plane(np.array([0.0, 0.0, 1.0]), 0.0)
EYE = np.array([1.0, 0.1, 0.6])


def chest(
    yaw_deg: float, *, handle: bool = True, body: bool = True, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Noisy visible points of a chest whose front looks along `yaw_deg`, and that direction."""
    random = np.random.default_rng(seed)
    face = random.uniform([0.08, -0.1, 0.006], [0.08, 0.1, 0.11], (1500, 3))
    bar = random.uniform([0.118, -0.06, 0.08], [0.126, 0.06, 0.09], (200, 3))
    top = random.uniform([-0.08, -0.1, 0.11], [0.08, 0.1, 0.11], (1500, 3))
    side = random.uniform([-0.08, 0.1, 0.0], [0.08, 0.1, 0.11], (800, 3))
    points = np.concatenate([face, *([bar] if handle else []), *([top, side] if body else [])])
    turn = se3.exp_so3(np.radians([0.0, 0.0, yaw_deg]))
    points = points @ turn.T + [0.4, -0.05, 0.0] + 0.002 * random.standard_normal(points.shape)
    return points, turn[:, 0]


@pytest.mark.parametrize("yaw_deg", [-40.0, -11.0, 0.0, 23.0, 45.0])
@pytest.mark.parametrize("body", [True, False])
def test_the_front_is_found_with_its_normal(yaw_deg: float, body: bool) -> None:
    points, out = chest(yaw_deg, body=body)
    front = find_front(points, TABLE, EYE)
    assert np.degrees(np.arccos(min(front.normal @ out, 1.0))) < 1.0
    assert np.ptp(front.span) == pytest.approx(0.2, abs=0.01)
    handle = front.is_handle(points)
    assert handle[1500:1700].mean() > 0.95
    assert front.is_face(points)[:1500].mean() > 0.95


def test_the_handle_tells_the_outside_where_the_viewer_is_not_known() -> None:
    points, out = chest(20.0, body=False)
    assert find_front(points, TABLE).normal @ out > 0.99


def test_a_face_without_a_handle_is_no_front() -> None:
    points, _ = chest(20.0, handle=False)
    with pytest.raises(PerceptionError) as error:
        find_front(points, TABLE, EYE, Code.TARGET_LOST)
    assert error.value.code is Code.TARGET_LOST
    assert "handle" in error.value.reason
