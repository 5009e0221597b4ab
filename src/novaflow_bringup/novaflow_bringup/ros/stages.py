"""The stages as calls to the other nodes; a call ends when the process it waits for is lost."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sensor_msgs.msg import CompressedImage

from novaflow_bringup.core.pipeline import (
    STILL_HELD,
    Captured,
    Executed,
    Generated,
    Grounded,
    Observed,
    Progress,
    Scored,
    Selected,
)
from novaflow_bringup.core.readiness import ACTING, JUDGING, wait_until_ready
from novaflow_bringup.core.run_record import Goal
from novaflow_bringup.ros.approvals import Approvals
from novaflow_bringup.ros.liveness import Liveness
from novaflow_core.errors import Code, ExecutionError, NovaflowError, PlatformError
from novaflow_core.task import TaskSpec
from novaflow_msgs.action import ClearView, ExecuteFlow, GenerateFlows, ScoreFlows, SelectFlow
from novaflow_msgs.srv import (
    CaptureScene,
    GroundInstruction,
    ObserveOutcome,
    SetRecording,
    TrackObject,
)
from novaflow_ros import conversions
from novaflow_ros.actions import ShouldStop, call_action, call_service
from novaflow_ros.artifacts import to_uri
from novaflow_ros.goal_client import GoalClient

PHASES = ("approach", "grasp", "carry", "release", "retreat")
CLEAN_S = 10.0  # closing a bag writes its index
QUICK_S = 5.0


@dataclass(frozen=True)
class Limits:
    """How long each stage may take [s], and which silence of a process counts as its loss."""

    capture: float = 30.0
    ground: float = 120.0
    generate: float = 240.0
    score: float = 120.0
    select: float = 60.0
    approve: float = 120.0
    execute: float = 240.0
    observe: float = 30.0
    ready: float = 10.0
    silent: float = 2.0


class GraphStages:
    """Implements the pipeline's stages with the services and actions of the graph."""

    def __init__(self, node: Any, liveness: Liveness, approvals: Approvals, group: Any) -> None:
        """Create the clients; none of them has to be there yet."""

        def service(kind: Any, name: str) -> Any:
            return node.create_client(kind, f"/novaflow/{name}", callback_group=group)

        def action(kind: Any, name: str) -> Any:
            return GoalClient(node, kind, f"/novaflow/{name}", callback_group=group)

        self._liveness, self._approvals = liveness, approvals
        self._capture = service(CaptureScene, "capture_scene")
        self._ground = service(GroundInstruction, "ground_instruction")
        self._observe = service(ObserveOutcome, "observe_outcome")
        self._track = service(TrackObject, "track_object")
        self._record = service(SetRecording, "set_recording")
        self._generate = action(GenerateFlows, "generate_flows")
        self._score = action(ScoreFlows, "score_flows")
        self._select = action(SelectFlow, "select_flow")
        self._execute = action(ExecuteFlow, "execute_flow")
        self._clear = action(ClearView, "clear_view")
        self._clients = [self._clear, self._generate, self._score, self._select, self._execute]
        self._stop: ShouldStop = lambda: False
        self._limits = Limits()
        self._tracking = self._recording = False

    def begin(self, should_stop: ShouldStop, limits: Limits) -> None:
        """Prepare for one goal."""
        self._stop, self._limits = should_stop, limits

    def destroy(self) -> None:
        """Remove the action clients; the node removes the rest."""
        for client in self._clients:
            client.destroy()

    # --- the stages ---
    def ready(self, plan_only: bool) -> None:
        """Wait until every process the goal needs is active."""
        wait_until_ready(
            lambda: self._liveness.missing(
                JUDGING if plan_only else JUDGING + ACTING, self._limits.silent
            ),
            self._limits.ready,
            self._stop,
        )

    def record(self, bag: Path) -> None:
        """Start recording the graph."""
        request = SetRecording.Request(record=True, uri=to_uri(bag))
        self._ask("recorder_node", self._record, request, QUICK_S)
        self._recording = True

    def stop_recording(self) -> None:
        """Stop recording, if it was started."""
        if self._recording:
            self._recording = False
            self._last_word("recorder_node", self._record, SetRecording.Request(record=False))

    def clear(self, progress: Progress) -> str:
        """Let the arm leave the view."""
        answer = self._send(
            "executor_node",
            self._clear,
            "clear_view",
            ClearView.Goal(),
            self._limits.execute,
            progress,
        )
        _check(answer)
        return str(answer.reason)

    def capture(self) -> Captured:
        """Take a fresh view."""
        answer = self._ask(
            "perception_node", self._capture, CaptureScene.Request(), self._limits.capture
        )
        return Captured(answer.scene.scene_id, answer.scene)

    def ground(self, scene: Captured, instruction: str) -> Grounded:
        """Parse the instruction and find what it names."""
        request = GroundInstruction.Request(scene_id=scene.scene_id, instruction=instruction)
        answer = self._ask("perception_node", self._ground, request, self._limits.ground)
        return Grounded(expanded(conversions.task_from_msg(answer.grounding.task)), answer)

    def generate(
        self, scene: Captured, grounded: Grounded, goal: Goal, videos: Path, progress: Progress
    ) -> Generated:
        """Imagine the task several times and lift each video to a flow."""
        request = GenerateFlows.Goal(
            scene=scene.handle,
            grounding=_grounding(grounded).grounding,
            goal_image=CompressedImage(
                format=goal.goal_image_format,
                data=conversions.buffer(np.frombuffer(goal.goal_image, np.uint8), "B"),
            ),
            candidates=goal.candidates,
            seed=goal.seed,
            spoiled=goal.spoiled,
            artifact_uri=to_uri(videos),
        )
        answer = self._send(
            "flowgen_node",
            self._generate,
            "generate_flows",
            request,
            self._limits.generate,
            progress,
        )
        return Generated(
            candidates=tuple(conversions.candidate_from_msg(c) for c in answer.candidates),
            handles={c.candidate_id: c for c in answer.candidates},
            compute_s={item.name: float(item.value) for item in answer.seconds},
            code=Code(answer.code),
            reason=answer.reason,
            prompt=f"{answer.prompt} [{answer.prompt_author}]" if answer.prompt else "",
        )

    def score(
        self, scene: Captured, grounded: Grounded, generated: Generated, progress: Progress
    ) -> Scored:
        """Ask the robot which flows it can do."""
        seen = _grounding(grounded)
        request = ScoreFlows.Goal(
            scene_id=scene.scene_id,
            target_cloud=seen.target_cloud,
            collision_scene=seen.collision_scene,
            fits=seen.fits,
            candidates=list(generated.handles.values()),
        )
        answer = self._send(
            "executor_node", self._score, "score_flows", request, self._limits.score, progress
        )
        _check(answer)
        items = tuple(conversions.feasibility_from_msg(f) for f in answer.feasibility)
        return Scored(items, list(answer.feasibility))

    def select(
        self,
        scene: Captured,
        grounded: Grounded,
        generated: Generated,
        scored: Scored,
        folder: Path,
        progress: Progress,
    ) -> Selected:
        """Let the judge choose."""
        request = SelectFlow.Goal(
            scene=scene.handle,
            grounding=_grounding(grounded).grounding,
            candidates=list(generated.handles.values()),
            feasibility=scored.handle or [],
            artifact_uri=to_uri(folder),
        )
        answer = self._send(
            "selector_node", self._select, "select_flow", request, self._limits.select, progress
        )
        scores = tuple(conversions.score_from_msg(s) for s in answer.scores)
        return Selected(Code(answer.code), answer.reason, answer.candidate_id, scores)

    def track(self, scene: Captured, grounded: Grounded) -> None:
        """Follow the target live."""
        request = TrackObject.Request(
            track=True, scene=scene.handle, grounding=_grounding(grounded).grounding
        )
        self._ask("tracker_node", self._track, request, QUICK_S)
        self._tracking = True

    def stop_tracking(self) -> None:
        """Stop following, if it was started."""
        if self._tracking:
            self._tracking = False
            self._last_word("tracker_node", self._track, TrackObject.Request(track=False))

    def preview(
        self, scene: Captured, grounded: Grounded, candidate: object, progress: Progress
    ) -> str:
        """Plan without moving."""
        answer = self._follow(scene, grounded, candidate, "", progress, preview=True)
        return str(answer.plan_hash)

    def approval(self, grounded: Grounded, plan_hash: str, progress: Progress) -> None:
        """Wait until a person allows this plan."""
        centre = conversions.cloud_from_msg(_grounding(grounded).target_cloud).mean(axis=0)
        self._approvals.wait(plan_hash, centre, self._limits.approve, self._stop, progress)

    def execute(
        self,
        scene: Captured,
        grounded: Grounded,
        candidate: object,
        plan_hash: str,
        progress: Progress,
    ) -> Executed:
        """Move."""
        answer = self._follow(scene, grounded, candidate, plan_hash, progress)
        held = "" if math.isnan(answer.held) else f"; held with {1e3 * answer.held:.1f} mm opening"
        changed = f"; corrected: {'; '.join(answer.corrections)}" if answer.corrections else ""
        kept = f"; it stays in the gripper: {answer.kept}" if answer.kept else ""
        return Executed(
            f"{answer.reason or 'the flow was followed'}{held}{changed}{kept}",
            {item.name: float(item.value) for item in answer.loop},
            str(answer.kept),
            answer.moved,
        )

    def observe(self, scene: Captured, candidate: object, done: Executed) -> Observed:
        """Take a fresh view and say whether the task is done."""
        flow = candidate.flow  # type: ignore[attr-defined]
        request = ObserveOutcome.Request(scene_id=scene.scene_id, flow=flow)
        if done.kept:
            request.held, request.held_motion = True, done.held
        answer = self._ask(
            "perception_node", self._observe, request, self._limits.observe, check=False
        )
        evidence = {"fit": float(answer.fit)}
        if answer.scene_id_after:
            motion = conversions.pose_to_matrix(answer.motion)
            evidence |= {
                f"motion_{axis}_m": float(v) for axis, v in zip("xyz", motion[:3, 3], strict=True)
            }
        return Observed(Code(answer.code), answer.reason, evidence)

    # --- calls ---
    def _follow(
        self,
        scene: Captured,
        grounded: Grounded,
        candidate: object,
        plan_hash: str,
        progress: Progress,
        *,
        preview: bool = False,
    ) -> ExecuteFlow.Result:
        seen = _grounding(grounded)
        request = ExecuteFlow.Goal(
            scene_id=scene.scene_id,
            target_cloud=seen.target_cloud,
            collision_scene=seen.collision_scene,
            fits=seen.fits,
            candidate=candidate,
            plan_hash=plan_hash,
            preview=preview,
        )
        answer = self._send(
            "executor_node", self._execute, "execute_flow", request, self._limits.execute, progress
        )
        if answer.code != Code.OK:
            phase = PHASES[answer.phase] if answer.phase < len(PHASES) else str(answer.phase)
            evidence = {"phase": phase, "held_m": float(answer.held)}
            if answer.kept:
                evidence[STILL_HELD] = 1.0
            if answer.code == Code.CANCELLED and (culprit := self._liveness.culprit()):
                raise PlatformError(Code.PROCESS_LOST, culprit, evidence)
            raise ExecutionError(Code(answer.code), answer.reason, evidence)
        return answer

    def _ask(
        self, node: str, client: Any, request: Any, timeout_s: float, *, check: bool = True
    ) -> Any:
        answer = self._watched(
            node, lambda should_stop: call_service(client, request, timeout_s, should_stop)
        )
        if check:
            _check(answer)
        return answer

    def _send(
        self, node: str, client: Any, name: str, goal: Any, timeout_s: float, progress: Progress
    ) -> Any:
        def on_feedback(feedback: Any) -> None:
            progress(feedback.stage.text, float(feedback.stage.progress))

        def call(should_stop: ShouldStop) -> Any:
            full = f"/novaflow/{name}"
            return call_action(client, full, goal, timeout_s, should_stop, on_feedback)[1]

        return self._watched(node, call)

    def _watched(self, node: str, call: Callable[[ShouldStop], Any]) -> Any:
        """Call, but stop waiting for a process that is lost, and say so by name."""
        pid = self._liveness.pid(node)
        silent = self._limits.silent

        def should_stop() -> bool:
            return self._stop() or bool(self._liveness.lost(node, pid, silent))

        try:
            return call(should_stop)
        except PlatformError as error:
            if self._stop():
                raise
            if lost := self._liveness.lost(node, pid, silent):
                raise PlatformError(Code.PROCESS_LOST, lost) from error
            if error.code == Code.UNAVAILABLE:
                told = f"{error.reason} {self._liveness.describe(node)}"
                raise PlatformError(Code.UNAVAILABLE, told) from error
            raise

    def _last_word(self, node: str, client: Any, request: Any) -> None:
        """Tell a node that it is over, also when the goal was cancelled."""
        pid = self._liveness.pid(node)
        lost = self._liveness.lost(node, pid, self._limits.silent)
        if lost or not client.service_is_ready():
            raise PlatformError(
                Code.PROCESS_LOST, lost or f"{self._liveness.describe(node)} is gone"
            )
        silent = lambda: bool(self._liveness.lost(node, pid, self._limits.silent))  # noqa: E731
        _check(call_service(client, request, CLEAN_S, silent))


def expanded(task: TaskSpec) -> str:
    """Say in one line how an instruction was understood."""
    words = [task.motion.value, task.target.text or task.target.noun]
    if task.direction:
        words.append(task.direction.value.replace("_", " "))
    if task.relation:
        words.append(task.relation.value.replace("_", " "))
        words.append(" and ".join(phrase.text or phrase.noun for phrase in task.references))
    if task.distance_m is not None:
        words.append(f"by {task.distance_m:.3f} m")
    if task.angle_rad is not None:
        words.append(f"by {math.degrees(task.angle_rad):.0f} deg")
    return " ".join(word for word in words if word)


def _grounding(grounded: Grounded) -> GroundInstruction.Response:
    answer = grounded.handle
    assert isinstance(answer, GroundInstruction.Response)
    return answer


def _check(answer: Any) -> None:
    if answer.code != Code.OK:
        raise NovaflowError(Code(answer.code), answer.reason)
