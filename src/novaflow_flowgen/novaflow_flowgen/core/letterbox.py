"""Fitting views into the shapes that a video service makes, and its videos back into the view's."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from novaflow_flowgen.core.video_file import VideoSize

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Letterbox:
    """Where a view sits in a larger picture of another shape.

    Attributes:
        left: Columns before the view [px].
        top: Rows above the view [px].
        view: Size of the view.
        whole: Size of the picture.
    """

    left: int
    top: int
    view: VideoSize
    whole: VideoSize

    def place(self, image: Image) -> Image:
        """Scale an image (H, W, 3) to the view's size and put it into the middle, on black."""
        size = (self.view.width, self.view.height)
        if image.shape[1::-1] != size:
            image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        out = np.zeros((self.whole.height, self.whole.width, 3), np.uint8)
        rows, columns = self._window()
        out[rows, columns] = image
        return out

    def cut(self, frames: Image) -> Image:
        """Return the view's part (T, H, W, 3) of frames of the whole picture."""
        rows, columns = self._window()
        return np.ascontiguousarray(frames[:, rows, columns])

    def _window(self) -> tuple[slice, slice]:
        return (
            slice(self.top, self.top + self.view.height),
            slice(self.left, self.left + self.view.width),
        )


def letterbox(width: int, height: int, aspect: float) -> Letterbox:
    """Return the smallest picture of an aspect ratio that a view of a size [px] fits into."""
    whole = VideoSize(max(width, round(height * aspect)), max(height, round(width / aspect)))
    left, top = (whole.width - width) // 2, (whole.height - height) // 2
    return Letterbox(left, top, VideoSize(width, height), whole)
