"""The report of a run, as Markdown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from novaflow_bringup.core.run_record import RunRecord
from novaflow_core.candidate import CandidateFeasibility, CandidateScore, Gate
from novaflow_core.errors import Code

TITLES = {"success": "done", "planned": "planned, not moved", "failed": "failed"}


def report_text(record: RunRecord, files: Mapping[str, str] | None = None) -> str:
    """Return the report of a run.

    Args:
        record: What is known of it.
        files: Relative paths in the run folder by description.
    """
    files = files or {}
    parts = [
        f'# "{record.goal.instruction}": {TITLES[record.verdict()]}',
        _ending(record),
        _asked(record),
        _stages(record),
        _candidates(record),
        _gates(record.scores),
        _feasibility(record.feasibility),
        _files(files),
        _notes(record),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _ending(record: RunRecord) -> str:
    lines = [f"**{record.code.name} ({int(record.code)})** {record.reason}".rstrip()]
    if record.code != Code.OK:
        where = record.failed_stage or "before the first stage"
        lines.append(f"- failed in: {where}; counted under: {record.cause.value or 'none'}")
    lines += [f"- {key}: {_value(value)}" for key, value in record.evidence.items()]
    return "\n".join(lines)


def _asked(record: RunRecord) -> str:
    goal = record.goal
    rows = [
        ("instruction", goal.instruction or "(empty)"),
        ("understood as", record.expanded or "not understood"),
        ("candidates", f"{goal.candidates}, of which {goal.spoiled} spoiled on purpose"),
        ("seed", str(goal.seed)),
        ("goal image", f"{len(goal.goal_image)} bytes" if goal.goal_image else "none"),
        ("scene", record.scene_id or "none"),
        ("chosen", record.candidate_id or "none"),
        ("plan", record.plan_hash or "no approval was asked"),
        ("began", record.began.isoformat(timespec="seconds")),
    ]
    if record.prompt:
        rows.insert(2, ("video prompt", record.prompt))
    if goal.plan_only:
        rows.append(("reachability", "not checked"))
    return "## Goal\n\n" + _table(("what", "value"), rows)


def _stages(record: RunRecord) -> str:
    rows = [(s.stage, f"{s.seconds:.3f}", s.state, s.text) for s in record.stages]
    rows.append(("outside the stages", f"{record.overhead_s:.3f}", "", "the task node's own time"))
    rows.append(("total", f"{record.total_s:.3f}", "", ""))
    text = "## Stages\n\n" + _table(("stage", "wall time [s]", "state", "last word"), rows)
    if record.compute_s:
        parts = ", ".join(f"{name} {seconds:.2f}" for name, seconds in record.compute_s.items())
        text += f"\n\nCompute inside [s]: {parts}."
    return text


def _candidates(record: RunRecord) -> str:
    scores = {s.candidate_id: s for s in record.scores}
    able = {f.candidate_id: f for f in record.feasibility}
    if not record.candidates:
        return ""
    rows = []
    for candidate in record.candidates:
        name = candidate.candidate_id
        score, feasibility = scores.get(name), able.get(name)
        rows.append(
            (
                f"**{name}**" if name == record.candidate_id else name,
                candidate.code.name,
                "" if score is None else f"{score.score:.3f}",
                _verdict(score),
                _feasible(feasibility),
                candidate.reason or _first_reason(score, feasibility),
            )
        )
    head = ("candidate", "lifted", "score", "judged", "feasible", "why")
    stats = [
        f"- {c.candidate_id}: "
        + ", ".join(f"{key} {_value(value)}" for key, value in c.stats.items())
        for c in record.candidates
        if c.stats
    ]
    text = "## Candidates\n\n" + _table(head, rows)
    return text + ("\n\nMeasured while lifting:\n\n" + "\n".join(stats) if stats else "")


def _gates(scores: Sequence[CandidateScore]) -> str:
    rows = [
        (
            score.candidate_id,
            gate.name,
            _value(gate.value),
            _value(gate.threshold),
            "passed" if gate.passed else "**failed**",
            gate.reason,
        )
        for score in scores
        for gate in score.gates
    ]
    if not rows:
        return ""
    return "## Gates\n\n" + _table(("candidate", "gate", "value", "held to", "", "reason"), rows)


def _feasibility(feasibility: Sequence[CandidateFeasibility]) -> str:
    if not feasibility:
        return ""
    rows = [
        (
            item.candidate_id,
            _feasible(item),
            item.code.name,
            f"{item.score:.3f}",
            str(item.grasps_tried),
            item.reason,
        )
        for item in feasibility
    ]
    head = ("candidate", "feasible", "code", "score", "grasps tried", "reason")
    return "## Feasibility\n\n" + _table(head, rows)


def _files(files: Mapping[str, str]) -> str:
    if not files:
        return ""
    lines = [f"- [{what}]({path})" for what, path in files.items()]
    images = [f"![{what}]({path})" for what, path in files.items() if path.endswith(".png")]
    return "## Files\n\n" + "\n".join(lines + (["", *images] if images else []))


def _notes(record: RunRecord) -> str:
    if not record.notes:
        return ""
    return "## Notes\n\n" + "\n".join(f"- {note}" for note in record.notes)


def _verdict(score: CandidateScore | None) -> str:
    if score is None:
        return ""
    if score.valid:
        return "valid"
    return "rejected: " + ", ".join(gate.name for gate in score.gates if not gate.passed)


def _feasible(item: CandidateFeasibility | None) -> str:
    if item is None:
        return ""
    if not item.checked:
        return "not checked"
    return "yes" if item.feasible else "no"


def _first_reason(score: CandidateScore | None, feasibility: CandidateFeasibility | None) -> str:
    failed: list[Gate] = [] if score is None else [g for g in score.gates if not g.passed]
    if failed:
        return failed[0].reason
    if feasibility is not None and not feasibility.feasible:
        return feasibility.reason
    return ""


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}" if math.isfinite(value) else "not measured"
    return str(value)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def _cell(text: str) -> str:
    """Keep a cell on one line: a reason may hold pipes or line breaks."""
    return " ".join(str(text).replace("|", "\\|").split())
