"""Does a motion open a drawer? Straight out, far enough, without jamming."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from novaflow_core import se3, toy_scene
from novaflow_core.errors import PerceptionError
from novaflow_core.motion_check import MotionJudge
from novaflow_core.task import Motion, ObjectPhrase, TaskSpec
from novaflow_core.toy_chest import BODY, toy_chest
from novaflow_core.toy_scene import EYE, TABLE

TASK = TaskSpec("open the drawer", Motion.OPEN, ObjectPhrase("the drawer", "drawer"))
POSE = se3.from_rt(se3.exp_so3([0, 0, 0.3]), [0.42, -0.05, 0.0])
OUT = POSE[:3, 0]


def front_points() -> np.ndarray:
    solids = toy_chest(POSE)
    view, labels = toy_scene.render(solids, noise_m=0.002)
    mask = (labels > 2) & (labels < 3 + list(solids).index("post_b"))
    points = view.points()[mask]
    return points[np.isfinite(points).all(axis=1)]


POINTS = front_points()


def judge(task: TaskSpec = TASK) -> MotionJudge:
    return MotionJudge(task, POINTS, None, TABLE, EYE)


def moved(way: np.ndarray, turn: tuple[float, float, float] = (0, 0, 0)) -> np.ndarray:
    middle, rotation = POINTS.mean(axis=0), se3.exp_so3(turn)
    return se3.from_rt(rotation, middle - rotation @ middle + way)


def test_straight_out_opens() -> None:
    check = judge().check(moved(0.11 * OUT))
    assert check.error_m <= 0
    assert "110 mm straight out" in check.reason


UP = np.array([0.0, 0.0, 1.0])


@pytest.mark.parametrize(
    "motion",
    [
        moved(0.0 * OUT),
        moved(0.06 * OUT),
        moved(-0.11 * OUT),
        moved(0.11 * (se3.exp_so3([0, 0, np.radians(25)]) @ OUT)),
        moved(0.11 * np.cross(UP, OUT)),
        moved(0.09 * OUT + 0.06 * UP),
        moved(0.11 * OUT, (0, 0, np.radians(15))),
    ],
    ids=["shut", "short", "inwards", "askew", "sideways", "upwards", "jammed"],
)
def test_other_motions_do_not(motion: np.ndarray) -> None:
    assert judge().check(motion).error_m > 0


def test_a_named_distance_decides() -> None:
    near = replace(TASK, distance_m=0.05)
    assert judge(near).check(moved(0.05 * OUT)).error_m <= 0
    assert judge(near).check(moved(0.02 * OUT)).error_m > 0


def test_what_has_no_handle_cannot_be_judged() -> None:
    view, labels = toy_scene.render({BODY: toy_chest(POSE)[BODY]})
    with pytest.raises(PerceptionError, match="handle"):
        MotionJudge(TASK, view.points()[labels == 2], None, TABLE, EYE)
