"""Pulling a drawer: the handle's grasps, the plan along the joint, and the loop around it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from loop_world import Calm, World

from novaflow_core import se3, toy_scene
from novaflow_core.candidate import FlowCandidate
from novaflow_core.errors import Code, GraspError
from novaflow_core.flow import MotionKind, ObjectFlow
from novaflow_core.front import find_front
from novaflow_core.grounding import CollisionScene
from novaflow_core.obstacles import Box
from novaflow_core.toy_chest import BODY, toy_chest
from novaflow_core.toy_scene import EYE, TABLE
from novaflow_executor.backends.antipodal import Antipodal
from novaflow_executor.backends.banded_lm import BandedLm
from novaflow_executor.core.closed_loop import ClosedLoop, FollowTask
from novaflow_executor.core.execution import ExecutionLimits, PlanRunner
from novaflow_executor.core.grasps import GraspRequest
from novaflow_executor.core.handle_grasps import find_bar, handle_grasps
from novaflow_executor.core.on_joint import rebased_on_joint
from novaflow_executor.core.plan import Phase
from novaflow_executor.core.planner import MotionPlanner
from novaflow_executor.core.planner_settings import PlannerSettings
from novaflow_executor.core.validator import PlanValidator

POSE = se3.from_rt(se3.exp_so3([0, 0, 0.25]), [0.34, -0.06, 0.0])
OUT, SIDE = POSE[:3, 0], POSE[:3, 1]
TRAVEL_M = 0.115


def seen_front(pose: np.ndarray = POSE) -> np.ndarray:
    """Points (N, 3) of front and handle as the camera sees them."""
    solids = toy_chest(pose)
    view, labels = toy_scene.render(solids, EYE, noise_m=0.0015)
    names = list(solids)
    own = np.isin(labels, [2 + names.index(n) for n in ("front", "bar", "post_a", "post_b")])
    points = view.points()[own]
    return points[np.isfinite(points).all(axis=1)]


CLOUD = seen_front()
BODY_BOX = Box("other_0", POSE @ se3.from_rt(np.eye(3), [0, 0, 0.055]), np.array([0.16, 0.2, 0.11]))
SCENE = CollisionScene("scene", "fr3_link0", TABLE, (BODY_BOX,))


def candidate(travel_m: float = TRAVEL_M) -> FlowCandidate:
    start = CLOUD[:: len(CLOUD) // 120]
    s = np.linspace(0, 1, 41)
    way = travel_m * (s**2 * (3 - 2 * s))
    points = (start + way[:, None, None] * OUT).astype(np.float32)
    seen = np.ones(points.shape[:2], bool)
    flow = ObjectFlow(
        points, seen, seen.astype(np.float32), 1 / 16, "fr3_link0", kind=MotionKind.PRISMATIC
    )
    return FlowCandidate("c0", "scene", Code.OK, "", flow, "", "")


@pytest.fixture(scope="module")
def planner(robot):
    planner = MotionPlanner(robot, Antipodal(), BandedLm(robot), PlannerSettings())
    planner.warm()
    return planner


@pytest.fixture(scope="module")
def plan(planner):
    return planner.plan(CLOUD, SCENE, candidate(), planner.home)


def test_the_bar_is_found() -> None:
    bar = find_bar(CLOUD, find_front(CLOUD, TABLE))
    assert abs(bar.along @ SIDE) > 0.995
    assert 2 * bar.half == pytest.approx(0.12, abs=0.012)
    assert 0.006 < bar.thickness < 0.020


def test_grasps_close_across_the_bar_between_its_posts_and_off_the_face(settings) -> None:
    grasps = handle_grasps(GraspRequest(CLOUD, SCENE, settings.gripper))
    assert len(grasps) > 5
    bar_at = se3.apply(POSE, np.array([0.134, 0.0, 0.084]))
    face = 0.092
    for grasp in grasps:
        T = se3.inverse(POSE) @ grasp.T_planning_tcp
        assert abs(T[1, 0]) < 0.1, "closes across the bar"
        assert T[2, 2] < 0.1 and T[0, 2] < 0.1, "comes from above or from before it"
        aside = (grasp.T_planning_tcp[:3, 3] - bar_at) @ SIDE
        assert abs(aside) < 0.045
        tips = [
            se3.apply(T, np.array([s * (grasp.width_m / 2 + 0.0145), 0.0, 0.018])) for s in (-1, 1)
        ]
        assert min(tip[0] for tip in tips) > face, "the inner finger stays before the face"
    scores = [grasp.score for grasp in grasps]
    assert scores == sorted(scores, reverse=True)


def test_a_handle_near_its_face_is_taken_from_before_it_alone(settings) -> None:
    front = find_front(CLOUD, TABLE)
    flat = CLOUD.copy()
    flat[front.is_handle(flat)] -= 0.022 * front.normal
    for grasp in handle_grasps(GraspRequest(flat, SCENE, settings.gripper)):
        assert -grasp.T_planning_tcp[:3, 2] @ front.normal > 0.7


def test_the_plan_pulls_straight_along_the_joint_and_lets_go_there(planner, plan) -> None:
    names = [s.name for s in plan.segments]
    assert names == [
        "open the gripper", "reach", "descend", "close", "pull", "let go", "back off", "return",
    ]  # fmt: skip
    (pull,) = (s for s in plan.segments if s.name == "pull")
    tcp = planner.robot.tcp(pull.trajectory.position)
    way = tcp[:, :3, 3] - tcp[0, :3, 3]
    along = way @ OUT
    assert along[-1] == pytest.approx(TRAVEL_M, abs=0.004)
    assert np.linalg.norm(way - along[:, None] * OUT, axis=1).max() < 0.006
    assert np.abs(way[:, 2]).max() < 0.006, "it is not lifted"
    turn = se3.rotation_angle(tcp[0, :3, :3].T @ tcp[:, :3, :3])
    assert turn.max() < 0.1
    speed = np.linalg.norm(np.gradient(tcp[:, :3, 3], pull.trajectory.time_s, axis=0), axis=1)
    assert speed.max() < 0.1
    (away,) = (s for s in plan.segments if s.name == "back off")
    ends = planner.robot.tcp(away.trajectory.position[[0, -1]])
    back = ends[1, :3, 3] - ends[0, :3, 3]
    assert -back @ ends[0, :3, 2] > 0.95 * np.linalg.norm(back), "back along the approach"


def test_the_plan_passes_the_validator(plan, planner, urdf_text, settings_path) -> None:
    PlanValidator.from_files(urdf_text, settings_path).check(plan, planner.home, SCENE)


def test_the_rest_of_a_flow_begins_where_the_drawer_is() -> None:
    flow = candidate().flow
    moved = se3.from_rt(np.eye(3), 0.05 * OUT)
    rest = rebased_on_joint(flow, moved)
    way = (rest.points - flow.points[0]).astype(float) @ OUT
    assert way[0] == pytest.approx(0.05, abs=1e-4)
    assert way[-1] == pytest.approx(TRAVEL_M, abs=1e-4)
    assert (np.diff(way, axis=0) > -1e-5).all(), "it never goes back"


def test_a_joint_that_was_shoved_takes_the_flow_along() -> None:
    flow = candidate().flow
    shoved = se3.from_rt(np.eye(3), 0.02 * SIDE)
    rest = rebased_on_joint(flow, shoved)
    shift = np.median((rest.points[-1] - flow.points[0]).astype(float), axis=0)
    np.testing.assert_allclose(shift, TRAVEL_M * OUT + 0.02 * SIDE, atol=1e-3)


class Drawer(World):
    """What is held moves along its slide alone, and as far as that goes."""

    def __init__(self, robot, q, stop_m: float = 0.14, slips_at_m: float = np.inf):
        super().__init__(robot, q)
        self.stop_m, self.slips_at_m, self.out_m, self.held_from = stop_m, slips_at_m, 0.0, None

    def advance(self, seconds):
        if self.grip is None:
            self.held_from = None
        elif self.held_from is None:
            self.held_from = (self.robot.tcp(self.q)[:3, 3], self.out_m)
        else:
            start, before = self.held_from
            pulled = before + float((self.robot.tcp(self.q)[:3, 3] - start) @ OUT)
            if pulled > self.slips_at_m:
                self.slips_at_m = np.inf
                self.grip, self.opening = None, 0.0
            else:
                self.out_m = float(np.clip(pulled, 0.0, self.stop_m))
        self.T_moved = se3.from_rt(np.eye(3), self.out_m * OUT)
        grip, self.grip = self.grip, None  # the drawer does not follow the hand, but its slide
        super().advance(seconds)
        self.grip = grip


@pytest.fixture(scope="module")
def pull(planner, urdf_text, settings_path):
    validator = PlanValidator.from_files(urdf_text, settings_path)

    def run(**how):
        world = Drawer(planner.robot, planner.home, **how)
        plan = planner.plan(CLOUD, SCENE, candidate(), planner.home)
        runner = PlanRunner(
            world,
            lambda part, q: validator.check(part, q, SCENE),
            Calm(),
            ExecutionLimits(own_gap_s=1e9),
            world.begin,
            lambda: world.time_s,
            world.advance,
        )
        task = FollowTask(CLOUD, SCENE, candidate())
        loop = ClosedLoop(runner, planner, world, world, lambda: world.time_s, task)
        try:
            loop.run(plan)
        except GraspError as error:
            return world, loop, error
        return world, loop, None

    return run


def test_the_loop_opens_a_drawer(pull) -> None:
    world, loop, error = pull()
    assert error is None
    assert world.out_m == pytest.approx(TRAVEL_M, abs=0.005)
    assert world.grip is None
    assert loop.regrasps == 0
    assert loop.corrections == []


def test_a_handle_that_slips_is_taken_again_and_pulled_the_rest(pull) -> None:
    world, loop, error = pull(slips_at_m=0.04)
    assert error is None
    assert loop.regrasps == 1
    assert world.out_m == pytest.approx(TRAVEL_M, abs=0.008)


def test_a_drawer_that_ends_early_is_let_go_there(pull) -> None:
    world, loop, error = pull(stop_m=0.09)
    assert error is None
    assert world.out_m == pytest.approx(0.09, abs=1e-3)
    assert world.grip is None
    assert "end of its slide" in loop.corrections[-1].why


def test_a_drawer_that_does_not_open_is_no_success(pull) -> None:
    world, _, error = pull(stop_m=0.02)
    assert error is not None
    assert error.code is Code.GRASP_LOST
    assert world.out_m <= 0.02


def test_rigid_flows_are_taken_as_before(planner, block_cloud, make_scene, make_candidate) -> None:
    cloud, scene = block_cloud(yaw=0.2), make_scene(scene_id="block")
    carried = replace(make_candidate(cloud, (-0.02, 0.28, 0.0)), scene_id="block")
    plan = planner.plan(cloud, scene, carried, planner.home)
    assert [s.name for s in plan.segments if s.phase is Phase.CARRY] == ["carry"]


def test_the_body_alone_offers_no_handle(settings) -> None:
    view, labels = toy_scene.render({BODY: toy_chest(POSE)[BODY]}, EYE)
    with pytest.raises(GraspError, match="handle"):
        handle_grasps(GraspRequest(view.points()[labels == 2], SCENE, settings.gripper))
