"""What a video generator and a lifter are: the stages `video` and `tracks`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from novaflow_core.errors import Code, PlatformError
from novaflow_core.flow import DEFAULT_STEPS, ObjectFlow
from novaflow_core.grounding import Grounding
from novaflow_core.scene import Plane, RgbdView, Scene
from novaflow_core.video import Video

DEFAULT_FPS = 16.0  # of generated videos (NovaFlow, sec. 4)

OnProgress = Callable[[float], None]
ShouldStop = Callable[[], bool]


class Spoil(StrEnum):
    """Hallucinations that a generator can be told to make, to test the judge."""

    WRONG_OBJECT = "wrong_object"
    WRONG_GOAL = "wrong_goal"
    TELEPORT = "teleport"
    WRONG_DIRECTION = "wrong_direction"
    VANISH = "vanish"
    SCALE_DRIFT = "scale_drift"
    CAMERA_DRIFT = "camera_drift"


@dataclass(frozen=True)
class VideoRequest:
    """One video to imagine.

    Attributes:
        scene: What the cameras saw; the video starts from its main view.
        grounding: What the instruction speaks of.
        goal_image: (H, W, 3) uint8 RGB, or None; generators that cannot use it ignore it.
        seed: Of everything random, together with `candidate`.
        candidate: Index of the candidate.
        spoil: Hallucination to make, or None.
        steps: Number of frames T.
        prompt: What a video model is told; "" for the instruction as it is.
        canvas: (T, H, W, 3) uint8 that the generator may render into, and whose frames the caller
            may overwrite once they are saved; None where the frames are kept.
    """

    scene: Scene
    grounding: Grounding
    goal_image: NDArray[np.uint8] | None = None
    seed: int = 0
    candidate: int = 0
    spoil: Spoil | None = None
    steps: int = DEFAULT_STEPS
    prompt: str = ""
    canvas: NDArray[np.uint8] | None = None


class VideoGenerator(Protocol):
    """Imagines the task as a video; every failure is a `VideoError`.

    Attributes:
        reads_prompt: Whether it is told what to show by `VideoRequest.prompt`.
    """

    reads_prompt: bool

    def generate(
        self, request: VideoRequest, on_progress: OnProgress, should_stop: ShouldStop
    ) -> Video:
        """Return T frames of the main view's size; `on_progress` gets 0..1."""
        ...

    def spoils(self, request: VideoRequest) -> tuple[Spoil, ...]:
        """Hallucinations that this generator can make for this scene."""
        ...


class Sketch(Protocol):
    """A video whose frames are drawn when they are asked for, in any order."""

    @property
    def fps(self) -> float:
        """Frames per second of the motion [Hz]."""
        ...

    @property
    def steps(self) -> int:
        """Number of frames T."""
        ...

    def frame(self, step: int) -> NDArray[np.uint8]:
        """Frame (H, W, 3) uint8 RGB of a step; asked again, it is the same array."""
        ...

    def finish(self, on_progress: OnProgress, should_stop: ShouldStop) -> Video:
        """Draw what is missing; `on_progress` gets 0..1."""
        ...


@runtime_checkable
class SketchingGenerator(VideoGenerator, Protocol):
    """A generator that need not draw a whole video before one can look at it."""

    def sketch(self, request: VideoRequest) -> Sketch:
        """Begin a video; `generate` gives the same one, finished."""
        ...


class GrayFrames(Protocol):
    """A video of the view's size that is read in order."""

    @property
    def fps(self) -> float:
        """Frames per second of the motion [Hz]."""
        ...

    @property
    def steps(self) -> int:
        """Number of frames T."""
        ...

    @property
    def width(self) -> int:
        """Of the frames [px]."""
        ...

    @property
    def height(self) -> int:
        """Of the frames [px]."""
        ...

    def grays(self) -> Iterator[NDArray[np.uint8]]:
        """Grey frames (H, W) in order."""
        ...

    def colors(self) -> NDArray[np.uint8]:
        """All frames (T, H, W, 3), RGB; a large array."""
        ...


@dataclass(frozen=True)
class LiftRequest:
    """One video to lift to a flow.

    Attributes:
        video: T frames of the view's size, in memory or read in order.
        view: The view that frame 0 shows; its depth gives the points.
        mask: (H, W) pixels of the object that shall be followed.
        support: Plane that the objects stand on.
        label: What the object is called.
        planning_frame: Frame that the flow is given in.
    """

    video: Video | GrayFrames
    view: RgbdView
    mask: NDArray[np.bool_]
    support: Plane
    label: str = ""
    planning_frame: str = ""


@dataclass(frozen=True)
class LiftResult:
    """A flow that passed the lifter's own checks.

    Attributes:
        flow: In the planning frame.
        stats: Measured while lifting; the unit is each name's suffix.
    """

    flow: ObjectFlow
    stats: dict[str, float] = field(default_factory=dict)


class Lifter(Protocol):
    """Distils a video into object flow, or abstains with a `TrackingError`."""

    def lift(
        self, request: LiftRequest, on_progress: OnProgress, should_stop: ShouldStop
    ) -> LiftResult:
        """Return the flow of the masked object; `on_progress` gets 0..1."""
        ...


def check_stop(should_stop: ShouldStop) -> None:
    """Raise CANCELLED when the caller wants to stop."""
    if should_stop():
        raise PlatformError(Code.CANCELLED, "cancelled while imagining candidates")
