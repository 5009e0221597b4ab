r"""TAPIP3D as the model `tapip3d`: tracks of points in the first camera's frame.

    git clone https://github.com/zbw001/TAPIP3D   # its README: environment, pointops2, checkpoint
    PYTHONPATH=src/novaflow_flowgen python -m novaflow_flowgen.serving.server \
        --model tapip3d=novaflow_flowgen.serving.models.tapip3d:make_tapip3d \
        --option tapip3d.checkout=TAPIP3D

TAPIP3D's world is the first camera's frame here; its extrinsics take a point of the world into a
camera's frame, and its queries are (step, x, y, z). It works on windows of `seq_len` frames that
overlap by half, and fills the last one itself; videos shorter than a window are filled here.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from novaflow_flowgen.serving.errors import InputError, SetupError
from novaflow_flowgen.serving.models.inputs import take, take_colors, take_intrinsics
from novaflow_flowgen.serving.models.upstream import (
    CPU,
    find_checkout,
    load_torch,
    load_upstream,
    need_file,
)

_HOME = "https://github.com/zbw001/TAPIP3D"
_WEIGHTS = "https://huggingface.co/zbww/tapip3d (tapip3d_final.pth)"
_INSTALL = f"TAPIP3D's requirements and its pointops2 ({_HOME})"
_EDGE_SHARE, _EDGE_DEG = 0.08, 15.0  # depth's jump and normals' turn at an edge, as in inference.py


@dataclass(frozen=True)
class _Upstream:
    """What is used of TAPIP3D, and of what it needs."""

    torch: Any
    cv2: Any
    inference: Any  # utils.inference_utils
    data: Any  # datasets.data_ops


@dataclass(frozen=True)
class _Choice:
    """See `make_tapip3d`."""

    device: str
    dtype: str
    support_grid: int
    visible: float


class Tapip3d:
    """One loaded model, at one size of images (height, width)."""

    def __init__(
        self, upstream: _Upstream, model: Any, size: tuple[int, int], choice: _Choice
    ) -> None:
        """Keep the model, which is on the device already."""
        self._upstream, self._model = upstream, model
        self._size, self._choice = size, choice

    def __call__(self, arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Points (T, K, 3) [m] in the first camera's frame, and visible (T, K).

        Raises:
            InputError: If an array is of another form, or a step has no depth at all.
        """
        frames = take_colors(arrays, "frames", None, None, None)
        steps, height, width, _ = frames.shape
        depth = take(arrays, "depth", steps, height, width)
        matrix = take_intrinsics(arrays)
        poses = take(arrays, "T_first_camera", steps, 4, 4).astype(float)
        queries = take(arrays, "queries", None, 3).astype(float)
        iterations = int(take(arrays, "iterations"))
        if not (np.isfinite(poses).all() and np.isfinite(queries).all() and iterations > 0):
            raise InputError("poses, queries and a positive number of iterations are wanted")
        known = np.where(np.isfinite(depth) & (depth > 0), depth, 0).astype(np.float32)
        empty = np.flatnonzero(~known.any(axis=(1, 2)))
        if empty.size:
            raise InputError(f"no pixel of step {empty[0]} has a depth")

        matrix = scaled_intrinsics(matrix, (height, width), self._size)
        shown = self._filled(np.stack([self._color(frame) for frame in frames]))
        cleaned = self._filled(np.stack([self._depth(image, matrix) for image in known]))
        count = len(shown)
        points, visible = self._track(
            shown,
            cleaned,
            np.tile(matrix, (count, 1, 1)),
            np.linalg.inv(self._filled(poses)),
            np.concatenate([np.zeros((len(queries), 1)), queries], axis=1),
            iterations,
        )
        points = points.reshape(count, len(queries), 3)[:steps]
        visible = visible.reshape(count, len(queries))[:steps] & np.isfinite(points).all(axis=2)
        return {"points": points.astype(np.float64), "visible": visible}

    def _color(self, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The image (3, h, w) in 0..1 at the model's size."""
        cv2, (height, width) = self._upstream.cv2, self._size
        image = cv2.resize(frame, (width, height), interpolation=cv2.INTER_LINEAR)
        return np.ascontiguousarray(image.transpose(2, 0, 1), np.float32) / np.float32(255.0)

    def _depth(
        self, image: NDArray[np.float32], matrix: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """The depth (h, w) at the model's size, without the ramps that resizing makes at edges."""
        height, width = self._size
        small = self._upstream.inference.resize_depth_bilinear(image, (width, height))
        clean = self._upstream.data._filter_one_depth(small, _EDGE_SHARE, _EDGE_DEG, matrix)
        return np.asarray(clean, np.float32)

    def _filled(self, steps: NDArray[Any]) -> NDArray[Any]:
        """Repeat the last step up to the length of a window."""
        missing = max(int(self._model.seq_len) - len(steps), 0)
        return np.concatenate([steps, np.repeat(steps[-1:], missing, axis=0)])

    def _track(
        self,
        colors: NDArray[np.float32],
        depth: NDArray[np.float32],
        intrinsics: NDArray[np.float64],
        T_camera_first: NDArray[np.float64],
        queries: NDArray[np.float64],
        iterations: int,
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        torch, choice = self._upstream.torch, self._choice

        def put(array: NDArray[Any]) -> Any:
            return torch.from_numpy(np.ascontiguousarray(array, np.float32)).to(choice.device)

        precision: Any = contextlib.nullcontext()
        if choice.dtype != "float32" and not choice.device.startswith(CPU):
            precision = torch.autocast("cuda", dtype=getattr(torch, choice.dtype))
        with precision:
            points, visible = self._upstream.inference.inference(
                model=self._model,
                video=put(colors),
                depths=put(depth),
                intrinsics=put(intrinsics),
                extrinsics=put(T_camera_first),
                query_point=put(queries),
                num_iters=iterations,
                grid_size=choice.support_grid,
                vis_threshold=choice.visible,
            )
        return points.float().cpu().numpy(), visible.cpu().numpy().astype(bool)


def scaled_intrinsics(
    matrix: NDArray[np.float64], size: tuple[int, int], to: tuple[int, int]
) -> NDArray[np.float64]:
    """The matrix of an image (height, width) resized, whose pixel centres are whole numbers."""
    out = matrix.copy()
    for row, (before, after) in enumerate(((size[1], to[1]), (size[0], to[0]))):
        factor = after / before
        out[row] *= factor
        out[row, 2] += 0.5 * factor - 0.5
    return out


def make_tapip3d(
    *,
    checkout: str,
    weights: str = "",
    device: str = "cuda",
    dtype: str = "bfloat16",
    resolution_factor: float = 2.0,
    support_grid: int = 16,
    visible: float = 0.9,
) -> Tapip3d:
    """Load TAPIP3D.

    Args:
        checkout: Folder with TAPIP3D's code.
        weights: Its checkpoint; empty: `checkpoints/tapip3d_final.pth` in the checkout. It is a
            pickle, which can run code: take it from where you trust.
        device: Of PyTorch.
        dtype: `bfloat16`, `float16` or `float32`; on a CPU always the last.
        resolution_factor: Area of the images against the checkpoint's own.
        support_grid: Points on a side of a grid over the whole image that is tracked as well.
        visible: A point is seen from this probability on.

    Raises:
        SetupError: If the code, what it needs, the weights or the device are not there.
    """
    if dtype not in ("bfloat16", "float16", "float32"):
        raise SetupError(f"tapip3d.dtype={dtype} is neither bfloat16, float16 nor float32")
    if not resolution_factor > 0:
        raise SetupError(f"tapip3d.resolution_factor={resolution_factor} is not positive")
    folder = find_checkout(checkout, "utils/inference_utils.py", _HOME)
    own = folder / "checkpoints" / "tapip3d_final.pth"
    path = need_file(Path(weights).expanduser() if weights else own, _WEIGHTS)
    upstream = _Upstream(
        torch=load_torch(device),
        cv2=load_upstream("cv2", "OpenCV (opencv-python)"),
        inference=load_upstream("utils.inference_utils", _INSTALL, folder),
        data=load_upstream("datasets.data_ops", _INSTALL, folder),
    )
    try:
        model = upstream.inference.load_model(str(path)).to(device)
    except Exception as error:
        # Foreign code reading a foreign file: whoever starts it must learn which file it was.
        raise SetupError(f"{path} is not loaded: {type(error).__name__}: {error}") from error
    side = float(np.sqrt(resolution_factor))
    size = (int(model.image_size[0] * side), int(model.image_size[1] * side))
    model.set_image_size(size)
    return Tapip3d(upstream, model, size, _Choice(device, dtype, support_grid, visible))
