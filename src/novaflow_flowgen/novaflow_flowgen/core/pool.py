"""The candidate pool: imagine, screen, save, read back and lift several videos, two at a time.

A cheap look comes first, so that a spoiled video dies before it costs much. Every flow is lifted
from the video file, never from the frames in memory: what is judged is what is on disk.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from novaflow_core.candidate import FlowCandidate
from novaflow_core.errors import Code, NovaflowError, PlatformError
from novaflow_core.flow import ObjectFlow
from novaflow_core.grounding import Grounding
from novaflow_core.scene import Scene
from novaflow_core.video import Video
from novaflow_flowgen.core.guiding import guided
from novaflow_flowgen.core.hallucination import assign_spoils
from novaflow_flowgen.core.lift import PnpLifter
from novaflow_flowgen.core.prompting import Prompt, PromptExpander, TemplatePrompt
from novaflow_flowgen.core.protocols import (
    Lifter,
    LiftRequest,
    ShouldStop,
    Sketch,
    SketchingGenerator,
    VideoGenerator,
    VideoRequest,
    check_stop,
)
from novaflow_flowgen.core.screen import CoarseScreen
from novaflow_flowgen.core.settings import FlowgenSettings
from novaflow_flowgen.core.video_file import VideoReader, VideoSize, write_mp4

Report = Callable[[str, float], None]
_IMAGINE_SHARE = 0.3  # of a candidate's time that goes into its video; only for the progress bar


@dataclass(frozen=True)
class PoolRequest:
    """Candidates to make.

    Attributes:
        scene: What the cameras saw.
        grounding: What the instruction speaks of.
        candidates: How many.
        seed: Of everything random.
        spoiled: How many hallucinate on purpose.
        artifacts: Folder for the videos.
        goal_image: (H, W, 3) uint8 RGB, or None.
        truth_dir: Folder for what each video shows, for harnesses only; None in all other cases.
    """

    scene: Scene
    grounding: Grounding
    candidates: int
    seed: int
    spoiled: int
    artifacts: Path
    goal_image: NDArray[np.uint8] | None = None
    truth_dir: Path | None = None


@dataclass(frozen=True)
class Pool:
    """What came of a request.

    Attributes:
        candidates: In order of their index, failed ones included.
        seconds: Compute time by part, summed over the candidates [s].
        prompt: What the video model was told; None where the generator reads none.
    """

    candidates: tuple[FlowCandidate, ...]
    seconds: dict[str, float] = field(default_factory=dict)
    prompt: Prompt | None = None


class CandidatePool:
    """Makes candidates with one generator and one lifter."""

    def __init__(
        self,
        generator: VideoGenerator,
        lifter: Lifter,
        *,
        expander: PromptExpander | None = None,
        workers: int = 2,
        screened: bool = True,
        keep_rejected: bool = False,
    ) -> None:
        """Keep the backends.

        Args:
            generator: Imagines the videos.
            lifter: Lifts them.
            expander: Writes what a video model is told; None: a template.
            workers: Candidates at the same time; OpenCV releases the GIL, so threads share the
                cores.
            screened: Whether a coarse look at a sketch comes before it is drawn to its end. It
                lifts as a `PnpLifter` does, so it speaks for no other lifter; a video that is there
                as a whole is lifted at once.
            keep_rejected: Whether a video that it rejects is drawn to its end and saved all the
                same.
        """
        self._generator, self._lifter, self._workers = generator, lifter, workers
        self._screened, self._keep = screened, keep_rejected
        self._expander = expander or TemplatePrompt()

    def make(self, request: PoolRequest, report: Report, should_stop: ShouldStop) -> Pool:
        """Make all candidates; one that fails is a candidate with a code and a reason.

        Raises:
            VideoError: PROMPT_NOT_EXPANDED when no candidate can be told what to show.
            PlatformError: CANCELLED, or INVALID_MESSAGE for a nonsensical request.
        """
        jobs, prompt, seconds = self.plan(request, report, should_stop)
        made = self.carry_out(request, jobs, report, should_stop)
        return Pool(made.candidates, seconds | made.seconds, prompt)

    def plan(
        self, request: PoolRequest, report: Report, should_stop: ShouldStop
    ) -> tuple[list[VideoRequest], Prompt | None, dict[str, float]]:
        """Decide what each candidate is told to show; see `make` for the errors.

        Returns:
            A job for each candidate, the prompt, and the compute time by part [s].
        """
        if request.candidates < 1:
            raise PlatformError(Code.INVALID_MESSAGE, "at least one candidate must be asked for")
        first = VideoRequest(
            request.scene, request.grounding, request.goal_image, seed=request.seed
        )
        kinds = self._generator.spoils(first) if request.spoiled else ()
        if request.spoiled and not kinds:
            raise PlatformError(
                Code.INVALID_SETTING, "this video backend cannot be told to hallucinate"
            )
        spoils = assign_spoils(kinds, request.candidates, request.spoiled, request.seed)
        meter = _Meter(range(request.candidates), report)
        prompt = self._expand(request, meter, should_stop)
        if prompt is not None:
            first = replace(first, prompt=prompt.text)
        jobs = [replace(first, candidate=i, spoil=spoil) for i, spoil in enumerate(spoils)]
        return jobs, prompt, meter.seconds

    def carry_out(
        self,
        request: PoolRequest,
        jobs: Sequence[VideoRequest],
        report: Report,
        should_stop: ShouldStop,
    ) -> Pool:
        """Make the candidates of some jobs of a goal.

        Raises:
            PlatformError: CANCELLED.
        """
        meter = _Meter([job.candidate for job in jobs], report)
        screen = None
        if self._screened and isinstance(self._lifter, PnpLifter):
            with meter.part("screen"):
                screen = CoarseScreen(request.scene, request.grounding)
        canvases = _Canvases((jobs[0].steps, *request.scene.main.color.shape))
        with ThreadPoolExecutor(self._workers, thread_name_prefix="candidate") as threads:
            futures = [
                threads.submit(self._one, request, job, canvases, screen, meter, should_stop)
                for job in jobs
            ]
            done = [future.result() for future in futures]
        check_stop(should_stop)
        return Pool(tuple(done), meter.seconds)

    def _expand(
        self, request: PoolRequest, meter: _Meter, should_stop: ShouldStop
    ) -> Prompt | None:
        """Write the prompt that all candidates share, where it is read at all."""
        if not self._generator.reads_prompt:
            return None
        with meter.part("prompt"):
            return self._expander.expand(request.scene, request.grounding, should_stop)

    def _one(
        self,
        pool: PoolRequest,
        request: VideoRequest,
        canvases: _Canvases,
        screen: CoarseScreen | None,
        meter: _Meter,
        should_stop: ShouldStop,
    ) -> FlowCandidate:
        index = request.candidate
        name = f"candidate_{index + 1}"  # as people count, and as the flow image numbers them
        saved = _Saved(pool.artifacts / f"{name}.mp4")
        try:
            check_stop(should_stop)
            request = replace(request, canvas=canvases.mine())
            self._film(pool, request, saved, screen, meter, should_stop)
            flow, stats = self._lifted(pool, saved, index, meter, should_stop)
        except NovaflowError as error:
            if error.code == Code.CANCELLED:
                raise
            meter.at(index, 1.0, f"{name} failed: {error.reason}")
            known = {k: float(v) for k, v in error.evidence.items() if isinstance(v, int | float)}
            return FlowCandidate(
                name, pool.scene.scene_id, error.code, error.reason, None,
                saved.uri, saved.digest, known,
            )  # fmt: skip
        meter.at(index, 1.0, f"{name} lifted")
        return FlowCandidate(
            name, pool.scene.scene_id, Code.OK, "", flow, saved.uri, saved.digest, stats
        )

    def _film(
        self,
        pool: PoolRequest,
        request: VideoRequest,
        saved: _Saved,
        screen: CoarseScreen | None,
        meter: _Meter,
        should_stop: ShouldStop,
    ) -> None:
        """Imagine a video and save it; one that the screen rejects is not drawn to its end."""

        def progress(share: float) -> None:
            meter.at(request.candidate, _IMAGINE_SHARE * share)

        if screen is None or not isinstance(self._generator, SketchingGenerator):
            with meter.part("video"):
                video = self._generator.generate(request, progress, should_stop)
            self._save(pool, request, video, saved, meter)
            return
        with meter.part("video"):
            sketch = self._generator.sketch(request)
        try:
            with meter.part("screen"):
                screen.check(sketch, should_stop)
        except NovaflowError as error:
            if self._keep and error.code != Code.CANCELLED:
                self._finish(pool, request, sketch, saved, meter, should_stop)
            raise
        self._finish(pool, request, sketch, saved, meter, should_stop)

    def _finish(
        self,
        pool: PoolRequest,
        request: VideoRequest,
        sketch: Sketch,
        saved: _Saved,
        meter: _Meter,
        should_stop: ShouldStop,
    ) -> None:
        with meter.part("video"):
            video = sketch.finish(
                lambda p: meter.at(request.candidate, _IMAGINE_SHARE * p), should_stop
            )
        self._save(pool, request, video, saved, meter)

    def _save(
        self, pool: PoolRequest, request: VideoRequest, video: Video, saved: _Saved, meter: _Meter
    ) -> None:
        with meter.part("encode"):
            write_mp4(video, saved.path)
            saved.digest = hashlib.sha256(saved.path.read_bytes()).hexdigest()
            saved.frames = len(video.frames)
            self._write_truth(pool, request, saved.digest)

    def _lifted(
        self, pool: PoolRequest, saved: _Saved, index: int, meter: _Meter, should_stop: ShouldStop
    ) -> tuple[ObjectFlow, dict[str, float]]:
        view = pool.scene.main
        target = pool.grounding.target
        size = VideoSize(view.model.width, view.model.height)
        with meter.part("decode"):
            video = VideoReader(saved.path, size, length=saved.frames)
        lift = LiftRequest(
            video, view, pool.grounding.mask(target), pool.grounding.support,
            pool.grounding.task.target.text or target.description, pool.scene.planning_frame,
        )  # fmt: skip
        with meter.part("lift"):
            result = self._lifter.lift(
                lift,
                lambda p: meter.at(index, _IMAGINE_SHARE + (1 - _IMAGINE_SHARE) * p),
                should_stop,
            )
        return guided(result, pool.scene, pool.grounding)

    def _write_truth(self, pool: PoolRequest, request: VideoRequest, digest: str) -> None:
        """Write what a video shows for a harness, apart from everything that a judge can see."""
        script_of = getattr(self._generator, "script", None)
        if pool.truth_dir is None or script_of is None:
            return
        script = script_of(request)
        pool.truth_dir.mkdir(parents=True, exist_ok=True)
        truth = {
            "label": int(script.label),
            "spoil": str(script.spoil) if script.spoil else None,
            "planning_frame": pool.scene.planning_frame,
            "motions": np.asarray(script.motions).tolist(),
        }
        (pool.truth_dir / f"{digest}.json").write_text(json.dumps(truth))


@dataclass
class _Saved:
    """A video on disk, and how many frames were written to it; before that, where it will be."""

    path: Path
    frames: int = 0
    digest: str = ""

    @property
    def uri(self) -> str:
        """Address of the file; "" while there is none."""
        return self.path.resolve().as_uri() if self.digest else ""


def make_pool(
    settings: FlowgenSettings, generator: VideoGenerator, lifter: Lifter, expander: PromptExpander
) -> CandidatePool:
    """Build the pool of these settings."""
    return CandidatePool(
        generator,
        lifter,
        expander=expander,
        workers=settings.workers,
        screened=settings.screen,
        keep_rejected=settings.keep_rejected_videos,
    )


class _Canvases:
    """One array of frames per worker thread, rendered into again by each of its candidates."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._shape, self._kept = shape, threading.local()

    def mine(self) -> NDArray[np.uint8]:
        """Frames (T, H, W, 3) of the calling thread; made when first asked for."""
        canvas: NDArray[np.uint8] | None = getattr(self._kept, "canvas", None)
        if canvas is None:
            canvas = self._kept.canvas = np.empty(self._shape, np.uint8)
        return canvas


class _Meter:
    """Progress and compute time of all candidates; safe to use from several threads."""

    def __init__(self, candidates: Iterable[int], report: Report) -> None:
        self.seconds: dict[str, float] = {}
        self._done = dict.fromkeys(candidates, 0.0)
        self._report, self._lock = report, threading.Lock()
        self._said = 0.0

    def at(self, index: int, share: float, text: str = "") -> None:
        """Note how far a candidate is; pass on a line that says something, or five a second."""
        with self._lock:
            self._done[index] = max(self._done[index], share)
            now = time.monotonic()
            if not text and now - self._said < 0.2:
                return
            self._said = now
            total = sum(self._done.values()) / len(self._done)
            finished = sum(d >= 1.0 for d in self._done.values())
            self._report(text or f"{finished} of {len(self._done)} candidates", total)

    def part(self, name: str) -> _Stopwatch:
        """Measure a part's compute time."""
        return _Stopwatch(self, name)

    def add(self, name: str, seconds: float) -> None:
        """Add to a part's compute time."""
        with self._lock:
            self.seconds[name] = self.seconds.get(name, 0.0) + seconds


class _Stopwatch:
    def __init__(self, meter: _Meter, name: str) -> None:
        self._meter, self._name = meter, name

    def __enter__(self) -> None:
        self._began = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self._meter.add(self._name, time.monotonic() - self._began)
