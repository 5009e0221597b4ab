"""Failures as data: one code, one cause, one sentence.

Every error that NovaFlow raises on purpose is a `NovaflowError` with a `Code`. The codes are those
of `novaflow_msgs/ErrorCode` (a test compares the two); a node turns the exception into its result
in one place.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, StrEnum


class Code(IntEnum):
    """What went wrong, in a band per stage. The numbers equal `novaflow_msgs/ErrorCode`."""

    OK = 0
    # perception 100..199
    EMPTY_INSTRUCTION = 100
    UNKNOWN_MOTION = 101
    UNKNOWN_WORD = 102
    TARGET_NOT_FOUND = 110
    REFERENCE_NOT_FOUND = 111
    AMBIGUOUS_TARGET = 112
    NO_CAMERA = 120
    STALE_IMAGE = 121
    DEPTH_INVALID = 122
    CAMERA_INFO_MISMATCH = 123
    NO_TRANSFORM = 124
    NO_SUPPORT_PLANE = 125
    SCENE_UNKNOWN = 126
    OUTCOME_NOT_OBSERVED = 130
    TARGET_LOST = 131
    # video 200..299
    VIDEO_UNREADABLE = 200
    VIDEO_TOO_SHORT = 201
    VIDEO_SIZE_MISMATCH = 202
    VIDEO_UNKNOWN_MOTION = 210
    VIDEO_GOAL_UNREACHABLE = 211
    VIDEO_GOAL_MISSED = 212
    VIDEO_SERVICE_TIMEOUT = 220
    VIDEO_SERVICE_QUOTA = 221
    VIDEO_SERVICE_UNAVAILABLE = 222
    VIDEO_SERVICE_REJECTED = 223
    VIDEO_BLOCKED = 224
    VIDEO_EMPTY = 225
    PROMPT_NOT_EXPANDED = 230
    VIDEO_OUT_OF_MEMORY = 240
    VIDEO_MODEL_FAILED = 241
    # tracking 300..399
    TRACKS_TOO_FEW = 300
    LIFT_LOW_INLIERS = 301
    LIFT_DIVERGED = 302
    LIFT_UNCERTAIN = 303
    POSE_SUPPORT_TOO_SMALL = 310
    MODEL_TIMEOUT = 320
    MODEL_UNAVAILABLE = 321
    MODEL_REJECTED = 322
    MODEL_VERSION_MISMATCH = 323
    MODEL_NONSENSE = 324
    DEPTH_UNRELIABLE = 330
    # selection 400..499
    NO_CANDIDATES = 400
    NO_VALID_CANDIDATE = 401
    JUDGE_TIMEOUT = 410
    JUDGE_QUOTA = 411
    JUDGE_UNAVAILABLE = 412
    JUDGE_REJECTED = 413
    JUDGE_BLOCKED = 414
    JUDGE_EMPTY = 415
    JUDGE_NONSENSE = 416
    # grasp 500..599
    NO_GRASP = 500
    NO_FEASIBLE_GRASP = 501
    GRASP_MISSED = 510
    GRASP_LOST = 511
    GRASP_BLOCKED = 512
    GRASP_SERVICE_TIMEOUT = 520
    GRASP_SERVICE_FAILED = 521
    GRASP_SERVICE_NONSENSE = 522
    # execution 600..699
    IK_FAILED = 600
    OPTIMISATION_FAILED = 601
    FLOW_OUTSIDE_WORKSPACE = 602
    APPROACH_NOT_FOUND = 603
    PLAN_START_STATE = 610
    PLAN_JOINT_LIMIT = 611
    PLAN_VELOCITY = 612
    PLAN_ACCELERATION = 613
    PLAN_WORKSPACE = 614
    PLAN_COLLISION = 615
    CONTROLLER_UNAVAILABLE = 620
    CONTROLLER_REJECTED = 621
    CONTROLLER_FAILED = 622
    GRIPPER_FAILED = 623
    NO_ROBOT_STATE = 624
    GUARD_STOP = 640
    MOTION_NOT_APPROVED = 650
    PLAN_EXPIRED = 651
    # platform 900..999
    CANCELLED = 900
    BUSY = 901
    PROCESS_LOST = 902
    TIMEOUT = 903
    UNKNOWN_BACKEND = 904
    INVALID_SETTING = 905
    NOT_ACTIVE = 906
    INVALID_MESSAGE = 907
    UNAVAILABLE = 908
    NO_API_KEY = 909
    INTERNAL = 999


class Cause(StrEnum):
    """The paper's four causes of failure (sec. 4), or `setup` for all before the method ran."""

    NONE = ""
    SETUP = "setup"
    VIDEO = "video"
    TRACKING = "tracking"
    GRASP = "grasp"
    EXECUTION = "execution"


# A service that does not serve says nothing about the video that was, or would have been, made.
_OUTAGES = frozenset(
    {
        Code.VIDEO_SERVICE_TIMEOUT,
        Code.VIDEO_SERVICE_QUOTA,
        Code.VIDEO_SERVICE_UNAVAILABLE,
        Code.VIDEO_SERVICE_REJECTED,
        Code.PROMPT_NOT_EXPANDED,
        Code.VIDEO_OUT_OF_MEMORY,
        Code.VIDEO_MODEL_FAILED,
        Code.MODEL_TIMEOUT,
        Code.MODEL_UNAVAILABLE,
        Code.MODEL_REJECTED,
        Code.MODEL_VERSION_MISMATCH,
        Code.MODEL_NONSENSE,
        Code.GRASP_SERVICE_TIMEOUT,
        Code.GRASP_SERVICE_FAILED,
        Code.GRASP_SERVICE_NONSENSE,
        Code.JUDGE_TIMEOUT,
        Code.JUDGE_QUOTA,
        Code.JUDGE_UNAVAILABLE,
        Code.JUDGE_REJECTED,
        Code.JUDGE_BLOCKED,
        Code.JUDGE_EMPTY,
        Code.JUDGE_NONSENSE,
    }
)


def cause_of(code: Code) -> Cause:
    """Return the cause that a code is counted under in reports."""
    if code == Code.OK:
        return Cause.NONE
    band = int(code) // 100
    if code == Code.OUTCOME_NOT_OBSERVED:
        return Cause.EXECUTION
    if code in _OUTAGES:
        return Cause.SETUP
    return {
        2: Cause.VIDEO,
        3: Cause.TRACKING,
        4: Cause.VIDEO,
        5: Cause.GRASP,
        6: Cause.EXECUTION,
    }.get(band, Cause.SETUP)


class NovaflowError(Exception):
    """Root of every failure that NovaFlow raises on purpose.

    Attributes:
        code: What went wrong.
        reason: A sentence with numbers, for people; it names the fix where there is one.
        evidence: Numbers or paths that support the reason.
    """

    def __init__(
        self, code: Code, reason: str, evidence: Mapping[str, object] | None = None
    ) -> None:
        """Keep code, reason and evidence."""
        super().__init__(f"{code.name} ({int(code)}): {reason}")
        self.code = code
        self.reason = reason
        self.evidence: dict[str, object] = dict(evidence or {})

    def __reduce__(self) -> tuple[object, ...]:
        """Cross between the processes of a pool, whose result would otherwise break it."""
        return _restored, (type(self), self.args, self.__dict__)


def _restored(
    kind: type[NovaflowError], args: tuple[object, ...], state: dict[str, object]
) -> NovaflowError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class PerceptionError(NovaflowError):
    """Raised by capture, parsing, grounding and tracking of the live object (codes 100..199)."""


class VideoError(NovaflowError):
    """Raised when a video cannot be generated or read (codes 200..299)."""


class TrackingError(NovaflowError):
    """Raised when a video cannot be lifted to a flow (codes 300..399)."""


class SelectionError(NovaflowError):
    """Raised when no candidate is believable (codes 400..499)."""


class GraspError(NovaflowError):
    """Raised when the object cannot be taken or is lost (codes 500..599)."""


class ExecutionError(NovaflowError):
    """Raised when a motion cannot be planned, is refused or fails (codes 600..699)."""


class PlatformError(NovaflowError):
    """Raised for cancelled goals, lost processes, bad settings and the like (codes 900..999)."""


class ShapeError(NovaflowError):
    """Raised when arrays disagree on their shape, or a message with its own size fields."""

    def __init__(self, reason: str) -> None:
        """Keep the sentence; the code is INVALID_MESSAGE."""
        super().__init__(Code.INVALID_MESSAGE, reason)
