"""What a judge of candidates is; backends of the stage `selection` implement this."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from novaflow_core.candidate import CandidateFeasibility, CandidateScore, FlowCandidate
from novaflow_core.errors import Code, SelectionError
from novaflow_core.grounding import Grounding
from novaflow_core.scene import Scene
from novaflow_core.settings import setting
from novaflow_flowgen.core.language_model import KeySettings

ON_FAILURE_CRITIC = "critic"
ON_FAILURE_FAIL = "fail"


def never() -> bool:
    """Say that nobody wants to stop."""
    return False


@dataclass(frozen=True)
class Selection:
    """A verdict on all candidates.

    Attributes:
        candidate_id: The believable one; None when all were rejected.
        scores: In the order of the candidates.
        reason: A sentence with numbers.
    """

    candidate_id: str | None
    scores: tuple[CandidateScore, ...]
    reason: str

    def require(self) -> str:
        """Return the chosen candidate.

        Raises:
            SelectionError: NO_VALID_CANDIDATE when all were rejected.
        """
        if self.candidate_id is None:
            raise SelectionError(Code.NO_VALID_CANDIDATE, self.reason)
        return self.candidate_id


class Selector(Protocol):
    """Chooses the believable candidate, or none."""

    def select(
        self,
        scene: Scene,
        grounding: Grounding,
        candidates: Sequence[FlowCandidate],
        feasibility: Sequence[CandidateFeasibility],
        should_stop: Callable[[], bool] = never,
    ) -> Selection:
        """Judge all candidates; `feasibility` is empty where there is no robot to ask.

        Raises:
            SelectionError: NO_CANDIDATES when there is nothing to judge; JUDGE_... when a model
                that judges fails and may not be replaced.
            PlatformError: CANCELLED, where a judge can be interrupted.
        """
        ...


@dataclass(frozen=True)
class SelectorSettings(KeySettings):
    """Parameters of selector_node; see each field's description."""

    selection: str = setting("critic", "backend that chooses the believable candidate")
    on_vlm_failure: str = setting(
        ON_FAILURE_FAIL,
        "when a model that judges is absent, slow or talks nonsense: the critic's choice, or a "
        "failed selection",
        choices=(ON_FAILURE_CRITIC, ON_FAILURE_FAIL),
    )
    vlm_model: str = setting("", "model id of the judge; empty: the backend's default, if any")
    vlm_base_url: str = setting("", "of the judge's service; empty: the public one")
    vlm_timeout_s: float = setting(
        30.0, "longest time for one answer of the judge's model", unit="s", low=0.1, high=600.0
    )
    vlm_total_s: float = setting(
        45.0,
        "longest time for all its attempts together; task_node's select_timeout must be longer",
        unit="s",
        low=0.1,
        high=3000.0,
    )
    vlm_retries: int = setting(
        2, "further attempts after a timeout, a quota or an outage", low=0, high=10
    )
    vlm_backoff_s: float = setting(
        2.0, "wait before the first of them; it doubles each time", unit="s", low=0.0, high=60.0
    )
    marker_tracks: int = setting(
        40, "line strips of the chosen flow in the markers", low=0, high=200
    )
    start_share_min: float = setting(
        0.85, "points of step 0 that must lie on the target and at its depth", low=0.0, high=1.0
    )
    start_depth_m: float = setting(
        0.02, "how far a point of step 0 may be from the depth image", unit="m", low=0.0, high=0.2
    )
    goal_error_max_m: float = setting(
        0.012, "how far the end may be from what the instruction says", unit="m", low=0.0, high=0.2
    )
    in_walls_max: float = setting(
        0.4,
        "of what goes into something, the share that may stand in its walls",
        low=0.0,
        high=1.0,
    )
    step_max_m: float = setting(
        0.08, "largest motion from one step to the next", unit="m", low=0.0, high=1.0
    )
    step_share_max: float = setting(
        0.3, "largest single step, as a share of the whole path", low=0.0, high=1.0
    )
    turn_max_rad: float = setting(
        0.45, "largest rotation from one step to the next", unit="rad", low=0.0, high=3.2
    )
    residual_max_m: float = setting(
        0.006, "RMS distance from a rigid motion in any step", unit="m", low=0.0, high=0.1
    )
    scale_change_max: float = setting(
        0.1, "change of the target's size, as a share", low=0.0, high=1.0
    )
    stretch_max: float = setting(
        0.02,
        "how much longer than wide the target may surely get in the image, as a share",
        low=0.0,
        high=1.0,
    )
    seen_share_min: float = setting(
        0.25,
        "points that must be seen in every step that shows any, as a share",
        low=0.0,
        high=1.0,
    )
    hidden_steps_max: int = setting(
        6, "steps in a row in which nothing of the target may be seen", low=0, high=1000
    )
    below_support_max_m: float = setting(
        0.02, "how far the target may sink below its support", unit="m", low=0.0, high=0.2
    )
    dip_max_m: float = setting(
        0.02,
        "how much lower it may be on its way than where it stands",
        unit="m",
        low=0.0,
        high=0.2,
    )
    lean_max_rad: float = setting(
        0.35, "lean at the end of a motion along a direction", unit="rad", low=0.0, high=3.2
    )
    slide_rise_max_m: float = setting(
        0.025, "how far a pushed or pulled thing may rise", unit="m", low=0.0, high=0.2
    )
    background_motion_max: float = setting(
        0.008, "motion of the background, as a share of the image's width", low=0.0, high=1.0
    )
    present_share_min: float = setting(
        0.5, "the target's points that must look like it where it ends", low=0.0, high=1.0
    )
    others_changed_max: float = setting(
        0.35, "pixels of any other thing that may change, as a share", low=0.0, high=1.0
    )
    left_share_min: float = setting(
        0.4, "pixels of the place that the target left that must change", low=0.0, high=1.0
    )
    stays_max: float = setting(
        0.8, "how much the place that the target left may look like it still", low=-1.0, high=1.0
    )
    colour_shift_max: float = setting(
        14.0, "change of the target's colour apart from lightness, of 255", low=0.0, high=255.0
    )
    tie_width: float = setting(
        0.05, "scores closer than this are a tie, which consensus breaks", low=0.0, high=1.0
    )
