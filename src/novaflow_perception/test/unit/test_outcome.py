"""The verdict from pixels: successes are seen, and nothing else is taken for one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from novaflow_core import se3, toy_scene
from novaflow_core.errors import Code
from novaflow_core.flow import ObjectFlow
from novaflow_core.relations import footprint_of
from novaflow_core.scene import Scene
from novaflow_core.task import Motion, ObjectPhrase, Relation, TaskSpec
from novaflow_core.toy_scene import CAMERA, EYE, Solid
from novaflow_perception.core.evidence import Body, Change
from novaflow_perception.core.outcome import Outcome, observe
from novaflow_perception.core.registration import NewView, ObjectModel

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


def judge(
    target, other, relation, way, after, error=None, gain=(1.0, 1.0, 1.0), held=None
) -> Outcome:
    """Observe `after` in another light, having followed a flow along `way`."""
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
    seen = replace(view(after, 2, error)[0], T_planning_camera=EYE)
    lit = np.clip(seen.color * np.array(gain), 0, 255).astype(np.uint8)
    later = Scene("after", "base", (replace(seen, color=lit),))
    outcome = observe(scene, grounding, flow, later, held=held)
    assert any(c.isdigit() for c in outcome.reason)
    return outcome


def cup(after, error=None, gain=(1.0, 1.0, 1.0)) -> Outcome:
    return judge(CUP, PLATE, Relation.ON, WAY_ON, after, error, gain)


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


def tilted(tilt_deg: float, heading_deg: float, aside: float, depth: float) -> np.ndarray:
    """Motion that tilts the block and puts its lowest edge `depth` below the socket's rim.

    It leans towards a heading from the socket's axis; the edge is `aside` of the middle along it.
    """
    yaw = 0.3
    heading = np.radians(heading_deg) + yaw
    out = np.array([np.cos(heading), np.sin(heading), 0.0])
    turn = se3.exp_so3(np.radians(tilt_deg) * np.cross([0, 0, 1.0], out)) @ se3.exp_so3([0, 0, yaw])
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (0, 1)])
    corners = corners * [0.02, 0.02, 0.07] @ turn.T
    edge = corners[np.argsort(corners[:, 2])[:2]].mean(axis=0)
    at = np.array([0.42, -0.1, 0.05 - depth]) + aside * out
    return se3.from_rt(turn, at - edge) @ se3.inverse(BLOCK.T_base_solid)


@pytest.mark.parametrize(
    "pose",
    [
        tilted(15, 90, -0.015, 0.02),
        tilted(30, 0, -0.015, 0.02),
        tilted(42, 0, -0.015, 0.015),
        tilted(42, 90, -0.02, 0.015),
        tilted(42, 180, 0.0, 0.02),
        tilted(65, 270, -0.02, 0.01),
        tilted(90, 0, -0.045, 0.0),
        tilted(90, 0, -0.035, 0.0),
        tilted(90, 90, -0.025, 0.0),
        tilted(90, 180, -0.035, 0.0),
    ],
)
def test_a_leaning_or_lying_block_is_refused_where_an_upright_one_would_show_the_same(pose) -> None:
    outcome = block({"block": BLOCK.moved(pose), "socket": SOCKET})
    assert outcome.code in FAILURES, outcome.reason


def test_what_arrived_tells_a_leaning_block_from_the_upright_one_that_was_expected() -> None:
    view_before, labels = view({"block": BLOCK, "socket": SOCKET}, 1)
    leaning = tilted(42, 0, -0.015, 0.015)
    view_after, _ = view({"block": BLOCK.moved(leaning), "socket": SOCKET}, 2)
    before, after = NewView(view_before), NewView(view_after)
    mask = labels == 2
    model = ObjectModel.from_view(view_before, mask)
    points = view_before.points()[mask]
    foot = footprint_of(points, toy_scene.TABLE, EYE)
    body = Body.from_view(before, mask, toy_scene.TABLE, foot)
    middle = se3.apply(leaning, model.points.mean(axis=0))
    arrived = Change(before, after, model).arrived(middle, 0.09)
    assert len(arrived) > 300
    assert body.explains(arrived, leaning).mean() > 0.95
    assert body.explains(arrived, shift(WAY_IN)).mean() < 0.75


@pytest.mark.parametrize("aside", [0.0, 0.01])
def test_a_cup_upside_down_or_lying_on_its_plate_is_refused(aside: float) -> None:
    for motion in (
        shift([-0.1 + aside, -0.25, 0.103], (np.pi, 0, 0)),
        shift([-0.1 + aside, -0.2, 0.048], (np.pi / 2, 0, 0)),
    ):
        outcome = cup({"cup": CUP.moved(motion), "plate": PLATE})
        assert outcome.code in FAILURES, outcome.reason


def test_a_plate_that_was_pushed_is_found_again() -> None:
    along = {"cup": CUP.moved(shift([-0.06, -0.27, 0.008])), "plate": PLATE.at(0.54, -0.17)}
    assert cup(along).code is Code.OK
    away = {"cup": CUP.moved(shift([-0.1, -0.25, 0.0])), "plate": PLATE.at(0.5, -0.02)}
    outcome = cup(away)
    assert outcome.code in FAILURES, outcome.reason


def test_something_else_in_its_place_is_no_success() -> None:
    way = shift(WAY_ON)
    twin = {"cup": CUP, "twin": replace(CUP, texture=4).moved(way), "plate": PLATE}
    assert cup(twin).code in FAILURES
    box = BLOCK.at(0.5, -0.15, 0.008)
    assert cup({"box": box, "plate": PLATE}).code is Code.TARGET_LOST
    assert cup({"cup": CUP, "box": box, "plate": PLATE}).code is Code.OUTCOME_NOT_OBSERVED


def test_the_light_may_change() -> None:
    done = {"cup": CUP.moved(shift(WAY_ON)), "plate": PLATE}
    for gain in ((0.7, 0.7, 0.7), (1.15, 1.1, 1.0)):
        assert cup(done, gain=gain).code is Code.OK


def test_lifting_is_seen_while_the_gripper_holds_it() -> None:
    def lift(motion) -> Outcome:
        after = {"block": BLOCK.moved(motion), "socket": SOCKET}
        return judge(BLOCK, SOCKET, None, UPWARD, after)

    assert lift(shift([0.0, 0.01, 0.115])).code is Code.OK
    assert lift(np.eye(4)).code in FAILURES
    assert lift(shift([0.05, 0.03, 0.0])).code in FAILURES


HIDES_MOST = Solid((0.03, 0.16, 0.16), colour=(90, 90, 90), texture=8).at(0.66, 0.1, 0.10)
RAISED = CUP.moved(shift(UPWARD))


def lifted(after, held) -> Outcome:
    return judge(CUP, PLATE, None, UPWARD, {"plate": PLATE, "arm": HIDES_MOST, **after}, held=held)


def test_where_the_arm_hides_most_the_hand_and_what_is_seen_must_agree() -> None:
    near = shift([0.002, -0.003, 0.121], (0.03, 0.0, 0.0))
    assert lifted({"cup": RAISED}, None).code in FAILURES
    done = lifted({"cup": RAISED}, near)
    assert done.code is Code.OK, done.reason
    middle = np.array([0.6, 0.1, 0.05])
    assert np.linalg.norm(se3.apply(done.motion, middle) - middle - UPWARD) < 0.010


@pytest.mark.parametrize("slipped", [(0.0, 0.03, 0.0), (0.0, 0.0, -0.035), (0.0, -0.05, 0.0)])
def test_what_slipped_in_a_hand_that_hides_it_is_no_success(slipped) -> None:
    cup = CUP.moved(shift(np.array(UPWARD) + slipped))
    assert lifted({"cup": cup}, shift(UPWARD)).code in FAILURES


def test_a_hand_that_did_not_lift_it_is_believed_where_it_hides_it() -> None:
    low = lifted({"cup": RAISED}, shift([0.0, 0.0, 0.01]))
    assert low.code in FAILURES
