"""Videos by another renderer: a hand, the thing where it belongs, and what is wrong with some."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from novaflow_core.errors import PlatformError
from novaflow_core.se3 import from_rt, inverse
from novaflow_sim.backends import rendered_videos
from novaflow_sim.backends.cell import Cell
from novaflow_sim.core import mug_tree, objects
from novaflow_sim.core.filmed_motion import SPOILS, film
from novaflow_sim.core.scoring import score
from novaflow_sim.core.task_endings import grip_of, manner_of, wanted_end

START = from_rt(np.eye(3), [0.5, 0.1, 0.0])
END = from_rt(np.eye(3), [0.5, -0.1, 0.005])
GRIP = np.array([0.0, 0.0, 0.11])


def test_an_honest_film_begins_and_ends_where_it_should_and_keeps_away_between() -> None:
    for seed in range(20):
        found = film("cup", START, END, GRIP, 37, np.random.default_rng(seed))
        assert np.allclose(found.poses[0], START, atol=1e-9)
        assert np.allclose(found.poses[-1], END, atol=1e-3)
        assert found.poses[:, 2, 3].max() > 0.09
        assert np.linalg.norm(np.diff(found.poses[:, :3, 3], axis=0), axis=1).max() < 0.08
        assert np.linalg.norm(found.hand[0] - START[:3, 3]) > 0.5


@pytest.mark.parametrize("spoil", [kind for kind in SPOILS if kind != "other_object"])
def test_a_spoiled_film_is_not_an_honest_one(spoil: str) -> None:
    found = film("cup", START, END, GRIP, 37, np.random.default_rng(1), spoil)
    jump = np.linalg.norm(np.diff(found.poses[:, :3, 3], axis=0), axis=1).max()
    assert jump > 0.15 or np.linalg.norm(found.poses[-1][:3, 3] - END[:3, 3]) > 0.05


@pytest.mark.parametrize("task", list(objects.TASKS))
def test_a_film_of_every_task_ends_as_the_scorer_wants_it(task: str) -> None:
    before = Cell(task, 1003).truth()
    poses, moves = before.poses, objects.TASKS[task].moves
    end, manner = wanted_end(task, poses), manner_of(task, poses)
    grip = grip_of(task, poses)
    found = film(moves, poses[moves], end, grip, 37, np.random.default_rng(1), manner=manner)
    assert np.allclose(found.poses[0], poses[moves], atol=1e-9)
    assert np.allclose(found.poses[-1], end, atol=1e-3)
    away = np.linalg.norm(found.hand - found.poses[:, :3, 3], axis=1)
    assert away[0] > 0.5 and (away[-1] < 0.2) == objects.TASKS[task].ends_held
    told = score(task, replace(before, poses={**poses, moves: found.poses[-1]}))
    where = {
        "cup": told.numbers.get("offset_m", 1.0) < 0.002,
        "insert": told.numbers.get("offset_m", 1.0) < 0.002,
        "mug": "the peg does not go through the handle" not in told.failed,
        "drawer": told.numbers.get("opened_m", 0.0) > 0.10,
        "plant": told.numbers.get("pour_deg", 0.0) > 30.0,
    }
    assert where[task], told


def test_a_mug_goes_onto_the_peg_along_it() -> None:
    poses = Cell("mug", 1003).truth().poses
    end, manner = wanted_end("mug", poses), manner_of("mug", poses)
    start, grip = poses["mug"], grip_of("mug", poses)
    found = film("mug", start, end, grip, 37, np.random.default_rng(2), manner=manner)
    to_tree = [inverse(pose) @ poses["mug_tree"] for pose in found.poses]
    through = [mug_tree.threaded(T)[0] for T in to_tree]
    assert through[-1] and not through[0]
    late = found.poses[through.index(True) :, :3, 3] - end[:3, 3]
    way = np.array(manner.enters_m) / np.linalg.norm(manner.enters_m)
    assert np.linalg.norm(late - np.outer(late @ way, way), axis=1).max() < 1e-3


def test_a_task_that_cannot_be_filmed_is_named() -> None:
    with pytest.raises(PlatformError, match="tea"):
        wanted_end("tea", {})


def test_a_drawer_is_filmed_on_its_slide(tmp_path: Path) -> None:
    assert rendered_videos.render_videos("drawer", 1003, 1, 0, tmp_path) == [""]
    reader = cv2.VideoCapture(str(tmp_path / "candidate_00.mp4"))
    frames = [reader.read()[1].astype(float) for _ in range(rendered_videos.FRAMES)]
    assert (np.abs(frames[-1] - frames[0]).max(axis=-1) > 40).sum() > 300


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
