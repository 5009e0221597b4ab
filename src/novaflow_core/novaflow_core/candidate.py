"""Imagined ways to do a task, and what judges think of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from novaflow_core.errors import Code
from novaflow_core.flow import ObjectFlow
from novaflow_core.grasp import Grasp


@dataclass(frozen=True)
class FlowCandidate:
    """One imagined way to do the task. It says nothing about how it was made.

    Attributes:
        candidate_id: Unique within the scene.
        scene_id: The scene it starts from.
        code: OK when `flow` is usable, otherwise why it is not.
        reason: A sentence with numbers when `code` is not OK.
        flow: None when `code` is not OK.
        video_uri: file:// or http(s):// of the video.
        video_sha256: Lower-case hex of the video file.
        stats: Measured while lifting; the unit is each name's suffix.
    """

    candidate_id: str
    scene_id: str
    code: Code
    reason: str
    flow: ObjectFlow | None
    video_uri: str
    video_sha256: str
    stats: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Gate:
    """One check that a candidate must pass.

    Attributes:
        name: Of the check.
        value: What was measured; NaN where it could not be.
        threshold: What it was held against.
        passed: Whether it holds.
        reason: A sentence for people.
    """

    name: str
    value: float
    threshold: float
    passed: bool
    reason: str


@dataclass(frozen=True)
class CandidateScore:
    """What the judge thinks of one candidate.

    Attributes:
        candidate_id: Of the candidate.
        score: 0..1; 0 when a gate failed.
        gates: All that were looked at.
    """

    candidate_id: str
    score: float
    gates: tuple[Gate, ...]

    @property
    def valid(self) -> bool:
        """Whether every gate passed."""
        return all(gate.passed for gate in self.gates)


@dataclass(frozen=True)
class CandidateFeasibility:
    """What the executor thinks of one candidate.

    Attributes:
        candidate_id: Of the candidate.
        checked: False where there is no robot to check against.
        code: OK when a grasp can execute the whole motion, otherwise why the best one fails.
        reason: A sentence with numbers.
        score: 0..1; 0 when not feasible.
        grasp: The best one, if any.
        grasps_tried: How many were scored.
    """

    candidate_id: str
    checked: bool
    code: Code
    reason: str
    score: float
    grasp: Grasp | None = None
    grasps_tried: int = 0

    @property
    def feasible(self) -> bool:
        """Whether a grasp can execute the whole motion."""
        return self.checked and self.code == Code.OK
