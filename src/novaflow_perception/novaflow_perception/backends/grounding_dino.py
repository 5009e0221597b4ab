"""Grounding DINO through transformers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from novaflow_perception.backends.torch_models import device_named, libraries, loaded
from novaflow_perception.core.boxes import Detection, Detections, GroundedSam2Settings


class GroundingDino:
    """A `Detector`: boxes for a phrase, by a model that reads both."""

    def __init__(self, settings: GroundedSam2Settings) -> None:
        """Load the model.

        Raises:
            PlatformError: UNAVAILABLE or INVALID_SETTING.
        """
        self._torch, transformers = libraries("grounded_sam2")
        self._settings = settings
        self._device = device_named(self._torch, "grounding_device", settings.grounding_device)

        def load() -> tuple[Any, Any]:
            name = settings.dino_model
            processor = transformers.GroundingDinoProcessor(
                # The one without torchvision.
                transformers.GroundingDinoImageProcessorPil.from_pretrained(name),
                transformers.AutoTokenizer.from_pretrained(name),
            )
            return processor, transformers.GroundingDinoForObjectDetection.from_pretrained(name)

        self._processor, model = loaded("dino_model", settings.dino_model, load)
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
