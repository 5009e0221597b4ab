"""Videos by another renderer: a hand, the thing where it belongs, and what is wrong with some."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from novaflow_core.errors import PlatformError
from novaflow_core.se3 import from_rt
from novaflow_sim.backends import rendered_videos
from novaflow_sim.core.filmed_motion import SPOILS, film
from novaflow_sim.core.task_endings import wanted_end

START = from_rt(np.eye(3), [0.5, 0.1, 0.0])
END = from_rt(np.eye(3), [0.5, -0.1, 0.005])


def test_an_honest_film_begins_and_ends_where_it_should_and_keeps_away_between() -> None:
    for seed in range(20):
        found = film("cup", START, END, 0.095, 37, np.random.default_rng(seed))
        assert np.allclose(found.poses[0], START, atol=1e-9)
        assert np.allclose(found.poses[-1], END, atol=1e-3)
        assert found.poses[:, 2, 3].max() > 0.09
        assert np.linalg.norm(np.diff(found.poses[:, :3, 3], axis=0), axis=1).max() < 0.08
        assert np.linalg.norm(found.hand[0] - START[:3, 3]) > 0.5


@pytest.mark.parametrize("spoil", [kind for kind in SPOILS if kind != "other_object"])
def test_a_spoiled_film_is_not_an_honest_one(spoil: str) -> None:
    found = film("cup", START, END, 0.095, 37, np.random.default_rng(1), spoil)
    jump = np.linalg.norm(np.diff(found.poses[:, :3, 3], axis=0), axis=1).max()
    assert jump > 0.15 or np.linalg.norm(found.poses[-1][:3, 3] - END[:3, 3]) > 0.05


def test_a_task_that_cannot_be_filmed_is_named() -> None:
    with pytest.raises(PlatformError, match="tea"):
        wanted_end("tea", {})


def test_videos_begin_as_the_camera_sees_the_cell(tmp_path: Path) -> None:
    labels = rendered_videos.render_videos("insert", 1003, 2, 1, tmp_path)
    assert sorted(bool(label) for label in labels) == [False, True]
    truth = json.loads((tmp_path / rendered_videos.LABELS).read_text())
    assert truth["spoils"] == labels and len(truth["films"]) == 2
    first = []
    for number in range(2):
        reader = cv2.VideoCapture(str(tmp_path / f"candidate_{number:02d}.mp4"))
        found, frame = reader.read()
        assert found and frame.shape == (480, 854, 3)
        assert int(reader.get(cv2.CAP_PROP_FRAME_COUNT)) == rendered_videos.FRAMES
        first.append(frame.astype(float))
    assert np.abs(first[0] - first[1]).mean() < 4.0  # the same view, apart from the grain
    stamp = (tmp_path / "candidate_00.mp4").stat().st_mtime_ns
    assert rendered_videos.render_videos("insert", 1003, 2, 1, tmp_path) == labels
    assert (tmp_path / "candidate_00.mp4").stat().st_mtime_ns == stamp
