"""Captures scenes, finds what the instruction names in them, and observes how the task ended."""

from __future__ import annotations

import time
import traceback
import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image, PointCloud2

from novaflow_core.errors import Code, NovaflowError, PerceptionError, PlatformError
from novaflow_core.grounding import Grounding
from novaflow_core.registry import load_backend
from novaflow_core.scene import Scene
from novaflow_core.settings import setting
from novaflow_msgs import msg as nf
from novaflow_msgs.srv import CaptureScene, GroundInstruction, ObserveOutcome
from novaflow_perception.core.capture import make_view
from novaflow_perception.core.geometry import collision_scene
from novaflow_perception.core.instruction import parse
from novaflow_perception.core.outcome import observe
from novaflow_perception.ros.camera_feed import CameraFeed
from novaflow_ros import conversions
from novaflow_ros.node import NovaflowNode, run
from novaflow_ros.transforms import TransformBuffer

SCENES_KEPT = 4
CLOUD_POINTS = 20_000
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


@dataclass(frozen=True)
class PerceptionSettings:
    """Parameters of perception_node."""

    cameras: tuple[str, ...] = setting(("camera",), "Names of the cameras, the main one first.")
    prefixes: tuple[str, ...] = setting(
        ("/camera/camera",), "Topic prefix of each camera, e.g. /camera/camera."
    )
    planning_frame: str = setting("fr3_link0", "Fixed frame of all 3D data.")
    grounding: str = setting("tabletop", "Grounding backend.")
    depth_frames: int = setting(
        5, "Depth images that one capture averages; the scene must be at rest.", low=1, high=12
    )
    camera_timeout_s: float = setting(
        3.0, "How long a capture waits for images.", unit="s", low=0.1, high=60.0
    )
    max_age_s: float = setting(
        1.0, "Images older than this are refused.", unit="s", low=0.01, high=60.0
    )


class PerceptionNode(NovaflowNode[PerceptionSettings]):
    """Serves capture_scene, ground_instruction and observe_outcome."""

    def __init__(self) -> None:
        """Declare the parameters."""
        super().__init__("perception_node", PerceptionSettings)

    def setup(self) -> None:
        """Load the backend, subscribe to the cameras, open the services."""
        names, prefixes = self.settings.cameras, self.settings.prefixes
        if len(names) != len(prefixes) or not names:
            raise PlatformError(
                Code.INVALID_SETTING,
                f"{len(names)} cameras and {len(prefixes)} prefixes; every camera needs one",
            )
        self._grounder = load_backend("grounding", self.settings.grounding)()
        self._scenes: OrderedDict[str, tuple[Scene, Grounding | None]] = OrderedDict()
        self._transforms = TransformBuffer(self)
        self._feeds = [CameraFeed(self, n, p) for n, p in zip(names, prefixes, strict=True)]
        group = ReentrantCallbackGroup()
        self._servers = [
            self.create_service(kind, name, self._answer(kind, work), callback_group=group)
            for kind, name, work in (
                (CaptureScene, "/novaflow/capture_scene", self._capture),
                (GroundInstruction, "/novaflow/ground_instruction", self._ground),
                (ObserveOutcome, "/novaflow/observe_outcome", self._observe),
            )
        ]
        self._obstacles = self.create_publisher(
            nf.CollisionScene, "/novaflow/collision_scene", LATCHED
        )
        self._cloud = self.create_publisher(PointCloud2, "/novaflow/scene_cloud", LATCHED)
        self._mask = self.create_publisher(Image, "/novaflow/target_mask", LATCHED)

    def teardown(self) -> None:
        """End services and subscriptions."""
        for server in self._servers:
            self.destroy_service(server)
        for feed in self._feeds:
            feed.destroy()

    def _answer(self, kind: Any, work: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
        """Wrap a service: the one place where errors become codes."""

        def callback(request: Any, _response: Any) -> Any:
            try:
                if not self.active:
                    raise PlatformError(Code.NOT_ACTIVE, "perception_node is not active")
                return work(request)
            except NovaflowError as error:
                self.get_logger().warning(str(error))
                return kind.Response(code=int(error.code), reason=error.reason)
            except Exception as error:
                self.get_logger().error(f"unexpected failure:\n{traceback.format_exc()}")
                return kind.Response(
                    code=int(Code.INTERNAL), reason=f"{type(error).__name__}: {error}"
                )

        return callback

    def _capture(self, request: CaptureScene.Request) -> CaptureScene.Response:
        scene = self._take(list(request.cameras), request.max_age or self.settings.max_age_s)
        self._cloud.publish(_cloud_message(scene))
        return CaptureScene.Response(scene=conversions.scene_to_msg(scene))

    def _take(self, cameras: list[str], max_age_s: float) -> Scene:
        unknown = set(cameras) - set(self.settings.cameras)
        if unknown:
            raise PerceptionError(
                Code.NO_CAMERA,
                f"no camera is called {', '.join(sorted(unknown))}; "
                f"there are {', '.join(self.settings.cameras)}",
            )
        since = time.monotonic()
        views = []
        for feed in self._feeds:
            if cameras and feed.name not in cameras:
                continue
            frame_id, frames, model = feed.frames(
                self.settings.depth_frames, since, self.settings.camera_timeout_s, max_age_s
            )
            T_planning_camera = self._transforms.lookup(self.settings.planning_frame, frame_id)
            views.append(make_view(feed.name, frame_id, frames, model, T_planning_camera))
        scene = Scene(f"scene-{uuid.uuid4().hex[:12]}", self.settings.planning_frame, tuple(views))
        self._remember(scene, None)
        return scene

    def _remember(self, scene: Scene, grounding: Grounding | None) -> None:
        self._scenes[scene.scene_id] = (scene, grounding)
        self._scenes.move_to_end(scene.scene_id)
        while len(self._scenes) > SCENES_KEPT:
            self._scenes.popitem(last=False)

    def _recall(self, scene_id: str) -> tuple[Scene, Grounding | None]:
        if scene_id not in self._scenes:
            raise PerceptionError(
                Code.SCENE_UNKNOWN,
                f"scene '{scene_id}' is not held; the last {SCENES_KEPT} are. Capture it again",
            )
        return self._scenes[scene_id]

    def _ground(self, request: GroundInstruction.Request) -> GroundInstruction.Response:
        task = parse(request.instruction)
        scene, _ = self._recall(request.scene_id)
        grounding = self._grounder.ground(scene, task)
        self._remember(scene, grounding)
        view = scene.main
        obstacles = conversions.collision_scene_to_msg(
            collision_scene(scene, grounding), view.stamp_ns
        )
        self._obstacles.publish(obstacles)
        mask = grounding.mask(grounding.target).astype(np.uint8) * 255
        self._mask.publish(conversions.image_to_msg(mask, "mono8", view.frame_id, view.stamp_ns))
        points = grounding.points(scene, grounding.target)
        return GroundInstruction.Response(
            grounding=conversions.grounding_to_msg(grounding),
            collision_scene=obstacles,
            target_cloud=conversions.cloud_to_msg(points, scene.planning_frame, view.stamp_ns),
        )

    def _observe(self, request: ObserveOutcome.Request) -> ObserveOutcome.Response:
        before, grounding = self._recall(request.scene_id)
        flow = conversions.flow_from_msg(request.flow)
        if grounding is None or flow is None:
            raise PerceptionError(
                Code.SCENE_UNKNOWN, f"scene '{request.scene_id}' was not grounded, or no flow came"
            )
        after = self._take([], self.settings.max_age_s)
        outcome = observe(before, grounding, flow, after)
        return ObserveOutcome.Response(
            code=int(outcome.code),
            reason=outcome.reason,
            motion=conversions.pose_from_matrix(outcome.motion),
            fit=float(outcome.fit),
            scene_id_after=after.scene_id,
        )


def _cloud_message(scene: Scene) -> PointCloud2:
    view = scene.main
    points, colors = view.points().reshape(-1, 3), view.color.reshape(-1, 3)
    known = np.flatnonzero(np.isfinite(points).all(axis=1))
    kept = known[:: max(1, len(known) // CLOUD_POINTS)]
    return conversions.cloud_to_msg(
        points[kept], scene.planning_frame, view.stamp_ns, np.ascontiguousarray(colors[kept])
    )


def main() -> None:
    """Run the node."""
    run(PerceptionNode)
