"""The wrappers around MoGe, TAPIP3D and MegaSaM, in a server process of their own.

Upstream's code is a stand-in that keeps its conventions; clients, backends and server are the real
ones. The camera moves where the models are told how, so that a pose the wrong way round lifts a
wrong flow.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from ray_scene import MODEL, Item, camera_pose, make_scene, render, rigid_motion

from novaflow_core import se3
from novaflow_core.camera import CameraModel
from novaflow_core.errors import Code, TrackingError
from novaflow_core.grounding import Grounding
from novaflow_core.registry import load_backend
from novaflow_core.scene import Scene
from novaflow_core.video import Video
from novaflow_flowgen.core.protocols import LiftRequest
from novaflow_flowgen.core.settings import FlowgenSettings
from novaflow_flowgen.serving import contract
from novaflow_flowgen.serving.client import ModelClient

STAND_INS = Path(__file__).parents[1] / "stand_ins"
MOVE = rigid_motion((0, 0.16, 0.02), np.radians(20), (0, 0, 0.05))
WIDE = CameraModel(424, 240, 380.0, 380.0, 211.5, 119.5)
WRAPPERS = "novaflow_flowgen.serving.models"
WEIGHTS = (
    "checkpoints/megasam_final.pth",
    "Depth-Anything/checkpoints/depth_anything_vitl14.pth",
    "cvd_opt/raft-things.pth",
)


@dataclass(frozen=True)
class Film:
    """A thing that moves, and maybe the camera."""

    scene: Scene
    grounding: Grounding
    frames: np.ndarray
    depth: np.ndarray
    poses: np.ndarray

    @property
    def model(self):
        return self.scene.main.model

    @property
    def request(self):
        mask = self.grounding.mask(self.grounding.target)
        video = Video(self.frames, 16.0)
        return LiftRequest(video, self.scene.main, mask, self.grounding.support, "it", "base")


def cut(film, steps):
    parts = (part[:steps] for part in (film.frames, film.depth, film.poses))
    return Film(film.scene, film.grounding, *parts)


def make_film(way, steps=41, model=MODEL):
    """Frames, depth and poses while the camera goes a way (3,) [m]."""
    item = Item((0.03, 0.04, 0.05), (0.0, 0.0), yaw=0.5, seed=1)
    poses = [
        camera_pose(np.array([0.75, 0.1, 0.55]) + share * np.array(way))
        for share in np.linspace(0, 1, steps)
    ]
    scene, grounding = make_scene([item], depth_noise=0.002, seed=3, model=model, pose=poses[0])
    start, seen = item.T_world_item.copy(), []
    for motion, pose in zip(MOVE, poses, strict=False):
        item.T_world_item = motion @ start
        seen.append(render([item], pose, model, samples=1)[:2])
    frames, depth = (np.stack(part) for part in zip(*seen, strict=True))
    return Film(scene, grounding, frames, depth, np.stack(poses))


@pytest.fixture(scope="module")
def moving():
    return make_film((-0.1, 0.15, 0.03))


@pytest.fixture(scope="module")
def still():
    return make_film((0.0, 0.0, 0.0))


@pytest.fixture
def serve(tmp_path):
    """Return a function that starts a server of models for a film; all end with the test."""
    running = []

    def start(film, *arguments, **variables):
        truth = tmp_path / "truth.npz"
        np.savez(
            truth, frames=film.frames, depth=film.depth, T_world_camera=film.poses,
            intrinsics=film.model.matrix,
        )  # fmt: skip
        (tmp_path / "scratch").mkdir()
        process = subprocess.Popen(
            command(*arguments, "--port", "0"),
            env=environment(truth, TMPDIR=str(tmp_path / "scratch"), **variables),
            cwd=tmp_path, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        running.append(process)
        line = process.stdout.readline()
        assert line.startswith("serving "), line
        return line.split()[-1]

    start.processes = running
    yield start
    for process in running:
        process.terminate()
        process.wait(20.0)
        process.stdout.close()


def command(*arguments):
    return [sys.executable, "-m", "novaflow_flowgen.serving.server", *arguments]


def environment(truth="", gpu=True, **variables):
    """As in a model's own environment: the stand-ins are found first, and told the truth."""
    path = [str(STAND_INS / "python"), str(STAND_INS / "moge"), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([*path, *sys.path]),
        "NOVAFLOW_STAND_IN_TRUTH": str(truth),
        "NOVAFLOW_STAND_IN_GPU": "1" if gpu else "0",
        **variables,
    }


def moge(**options):
    return served_as("moge", "make_moge", options)


def tapip3d(folder, **options):
    """Arguments for TAPIP3D's wrapper; its weights are put into a folder."""
    weights = folder / "tapip3d_final.pth"
    weights.write_bytes(b"weights")
    options = {"checkout": STAND_INS / "tapip3d", "weights": weights, **options}
    return served_as("tapip3d", "make_tapip3d", options)


def megasam(folder, *, is_copy=False, without="", **options):
    """Arguments for MegaSaM's wrapper; a whole checkout is put into a folder, but for one file."""
    checkout = folder / "mega-sam"
    shutil.copytree(STAND_INS / "megasam", checkout)
    for path in WEIGHTS:
        (checkout / path).parent.mkdir(exist_ok=True)
        (checkout / path).write_bytes(Path(path).name.encode())
    for name in ("kornia", "torch_scatter", "lietorch", "droid_backends"):
        (folder / f"{name}.py").touch()  # the server's working folder
    if is_copy:
        (checkout / "inference.py").touch()
    if without:
        next(p for p in (checkout / without, folder / without) if p.exists()).unlink()
    return served_as("megasam", "make_megasam", {"checkout": checkout, **options})


def served_as(name, factory, options):
    words = ["--model", f"{name}={WRAPPERS}.{name}:{factory}"]
    for option, value in options.items():
        words += ["--option", f"{name}.{option}={value}"]
    return words


def settings(url, **parameters):
    return FlowgenSettings(
        depth_url=url, tracks_url=url, model_backoff_s=0.01,
        **{"model_timeout_s": 120.0, "model_retries": 0, **parameters},
    )  # fmt: skip


def lift(film, url, **parameters):
    lifter = load_backend("tracks", "tapip3d")(settings(url, **parameters))
    return lifter.lift(film.request, lambda _: None, lambda: False)


def error_m(flow):
    """Median distance (T,) [m] from the truth."""
    truth = np.einsum("tij,kj->tki", MOVE[:, :3, :3], flow.points[0]) + MOVE[:, None, :3, 3]
    return np.median(np.linalg.norm(flow.points - truth, axis=-1), axis=1)


def depth_of(film, url, backend, **parameters):
    estimator = load_backend("depth", backend)(settings(url, **parameters))
    return estimator.estimate(film.frames, film.model, lambda _: None, lambda: False)


def left_behind(tmp_path):
    """What lies in the servers' folder for temporary files."""
    return list((tmp_path / "scratch").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("is_copy", [False, True])
def test_megasam_and_tapip3d_lift_while_the_camera_moves(moving, serve, tmp_path, is_copy):
    url = serve(moving, *megasam(tmp_path, is_copy=is_copy), *tapip3d(tmp_path))
    result = lift(moving, url, depth="megasam")
    assert error_m(result.flow).max() < 0.010
    assert result.stats["share_kept"] > 0.5
    assert left_behind(tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_moge_and_tapip3d_lift_while_the_camera_stands(still, serve, tmp_path, device):
    url = serve(still, *moge(device=device), *tapip3d(tmp_path, device=device))
    result = lift(still, url, depth="moge")
    assert error_m(result.flow).max() < 0.012
    assert result.stats["depth_drift"] < 0.02


@pytest.mark.slow
@pytest.mark.parametrize("is_copy", [False, True])
def test_megasam_gives_depth_and_poses_in_one_unit(serve, tmp_path, is_copy):
    """At a size of images of which the original cuts the last rows and columns off."""
    film = make_film((-0.1, 0.15, 0.03), steps=8, model=WIDE)
    depth = depth_of(film, serve(film, *megasam(tmp_path, is_copy=is_copy)), "megasam")
    known = np.isfinite(depth.depth)
    reached = (240, 424) if is_copy else (236, 420)
    assert not known[:, :2].any()  # what MegaSaM clips is no number
    assert known[:, 3 : reached[0], : reached[1]].all()
    assert not known[:, reached[0] :].any()
    assert not known[:, :, reached[1] :].any()
    unit = np.nanmedian(depth.depth / film.depth)
    off = abs(depth.depth / unit / film.depth - 1.0)
    off = off[:, 3 : reached[0], : reached[1]]
    assert np.median(off, axis=(0, 2)).max() < 0.002
    real = se3.inverse(film.poses[0]) @ film.poses
    np.testing.assert_allclose(depth.T_first_camera[:, :3, 3] / unit, real[:, :3, 3], atol=2e-3)
    np.testing.assert_allclose(depth.T_first_camera[:, :3, :3], real[:, :3, :3], atol=1e-6)


def test_moge_masks_with_nan(still, serve):
    film = cut(still, 2)
    depth = depth_of(film, serve(still, *moge(device="cpu")), "moge").depth
    assert np.isnan(depth[:, :20]).all()
    np.testing.assert_allclose(depth[:, 20:], 1.1 * film.depth[:, 20:], rtol=1e-4)


def ask_tracks(film, url, steps, count=40, **changed):
    """Ask for points on the thing, straight from a client; returns the truth as well."""
    v, u = np.nonzero(film.grounding.mask(film.grounding.target))
    chosen = np.linspace(0, len(u) - 1, count + 2).astype(int)[1:-1]
    pixels = np.stack([u[chosen], v[chosen]], -1).astype(float)
    poses = se3.inverse(film.poses[0]) @ film.poses
    queries = MODEL.lift_pixels(pixels, film.depth[0, v[chosen], u[chosen]])
    arrays = {
        "frames": film.frames[:steps], "depth": film.depth[:steps], "intrinsics": MODEL.matrix,
        "T_first_camera": poses[:steps], "iterations": np.array(6), "queries": queries,
    }  # fmt: skip
    answer = ModelClient(url, "tapip3d", settings(url)).ask({**arrays, **changed}, lambda: False)
    motion = se3.inverse(film.poses[0]) @ MOVE[:steps] @ film.poses[0]
    return answer, np.stack([se3.apply(step, queries) for step in motion])


@pytest.mark.parametrize(("steps", "count"), [(5, 40), (16, 40), (20, 1)])
def test_tapip3d_answers_in_the_first_cameras_frame(moving, serve, tmp_path, steps, count):
    """Also for videos shorter than its window, and for one point."""
    answer, truth = ask_tracks(moving, serve(moving, *tapip3d(tmp_path)), steps, count)
    assert answer["points"].shape == (steps, count, 3)
    assert answer["visible"].shape == (steps, count)
    assert answer["visible"].mean() > 0.7
    off = np.linalg.norm(answer["points"] - truth, axis=-1)
    assert np.median(off, axis=1).max() < 0.005


def test_tapip3d_takes_depth_with_holes_and_refuses_none_at_all(moving, serve, tmp_path):
    url = serve(moving, *tapip3d(tmp_path))
    holes = moving.depth[:5].copy()
    holes[:, :40], holes[:, :, :20] = np.nan, np.inf
    answer, _ = ask_tracks(moving, url, 5, depth=holes)
    assert answer["visible"][0].all()
    holes[3] = np.nan
    with pytest.raises(TrackingError) as error:
        ask_tracks(moving, url, 5, depth=holes)
    assert error.value.code == Code.MODEL_REJECTED  # not asked again: it would be the same
    assert "no pixel of step 3 has a depth" in error.value.reason


def test_requests_of_another_form_are_refused(moving, serve, tmp_path):
    url = serve(moving, *tapip3d(tmp_path))
    for changed, words in (
        ({"depth": moving.depth[:4]}, "'depth' is float32 (4, 360, 480), not numbers of (5,"),
        ({"frames": moving.frames[:5].astype(float)}, "'frames' is float64, not uint8"),
        ({"queries": np.zeros((0, 3))}, "'queries'"),
        ({"intrinsics": np.zeros((3, 3))}, "no pinhole camera's"),
    ):
        with pytest.raises(TrackingError) as error:
            ask_tracks(moving, url, 5, **changed)
        assert error.value.code == Code.MODEL_REJECTED
        assert words in error.value.reason


@pytest.mark.slow
def test_a_script_that_fails_is_named_with_its_last_word(moving, serve, tmp_path):
    url = serve(moving, *megasam(tmp_path), NOVAFLOW_STAND_IN_TROUBLE="fails")
    with pytest.raises(TrackingError) as error:
        depth_of(cut(moving, 8), url, "megasam")
    assert error.value.code == Code.MODEL_UNAVAILABLE
    assert "test_demo.py ended with 1: RuntimeError: CUDA out of memory" in error.value.reason
    assert left_behind(tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("ends_by", ["caller", "server"])
def test_a_script_ends_with_those_who_wait_for_it(moving, serve, tmp_path, ends_by):
    told = tmp_path / "its_id"
    url = serve(moving, *megasam(tmp_path), NOVAFLOW_STAND_IN_TROUBLE=str(told))
    connection = http.client.HTTPConnection(url.removeprefix("http://"))
    body = contract.pack({"frames": moving.frames[:8], "intrinsics": MODEL.matrix})
    connection.request("POST", "/models/megasam", body, {contract.VERSION_HEADER: "1"})
    wait_for(lambda: told.exists() and told.read_text())
    process = int(told.read_text())
    assert runs(process)
    assert len(left_behind(tmp_path)) == 1
    if ends_by == "caller":
        connection.close()
    else:
        serve.processes[-1].terminate()
    wait_for(lambda: not runs(process) and not left_behind(tmp_path))
    connection.close()


@pytest.mark.slow
def test_megasam_ends_at_its_limit(moving, serve, tmp_path):
    told = tmp_path / "its_id"
    arguments = megasam(tmp_path, limit_s=4.0)
    url = serve(moving, *arguments, NOVAFLOW_STAND_IN_TROUBLE=str(told))
    with pytest.raises(TrackingError, match="was not done in time") as error:
        depth_of(cut(moving, 8), url, "megasam")
    assert error.value.code == Code.MODEL_UNAVAILABLE
    assert left_behind(tmp_path) == []
    assert not (told.exists() and runs(int(told.read_text())))


def wait_for(done, timeout_s=60.0):
    end = time.monotonic() + timeout_s
    while not done():
        assert time.monotonic() < end
        time.sleep(0.05)


def runs(process):
    with contextlib.suppress(OSError):
        return "Z" not in Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    return False


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (lambda _: moge(), "finds no GPU for the device 'cuda'"),
        (lambda _: moge(device="cpu", weights="nobody/nothing"), "404: nobody/nothing"),
        (lambda _: moge(device="cpu", weight="x"), "no option 'weight'; there are: weights, dev"),
        (lambda _: moge(device="cpu", resolution_level="high"), "resolution_level=high is no int"),
        (lambda _: moge(device="cpu", dtype="int8"), "int8"),
        (lambda _: served_as("tapip3d", "make_tapip3d", {}), "needs --option tapip3d.checkout="),
        (lambda at: tapip3d(at, checkout=at), "no checkout of https://github.com/zbw001/TAPIP3D"),
        (lambda at: tapip3d(at, weights=at / "none.pth"), "get it from https://huggingface.co"),
        (lambda at: tapip3d(at, device="cpu", weights=__file__), "invalid magic number"),
        (megasam, "finds no GPU"),
        (lambda at: megasam(at, without=WEIGHTS[2]), "raft-things.pth is missing; get it from"),
        (lambda at: megasam(at, without="base/droid_slam/droid.py"), "git submodule update"),
        (lambda at: megasam(at, without="cvd_opt/cvd_opt.py"), "cvd_opt.py is missing"),
    ],
)  # fmt: skip
def test_what_is_missing_is_said_before_anyone_is_served(tmp_path, arguments, words):
    done = subprocess.run(
        command(*arguments(tmp_path), "--port", "0"), env=environment(gpu=False), cwd=tmp_path,
        capture_output=True, text=True, check=False, timeout=60.0,
    )  # fmt: skip
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_extension_is_named(tmp_path):
    arguments = megasam(tmp_path, without="droid_backends.py")
    done = subprocess.run(
        command(*arguments), env=environment(), cwd=tmp_path,
        capture_output=True, text=True, check=False, timeout=60.0,
    )  # fmt: skip
    assert "error: droid_backends missing in the environment of" in done.stderr


def test_the_servers_need_numpy_alone(tmp_path):
    words = (
        "import sys\n"
        "before = set(sys.modules)\n"
        "import novaflow_flowgen.serving.server\n"
        f"from {WRAPPERS} import megasam, moge, tapip3d\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(*sorted(new - sys.stdlib_module_names))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", words], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert set(done.stdout.split()) == {"novaflow_flowgen", "numpy"}
