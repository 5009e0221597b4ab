"""The report and the JSON say what a reader needs, also when little is known."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from novaflow_bringup.core.report import report_text
from novaflow_bringup.core.run_folder import (
    given_folder,
    new_folder,
    runs_root,
    write_run,
)
from novaflow_bringup.core.run_record import Goal, RunRecord, StageTime
from novaflow_core.candidate import CandidateFeasibility, CandidateScore, FlowCandidate, Gate
from novaflow_core.errors import Code, NovaflowError, PlatformError
from novaflow_core.flow import ObjectFlow


@pytest.fixture
def record(tmp_path: Path) -> RunRecord:
    shape = (41, 5)
    flow = ObjectFlow(
        np.zeros((*shape, 3), np.float32),
        np.ones(shape, bool),
        np.ones(shape, np.float32),
        0.1,
        "base",
    )
    good = FlowCandidate("c1", "s1", Code.OK, "", flow, "file:///a.mp4", "ab", {"ratio": 0.91})
    bad = FlowCandidate("c2", "s1", Code.LIFT_DIVERGED, "63 mm | apart", None, "", "")
    gates = (
        Gate("relation", 0.004, 0.02, True, "ends on the saucer"),
        Gate("continuity_m", float("nan"), 0.05, False, "jumps by 80 mm"),
    )
    return RunRecord(
        Goal("put the cup on the saucer", 2, seed=1007, spoiled=1),
        tmp_path,
        scene_id="s1",
        expanded="move the cup on the saucer",
        candidates=(good, bad),
        feasibility=(CandidateFeasibility("c1", True, Code.OK, "3 of 9 grasps", 0.7, None, 9),),
        scores=(CandidateScore("c1", 0.8, gates[:1]), CandidateScore("c2", 0.0, gates)),
        candidate_id="c1",
        stages=[StageTime("capture", 0.21, "done", "scene s1")],
        compute_s={"video": 1.25},
        total_s=12.0,
        overhead_s=0.05,
        success=True,
        reason="4 mm from the saucer's centre",
    )


def test_the_report_holds_what_was_asked_found_and_judged(record: RunRecord) -> None:
    text = report_text(record, {"numbered flow image": "flow_image.png"})
    for part in (
        "done",
        "1007",
        "1 spoiled",
        "move the cup on the saucer",
        "0.210",
        "12.000",
        "**c1**",
        "LIFT_DIVERGED",
        "jumps by 80 mm",
        "not measured",
        "3 of 9 grasps",
        "ratio 0.91",
        "![numbered flow image](flow_image.png)",
        "4 mm from the saucer's centre",
        "video 1.25",
    ):
        assert part in text, part


def test_a_pipe_in_a_reason_does_not_break_the_table(record: RunRecord) -> None:
    rows = [line for line in report_text(record).splitlines() if "63 mm" in line]
    assert rows and all(line.replace("\\|", "").count("|") == 7 for line in rows)


def test_a_failure_names_code_stage_cause_and_evidence(record: RunRecord) -> None:
    record.fail(NovaflowError(Code.GRASP_MISSED, "closed on nothing", {"held_m": 0.0}), "execute")
    text = report_text(record)
    for part in ("failed", "GRASP_MISSED (510)", "closed on nothing", "execute", "grasp", "held_m"):
        assert part in text


def test_the_report_tells_what_a_video_model_was_told(record: RunRecord) -> None:
    write_run(record)
    assert "video prompt" not in (record.folder / "report.md").read_text()
    record.prompt = "The cup glides | onto the saucer. [gemini 'some-model']"
    write_run(record)
    text = (record.folder / "report.md").read_text()
    assert "| video prompt | The cup glides \\| onto the saucer. [gemini 'some-model'] |" in text
    outcome = json.loads((record.folder / "outcome.json").read_text())
    assert outcome["prompt"] == record.prompt


def test_an_early_failure_still_has_a_report(tmp_path: Path) -> None:
    record = RunRecord(Goal(""), tmp_path)
    record.fail(NovaflowError(Code.EMPTY_INSTRUCTION, "the instruction is empty"))
    write_run(record)
    assert "EMPTY_INSTRUCTION (100)" in (tmp_path / "report.md").read_text()
    assert json.loads((tmp_path / "outcome.json").read_text())["code"] == "EMPTY_INSTRUCTION"


def test_the_json_has_the_promised_keys_and_no_nan(record: RunRecord) -> None:
    write_run(record)
    values = json.loads((record.folder / "outcome.json").read_text(), parse_constant=pytest.fail)
    assert values["outcome"] is True and values["scored"] is None and values["code"] == "OK"
    assert values["stage_s"] == {"capture": 0.21}
    assert [c["id"] for c in values["candidates"]] == ["c1", "c2"]
    assert values["candidates"][1]["gates"][1]["value"] is None


def test_the_chosen_flow_is_kept(record: RunRecord) -> None:
    write_run(record)
    with np.load(record.folder / "chosen_flow.npz") as kept:
        assert kept["points"].shape == (41, 5, 3) and kept["visible"].shape == (41, 5)
        assert str(kept["candidate_id"]) == "c1" and str(kept["video_sha256"]) == "ab"


def test_planning_alone_is_no_success(record: RunRecord) -> None:
    record.goal = replace(record.goal, plan_only=True)
    record.success = False
    assert record.verdict() == "planned"
    assert "reachability" in report_text(record)


def test_folders_of_the_same_second_differ(tmp_path: Path) -> None:
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    first, second = new_folder(tmp_path / "runs", now), new_folder(tmp_path / "runs", now)
    assert (first.name, second.name) == ("20260102-030405", "20260102-030405-1")


def test_a_folder_that_cannot_be_written_is_a_setting_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for make in (lambda p: new_folder(p, datetime.now(UTC)), given_folder):
        with pytest.raises(PlatformError) as caught:
            make(tmp_path / "file" / "runs")
        assert caught.value.code == Code.INVALID_SETTING


def test_the_setting_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOVAFLOW_RUNS", "/tmp/a")
    assert runs_root("/tmp/b") == Path("/tmp/b")
    assert runs_root() == Path("/tmp/a")
