"""Boxes that a detector draws for a phrase, and the pixels that a segmenter finds in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from novaflow_core.settings import setting
from novaflow_core.task import ObjectPhrase

_SAME_BOX = 0.6  # intersection over union from which two boxes are one thing's


@dataclass(frozen=True)
class GroundedSam2Settings:
    """Of the grounding backend `grounded_sam2`; see each field's description."""

    dino_model: str = setting(
        "IDEA-Research/grounding-dino-base", "id of Grounding DINO on the hub, or a folder"
    )
    sam2_model: str = setting("facebook/sam2.1-hiera-large", "id of SAM 2 on the hub, or a folder")
    grounding_device: str = setting("cuda", "where both run: cuda, cuda:1, ... or cpu")
    box_threshold: float = setting(0.25, "least score of a box, 0..1", low=0.0, high=1.0)
    text_threshold: float = setting(0.3, "least score of a word of it, 0..1", low=0.0, high=1.0)
    box_alike: float = setting(
        0.9, "of the best score, above which another box is as good", low=0.0, high=1.0
    )


@dataclass(frozen=True)
class Detection:
    """One box.

    Attributes:
        box: (4,) left, top, right, bottom [px].
        score: 0..1.
    """

    box: NDArray[np.float64]
    score: float


@dataclass(frozen=True)
class Detections:
    """What a detector found for one phrase.

    Attributes:
        boxes: Those above the thresholds, the best first.
        best_score: Of all that it looked at, those below the thresholds included.
    """

    boxes: tuple[Detection, ...]
    best_score: float


class Detector(Protocol):
    """Finds what a phrase names."""

    def detect(self, image: NDArray[np.uint8], words: str) -> Detections:
        """Return boxes in an image (H, W, 3) RGB for a few words in English."""
        ...


class Segmenter(Protocol):
    """Finds the pixels of what is in a box."""

    def segment(self, image: NDArray[np.uint8], boxes: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return masks (N, H, W) for boxes (N, 4) in an image (H, W, 3) RGB."""
        ...


def distinct(boxes: Sequence[Detection]) -> list[Detection]:
    """Keep the best of each group of boxes that lie on each other; the best first."""
    kept: list[Detection] = []
    for one in sorted(boxes, key=lambda each: -each.score):
        if all(overlap(one.box, other.box) < _SAME_BOX for other in kept):
            kept.append(one)
    return kept


def overlap(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Intersection over union of two boxes (4,)."""
    across = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    shared = float(np.prod(np.maximum(across, 0.0)))
    return shared / max(float(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2])) - shared, 1e-9)


def words_for(phrase: ObjectPhrase) -> str:
    """Return what a detector is asked for: colour and kind; places and sizes it cannot tell."""
    if phrase.noun:
        return f"{phrase.colour} {phrase.noun}".strip()
    words = phrase.text.lower().split()
    return " ".join(word for word in words if word not in ("the", "a", "an", "that", "this"))
