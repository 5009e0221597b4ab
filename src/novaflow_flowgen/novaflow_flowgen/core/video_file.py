"""Videos on disk: write MP4, read anything OpenCV can, refuse what cannot be the task's video."""

from __future__ import annotations

import os
from collections.abc import Iterator
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
        swapped = np.empty((height, width, 3), np.uint8)
        for frame in video.frames:
            writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR, dst=swapped))
    finally:
        writer.release()
    if not part.exists() or part.stat().st_size < 16 * count:
        raise PlatformError(Code.UNAVAILABLE, f"cannot write {path}: the encoder left nothing")
    os.replace(part, path)


class VideoReader:
    """A video on disk, read in order and never held as a whole: a `GrayFrames`.

    Its frames are resampled to `steps` over its whole length and scaled to `size`.
    """

    def __init__(
        self, path: Path, size: VideoSize, steps: int = DEFAULT_STEPS, length: int = 0
    ) -> None:
        """Look at the header and the first frame.

        Args:
            path: The file.
            size: What frames are scaled to.
            steps: How many frames to give.
            length: How many the file holds, where that is known; 0: count them. Headers may lie.

        Raises:
            VideoError: VIDEO_UNREADABLE (missing, not a video, or it ends before its own header
                says so), VIDEO_TOO_SHORT, or VIDEO_SIZE_MISMATCH when the aspect ratio differs
                from the view's.
        """
        if not path.is_file():
            raise VideoError(Code.VIDEO_UNREADABLE, f"there is no video at {path}")
        self._path, self._size, self.steps = path, size, steps
        header = _read_header(path)
        self._length = length or _count_frames(path, header.frames)
        if self._length < _MIN_FRAMES:
            raise VideoError(
                Code.VIDEO_TOO_SHORT,
                f"{path.name} has {self._length} frames; at least {_MIN_FRAMES} are needed",
            )
        stretch = (header.width / header.height) / (size.width / size.height)
        if abs(stretch - 1) > _ASPECT_TOLERANCE:
            raise VideoError(
                Code.VIDEO_SIZE_MISMATCH,
                f"{path.name} is {header.width}x{header.height}, the view "
                f"{size.width}x{size.height}: their shapes differ by "
                f"{100 * abs(stretch - 1):.0f} %; crop the video to the view",
            )
        self.fps = header.fps * (steps - 1) / max(self._length - 1, 1)

    @property
    def width(self) -> int:
        """Width of the frames [px]."""
        return self._size.width

    @property
    def height(self) -> int:
        """Height of the frames [px]."""
        return self._size.height

    def grays(self) -> Iterator[NDArray[np.uint8]]:
        """Grey frames (H, W) in order; each is an array of its own.

        Raises:
            VideoError: VIDEO_UNREADABLE where the file ends early.
        """
        for frame in self._frames():
            yield np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), np.uint8)

    def colors(self) -> NDArray[np.uint8]:
        """All frames (T, H, W, 3), RGB.

        Raises:
            VideoError: VIDEO_UNREADABLE where the file ends early.
        """
        out = np.empty((self.steps, self.height, self.width, 3), np.uint8)
        for step, frame in enumerate(self._frames()):
            cv2.cvtColor(frame, cv2.COLOR_BGR2RGB, dst=out[step])
        return out

    def _frames(self) -> Iterator[NDArray[np.uint8]]:
        """Frames (H, W, 3) BGR; the next one may overwrite the last."""
        wanted = np.rint(np.linspace(0, self._length - 1, self.steps)).astype(int)
        capture = cv2.VideoCapture(str(self._path))
        try:
            index, frame = -1, None
            for pick in wanted:
                while index < pick:
                    if not capture.grab():
                        raise _truncated(self._path, index + 1, self._length)
                    index += 1
                    if index == pick:
                        _, image = capture.retrieve()
                        frame = self._scaled(np.asarray(image, np.uint8))
                if frame is not None:
                    yield frame
        finally:
            capture.release()

    def _scaled(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if frame.shape[:2] == (self.height, self.width):
            return frame
        shrink = cv2.INTER_AREA if frame.shape[1] > self.width else cv2.INTER_CUBIC
        return np.asarray(
            cv2.resize(frame, (self.width, self.height), interpolation=shrink), np.uint8
        )


def read_video(path: Path, size: VideoSize, steps: int = DEFAULT_STEPS) -> Video:
    """Read a whole video into memory; see `VideoReader` for what is refused."""
    reader = VideoReader(path, size, steps)
    return Video(reader.colors(), reader.fps)


@dataclass(frozen=True)
class _Header:
    width: int
    height: int
    frames: int
    fps: float


def _read_header(path: Path) -> _Header:
    capture = cv2.VideoCapture(str(path))
    try:
        found, first = capture.read()
        if not found:
            raise VideoError(
                Code.VIDEO_UNREADABLE, f"{path.name} is not a video that can be decoded"
            )
        promised = max(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0)
        fps = float(capture.get(cv2.CAP_PROP_FPS))
    finally:
        capture.release()
    if promised > _MAX_FRAMES:
        raise VideoError(
            Code.VIDEO_UNREADABLE,
            f"{path.name} has {promised} frames; at most {_MAX_FRAMES} are read",
        )
    return _Header(first.shape[1], first.shape[0], promised, fps if fps > 0 else 16.0)


def _count_frames(path: Path, promised: int) -> int:
    """Decode without converting: a quarter of what reading costs."""
    capture = cv2.VideoCapture(str(path))
    try:
        count = 0
        while count <= _MAX_FRAMES and capture.grab():
            count += 1
    finally:
        capture.release()
    if count < 0.95 * promised:
        raise _truncated(path, count, promised)
    return count


def _truncated(path: Path, found: int, promised: int) -> VideoError:
    return VideoError(
        Code.VIDEO_UNREADABLE,
        f"{path.name} is truncated: {found} of {promised} frames could be decoded",
    )


class VideoFiles:
    """The `file` backend: videos made elsewhere, one file or a folder with one per candidate."""

    reads_prompt = False

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
