"""A video in memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from novaflow_core.errors import ShapeError


@dataclass(frozen=True)
class Video:
    """Frames of one camera.

    Attributes:
        frames: (T, H, W, 3) uint8, RGB; frame 0 shows the scene's main view.
        fps: Frames per second of the motion [Hz].
    """

    frames: NDArray[np.uint8]
    fps: float

    def __post_init__(self) -> None:
        """Check the shape."""
        if self.frames.ndim != 4 or self.frames.shape[3] != 3:
            raise ShapeError(f"video frames have shape {self.frames.shape}, not (T, H, W, 3)")
