"""No judgement at all: the first candidate that can be tried. A baseline to measure judges by."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from novaflow_core.candidate import CandidateFeasibility, CandidateScore, FlowCandidate, Gate
from novaflow_core.errors import Code, PlatformError, SelectionError
from novaflow_core.grounding import Grounding
from novaflow_core.scene import Scene
from novaflow_flowgen.core.judging import Selection, never


class FirstChoice:
    """The `first` backend; it looks at no flow, and is never a default."""

    def select(
        self,
        scene: Scene,
        grounding: Grounding,
        candidates: Sequence[FlowCandidate],
        feasibility: Sequence[CandidateFeasibility],
        should_stop: Callable[[], bool] = never,
    ) -> Selection:
        """Choose the first that was lifted and that the arm, where asked, can follow."""
        if not candidates:
            raise SelectionError(Code.NO_CANDIDATES, "there are no candidates to choose from")
        if should_stop():
            raise PlatformError(Code.CANCELLED, "cancelled while choosing a candidate")
        able = {f.candidate_id: f for f in feasibility if f.checked}
        scores = tuple(_score(c, able.get(c.candidate_id)) for c in candidates)
        first = next((score.candidate_id for score in scores if score.valid), None)
        if first is None:
            return Selection(None, scores, f"none of {len(scores)} candidates can be tried")
        return Selection(
            first, scores, f"{first} is the first that can be tried; nothing judged it"
        )


def _score(candidate: FlowCandidate, able: CandidateFeasibility | None) -> CandidateScore:
    code, reason = candidate.code, candidate.reason
    if candidate.flow is not None and code == Code.OK and able is not None:
        code, reason = able.code, able.reason
    usable = candidate.flow is not None and code == Code.OK
    gate = Gate("usable", float(code), 0.0, usable, reason)
    return CandidateScore(candidate.candidate_id, float(usable), (gate,))


def make_first_choice(settings: object) -> FirstChoice:
    """Entry point of the `first` backend."""
    return FirstChoice()
