"""The kernels of lifting from Python: what comes back, and what is refused."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

import novaflow_lifting as nl
from novaflow_core import se3
from novaflow_core.camera import CameraModel
from novaflow_core.errors import Code, PlatformError, ShapeError

CAMERA = CameraModel(1280, 720, 900.0, 900.0, 640.0, 360.0)
MOTION = se3.from_rt(se3.exp_so3([0.02, -0.03, 0.1]), [0.01, -0.06, 0.02])


@pytest.fixture
def points():
    return np.random.default_rng(0).uniform([-0.05, -0.05, 0.65], [0.05, 0.05, 0.75], (200, 3))


@pytest.fixture
def pixels(points):
    return CAMERA.project(se3.apply(MOTION, points))


def test_it_finds_the_pose_and_the_tracks_that_agree(points, pixels):
    pixels[::4] += 50.0
    motion, inliers = nl.fit(points, pixels, CAMERA, np.eye(4), inlier_px=2.0)
    np.testing.assert_allclose(motion, MOTION, atol=1e-6)
    np.testing.assert_array_equal(inliers, np.arange(200) % 4 > 0)


def test_arrays_of_any_layout_are_read_right(points, pixels):
    slices = np.asfortranarray(points)[::2], np.repeat(pixels, 2, axis=0)[::4]
    motion, _ = nl.fit(*slices, CAMERA, np.asfortranarray(np.eye(4)), inlier_px=2.0)
    np.testing.assert_allclose(motion, MOTION, atol=1e-6)
    single = nl.fit(points.astype(np.float32), pixels, CAMERA, np.eye(4), inlier_px=2.0)
    np.testing.assert_allclose(single[0], MOTION, atol=1e-4)


def test_there_is_no_pose_where_nothing_agrees(points):
    nonsense = np.random.default_rng(1).uniform(0, 1e6, (200, 2))
    assert nl.fit(points, nonsense, CAMERA, np.eye(4), inlier_px=0.01) is None


def test_a_strain_comes_with_what_it_is_known_to(points, pixels):
    amount, std = nl.strain(points, pixels, CAMERA, MOTION)
    assert amount < 1e-6
    assert 0.0 < std < 0.1
    longer = points * [1.2, 1.0, 1.0]
    amount, _ = nl.strain(points, CAMERA.project(se3.apply(MOTION, longer)), CAMERA, MOTION)
    assert amount == pytest.approx(0.2, abs=0.02)


@pytest.mark.parametrize("call", [nl.strain, lambda *given: nl.fit(*given, inlier_px=2.0)])
def test_what_cannot_be_computed_is_refused_with_the_reason(points, pixels, call):
    with pytest.raises(ShapeError, match=r"\(199, 2\)"):
        call(points, pixels[1:], CAMERA, MOTION)
    with pytest.raises(ShapeError, match="motion"):
        call(points, pixels, CAMERA, MOTION[:3])
    with pytest.raises(PlatformError, match="too few") as told:
        call(points[:5], pixels[:5], CAMERA, MOTION)
    assert told.value.code is Code.INVALID_SETTING
    pixels[3, 0] = np.nan
    with pytest.raises(PlatformError, match="200 tracks: an input is not finite"):
        call(points, pixels, CAMERA, MOTION)


def test_missing_library_names_the_command_that_builds_it(tmp_path):
    script = "import novaflow_lifting; novaflow_lifting.library.load()"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "NOVAFLOW_LIFTING_LIBRARY": str(tmp_path / "nothing.so")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "UNAVAILABLE" in done.stderr
    assert "./novaflow setup" in done.stderr
