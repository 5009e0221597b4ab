"""What a camera delivers is checked before it is believed."""

from __future__ import annotations

import dataclasses
import json

import cv2
import numpy as np
import pytest

from novaflow_core.camera import CameraModel
from novaflow_core.errors import Code, PerceptionError
from novaflow_perception.core.capture import CaptureLimits, RawView, assemble, merged_depth
from novaflow_perception.core.files import load_directory

MODEL = CameraModel(64, 48, 50.0, 50.0, 31.5, 23.5)


def raw(**changes):
    depth = np.full((48, 64), 0.8, np.float32)
    view = RawView(
        "camera", "optical", 10**9, np.zeros((48, 64, 3), np.uint8), [depth], MODEL, MODEL
    )
    return dataclasses.replace(view, **changes)


def code_of(view, now_ns=10**9):
    with pytest.raises(PerceptionError) as caught:
        assemble(view, np.eye(4), now_ns, CaptureLimits())
    return caught.value


def test_a_good_view_passes():
    view = assemble(raw(), np.eye(4), 10**9 + 10**8, CaptureLimits())
    assert view.depth.shape == (48, 64) and view.frame_id == "optical"


def test_old_images_are_refused_with_their_age():
    error = code_of(raw(), now_ns=10**9 + 2_500_000_000)
    assert error.code is Code.STALE_IMAGE and "2.50 s" in error.reason


def test_depth_without_returns():
    error = code_of(raw(depths=[np.full((48, 64), np.nan, np.float32)]))
    assert error.code is Code.DEPTH_INVALID and "0.0%" in error.reason


@pytest.mark.parametrize("part", ["color_model", "depth_model"])
def test_camera_info_of_another_size(part):
    error = code_of(raw(**{part: CameraModel(32, 24, 25, 25, 15.5, 11.5)}))
    assert error.code is Code.CAMERA_INFO_MISMATCH
    assert "32x24" in error.reason and "64x48" in error.reason


def test_depth_that_is_not_aligned():
    other = dataclasses.replace(MODEL, fx=62.0, fy=62.0)
    assert code_of(raw(depth_model=other)).code is Code.CAMERA_INFO_MISMATCH


def test_merging_reduces_noise_and_fills_holes():
    rng = np.random.default_rng(0)
    truth = np.full((48, 64), 0.8, np.float32)
    frames = [(truth + rng.normal(0, 0.003, truth.shape)).astype(np.float32) for _ in range(5)]
    for i, frame in enumerate(frames):
        frame[i * 5 : i * 5 + 4] = np.nan
    frames[-1][:, 60:] = np.nan
    merged = merged_depth(frames, 0.004)
    assert np.isfinite(merged).all()
    assert np.nanstd(merged - truth) < 0.7 * np.nanstd(frames[-1] - truth)


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_merging_takes_the_median_of_the_frames_that_have_a_value(count):
    rng = np.random.default_rng(count)
    frames = [rng.normal(0.8, 0.001, (48, 64)).astype(np.float32) for _ in range(count)]
    for frame in frames:
        frame[rng.random(frame.shape) < 0.2] = np.nan
    merged = merged_depth(frames, 0.004)
    enough = np.isfinite(frames).sum(axis=0) * 2 >= count
    assert np.isnan(merged[~enough]).all()
    known = np.stack(frames)[:, enough]
    assert np.allclose(merged[enough], np.nanmedian(known, axis=0), atol=1e-7)


def test_merging_believes_the_newest_frame_where_something_moved():
    still = np.full((48, 64), 0.8, np.float32)
    newest = still.copy()
    newest[20:24, 30:34] = 0.7
    merged = merged_depth([still] * 4 + [newest], 0.004)
    assert np.allclose(merged[20:24, 30:34], 0.7) and np.allclose(merged[:20], 0.8)
    far = np.full((48, 64), 1.4, np.float32)
    assert np.allclose(merged_depth([still, far], 0.004), 1.4)


def test_a_folder_is_read_and_its_faults_are_named(tmp_path):
    with pytest.raises(PerceptionError, match=r"color\.png does not exist"):
        load_directory(tmp_path)
    cv2.imwrite(str(tmp_path / "color.png"), np.full((48, 64, 3), (10, 20, 30), np.uint8))
    cv2.imwrite(str(tmp_path / "depth_mm.png"), np.full((48, 64), 800, np.uint16))
    with pytest.raises(PerceptionError, match=r"camera\.json"):
        load_directory(tmp_path)
    camera = {"width": 64, "height": 48, "fx": 50, "fy": 50, "cx": 31.5, "cy": 23.5}
    (tmp_path / "camera.json").write_text(json.dumps(camera))
    view = load_directory(tmp_path)
    assert view.color[0, 0].tolist() == [30, 20, 10] and view.depth_mm[0, 0] == 800
    (tmp_path / "camera.json").write_text(json.dumps({**camera, "width": 32}))
    with pytest.raises(PerceptionError) as caught:
        load_directory(tmp_path)
    assert caught.value.code is Code.CAMERA_INFO_MISMATCH
    (tmp_path / "color.png").write_bytes(b"not an image")
    with pytest.raises(PerceptionError, match="cannot be read"):
        load_directory(tmp_path)
