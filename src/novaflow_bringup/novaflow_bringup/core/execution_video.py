"""A small video of what the camera saw while the robot moved."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from novaflow_core.errors import Code, PlatformError


class ExecutionVideo:
    """Writes frames at a constant rate, by the times at which they came."""

    def __init__(self, path: Path, *, width: int = 640, fps: float = 10.0) -> None:
        """Remember where to write; the file is created with the first frame.

        Args:
            path: MP4 file.
            width: Of the video [px]; the height follows.
            fps: Frames per second [Hz]; frames that come faster are left out, gaps are filled.
        """
        self._path, self._width, self._fps = path, width, fps
        self._writer: cv2.VideoWriter | None = None
        self._first_ns = 0
        self.frames = 0

    def add(self, image: NDArray[np.uint8], stamp_ns: int) -> None:
        """Add a colour image (H, W, 3) RGB that came at `stamp_ns`.

        Raises:
            PlatformError: INTERNAL when the file cannot be written.
        """
        if self._writer is None:
            self._writer = self._create(image)
            self._first_ns = stamp_ns
        due = int((stamp_ns - self._first_ns) * 1e-9 * self._fps) + 1
        if due <= self.frames:
            return
        small = cv2.resize(image, self._size(image), interpolation=cv2.INTER_AREA)
        frame = cv2.cvtColor(small, cv2.COLOR_RGB2BGR)
        while self.frames < due:
            self._writer.write(frame)
            self.frames += 1

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.release()
            self._writer = None

    def _size(self, image: NDArray[np.uint8]) -> tuple[int, int]:
        height, width = image.shape[:2]
        wide = min(self._width, width) // 2 * 2
        return wide, max(2, round(height * wide / width) // 2 * 2)

    def _create(self, image: NDArray[np.uint8]) -> cv2.VideoWriter:
        code = cv2.VideoWriter.fourcc(*"mp4v")
        writer = cv2.VideoWriter(str(self._path), code, self._fps, self._size(image))
        if not writer.isOpened():
            raise PlatformError(Code.INTERNAL, f"cannot write the video {self._path}")
        return writer
