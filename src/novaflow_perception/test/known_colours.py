"""A detector and a segmenter for rendered views: what models with weights would do there."""

from __future__ import annotations

import cv2
import numpy as np

from novaflow_perception.core.boxes import Detection, Detections

_LEAST_PX = 80


class KnowsColours:
    """Boxes around connected pixels of a solid's hue, for words that are all among its names."""

    def __init__(self, names, score=0.8):
        self._names, self._score = names, score
        self.asked = []

    def detect(self, image, words):
        self.asked.append(words)
        boxes = []
        for rgb, names in self._names.items():
            if not set(words.split()) <= set(names.split()):
                continue
            alike = _unlike_table(image) & (_strongest(image) == int(np.argmax(rgb)))
            count, _, stats, _ = cv2.connectedComponentsWithStats(alike.astype(np.uint8))
            for left, top, width, height, area in stats[1:count]:
                if area > _LEAST_PX:
                    box = np.array([left, top, left + width, top + height], float)
                    boxes.append(Detection(box, self._score))
        return Detections(tuple(boxes), self._score if boxes else 0.1)


class PixelsUnlikeTheTable:
    """Everything in the box that has not the table's colour."""

    def segment(self, image, boxes):
        masks = np.zeros((len(boxes), *image.shape[:2]), bool)
        for mask, box in zip(masks, boxes.astype(int), strict=True):
            at = (slice(box[1], box[3]), slice(box[0], box[2]))
            mask[at] = _unlike_table(image)[at]
        return masks


def _unlike_table(image):
    values = image.astype(float)
    return values.max(-1) - values.min(-1) > 60


def _strongest(image):
    return image.argmax(-1)
