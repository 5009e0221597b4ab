"""What every backend of the stage `masks` owes, and a follower by colour that tests lift with."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from known_pixels import FollowsColour
from ray_scene import Item, make_scene, render_motion, rigid_motion

from novaflow_core.errors import Code, PlatformError
from novaflow_core.registry import backend_names, load_backend
from novaflow_flowgen.core.settings import FlowgenSettings
from novaflow_flowgen.core.video_masks import MIN_FIRST_IOU, first_overlap

BY_COLOUR = "by colour"
RED, GREEN = (200.0, 40.0, 40.0), (40.0, 170.0, 60.0)


@pytest.fixture(params=[*sorted({"sam2", *backend_names("masks")}), BY_COLOUR])
def follower(request):
    if request.param == BY_COLOUR:
        return FollowsColour()
    assert request.param == "sam2", f"how is '{request.param}' made small?"
    tiny = request.getfixturevalue("tiny_sam2")
    return load_backend("masks", "sam2")(FlowgenSettings(masks="sam2", **tiny))


@pytest.fixture(scope="module")
def film():
    """Frames of a red box that moves past a green one, and the mask of each in the first."""
    items = [
        Item((0.05, 0.06, 0.08), (0.0, -0.1), seed=1, contrast=0.5, colour=RED),
        Item((0.05, 0.06, 0.08), (0.0, 0.15), seed=2, contrast=0.5, colour=GREEN),
    ]
    _, grounding = make_scene(items)
    video = render_motion(items, rigid_motion((0.08, 0.05, 0), 0.2, (0, 0, 0), steps=6))
    return video.frames, [np.asarray(grounding.mask(one), bool) for one in grounding.objects]


def follow(follower, frames, mask, on_progress=lambda _: None, should_stop=lambda: False):
    return follower.follow(frames, mask, on_progress, should_stop)


def test_there_is_a_mask_for_every_frame_and_the_first_is_the_target(follower, film):
    frames, targets = film
    found = [follow(follower, frames, mask) for mask in targets]
    for masks, mask, other in zip(found, targets, targets[::-1], strict=True):
        assert masks.shape == frames.shape[:3] and masks.dtype == bool
        assert first_overlap(masks, mask) > MIN_FIRST_IOU
        assert not (masks[0] & other).sum() > 0.1 * other.sum()


def test_the_same_again_is_the_same(follower, film):
    frames, (mask, _) = film
    before = frames.copy()
    assert (follow(follower, frames, mask) == follow(follower, frames, mask)).all()
    assert (frames == before).all()


def test_progress_rises_to_the_end(follower, film):
    shares = []
    follow(follower, film[0], film[1][0], shares.append)
    assert shares == pytest.approx(np.arange(1, 7) / 6)


@pytest.mark.parametrize("after", [0, 2])
def test_it_stops_between_frames(follower, film, after):
    shares = []
    with pytest.raises(PlatformError) as error:
        follow(follower, film[0], film[1][0], shares.append, lambda: len(shares) >= after)
    assert error.value.code is Code.CANCELLED
    assert len(shares) == after


def test_nothing_to_follow_is_found_nowhere(follower, film):
    frames, (mask, _) = film
    assert not follow(follower, frames, np.zeros_like(mask)).any()


# --- settings -------------------------------------------------------------------------------------
@pytest.mark.parametrize("tracks", ["klt", "dis"])
def test_lifters_that_judge_by_themselves_refuse_masks(tracks):
    with pytest.raises(PlatformError) as error:
        load_backend("tracks", tracks)(FlowgenSettings(tracks=tracks, masks="sam2"))
    assert error.value.code is Code.INVALID_SETTING
    assert f"masks is 'sam2', but tracks:={tracks}" in error.value.reason


def test_an_unknown_backend_is_named_with_those_that_exist():
    with pytest.raises(PlatformError) as error:
        load_backend("tracks", "tapip3d")(FlowgenSettings(tracks="tapip3d", masks="telepathy"))
    assert error.value.code is Code.UNKNOWN_BACKEND
    assert "'telepathy'" in error.value.reason and "sam2" in error.value.reason


def test_without_its_libraries_it_names_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(PlatformError) as error:
        load_backend("tracks", "tapip3d")(FlowgenSettings(tracks="tapip3d", masks="sam2"))
    assert error.value.code is Code.UNAVAILABLE
    assert "'sam2'" in error.value.reason and "./novaflow setup --with torch" in error.value.reason


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("sam2_device", "tpu", Code.INVALID_SETTING),
        ("sam2_device", "cuda:77", Code.UNAVAILABLE),
        ("sam2_model", "some-maker/some-model", Code.UNAVAILABLE),
    ],
)
def test_what_is_not_there_is_named(tiny_sam2, name, value, code):
    settings = FlowgenSettings(tracks="tapip3d", masks="sam2", **{**tiny_sam2, name: value})
    with pytest.raises(PlatformError) as error:
        load_backend("tracks", "tapip3d")(settings)
    assert error.value.code is code
    assert name in error.value.reason and value in error.value.reason


def test_without_masks_neither_torch_nor_the_other_package_is_imported():
    said = subprocess.run(
        [sys.executable, "-c", """
import sys
from novaflow_core.registry import load_backend
from novaflow_flowgen.core.settings import FlowgenSettings
for tracks in ("klt", "dis", "tapip3d"):
    load_backend("tracks", tracks)(FlowgenSettings(tracks=tracks))
print(sorted({"torch", "transformers", "novaflow_perception"} & set(sys.modules)))
"""],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert said.strip() == "[]"
