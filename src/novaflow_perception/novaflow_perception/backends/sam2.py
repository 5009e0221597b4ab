"""SAM 2 through transformers: the pixels in a box, and the pixels of one thing through a video."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from novaflow_core.errors import Code, PlatformError
from novaflow_perception.backends.torch_models import device_named, libraries, loaded
from novaflow_perception.core.boxes import GroundedSam2Settings

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of the images SAM 2 was trained on
_TURN_S = 0.2


class MaskSettings(Protocol):
    """Of the `sam2` backend of the stage masks; flowgen_node declares them."""

    @property
    def sam2_model(self) -> str:
        """Id of SAM 2 on the hub, or a folder."""
        ...

    @property
    def sam2_device(self) -> str:
        """Where it runs: cuda, cuda:1, ... or cpu."""
        ...


class Sam2:
    """A `Segmenter` of images."""

    def __init__(self, settings: GroundedSam2Settings) -> None:
        """Load the model.

        Raises:
            PlatformError: UNAVAILABLE or INVALID_SETTING.
        """
        torch, transformers = libraries("grounded_sam2")
        device = device_named(torch, "grounding_device", settings.grounding_device)
        self._net = _Net(torch, device, transformers.Sam2Model, settings.sam2_model)

    def segment(self, image: NDArray[np.uint8], boxes: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return the masks of what the boxes hold; see `Segmenter`."""
        net, (height, width) = self._net, image.shape[:2]
        scale = net.size / np.array([width, height, width, height])
        corners = net.torch.from_numpy(boxes * scale).float()
        with net.torch.inference_mode():
            masks = net.model(
                pixel_values=net.pixels(image[None]),
                input_boxes=corners[None].to(net.device),
                multimask_output=False,
            ).pred_masks[0]
            return net.masks(masks, height, width)[:, 0]


class Sam2Masks:
    """The `sam2` backend of the stage masks (NovaFlow, sec. 3).

    SAM 2 is told the mask itself and not its box: a box also holds what stands before, in and
    behind the thing, and the model may take that instead of what was grounded. Told a mask, it
    keeps it in the first frame, but for its edge, and remembers these very pixels.
    """

    def __init__(self, settings: MaskSettings) -> None:
        """Load the model.

        Raises:
            PlatformError: UNAVAILABLE or INVALID_SETTING.
        """
        torch, self._transformers = libraries("sam2")
        device = device_named(torch, "sam2_device", settings.sam2_device)
        self._net = _Net(torch, device, self._transformers.Sam2VideoModel, settings.sam2_model)
        self._turn = threading.Lock()

    def follow(
        self,
        frames: NDArray[np.uint8],
        mask: NDArray[np.bool_],
        on_progress: Callable[[float], None] = lambda _: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> NDArray[np.bool_]:
        """Follow pixels of the first frame through a video; one video at a time.

        Args:
            frames: (T, H, W, 3) uint8 RGB.
            mask: (H, W) of the first frame.
            on_progress: Told 0..1 after every frame.
            should_stop: Asked before every frame.

        Returns:
            Masks (T, H, W); empty where the model sees it no more.

        Raises:
            PlatformError: CANCELLED.
        """
        out = np.zeros(frames.shape[:3], bool)
        if not mask.any():
            return out
        with self._my_turn(should_stop), self._net.torch.inference_mode():
            session = self._session(frames, mask)
            for step in range(len(frames)):
                _check_stop(should_stop)
                found = self._net.model(inference_session=session, frame_idx=step)
                out[step] = self._net.masks(found.pred_masks, *mask.shape)[0, 0]
                on_progress((step + 1) / len(frames))
        return out

    def _session(self, frames: NDArray[np.uint8], mask: NDArray[np.bool_]) -> Any:
        """What the model is to know of a video: its frames, and the mask of the first."""
        net, (height, width) = self._net, mask.shape
        torch = net.torch
        session = self._transformers.Sam2VideoInferenceSession(
            # On the host; each frame is copied to the device when its turn comes.
            video=torch.cat([net.pixels(frame[None]).cpu() for frame in frames]),
            video_height=height,
            video_width=width,
            inference_device=net.device,
            video_storage_device="cpu",
            dtype=torch.float32,
        )
        told = torch.from_numpy(mask.astype(np.float32)).to(net.device)[None, None]
        told = torch.nn.functional.interpolate(
            told, (net.size, net.size), mode="bilinear", antialias=True
        )
        session.add_mask_inputs(session.obj_id_to_idx(1), 0, (told >= 0.5).float())
        session.obj_with_new_inputs = [1]
        return session

    @contextmanager
    def _my_turn(self, should_stop: Callable[[], bool]) -> Iterator[None]:
        """Wait until no other candidate uses the model."""
        while not self._turn.acquire(timeout=_TURN_S):
            _check_stop(should_stop)
        try:
            yield
        finally:
            self._turn.release()


class _Net:
    """A loaded SAM 2: images as it reads them, and its masks at an image's size."""

    def __init__(self, torch: Any, device: Any, kind: Any, name: str) -> None:
        self.torch, self.device = torch, device
        model = loaded("sam2_model", name, lambda: kind.from_pretrained(name))
        self.model = model.to(device).eval()
        self.size = int(model.config.prompt_encoder_config.image_size)

    def pixels(self, images: NDArray[np.uint8]) -> Any:
        """Images (N, H, W, 3) as the model reads them, (N, 3, size, size)."""
        torch = self.torch
        values = torch.from_numpy(np.ascontiguousarray(images)).to(self.device).float() / 255
        values = torch.nn.functional.interpolate(
            values.permute(0, 3, 1, 2), (self.size, self.size), mode="bilinear", antialias=True
        )
        mean, std = (torch.tensor(v, device=self.device).view(3, 1, 1) for v in (_MEAN, _STD))
        return (values - mean) / std

    def masks(self, logits: Any, height: int, width: int) -> NDArray[np.bool_]:
        """Masks (N, M, height, width) of what the model gives (N, M, h, w)."""
        full = self.torch.nn.functional.interpolate(
            logits.float(), (height, width), mode="bilinear", align_corners=False
        )
        return np.asarray((full > 0).cpu().numpy(), bool)


def make_sam2_masks(settings: MaskSettings) -> Sam2Masks:
    """Entry point of the `sam2` backend."""
    return Sam2Masks(settings)


def _check_stop(should_stop: Callable[[], bool]) -> None:
    if should_stop():
        raise PlatformError(Code.CANCELLED, "cancelled while following a mask")
