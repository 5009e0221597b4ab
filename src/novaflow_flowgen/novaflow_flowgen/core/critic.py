"""The critic: does a candidate's motion do what the instruction says, as a real thing would?

Cheap gates come first; a candidate that fails one is not looked at further. Consensus among the
candidates only breaks ties: most of them may have gone wrong in the same way.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlparse

import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_core.candidate import CandidateFeasibility, CandidateScore, FlowCandidate, Gate
from novaflow_core.errors import Code, NovaflowError, PlatformError, SelectionError
from novaflow_core.flow import MotionKind, ObjectFlow
from novaflow_core.grounding import Grounding
from novaflow_core.kabsch import SequenceFit, fit_sequence
from novaflow_core.motion_check import MotionJudge, moved_footprint
from novaflow_core.scene import Scene
from novaflow_core.task import Motion, Relation
from novaflow_flowgen.core import posture
from novaflow_flowgen.core.clearance import share_in_walls
from novaflow_flowgen.core.judging import Selection, SelectorSettings, never
from novaflow_flowgen.core.pixel_evidence import PixelEvidence, read_ends, weigh_pixels

Float = NDArray[np.float64]
Image = NDArray[np.uint8]

_MOVES_M = 0.02  # shorter paths have no largest step worth speaking of
_SMOOTH_JERK = 0.25  # second difference over path length at which smoothness is worth nothing
_GOAL_SLACK_M = 0.02  # how far inside of what is asked for still raises the score


@dataclass(frozen=True)
class _Bench:
    """What all candidates of a scene share, measured once."""

    scene: Scene
    grounding: Grounding
    target: Float  # (N, 3) points of the target in the scene [m]
    judge: MotionJudge
    walls: Float | None  # (M, 3) points of what the target goes into [m]; None for other tasks


@dataclass(frozen=True)
class _Case:
    """One candidate under judgement."""

    bench: _Bench
    candidate: FlowCandidate
    flow: ObjectFlow
    motion: SequenceFit
    feasibility: CandidateFeasibility | None


@dataclass(frozen=True)
class Judgement:
    """What the critic thinks of one candidate.

    Attributes:
        score: The gates, and a rank where all passed.
        end: (3,) where the target's middle ends [m], planning frame; None where a gate failed.
    """

    score: CandidateScore
    end: Float | None


class Critic:
    """The `critic` backend: explicit gates, no model."""

    def __init__(self, settings: SelectorSettings | None = None) -> None:
        """Keep the thresholds."""
        self._limits = settings or SelectorSettings()

    def select(
        self,
        scene: Scene,
        grounding: Grounding,
        candidates: Sequence[FlowCandidate],
        feasibility: Sequence[CandidateFeasibility],
        should_stop: Callable[[], bool] = never,
    ) -> Selection:
        """Judge all candidates and choose one, or none."""
        return self.decide(self.judge(scene, grounding, candidates, feasibility, should_stop))

    def judge(
        self,
        scene: Scene,
        grounding: Grounding,
        candidates: Sequence[FlowCandidate],
        feasibility: Sequence[CandidateFeasibility],
        should_stop: Callable[[], bool] = never,
    ) -> list[Judgement]:
        """Judge each candidate by itself; errors as of `select`."""
        if not candidates:
            raise SelectionError(Code.NO_CANDIDATES, "there are no candidates to choose from")
        asked = {item.candidate_id: item for item in feasibility}
        bench = _set_up(scene, grounding)
        judged = []
        for candidate in candidates:
            if should_stop():
                raise PlatformError(Code.CANCELLED, "cancelled while judging candidates")
            judged.append(
                Judgement(*self._judge(bench, candidate, asked.get(candidate.candidate_id)))
            )
        return judged

    def decide(self, judged: Sequence[Judgement]) -> Selection:
        """Choose one of the candidates of a goal, or none."""
        scores = tuple(item.score for item in judged)
        valid = [score for score in scores if score.valid]
        if not valid:
            return Selection(None, scores, _none_valid(scores))
        ends = {
            item.score.candidate_id: item.end
            for item in judged
            if item.score.valid and item.end is not None
        }
        chosen = _choose(valid, ends, self._limits.tie_width)
        return Selection(
            chosen.candidate_id,
            scores,
            f"{chosen.candidate_id} scores {chosen.score:.2f}; "
            f"{len(valid)} of {len(scores)} candidates passed every gate",
        )

    def _judge(
        self,
        bench: _Bench,
        candidate: FlowCandidate,
        feasibility: CandidateFeasibility | None,
    ) -> tuple[CandidateScore, Float | None]:
        gates: list[Gate] = []
        scene = bench.scene

        def failed(gate: Gate) -> tuple[CandidateScore, Float | None]:
            gates.append(gate)
            return CandidateScore(candidate.candidate_id, 0.0, tuple(gates)), None

        flow = candidate.flow
        if candidate.code != Code.OK or flow is None:
            reason = candidate.reason or f"it has no flow: {candidate.code.name}"
            return failed(Gate("lifted", float(candidate.code), 0.0, False, reason))
        if candidate.scene_id != scene.scene_id or flow.frame_id != scene.planning_frame:
            return failed(
                Gate("lifted", float("nan"), 0.0, False,
                     f"it belongs to scene '{candidate.scene_id}' in '{flow.frame_id}', "
                     f"not to '{scene.scene_id}' in '{scene.planning_frame}'")
            )  # fmt: skip
        gates.append(Gate("lifted", 0.0, 0.0, True, f"{flow.point_count} points were lifted"))
        try:
            motion = fit_sequence(flow)
        except NovaflowError as error:
            return failed(Gate("support", 0.0, self._limits.seen_share_min, False, error.reason))
        case = _Case(bench, candidate, flow, motion, feasibility)
        for check in self._checks():
            for gate in check(case):
                gates.append(gate)
            if not all(gate.passed for gate in gates):
                return CandidateScore(candidate.candidate_id, 0.0, tuple(gates)), None
        score = self._worth(case, gates)
        end = se3.apply(motion.poses[-1], np.median(bench.target, axis=0))
        return CandidateScore(candidate.candidate_id, score, tuple(gates)), end

    def _checks(self) -> tuple[Callable[[_Case], Iterator[Gate]], ...]:
        return (
            self._starts_on_target, self._seen, self._continuous, self._rigid, self._still_camera,
            self._stays_above, self._is_held_well, self._keeps_to_joint, self._does_what_is_said,
            self._looks_real, self._feasible,
        )  # fmt: skip

    def _starts_on_target(self, case: _Case) -> Iterator[Gate]:
        limits, view = self._limits, case.bench.scene.main
        points = case.flow.points[0].astype(float)
        known = points[np.isfinite(points).all(axis=1)]
        local = se3.apply(se3.inverse(view.T_planning_camera), known)
        at = view.model.project(local)
        size = [view.model.width - 1, view.model.height - 1]
        with np.errstate(invalid="ignore"):
            inside = ((at >= 0) & (at <= size)).all(axis=1)
        u, v = np.rint(at[inside]).astype(int).T
        mask = case.bench.grounding.mask(case.bench.grounding.target)
        off = abs(view.depth[v, u] - local[inside, 2])
        # The depth image has holes at edges and the flow is smoothed: missing depth is fine.
        on = mask[v, u] & ~(off > limits.start_depth_m)
        share = float(on.sum()) / max(len(known), 1)
        yield Gate(
            "start", share, limits.start_share_min, share >= limits.start_share_min,
            f"{100 * share:.0f} % of the points start on the target and at its depth "
            f"({100 * limits.start_share_min:.0f} % needed)",
        )  # fmt: skip

    def _seen(self, case: _Case) -> Iterator[Gate]:
        hidden = np.asarray(~case.flow.visible.any(axis=1))
        longest, most = _longest_run(hidden), self._limits.hidden_steps_max
        yield Gate(
            "hidden_steps", float(longest), float(most), longest <= most and not hidden[-1],
            f"nothing of it is seen in {longest} steps in a row ({most} allowed), "
            f"{'nor at the end' if hidden[-1] else 'and it is seen at the end'}",
        )  # fmt: skip
        share = case.flow.visible.mean(axis=1) * case.motion.share
        share[hidden] = 1.0
        step, least = int(np.argmin(share)), self._limits.seen_share_min
        yield Gate(
            "support", float(share[step]), least, bool(share[step] >= least),
            f"{100 * share[step]:.0f} % of the points are seen and agree in step {step} "
            f"({100 * least:.0f} % needed)",
        )  # fmt: skip

    def _continuous(self, case: _Case) -> Iterator[Gate]:
        limits = self._limits
        path = _path(case)
        steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
        at, length = int(np.argmax(steps)), float(steps.sum())
        yield Gate(
            "step_m", float(steps[at]), limits.step_max_m, bool(steps[at] <= limits.step_max_m),
            f"the largest step is {1e3 * steps[at]:.0f} mm, after step {at} "
            f"({1e3 * limits.step_max_m:.0f} allowed)",
        )  # fmt: skip
        share = float(steps[at]) / length if length > _MOVES_M else 0.0
        yield Gate(
            "step_share", share, limits.step_share_max, share <= limits.step_share_max,
            f"one step makes {100 * share:.0f} % of the {1e3 * length:.0f} mm path "
            f"({100 * limits.step_share_max:.0f} % allowed)",
        )  # fmt: skip
        rotations = case.motion.poses[:, :3, :3]
        turns = se3.rotation_angle(np.swapaxes(rotations[:-1], 1, 2) @ rotations[1:])
        turn = float(turns.max())
        yield Gate(
            "turn_rad", turn, limits.turn_max_rad, turn <= limits.turn_max_rad,
            f"the largest rotation in a step is {np.degrees(turn):.0f} deg "
            f"({np.degrees(limits.turn_max_rad):.0f} allowed)",
        )  # fmt: skip

    def _rigid(self, case: _Case) -> Iterator[Gate]:
        limits = self._limits
        worst = float(case.motion.residual_m.max())
        yield Gate(
            "rigidity_m", worst, limits.residual_max_m, worst <= limits.residual_max_m,
            f"the points move together within {1e3 * worst:.1f} mm "
            f"({1e3 * limits.residual_max_m:.1f} allowed)",
        )  # fmt: skip
        change = _scale_change(case.flow)
        yield Gate(
            "scale", change, limits.scale_change_max, change <= limits.scale_change_max,
            f"its size changes by {100 * change:.0f} % "
            f"({100 * limits.scale_change_max:.0f} % allowed)",
        )  # fmt: skip
        stretch, most = case.candidate.stats.get("stretch", float("nan")), limits.stretch_max
        yield Gate(
            "stretch", stretch, most, not stretch > most,
            f"it gets longer along one axis by {100 * max(stretch, 0.0):.0f} % at least "
            f"({100 * most:.0f} % allowed)"
            if np.isfinite(stretch) else "its change of shape was not measured",
        )  # fmt: skip

    def _still_camera(self, case: _Case) -> Iterator[Gate]:
        moved = case.candidate.stats.get("background_motion_px", float("nan"))
        limit = self._limits.background_motion_max * case.bench.scene.main.model.width
        yield Gate(
            "background_px", moved, limit, not moved > limit,
            f"the background moves by {moved:.1f} px ({limit:.1f} allowed)"
            if np.isfinite(moved) else "the background's motion was not measured",
        )  # fmt: skip

    def _stays_above(self, case: _Case) -> Iterator[Gate]:
        limits, low = self._limits, _lowest(case)
        sunk = float(min(low[0], 0.0) - low.min())
        yield Gate(
            "below_support_m", sunk, limits.below_support_max_m, sunk <= limits.below_support_max_m,
            f"it sinks {1e3 * max(sunk, 0.0):.0f} mm below its support "
            f"({1e3 * limits.below_support_max_m:.0f} allowed)",
        )  # fmt: skip
        if case.bench.grounding.task.motion in (Motion.PUSH, Motion.PULL, Motion.OPEN):
            rise = float((low - low[0]).max())
            yield Gate(
                "slide_m", rise, limits.slide_rise_max_m, rise <= limits.slide_rise_max_m,
                f"it rises by {1e3 * rise:.0f} mm though it is to slide "
                f"({1e3 * limits.slide_rise_max_m:.0f} allowed)",
            )  # fmt: skip

    def _is_held_well(self, case: _Case) -> Iterator[Gate]:
        limits, grounding = self._limits, case.bench.grounding
        yield from posture.dips(_lowest(case), limits.dip_max_m)
        yield from posture.leans(
            grounding.task, case.motion.poses[-1], grounding.support, limits.lean_max_rad
        )

    def _keeps_to_joint(self, case: _Case) -> Iterator[Gate]:
        if case.bench.grounding.task.motion is not Motion.OPEN:
            return
        stats = case.candidate.stats
        left, allowed = (stats.get(f"joint_{name}_m", float("nan")) for name in ("rms", "allowed"))
        kind = case.flow.kind
        on = kind in (MotionKind.PRISMATIC, MotionKind.REVOLUTE)
        said = (
            f"it moves on a {kind} joint" if on else f"it moves on no joint, its motion is {kind}"
        )
        yield Gate(
            "joint_m", left, allowed, on,
            f"{said}, which leaves {1e3 * left:.1f} mm unexplained ({1e3 * allowed:.1f} allowed)"
            if np.isfinite(left) else said,
        )  # fmt: skip

    def _does_what_is_said(self, case: _Case) -> Iterator[Gate]:
        limit = self._limits.goal_error_max_m
        name = "relation_m" if case.bench.grounding.task.relation else "motion_m"
        check = case.bench.judge.check(case.motion.poses[-1])
        yield Gate(name, check.error_m, limit, check.error_m <= limit, check.reason)
        if case.bench.walls is not None:
            judge, most = case.bench.judge, self._limits.in_walls_max
            end = moved_footprint(judge.foot, case.motion.poses[-1], judge.support)
            share = share_in_walls(end, case.bench.walls, judge.support)
            yield Gate(
                "in_walls", share, most, not share > most,
                f"{100 * share:.0f} % of it would stand in what surrounds the opening "
                f"({100 * most:.0f} % allowed)"
                if np.isfinite(share) else "it is too small to tell whether it fits",
            )  # fmt: skip

    def _looks_real(self, case: _Case) -> Iterator[Gate]:
        limits, view = self._limits, case.bench.scene.main
        if not case.candidate.video_uri:
            yield Gate("video", float("nan"), 0.0, True, "there is no video to look at")
            return
        try:
            first, last = _ends(case.candidate, (view.model.width, view.model.height))
        except NovaflowError as error:
            yield Gate("video", float("nan"), 0.0, False, error.reason)
            return
        seen = weigh_pixels(first, last, case.flow, view, case.bench.grounding)
        believable = True
        for name, value, limit, passed, text in (
            ("present", seen.present_share, limits.present_share_min,
             not seen.present_share < limits.present_share_min,
             "of the target's points look like it where it ends"),
            ("others_changed", seen.others_changed, limits.others_changed_max,
             not seen.others_changed > limits.others_changed_max,
             f"of '{seen.other_name}' changes though nothing covers it"),
            ("left", seen.left_share, limits.left_share_min,
             not seen.left_share < limits.left_share_min,
             "of the place that the target left has changed"),
        ):  # fmt: skip
            said = f"{100 * value:.0f} % {text} (limit {100 * limit:.0f} %)"
            yield Gate(
                name, value, limit, passed, said if np.isfinite(value) else "nothing to compare"
            )
            believable = believable and passed
        if believable:
            yield from self._stays_itself(seen)

    def _stays_itself(self, seen: PixelEvidence) -> Iterator[Gate]:
        most = self._limits.stays_max
        yield Gate(
            "stays", seen.stays, most, not seen.stays > most,
            f"the place that it left looks like it still by {100 * seen.stays:.0f} % "
            f"({100 * most:.0f} allowed)"
            if np.isfinite(seen.stays) else "nothing to compare",
        )  # fmt: skip
        most = self._limits.colour_shift_max
        yield Gate(
            "colour", seen.colour_shift, most, not seen.colour_shift > most,
            f"its colour changes by {seen.colour_shift:.0f} of 255 ({most:.0f} allowed)"
            if np.isfinite(seen.colour_shift) else "nothing to compare",
        )  # fmt: skip

    def _feasible(self, case: _Case) -> Iterator[Gate]:
        answer = case.feasibility
        if answer is None or not answer.checked:
            yield Gate("feasible", float("nan"), 0.0, True, "reachability was not checked")
        else:
            said = answer.reason or f"a grasp reaches every step (score {answer.score:.2f})"
            yield Gate("feasible", answer.score, 0.0, answer.feasible, said)

    def _worth(self, case: _Case, gates: Sequence[Gate]) -> float:
        """Rank of a valid candidate, 0..1: goal, smoothness, support, the robot's view of it."""
        limit = self._limits.goal_error_max_m
        error = next(gate.value for gate in gates if gate.name in ("relation_m", "motion_m"))
        goal = float(np.clip((limit - error) / (limit + _GOAL_SLACK_M), 0.0, 1.0))
        path = _path(case)
        length = float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())
        bend = float(np.linalg.norm(np.diff(path, 2, axis=0), axis=1).max()) / max(length, _MOVES_M)
        smooth = float(np.clip(1.0 - bend / _SMOOTH_JERK, 0.0, 1.0))
        support = float(np.mean(case.flow.visible.mean(axis=1) * case.motion.share))
        if case.feasibility is not None and case.feasibility.checked:
            reach = float(np.clip(case.feasibility.score, 0.0, 1.0))
            return 0.4 * goal + 0.15 * smooth + 0.15 * support + 0.3 * reach
        return 0.6 * goal + 0.2 * smooth + 0.2 * support


def make_critic(settings: SelectorSettings) -> Critic:
    """Entry point of the `critic` backend."""
    return Critic(settings)


def _path(case: _Case) -> Float:
    """Positions (T, 3) [m] of the target's middle."""
    middle = np.median(case.bench.target, axis=0) if len(case.bench.target) else np.zeros(3)
    return np.asarray(case.motion.poses[:, :3, :3] @ middle + case.motion.poses[:, :3, 3])


def _lowest(case: _Case) -> Float:
    """Height (T,) [m] of the target's lowest points above the support."""
    cloud = case.bench.target[:: max(1, len(case.bench.target) // 400)]
    support = case.bench.grounding.support
    heights = np.stack([support.height(se3.apply(T, cloud)) for T in case.motion.poses])
    return np.asarray(np.percentile(heights, 2, axis=1))


def _longest_run(flags: NDArray[np.bool_]) -> int:
    """Most flags (T,) that are set one after the other."""
    longest = run = 0
    for flag in flags:
        run = run + 1 if flag else 0
        longest = max(longest, run)
    return longest


def _scale_change(flow: ObjectFlow) -> float:
    """Largest change of the distances between points against step 0, as a share."""
    points = flow.points.astype(float)
    known = flow.visible & flow.visible[:1] & np.isfinite(points).all(axis=2)
    known &= np.isfinite(points[:1]).all(axis=2)
    worst = 0.0
    for step in range(1, flow.steps):
        k = np.flatnonzero(known[step])
        a, b = points[0, k], points[step, k]
        if len(k) < 6:
            continue
        # Pairs across the object; a median over pairs does not care for single wrong tracks.
        half = len(k) // 2
        before = np.linalg.norm(a[:half] - a[half : 2 * half], axis=1)
        after = np.linalg.norm(b[:half] - b[half : 2 * half], axis=1)
        long = before > 0.5 * np.median(before)
        worst = max(worst, abs(float(np.median(after[long] / before[long])) - 1.0))
    return worst


def _ends(candidate: FlowCandidate, size: tuple[int, int]) -> tuple[Image, Image]:
    path = Path(unquote(urlparse(candidate.video_uri).path))
    ends = read_ends(path, size)
    if candidate.video_sha256:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != candidate.video_sha256:
            raise SelectionError(
                Code.INVALID_MESSAGE,
                f"{path.name} is not the video that was lifted: its hash differs",
            )
    return ends


def _set_up(scene: Scene, grounding: Grounding) -> _Bench:
    target = grounding.points(scene, grounding.target)
    references = grounding.references
    reference = grounding.points(scene, references[0]) if references else None
    camera = scene.main.T_planning_camera
    judge = MotionJudge(grounding.task, target, reference, grounding.support, camera)
    walls = reference if grounding.task.relation is Relation.IN else None
    return _Bench(scene, grounding, target, judge, walls)


def _choose(
    valid: Sequence[CandidateScore], ends: dict[str, Float], tie_width: float
) -> CandidateScore:
    """Take the best score; among ties, the end that is nearest to the others'."""
    best = max(score.score for score in valid)
    ties = [score for score in valid if score.score >= best - tie_width]
    places = np.stack(list(ends.values()))

    def distance(score: CandidateScore) -> float:
        return float(np.linalg.norm(places - ends[score.candidate_id], axis=1).sum())

    return min(ties, key=lambda score: (distance(score), -score.score))


def _none_valid(scores: Sequence[CandidateScore]) -> str:
    first = Counter(next(gate.name for gate in s.gates if not gate.passed) for s in scores)
    counts = ", ".join(f"{count} by '{name}'" for name, count in first.most_common())
    nearest = max(scores, key=lambda s: sum(gate.passed for gate in s.gates))
    gate = next(gate for gate in nearest.gates if not gate.passed)
    return (
        f"none of {len(scores)} candidates is believable: {counts}; the nearest, "
        f"{nearest.candidate_id}: {gate.reason}"
    )
