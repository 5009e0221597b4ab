"""Grounding DINO and SAM 2 through transformers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from novaflow_core.errors import Code, PlatformError
from novaflow_perception.core.boxes import Detection, Detections, GroundedSam2Settings

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of the images SAM 2 was trained on


class GroundingDino:
    """A `Detector`: boxes for a phrase, by a model that reads both."""

    def __init__(self, settings: GroundedSam2Settings) -> None:
        """Load the model.

        Raises:
            PlatformError: UNAVAILABLE or INVALID_SETTING.
        """
        self._torch, transformers = _libraries()
        self._settings = settings
        self._device = _device(self._torch, settings.grounding_device)

        def load() -> tuple[Any, Any]:
            name = settings.dino_model
            processor = transformers.GroundingDinoProcessor(
                # The one without torchvision.
                transformers.GroundingDinoImageProcessorPil.from_pretrained(name),
                transformers.AutoTokenizer.from_pretrained(name),
            )
            return processor, transformers.GroundingDinoForObjectDetection.from_pretrained(name)

        self._processor, model = _loaded("dino_model", settings.dino_model, load)
        self._model = model.to(self._device).eval()

    def detect(self, image: NDArray[np.uint8], words: str) -> Detections:
        """Return the boxes above both thresholds, the best first; see `Detector`."""
        s = self._settings
        inputs = self._processor(
            images=image, text=f"{words.lower().rstrip('.')}.", return_tensors="pt"
        ).to(self._device)
        with self._torch.inference_mode():
            outputs = self._model(**inputs)
        (found,) = self._processor.post_process_grounded_object_detection(
            outputs,
            inputs["input_ids"],
            threshold=s.box_threshold,
            text_threshold=s.text_threshold,
            target_sizes=[image.shape[:2]],
        )
        scores, boxes = found["scores"].cpu().numpy(), found["boxes"].cpu().numpy()
        limit = np.array([*image.shape[1::-1], *image.shape[1::-1]], float)
        kept = [
            Detection(np.clip(box.astype(float), 0, limit), float(score))
            for score, box, label in zip(scores, boxes, found["text_labels"], strict=True)
            if label.strip()  # else no word is above its threshold
        ]
        best = float(self._torch.sigmoid(outputs.logits).max())
        return Detections(tuple(sorted(kept, key=lambda each: -each.score)), best)


class Sam2:
    """A `Segmenter` of images, and of whole videos from one box in their first frame."""

    def __init__(self, settings: GroundedSam2Settings) -> None:
        """Load the model for images; the one for videos is loaded when asked for.

        Raises:
            PlatformError: UNAVAILABLE or INVALID_SETTING.
        """
        self._torch, self._transformers = _libraries()
        self._name = settings.sam2_model
        self._device = _device(self._torch, settings.grounding_device)
        self._image_model = self._load("Sam2Model")
        self._video_model: Any = None

    def segment(self, image: NDArray[np.uint8], boxes: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return the masks of what the boxes hold; see `Segmenter`."""
        height, width = image.shape[:2]
        size = self._size(self._image_model)
        scaled = self._torch.from_numpy(boxes * _scale(size, width, height)).float()
        with self._torch.inference_mode():
            masks = self._image_model(
                pixel_values=self._pixels(image[None], size),
                input_boxes=scaled[None].to(self._device),
                multimask_output=False,
            ).pred_masks[0]
            return self._at_size(masks, height, width)[:, 0]

    def propagate(
        self,
        frames: NDArray[np.uint8],
        box: NDArray[np.float64],
        should_stop: Callable[[], bool] = lambda: False,
    ) -> NDArray[np.bool_]:
        """Follow what a box of the first frame holds through a video.

        Args:
            frames: (T, H, W, 3) uint8 RGB.
            box: (4,) left, top, right, bottom [px].
            should_stop: Asked after every frame.

        Returns:
            Masks (T, H, W); empty where the model sees it no more.

        Raises:
            PlatformError: CANCELLED.
        """
        if self._video_model is None:
            self._video_model = self._load("Sam2VideoModel")
        torch, model = self._torch, self._video_model
        count, height, width = frames.shape[:3]
        size = self._size(model)
        session = self._transformers.Sam2VideoInferenceSession(
            video=torch.cat([self._pixels(frame[None], size).cpu() for frame in frames]),
            video_height=height,
            video_width=width,
            inference_device=self._device,
            dtype=torch.float32,
        )
        corners = torch.from_numpy(box * _scale(size, width, height)).float().view(1, 1, 2, 2)
        index = session.obj_id_to_idx(1)
        # SAM 2 reads a box as two points: 2 its upper left, 3 its lower right corner.
        session.add_point_inputs(
            index,
            0,
            {
                "point_coords": corners,
                "point_labels": torch.tensor([[[2, 3]]], dtype=torch.int32),
            },
        )
        session.obj_with_new_inputs = [1]
        masks = np.zeros((count, height, width), bool)
        with torch.inference_mode():
            model(inference_session=session, frame_idx=0)
            for output in model.propagate_in_video_iterator(session):
                masks[output.frame_idx] = self._at_size(output.pred_masks, height, width)[0, 0]
                if should_stop():
                    raise PlatformError(Code.CANCELLED, "cancelled while following a mask")
        return masks

    def _load(self, kind: str) -> Any:
        model = _loaded(
            "sam2_model",
            self._name,
            lambda: getattr(self._transformers, kind).from_pretrained(self._name),
        )
        return model.to(self._device).eval()

    def _size(self, model: Any) -> int:
        return int(model.config.prompt_encoder_config.image_size)

    def _pixels(self, images: NDArray[np.uint8], size: int) -> Any:
        """Images (N, H, W, 3) as the model reads them, (N, 3, size, size)."""
        torch = self._torch
        values = torch.from_numpy(np.ascontiguousarray(images)).to(self._device).float() / 255
        values = torch.nn.functional.interpolate(
            values.permute(0, 3, 1, 2), (size, size), mode="bilinear", antialias=True
        )
        mean, std = (torch.tensor(v, device=self._device).view(3, 1, 1) for v in (_MEAN, _STD))
        return (values - mean) / std

    def _at_size(self, logits: Any, height: int, width: int) -> NDArray[np.bool_]:
        full = self._torch.nn.functional.interpolate(
            logits.float(), (height, width), mode="bilinear", align_corners=False
        )
        return np.asarray((full > 0).cpu().numpy(), bool)


def _scale(size: int, width: int, height: int) -> NDArray[np.float64]:
    return np.array([size / width, size / height, size / width, size / height])


def _libraries() -> tuple[Any, Any]:
    try:
        import torch
        import transformers
    except ImportError as error:
        raise PlatformError(
            Code.UNAVAILABLE,
            f"backend 'grounded_sam2' needs a library ({error}); "
            "install it with `./novaflow setup --with torch`",
        ) from error
    return torch, transformers


def _device(torch: Any, name: str) -> Any:
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cuda", "cpu"):
        raise PlatformError(
            Code.INVALID_SETTING, f"grounding_device is '{name}'; allowed: cuda, cuda:N, cpu"
        )
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device.type == "cuda" and (device.index or 0) >= found:
        raise PlatformError(
            Code.UNAVAILABLE,
            f"grounding_device is '{name}', but torch {torch.__version__} sees {found} CUDA "
            "devices; grounding_device:=cpu needs none",
        )
    return device


def _loaded(parameter: str, name: str, load: Callable[[], Any]) -> Any:
    try:
        return load()
    except (OSError, ValueError, RuntimeError) as error:
        said = " ".join(str(error).split())[:300]
        raise PlatformError(
            Code.UNAVAILABLE, f"{parameter}: '{name}' cannot be loaded ({said})"
        ) from error
