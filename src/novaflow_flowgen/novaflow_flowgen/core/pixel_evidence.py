"""What the pixels of a video say beyond its flow: is the target there, did anything else move?

Videos are compared with their own first frame. Gain and offset are fitted first, since generated
videos dim and brighten.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_core.errors import Code, VideoError
from novaflow_core.flow import ObjectFlow
from novaflow_core.grounding import LABEL_SUPPORT, Grounding
from novaflow_core.scene import RgbdView
from novaflow_flowgen.core.appearance import Moment, colour_shift, stays_behind

Mask = NDArray[np.bool_]
Image = NDArray[np.float32]

_CHANGED = 36.0  # colour difference, 0..255 a channel, that codecs and gain do not explain
_DISTINCT = 30.0
_MIN_PIXELS = 150
_LAST_FRAMES = 3
_WINDOW_PAD_PX = 60  # table around the objects, by which the light is compared


@dataclass(frozen=True)
class PixelEvidence:
    """Measured on the last frames against the first; NaN where there is nothing to compare.

    Attributes:
        present_share: The target's seen points that look like the target where the flow ends, among
            those that differ from what was there before.
        others_changed: Largest share of an other object's pixels that change uncovered.
        other_name: Which object that is.
        left_share: Share of the place that the target left that changed.
        stays: How much that place still looks like the target, -1..1.
        colour_shift: Change of the target's colour, of 255, apart from lightness.
    """

    present_share: float
    others_changed: float
    other_name: str
    left_share: float
    stays: float
    colour_shift: float


def read_ends(path: Path, size: tuple[int, int]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """First frame and median of the last frames (H, W, 3) RGB, scaled to `size` (width, height).

    Raises:
        VideoError: VIDEO_UNREADABLE or VIDEO_TOO_SHORT.
    """
    capture = cv2.VideoCapture(str(path))
    try:
        found, first = capture.read()
        if not found:
            raise VideoError(Code.VIDEO_UNREADABLE, f"no frame can be read from {path}")
        count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        last: list[NDArray[np.uint8]] = []
        index = 1
        # Only what is looked at is converted: decoding alone costs a third.
        while capture.grab():
            index += 1
            if index > count - _LAST_FRAMES:
                last.append(np.asarray(capture.retrieve()[1], np.uint8))
    finally:
        capture.release()
    if not last or index < count:
        raise VideoError(Code.VIDEO_TOO_SHORT, f"{path.name} ends after {index} of {count} frames")
    end = _middle(*last) if len(last) == _LAST_FRAMES else last[-1]
    pair = [first, end]
    if (first.shape[1], first.shape[0]) != size:
        pair = [cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in pair]
    a, b = (np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8) for frame in pair)
    return a, b


def weigh_pixels(
    first_frame: NDArray[np.uint8],
    last_frame: NDArray[np.uint8],
    flow: ObjectFlow,
    view: RgbdView,
    grounding: Grounding,
) -> PixelEvidence:
    """Compare the end of a video with its first frame.

    Args:
        first_frame: (H, W, 3) RGB, of the view's size.
        last_frame: (H, W, 3) RGB.
        flow: Lifted from the video.
        view: The view that frame 0 shows.
        grounding: The objects in it.
    """
    start, end = _pixels(flow, 0, view), _pixels(flow, -1, view)
    window = _window(grounding, start, end)
    corner = np.array([window[1].start, window[0].start], float)
    start, end = start - corner, end - corner
    first, last = _soften(first_frame[window]), _soften(last_frame[window])
    labels = grounding.labels[0][window]
    target = labels == grounding.target.label
    shape = target.shape
    arrived = _hull(end, shape)
    background = ~(arrived | _hull(start, shape) | target)
    begin = Moment(first_frame[window], start, flow.visible[0])
    done = Moment(last_frame[window], end, flow.visible[-1])
    last = _same_light(first, last, background)
    difference = abs(last - first).max(axis=2)
    return PixelEvidence(
        _present(first, last, start, end, flow.visible[-1]),
        *_others(difference, labels, grounding, arrived | _grown(target, 6)),
        _left(first, difference, target, arrived),
        stays_behind(begin.frame, done, target),
        colour_shift(begin, done, background & (labels <= LABEL_SUPPORT)),
    )


def _window(
    grounding: Grounding, start: NDArray[np.float64], end: NDArray[np.float64]
) -> tuple[slice, slice]:
    """Part of the image with all objects and the way between them: only that is compared."""
    labels = grounding.labels[0]
    solid = (labels > LABEL_SUPPORT).astype(np.uint8)
    u, v, width, height = cv2.boundingRect(solid)
    corners = [np.array([[u, v], [u + width, v + height]], float)]
    corners += [p[np.isfinite(p).all(axis=1)] for p in (start, end)]
    seen = np.concatenate(corners)
    low = np.maximum(np.floor(seen.min(axis=0)).astype(int) - _WINDOW_PAD_PX, 0)
    high = np.ceil(seen.max(axis=0)).astype(int) + _WINDOW_PAD_PX + 1
    return slice(low[1], min(high[1], labels.shape[0])), slice(
        low[0], min(high[0], labels.shape[1])
    )


def _middle(a: NDArray[np.uint8], b: NDArray[np.uint8], c: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Median of three images."""
    return np.maximum(np.minimum(a, b), np.minimum(np.maximum(a, b), c))


def _soften(frame: NDArray[np.uint8]) -> Image:
    return np.asarray(cv2.GaussianBlur(frame, (5, 5), 0), np.float32)


def _pixels(flow: ObjectFlow, step: int, view: RgbdView) -> NDArray[np.float64]:
    """Pixels (K, 2) of a step's points; NaN where not known or outside the image."""
    to_camera = se3.inverse(view.T_planning_camera)
    at = view.model.project(se3.apply(to_camera, flow.points[step]))
    size = [view.model.width - 1, view.model.height - 1]
    with np.errstate(invalid="ignore"):
        inside = np.all((at >= 0) & (at <= size), axis=1)
    return np.where(inside[:, None], at, np.nan)


def _hull(pixels: NDArray[np.float64], shape: tuple[int, int]) -> Mask:
    known = pixels[np.isfinite(pixels).all(axis=1)]
    out = np.zeros(shape, np.uint8)
    if len(known) >= 3:
        hull = cv2.convexHull(known.astype(np.float32)).astype(np.int32)
        cv2.fillConvexPoly(out, hull, 1)
        margin = 8 + int(0.15 * float(np.ptp(known, axis=0).max()))
        return np.asarray(cv2.dilate(out, np.ones((margin, margin), np.uint8)) > 0)
    return out > 0


def _grown(mask: Mask, pixels: int) -> Mask:
    size = 2 * pixels + 1
    return np.asarray(cv2.dilate(mask.astype(np.uint8), np.ones((size, size), np.uint8)) > 0)


def _same_light(first: Image, last: Image, where: Mask) -> Image:
    """Undo one gain and one offset of the whole picture, fitted where nothing should move."""
    thin = (slice(None, None, 9), slice(None, None, 11))
    a, b = last[thin][where[thin]].ravel(), first[thin][where[thin]].ravel()
    if a.size < 300:
        return last
    gain, offset = 1.0, 0.0
    for _ in range(4):
        near = abs(gain * a + offset - b) < _CHANGED
        if near.sum() < 100 or np.ptp(a[near]) < 20:
            break
        gain, offset = np.polyfit(a[near], b[near], 1)
    if not 0.6 < gain < 1.6:
        return last
    return np.asarray(gain * last + offset, np.float32)


def _present(
    first: Image,
    last: Image,
    start: NDArray[np.float64],
    end: NDArray[np.float64],
    visible: Mask,
) -> float:
    known = np.isfinite(start).all(axis=1) & np.isfinite(end).all(axis=1) & visible
    if known.sum() < 12:
        return float("nan")
    s, e = (np.rint(p[known]).astype(int) for p in (start, end))
    looked = first[s[:, 1], s[:, 0]]
    before = first[e[:, 1], e[:, 0]]
    now = last[e[:, 1], e[:, 0]]
    telling = np.linalg.norm(looked - before, axis=1) > _DISTINCT
    if telling.sum() < 12:
        return float("nan")
    like_target = np.linalg.norm(now - looked, axis=1) < np.linalg.norm(now - before, axis=1)
    return float(like_target[telling].mean())


def _others(
    difference: Image, labels: NDArray[np.uint8], grounding: Grounding, covered: Mask
) -> tuple[float, str]:
    worst, name = float("nan"), ""
    for item in grounding.objects:
        if item.label == grounding.target.label:
            continue
        mask = (labels == item.label).astype(np.uint8)
        own = (cv2.erode(mask, np.ones((5, 5), np.uint8)) > 0) & ~covered
        if own.sum() < _MIN_PIXELS:
            continue
        share = float((difference[own] > _CHANGED).mean())
        if not share <= worst:
            worst, name = share, item.description
    return worst, name


def _left(first: Image, difference: Image, target: Mask, end: Mask) -> float:
    """How much of the left place changed; NaN where it is covered still or has no contrast."""
    place = target & ~end
    if place.sum() < max(_MIN_PIXELS, 0.4 * target.sum()):
        return float("nan")
    ring = _grown(target, 14) & ~_grown(target, 5)
    if ring.sum() < _MIN_PIXELS:
        return float("nan")
    contrast = np.linalg.norm(first[place] - np.median(first[ring], axis=0), axis=1)
    telling = contrast > 2 * _DISTINCT
    if telling.sum() < _MIN_PIXELS:
        return float("nan")
    return float((difference[place][telling] > _CHANGED).mean())
