"""The record of a run as messages, and back as far as messages carry it."""

from __future__ import annotations

import json
from pathlib import Path

from novaflow_bringup.core.pipeline import STARTED
from novaflow_bringup.core.run_record import Goal, RunRecord, StageTime
from novaflow_core.errors import Code
from novaflow_msgs.action import PerformTask
from novaflow_msgs.msg import StageReport, TaskOutcome
from novaflow_ros import conversions
from novaflow_ros.artifacts import to_path, to_uri

STATES = {
    STARTED: StageReport.STARTED,
    "running": StageReport.RUNNING,
    "done": StageReport.DONE,
    "failed": StageReport.FAILED,
}
NAMES = {number: name for name, number in STATES.items()}


def stage_to_msg(stage: StageTime, progress: float, stamp_ns: int) -> StageReport:
    """StageReport of a stage."""
    return StageReport(
        stamp=conversions.time_from_ns(stamp_ns),
        stage=stage.stage,
        state=STATES[stage.state],
        progress=float(progress),
        elapsed=float(stage.seconds),
        text=stage.text,
    )


def stage_from_msg(message: StageReport) -> StageTime:
    """Stage of a StageReport."""
    return StageTime(message.stage, float(message.elapsed), NAMES[message.state], message.text)


def outcome_to_msg(record: RunRecord, stamp_ns: int) -> TaskOutcome:
    """TaskOutcome of a record."""
    return TaskOutcome(
        success=record.success,
        code=int(record.code),
        cause=record.cause.value,
        reason=record.reason,
        scene_id=record.scene_id,
        candidate_id=record.candidate_id,
        run_uri=to_uri(record.folder) if record.folder else "",
        stages=[stage_to_msg(stage, float("nan"), stamp_ns) for stage in record.stages],
        scores=[conversions.score_to_msg(score) for score in record.scores],
        feasibility=[conversions.feasibility_to_msg(item) for item in record.feasibility],
    )


def record_from_outcome(goal: Goal, message: TaskOutcome) -> RunRecord:
    """What a client knows of a run; the candidates themselves are not in the message."""
    stages = [stage_from_msg(stage) for stage in message.stages]
    return RunRecord(
        goal=goal,
        folder=to_path(message.run_uri) if message.run_uri else None,
        scene_id=message.scene_id,
        candidate_id=message.candidate_id,
        code=Code(message.code),
        reason=message.reason,
        success=message.success,
        stages=stages,
        scores=tuple(conversions.score_from_msg(score) for score in message.scores),
        feasibility=tuple(conversions.feasibility_from_msg(item) for item in message.feasibility),
        failed_stage=next((s.stage for s in stages if s.state == "failed"), ""),
        total_s=sum(stage.seconds for stage in stages),
    )


def goal_to_json(goal: Goal) -> str:
    """JSON for `/novaflow/goal`, enough to send the same goal again."""
    return json.dumps(
        {
            "instruction": goal.instruction,
            "candidates": goal.candidates,
            "seed": goal.seed,
            "spoiled": goal.spoiled,
            "plan_only": goal.plan_only,
            "goal_image": goal.goal_image.hex(),
            "goal_image_format": goal.goal_image_format,
        }
    )


def goal_from_json(text: str) -> Goal:
    """Goal of `/novaflow/goal`."""
    values = json.loads(text)
    values["goal_image"] = bytes.fromhex(values.get("goal_image", ""))
    return Goal(**values)


def goal_to_action(goal: Goal, folder: Path | None = None) -> PerformTask.Goal:
    """PerformTask goal; `folder` is where the run is to be written."""
    out = PerformTask.Goal(
        instruction=goal.instruction,
        plan_only=goal.plan_only,
        candidates=goal.candidates,
        seed=goal.seed,
        spoiled=goal.spoiled,
        run_uri=to_uri(folder) if folder else "",
    )
    if goal.goal_image:
        out.goal_image.format = goal.goal_image_format
        out.goal_image.data.frombytes(goal.goal_image)
    return out
