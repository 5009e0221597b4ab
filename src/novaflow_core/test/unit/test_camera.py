"""The pinhole camera."""

from __future__ import annotations

import numpy as np
import pytest

from novaflow_core.camera import CameraModel
from novaflow_core.errors import ShapeError

CAMERA = CameraModel(8, 6, 10.0, 11.0, 3.5, 2.5)


def test_projection_undoes_lifting() -> None:
    rng = np.random.default_rng(0)
    pixels, depth_m = rng.uniform(0, 6, (20, 2)), rng.uniform(0.3, 2, 20)
    np.testing.assert_allclose(CAMERA.project(CAMERA.lift_pixels(pixels, depth_m)), pixels)


def test_back_projection_agrees_with_lifting_and_keeps_holes() -> None:
    depth = np.full((6, 8), 0.7, np.float32)
    depth[2, 3] = np.nan
    points = CAMERA.back_project(depth)
    assert np.isnan(points[2, 3]).all()
    np.testing.assert_allclose(points[4, 1], CAMERA.lift_pixels([1, 4], 0.7), rtol=1e-6)


def test_what_is_behind_the_camera_has_no_pixel() -> None:
    assert np.isnan(CAMERA.project([[0.1, 0.1, -1.0], [0.0, 0.0, 0.0]])).all()


def test_depth_of_another_size_is_refused() -> None:
    with pytest.raises(ShapeError, match="8x6"):
        CAMERA.back_project(np.ones((8, 6)))
