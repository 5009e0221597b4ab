"""What every lifter owes: accurate where it accepts, silent where it cannot see."""

import cv2
import numpy as np
import pytest
from ray_scene import (
    Item,
    camera_pose,
    degrade,
    flow_error,
    make_scene,
    render_motion,
    rigid_motion,
)

import novaflow_lifting
from novaflow_core.errors import Code, PlatformError, TrackingError
from novaflow_core.registry import backend_names, load_backend
from novaflow_core.video import Video
from novaflow_flowgen.core.lift import ALL_VISIBLE, MIN_SUPPORT
from novaflow_flowgen.core.lift_checks import LiftLimits
from novaflow_flowgen.core.protocols import LiftRequest
from novaflow_flowgen.core.settings import FlowgenSettings

BOX = {"size": (0.03, 0.04, 0.05), "at": (0.0, 0.0), "yaw": 0.5, "seed": 1}
CAN = {"size": (0.04, 0.04, 0.05), "at": (0.0, 0.0), "is_round": True, "seed": 2}
MOVES = {
    "across": rigid_motion((0, 0.2, 0), 0.0, (0, 0, 0.05)),
    "turned": rigid_motion((0, 0.05, 0.03), np.radians(60), (0, 0, 0.05)),
}
HARM = {
    "clean": {},
    "jpeg": {"jpeg": 40, "dim": 0.2},
    "noise": {"noise": 6.0},
    "hidden": {"occlude": (205, 216)},
}
REMOTE = {"tapip3d"}  # need servers: test_model_lifters.py
FLAT = {"ray_plane"}  # what lies on the support: test_rope_lifting.py
LOCAL = sorted(set(backend_names("tracks")) - REMOTE - FLAT)
CASES = [
    ("across", BOX, "clean"), ("across", CAN, "jpeg"), ("across", BOX, "noise"),
    ("turned", BOX, "jpeg"), ("turned", CAN, "noise"), ("across", BOX, "hidden"),
]  # fmt: skip


@pytest.fixture(scope="module")
def films():
    """Scenes and clean videos, rendered once for all lifters."""
    out = {}
    for move, item, _ in CASES:
        key = (move, item["seed"])
        if key not in out:
            items = [Item(**item), Item((0.03, 0.03, 0.04), (-0.15, -0.12), seed=5)]
            scene, grounding = make_scene(items, depth_noise=0.002, seed=3)
            out[key] = (scene, grounding, render_motion(items, MOVES[move]))
    return out


def lift(name, scene, grounding, video, should_stop=lambda: False, settings=None):
    lifter = load_backend("tracks", name)(settings or FlowgenSettings())
    request = LiftRequest(
        video, scene.main, grounding.mask(grounding.target), grounding.support, "it", "base"
    )
    return lifter.lift(request, lambda _: None, should_stop)


@pytest.mark.parametrize("name", LOCAL)
@pytest.mark.parametrize(("move", "item", "harm"), CASES)
def test_no_accepted_flow_is_far_off_and_clean_ones_are_accepted(films, name, move, item, harm):
    if name == "dis" and (move, harm) != ("across", "clean"):
        pytest.skip("dense flow is slow: one case is enough for the contract")
    scene, grounding, film = films[move, item["seed"]]
    video = degrade(film, **HARM[harm])
    try:
        result = lift(name, scene, grounding, video)
    except TrackingError as error:
        assert harm != "clean", f"a clean film was refused: {error}"
        assert error.code // 100 == 3
        return
    error_m = flow_error(result.flow, MOVES[move])
    assert error_m.max() < 0.05
    if harm == "clean":
        assert error_m[-1] < 0.010
    flow = result.flow
    assert flow.points.shape[0] == 41
    assert flow.frame_id == "base"
    assert flow.stamp_ns == scene.main.stamp_ns
    assert {"inlier_ratio_min", "share_kept", "reprojection_px", "background_motion_px"} <= set(
        result.stats
    )


@pytest.mark.parametrize("move", ["across", "turned"])
def test_a_thing_that_stays_as_it_is_is_not_taken_for_stretched(films, move):
    scene, grounding, film = films[move, 1]
    for harm in HARM.values():
        assert lift("klt", scene, grounding, degrade(film, **harm)).stats["stretch"] < 0.01


@pytest.mark.parametrize("longer", [0.85, 1.12])
def test_a_thing_that_gets_longer_on_its_way_is_noticed(films, longer):
    """What is lifted is one rigid motion, so that nothing else would show it."""
    scene, grounding, film = films["across", 1]
    target = grounding.mask(grounding.target).astype(np.uint8)
    empty = render_motion([Item((0.03, 0.03, 0.04), (-0.15, -0.12), seed=5)], np.eye(4)[None])
    middle = np.nonzero(target)[1].mean()
    frames = [film.frames[0]]
    for share in np.linspace(0, 1, 41)[1:]:
        factor = 1 + share * (longer - 1)
        shape = np.array([[factor, 0.0, (1 - factor) * middle + 40 * share], [0.0, 1.0, 0.0]])
        size = target.shape[::-1]
        moved = cv2.warpAffine(film.frames[0], shape, size, flags=cv2.INTER_CUBIC)
        there = cv2.warpAffine(target, shape, size, flags=cv2.INTER_NEAREST)
        frames.append(np.where(there[..., None] > 0, moved, empty.frames[0]))
    result = lift("klt", scene, grounding, Video(np.stack(frames), 16.0))
    assert 0.03 < result.stats["stretch"] < 0.15


@pytest.mark.parametrize("name", LOCAL)
def test_a_textureless_round_thing_is_refused(name):
    items = [Item(**{**CAN, "contrast": 0.0})]
    scene, grounding = make_scene(items, depth_noise=0.002)
    film = render_motion(items, rigid_motion((0.1, -0.1, 0.05), -0.7, (0, 0, 0.05)))
    with pytest.raises(TrackingError):
        lift(name, scene, grounding, film)


@pytest.mark.parametrize("name", LOCAL)
def test_what_vanishes_jumps_or_is_too_small_is_refused(films, name):
    scene, grounding, film = films["across", 1]
    still = film.frames.copy()
    still[20:] = film.frames[:1]
    with pytest.raises(TrackingError):  # jumps back by half its way
        lift(name, scene, grounding, Video(still, 16.0))
    gone = film.frames.copy()
    gone[20:] = np.uint8(128)
    with pytest.raises(TrackingError):
        lift(name, scene, grounding, Video(gone, 16.0))
    tiny = np.zeros_like(grounding.labels[0])
    tiny[100:104, 100:104] = grounding.target.label
    labels = type(grounding)(
        grounding.scene_id, grounding.task, grounding.support, (tiny,), grounding.objects
    )
    with pytest.raises(TrackingError) as error:
        lift(name, scene, labels, film)
    assert error.value.code is Code.TRACKS_TOO_FEW


class Watched:
    """A film that is read in order, and counts how far."""

    def __init__(self, video):
        self.fps, self.steps = video.fps, len(video.frames)
        self.height, self.width = video.frames.shape[1:3]
        self.read, self._video = 0, video

    def grays(self):
        for frame in self._video.frames:
            self.read += 1
            yield cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)

    def colors(self):
        return self._video.frames


@pytest.mark.parametrize(
    ("item", "at", "shift", "yaw", "end_m"),
    [
        (BOX, (0.06, 0.03, 0.06), (-0.12, 0.1, 0.0), 35, 0.004),
        (CAN, (0.0, 0.0, 0.1), (-0.2, 0.06, 0.05), 40, 0.008),
    ],
)
def test_what_carries_the_thing_at_another_depth_does_not_pull_its_pose_away(
    item, at, shift, yaw, end_m
):
    pose = camera_pose((0.5, 0.07, 0.4), (0.0, 0.0, 0.05))
    thing = Item(**item)
    hand = Item((0.012, 0.02, 0.025), at[:2], bottom=at[2], seed=9, colour=(160, 125, 90))
    motions = rigid_motion(shift, np.radians(yaw), (0, 0, 0.05))
    scene, grounding = make_scene([thing], depth_noise=0.002, seed=3, pose=pose)
    carried = render_motion([thing, hand], motions, pose=pose, moving=(0, 1))
    frames = np.concatenate([scene.main.color[None], carried.frames[1:]])
    error = flow_error(lift("klt", scene, grounding, Video(frames, carried.fps)).flow, motions)
    assert np.median(error) < 0.003
    assert error[-1] < end_m


@pytest.mark.parametrize("name", LOCAL)
def test_a_film_is_not_read_beyond_what_spoils_it(films, name):
    scene, grounding, film = films["across", 1]
    frames = film.frames.copy()
    frames[6:] = frames[-1]
    watched = Watched(Video(frames, 16.0))
    with pytest.raises(TrackingError, match="frame 7 of 41"):
        lift(name, scene, grounding, watched)
    assert watched.read == 7 + LiftLimits().max_hidden_frames


def hidden(film, frames):
    """The film with a board before everything in some frames."""
    out = film.frames.copy()
    out[frames] = np.uint8(90)
    return Video(out, film.fps)


@pytest.mark.parametrize("item", [BOX, CAN])
@pytest.mark.parametrize("track_filter", [ALL_VISIBLE, MIN_SUPPORT])
def test_a_hidden_moment_is_bridged_and_its_points_count_as_unseen(films, item, track_filter):
    scene, grounding, film = films["turned", item["seed"]]
    settings = FlowgenSettings(track_filter=track_filter)
    flow = lift("klt", scene, grounding, hidden(film, slice(18, 23)), settings=settings).flow
    assert not flow.visible[18:23].any()
    assert flow.visible[[17, 23]].any(axis=1).all()
    assert flow_error(flow, MOVES["turned"]).max() < 0.02


@pytest.mark.parametrize("frames", [slice(18, 30), slice(36, 41)])
def test_what_is_hidden_for_long_or_to_the_end_is_refused(films, frames):
    scene, grounding, film = films["across", 1]
    with pytest.raises(TrackingError, match=f"frame {frames.start + 1} of 41"):
        lift("klt", scene, grounding, hidden(film, frames))


@pytest.mark.parametrize("name", LOCAL)
def test_a_kernel_that_is_not_built_is_told_before_anything_is_lifted(name, monkeypatch, tmp_path):
    monkeypatch.setenv("NOVAFLOW_LIFTING_LIBRARY", str(tmp_path / "nothing.so"))
    novaflow_lifting.library.load.cache_clear()
    try:
        with pytest.raises(PlatformError, match=r"\./novaflow setup") as told:
            load_backend("tracks", name)(FlowgenSettings())
    finally:
        novaflow_lifting.library.load.cache_clear()
    assert told.value.code is Code.UNAVAILABLE


def test_films_read_in_order_and_from_memory_give_the_same_flow(films):
    scene, grounding, film = films["across", 1]
    flows = [lift("klt", scene, grounding, v).flow for v in (film, Watched(film))]
    assert (flows[0].points == flows[1].points).all()


@pytest.mark.parametrize("roll", [0.0, 0.06])
def test_a_camera_that_moves_or_rolls_is_told_from_an_object_that_does(films, roll):
    scene, grounding, film = films["across", 1]
    height, width = film.frames.shape[1:3]
    middle = (width / 2, height / 2)
    frames = []
    for step, frame in enumerate(film.frames):
        share = step / (len(film.frames) - 1)
        shake = cv2.getRotationMatrix2D(middle, float(np.degrees(roll * share)), 1.0)
        shake[:, 2] += [0.0 if roll else -40.0 * share, 0.0]
        frames.append(
            cv2.warpAffine(frame, shake, (width, height), borderMode=cv2.BORDER_REPLICATE)
        )
    moved = lift_or_code(scene, grounding, Video(np.stack(frames), film.fps))
    assert moved == Code.LIFT_UNCERTAIN or moved["background_motion_px"] > 4.0
    still = lift_or_code(scene, grounding, film)
    assert still["background_motion_px"] < 1.0


def lift_or_code(scene, grounding, video):
    """Statistics of a lift, or the code of its refusal."""
    try:
        return lift("klt", scene, grounding, video).stats
    except TrackingError as error:
        return error.code


@pytest.mark.parametrize("name", LOCAL)
def test_it_stops_when_told(films, name):
    scene, grounding, film = films["across", 1]
    with pytest.raises(PlatformError) as error:
        lift(name, scene, grounding, film, should_stop=lambda: True)
    assert error.value.code is Code.CANCELLED
