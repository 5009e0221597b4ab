"""Whether the camera of a video stands still: corners of the background, followed in time."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from novaflow_core.camera import CameraModel
from novaflow_flowgen.core.tracks import Gray, KltTracker

Float = NDArray[np.float64]

_WIDTH_PX = 640  # wider images are shrunk: half a pixel of the camera does not matter
LOOK_EVERY = 3  # steps; motion of a camera is slow against what a tracker reaches
_REACH_PX = 13  # a tracker's window, and what its coarser level sees beyond it; shrunk image
_CORNERS = 100
_MIN_POINTS = 8
_AGREE_PX = 1.5


class BackgroundWatch:
    """Follows corners of the whole picture and tells how far they moved where the object is.

    What the object passes is dragged along in a tracker's window, so such corners are dropped.
    """

    def __init__(
        self,
        first: Gray,
        mask: NDArray[np.bool_],
        model: CameraModel,
        steps: int,
        every: int = LOOK_EVERY,
    ) -> None:
        """Find corners.

        Args:
            first: (H, W) first frame.
            mask: (H, W) the object in it.
            model: Intrinsics.
            steps: Frames of the video.
            every: Steps between two looks.
        """
        self._every = every
        self._shrink = max(1, round(model.width / _WIDTH_PX))
        self._steps = steps
        self._size = (model.width // self._shrink, model.height // self._shrink)
        self._last = self._small(first)
        solid = cv2.resize(mask.astype(np.uint8), self._size, interpolation=cv2.INTER_NEAREST)
        reach = 2 * _REACH_PX + 1
        free = cv2.dilate(solid, np.ones((reach, reach), np.uint8)) == 0
        apart = max(8, self._size[0] // 40)
        found = cv2.goodFeaturesToTrack(
            self._last, _CORNERS, 0.005, apart, mask=free.astype(np.uint8)
        )
        corners = np.zeros((0, 2)) if found is None else np.reshape(found, (-1, 2))
        self._start = corners.astype(float)
        self._at = self._start
        self._alive = np.ones(len(self._start), bool)
        self._tracker = KltTracker(levels=1)
        self.moved_px = float("nan")

    def see(self, step: int, frame: Gray, object_pixels: Float) -> None:
        """Look at the next frame (H, W); `object_pixels` (P, 2) is where the object now is."""
        known = object_pixels[np.isfinite(object_pixels).all(axis=1)] / self._shrink
        if len(known):
            low, high = known.min(axis=0) - _REACH_PX, known.max(axis=0) + _REACH_PX
            self._alive &= ~((self._start > low) & (self._start < high)).all(axis=1)
        due = step % self._every == 0 or step == self._steps - 1
        if not due or self._alive.sum() < _MIN_POINTS:
            return
        alive = np.flatnonzero(self._alive)
        small, here = self._small(frame), self._at[alive]
        there, ok = self._tracker.track(self._last, small, here, here)
        size = np.array(self._size)
        ok &= ((there >= 3) & (there <= size - 4)).all(axis=1)
        self._at = self._at.copy()
        self._at[alive[ok]] = there[ok]
        self._alive[alive[~ok]] = False
        self._last = small
        if ok.sum() >= _MIN_POINTS and len(known):
            moved = self._shrink * self._motion_at(known.mean(axis=0))
            self.moved_px = float(np.fmax(self.moved_px, moved))

    def _motion_at(self, place: Float) -> float:
        """How far the background moved [px] at a pixel (2,): a camera also rolls and zooms."""
        start, at = self._start[self._alive], self._at[self._alive]
        cv2.setRNGSeed(1)
        similarity, agree = cv2.estimateAffinePartial2D(
            start, at, method=cv2.RANSAC, ransacReprojThreshold=_AGREE_PX, maxIters=200
        )
        if similarity is None or np.count_nonzero(agree) < max(_MIN_POINTS, 0.5 * len(start)):
            return float(np.linalg.norm(np.median(at - start, axis=0)))
        return float(np.linalg.norm(similarity[:, :2] @ place + similarity[:, 2] - place))

    def _small(self, frame: Gray) -> Gray:
        if self._shrink == 1:
            return frame
        n = self._shrink
        part = frame[: self._size[1] * n, : self._size[0] * n]
        return np.asarray(cv2.resize(part, self._size, interpolation=cv2.INTER_AREA), np.uint8)
