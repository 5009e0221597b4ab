"""Lifting by `tapip3d` with the target's pixels in every frame: what they take out and refuse."""

from __future__ import annotations

import numpy as np
import pytest
from known_pixels import FollowsColour
from ray_scene import Item, camera_pose, make_scene, render_motion, rigid_motion
from small_models import UNIT, Served, depth_of, track

from novaflow_core import se3
from novaflow_core.errors import Code, NovaflowError, PlatformError, ShapeError, TrackingError
from novaflow_core.registry import load_backend
from novaflow_flowgen.backends.tapip3d import Tapip3dLifter
from novaflow_flowgen.core.lift import ALL_VISIBLE
from novaflow_flowgen.core.protocols import LiftRequest
from novaflow_flowgen.core.settings import FlowgenSettings
from novaflow_flowgen.serving.client import ModelClient

MOVE = rigid_motion((0, 0.16, 0.02), np.radians(20), (0, 0, 0.05))
SLIPS_AT = 10  # of 41 frames


def items():
    return [Item((0.03, 0.04, 0.05), (0.0, 0.0), yaw=0.5, seed=1, colour=(200.0, 40.0, 40.0))]


@pytest.fixture(scope="module")
def film():
    scene, grounding = make_scene(items(), depth_noise=0.002, seed=3)
    return scene, grounding, render_motion(items(), MOVE)


@pytest.fixture(scope="module")
def depth():
    return depth_of(items(), MOVE)


@pytest.fixture
def served(depth):
    """Return a function that starts both models; all servers end with the test."""
    running = []

    def start(tracker, way=None):
        poses = np.tile(camera_pose(), (len(depth), 1, 1)) if way is None else way
        still = {"depth": depth, "T_world_camera": poses}
        running.append(Served({"megasam": lambda _: still, "tapip3d": tracker}))
        return running[-1]

    yield start
    for server in running:
        server.close()


def slipping(arrays):
    """A third of the tracks stay behind, on the table, when the object moves on."""
    found = track(arrays)
    points, lost = found["points"].copy(), slice(None, None, 3)
    matrix = arrays["intrinsics"]
    at = points[SLIPS_AT, lost] @ matrix.T
    u, v = np.rint(at[:, :2] / at[:, 2:]).astype(int).T
    for step in range(SLIPS_AT, len(points)):
        rays = np.stack([u, v, np.ones_like(u)], -1) @ np.linalg.inv(matrix).T
        points[step, lost] = rays * arrays["depth"][step, v, u][:, None]
    return {"points": points, "visible": np.ones(points.shape[:2], bool)}


def lift(film, url, follower=None, should_stop=lambda: False, on_progress=lambda _: None, **more):
    """Lift with a follower that the test made, or with the one that the parameters name."""
    scene, grounding, video = film
    settings = FlowgenSettings(tracks="tapip3d", depth_url=url, tracks_url=url, **more)
    if follower is None:
        lifter = load_backend("tracks", "tapip3d")(settings)
    else:
        depth = load_backend("depth", settings.depth)(settings)
        lifter = Tapip3dLifter(depth, ModelClient(url, "tapip3d", settings), settings, follower)
    request = LiftRequest(
        video, scene.main, grounding.mask(grounding.target), grounding.support, "it", "base"
    )
    return lifter.lift(request, on_progress, should_stop)


def error_m(flow):
    """Distance (T, K) [m] of every point from the truth."""
    truth = np.einsum("tij,kj->tki", MOVE[:, :3, :3], flow.points[0]) + MOVE[:, None, :3, 3]
    return np.linalg.norm(flow.points - truth, axis=-1)


def test_a_track_that_slips_to_the_table_is_taken_out(film, served):
    server = served(slipping)
    trusting = lift(film, server.url, track_filter=ALL_VISIBLE)
    masked = lift(film, server.url, FollowsColour(), track_filter=ALL_VISIBLE)
    assert trusting.stats["share_kept"] == 1.0
    assert masked.stats["share_kept"] == pytest.approx(2 / 3, abs=0.05)
    # Seen before they slip, and while the object still stands behind the place.
    assert 2 / 3 < masked.stats["mask_kept_share"] < 0.9
    assert error_m(trusting.flow).max() > 0.1
    assert error_m(masked.flow).max() < 0.05  # the small tracker's own, at the rim


def test_tracks_on_the_object_stay(film, served):
    server = served(track)
    trusting = lift(film, server.url)
    masked = lift(film, server.url, FollowsColour())
    assert masked.stats["mask_first_iou"] > 0.9
    assert masked.stats["mask_kept_share"] > 0.97
    assert masked.stats["share_kept"] == pytest.approx(trusting.stats["share_kept"], abs=0.03)


def test_without_masks_nothing_tells_of_them(film, served):
    result = lift(film, served(track).url)
    assert not [name for name in result.stats if name.startswith("mask")]


def test_masks_are_of_the_frames_wherever_the_camera_went(film, served):
    way = np.tile(camera_pose(), (41, 1, 1))
    way[:, :3, 3] += np.linspace(0, 0.1, 41)[:, None] * way[0, :3, 0] / UNIT

    def tracked(arrays):
        """Sees the still film, and believes that the camera moved."""
        still = np.tile(np.eye(4), (41, 1, 1))
        seen = track({**arrays, "T_first_camera": still})["points"]
        moved = [se3.apply(T, p) for T, p in zip(arrays["T_first_camera"], seen, strict=True)]
        return {"points": np.stack(moved), "visible": np.ones(seen.shape[:2], bool)}

    result = lift(film, served(tracked, way).url, FollowsColour())
    assert result.stats["mask_kept_share"] > 0.97


def test_a_mask_that_begins_beside_the_target_is_refused_before_anything_costs(film, served):
    _, grounding, _ = film
    mask = grounding.mask(grounding.target)

    class Beside(FollowsColour):
        def follow(self, frames, mask, on_progress, should_stop):
            return np.roll(super().follow(frames, mask, on_progress, should_stop), 40, axis=2)

    server = served(track)
    with pytest.raises(TrackingError) as error:
        lift(film, server.url, Beside())
    shift = np.roll(mask, 40, axis=1)
    iou = (mask & shift).sum() / (mask | shift).sum()
    assert error.value.code is Code.LIFT_UNCERTAIN
    assert error.value.evidence["mask_first_iou"] == pytest.approx(iou, abs=0.05)
    assert f"{error.value.evidence['mask_first_iou']:.2f}" in error.value.reason
    assert server.asked == []


def test_a_mask_that_ends_leaves_too_few_tracks(film, served):
    with pytest.raises(TrackingError) as error:
        lift(film, served(track).url, FollowsColour(hides=20))
    assert error.value.code is Code.TRACKS_TOO_FEW
    assert "frame 21 of 41" in error.value.reason
    assert error.value.evidence["mask_kept_share"] == pytest.approx(0.5, abs=0.05)


def test_masks_of_another_video_are_refused(film, served):
    class Shorter(FollowsColour):
        def follow(self, frames, mask, on_progress, should_stop):
            return super().follow(frames[:-1], mask, on_progress, should_stop)

    with pytest.raises(ShapeError):
        lift(film, served(track).url, Shorter())


def test_it_stops_between_frames_and_asks_no_server(film, served):
    server, shares = served(track), []
    with pytest.raises(PlatformError) as error:
        lift(film, server.url, FollowsColour(), lambda: len(shares) >= 3, shares.append)
    assert error.value.code is Code.CANCELLED
    assert shares == pytest.approx([0.2 * n / 41 for n in (1, 2, 3)])
    assert server.asked == []


def test_progress_never_falls(film, served):
    shares = []
    lift(film, served(track).url, FollowsColour(), on_progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_sam2_is_loaded_by_name_and_asked(film, served, tiny_sam2):
    """With random weights nothing can be said of its later masks; the first is the target."""
    try:
        told = lift(film, served(track).url, masks="sam2", **tiny_sam2).stats
    except NovaflowError as error:
        told = error.evidence
    assert told["mask_first_iou"] > 0.5
    assert 0.0 <= told["mask_kept_share"] <= 1.0
