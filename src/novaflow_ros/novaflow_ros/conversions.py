"""The only code that translates between messages and the vocabulary.

Arrays are assigned from buffers (`array.array.frombytes`): assigning NumPy arrays makes rclpy check
element by element, which costs 200 ms for a 720p image instead of 0.4 ms.
"""

from __future__ import annotations

import array
import math
from collections.abc import Sequence

import numpy as np
from builtin_interfaces.msg import Duration, Time
from geometry_msgs.msg import Point, Pose, Vector3
from numpy.typing import ArrayLike, NDArray
from sensor_msgs.msg import CameraInfo, Image, PointCloud2, PointField
from shape_msgs.msg import Plane as PlaneMsg
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from novaflow_core import se3
from novaflow_core.camera import CameraModel
from novaflow_core.candidate import CandidateFeasibility, CandidateScore, FlowCandidate, Gate
from novaflow_core.errors import Code, ShapeError
from novaflow_core.flow import MotionKind, ObjectFlow
from novaflow_core.grasp import Grasp
from novaflow_core.grounding import Box, CollisionScene, GroundedObject, Grounding, Role
from novaflow_core.scene import Plane, RgbdView, Scene
from novaflow_core.task import Direction, Motion, ObjectPhrase, Relation, TaskSpec
from novaflow_msgs import msg as nf

_IMAGE_TYPES = {
    "rgb8": (np.uint8, 3),
    "bgr8": (np.uint8, 3),
    "mono8": (np.uint8, 1),
    "8UC1": (np.uint8, 1),
    "16UC1": (np.uint16, 1),
    "mono16": (np.uint16, 1),
    "32FC1": (np.float32, 1),
}


# --- elements -------------------------------------------------------------------------------------
def buffer(values: ArrayLike, typecode: str) -> array.array:  # type: ignore[type-arg]
    """Pack an array into the flat buffer of a message field; `typecode` 'B', 'f' or 'd'."""
    out = array.array(typecode)
    out.frombytes(np.ascontiguousarray(values, np.dtype(typecode)).data.cast("B"))
    return out


def time_from_ns(stamp_ns: int) -> Time:
    """Time message of nanoseconds."""
    sec, nanosec = divmod(int(stamp_ns), 1_000_000_000)
    return Time(sec=sec, nanosec=nanosec)


def time_to_ns(stamp: Time) -> int:
    """Nanoseconds of a time message."""
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def pose_from_matrix(transform: NDArray[np.float64]) -> Pose:
    """Pose message of a transform (4, 4)."""
    out = Pose()
    out.position.x, out.position.y, out.position.z = (float(v) for v in transform[:3, 3])
    x, y, z, w = (float(v) for v in se3.quaternion_xyzw(transform[:3, :3]))
    out.orientation.x, out.orientation.y, out.orientation.z, out.orientation.w = x, y, z, w
    return out


def pose_to_matrix(pose: Pose) -> NDArray[np.float64]:
    """Transform (4, 4) of a pose message.

    Raises:
        ShapeError: If the quaternion has no length.
    """
    q = pose.orientation
    quaternion = np.array([q.x, q.y, q.z, q.w])
    if not np.linalg.norm(quaternion) > 1e-6:
        raise ShapeError(f"the pose's quaternion is {quaternion.tolist()}; it must have length 1")
    p = pose.position
    return se3.from_rt(se3.rotation_from_xyzw(quaternion), [p.x, p.y, p.z])


def plane_to_msg(plane: Plane) -> PlaneMsg:
    """Plane message of a plane."""
    return PlaneMsg(coef=np.array([*plane.normal, plane.offset], float))


def plane_from_msg(message: PlaneMsg) -> Plane:
    """Plane of a plane message."""
    coef = np.asarray(message.coef, float)
    return Plane(coef[:3].copy(), float(coef[3]))


# --- images and views -----------------------------------------------------------------------------
def image_to_msg(
    image: NDArray[np.generic], encoding: str, frame_id: str = "", stamp_ns: int = 0
) -> Image:
    """Image message of an array (H, W) or (H, W, 3) that already has the encoding's layout."""
    out = Image(height=image.shape[0], width=image.shape[1], encoding=encoding, is_bigendian=0)
    out.header.frame_id = frame_id
    out.header.stamp = time_from_ns(stamp_ns)
    out.step = int(image.strides[0]) if image.flags.c_contiguous else int(image[0].nbytes)
    out.data = buffer(np.ascontiguousarray(image).view(np.uint8), "B")
    return out


def image_from_msg(message: Image) -> NDArray[np.generic]:
    """Array (H, W) or (H, W, 3) of an image message, as a read-only view of its buffer.

    Raises:
        ShapeError: If the encoding is not known or the data is shorter than its size says.
    """
    if message.encoding not in _IMAGE_TYPES:
        raise ShapeError(
            f"image encoding '{message.encoding}' is not one of {', '.join(_IMAGE_TYPES)}"
        )
    dtype, channels = _IMAGE_TYPES[message.encoding]
    row = message.width * channels * np.dtype(dtype).itemsize
    step = message.step or row
    data = np.frombuffer(message.data, np.uint8)
    if step < row or data.size < step * message.height or not row:
        raise ShapeError(
            f"image of {message.width}x{message.height} {message.encoding} holds {data.size} bytes"
        )
    rows = data[: step * message.height].reshape(message.height, step)[:, :row]
    order = ">" if message.is_bigendian else "<"
    out = (
        np.ascontiguousarray(rows)
        .view(np.dtype(dtype).newbyteorder(order))
        .reshape(message.height, message.width, -1)
    )
    return out[..., 0] if channels == 1 else out


def color_from_msg(message: Image) -> NDArray[np.uint8]:
    """Colour image (H, W, 3) uint8 RGB of an rgb8 or bgr8 message."""
    image = image_from_msg(message)
    if image.ndim != 3:
        raise ShapeError(f"a colour image was expected, not {message.encoding}")
    return np.ascontiguousarray(image[..., ::-1] if message.encoding == "bgr8" else image)


def depth_from_msg(message: Image) -> NDArray[np.float32]:
    """Depth image (H, W) float32 [m]; NaN where the sensor saw nothing.

    REP-118: 32FC1 is metres, raw 16UC1 millimetres.
    """
    image = image_from_msg(message)
    if message.encoding in ("16UC1", "mono16"):
        depth = image.astype(np.float32) * np.float32(1e-3)
    elif message.encoding == "32FC1":
        depth = image.astype(np.float32)
    else:
        raise ShapeError(f"depth encoding '{message.encoding}' is neither 32FC1 nor 16UC1")
    depth[~(np.isfinite(depth) & (depth > 0))] = np.nan
    return depth


def camera_info_to_msg(model: CameraModel, frame_id: str, stamp_ns: int = 0) -> CameraInfo:
    """CameraInfo message of a camera without distortion."""
    out = CameraInfo(
        width=model.width, height=model.height, distortion_model="plumb_bob", d=[0.0] * 5
    )
    out.header.frame_id = frame_id
    out.header.stamp = time_from_ns(stamp_ns)
    out.k = model.matrix.ravel()
    out.r = np.eye(3).ravel()
    out.p = np.hstack([model.matrix, np.zeros((3, 1))]).ravel()
    return out


def camera_info_from_msg(message: CameraInfo) -> CameraModel:
    """Camera of a CameraInfo message.

    Raises:
        ShapeError: If the focal length is not positive.
    """
    k = np.asarray(message.k, float)
    if not (k[0] > 0 and k[4] > 0):
        raise ShapeError(
            f"camera_info has focal lengths {k[0]}, {k[4]} px; the camera is not calibrated"
        )
    return CameraModel(
        int(message.width), int(message.height), *(float(k[i]) for i in (0, 4, 2, 5))
    )


def scene_to_msg(scene: Scene) -> nf.Scene:
    """Scene message of a scene."""
    return nf.Scene(
        scene_id=scene.scene_id,
        planning_frame=scene.planning_frame,
        views=[_view_to_msg(view) for view in scene.views],
    )


def scene_from_msg(message: nf.Scene) -> Scene:
    """Scene of a scene message.

    Raises:
        ShapeError: If it holds no view or its parts disagree.
    """
    if not message.views:
        raise ShapeError(f"scene '{message.scene_id}' holds no view")
    return Scene(
        message.scene_id,
        message.planning_frame,
        tuple(_view_from_msg(view) for view in message.views),
    )


def _view_to_msg(view: RgbdView) -> nf.View:
    out = nf.View(camera=view.camera, pose=pose_from_matrix(view.T_planning_camera))
    out.header.frame_id = view.frame_id
    out.header.stamp = time_from_ns(view.stamp_ns)
    out.color = image_to_msg(view.color, "rgb8", view.frame_id, view.stamp_ns)
    out.depth = image_to_msg(view.depth.astype(np.float32), "32FC1", view.frame_id, view.stamp_ns)
    out.camera_info = camera_info_to_msg(view.model, view.frame_id, view.stamp_ns)
    return out


def _view_from_msg(message: nf.View) -> RgbdView:
    return RgbdView(
        camera=message.camera,
        frame_id=message.header.frame_id,
        stamp_ns=time_to_ns(message.header.stamp),
        color=color_from_msg(message.color),
        depth=depth_from_msg(message.depth),
        model=camera_info_from_msg(message.camera_info),
        T_planning_camera=pose_to_matrix(message.pose),
    )


# --- task and grounding ---------------------------------------------------------------------------
def task_to_msg(task: TaskSpec) -> nf.TaskSpec:
    """TaskSpec message of a parsed instruction."""
    return nf.TaskSpec(
        instruction=task.instruction,
        motion=task.motion.value,
        direction=task.direction.value if task.direction else "",
        relation=task.relation.value if task.relation else "",
        target=_phrase_to_msg(task.target),
        references=[_phrase_to_msg(phrase) for phrase in task.references],
        distance=math.nan if task.distance_m is None else task.distance_m,
        angle=math.nan if task.angle_rad is None else task.angle_rad,
    )


def task_from_msg(message: nf.TaskSpec) -> TaskSpec:
    """Parsed instruction of a TaskSpec message."""
    return TaskSpec(
        instruction=message.instruction,
        motion=Motion(message.motion),
        target=_phrase_from_msg(message.target),
        direction=Direction(message.direction) if message.direction else None,
        relation=Relation(message.relation) if message.relation else None,
        references=tuple(_phrase_from_msg(phrase) for phrase in message.references),
        distance_m=None if math.isnan(message.distance) else message.distance,
        angle_rad=None if math.isnan(message.angle) else message.angle,
    )


def _phrase_to_msg(phrase: ObjectPhrase) -> nf.ObjectPhrase:
    return nf.ObjectPhrase(
        text=phrase.text,
        noun=phrase.noun,
        colour=phrase.colour,
        size=phrase.size,
        place=phrase.place,
    )


def _phrase_from_msg(message: nf.ObjectPhrase) -> ObjectPhrase:
    return ObjectPhrase(message.text, message.noun, message.colour, message.size, message.place)


def grounding_to_msg(grounding: Grounding) -> nf.Grounding:
    """Grounding message of a grounding."""
    return nf.Grounding(
        scene_id=grounding.scene_id,
        task=task_to_msg(grounding.task),
        support=plane_to_msg(grounding.support),
        labels=[image_to_msg(labels, "mono8") for labels in grounding.labels],
        objects=[
            nf.GroundedObject(
                label=item.label,
                role=item.role.value,
                description=item.description,
                score=float(item.score),
                corners=[Point(x=float(x), y=float(y), z=float(z)) for x, y, z in item.corners],
            )
            for item in grounding.objects
        ],
    )


def grounding_from_msg(message: nf.Grounding) -> Grounding:
    """Grounding of a grounding message."""
    return Grounding(
        scene_id=message.scene_id,
        task=task_from_msg(message.task),
        support=plane_from_msg(message.support),
        labels=tuple(np.asarray(image_from_msg(labels), np.uint8) for labels in message.labels),
        objects=tuple(
            GroundedObject(
                label=int(item.label),
                role=Role(item.role),
                description=item.description,
                score=float(item.score),
                corners=np.array([[p.x, p.y, p.z] for p in item.corners]).reshape(-1, 3),
            )
            for item in message.objects
        ),
    )


def collision_scene_to_msg(scene: CollisionScene, stamp_ns: int = 0) -> nf.CollisionScene:
    """CollisionScene message."""
    out = nf.CollisionScene(scene_id=scene.scene_id, support=plane_to_msg(scene.support))
    out.header.frame_id = scene.planning_frame
    out.header.stamp = time_from_ns(stamp_ns)
    out.names = [box.name for box in scene.boxes]
    out.poses = [pose_from_matrix(box.T_planning_box) for box in scene.boxes]
    out.sizes = [
        Vector3(x=float(s[0]), y=float(s[1]), z=float(s[2]))
        for s in (box.size for box in scene.boxes)
    ]
    return out


def collision_scene_from_msg(message: nf.CollisionScene) -> CollisionScene:
    """Collision scene of a message.

    Raises:
        ShapeError: If names, poses and sizes differ in number.
    """
    if not len(message.names) == len(message.poses) == len(message.sizes):
        raise ShapeError(
            f"collision scene: {len(message.names)} names, {len(message.poses)} poses, "
            f"{len(message.sizes)} sizes"
        )
    boxes = tuple(
        Box(name, pose_to_matrix(pose), np.array([size.x, size.y, size.z]))
        for name, pose, size in zip(message.names, message.poses, message.sizes, strict=True)
    )
    return CollisionScene(
        message.scene_id, message.header.frame_id, plane_from_msg(message.support), boxes
    )


def cloud_to_msg(
    points: ArrayLike, frame_id: str, stamp_ns: int = 0, rgb: NDArray[np.uint8] | None = None
) -> PointCloud2:
    """PointCloud2 of points (N, 3) [m], with packed `rgb` when colours (N, 3) uint8 are given."""
    xyz = np.asarray(points, np.float32).reshape(-1, 3)
    names = ["x", "y", "z"]
    columns = xyz
    if rgb is not None:
        packed = (
            (rgb.astype(np.uint32) << np.array([16, 8, 0], np.uint32)).sum(axis=1).astype(np.uint32)
        )
        columns = np.hstack([xyz, packed.view(np.float32)[:, None]])
        names.append("rgb")
    out = PointCloud2(height=1, width=len(columns), is_dense=bool(np.isfinite(xyz).all()))
    out.header.frame_id = frame_id
    out.header.stamp = time_from_ns(stamp_ns)
    out.fields = [
        PointField(name=n, offset=4 * i, datatype=PointField.FLOAT32, count=1)
        for i, n in enumerate(names)
    ]
    out.point_step = 4 * len(names)
    out.row_step = out.point_step * len(columns)
    out.data = buffer(np.ascontiguousarray(columns).view(np.uint8), "B")
    return out


def cloud_from_msg(message: PointCloud2) -> NDArray[np.float64]:
    """Points (N, 3) [m] of a PointCloud2 with float32 x, y, z; rows with NaN are left out."""
    offsets = {f.name: f.offset for f in message.fields if f.datatype == PointField.FLOAT32}
    if not {"x", "y", "z"} <= offsets.keys():
        raise ShapeError(f"point cloud has float32 fields {sorted(offsets)}, not x, y, z")
    dtype = np.dtype(
        {
            "names": ["x", "y", "z"],
            "formats": ["<f4"] * 3,
            "offsets": [offsets[n] for n in "xyz"],
            "itemsize": message.point_step,
        }
    )
    rows = np.frombuffer(message.data, dtype, count=message.width * message.height)
    points = np.stack([rows["x"], rows["y"], rows["z"]], -1).astype(float)
    return points[np.isfinite(points).all(axis=1)]


# --- flows and candidates -------------------------------------------------------------------------
def flow_to_msg(flow: ObjectFlow | None) -> nf.ObjectFlow3D:
    """ObjectFlow3D message; None becomes a message with 0 steps."""
    if flow is None:
        return nf.ObjectFlow3D()
    out = nf.ObjectFlow3D(
        label=flow.label,
        kind=flow.kind.value,
        steps=flow.steps,
        point_count=flow.point_count,
        dt=float(flow.dt_s),
    )
    out.header.frame_id = flow.frame_id
    out.header.stamp = time_from_ns(flow.stamp_ns)
    out.points = buffer(flow.points, "f")
    out.visible = buffer(flow.visible, "B")
    out.confidence = buffer(flow.confidence, "f")
    return out


def flow_from_msg(message: nf.ObjectFlow3D) -> ObjectFlow | None:
    """Object flow of a message; None when it has 0 steps.

    Raises:
        ShapeError: If the arrays are not as long as the size fields say.
    """
    if message.steps == 0:
        return None
    shape = (int(message.steps), int(message.point_count))
    cells = shape[0] * shape[1]
    if (
        len(message.points) != 3 * cells
        or len(message.visible) != cells
        or len(message.confidence) != cells
    ):
        raise ShapeError(
            f"flow of {shape[0]} steps, {shape[1]} points holds {len(message.points)} coordinates, "
            f"{len(message.visible)} visibilities, {len(message.confidence)} confidences"
        )
    return ObjectFlow(
        points=np.frombuffer(message.points, np.float32).reshape(*shape, 3),
        visible=np.frombuffer(message.visible, np.uint8).reshape(shape).astype(bool),
        confidence=np.frombuffer(message.confidence, np.float32).reshape(shape),
        dt_s=float(message.dt),
        frame_id=message.header.frame_id,
        stamp_ns=time_to_ns(message.header.stamp),
        label=message.label,
        kind=MotionKind(message.kind),
    )


def candidate_to_msg(candidate: FlowCandidate) -> nf.FlowCandidate:
    """FlowCandidate message."""
    return nf.FlowCandidate(
        candidate_id=candidate.candidate_id,
        scene_id=candidate.scene_id,
        code=int(candidate.code),
        reason=candidate.reason,
        flow=flow_to_msg(candidate.flow),
        video_uri=candidate.video_uri,
        video_sha256=candidate.video_sha256,
        stats=values_to_msg(candidate.stats),
    )


def candidate_from_msg(message: nf.FlowCandidate) -> FlowCandidate:
    """Candidate of a FlowCandidate message."""
    return FlowCandidate(
        candidate_id=message.candidate_id,
        scene_id=message.scene_id,
        code=Code(message.code),
        reason=message.reason,
        flow=flow_from_msg(message.flow),
        video_uri=message.video_uri,
        video_sha256=message.video_sha256,
        stats={item.name: float(item.value) for item in message.stats},
    )


def values_to_msg(values: dict[str, float]) -> list[nf.NamedValue]:
    """NamedValue messages of named numbers."""
    return [nf.NamedValue(name=name, value=float(value)) for name, value in values.items()]


def score_to_msg(score: CandidateScore) -> nf.CandidateScore:
    """CandidateScore message."""
    return nf.CandidateScore(
        candidate_id=score.candidate_id,
        valid=score.valid,
        score=float(score.score),
        gates=[
            nf.Gate(
                name=g.name,
                value=float(g.value),
                threshold=float(g.threshold),
                passed=bool(g.passed),
                reason=g.reason,
            )
            for g in score.gates
        ],
    )


def score_from_msg(message: nf.CandidateScore) -> CandidateScore:
    """Score of a CandidateScore message."""
    gates = tuple(Gate(g.name, g.value, g.threshold, g.passed, g.reason) for g in message.gates)
    return CandidateScore(message.candidate_id, float(message.score), gates)


def grasp_to_msg(grasp: Grasp | None, frame_id: str = "") -> nf.Grasp:
    """Grasp message; None becomes a message with width NaN."""
    out = nf.Grasp(width=math.nan)
    out.header.frame_id = frame_id
    if grasp is not None:
        out.pose = pose_from_matrix(grasp.T_planning_tcp)
        out.width = float(grasp.width_m)
        out.score = float(grasp.score)
    return out


def grasp_from_msg(message: nf.Grasp) -> Grasp | None:
    """Grasp of a message; None when its width is NaN."""
    if math.isnan(message.width):
        return None
    return Grasp(pose_to_matrix(message.pose), float(message.width), float(message.score))


def feasibility_to_msg(
    feasibility: CandidateFeasibility, frame_id: str = ""
) -> nf.CandidateFeasibility:
    """CandidateFeasibility message."""
    return nf.CandidateFeasibility(
        candidate_id=feasibility.candidate_id,
        checked=feasibility.checked,
        feasible=feasibility.feasible,
        code=int(feasibility.code),
        reason=feasibility.reason,
        score=float(feasibility.score),
        grasp=grasp_to_msg(feasibility.grasp, frame_id),
        grasps_tried=feasibility.grasps_tried,
    )


def feasibility_from_msg(message: nf.CandidateFeasibility) -> CandidateFeasibility:
    """Feasibility of a CandidateFeasibility message."""
    return CandidateFeasibility(
        candidate_id=message.candidate_id,
        checked=message.checked,
        code=Code(message.code),
        reason=message.reason,
        score=float(message.score),
        grasp=grasp_from_msg(message.grasp),
        grasps_tried=int(message.grasps_tried),
    )


# --- robot ----------------------------------------------------------------------------------------------------------
def trajectory_to_msg(
    joint_names: Sequence[str],
    time_s: ArrayLike,
    position: ArrayLike,
    velocity: ArrayLike,
    acceleration: ArrayLike,
) -> JointTrajectory:
    """JointTrajectory message of N joints at M times; its stamp is zero, which means: start now.

    Args:
        joint_names: N names, in the order of the columns.
        time_s: (M,) [s] from the start.
        position: (M, N) [rad].
        velocity: (M, N) [rad/s].
        acceleration: (M, N) [rad/s^2].
    """
    out = JointTrajectory(joint_names=list(joint_names))
    rows = zip(
        np.asarray(time_s, float),
        np.asarray(position, float),
        np.asarray(velocity, float),
        np.asarray(acceleration, float),
        strict=True,
    )
    for seconds, q, qd, qdd in rows:
        sec, nanosec = divmod(round(float(seconds) * 1e9), 1_000_000_000)
        point = JointTrajectoryPoint(time_from_start=Duration(sec=sec, nanosec=nanosec))
        point.positions, point.velocities = buffer(q, "d"), buffer(qd, "d")
        point.accelerations = buffer(qdd, "d")
        out.points.append(point)
    return out
