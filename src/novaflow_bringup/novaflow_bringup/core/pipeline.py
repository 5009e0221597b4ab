"""The order in which a goal's stages run, what each needs of the others, and how it ends. No ROS.

What the stages hand to each other is opaque here: messages in the product, anything in tests.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from novaflow_bringup.core.run_record import Goal, RunRecord, StageTime
from novaflow_core.candidate import CandidateFeasibility, CandidateScore, FlowCandidate
from novaflow_core.errors import (
    Code,
    NovaflowError,
    PerceptionError,
    PlatformError,
    SelectionError,
    VideoError,
)

Progress = Callable[[str, float], None]
OnStage = Callable[[StageTime, float], None]  # the stage and its progress, 0..1 or NaN

STARTED, NAN = "started", float("nan")
STILL_HELD = "still_held"  # evidence: something is between the fingers, and no other can be taken
_ANOTHER_MAY_HOLD = frozenset(
    {
        Code.NO_GRASP,
        Code.NO_FEASIBLE_GRASP,
        Code.GRASP_MISSED,
        Code.GRASP_LOST,
        Code.GRASP_BLOCKED,
    }
)


@dataclass(frozen=True)
class Captured:
    """A captured scene: its id and the stages' own record of it."""

    scene_id: str
    handle: object


@dataclass(frozen=True)
class Grounded:
    """An understood instruction: one line for people and the stages' own record of it."""

    expanded: str
    handle: object


@dataclass(frozen=True)
class Generated:
    """The candidates, the stages' own record of each by id, compute times [s], the prompt."""

    candidates: tuple[FlowCandidate, ...]
    handles: dict[str, object]
    compute_s: dict[str, float] = field(default_factory=dict)
    code: Code = Code.OK
    reason: str = ""
    prompt: str = ""


@dataclass(frozen=True)
class Scored:
    """Feasibility of the candidates and the stages' own record of it."""

    feasibility: tuple[CandidateFeasibility, ...] = ()
    handle: object = None


@dataclass(frozen=True)
class Selected:
    """The judge's answer; `candidate_id` is "" unless `code` is OK."""

    code: Code
    reason: str
    candidate_id: str
    scores: tuple[CandidateScore, ...]


@dataclass(frozen=True)
class Executed:
    """How a motion went.

    Attributes:
        reason: A sentence.
        loop: The loop's numbers.
        kept: Why the object is still held; "" where it was let go.
        held: The stages' own record of where the gripper holds it.
    """

    reason: str
    loop: dict[str, float] = field(default_factory=dict)
    kept: str = ""
    held: object = None


@dataclass(frozen=True)
class Observed:
    """What a fresh view says about the task; `code` OK means that it is done."""

    code: Code
    reason: str
    evidence: dict[str, float] = field(default_factory=dict)


class Stages(Protocol):
    """The work; a call raises `NovaflowError` when it fails or is cancelled."""

    def ready(self, plan_only: bool) -> None:
        """Make sure that every process the goal needs is there."""

    def record(self, bag: Path) -> None:
        """Start recording the graph."""

    def stop_recording(self) -> None:
        """Stop recording and close the file."""

    def clear(self, progress: Progress) -> str:
        """Bring the arm out of the view; return a sentence about what was done."""

    def capture(self) -> Captured:
        """Take a fresh view."""

    def ground(self, scene: Captured, instruction: str) -> Grounded:
        """Parse the instruction and find what it names."""

    def generate(
        self, scene: Captured, grounded: Grounded, goal: Goal, videos: Path, progress: Progress
    ) -> Generated:
        """Imagine the task several times and lift each video to a flow."""

    def score(
        self, scene: Captured, grounded: Grounded, generated: Generated, progress: Progress
    ) -> Scored:
        """Ask the robot which flows it can do."""

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

    def track(self, scene: Captured, grounded: Grounded) -> None:
        """Follow the target live."""

    def stop_tracking(self) -> None:
        """Stop following."""

    def preview(
        self, scene: Captured, grounded: Grounded, candidate: object, progress: Progress
    ) -> str:
        """Plan without moving; return the plan's hash."""

    def approval(self, grounded: Grounded, plan_hash: str, progress: Progress) -> None:
        """Wait until a person allows this plan."""

    def execute(
        self,
        scene: Captured,
        grounded: Grounded,
        candidate: object,
        plan_hash: str,
        progress: Progress,
    ) -> Executed:
        """Move; tell how it went."""

    def observe(self, scene: Captured, candidate: object, done: Executed) -> Observed:
        """Take a fresh view and say whether the task is done."""


class Pipeline:
    """Runs one goal through the stages and keeps its record, whatever happens."""

    def __init__(
        self,
        stages: Stages,
        *,
        approve: bool = False,
        record: bool = True,
        next_candidates: int = 1,
        on_stage: OnStage = lambda _stage, _progress: None,
        should_stop: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Remember how to run.

        Args:
            stages: What does the work.
            approve: A person must allow the plan before anything moves.
            record: Record the graph into the run folder.
            next_candidates: How many further candidates are tried when no grasp holds.
            on_stage: Told about every change of a stage.
            should_stop: Whether the goal is to end; looked at between stages.
            clock: Steady time [s].
        """
        self._stages, self._approve, self._record = stages, approve, record
        self._next_candidates = next_candidates
        self._on_stage, self._should_stop, self._clock = on_stage, should_stop, clock
        self._current = ""

    def run(self, record: RunRecord) -> RunRecord:
        """Perform `record.goal`; failures end up in the record and are not raised.

        Unknown exceptions pass through after cleaning up; the caller logs and records them.
        """
        began = self._clock()
        self._current = ""
        try:
            if not record.goal.instruction.strip():
                raise PerceptionError(
                    Code.EMPTY_INSTRUCTION, "the instruction is empty; say what to do"
                )
            self._stages.ready(record.goal.plan_only)
            self._start_recording(record)
            try:
                self._perform(record)
            finally:
                self._clean(record, "tracking", self._stages.stop_tracking)
        except NovaflowError as error:
            record.fail(error, self._current)
        finally:
            if self._record and record.folder is not None:
                self._clean(record, "recording", self._stages.stop_recording)
            record.total_s = self._clock() - began
            record.overhead_s = max(0.0, record.total_s - sum(s.seconds for s in record.stages))
        return record

    def _perform(self, record: RunRecord) -> None:
        goal, stages = record.goal, self._stages
        folder = record.folder or Path()
        if not goal.plan_only:
            with self._stage(record, "clear") as (note, progress):
                note(stages.clear(progress))
        with self._stage(record, "capture") as (note, _):
            scene = stages.capture()
            record.scene_id = scene.scene_id
            note(f"scene {scene.scene_id}")
        with self._stage(record, "ground") as (note, _):
            grounded = stages.ground(scene, goal.instruction)
            record.expanded = grounded.expanded
            note(grounded.expanded)
        with self._stage(record, "generate") as (note, progress):
            generated = stages.generate(scene, grounded, goal, folder / "videos", progress)
            record.candidates = generated.candidates
            record.compute_s |= generated.compute_s
            record.prompt = generated.prompt
            if generated.code != Code.OK:
                raise VideoError(generated.code, generated.reason)
            usable = sum(c.code == Code.OK for c in generated.candidates)
            note(f"{usable} of {len(generated.candidates)} candidates have a flow")
            if not usable:
                raise _no_flow(generated.candidates)
        scored = Scored()
        if not goal.plan_only:
            with self._stage(record, "score") as (note, progress):
                scored = stages.score(scene, grounded, generated, progress)
                record.feasibility = scored.feasibility
                able = sum(f.feasible for f in scored.feasibility)
                note(f"{able} of {len(scored.feasibility)} flows feasible")
        with self._stage(record, "select") as (note, progress):
            answer = stages.select(scene, grounded, generated, scored, folder, progress)
            record.scores = answer.scores
            if answer.code != Code.OK:
                raise SelectionError(answer.code, answer.reason)
            if answer.candidate_id not in generated.handles:
                raise SelectionError(
                    Code.INVALID_MESSAGE, f"the judge chose '{answer.candidate_id}', unknown here"
                )
            record.candidate_id = answer.candidate_id
            note(f"candidate {answer.candidate_id}: {answer.reason}".rstrip(": "))
        if goal.plan_only:
            record.reason = f"candidate {answer.candidate_id} was chosen; reachability: not checked"
            return
        self._move_any(record, scene, grounded, generated)

    def _move_any(
        self, record: RunRecord, scene: Captured, grounded: Grounded, generated: Generated
    ) -> None:
        """Carry the chosen candidate out; where no grasp of it holds, the next best one."""
        others = _next_best(record)
        for chance in range(self._next_candidates + 1):
            try:
                self._move(record, scene, grounded, generated.handles[record.candidate_id])
                return
            except NovaflowError as error:
                spent = chance == self._next_candidates or not others
                if STILL_HELD in error.evidence or spent or error.code not in _ANOTHER_MAY_HOLD:
                    raise
                record.notes.append(
                    f"candidate {record.candidate_id} was given up ({error.code.name}: "
                    f"{error.reason}); candidate {others[0]} was tried"
                )
                record.candidate_id = others.pop(0)

    def _move(
        self, record: RunRecord, scene: Captured, grounded: Grounded, candidate: object
    ) -> None:
        stages = self._stages
        if self._approve:
            with self._stage(record, "approve") as (note, progress):
                stages.track(scene, grounded)
                record.plan_hash = stages.preview(scene, grounded, candidate, progress)
                stages.approval(grounded, record.plan_hash, progress)
                note(f"plan {record.plan_hash[:12]} was approved")
        with self._stage(record, "execute") as (note, progress):
            if not self._approve:
                stages.track(scene, grounded)
            done = stages.execute(scene, grounded, candidate, record.plan_hash, progress)
            record.loop = dict(done.loop)
            note(done.reason)
        with self._stage(record, "observe") as (note, _):
            seen = stages.observe(scene, candidate, done)
            record.evidence = dict(seen.evidence)
            if seen.code != Code.OK:
                raise PerceptionError(seen.code, seen.reason, seen.evidence)
            note(seen.reason)
            record.success, record.reason = True, seen.reason
            if done.kept:
                record.reason += f"; the gripper still holds it ({done.kept})"

    def _start_recording(self, record: RunRecord) -> None:
        if not self._record or record.folder is None:
            return
        try:
            self._stages.record(record.folder / "bag")
        except NovaflowError as error:
            if error.code == Code.CANCELLED:
                raise
            record.notes.append(f"not recorded: {error}")

    @staticmethod
    def _clean(record: RunRecord, what: str, call: Callable[[], None]) -> None:
        try:
            call()
        except NovaflowError as error:
            record.notes.append(f"{what} did not end cleanly: {error}")

    @contextmanager
    def _stage(
        self, record: RunRecord, name: str
    ) -> Iterator[tuple[Callable[[str], None], Progress]]:
        self._current = name
        stage = StageTime(name)
        record.stages.append(stage)
        began = self._clock()

        def tell(text: str, progress: float = NAN) -> None:
            stage.seconds, stage.text = self._clock() - began, text
            self._on_stage(stage, progress)

        def note(text: str) -> None:
            stage.text = text

        def end(state: str, progress: float) -> None:
            stage.seconds, stage.state = self._clock() - began, state
            self._on_stage(stage, progress)

        try:
            if self._should_stop():
                raise PlatformError(Code.CANCELLED, f"cancelled before {name}")
            stage.state = STARTED
            tell("")
            stage.state = "running"
            yield note, tell
        except NovaflowError as error:
            stage.text = f"{error.code.name}: {error.reason}"
            end("failed", NAN)
            raise
        except Exception as error:
            stage.text = f"{type(error).__name__}: {error}"
            end("failed", NAN)
            raise
        end("done", 1.0)
        self._current = ""


def _next_best(record: RunRecord) -> list[str]:
    """Ids of the other candidates that judge and robot would take, the best first."""
    able = {f.candidate_id for f in record.feasibility if f.feasible}
    others = [
        s
        for s in record.scores
        if s.valid and s.candidate_id in able and s.candidate_id != record.candidate_id
    ]
    return [s.candidate_id for s in sorted(others, key=lambda s: -s.score)]


def _no_flow(candidates: tuple[FlowCandidate, ...]) -> SelectionError:
    """Say why no candidate can be judged, with the code that they share when they agree on one."""
    if not candidates:
        return SelectionError(Code.NO_CANDIDATES, "no candidate was generated")
    counts: dict[Code, int] = {}
    for candidate in candidates:
        counts[candidate.code] = counts.get(candidate.code, 0) + 1
    told = ", ".join(f"{count} {code.name}" for code, count in counts.items())
    first = next((c.reason for c in candidates if c.reason), "")
    code = next(iter(counts)) if len(counts) == 1 else Code.NO_CANDIDATES
    return SelectionError(
        code, f"none of {len(candidates)} candidates has a flow ({told}); e.g. {first}"
    )
