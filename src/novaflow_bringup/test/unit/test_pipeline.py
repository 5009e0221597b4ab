"""The order of the stages, and what every failure leaves behind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from novaflow_bringup.core.pipeline import (
    STILL_HELD,
    Captured,
    Executed,
    Generated,
    Grounded,
    Observed,
    Pipeline,
    Scored,
    Selected,
)
from novaflow_bringup.core.run_record import Goal, RunRecord, StageTime
from novaflow_core.candidate import CandidateFeasibility, CandidateScore, FlowCandidate, Gate
from novaflow_core.errors import Code, NovaflowError
from novaflow_core.flow import ObjectFlow

ALL = ["clear", "capture", "ground", "generate", "score", "select", "execute", "observe"]


def candidate(name: str, code: Code = Code.OK) -> FlowCandidate:
    shape = (41, 8)
    flow = ObjectFlow(
        np.zeros((*shape, 3), np.float32),
        np.ones(shape, bool),
        np.ones(shape, np.float32),
        0.1,
        "base",
    )
    return FlowCandidate(name, "s1", code, "", flow if code == Code.OK else None, "file:///v", "0")


class FakeStages:
    """Does what it is told and remembers in which order."""

    def __init__(self, fail: dict[str, Code] | None = None, lifted: Code = Code.OK) -> None:
        self.fail, self.lifted, self.log = fail or {}, lifted, []
        self.crash = ""
        self.scores = {"c0": 0.5}
        self.unable: set[str] = set()
        self.tried: list[str] = []
        self.lost: list[str] = []  # candidates that no grasp holds
        self.grip: dict[str, float] = {}  # what is told about the gripper then

    def _do(self, name: str) -> None:
        self.log.append(name)
        if name == self.crash:
            raise RuntimeError("bug")
        if name in self.fail:
            raise NovaflowError(self.fail[name], f"{name} failed", {"number": 1.5})

    def ready(self, plan_only: bool) -> None:
        self._do("ready")

    def record(self, bag: Path) -> None:
        self._do("record")

    def stop_recording(self) -> None:
        self._do("stop_recording")

    def clear(self, progress) -> str:
        self._do("clear")
        return "the arm rests"

    def capture(self) -> Captured:
        self._do("capture")
        return Captured("s1", None)

    def ground(self, scene, instruction) -> Grounded:
        self._do("ground")
        return Grounded("move the cup on the saucer", None)

    def generate(self, scene, grounded, goal, videos, progress) -> Generated:
        self._do("generate")
        progress("half", 0.5)
        made = tuple(candidate(f"c{i}", self.lifted) for i in range(goal.candidates))
        return Generated(made, {c.candidate_id: c for c in made}, {"video": 1.0})

    def score(self, scene, grounded, generated, progress) -> Scored:
        self._do("score")
        return Scored(
            tuple(
                CandidateFeasibility(
                    c.candidate_id,
                    True,
                    Code.IK_FAILED if c.candidate_id in self.unable else Code.OK,
                    "",
                    0.5,
                )
                for c in generated.candidates
            )
        )

    def select(self, scene, grounded, generated, scored, folder, progress) -> Selected:
        self.log.append("select")
        code = self.fail.get("select", Code.OK)
        gate = Gate("relation", 0.1, 0.02, code == Code.OK, "ends beside the saucer")
        names = [c.candidate_id for c in generated.candidates]
        scores = tuple(CandidateScore(n, self.scores.get(n, 0.5), (gate,)) for n in names)
        return Selected(code, "judged", "c0" if code == Code.OK else "", scores)

    def track(self, scene, grounded) -> None:
        self._do("track")

    def stop_tracking(self) -> None:
        self._do("stop_tracking")

    def preview(self, scene, grounded, candidate, progress) -> str:
        self._do("preview")
        return "ab12"

    def approval(self, grounded, plan_hash, progress) -> None:
        self._do(f"approval {plan_hash}")

    def execute(self, scene, grounded, candidate, plan_hash, progress) -> Executed:
        self._do(f"execute {plan_hash}".strip())
        self.tried.append(candidate.candidate_id)
        if candidate.candidate_id in self.lost:
            raise NovaflowError(Code.GRASP_MISSED, "the fingers closed on nothing", self.grip)
        return Executed("followed", {"corrections": 2.0})

    def observe(self, scene, candidate, done) -> Observed:
        self.log.append("observe")
        return Observed(self.fail.get("observe", Code.OK), "12 mm off", {"fit": 0.9})


def run(
    stages: FakeStages, goal: Goal | None = None, folder: Path | None = None, **options
) -> RunRecord:
    record = RunRecord(goal or Goal("put the cup on the saucer", candidates=2), folder)
    return Pipeline(stages, **options).run(record)


def test_success_needs_the_observation(tmp_path: Path) -> None:
    stages = FakeStages()
    record = run(stages, folder=tmp_path)
    assert record.success and record.code == Code.OK and record.candidate_id == "c0"
    assert [s.stage for s in record.stages] == ALL
    assert stages.log == [
        "ready",
        "record",
        "clear",
        "capture",
        "ground",
        "generate",
        "score",
        "select",
        "track",
        "execute",
        "observe",
        "stop_tracking",
        "stop_recording",
    ]


def test_what_was_not_observed_is_no_success() -> None:
    record = run(FakeStages({"observe": Code.OUTCOME_NOT_OBSERVED}))
    assert not record.success and record.code == Code.OUTCOME_NOT_OBSERVED
    assert record.cause == "execution" and record.evidence["fit"] == 0.9


@pytest.mark.parametrize("stage", ["capture", "ground", "generate", "score", "select"])
def test_a_failure_before_the_motion_moves_nothing(stage: str, tmp_path: Path) -> None:
    stages = FakeStages({stage: Code.NO_VALID_CANDIDATE})
    record = run(stages, folder=tmp_path)
    assert (record.code, record.failed_stage) == (Code.NO_VALID_CANDIDATE, stage)
    assert not any(name.startswith(("execute", "track")) for name in stages.log)
    assert stages.log[-2:] == ["stop_tracking", "stop_recording"]
    assert record.stages[-1].state == "failed"


@pytest.mark.parametrize("stage", ["track", "execute"])
def test_a_failure_while_moving_stops_tracking_and_is_not_observed(stage: str) -> None:
    stages = FakeStages({stage: Code.GRASP_LOST})
    record = run(stages)
    assert record.code == Code.GRASP_LOST and record.failed_stage == "execute"
    assert "observe" not in stages.log and stages.log[-1] == "stop_tracking"


def test_the_scores_of_a_refusal_are_kept() -> None:
    record = run(FakeStages({"select": Code.NO_VALID_CANDIDATE}))
    assert [s.valid for s in record.scores] == [False, False]


def test_candidates_without_any_flow_end_with_the_code_they_share() -> None:
    record = run(FakeStages(lifted=Code.LIFT_LOW_INLIERS))
    assert record.code == Code.LIFT_LOW_INLIERS and len(record.candidates) == 2


def test_an_empty_instruction_touches_nothing() -> None:
    stages = FakeStages()
    assert run(stages, Goal(" \t")).code == Code.EMPTY_INSTRUCTION
    assert "ready" not in stages.log and "capture" not in stages.log


def test_plan_only_asks_no_robot() -> None:
    stages = FakeStages()
    record = run(stages, Goal("lift it", candidates=2, plan_only=True))
    assert record.verdict() == "planned" and not record.success
    assert stages.log[-2:] == ["select", "stop_tracking"] and "score" not in stages.log
    assert "clear" not in stages.log


def test_approval_binds_the_execution_to_the_approved_plan() -> None:
    stages = FakeStages()
    record = run(stages, approve=True)
    assert record.success and record.plan_hash == "ab12"
    order = [n for n in stages.log if n in ("track", "preview", "approval ab12", "execute ab12")]
    assert order == ["track", "preview", "approval ab12", "execute ab12"]


def test_without_approval_nothing_moves() -> None:
    stages = FakeStages({"approval ab12": Code.MOTION_NOT_APPROVED})
    record = run(stages, approve=True)
    assert record.code == Code.MOTION_NOT_APPROVED
    assert not any(name.startswith("execute") for name in stages.log)


@pytest.mark.parametrize("before", ALL)
def test_a_cancel_between_stages_ends_the_goal(before: str) -> None:
    seen: list[str] = []
    pipeline_stages = FakeStages()

    def on_stage(stage: StageTime, _progress: float) -> None:
        seen.append(stage.stage)

    def should_stop() -> bool:
        return ALL.index(before) <= len(set(seen))

    record = run(pipeline_stages, on_stage=on_stage, should_stop=should_stop)
    assert record.code == Code.CANCELLED and record.failed_stage == before
    assert before not in pipeline_stages.log


def test_a_missing_recorder_is_told_and_does_not_end_the_goal(tmp_path: Path) -> None:
    record = run(FakeStages({"record": Code.UNAVAILABLE}), folder=tmp_path)
    assert record.success and "not recorded" in record.notes[0]


def test_nothing_is_recorded_without_a_folder_or_when_it_is_off(tmp_path: Path) -> None:
    for options in ({"folder": None}, {"folder": tmp_path, "record": False}):
        stages = FakeStages()
        assert run(stages, **options).success
        assert "record" not in stages.log and "stop_recording" not in stages.log


def test_a_bug_passes_through_after_cleaning_up(tmp_path: Path) -> None:
    stages = FakeStages()
    stages.crash = "ground"
    with pytest.raises(RuntimeError):
        run(stages, folder=tmp_path)
    assert stages.log[-2:] == ["stop_tracking", "stop_recording"]


def test_times_add_up_to_the_total() -> None:
    ticks = iter(np.arange(0, 1000, 0.25).tolist())
    record = run(FakeStages(), clock=lambda: next(ticks))
    parts = sum(s.seconds for s in record.stages)
    assert record.overhead_s > 0
    assert parts + record.overhead_s == pytest.approx(record.total_s)


def test_where_no_grasp_holds_the_next_best_candidate_is_tried() -> None:
    stages = FakeStages()
    stages.scores = {"c0": 0.9, "c1": 0.4, "c2": 0.8, "c3": 0.7}
    stages.lost, stages.unable = ["c0"], {"c2"}
    record = run(stages, Goal("lift it", candidates=4))
    assert record.success and record.candidate_id == "c3"
    assert stages.tried == ["c0", "c3"]
    assert "candidate c0 was given up (GRASP_MISSED" in record.notes[0]
    assert [s.state for s in record.stages if s.stage == "execute"] == ["failed", "done"]


def test_nothing_else_is_tried_with_something_between_the_fingers() -> None:
    stages = FakeStages()
    stages.lost, stages.grip = ["c0"], {STILL_HELD: 1.0}
    record = run(stages)
    assert record.code is Code.GRASP_MISSED
    assert stages.tried == ["c0"]


def test_candidates_are_tried_no_more_often_than_allowed() -> None:
    stages = FakeStages()
    stages.lost = ["c0", "c1", "c2", "c3"]
    record = run(stages, Goal("lift it", candidates=4), next_candidates=2)
    assert record.code == Code.GRASP_MISSED and stages.tried == ["c0", "c1", "c2"]
    assert not record.success and record.failed_stage == "execute"


def test_what_another_grasp_cannot_mend_ends_the_goal() -> None:
    stages = FakeStages({"execute": Code.CONTROLLER_FAILED})
    assert run(stages).code == Code.CONTROLLER_FAILED
    assert stages.log.count("execute") == 1


def test_every_further_candidate_needs_its_own_approval() -> None:
    stages = FakeStages()
    stages.lost = ["c0"]
    record = run(stages, approve=True)
    assert record.success and stages.log.count("approval ab12") == 2
