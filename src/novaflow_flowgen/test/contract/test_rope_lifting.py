"""Lifting what bends and lies on the support: where its rays meet the plane."""

import cv2
import numpy as np
import pytest
from ray_scene import Item, degrade, make_scene, render_motion, rigid_motion
from rope_scene import MODEL, RopeFilm

from novaflow_core import se3
from novaflow_core.errors import Code, PlatformError, ShapeError, TrackingError
from novaflow_core.flow import MotionKind
from novaflow_core.registry import load_backend
from novaflow_core.video import Video
from novaflow_flowgen.core.protocols import LiftRequest
from novaflow_flowgen.core.settings import FlowgenSettings

# Bend [rad], place [m] and turn [rad] of the first and the last curve.
WAYS = {
    "straightened": ((1.2, (0.0, 0.0), 0.3), (0.3, (-0.05, 0.05), 0.0)),
    "bent": ((0.2, (-0.04, -0.03), 0.1), (1.0, (-0.02, 0.02), -0.3)),
}


@pytest.fixture(scope="module")
def films():
    """Each way's film and its frames, drawn once."""
    out = {}
    for name, ways in WAYS.items():
        film = RopeFilm(ways)
        out[name] = film, film.video()
    return out


def lift(film, video, should_stop=lambda: False, settings=None, progress=None):
    scene, grounding = film.scene()
    lifter = load_backend("tracks", "ray_plane")(settings or FlowgenSettings())
    request = LiftRequest(
        video, scene.main, grounding.mask(grounding.target), grounding.support, "it", "base"
    )
    report = (lambda _: None) if progress is None else progress.append
    return lifter.lift(request, report, should_stop)


def behind_a_bar(film, video, step):
    """Frames in which a bar hides the rope's middle from a step on, and the bar's row."""
    frames = video.frames.copy()
    _, _, mask = film.look(0)
    v = int(np.nonzero(mask)[0].mean())
    frames[step:, v - 20 : v + 20] = (150, 120, 110)
    return frames, v


@pytest.mark.parametrize("way", list(WAYS))
@pytest.mark.parametrize("harm", [{}, {"noise": 6.0}, {"jpeg": 50, "dim": 0.15}])
def test_each_bit_of_rope_goes_where_it_is_seen_to_go(films, way, harm):
    film, video = films[way]
    progress = []
    result = lift(film, degrade(video, **harm), progress=progress)
    flow = result.flow
    assert flow.kind is MotionKind.DEFORMABLE
    assert (flow.steps, flow.frame_id, flow.label, flow.stamp_ns) == (41, "base", "it", 1)
    assert flow.dt_s == pytest.approx(1 / 16)
    error = np.where(flow.visible, film.error(flow.points), np.nan)
    assert np.nanmedian(error[-1]) < 0.003
    assert np.nanpercentile(error[-1], 90) < 0.010
    assert flow.visible.mean() > 0.8
    assert np.isnan(flow.points[~flow.visible]).all()
    height = flow.points[..., 2][flow.visible]
    assert height.min() >= 0.0
    assert height.max() < 0.012  # it is 7 mm high
    moved = np.linalg.norm(flow.points[-1] - flow.points[0], axis=1)
    assert np.nanmedian(moved) > 0.03
    assert result.stats["share_kept"] > 0.8
    assert result.stats["background_motion_px"] < 2.0
    assert progress[-1] == 1.0
    assert progress == sorted(progress)


def test_a_rope_without_any_pattern_is_refused_or_right(films):
    """Along itself nothing tells how far it has moved."""
    film = RopeFilm(WAYS["straightened"], contrast=0.0)
    try:
        flow = lift(film, film.video()).flow
    except TrackingError:
        return
    assert np.nanmedian(film.error(flow.points)[-1]) < 0.01


def test_what_a_hand_hides_is_not_followed_and_the_rest_is(films):
    film, video = films["bent"]
    frames, v = behind_a_bar(film, video, 12)
    result = lift(film, Video(frames, 16.0))
    flow = result.flow
    assert 0.4 < result.stats["share_kept"] < 0.97
    assert np.nanpercentile(film.error(flow.points)[-1], 90) < 0.006
    bar = np.zeros(frames.shape[1:3], bool)
    bar[v - 16 : v + 16] = True
    at = MODEL.project(se3.apply(se3.inverse(film.pose), flow.points[-1]))
    seen = np.isfinite(at).all(axis=1)
    assert not bar[tuple(np.rint(at[seen]).astype(int).T[::-1])].any()
    with pytest.raises(TrackingError, match="still followed"):
        hidden = frames.copy()
        hidden[12:] = (150, 120, 110)
        lift(film, Video(hidden, 16.0))


def test_what_leaps_or_a_camera_that_moves_is_refused(films):
    film, video = films["straightened"]
    leaps = video.frames.copy()
    leaps[20:] = np.roll(video.frames[:1], 160, axis=2)
    with pytest.raises(TrackingError) as told:
        lift(film, Video(leaps, 16.0))
    assert told.value.code in {Code.TRACKS_TOO_FEW, Code.LIFT_DIVERGED}
    assert "in frame" in told.value.reason
    slid = [
        cv2.warpAffine(f, np.array([[1.0, 0, 1.5 * n], [0, 1, 0]]), (MODEL.width, MODEL.height))
        for n, f in enumerate(video.frames)
    ]
    with pytest.raises(TrackingError, match="the camera moves") as told:
        lift(film, Video(np.stack(slid), 16.0))
    assert told.value.code is Code.LIFT_UNCERTAIN


def test_what_stands_up_is_refused_with_the_backend_that_lifts_it():
    items = [Item((0.03, 0.04, 0.05), (0.0, 0.0), seed=1)]
    scene, grounding = make_scene(items, depth_noise=0.002, seed=3)
    video = render_motion(items, rigid_motion((0, 0.05, 0), 0.0, (0, 0, 0.05), steps=3))
    request = LiftRequest(video, scene.main, grounding.mask(grounding.target), grounding.support)
    with pytest.raises(TrackingError, match=r"mm high, .* tracks:=klt") as told:
        load_backend("tracks", "ray_plane")(FlowgenSettings()).lift(
            request, lambda _: None, lambda: False
        )
    assert told.value.code is Code.LIFT_UNCERTAIN


def test_it_can_be_stopped_and_refuses_videos_of_another_size(films):
    film, video = films["bent"]
    with pytest.raises(PlatformError) as told:
        lift(film, video, should_stop=lambda: True)
    assert told.value.code is Code.CANCELLED
    with pytest.raises(ShapeError, match="480x270"):
        lift(film, Video(video.frames[:, ::2, ::2], 16.0))


def test_masks_are_not_for_it():
    with pytest.raises(PlatformError, match="ray_plane") as told:
        load_backend("tracks", "ray_plane")(FlowgenSettings(masks="sam2"))
    assert told.value.code is Code.INVALID_SETTING


def test_all_visible_keeps_fewer_points(films):
    film, video = films["bent"]
    frames, _ = behind_a_bar(film, video, 30)
    most, all_seen = (
        lift(film, Video(frames, 16.0), settings=FlowgenSettings(track_filter=kind)).flow
        for kind in ("min_support", "all_visible")
    )
    assert all_seen.point_count < most.point_count
    assert all_seen.visible.all()
