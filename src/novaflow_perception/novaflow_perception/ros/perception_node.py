"""perception_node: captures scenes, grounds instructions, says whether a task is done."""

from __future__ import annotations

import time
import uuid
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image, PointCloud2
from visualization_msgs.msg import MarkerArray

from novaflow_core.errors import Code, PerceptionError, PlatformError
from novaflow_core.grounding import Grounding
from novaflow_core.registry import load_backend
from novaflow_core.scene import Scene
from novaflow_core.settings import setting
from novaflow_msgs.msg import CollisionScene
from novaflow_msgs.srv import CaptureScene, GroundInstruction, ObserveOutcome
from novaflow_perception.core.boxes import GroundedSam2Settings
from novaflow_perception.core.capture import CaptureLimits, assemble
from novaflow_perception.core.fitting import find_fits
from novaflow_perception.core.geometry import collision_scene
from novaflow_perception.core.instruction import parse
from novaflow_perception.ros.camera_feed import CameraFeed
from novaflow_perception.ros.collision_markers import collision_markers
from novaflow_ros import conversions
from novaflow_ros.node import NovaflowNode, run
from novaflow_ros.services import serve
from novaflow_ros.transforms import TransformBuffer

_LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


@dataclass(frozen=True)
class PerceptionSettings(GroundedSam2Settings):
    """Parameters of perception_node."""

    planning_frame: str = setting("fr3_link0", "fixed frame of all 3D data")
    cameras: tuple[str, ...] = setting(
        ("camera:/camera/camera",), "cameras as name:topic_prefix; videos are made from the first"
    )
    grounding: str = setting("tabletop", "grounding backend")
    max_age_s: float = setting(2.0, "oldest image for a capture", unit="s", low=0.05, high=60.0)
    wait_s: float = setting(3.0, "how long to wait for a camera", unit="s", low=0.0, high=60.0)
    first_wait_s: float = setting(
        15.0, "the same, for a camera that has not spoken yet", unit="s", low=0.0, high=60.0
    )
    depth_frames: int = setting(5, "depth images that are merged", low=1, high=15)
    scenes_kept: int = setting(6, "captured scenes that are kept", low=1, high=50)
    cloud_points: int = setting(20000, "points of the published cloud", low=100, high=300000)


class PerceptionNode(NovaflowNode[PerceptionSettings]):
    """Serves capture_scene, ground_instruction and observe_outcome."""

    def __init__(self) -> None:
        """Declare the parameters."""
        super().__init__("perception_node", PerceptionSettings)
        self._feeds: list[CameraFeed] = []
        self._scenes: OrderedDict[str, Scene] = OrderedDict()
        self._groundings: dict[str, Grounding] = {}
        self._transforms: TransformBuffer | None = None

    def setup(self) -> None:
        """Subscribe to the cameras, load the backend, open the services."""
        self._grounder = load_backend("grounding", self.settings.grounding)(self.settings)
        if self._transforms is None:
            self._transforms = TransformBuffer(self)
        for entry in self.settings.cameras:
            name, _, prefix = entry.partition(":")
            if not name or not prefix:
                raise PlatformError(
                    Code.INVALID_SETTING,
                    f"cameras holds '{entry}'; write name:topic_prefix, e.g. camera:/camera/camera",
                )
            self._feeds.append(CameraFeed(self, name, prefix, self.settings.depth_frames))
        # Capturing need not wait for grounding; grounding and observing take turns.
        self._lanes = [ThreadPoolExecutor(1, "capture"), ThreadPoolExecutor(1, "ground")]
        self._services = [
            serve(self, kind, f"/novaflow/{name}", work, lane)
            for kind, name, work, lane in (
                (CaptureScene, "capture_scene", self._capture_scene, self._lanes[0]),
                (GroundInstruction, "ground_instruction", self._ground_instruction, self._lanes[1]),
                (ObserveOutcome, "observe_outcome", self._observe_outcome, self._lanes[1]),
            )
        ]
        self._collision = self.create_publisher(
            CollisionScene, "/novaflow/collision_scene", _LATCHED
        )
        self._markers = self.create_publisher(MarkerArray, "/novaflow/collision_markers", _LATCHED)
        self._cloud = self.create_publisher(PointCloud2, "/novaflow/scene_cloud", _LATCHED)
        self._mask = self.create_publisher(Image, "/novaflow/target_mask", _LATCHED)

    def teardown(self) -> None:
        """Close the services and unsubscribe."""
        for service in self._services:
            self.destroy_service(service)
        for lane in self._lanes:
            lane.shutdown(wait=False, cancel_futures=True)
        for publisher in (self._collision, self._markers, self._cloud, self._mask):
            self.destroy_publisher(publisher)
        for feed in self._feeds:
            feed.destroy()
        self._feeds.clear()

    # --- services ---
    def _capture_scene(self, request: Any, response: Any) -> None:
        scene = self._capture(list(request.cameras), request.max_age or self.settings.max_age_s)
        response.scene = conversions.scene_to_msg(scene)
        self._cloud.publish(self._cloud_of(scene))

    def _ground_instruction(self, request: Any, response: Any) -> None:
        task = parse(request.instruction)
        scene = self._scene(request.scene_id)
        grounding = self._grounder.ground(scene, task)
        self._groundings[scene.scene_id] = grounding
        stamp_ns = scene.main.stamp_ns
        around = collision_scene(scene, grounding)
        obstacles = conversions.collision_scene_to_msg(around, stamp_ns)
        response.grounding = conversions.grounding_to_msg(grounding)
        response.collision_scene = obstacles
        response.fits = [conversions.pose_from_matrix(fit) for fit in find_fits(scene, grounding)]
        response.target_cloud = conversions.cloud_to_msg(
            grounding.points(scene, grounding.target), scene.planning_frame, stamp_ns
        )
        self._collision.publish(obstacles)
        self._markers.publish(collision_markers(around))
        mask = grounding.mask(grounding.target).astype(np.uint8) * 255
        self._mask.publish(conversions.image_to_msg(mask, "mono8", scene.main.frame_id, stamp_ns))

    def _observe_outcome(self, request: Any, response: Any) -> None:
        before = self._scene(request.scene_id)
        grounding = self._groundings.get(request.scene_id)
        flow = conversions.flow_from_msg(request.flow)
        if grounding is None or flow is None:
            missing = "grounded" if grounding is None else "given a flow"
            raise PerceptionError(
                Code.SCENE_UNKNOWN, f"scene '{request.scene_id}' was not {missing}"
            )
        from novaflow_perception.core.outcome import observe

        names = [view.camera for view in before.views]
        after = self._capture(names, self.settings.max_age_s)
        held = conversions.pose_to_matrix(request.held_motion) if request.held else None
        outcome = observe(before, grounding, flow, after, held=held)
        response.code, response.reason = int(outcome.code), outcome.reason
        response.motion = conversions.pose_from_matrix(outcome.motion)
        response.fit, response.scene_id_after = float(outcome.fit), after.scene_id

    # --- scenes ---
    def _capture(self, names: list[str], max_age_s: float) -> Scene:
        """Take a view of every named camera, newer than this call if the camera is not too slow."""
        known = {feed.name: feed for feed in self._feeds}
        unknown = [name for name in names if name not in known]
        if unknown:
            raise PerceptionError(
                Code.NO_CAMERA, f"no camera is called {unknown[0]}; known: {', '.join(known)}"
            )
        assert self._transforms is not None
        limits = CaptureLimits(max_age_s=max_age_s)
        asked_ns, began_s = self.get_clock().now().nanoseconds, time.monotonic()
        views = []
        for feed in [known[name] for name in names] or self._feeds:
            # Images come in another thread. Those of a graph that has just started may be late:
            # its processes find each other one by one.
            patience_s = self.settings.wait_s
            if feed.silent_topics():
                patience_s = max(patience_s, self.settings.first_wait_s)
            feed.wait_newer(asked_ns, max(0.0, patience_s - (time.monotonic() - began_s)))
            raw = feed.raw_view()
            pose = self._transforms.lookup(self.settings.planning_frame, raw.frame_id)
            views.append(assemble(raw, pose, self.get_clock().now().nanoseconds, limits))
        scene = Scene(uuid.uuid4().hex[:12], self.settings.planning_frame, tuple(views))
        self._scenes[scene.scene_id] = scene
        while len(self._scenes) > self.settings.scenes_kept:
            self._groundings.pop(self._scenes.popitem(last=False)[0], None)
        return scene

    def _scene(self, scene_id: str) -> Scene:
        if scene_id not in self._scenes:
            raise PerceptionError(
                Code.SCENE_UNKNOWN,
                f"scene '{scene_id}' is not known here; kept are the last {len(self._scenes)}: "
                f"{', '.join(self._scenes) or 'none'}",
            )
        return self._scenes[scene_id]

    def _cloud_of(self, scene: Scene) -> PointCloud2:
        points = np.concatenate([view.points().reshape(-1, 3) for view in scene.views])
        colors = np.concatenate([view.color.reshape(-1, 3) for view in scene.views])
        seen = np.flatnonzero(np.isfinite(points[:, 0]))
        seen = seen[:: max(1, -(-len(seen) // self.settings.cloud_points))]
        return conversions.cloud_to_msg(
            points[seen], scene.planning_frame, scene.main.stamp_ns, colors[seen]
        )


def main() -> None:
    """Run the node."""
    run(PerceptionNode, threads=1)
