"""Lifting by models on servers: what they are asked, what comes of it, and every way it fails."""

from __future__ import annotations

import numpy as np
import pytest
from ray_scene import Item, camera_pose, make_scene, render_motion, rigid_motion
from small_models import UNIT, Served, depth_of, track

from novaflow_core.errors import Code, NovaflowError, PlatformError, TrackingError
from novaflow_core.registry import load_backend
from novaflow_core.video import Video
from novaflow_flowgen.core.protocols import LiftRequest
from novaflow_flowgen.core.settings import FlowgenSettings

MOVE = rigid_motion((0, 0.16, 0.02), np.radians(20), (0, 0, 0.05))


def items():
    return [Item((0.03, 0.04, 0.05), (0.0, 0.0), yaw=0.5, seed=1)]


@pytest.fixture(scope="module")
def film():
    scene, grounding = make_scene(items(), depth_noise=0.002, seed=3)
    return scene, grounding, render_motion(items(), MOVE)


@pytest.fixture(scope="module")
def depth():
    return depth_of(items(), MOVE)


@pytest.fixture
def served():
    """Return a function that starts a server; all end with the test."""
    running = []

    def start(models, **keywords):
        running.append(Served(models, **keywords))
        return running[-1]

    yield start
    for server in running:
        server.close()


def megasam(depth, poses=None):
    poses = np.tile(camera_pose(), (len(depth), 1, 1)) if poses is None else poses
    return lambda arrays: {"depth": depth, "T_world_camera": poses}


def moge(depth):
    """Frame by frame, in the order in which they are asked for."""
    frames = iter(depth)
    return lambda arrays: {"depth": next(frames)}


def lift(film, url, should_stop=lambda: False, video=None, **parameters):
    scene, grounding, own = film
    settings = FlowgenSettings(
        depth_url=url, tracks_url=url, model_backoff_s=0.01, model_timeout_s=30.0, **parameters
    )
    request = LiftRequest(
        video or own, scene.main, grounding.mask(grounding.target), grounding.support, "it", "base"
    )
    return load_backend("tracks", "tapip3d")(settings).lift(request, lambda _: None, should_stop)


def error_m(flow):
    """Median distance (T,) [m] from the truth; the small tracker drifts at the rim."""
    truth = np.einsum("tij,kj->tki", MOVE[:, :3, :3], flow.points[0]) + MOVE[:, None, :3, 3]
    return np.median(np.linalg.norm(flow.points - truth, axis=-1), axis=1)


def refusal(*arguments, **keywords):
    with pytest.raises(NovaflowError) as error:
        lift(*arguments, **keywords)
    return error.value


def test_whole_videos_are_lifted_in_metres(film, depth, served):
    server = served({"megasam": megasam(depth), "tapip3d": track})
    result = lift(film, server.url)
    assert error_m(result.flow)[0] == pytest.approx(0.0, abs=1e-6)
    assert error_m(result.flow).max() < 0.010
    assert result.flow.points.shape[0] == 41
    assert result.flow.frame_id == "base"
    assert result.stats["depth_factor"] == pytest.approx(UNIT, rel=0.01)
    assert result.stats["start_offset_m"] < 0.01
    assert 0.5 < result.stats["share_kept"] <= 1.0
    names = [name for name, _ in server.asked]
    assert names == ["megasam", "tapip3d"]
    told = server.asked[1][1]
    assert told["iterations"] == 6
    assert told["frames"].shape == film[2].frames.shape
    assert 12 <= len(told["queries"]) <= 32 * 32


@pytest.mark.parametrize("scale", ["image", "object"])
def test_frames_are_lifted_one_by_one(film, depth, served, scale):
    server = served({"moge": moge(depth), "tapip3d": track})
    result = lift(film, server.url, depth="moge", depth_scale=scale)
    assert error_m(result.flow).max() < 0.012
    assert [name for name, _ in server.asked] == ["moge"] * 41 + ["tapip3d"]
    assert 0.0005 < result.stats["depth_flicker"] < 0.01
    assert result.stats["depth_drift"] < 0.02


def test_depth_that_drifts_is_refused_with_numbers(film, served):
    server = served({"moge": moge(depth_of(items(), MOVE, drift=0.4)), "tapip3d": track})
    error = refusal(film, server.url, depth="moge")
    assert error.code == Code.DEPTH_UNRELIABLE
    assert error.evidence["depth_drift"] > 0.3


def test_a_camera_that_moves_is_taken_out_where_the_model_knows_it(film, depth, served):
    way = np.tile(camera_pose(), (41, 1, 1))
    way[:, :3, 3] += np.linspace(0, 0.1, 41)[:, None] * way[0, :3, 0] / UNIT

    def tracked(arrays):
        """Sees the still film, and believes that the camera moved."""
        moved = arrays["T_first_camera"][:, :3, 3]
        seen = track({**arrays, "T_first_camera": np.tile(np.eye(4), (41, 1, 1))})
        return {**seen, "points": seen["points"] + moved[:, None]}

    moving = served({"megasam": megasam(depth, way), "tapip3d": tracked})
    still = served({"megasam": megasam(depth), "tapip3d": track})
    ends = [np.median(lift(film, s.url).flow.points[-1], axis=0) for s in (moving, still)]
    assert np.linalg.norm(ends[0] - ends[1]) == pytest.approx(0.1, abs=0.005)


def test_what_jumps_or_vanishes_is_refused(film, depth, served):
    own = film[2]
    server = served({"megasam": megasam(depth), "tapip3d": track})
    jumps = own.frames.copy()
    jumps[20:] = own.frames[:1]
    gone = own.frames.copy()
    gone[20:] = 128
    for frames in (jumps, gone):
        with pytest.raises(TrackingError) as error:
            lift(film, server.url, video=Video(frames, 16.0))
        assert error.value.code in (
            Code.TRACKS_TOO_FEW, Code.LIFT_DIVERGED, Code.LIFT_LOW_INLIERS,
        )  # fmt: skip


def test_too_small_a_thing_is_refused_before_anything_costs(film, depth, served):
    scene, grounding, own = film
    server = served({"megasam": megasam(depth), "tapip3d": track})
    mask = np.zeros_like(grounding.labels[0], bool)
    mask[100:103, 100:103] = True
    lifter = load_backend("tracks", "tapip3d")(
        FlowgenSettings(depth_url=server.url, tracks_url=server.url)
    )
    with pytest.raises(TrackingError) as error:
        lifter.lift(
            LiftRequest(own, scene.main, mask, grounding.support), lambda _: None, lambda: False
        )
    assert error.value.code == Code.TRACKS_TOO_FEW
    assert server.asked == []


def test_it_stops_when_told(film, depth, served):
    server = served({"megasam": megasam(depth), "tapip3d": track})
    error = refusal(film, server.url, should_stop=lambda: True)
    assert isinstance(error, PlatformError)
    assert error.code == Code.CANCELLED


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"depth": np.zeros((3, 3), np.float32)}, "'depth'"),
        ({"T_world_camera": np.zeros((41, 4, 4))}, "'depth'"),
        ({"depth": np.zeros((41, 240, 320), "U3")}, "'depth'"),
    ],
)
def test_answers_of_another_form_are_nonsense(film, served, answer, words):
    server = served({"megasam": lambda _: answer, "tapip3d": track})
    error = refusal(film, server.url)
    assert error.code == Code.MODEL_NONSENSE
    assert words in error.reason


def test_a_model_that_fails_is_told_in_its_own_words(film, served):
    def broken(arrays):
        raise RuntimeError("out of memory: 12 GB wanted")

    error = refusal(film, served({"megasam": broken}).url, model_retries=0)
    assert error.code == Code.MODEL_UNAVAILABLE
    assert "out of memory: 12 GB wanted" in error.reason


def test_an_unknown_model_is_refused_with_those_that_are_there(film, served):
    error = refusal(film, served({"other": track}).url)
    assert error.code == Code.MODEL_REJECTED
    assert "here are: other" in error.reason


def test_no_server_is_said_with_its_address(film, served):
    server = served({"megasam": track})
    url = server.url
    server.close()
    error = refusal(film, url, model_retries=1)
    assert error.code == Code.MODEL_UNAVAILABLE
    assert url.removeprefix("http://") in error.reason
    assert "2 attempts" in error.reason
