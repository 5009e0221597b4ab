"""The product under test: a video goes through the lifter and the judge, and nothing else does."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from novaflow_bench.core.stage import Stage
from novaflow_core.candidate import FlowCandidate
from novaflow_core.errors import Code, NovaflowError
from novaflow_core.scene import Scene
from novaflow_core.video import Video
from novaflow_flowgen.core.critic import Critic, Judgement
from novaflow_flowgen.core.guiding import guided
from novaflow_flowgen.core.lift import make_klt
from novaflow_flowgen.core.protocols import LiftRequest
from novaflow_flowgen.core.settings import FlowgenSettings
from novaflow_flowgen.core.video_file import VideoReader, VideoSize, write_mp4
from novaflow_perception.backends.tabletop import TabletopGrounder
from novaflow_perception.core.instruction import parse

PLANNING_FRAME = "base"


class Examiner:
    """Lifts and judges videos about one stage."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        """Ground the instruction.

        Raises:
            NovaflowError: As grounding does.
        """
        self._scene = Scene(stage.name, PLANNING_FRAME, (stage.view,))
        self._grounding = TabletopGrounder().ground(self._scene, parse(stage.instruction))
        self._lifter, self._critic = make_klt(FlowgenSettings()), Critic()
        self._folder = folder

    def lift(self, name: str, video: Video | Path) -> FlowCandidate:
        """One video, in memory or in a file, as the judge gets it; it stays in the folder."""
        path = video if isinstance(video, Path) else self._folder / f"{name}.mp4"
        if isinstance(video, Video):
            write_mp4(video, path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        view, grounding = self._scene.main, self._grounding
        uri, scene_id = path.resolve().as_uri(), self._scene.scene_id
        try:
            reader = VideoReader(path, VideoSize(view.model.width, view.model.height))
            request = LiftRequest(
                reader, view, grounding.mask(grounding.target), grounding.support,
                grounding.target.description, PLANNING_FRAME,
            )  # fmt: skip
            result = self._lifter.lift(request, lambda _: None, lambda: False)
            flow, stats = guided(result, self._scene, grounding)
        except NovaflowError as error:
            return FlowCandidate(name, scene_id, error.code, error.reason, None, uri, digest)
        return FlowCandidate(name, scene_id, Code.OK, "", flow, uri, digest, stats)

    def judge(self, candidates: Sequence[FlowCandidate]) -> list[Judgement]:
        """What the judge thinks of each of them."""
        return self._critic.judge(self._scene, self._grounding, candidates, ())
