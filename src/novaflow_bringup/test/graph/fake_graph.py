"""The other nodes of the graph, answering at once with small valid messages."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import rclpy
import rclpy.executors
from rclpy.action import ActionServer, CancelResponse
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.context import Context
from rclpy.node import Node

from novaflow_core import candidate as core
from novaflow_core.camera import CameraModel
from novaflow_core.errors import Code
from novaflow_core.flow import ObjectFlow
from novaflow_core.grounding import GroundedObject, Grounding, Role
from novaflow_core.scene import Plane, RgbdView, Scene
from novaflow_core.task import Motion, ObjectPhrase, Relation, TaskSpec
from novaflow_msgs import action, msg, srv
from novaflow_ros import conversions
from novaflow_ros.artifacts import to_path, to_uri

PRODUCT = (
    "perception_node",
    "tracker_node",
    "flowgen_node",
    "selector_node",
    "executor_node",
    "guard_node",
)
WIDTH, HEIGHT = 64, 48


def scene(scene_id: str = "scene_1") -> Scene:
    """A small flat view."""
    view = RgbdView(
        camera="camera",
        frame_id="camera_color_optical_frame",
        stamp_ns=1,
        color=np.full((HEIGHT, WIDTH, 3), 128, np.uint8),
        depth=np.full((HEIGHT, WIDTH), 0.7, np.float32),
        model=CameraModel(WIDTH, HEIGHT, 60.0, 60.0, 31.5, 23.5),
        T_planning_camera=np.eye(4),
    )
    return Scene(scene_id, "fr3_link0", (view,))


def grounding(scene_id: str, instruction: str) -> Grounding:
    """Something to move onto something."""
    task = TaskSpec(
        instruction,
        Motion.MOVE,
        ObjectPhrase("the cup", noun="cup"),
        relation=Relation.ON,
        references=(ObjectPhrase("the saucer", noun="saucer"),),
    )
    labels = np.ones((HEIGHT, WIDTH), np.uint8)
    box = np.zeros((8, 3))
    return Grounding(
        scene_id,
        task,
        Plane(np.array([0.0, 0.0, 1.0]), 0.0),
        (labels,),
        (
            GroundedObject(2, Role.TARGET, "cup", 0.9, box),
            GroundedObject(3, Role.REFERENCE, "saucer", 0.8, box),
        ),
    )


def flow(steps: int = 41, count: int = 64) -> ObjectFlow:
    """A straight lift."""
    points = np.zeros((steps, count, 3), np.float32)
    points[:, :, 2] = np.linspace(0, 0.1, steps)[:, None]
    shape = (steps, count)
    return ObjectFlow(points, np.ones(shape, bool), np.ones(shape, np.float32), 0.1, "fr3_link0")


class FakeGraph:
    """Every node that task_node talks to, in one process and context of its own.

    Attributes:
        codes: What a stage answers instead of OK, by name ("capture", "ground", "generate", ...).
        seconds: How long a stage takes, by name; it ends early when it is cancelled.
        silent: Names of nodes whose heartbeat has stopped; their servers hang.
        log: Names of the stages that were asked, in order, with ":cancelled" where they were.
    """

    def __init__(self, domain: int, nodes: tuple[str, ...] = PRODUCT) -> None:
        """Start the nodes."""
        self.codes: dict[str, Code] = {}
        self.seconds: dict[str, float] = {}
        self.silent: set[str] = set()
        self.log: list[str] = []
        self.busy_s = 0.0
        self._context = Context()
        rclpy.init(context=self._context, domain_id=domain)
        self._executor = rclpy.executors.MultiThreadedExecutor(8, context=self._context)
        self._servers: list[Any] = []
        self._beats = []
        for name in nodes:
            node = Node(name, context=self._context, start_parameter_services=False)
            publisher = node.create_publisher(msg.Heartbeat, "/novaflow/heartbeat", 10)
            self._beats.append((name, publisher))
            getattr(self, f"_{name}", lambda _node: None)(node)
            self._executor.add_node(node)
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self._thread.start()
        self._closing = threading.Event()
        self._heart = threading.Thread(target=self._beat, daemon=True)
        self._heart.start()

    def reset(self) -> None:
        """Do as the nodes should, and forget what was asked."""
        for kept in (self.codes, self.seconds, self.silent, self.log):
            kept.clear()
        self.busy_s = 0.0

    def close(self) -> None:
        """Stop everything."""
        self.silent.clear()
        self._closing.set()
        self._heart.join(2.0)
        self._executor.shutdown(timeout_sec=2.0)
        for server in self._servers:
            server.destroy()
        for node in self._executor.get_nodes():
            node.destroy_node()
        rclpy.try_shutdown(context=self._context)
        self._thread.join(2.0)

    def _beat(self) -> None:
        while not self._closing.wait(0.1):
            for name, publisher in self._beats:
                if name not in self.silent:
                    publisher.publish(msg.Heartbeat(node=name, pid=os.getpid(), active=True))

    # --- the nodes ---
    def _perception_node(self, node: Node) -> None:
        self._service(node, srv.CaptureScene, "capture_scene", self._capture)
        self._service(node, srv.GroundInstruction, "ground_instruction", self._ground)
        self._service(node, srv.ObserveOutcome, "observe_outcome", self._observe)

    def _tracker_node(self, node: Node) -> None:
        self._service(node, srv.TrackObject, "track_object", self._track)

    def _flowgen_node(self, node: Node) -> None:
        self._action(node, action.GenerateFlows, "generate_flows", self._generate)

    def _selector_node(self, node: Node) -> None:
        self._action(node, action.SelectFlow, "select_flow", self._select)

    def _executor_node(self, node: Node) -> None:
        self._action(node, action.ClearView, "clear_view", self._clear)
        self._action(node, action.ScoreFlows, "score_flows", self._score)
        self._action(node, action.ExecuteFlow, "execute_flow", self._execute)

    def _recorder_node(self, node: Node) -> None:
        self._service(node, srv.SetRecording, "set_recording", self._recording)

    # --- their answers ---
    def _capture(self, _request: Any, answer: Any) -> None:
        answer.code, answer.reason = self._work("capture", "perception_node")
        answer.scene = conversions.scene_to_msg(scene())

    def _ground(self, request: Any, answer: Any) -> None:
        answer.code, answer.reason = self._work("ground", "perception_node")
        answer.grounding = conversions.grounding_to_msg(
            grounding(request.scene_id, request.instruction)
        )
        answer.target_cloud = conversions.cloud_to_msg(np.zeros((4, 3)), "fr3_link0")

    def _observe(self, _request: Any, answer: Any) -> None:
        answer.code, answer.reason = self._work("observe", "perception_node")
        answer.fit, answer.scene_id_after = 0.9, "scene_2"
        answer.motion = conversions.pose_from_matrix(np.eye(4))

    def _track(self, request: Any, answer: Any) -> None:
        name = "track" if request.track else "stop_tracking"
        answer.code, answer.reason = self._work(name, "tracker_node")

    def _recording(self, request: Any, answer: Any) -> None:
        name = "record" if request.record else "stop_recording"
        answer.code, answer.reason = self._work(name, "recorder_node")

    def _generate(self, goal: Any, handle: Any) -> Any:
        code, reason = self._work("generate", "flowgen_node", handle)
        folder = to_path(goal.artifact_uri)
        made = [
            core.FlowCandidate(
                candidate_id=f"c{i}",
                scene_id=goal.scene.scene_id,
                code=Code.OK,
                reason="",
                flow=flow(),
                video_uri=to_uri(folder / f"candidate_{i}.mp4"),
                video_sha256="0" * 64,
                stats={"inlier_ratio_min": 0.9},
            )
            for i in range(goal.candidates)
        ]
        if "lift" in self.codes:
            unlifted = {"code": self.codes["lift"], "reason": "told to fail", "flow": None}
            made = [replace(c, **unlifted) for c in made]
        return action.GenerateFlows.Result(
            code=code,
            reason=reason,
            candidates=[conversions.candidate_to_msg(c) for c in made],
            seconds=conversions.values_to_msg({"video": 0.1}),
        )

    def _clear(self, _goal: Any, handle: Any) -> Any:
        code, reason = self._work("clear", "executor_node", handle)
        return action.ClearView.Result(code=code, reason=reason)

    def _score(self, goal: Any, handle: Any) -> Any:
        code, reason = self._work("score", "executor_node", handle)
        made = [
            core.CandidateFeasibility(c.candidate_id, True, Code.OK, "reachable", 0.8, None, 3)
            for c in goal.candidates
        ]
        return action.ScoreFlows.Result(
            code=code,
            reason=reason,
            feasibility=[conversions.feasibility_to_msg(f) for f in made],
        )

    def _select(self, goal: Any, handle: Any) -> Any:
        code, reason = self._work("select", "selector_node", handle)
        passed = code == Code.OK
        gate = core.Gate("relation", 0.01, 0.02, passed, "ends on the saucer")
        made = [
            core.CandidateScore(c.candidate_id, 0.7 if passed else 0.0, (gate,))
            for c in goal.candidates
        ]
        chosen = goal.candidates[-1].candidate_id if passed else ""
        scores = [conversions.score_to_msg(s) for s in made]
        return action.SelectFlow.Result(
            code=code, reason=reason, candidate_id=chosen, scores=scores
        )

    def _execute(self, goal: Any, handle: Any) -> Any:
        if goal.preview:
            code, reason = self._work("preview", "executor_node", handle)
            return action.ExecuteFlow.Result(code=code, reason=reason, plan_hash="ab" * 32)
        stage = msg.StageReport(stage="execute", state=1, progress=0.5, text="carrying")
        handle.publish_feedback(action.ExecuteFlow.Feedback(phase=2, stage=stage))
        code, reason = self._work("execute", "executor_node", handle)
        return action.ExecuteFlow.Result(code=code, reason=reason, held=0.02, phase=4)

    # --- plumbing ---
    def _work(self, name: str, node: str, handle: Any = None) -> tuple[int, str]:
        self.log.append(name)
        end = time.monotonic() + self.seconds.get(name, 0.0)
        while time.monotonic() < end or node in self.silent:
            if handle is not None and handle.is_cancel_requested and node not in self.silent:
                self.log.append(f"{name}:cancelled")
                return int(Code.CANCELLED), "cancelled"
            time.sleep(0.01)
        code = self.codes.get(name, Code.OK)
        return int(code), "as planned" if code == Code.OK else f"{name} was told to fail"

    def _service(self, node: Node, kind: Any, name: str, fill: Callable[[Any, Any], None]) -> None:
        def serve(request: Any, response: Any) -> Any:
            began = time.monotonic()
            fill(request, response)
            self.busy_s += time.monotonic() - began
            return response

        node.create_service(
            kind, f"/novaflow/{name}", serve, callback_group=ReentrantCallbackGroup()
        )

    def _action(self, node: Node, kind: Any, name: str, make: Callable[[Any, Any], Any]) -> None:
        def execute(handle: Any) -> Any:
            began = time.monotonic()
            result = make(handle.request, handle)
            self.busy_s += time.monotonic() - began
            if result.code == Code.OK:
                handle.succeed()
            elif handle.is_cancel_requested:
                handle.canceled()
            else:
                handle.abort()
            return result

        self._servers.append(
            ActionServer(
                node,
                kind,
                f"/novaflow/{name}",
                execute,
                cancel_callback=lambda _handle: CancelResponse.ACCEPT,
                callback_group=ReentrantCallbackGroup(),
            )
        )
