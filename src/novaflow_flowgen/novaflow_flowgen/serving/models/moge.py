r"""MoGe-2 as the model `moge`: depth of one image, with the camera's known angle of view.

    pip install git+https://github.com/microsoft/MoGe.git   # in an environment of its own
    PYTHONPATH=src/novaflow_flowgen python -m novaflow_flowgen.serving.server \
        --model moge=novaflow_flowgen.serving.models.moge:make_moge

MoGe takes pixels to be square and the principal point to be in the middle of the image.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from novaflow_flowgen.serving.errors import SetupError
from novaflow_flowgen.serving.models.inputs import (
    horizontal_view_deg,
    take_colors,
    take_intrinsics,
)
from novaflow_flowgen.serving.models.upstream import CPU, load_torch, load_upstream

_INSTALL = "MoGe (pip install git+https://github.com/microsoft/MoGe.git)"


class Moge:
    """One loaded model."""

    def __init__(self, torch: Any, model: Any, device: str, is_half: bool, detail: int) -> None:
        """Keep the model, which is on the device already."""
        self._torch, self._model, self._device = torch, model, device
        self._is_half, self._detail = is_half, detail

    def __call__(self, arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Depth (H, W) float32 [m] along optical +z of `image`; NaN where MoGe masks it out.

        Raises:
            InputError: If `image` or `intrinsics` are of another form.
        """
        image = take_colors(arrays, "image", None, None)
        matrix = take_intrinsics(arrays)
        colors = np.ascontiguousarray(image.transpose(2, 0, 1), np.float32) / np.float32(255.0)
        answer = self._model.infer(
            self._torch.from_numpy(colors).to(self._device),
            resolution_level=self._detail,
            fov_x=horizontal_view_deg(matrix, image.shape[1]),
            use_fp16=self._is_half,
        )
        depth = answer["depth"].cpu().numpy().astype(np.float32)
        return {"depth": np.where(np.isfinite(depth) & (depth > 0), depth, np.float32(np.nan))}


def make_moge(
    *,
    weights: str = "Ruicheng/moge-2-vitl",
    device: str = "cuda",
    dtype: str = "float16",
    resolution_level: int = 9,
) -> Moge:
    """Load MoGe-2.

    Args:
        weights: Id on the Hugging Face hub, or path of a `model.pt`.
        device: Of PyTorch.
        dtype: `float16` or `float32`; on a CPU always the latter.
        resolution_level: 0 (fast) to 9 (fine).

    Raises:
        SetupError: If MoGe, the weights or the device are not there.
    """
    if dtype not in ("float16", "float32"):
        raise SetupError(f"moge.dtype={dtype} is neither float16 nor float32")
    if not 0 <= resolution_level <= 9:
        raise SetupError(f"moge.resolution_level={resolution_level} is not within 0 to 9")
    torch = load_torch(device)
    upstream = load_upstream("moge.model.v2", _INSTALL)
    try:
        model = upstream.MoGeModel.from_pretrained(weights).to(device).eval()
    except Exception as error:
        # Foreign code reading a foreign file: whoever starts it must learn which file it was.
        raise SetupError(f"'{weights}' is not loaded: {type(error).__name__}: {error}") from error
    is_half = dtype == "float16" and not device.startswith(CPU)
    return Moge(torch, model, device, is_half, resolution_level)
