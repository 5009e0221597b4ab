"""The backends `grounded_sam2` and, of the stage masks, `sam2`: their models, tiny and random.

And what is made of their answers.
"""

from __future__ import annotations

import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from known_colours import KnowsColours, PixelsUnlikeTheTable
from rendering import Solid, scene_of

from novaflow_core.errors import Code, PerceptionError, PlatformError
from novaflow_core.grounding import Role
from novaflow_core.registry import load_backend
from novaflow_perception.backends.grounded_sam2 import GroundedSam2Grounder
from novaflow_perception.backends.grounding_dino import GroundingDino
from novaflow_perception.backends.sam2 import Sam2
from novaflow_perception.core.boxes import Detection, GroundedSam2Settings, distinct
from novaflow_perception.core.instruction import parse

RED, GREEN, BLUE = (170, 30, 30), (40, 140, 50), (30, 40, 170)
SOLIDS = [
    Solid((-0.13, 0.0), (0.07, 0.05, 0.06), RED, yaw=0.5),
    Solid((0.13, 0.02), (0.08, 0.06, 0.09), BLUE, yaw=-0.4),
    Solid((0.0, 0.14), (0, 0, 0.09), GREEN, radius=0.04, wall=0.004),
]
NAMES = {RED: "red box", BLUE: "blue box", GREEN: "green cup"}


@pytest.fixture(scope="module")
def shown():
    """Scene and index image."""
    return scene_of(SOLIDS, noise_m=0.0015)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    pytest.importorskip("transformers", reason="./novaflow setup --with torch is wanted")
    """Parameters that name models of random weights."""
    from tiny_grounding import save_tiny_dino, save_tiny_sam2

    folder = tmp_path_factory.mktemp("models")
    save_tiny_dino(folder / "dino")
    save_tiny_sam2(folder / "sam2")
    return {
        "dino_model": str(folder / "dino"), "sam2_model": str(folder / "sam2"),
        "grounding_device": "cpu",
    }  # fmt: skip


@pytest.fixture(scope="module")
def sam2(tiny):
    return Sam2(GroundedSam2Settings(**tiny))


# --- the models -----------------------------------------------------------------------------------
def test_boxes_lie_in_the_image_and_above_the_thresholds(tiny, shown):
    image = shown[0].main.color
    every = GroundingDino(GroundedSam2Settings(**tiny, box_threshold=0, text_threshold=0)).detect(
        image, "red box"
    )
    usual = GroundingDino(GroundedSam2Settings(**tiny)).detect(image, "red box")
    assert len(every.boxes) > len(usual.boxes) > 0
    assert every.best_score == every.boxes[0].score == usual.boxes[0].score
    scores = [one.score for one in usual.boxes]
    assert scores == sorted(scores, reverse=True) and scores[-1] > 0.25
    for one in every.boxes:
        assert (one.box[2:] > one.box[:2]).all()
        assert one.box.min() >= 0 and (one.box[2:] <= image.shape[1::-1]).all()


def test_a_box_without_a_word_above_its_threshold_does_not_count(tiny, shown):
    strict = GroundedSam2Settings(**tiny, box_threshold=0.25, text_threshold=1.0)
    found = GroundingDino(strict).detect(shown[0].main.color, "red box")
    assert found.boxes == ()
    assert found.best_score > 0.25


def test_masks_are_of_the_image_and_depend_on_their_box(sam2, shown):
    boxes = np.array([[100.0, 100, 300, 300], [400, 300, 440, 340]])
    masks = sam2.segment(shown[0].main.color, boxes)
    assert masks.shape == (2, 480, 640) and masks.dtype == bool
    assert (masks[0] != masks[1]).any()


def masks_settings(tiny, **parameters):
    """As flowgen_node names them."""
    return SimpleNamespace(**{"sam2_model": tiny["sam2_model"], "sam2_device": "cpu", **parameters})


@pytest.fixture(scope="module")
def clip():
    """Frames of a box that moves, and its mask in the first."""
    shown = [scene_of([Solid((x, 0.0), (0.14, 0.1, 0.12), RED)]) for x in np.linspace(-0.13, 0, 6)]
    return np.stack([scene.main.color for scene, _ in shown]), shown[0][1] == 1


def test_the_pixels_of_a_grounded_object_are_followed_through_a_clip(tiny, clip):
    frames, mask = clip
    backend = load_backend("masks", "sam2")(masks_settings(tiny))
    masks = backend.follow(frames, mask)
    assert masks.shape == frames.shape[:3] and masks.dtype == bool
    assert (masks[0] & mask).sum() > 0.7 * (masks[0] | mask).sum()
    assert (masks == backend.follow(frames, mask)).all()
    other = backend.follow(frames, np.roll(mask, 200, axis=1))
    assert (other[1:] != masks[1:]).any()
    changed = frames.copy()
    changed[3:] = frames[3:, ::-1]
    again = backend.follow(changed, mask)
    assert (again[:3] == masks[:3]).all()
    assert (again[3:] != masks[3:]).any(axis=(1, 2)).all()


def test_videos_take_turns_and_who_waits_can_be_cancelled(tiny, clip):
    frames, mask = clip
    backend = load_backend("masks", "sam2")(masks_settings(tiny))
    begun, go_on = threading.Event(), threading.Event()

    def hold(_):
        begun.set()
        go_on.wait(30.0)

    first = threading.Thread(target=backend.follow, args=(frames, mask, hold))
    first.start()
    assert begun.wait(60.0)
    seen = []
    with pytest.raises(PlatformError) as error:
        backend.follow(frames, mask, seen.append, lambda: True)
    go_on.set()
    first.join()
    assert error.value.code is Code.CANCELLED
    assert seen == []


def test_both_models_ground_a_scene(tiny, shown):
    settings = GroundedSam2Settings(**tiny, box_threshold=0, text_threshold=0, box_alike=1.0)
    grounding = load_backend("grounding", "grounded_sam2")(settings).ground(
        shown[0], parse("lift the red box")
    )
    target = grounding.target
    assert target.score == GroundingDino(settings).detect(
        shown[0].main.color, "red box"
    ).boxes[0].score  # fmt: skip
    assert grounding.mask(target).any()
    assert grounding.support.normal @ [0, 0, 1] > 0.999
    assert np.isfinite(target.corners).all()


def test_a_model_that_is_not_here_is_named(tiny, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    for name in ("some-maker/some-model", str(tmp_path)):
        for parameter, kind in (("dino_model", GroundingDino), ("sam2_model", Sam2)):
            with pytest.raises(PlatformError) as error:
                kind(GroundedSam2Settings(**{**tiny, parameter: name}))
            assert error.value.code is Code.UNAVAILABLE
            assert f"{parameter}: '{name}'" in error.value.reason
        with pytest.raises(PlatformError) as error:
            load_backend("masks", "sam2")(masks_settings(tiny, sam2_model=name))
        assert error.value.code is Code.UNAVAILABLE
        assert f"sam2_model: '{name}'" in error.value.reason


@pytest.mark.parametrize(
    ("device", "code"), [("tpu", Code.INVALID_SETTING), ("cuda:77", Code.UNAVAILABLE)]
)
def test_a_device_that_is_not_there(tiny, device, code):
    with pytest.raises(PlatformError) as error:
        load_backend("grounding", "grounded_sam2")(
            GroundedSam2Settings(**{**tiny, "grounding_device": device})
        )
    assert error.value.code is code
    assert f"grounding_device is '{device}'" in error.value.reason
    with pytest.raises(PlatformError) as error:
        load_backend("masks", "sam2")(masks_settings(tiny, sam2_device=device))
    assert error.value.code is code
    assert f"sam2_device is '{device}'" in error.value.reason


@pytest.mark.parametrize("library", ["torch", "transformers"])
@pytest.mark.parametrize(("stage", "name"), [("grounding", "grounded_sam2"), ("masks", "sam2")])
def test_without_its_libraries_it_names_the_command(monkeypatch, library, stage, name):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(PlatformError) as error:
        load_backend(stage, name)(None)
    assert error.value.code is Code.UNAVAILABLE
    assert f"'{name}'" in error.value.reason
    assert "./novaflow setup --with torch" in error.value.reason


# --- what is made of their answers ----------------------------------------------------------------
class Scored(KnowsColours):
    """The same with a score for each hue."""

    def __init__(self, names, scores):
        super().__init__(names)
        self._scores = scores

    def detect(self, image, words):
        found = super().detect(image, words)
        boxes = []
        for one in found.boxes:
            left, top, right, bottom = one.box.astype(int)
            rgb = image[(top + bottom) // 2, (left + right) // 2]
            boxes.append(Detection(one.box, self._scores[int(rgb.argmax())]))
        return type(found)(tuple(boxes), found.best_score)


def grounded(detector, scene, text, **parameters):
    backend = GroundedSam2Grounder(
        detector, PixelsUnlikeTheTable(), GroundedSam2Settings(**parameters)
    )
    return backend.ground(scene, parse(text))


def test_the_model_is_asked_for_colour_and_kind_alone(shown):
    detector = KnowsColours(NAMES)
    grounded(detector, shown[0], "put the red box on the left next to the green cup")
    assert sorted(detector.asked) == ["green cup", "red box"]


def test_the_clearly_better_box_is_taken(shown):
    scores = {0: 0.7, 1: 0.1, 2: 0.5}
    grounding = grounded(Scored(NAMES, scores), shown[0], "lift the box")
    assert (shown[1][grounding.mask(grounding.target)] == 1).mean() > 0.9
    assert grounding.target.score == 0.7


def test_scores_that_are_nearly_equal_are_a_question(shown):
    with pytest.raises(PerceptionError) as error:
        grounded(Scored(NAMES, {0: 0.7, 1: 0.1, 2: 0.65}), shown[0], "lift the box")
    assert error.value.code is Code.AMBIGUOUS_TARGET
    assert "(a) score 0.70" in error.value.reason and "(b) score 0.65" in error.value.reason
    left, right = error.value.evidence["choices"]
    assert left[0] < right[0]


def test_no_box_is_told_with_the_best_score(shown):
    with pytest.raises(PerceptionError) as error:
        grounded(KnowsColours(NAMES), shown[0], "lift the yellow box")
    assert error.value.code is Code.TARGET_NOT_FOUND
    assert "0.10" in error.value.reason and "0.25" in error.value.reason
    assert error.value.evidence["best_score"] == 0.1


def test_what_no_box_names_is_found_by_geometry(shown):
    grounding = grounded(KnowsColours({RED: "red box"}), shown[0], "lift the red box")
    others = [item for item in grounding.objects if item.role is Role.OTHER]
    seen = {int(np.bincount(shown[1][grounding.mask(item)]).argmax()) for item in others}
    assert seen == {2, 3}


def test_what_has_no_depth_cannot_be_grounded(shown):
    scene, index = scene_of(SOLIDS, noise_m=0.0015)
    scene.main.depth[index == 1] = np.nan
    with pytest.raises(PerceptionError) as error:
        grounded(KnowsColours(NAMES), scene, "lift the red box")
    assert error.value.code is Code.DEPTH_INVALID


def test_boxes_that_lie_on_each_other_are_one():
    boxes = [
        Detection(np.array(box, float), score)
        for box, score in (((0, 0, 10, 10), 0.5), ((0, 0, 10, 9), 0.6), ((20, 0, 30, 10), 0.4))
    ]
    assert [one.score for one in distinct(boxes)] == [0.6, 0.4]
