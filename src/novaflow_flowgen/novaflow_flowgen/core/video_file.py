"""Videos on disk: write MP4, read anything OpenCV can, refuse what cannot be the task's video."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from novaflow_core.errors import Code, PlatformError, VideoError
from novaflow_core.flow import DEFAULT_STEPS
from novaflow_core.video import Video
from novaflow_flowgen.core.protocols import OnProgress, ShouldStop, Spoil, VideoRequest, check_stop

_SUFFIXES = (".mp4", ".mov", ".mkv", ".avi", ".webm")
_MIN_FRAMES = 8
_MAX_FRAMES = 2000
_ASPECT_TOLERANCE = 0.02


@dataclass(frozen=True)
class VideoSize:
    """What a video must be scaled to.

    Attributes:
        width: [px].
        height: [px].
    """

    width: int
    height: int


def write_mp4(video: Video, path: Path) -> None:
    """Write a video; the file appears under its name only when it is whole.

    Raises:
        PlatformError: UNAVAILABLE when the encoder or the disk refuses.
    """
    count, height, width = video.frames.shape[:3]
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.stem}.part.mp4")
    writer = cv2.VideoWriter(str(part), cv2.VideoWriter.fourcc(*"mp4v"), video.fps, (width, height))
    if not writer.isOpened():
        raise PlatformError(Code.UNAVAILABLE, f"cannot write {path}: no MP4 encoder or no access")
    try:
        for frame in video.frames:
            writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    finally:
        writer.release()
    if not part.exists() or part.stat().st_size < 16 * count:
        raise PlatformError(Code.UNAVAILABLE, f"cannot write {path}: the encoder left nothing")
    os.replace(part, path)


def read_video(path: Path, size: VideoSize, steps: int = DEFAULT_STEPS) -> Video:
    """Read a video, resampled to `steps` frames over its whole length and scaled to `size`.

    Raises:
        VideoError: VIDEO_UNREADABLE (missing, not a video, or it ends before its own header says
            so), VIDEO_TOO_SHORT, or VIDEO_SIZE_MISMATCH when the aspect ratio differs from the
            view's.
    """
    if not path.is_file():
        raise VideoError(Code.VIDEO_UNREADABLE, f"there is no video at {path}")
    frames, fps = _decode(path)
    height, width = frames[0].shape[:2]
    stretch = (width / height) / (size.width / size.height)
    if abs(stretch - 1) > _ASPECT_TOLERANCE:
        raise VideoError(
            Code.VIDEO_SIZE_MISMATCH,
            f"{path.name} is {width}x{height}, the view {size.width}x{size.height}: their "
            f"shapes differ by "
            f"{100 * abs(stretch - 1):.0f} %; crop the video to the view",
        )
    pick = np.rint(np.linspace(0, len(frames) - 1, steps)).astype(int)
    out = np.empty((steps, size.height, size.width, 3), np.uint8)
    same = (width, height) == (size.width, size.height)
    shrink = cv2.INTER_AREA if width > size.width else cv2.INTER_CUBIC
    for step, index in enumerate(pick):
        frame = frames[index]
        if not same:
            frame = cv2.resize(frame, (size.width, size.height), interpolation=shrink)
        cv2.cvtColor(frame, cv2.COLOR_BGR2RGB, dst=out[step])
    return Video(out, fps * (steps - 1) / max(len(frames) - 1, 1))


def _decode(path: Path) -> tuple[list[NDArray[np.uint8]], float]:
    capture = cv2.VideoCapture(str(path))
    try:
        promised = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
        fps = float(capture.get(cv2.CAP_PROP_FPS)) if capture.isOpened() else 0.0
        if promised > _MAX_FRAMES:
            raise VideoError(
                Code.VIDEO_UNREADABLE,
                f"{path.name} has {promised} frames; at most {_MAX_FRAMES} are read",
            )
        frames: list[NDArray[np.uint8]] = []
        while len(frames) <= _MAX_FRAMES:
            ok, frame = capture.read()
            if not ok:
                break
            frames.append(np.asarray(frame, np.uint8))
    finally:
        capture.release()
    if not frames:
        raise VideoError(Code.VIDEO_UNREADABLE, f"{path.name} is not a video that can be decoded")
    if len(frames) < 0.95 * promised:
        raise VideoError(
            Code.VIDEO_UNREADABLE,
            f"{path.name} is truncated: {len(frames)} of {promised} frames could be decoded",
        )
    if len(frames) < _MIN_FRAMES:
        raise VideoError(
            Code.VIDEO_TOO_SHORT,
            f"{path.name} has {len(frames)} frames; at least {_MIN_FRAMES} are needed",
        )
    return frames, fps if fps > 0 else 16.0


class VideoFiles:
    """The `file` backend: videos made elsewhere, one file or a folder with one per candidate."""

    def __init__(self, video_path: str) -> None:
        """Keep the path.

        Raises:
            VideoError: VIDEO_UNREADABLE when the path is empty or holds no video.
        """
        if not video_path:
            raise VideoError(Code.VIDEO_UNREADABLE, "video:=file needs video_path:=FILE_OR_FOLDER")
        self._path = Path(video_path)

    def generate(
        self, request: VideoRequest, on_progress: OnProgress, should_stop: ShouldStop
    ) -> Video:
        """Read the candidate's video."""
        check_stop(should_stop)
        model = request.scene.main.model
        path = self.path_of(request.candidate)
        video = read_video(path, VideoSize(model.width, model.height), request.steps)
        on_progress(1.0)
        return video

    def spoils(self, request: VideoRequest) -> tuple[Spoil, ...]:
        """None: files are what they are."""
        return ()

    def path_of(self, candidate: int) -> Path:
        """File of a candidate; a folder's videos are taken in the order of their names.

        Raises:
            VideoError: VIDEO_UNREADABLE when there is none for this candidate.
        """
        if not self._path.is_dir():
            if candidate > 0:
                raise VideoError(
                    Code.VIDEO_UNREADABLE,
                    f"{self._path.name} is one video, so there is none for candidate {candidate}",
                )
            return self._path
        files = sorted(p for p in self._path.iterdir() if p.suffix.lower() in _SUFFIXES)
        if candidate >= len(files):
            raise VideoError(
                Code.VIDEO_UNREADABLE,
                f"{self._path} holds {len(files)} videos, none for candidate {candidate}",
            )
        return files[candidate]


def make_video_files(settings: object) -> VideoFiles:
    """Entry point of the `file` backend; `settings.video_path` names a file or a folder."""
    return VideoFiles(str(getattr(settings, "video_path", "")))
