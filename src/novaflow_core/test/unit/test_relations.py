"""Relations and motions, judged from the front side that a camera sees."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from novaflow_core import se3, toy_scene
from novaflow_core.errors import Code, PerceptionError
from novaflow_core.motion_check import check_motion, check_rigid_motion
from novaflow_core.relations import check_relation, direction_vector, footprint_of
from novaflow_core.task import Direction, Motion, ObjectPhrase, Relation, TaskSpec
from novaflow_core.toy_scene import CAMERA, EYE, TABLE, Solid

CUP = Solid((0.08, 0.08, 0.095), is_round=True, wall=0.004)
PLATE = Solid((0.16, 0.16, 0.012), is_round=True)
BLOCK = Solid((0.04, 0.04, 0.07))
SOCKET = Solid((0.09, 0.09, 0.05), wall=0.022)
TOLERANCE_M = 0.006


def seen(solid: Solid) -> np.ndarray:
    """Points of one solid alone, as a camera that is cut to it sees them with noise."""
    u, v = CAMERA.project(se3.apply(se3.inverse(EYE), solid.T_base_solid[:3, 3]))
    window = replace(CAMERA, width=200, height=220, cx=CAMERA.cx - u + 100, cy=CAMERA.cy - v + 140)
    view, labels = toy_scene.render({"it": solid}, camera=window, noise_m=0.002)
    return view.points()[labels == 2]


def error(relation: Relation, target: Solid, reference: Solid) -> float:
    check = check_relation(relation, seen(target), seen(reference), TABLE, EYE)
    assert check.reason
    return check.error_m


@pytest.mark.parametrize("solid", [CUP, PLATE, BLOCK, SOCKET])
@pytest.mark.parametrize(("x", "y", "yaw"), [(0.45, 0.0, 0.0), (0.6, -0.2, 0.4), (0.4, 0.2, 0.8)])
def test_the_footprint_is_found_though_the_back_is_hidden(
    solid: Solid, x: float, y: float, yaw: float
) -> None:
    foot = footprint_of(seen(solid.at(x, y, 0, (0, 0, yaw))), TABLE, EYE)
    assert np.linalg.norm(foot.centre @ TABLE.basis() - [x, y, 0]) < 0.005
    assert foot.half.min() == pytest.approx(solid.size[0] / 2, abs=0.006)
    assert foot.top_m == pytest.approx(solid.size[2], abs=0.006)


def test_on() -> None:
    plate = PLATE.at(0.5, -0.1)
    assert error(Relation.ON, CUP.at(0.5, -0.1, 0.012), plate) < TOLERANCE_M
    assert error(Relation.ON, CUP.at(0.52, -0.095, 0.012), plate) < TOLERANCE_M
    assert error(Relation.ON, CUP.at(0.62, -0.1, 0.0), plate) > 0.02, "beside"
    assert error(Relation.ON, CUP.at(0.5, -0.1, 0.10), plate) > 0.05, "above"
    assert error(Relation.ON, CUP.at(0.585, -0.1, 0.012), plate) > 0.02, "on the edge"


def test_in() -> None:
    socket = SOCKET.at(0.45, 0.1, 0, (0, 0, 0.3))
    inside = BLOCK.at(0.45, 0.1, 0.022, (0, 0, 0.3))
    assert error(Relation.IN, inside, socket) < TOLERANCE_M
    assert error(Relation.IN, inside.at(0.45, 0.1, 0.05), socket) > 0.006, "on the rim"
    assert error(Relation.IN, inside.at(0.55, 0.1, 0.0), socket) > 0.03, "beside"
    assert error(Relation.IN, inside.at(0.45, 0.1, 0.15), socket) > 0.05, "above"


def test_over() -> None:
    plate = PLATE.at(0.5, -0.1)
    assert error(Relation.OVER, BLOCK.at(0.5, -0.1, 0.09), plate) < TOLERANCE_M
    assert error(Relation.OVER, BLOCK.at(0.5, -0.1, 0.012), plate) > TOLERANCE_M
    assert error(Relation.OVER, BLOCK.at(0.5, 0.05, 0.09), plate) > 0.03


@pytest.mark.parametrize(
    ("relation", "direction"),
    [
        (Relation.LEFT_OF, Direction.LEFT),
        (Relation.RIGHT_OF, Direction.RIGHT),
        (Relation.IN_FRONT_OF, Direction.TOWARD_CAMERA),
        (Relation.BEHIND, Direction.AWAY_FROM_CAMERA),
    ],
)
def test_sides(relation: Relation, direction: Direction) -> None:
    way = 0.12 * direction_vector(direction, EYE, TABLE)
    middle = np.array([0.5, 0.0])
    there, opposite = middle + way[:2], middle - way[:2]
    reference = CUP.at(*middle)
    assert error(relation, BLOCK.at(*there), reference) < TOLERANCE_M
    assert error(Relation.NEXT_TO, BLOCK.at(*there), reference) < TOLERANCE_M
    assert error(relation, BLOCK.at(*opposite), reference) > 0.1
    assert error(relation, BLOCK.at(*there, 0.1), reference) > 0.05, "in the air"
    far = middle + 2.5 * way[:2]
    assert error(relation, BLOCK.at(*far), reference) > 0.05, "far away"


def test_too_few_points_are_an_error() -> None:
    with pytest.raises(PerceptionError) as caught:
        check_relation(Relation.ON, np.zeros((5, 3)), seen(PLATE.at(0.5, 0)), TABLE, EYE)
    assert caught.value.code is Code.TARGET_LOST
    with pytest.raises(PerceptionError) as caught:
        check_relation(Relation.ON, seen(CUP.at(0.5, 0)), np.zeros((5, 3)), TABLE, EYE)
    assert caught.value.code is Code.REFERENCE_NOT_FOUND


TASK = TaskSpec("", Motion.MOVE, ObjectPhrase("the cup"))


def shifted(vector: np.ndarray, rotation: tuple[float, float, float] = (0, 0, 0)) -> np.ndarray:
    about = se3.from_rt(np.eye(3), [0.5, 0.0, 0.05])
    turn = se3.from_rt(se3.exp_so3(rotation), np.zeros(3))
    return se3.from_rt(np.eye(3), vector) @ about @ turn @ se3.inverse(about)


def judge(task: TaskSpec, motion: np.ndarray, reference: np.ndarray | None = None) -> float:
    return check_rigid_motion(task, seen(CUP.at(0.5, 0.0)), motion, reference, TABLE, EYE).error_m


@pytest.mark.parametrize("direction", list(Direction))
def test_directions(direction: Direction) -> None:
    task = replace(TASK, direction=direction)
    way = direction_vector(direction, EYE, TABLE)
    assert judge(task, shifted(0.1 * way)) < 0
    assert judge(task, shifted(-0.1 * way)) > 0.1
    assert judge(task, shifted(0.01 * way)) > 0, "too short"
    across = np.cross(way, TABLE.basis()[0])
    across = across if np.linalg.norm(across) > 0.3 else np.cross(way, TABLE.basis()[1])
    assert judge(task, shifted(0.1 * way + 0.1 * across / np.linalg.norm(across))) > 0.04


def test_named_distance() -> None:
    task = replace(TASK, direction=Direction.UP, distance_m=0.2)
    up = np.array([0.0, 0.0, 1.0])
    assert judge(task, shifted(0.2 * up)) < 0
    assert judge(task, shifted(0.1 * up)) > 0.03
    assert judge(replace(task, distance_m=0.02), shifted(0.02 * up)) < 0


def test_pushing_stays_on_the_support() -> None:
    task = replace(TASK, motion=Motion.PUSH, direction=Direction.LEFT)
    way = direction_vector(Direction.LEFT, EYE, TABLE)
    assert judge(task, shifted(0.1 * way)) < 0
    assert judge(task, shifted(0.1 * way + [0, 0, 0.03])) > 0.01


def test_turn_tilt_and_straighten() -> None:
    turn = replace(TASK, motion=Motion.TURN)
    assert judge(turn, shifted(np.zeros(3), (0, 0, 0.8))) < 0
    assert judge(turn, shifted(np.zeros(3), (0, 0, 0.1))) > 0
    assert judge(replace(turn, direction=Direction.RIGHT), shifted(np.zeros(3), (0, 0, 0.8))) > 0.05
    assert judge(turn, shifted(np.zeros(3), (0.8, 0, 0))) > 0.02
    tilt = replace(TASK, motion=Motion.TILT, direction=Direction.LEFT)
    left = direction_vector(Direction.LEFT, EYE, TABLE)
    axis = np.cross([0, 0, 1], left)
    assert judge(tilt, shifted(np.zeros(3), tuple(0.6 * axis))) < 0
    assert judge(tilt, shifted(np.zeros(3), tuple(-0.6 * axis))) > 0.02
    assert judge(replace(tilt, angle_rad=1.2), shifted(np.zeros(3), tuple(0.6 * axis))) > 0.02
    lying = seen(Solid((0.04, 0.04, 0.15)).at(0.45, 0.0, 0.02, (np.pi / 2, 0, 0)))
    task = replace(TASK, motion=Motion.STRAIGHTEN)
    up = check_rigid_motion(task, lying, shifted(np.zeros(3), (-np.pi / 2, 0, 0)), None, TABLE, EYE)
    assert up.error_m < 0
    assert check_rigid_motion(task, lying, np.eye(4), None, TABLE, EYE).error_m > 0.1


def test_a_relation_is_judged_where_the_motion_ends() -> None:
    task = replace(TASK, relation=Relation.ON, references=(ObjectPhrase("the plate"),))
    plate = seen(PLATE.at(0.45, -0.25))
    there = np.array([-0.05, -0.25, 0.012])
    assert judge(task, shifted(there), plate) < TOLERANCE_M
    assert judge(task, shifted(there, (0, 0, 1.5)), plate) < TOLERANCE_M
    assert judge(task, shifted(there, (np.pi / 2, 0, 0)), plate) > 0.03, "tipped over"
    assert judge(task, np.eye(4), plate) > 0.1


def test_corresponding_points_with_outliers_give_the_same_verdict() -> None:
    task = replace(TASK, direction=Direction.LEFT)
    start = seen(CUP.at(0.5, 0.0))
    motion = shifted(0.1 * direction_vector(Direction.LEFT, EYE, TABLE))
    end = se3.apply(motion, start)
    random = np.random.default_rng(0)
    wrong = random.permutation(len(end))[: len(end) // 5]
    end[wrong] += random.normal(0, 0.1, (len(wrong), 3))
    clean = check_rigid_motion(task, start, motion, None, TABLE, EYE)
    assert check_motion(task, start, end, None, TABLE, EYE).error_m == pytest.approx(
        clean.error_m, abs=1e-3
    )
