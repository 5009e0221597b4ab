"""Points of a small thing that crosses a textured room fast are kept, not handed to the room."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from novaflow_flowgen.core.tracks import KltTracker

SIZE_PX = 44


def texture(seed: int, height: int, width: int) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 255, (height, width)).astype(np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 2.0)


def picture(at: np.ndarray) -> np.ndarray:
    """A faint patch of SIZE_PX at a place (2,) [px] in front of a room that stands still."""
    room = cv2.normalize(texture(1, 240, 360), None, 0, 255, cv2.NORM_MINMAX)
    patch = cv2.normalize(texture(2, SIZE_PX, SIZE_PX), None, 80, 180, cv2.NORM_MINMAX)
    room[at[1] : at[1] + SIZE_PX, at[0] : at[0] + SIZE_PX] = patch
    return room


@pytest.mark.parametrize("step", [(3, 1), (60, -20)])
@pytest.mark.parametrize("off", [(0.0, 0.0), (2.0, -1.5)])
def test_a_small_fast_thing_is_followed(step, off):
    first = np.array([120, 100])
    grid = np.stack(np.meshgrid(np.arange(14, 31, 4), np.arange(14, 31, 4)), -1).reshape(-1, 2)
    points = (first + grid).astype(float)
    there, ok = KltTracker().track(
        picture(first), picture(first + step), points, points + step + off
    )
    assert ok.mean() > 0.9
    np.testing.assert_allclose(there[ok], points[ok] + step, atol=0.3)


def test_what_is_gone_is_not_followed():
    first = np.array([120, 100])
    points = (first + np.array([[12, 12], [22, 22], [30, 14]])).astype(float)
    empty = picture(np.array([300, 190]))
    _, ok = KltTracker().track(picture(first), empty, points, points)
    assert not ok.any()
