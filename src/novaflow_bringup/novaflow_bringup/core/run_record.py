"""What one goal asked for, did and found: the source of report, outcome and JSON."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from novaflow_core.candidate import CandidateFeasibility, CandidateScore, FlowCandidate
from novaflow_core.errors import Cause, Code, NovaflowError, cause_of


@dataclass(frozen=True)
class Goal:
    """What the user asked for, with every default filled in.

    Attributes:
        instruction: The sentence.
        candidates: How many ways to imagine; at least 1.
        seed: Of everything random.
        spoiled: How many candidates to hallucinate, to test the judge.
        plan_only: Stop after selection.
        goal_image: Encoded picture of the goal; empty for none.
        goal_image_format: e.g. "jpeg".
    """

    instruction: str
    candidates: int = 8
    seed: int = 0
    spoiled: int = 0
    plan_only: bool = False
    goal_image: bytes = b""
    goal_image_format: str = ""


@dataclass
class StageTime:
    """Wall time of one stage.

    Attributes:
        stage: Its name, as in `StageReport`.
        seconds: Wall time so far [s].
        state: "running", "done" or "failed".
        text: Last line about it.
    """

    stage: str
    seconds: float = 0.0
    state: str = "running"
    text: str = ""


@dataclass
class RunRecord:
    """Everything that is known of a run; filled while it goes.

    Attributes:
        goal: What was asked.
        folder: The run folder; None when nothing is written.
        began: Wall-clock time of the start.
        scene_id: Of the captured scene; "" before.
        expanded: The instruction as it was understood.
        prompt: What the video model was told, and who wrote it; "" where it reads no prompt.
        candidates: All that were generated.
        feasibility: The executor's view of them; empty when not checked.
        scores: The judge's view of them.
        candidate_id: The chosen one; "" when none.
        plan_hash: Of the approved plan; "" where approval is off.
        stages: In order.
        compute_s: Compute time by part, as the stages reported it [s].
        code: How it ended; OK also for a plan-only goal that found a flow.
        reason: A sentence with numbers.
        failed_stage: Where it failed; "" when it did not.
        evidence: Numbers and paths that support a failure.
        loop: Numbers of the closed loop while the arm moved; empty without it.
        success: The product observed the wanted outcome.
        notes: What a reader must know besides, e.g. that nothing was recorded.
        total_s: Wall time of the goal [s].
        overhead_s: Part of `total_s` outside every stage [s].
    """

    goal: Goal
    folder: Path | None = None
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    scene_id: str = ""
    expanded: str = ""
    prompt: str = ""
    candidates: tuple[FlowCandidate, ...] = ()
    feasibility: tuple[CandidateFeasibility, ...] = ()
    scores: tuple[CandidateScore, ...] = ()
    candidate_id: str = ""
    plan_hash: str = ""
    stages: list[StageTime] = field(default_factory=list)
    compute_s: dict[str, float] = field(default_factory=dict)
    code: Code = Code.OK
    reason: str = ""
    failed_stage: str = ""
    evidence: dict[str, object] = field(default_factory=dict)
    loop: dict[str, float] = field(default_factory=dict)
    success: bool = False
    notes: list[str] = field(default_factory=list)
    total_s: float = 0.0
    overhead_s: float = 0.0

    @property
    def cause(self) -> Cause:
        """The cause that this run is counted under."""
        return cause_of(self.code)

    @property
    def chosen(self) -> FlowCandidate | None:
        """The chosen candidate, if its flow is known."""
        return next((c for c in self.candidates if c.candidate_id == self.candidate_id), None)

    def fail(self, error: NovaflowError, stage: str = "") -> None:
        """Note how the run failed."""
        self.success = False
        self.code, self.reason, self.evidence = error.code, error.reason, dict(error.evidence)
        self.failed_stage = stage

    def verdict(self) -> str:
        """One word: "success", "planned" or "failed"."""
        if self.success:
            return "success"
        planned = self.goal.plan_only and self.code == Code.OK and bool(self.candidate_id)
        return "planned" if planned else "failed"

    def to_json(self) -> dict[str, Any]:
        """Plain values for `outcome.json` and `--json`; numbers that are not finite become None."""
        scores = {s.candidate_id: s for s in self.scores}
        able = {f.candidate_id: f for f in self.feasibility}
        ids = [c.candidate_id for c in self.candidates] or list(scores) or list(able)
        known = {c.candidate_id: c for c in self.candidates}
        return {
            "outcome": self.success,
            "verdict": self.verdict(),
            "scored": None,
            "code": self.code.name,
            "code_number": int(self.code),
            "cause": self.cause.value,
            "reason": self.reason,
            "failed_stage": self.failed_stage,
            "evidence": {key: _plain(value) for key, value in self.evidence.items()},
            "loop": {key: _plain(value) for key, value in self.loop.items()},
            "instruction": self.goal.instruction,
            "expanded": self.expanded,
            "prompt": self.prompt,
            "seed": self.goal.seed,
            "spoiled": self.goal.spoiled,
            "plan_only": self.goal.plan_only,
            "scene_id": self.scene_id,
            "chosen": self.candidate_id,
            "plan_hash": self.plan_hash,
            "candidates": [
                _candidate_json(i, known.get(i), scores.get(i), able.get(i)) for i in ids
            ],
            "stage_s": {s.stage: round(s.seconds, 4) for s in self.stages},
            "stages": [
                {
                    "stage": s.stage,
                    "seconds": round(s.seconds, 4),
                    "state": s.state,
                    "text": s.text,
                }
                for s in self.stages
            ],
            "compute_s": {key: _plain(value) for key, value in self.compute_s.items()},
            "total_s": round(self.total_s, 4),
            "overhead_s": round(self.overhead_s, 4),
            "began": self.began.isoformat(timespec="seconds"),
            "run": str(self.folder) if self.folder else "",
            "notes": list(self.notes),
        }


def _candidate_json(
    candidate_id: str,
    candidate: FlowCandidate | None,
    score: CandidateScore | None,
    able: CandidateFeasibility | None,
) -> dict[str, Any]:
    out: dict[str, Any] = {"id": candidate_id}
    if candidate is not None:
        out |= {
            "code": candidate.code.name,
            "reason": candidate.reason,
            "video": candidate.video_uri,
            "video_sha256": candidate.video_sha256,
            "stats": {key: _plain(value) for key, value in candidate.stats.items()},
        }
    if score is not None:
        out |= {
            "valid": score.valid,
            "score": _plain(score.score),
            "gates": [
                {
                    "name": g.name,
                    "value": _plain(g.value),
                    "threshold": _plain(g.threshold),
                    "passed": g.passed,
                    "reason": g.reason,
                }
                for g in score.gates
            ],
        }
    if able is not None:
        out |= {
            "feasible": able.feasible if able.checked else None,
            "feasibility_code": able.code.name,
            "feasibility_reason": able.reason,
            "feasibility_score": _plain(able.score),
            "grasps_tried": able.grasps_tried,
        }
    return out


def _plain(value: object) -> object:
    if isinstance(value, bool | int | str) or value is None:
        return value
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return str(value)
    return round(number, 6) if math.isfinite(number) else None
