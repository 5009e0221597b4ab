"""The verdict from pixels: successes are seen, and nothing else is taken for one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from novaflow_core import se3, toy_scene
from novaflow_core.errors import Code
from novaflow_core.flow import ObjectFlow
from novaflow_core.scene import Scene
from novaflow_core.task import Motion, ObjectPhrase, Relation, TaskSpec
from novaflow_core.toy_scene import CAMERA, EYE, Solid
from novaflow_perception.core.outcome import Outcome, observe

WINDOW = replace(CAMERA, width=420, height=300, cx=CAMERA.cx - 110, cy=CAMERA.cy - 50)
CUP = Solid((0.08, 0.08, 0.095), is_round=True, wall=0.004).at(0.6, 0.1)
PLATE = Solid((0.16, 0.16, 0.008), is_round=True, colour=(220, 220, 190), texture=3).at(0.5, -0.15)
BLOCK = Solid((0.04, 0.04, 0.07), colour=(220, 180, 30), texture=5).at(0.6, 0.1, 0, (0, 0, 0.3))
SOCKET = Solid((0.09, 0.09, 0.05), colour=(80, 90, 120), wall=0.022, texture=6).at(
    0.42, -0.1, 0, (0, 0, 0.3)
)
WAY_ON = (-0.1, -0.25, 0.008)
WAY_IN = (-0.18, -0.2, 0.022)
UPWARD = (0.0, 0.0, 0.12)
FAILURES = {Code.OUTCOME_NOT_OBSERVED, Code.TARGET_LOST}


def shift(way, turn=(0.0, 0.0, 0.0)) -> np.ndarray:
    """Motion (4, 4): a turn about where the target stands, then a way."""
    at = np.array([0.6, 0.1, 0.0])
    rotation = se3.exp_so3(turn)
    return se3.from_rt(rotation, at - rotation @ at + way)


def view(solids, seed: int, error: np.ndarray | None = None):
    return toy_scene.render(
        solids, EYE if error is None else EYE @ error, WINDOW, noise_m=0.002, seed=seed
    )


def judge(target, other, relation, way, after, error=None) -> Outcome:
    """Observe `after`, having followed a flow along `way`."""
    task = TaskSpec(
        "do it",
        Motion.MOVE if relation else Motion.LIFT,
        ObjectPhrase("the target"),
        relation=relation,
        references=(ObjectPhrase("the other"),) if relation else (),
    )
    solids = {"target": target, "other": other}
    first, labels = view(solids, 1)
    scene, grounding = toy_scene.ground(solids, first, labels, task, ["other"])
    start = grounding.points(scene, grounding.target)[::9]
    path = np.stack([start, se3.apply(shift(way), start)]).astype(np.float32)
    flow = ObjectFlow(
        path, np.ones(path.shape[:2], bool), np.ones(path.shape[:2], np.float32), 0.1, "base"
    )
    later = Scene("after", "base", (replace(view(after, 2, error)[0], T_planning_camera=EYE),))
    outcome = observe(scene, grounding, flow, later)
    assert any(c.isdigit() for c in outcome.reason)
    return outcome


def cup(after, error=None) -> Outcome:
    return judge(CUP, PLATE, Relation.ON, WAY_ON, after, error)


def block(after) -> Outcome:
    return judge(BLOCK, SOCKET, Relation.IN, WAY_IN, after)


def test_a_cup_on_its_plate_is_seen_and_registered() -> None:
    motion = shift([-0.09, -0.243, 0.008], (0, 0, 0.3))
    outcome = cup({"cup": CUP.moved(motion), "plate": PLATE})
    assert outcome.code is Code.OK
    assert outcome.fit > 0.7
    middle = [0.6, 0.1, 0.05]
    assert np.linalg.norm(se3.apply(outcome.motion, middle) - se3.apply(motion, middle)) < 0.006


def test_a_small_error_of_the_camera_pose_is_tolerated() -> None:
    error = se3.from_rt(se3.exp_so3([0.004, -0.003, 0.002]), [0.002, -0.002, 0.001])
    done = {"cup": CUP.moved(shift(WAY_ON)), "plate": PLATE}
    assert cup(done, error).code is Code.OK


def test_a_partly_hidden_cup_and_a_nudged_plate() -> None:
    arm = Solid((0.02, 0.05, 0.05), colour=(90, 90, 90), texture=8).at(0.56, -0.14, 0.06)
    done = {"cup": CUP.moved(shift(WAY_ON)), "plate": PLATE, "arm": arm}
    assert cup(done).code is Code.OK
    nudged = {"cup": CUP.moved(shift([-0.092, -0.242, 0.008])), "plate": PLATE.at(0.508, -0.142)}
    assert cup(nudged).code is Code.OK


@pytest.mark.parametrize(
    ("what", "motion"),
    [
        ("it was not moved", np.eye(4)),
        ("it stands beside the plate", shift([-0.1, -0.13, 0.0])),
        ("it hangs on the plate's edge", shift([-0.02, -0.25, 0.008])),
        ("it has tipped over", shift([-0.1, -0.2, 0.05], (np.pi / 2, 0, 0))),
        ("it leans", shift([-0.1, -0.25, 0.02], (0.45, 0, 0))),
        ("the gripper holds it above", shift([-0.1, -0.25, 0.038])),
        ("the gripper holds it high above", shift([-0.1, -0.25, 0.12])),
    ],
)
def test_no_false_success_with_the_cup(what: str, motion: np.ndarray) -> None:
    outcome = cup({"cup": CUP.moved(motion), "plate": PLATE})
    assert outcome.code in FAILURES, f"{what}: {outcome.reason}"


def test_gone_hidden_or_doubled_is_no_success() -> None:
    assert cup({"plate": PLATE}).code is Code.TARGET_LOST
    done = CUP.moved(shift(WAY_ON))
    wall = Solid((0.03, 0.16, 0.16), colour=(90, 90, 90), texture=8).at(0.57, -0.14, 0.03)
    assert cup({"cup": done, "plate": PLATE, "wall": wall}).code in FAILURES
    twice = cup({"cup": done, "again": CUP, "plate": PLATE})
    assert twice.code is Code.OUTCOME_NOT_OBSERVED


@pytest.mark.parametrize(
    ("what", "motion", "succeeds"),
    [
        ("it is in", shift(WAY_IN), True),
        ("it lies on the rim", shift([-0.18, -0.19, 0.05]), False),
        ("it stands turned on the rim", shift([-0.18, -0.2, 0.05], (0, 0, 0.4)), False),
        ("it stands beside", shift([-0.18, -0.13, 0.0]), False),
        ("it was not moved", np.eye(4), False),
    ],
)
def test_insertion(what: str, motion: np.ndarray, succeeds: bool) -> None:
    outcome = block({"block": BLOCK.moved(motion), "socket": SOCKET})
    assert (outcome.code is Code.OK) == succeeds, f"{what}: {outcome.reason}"


def test_lifting_is_seen_while_the_gripper_holds_it() -> None:
    def lift(motion) -> Outcome:
        after = {"block": BLOCK.moved(motion), "socket": SOCKET}
        return judge(BLOCK, SOCKET, None, UPWARD, after)

    assert lift(shift([0.0, 0.01, 0.115])).code is Code.OK
    assert lift(np.eye(4)).code in FAILURES
    assert lift(shift([0.05, 0.03, 0.0])).code in FAILURES
