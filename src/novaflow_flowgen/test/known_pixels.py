"""A follower of pixels for rendered frames: what a model with weights would do there."""

from __future__ import annotations

import numpy as np

from novaflow_flowgen.core.protocols import check_stop

_ALIKE = 0.05  # of shares of red, green and blue


class FollowsColour:
    """A `VideoMasks`: everything that has the colour of the masked pixels, light and dark.

    Args:
        hides: From this frame on nothing is found; None: never.
    """

    def __init__(self, hides=None):
        self._hides = hides
        self.asked = 0

    def follow(self, frames, mask, on_progress, should_stop):
        self.asked += 1
        out = np.zeros(frames.shape[:3], bool)
        if not mask.any():
            return out
        target = np.median(_shares(frames[0])[mask], axis=0)
        for step, frame in enumerate(frames):
            check_stop(should_stop)
            if self._hides is None or step < self._hides:
                out[step] = np.abs(_shares(frame) - target).max(axis=-1) < _ALIKE
            on_progress((step + 1) / len(frames))
        return out


def _shares(image):
    values = image.astype(float) + 1.0
    return values / values.sum(axis=-1, keepdims=True)
