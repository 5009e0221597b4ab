"""The backend `moveit` against a stand-in: what it hands over, believes and refuses."""

from __future__ import annotations

import builtins
import sys
from dataclasses import replace

import fake_moveit
import numpy as np
import pytest
from fake_moveit import MoveItErrorCodes, World

from novaflow_core.errors import Code, ExecutionError, PlatformError
from novaflow_core.obstacles import Capsule, Sphere
from novaflow_core.scene import Plane
from novaflow_executor.backends.antipodal import Antipodal
from novaflow_executor.backends.banded_lm import BandedLm
from novaflow_executor.backends.moveit import MoveIt
from novaflow_executor.core.approach_settings import ApproachSettings
from novaflow_executor.core.collision import CollisionModel
from novaflow_executor.core.planner import MotionPlanner
from novaflow_executor.core.planner_settings import PlannerSettings
from novaflow_executor.core.validator import PlanValidator


@pytest.fixture
def world(robot, monkeypatch):
    world = World(robot)
    fake_moveit.install(monkeypatch, world)
    return world


@pytest.fixture
def ends(robot):
    start, goal = robot.home.copy(), robot.home.copy()
    start[0], goal[0] = -0.5, 0.5
    return start, goal


def asked(world, robot, scene, ends, **settings):
    moveit = MoveIt(ApproachSettings(**settings))
    model = CollisionModel(robot, scene, 0.04)
    return moveit.pieces(model, *ends, "approach", CollisionModel.clearance)


def test_what_moveit_holds_is_what_must_not_be_touched(world, robot, make_scene, ends):
    box = make_scene(("other_0", (0.3, 0.5, 0.1), (0.1, 0.05, 0.2))).obstacles[0]
    ball = Sphere("other_1", np.array([0.2, -0.5, 0.05]), 0.05)
    rod = Capsule("reference_0", np.array([0.4, 0.5, 0.02]), np.array([0.5, 0.6, 0.2]), 0.02)
    support = Plane(np.array([0.0, 0.0, 1.0]), 0.03)
    scene = replace(make_scene(), support=support, obstacles=(box, ball, rod))
    asked(world, robot, scene, ends)
    assert set(world.objects) == {
        "novaflow/support", "novaflow/other_0", "novaflow/other_1", "novaflow/reference_0",
    }  # fmt: skip
    assert {item.header.frame_id for item in world.objects.values()} == {"fr3_link0"}
    points = np.random.default_rng(0).uniform([-1, -1, -0.3], [1, 1, 0.6], (4000, 3))
    wanted = np.minimum.reduce(
        [support.height(points), *(o.distance(points) for o in scene.obstacles)]
    )
    got = np.minimum.reduce([solid.distance(points) for solid in world.solids()])
    outside = wanted > 0
    assert np.allclose(got[outside], wanted[outside], atol=1e-9)
    assert (got[~outside] < 1e-9).all()
    on_support = {next(iter(pair - {"novaflow/support"})) for pair in world.acm.allowed}
    assert on_support == {"fr3_link0", "fr3_link1"}


def test_the_next_scene_takes_the_place_of_the_last_and_leaves_others_alone(
    world, robot, make_scene, ends
):
    world.objects["wall"] = fake_moveit.CollisionObject(id="wall")
    moveit = MoveIt(ApproachSettings())
    for name in ("other_0", "other_1"):
        scene = make_scene((name, (0.3, 0.6, 0.1), (0.1, 0.05, 0.2)))
        model = CollisionModel(robot, scene, 0.04)
        moveit.pieces(model, *ends, "approach", CollisionModel.clearance)
    assert set(world.objects) == {"wall", "novaflow/support", "novaflow/other_1"}


def test_settings_reach_moveit(world, robot, make_scene, ends):
    asked(
        world, robot, make_scene(), ends, moveit_pipeline="stomp", moveit_planner="P",
        moveit_time_s=1.5, moveit_attempts=7,
    )  # fmt: skip
    (request,) = world.asked
    assert request["planning_pipeline"] == "stomp" and request["planner_id"] == "P"
    assert request["planning_time"] == 1.5 and request["planning_attempts"] == 7
    assert world.config["planning_pipelines"] == {"pipeline_names": ["stomp"]}
    assert world.config["package"] == "franka_fr3_moveit_config"
    MoveIt(ApproachSettings(moveit_cpp_file="config/moveit_cpp.yaml"))
    assert world.config["moveit_cpp"] == "config/moveit_cpp.yaml"
    assert "plan_request_params" not in world.config


@pytest.mark.parametrize(
    ("says", "code", "word"),
    [
        (MoveItErrorCodes.TIMED_OUT, Code.TIMEOUT, "3.0 s"),
        (MoveItErrorCodes.PLANNING_FAILED, Code.APPROACH_NOT_FOUND, "PLANNING_FAILED"),
        (MoveItErrorCodes.START_STATE_IN_COLLISION, Code.APPROACH_NOT_FOUND, "START_STATE_IN_"),
        (-4711, Code.APPROACH_NOT_FOUND, "error -4711"),
    ],
)
def test_what_moveit_says_becomes_a_code(world, robot, make_scene, ends, says, code, word):
    world.says = says
    with pytest.raises((ExecutionError, PlatformError), match=word) as error:
        asked(world, robot, make_scene(), ends)
    assert error.value.code == code


def test_a_planner_that_breaks_off_is_a_failed_approach(world, robot, make_scene, ends):
    world.raises = RuntimeError("no such pipeline")
    with pytest.raises(ExecutionError, match="no such pipeline") as error:
        asked(world, robot, make_scene(), ends)
    assert error.value.code == Code.APPROACH_NOT_FOUND


def test_an_obstacle_that_moveit_does_not_take_is_an_error(world, robot, make_scene, ends):
    world.deaf_to = frozenset({"novaflow/other_0"})
    with pytest.raises(PlatformError, match="1 of 2 obstacles: novaflow/other_0"):
        asked(world, robot, make_scene(("other_0", (0.3, 0.6, 0.1), (0.1, 0.05, 0.2))), ends)
    assert not world.asked


def test_a_frame_that_moveit_does_not_know_is_an_error(world, robot, make_scene, ends):
    with pytest.raises(PlatformError, match="frame 'odom'") as error:
        asked(world, robot, replace(make_scene(), planning_frame="odom"), ends)
    assert error.value.code == Code.INVALID_SETTING
    assert not world.locked


def test_the_configuration_of_another_arm_is_an_error(world, robot, make_scene, ends):
    world.state = fake_moveit.RobotState({"panda_joint1": 0.0})
    with pytest.raises(PlatformError, match="has no fr3_joint1, fr3_joint2") as error:
        asked(world, robot, make_scene(), ends)
    assert error.value.code == Code.INVALID_SETTING


def test_an_unknown_group_is_an_error(world):
    with pytest.raises(PlatformError, match=r"'hand'.*not in the robot model") as error:
        MoveIt(ApproachSettings(moveit_group="hand"))
    assert error.value.code == Code.INVALID_SETTING


def test_a_group_that_does_not_move_the_whole_arm_is_an_error(world, robot, make_scene, ends):
    world.leaves_out = frozenset({"fr3_joint4"})
    with pytest.raises(PlatformError, match="does not move fr3_joint4"):
        asked(world, robot, make_scene(), ends)


def test_a_way_that_ends_elsewhere_is_refused(world, robot, make_scene, ends):
    world.ends_off_rad = 0.05
    with pytest.raises(ExecutionError, match=r"0\.050 rad from where it should"):
        asked(world, robot, make_scene(), ends)


def test_a_way_through_what_novaflow_knows_is_refused(world, robot, make_scene, ends):
    world.blind = True
    at = robot.tcp(robot.home)[:3, 3]
    scene = replace(make_scene(), obstacles=(Sphere("other_1", at, 0.05),))
    with pytest.raises(ExecutionError, match="mm into something") as error:
        asked(world, robot, scene, ends)
    assert error.value.code == Code.APPROACH_NOT_FOUND


@pytest.mark.parametrize("missing", ["moveit.planning", "moveit_configs_utils", "moveit_msgs.msg"])
def test_a_missing_package_names_what_installs_it(world, monkeypatch, missing):
    monkeypatch.delitem(sys.modules, missing)
    monkeypatch.setenv("ROS_DISTRO", "kilted")
    real = builtins.__import__

    def without(name, *rest):
        if name == missing:
            raise ModuleNotFoundError(f"No module named '{name}'")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(PlatformError, match="apt-get install ros-kilted-moveit-py") as error:
        MoveIt(ApproachSettings())
    assert error.value.code == Code.UNAVAILABLE


def test_a_plan_with_moveit_passes_the_validator(
    world, robot, make_scene, block_cloud, make_candidate, urdf_text, settings_path
):
    cloud = block_cloud(yaw=0.2)
    rod = Capsule("other_1", np.array([0.42, 0.0, 0.03]), np.array([0.42, 0.0, 0.25]), 0.03)
    scene = replace(make_scene(), obstacles=(rod,))
    solver = BandedLm(robot)
    planner = MotionPlanner(
        robot, Antipodal(), solver, PlannerSettings(), MoveIt(ApproachSettings())
    )
    candidate = make_candidate(cloud, (-0.02, 0.28, 0.0))
    plan = planner.plan(cloud, scene, candidate, planner.home)
    assert len(world.asked) == 2  # there and home
    assert "novaflow/target" in world.objects
    PlanValidator.from_files(urdf_text, settings_path).check(plan, planner.home, scene)
