"""Messages and vocabulary: round trips keep everything, malformed messages are refused."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Pose
from hypothesis import given, settings
from hypothesis import strategies as st
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CameraInfo

from novaflow_core import se3
from novaflow_core.camera import CameraModel
from novaflow_core.candidate import CandidateFeasibility, CandidateScore, FlowCandidate, Gate
from novaflow_core.errors import Code, ShapeError
from novaflow_core.flow import MotionKind, ObjectFlow
from novaflow_core.grasp import Grasp
from novaflow_core.grounding import CollisionScene, GroundedObject, Grounding, Role
from novaflow_core.obstacles import Box, Capsule, Sphere
from novaflow_core.scene import Plane, RgbdView, Scene
from novaflow_core.task import Direction, Motion, ObjectPhrase, Relation, TaskSpec
from novaflow_msgs import msg as nf
from novaflow_ros import conversions as cv

RNG = np.random.default_rng(0)
T_EXAMPLE = se3.from_rt(se3.exp_so3([0.3, -1.2, 0.7]), [0.1, -0.2, 0.9])
CAMERA = CameraModel(6, 4, 5.0, 5.5, 2.5, 1.5)
TASK = TaskSpec(
    "put the cup on the saucer",
    Motion.MOVE,
    ObjectPhrase("the cup", "cup", "grey", "small", "left"),
    relation=Relation.ON,
    references=(ObjectPhrase("the saucer", "saucer"),),
    distance_m=0.1,
)


def over_the_wire(message):
    """The message as another process gets it."""
    return deserialize_message(serialize_message(message), type(message))


def view() -> RgbdView:
    depth = RNG.uniform(0.4, 1.0, (4, 6)).astype(np.float32)
    depth[0, 0] = np.nan
    color = RNG.integers(0, 256, (4, 6, 3), dtype=np.uint8)
    return RgbdView("main", "optical", 1_500_000_001, color, depth, CAMERA, T_EXAMPLE)


def flow() -> ObjectFlow:
    points = RNG.normal(size=(5, 7, 3)).astype(np.float32)
    points[2, 3] = np.nan
    return ObjectFlow(
        points,
        RNG.random((5, 7)) < 0.5,
        RNG.random((5, 7)).astype(np.float32),
        dt_s=0.0625,
        frame_id="base",
        stamp_ns=123_456_789_012,
        label="cup",
        kind=MotionKind.REVOLUTE,
    )


def assert_same_flow(a: ObjectFlow, b: ObjectFlow) -> None:
    np.testing.assert_array_equal(a.points, b.points)
    np.testing.assert_array_equal(a.visible, b.visible)
    np.testing.assert_array_equal(a.confidence, b.confidence)
    assert (a.dt_s, a.frame_id, a.stamp_ns, a.label, a.kind) == (
        b.dt_s,
        b.frame_id,
        b.stamp_ns,
        b.label,
        b.kind,
    )


# --- round trips ----------------------------------------------------------------------------------
@pytest.mark.parametrize("stamp_ns", [0, 999_999_999, 1_000_000_000, 1_764_000_000_123_456_789])
def test_time(stamp_ns: int) -> None:
    assert cv.time_to_ns(cv.time_from_ns(stamp_ns)) == stamp_ns


def test_pose_and_plane() -> None:
    np.testing.assert_allclose(cv.pose_to_matrix(cv.pose_from_matrix(T_EXAMPLE)), T_EXAMPLE)
    plane = cv.plane_from_msg(over_the_wire(cv.plane_to_msg(Plane(np.array([0, 0.6, 0.8]), -0.3))))
    np.testing.assert_array_equal(plane.normal, [0, 0.6, 0.8])
    assert plane.offset == -0.3


@pytest.mark.parametrize(
    ("encoding", "dtype", "channels"),
    [("rgb8", np.uint8, 3), ("mono8", np.uint8, 1), ("16UC1", np.uint16, 1)],
)
@pytest.mark.parametrize("crop", [False, True])
def test_image(encoding: str, dtype: type, channels: int, crop: bool) -> None:
    image = RNG.integers(0, 200, (8, 10, channels)).astype(dtype)
    image = image[1:5, 2:9] if crop else image  # a crop is not contiguous
    image = image if channels == 3 else image[..., 0]
    back = cv.image_from_msg(over_the_wire(cv.image_to_msg(image, encoding)))
    np.testing.assert_array_equal(back, image)
    assert back.dtype == dtype


def test_image_rows_with_padding() -> None:
    image = RNG.integers(0, 200, (3, 4), dtype=np.uint8)
    message = cv.image_to_msg(np.hstack([image, np.zeros((3, 2), np.uint8)]), "mono8")
    message.width = 4  # step stays 6
    np.testing.assert_array_equal(cv.image_from_msg(message), image)


def test_big_endian_depth() -> None:
    depth_mm = np.array([[700, 0]], np.uint16)
    message = cv.image_to_msg(depth_mm.astype(">u2"), "16UC1")
    message.is_bigendian = 1
    np.testing.assert_allclose(cv.depth_from_msg(message), [[0.7, np.nan]])


def test_depth_is_metres_and_nan_where_nothing_was_seen() -> None:
    raw = cv.image_to_msg(np.array([[0, 650, 65535]], np.uint16), "16UC1")
    np.testing.assert_allclose(cv.depth_from_msg(raw), [[np.nan, 0.65, 65.535]], rtol=1e-6)
    metres = cv.image_to_msg(np.array([[np.inf, -1.0, 0.65]], np.float32), "32FC1")
    np.testing.assert_allclose(cv.depth_from_msg(metres), [[np.nan, np.nan, 0.65]], rtol=1e-6)


def test_bgr_becomes_rgb() -> None:
    bgr = np.array([[[1, 2, 3]]], np.uint8)
    assert cv.color_from_msg(cv.image_to_msg(bgr, "bgr8")).tolist() == [[[3, 2, 1]]]


def test_camera_info() -> None:
    assert cv.camera_info_from_msg(over_the_wire(cv.camera_info_to_msg(CAMERA, "o"))) == CAMERA


@pytest.mark.parametrize("coloured", [False, True])
def test_cloud(coloured: bool) -> None:
    points = RNG.normal(size=(9, 3)).astype(np.float32)
    rgb = RNG.integers(0, 256, (9, 3), dtype=np.uint8) if coloured else None
    message = over_the_wire(cv.cloud_to_msg(points, "base", 5, rgb))
    np.testing.assert_array_equal(cv.cloud_from_msg(message), points)
    assert [f.name for f in message.fields] == ["x", "y", "z"] + ["rgb"] * coloured


def test_scene() -> None:
    scene = Scene("s1", "base", (view(), view()))
    back = cv.scene_from_msg(over_the_wire(cv.scene_to_msg(scene)))
    assert (back.scene_id, back.planning_frame) == ("s1", "base")
    for a, b in zip(scene.views, back.views, strict=True):
        np.testing.assert_array_equal(a.color, b.color)
        np.testing.assert_array_equal(a.depth, b.depth)
        np.testing.assert_allclose(a.T_planning_camera, b.T_planning_camera, atol=1e-12)
        assert (a.camera, a.frame_id, a.stamp_ns, a.model) == (
            b.camera,
            b.frame_id,
            b.stamp_ns,
            b.model,
        )


@pytest.mark.parametrize(
    "task",
    [
        TASK,
        TaskSpec("lift it", Motion.LIFT, ObjectPhrase("it"), Direction.UP),
        TaskSpec("tilt it", Motion.TILT, ObjectPhrase("it"), angle_rad=0.5),
    ],
)
def test_task(task: TaskSpec) -> None:
    assert cv.task_from_msg(over_the_wire(cv.task_to_msg(task))) == task


def test_grounding() -> None:
    corners = RNG.normal(size=(8, 3))
    labels = RNG.integers(0, 4, (4, 6)).astype(np.uint8)
    item = GroundedObject(2, Role.TARGET, "a grey cup", 0.9, corners)
    other = GroundedObject(3, Role.OTHER, "something", math.nan, corners + 1)
    grounding = Grounding("s1", TASK, Plane(np.array([0, 0, 1.0]), -0.1), (labels,), (item, other))
    back = cv.grounding_from_msg(over_the_wire(cv.grounding_to_msg(grounding)))
    assert (back.scene_id, back.task) == ("s1", TASK)
    np.testing.assert_array_equal(back.labels[0], labels)
    np.testing.assert_array_equal(back.target.corners, corners)
    assert math.isnan(back.objects[1].score)
    assert back.objects[1].role is Role.OTHER


def test_collision_scene() -> None:
    box = Box("other_1", T_EXAMPLE, np.array([0.1, 0.2, 0.3]))
    ball = Sphere("reference_0", np.array([0.4, -0.1, 0.03]), 0.03)
    rods = [
        Capsule(f"rod_{k}", np.array([0.1, 0.2, 0.3]), np.array(end), 0.02)
        for k, end in enumerate(
            [(0.3, 0.1, 0.5), (0.1, 0.2, 0.4), (0.1, 0.2, 0.1), (0.1, 0.2, 0.3)]
        )
    ]
    support = Plane(np.array([0, 0, 1.0]), 0.0)
    eyes = (np.array([0.9, 0.1, 0.5]), np.array([0.0, 1.0, 0.7]))
    scene = CollisionScene("s1", "base", support, (ball, box, *rods), eyes)
    back = cv.collision_scene_from_msg(over_the_wire(cv.collision_scene_to_msg(scene, 7)))
    assert (back.scene_id, back.planning_frame) == ("s1", "base")
    assert [item.name for item in back.obstacles] == [item.name for item in scene.obstacles]
    np.testing.assert_array_equal(back.eyes, eyes)
    got_ball, got_box, *got_rods = back.obstacles
    assert isinstance(got_ball, Sphere) and isinstance(got_box, Box)
    np.testing.assert_array_equal(got_ball.centre, ball.centre)
    assert got_ball.radius == ball.radius
    np.testing.assert_allclose(got_box.T_planning_box, T_EXAMPLE, atol=1e-12)
    np.testing.assert_array_equal(got_box.size, [0.1, 0.2, 0.3])
    for made, got in zip(rods, got_rods, strict=True):
        assert isinstance(got, Capsule) and got.radius == made.radius
        np.testing.assert_allclose(got.a, made.a, atol=1e-12)
        np.testing.assert_allclose(got.b, made.b, atol=1e-12)


@given(st.lists(st.floats(-1.0, 1.0), min_size=6, max_size=6), st.floats(1e-3, 0.5))
@settings(max_examples=40, deadline=None)
def test_any_capsule_survives_the_wire(ends: list[float], radius: float) -> None:
    made = Capsule("c", np.array(ends[:3]), np.array(ends[3:]), radius)
    back = cv.obstacle_from_msg(over_the_wire(cv.obstacle_to_msg(made)))
    assert isinstance(back, Capsule)
    points = np.random.default_rng(0).uniform(-1, 1, (50, 3))
    np.testing.assert_allclose(back.distance(points), made.distance(points), atol=1e-9)


def test_flow_and_candidate() -> None:
    made = flow()
    back = cv.flow_from_msg(over_the_wire(cv.flow_to_msg(made)))
    assert back is not None
    assert_same_flow(made, back)
    candidate = FlowCandidate("c1", "s1", Code.OK, "", made, "file:///v.mp4", "ab", {"x_m": 0.5})
    again = cv.candidate_from_msg(over_the_wire(cv.candidate_to_msg(candidate)))
    assert again.flow is not None
    assert_same_flow(made, again.flow)
    assert (again.candidate_id, again.stats, again.video_uri) == (
        "c1",
        {"x_m": 0.5},
        "file:///v.mp4",
    )


def test_a_candidate_without_flow() -> None:
    failed = FlowCandidate("c2", "s1", Code.LIFT_LOW_INLIERS, "12 of 200", None, "", "")
    assert cv.candidate_from_msg(over_the_wire(cv.candidate_to_msg(failed))) == failed


def test_score_and_feasibility() -> None:
    score = CandidateScore("c1", 0.5, (Gate("jump_m", 0.02, 0.03, True, "fine"),))
    assert cv.score_from_msg(over_the_wire(cv.score_to_msg(score))) == score
    grasp = Grasp(T_EXAMPLE, 0.06, 0.8)
    with_grasp = CandidateFeasibility("c1", True, Code.OK, "", 0.7, grasp, 12)
    back = cv.feasibility_from_msg(over_the_wire(cv.feasibility_to_msg(with_grasp, "base")))
    assert back.feasible and back.grasp is not None and back.grasps_tried == 12
    np.testing.assert_allclose(back.grasp.T_planning_tcp, T_EXAMPLE, atol=1e-12)
    without = CandidateFeasibility("c2", True, Code.NO_GRASP, "none", 0.0)
    assert cv.feasibility_from_msg(over_the_wire(cv.feasibility_to_msg(without))) == without


# --- malformed messages ---------------------------------------------------------------------------
def broken_image(**changes):
    message = cv.image_to_msg(np.zeros((4, 6, 3), np.uint8), "rgb8")
    for name, value in changes.items():
        setattr(message, name, value)
    return message


@pytest.mark.parametrize(
    "changes",
    [{"encoding": "yuv422"}, {"height": 5}, {"step": 10}, {"width": 0, "step": 0}],
    ids=str,
)
def test_malformed_images_are_refused(changes: dict) -> None:
    with pytest.raises(ShapeError):
        cv.image_from_msg(broken_image(**changes))


@pytest.mark.parametrize(
    ("field", "value"), [("steps", 6), ("point_count", 8), ("kind", "liquid"), ("dt", 0.0)]
)
def test_flows_that_contradict_themselves_are_refused(field: str, value: object) -> None:
    message = cv.flow_to_msg(flow())
    setattr(message, field, value)
    with pytest.raises(ShapeError):
        cv.flow_from_msg(message)


def test_other_malformed_messages_are_refused() -> None:
    with pytest.raises(ShapeError, match="quaternion"):
        cv.pose_to_matrix(Pose(orientation=type(Pose().orientation)(x=0.0, y=0.0, z=0.0, w=0.0)))
    with pytest.raises(ShapeError, match="not calibrated"):
        cv.camera_info_from_msg(CameraInfo(width=6, height=4))
    with pytest.raises(ShapeError, match="no view"):
        cv.scene_from_msg(nf.Scene(scene_id="s"))
    with pytest.raises(ShapeError):
        cv.depth_from_msg(broken_image())
    with pytest.raises(ShapeError):
        cv.color_from_msg(cv.image_to_msg(np.zeros((2, 2), np.uint8), "mono8"))


def test_depth_of_another_size_than_the_camera_is_refused() -> None:
    message = cv.scene_to_msg(Scene("s", "base", (view(),)))
    message.views[0].camera_info.width = 7
    with pytest.raises(ShapeError):
        cv.scene_from_msg(message)


@pytest.mark.parametrize("code", [1, 12345])
def test_unknown_codes_are_refused(code: int) -> None:
    message = cv.candidate_to_msg(FlowCandidate("c", "s", Code.OK, "", None, "", ""))
    message.code = code
    with pytest.raises(ShapeError, match=str(code)):
        cv.candidate_from_msg(message)


def test_stamps_are_whole_nanoseconds() -> None:
    assert cv.time_from_ns(1_000_000_001) == Time(sec=1, nanosec=1)


@pytest.mark.parametrize(
    ("shape", "dimensions", "said"),
    [
        (7, [0.1], "shape 7"),
        (nf.Obstacle.BOX, [0.1, 0.1], "3 dimensions, not 2"),
        (nf.Obstacle.BOX, [0.1, -0.1, 0.1], "size"),
        (nf.Obstacle.SPHERE, [0.1, 0.1, 0.1], "1 dimensions, not 3"),
        (nf.Obstacle.SPHERE, [0.0], "radius 0.0"),
        (nf.Obstacle.SPHERE, [math.nan], "not finite"),
        (nf.Obstacle.CAPSULE, [0.1], "2 dimensions, not 1"),
        (nf.Obstacle.CAPSULE, [-0.1, 0.2], "radius -0.1"),
        (nf.Obstacle.CAPSULE, [0.1, -0.2], "-0.2 m long"),
        (nf.Obstacle.CAPSULE, [0.1, math.inf], "not finite"),
    ],
)
def test_malformed_obstacles_are_refused(shape: int, dimensions: list, said: str) -> None:
    message = nf.Obstacle(name="other_1", shape=shape, dimensions=dimensions)
    with pytest.raises(ShapeError, match=f"'other_1'.*{re.escape(said)}") as error:
        cv.obstacle_from_msg(message)
    assert error.value.code == Code.INVALID_MESSAGE


def test_scenes_with_one_name_twice_or_too_many_obstacles_are_refused() -> None:
    ball = nf.Obstacle(name="a", shape=nf.Obstacle.SPHERE, dimensions=[0.1])
    with pytest.raises(ShapeError, match="name of their own"):
        cv.collision_scene_from_msg(nf.CollisionScene(obstacles=[ball, ball]))
    many = [nf.Obstacle(name=f"o{k}", shape=1, dimensions=[0.1]) for k in range(257)]
    with pytest.raises(ShapeError, match="257 obstacles, at most 256"):
        cv.collision_scene_from_msg(nf.CollisionScene(obstacles=many))
