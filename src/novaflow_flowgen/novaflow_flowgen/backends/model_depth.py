"""Depth backends `megasam` (whole videos, with the camera's way) and `moge` (frame by frame).

Both ask a model server (novaflow_flowgen.serving.contract):

    megasam  in:  frames (T, H, W, 3) uint8, intrinsics (3, 3) float64
             out: depth (T, H, W), T_world_camera (T, 4, 4)
    moge     in:  image (H, W, 3) uint8, intrinsics (3, 3) float64
             out: depth (H, W); NaN where the model masks a pixel out
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_core.camera import CameraModel
from novaflow_core.errors import Code, TrackingError
from novaflow_flowgen.core.depth_video import DepthVideo
from novaflow_flowgen.core.protocols import OnProgress, ShouldStop, check_stop
from novaflow_flowgen.core.settings import FlowgenSettings
from novaflow_flowgen.serving.client import ModelClient


class Megasam:
    """Depth and camera motion of a whole video."""

    def __init__(self, client: ModelClient) -> None:
        """Keep the client."""
        self._client = client

    def estimate(
        self,
        frames: NDArray[np.uint8],
        model: CameraModel,
        on_progress: OnProgress,
        should_stop: ShouldStop,
    ) -> DepthVideo:
        """See `DepthEstimator.estimate`."""
        answer = self._client.ask({"frames": frames, "intrinsics": model.matrix}, should_stop)
        depth = expect(answer, "depth", frames.shape[:3], self._client.address)
        poses = expect(answer, "T_world_camera", (len(frames), 4, 4), self._client.address)
        poses = poses.astype(float)
        if not np.isfinite(poses).all():
            raise TrackingError(
                Code.MODEL_NONSENSE, f"{self._client.address} gives poses without a number"
            )
        on_progress(1.0)
        return DepthVideo(depth.astype(np.float32), se3.inverse(poses[0]) @ poses)


class Moge:
    """Depth of one frame at a time."""

    def __init__(self, client: ModelClient) -> None:
        """Keep the client."""
        self._client = client

    def estimate(
        self,
        frames: NDArray[np.uint8],
        model: CameraModel,
        on_progress: OnProgress,
        should_stop: ShouldStop,
    ) -> DepthVideo:
        """See `DepthEstimator.estimate`."""
        out = np.empty(frames.shape[:3], np.float32)
        for step, frame in enumerate(frames):
            check_stop(should_stop)
            answer = self._client.ask({"image": frame, "intrinsics": model.matrix}, should_stop)
            out[step] = expect(answer, "depth", frame.shape[:2], self._client.address)
            on_progress((step + 1) / len(frames))
        return DepthVideo(out)


def expect(
    answer: dict[str, NDArray[Any]], name: str, shape: tuple[int, ...], address: str
) -> NDArray[Any]:
    """An array of an answer.

    Raises:
        TrackingError: MODEL_NONSENSE when it is missing, of another shape, or no numbers.
    """
    array = answer.get(name)
    if array is None or array.shape != shape or array.dtype.kind not in "fiub":
        found = "nothing" if array is None else f"{array.dtype} {array.shape}"
        raise TrackingError(
            Code.MODEL_NONSENSE, f"{address} gives {found} as '{name}'; {shape} numbers are wanted"
        )
    return array


def make_megasam(settings: FlowgenSettings) -> Megasam:
    """Entry point of the `megasam` backend."""
    return Megasam(ModelClient(settings.depth_url, "megasam", settings))


def make_moge(settings: FlowgenSettings) -> Moge:
    """Entry point of the `moge` backend."""
    return Moge(ModelClient(settings.depth_url, "moge", settings))
