"""A benchmark at a glance: a bar a task, split by cause of failure, with the interval."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from novaflow_core.errors import Code, PlatformError

_WIDTH, _LEFT, _RIGHT, _TOP, _ROW = 900, 110, 120, 78, 56
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_INK, _GRID, _PAPER = (40, 40, 40), (215, 215, 215), (255, 255, 255)
# RGB; distinct in lightness too.
_COLOURS = {
    "success": (62, 140, 90),
    "setup": (150, 150, 150),
    "video": (120, 94, 180),
    "tracking": (60, 110, 190),
    "grasp": (224, 150, 50),
    "execution": (190, 60, 60),
}


def draw(summary: dict[str, dict[str, Any]], title: str) -> NDArray[np.uint8]:
    """Picture (H, W, 3) RGB of `episodes.summary`."""
    height = _TOP + _ROW * max(len(summary), 1) + 46
    out = np.full((height, _WIDTH, 3), _PAPER, np.uint8)
    span = _WIDTH - _LEFT - _RIGHT

    def text(words: str, x: int, y: int, scale: float = 0.48) -> None:
        cv2.putText(out, words, (x, y), _FONT, scale, _INK, 1, cv2.LINE_AA)

    text(title, 12, 24, 0.52)
    x = 12
    for name, colour in _COLOURS.items():
        cv2.rectangle(out, (x, 42), (x + 14, 56), colour, -1)
        text(name, x + 20, 54, 0.45)
        x += 118
    for share in (0, 25, 50, 75, 100):
        at = _LEFT + round(span * share / 100)
        cv2.line(out, (at, _TOP - 6), (at, height - 34), _GRID, 1)
        text(f"{share} %", at - 14, height - 14, 0.42)
    for k, (task, t) in enumerate(summary.items()):
        y = _TOP + k * _ROW
        text(task, 12, y + 26)
        parts = {"success": t["successes"], **t["causes"]}
        x0 = 0
        for name, count in parts.items():
            if not count:
                continue
            a = _LEFT + round(span * x0 / t["trials"])
            b = _LEFT + round(span * (x0 + count) / t["trials"])
            cv2.rectangle(out, (a, y + 6), (b - 1, y + 34), _COLOURS[name], -1)
            x0 += count
        low, high = (_LEFT + round(span * v) for v in t["wilson_95"])
        cv2.line(out, (low, y + 42), (high, y + 42), _INK, 2)
        for end in (low, high):
            cv2.line(out, (end, y + 37), (end, y + 47), _INK, 2)
        text(f"{t['successes']} of {t['trials']}", _WIDTH - _RIGHT + 14, y + 26)
    return out


def write(picture: NDArray[np.uint8], path: Path) -> None:
    """Write a PNG.

    Raises:
        PlatformError: UNAVAILABLE when it cannot be written.
    """
    if not cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)):
        raise PlatformError(Code.UNAVAILABLE, f"cannot write {path}")
