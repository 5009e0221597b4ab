"""The backend `wan` on tiny models of its architecture: what it asks for, makes, and refuses."""

from __future__ import annotations

import sys
import threading
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from ray_scene import Item, make_scene

from novaflow_core.camera import CameraModel
from novaflow_core.errors import Code, PlatformError, VideoError
from novaflow_core.registry import load_backend
from novaflow_core.scene import RgbdView, Scene
from novaflow_flowgen.core.pool import CandidatePool, PoolRequest
from novaflow_flowgen.core.protocols import LiftResult, VideoRequest
from novaflow_flowgen.core.settings import FlowgenSettings

pytest.importorskip("diffusers", reason="./novaflow setup --with torch is wanted")


@pytest.fixture(scope="module")
def request_for_video():
    return VideoRequest(*make_scene([Item((0.03, 0.04, 0.05), (0.0, 0.0), seed=1)]), seed=4)


@pytest.fixture
def wan(tiny_wan):
    """Return a function that makes the backend in front of the tiny models."""

    def make(**parameters):
        return load_backend("video", "wan")(FlowgenSettings(**{**tiny_wan, **parameters}))

    return make


def generate(backend, request, on_progress=lambda _: None, should_stop=lambda: False):
    return backend.generate(request, on_progress, should_stop)


def goal_image(grey):
    return np.full((720, 960, 3), grey, np.uint8)  # of another camera's size


def test_a_view_becomes_41_frames_of_its_size(wan, request_for_video):
    steps = []
    video = generate(wan(wan_steps=3), request_for_video, steps.append)
    assert video.frames.shape == (41, *request_for_video.scene.main.color.shape)
    assert video.fps == 16.0
    assert video.frames.std() > 1
    assert steps == pytest.approx([0.3, 0.6, 0.9, 1.0])


def test_view_and_goal_image_become_41_frames_between_them(wan, request_for_video):
    backend = wan()
    dark, light = (
        generate(backend, replace(request_for_video, goal_image=goal_image(grey)))
        for grey in (20, 230)
    )
    assert dark.frames.shape == (41, *request_for_video.scene.main.color.shape)
    assert (dark.frames != light.frames).any()  # the goal image was read
    assert len(generate(backend, request_for_video).frames) == 41  # and back to the other model


def test_candidates_have_seeds_of_their_own_that_repeat(wan, request_for_video):
    backend = wan()
    first, other, again = (
        generate(backend, replace(request_for_video, candidate=i)).frames for i in (0, 1, 0)
    )
    assert (first == again).all()
    assert (first != other).any()


def test_as_many_frames_as_are_asked_for(wan, request_for_video):
    video = generate(wan(), replace(request_for_video, steps=10))  # the model makes 4 n + 1
    assert len(video.frames) == 10
    assert video.fps == pytest.approx(16 * 9 / 12)


@pytest.fixture
def asked(monkeypatch):
    """What the pipeline is called with; it gives a clip of the size that it is asked for."""
    from diffusers import WanImageToVideoPipeline

    calls = []

    def call(self, **words):
        calls.append(SimpleNamespace(**words, scheduler=self.scheduler))
        rows = np.linspace(0, 1, words["height"], dtype=np.float32)[:, None, None]
        clip = np.broadcast_to(rows, (words["num_frames"], words["height"], words["width"], 3))
        return SimpleNamespace(frames=[clip])

    monkeypatch.setattr(WanImageToVideoPipeline, "__call__", call)
    return calls


def test_what_the_model_is_asked_for(wan, tiny_wan, request_for_video, asked):
    defaults = FlowgenSettings()
    size = {"wan_width": defaults.wan_width, "wan_height": defaults.wan_height}
    told = replace(request_for_video, prompt="The box rises. Static camera.")
    video = generate(wan(wan_steps=defaults.wan_steps, **size), told)
    (call,) = asked
    assert (call.num_frames, call.width, call.height) == (41, 1280, 720)
    assert (call.num_inference_steps, call.guidance_scale) == (40, 5.0)
    assert type(call.scheduler).__name__ == "UniPCMultistepScheduler"
    assert call.scheduler.config.flow_shift == 5.0
    assert call.prompt == "The box rises. Static camera."
    assert call.last_image is None
    first = np.asarray(call.image)
    assert first.shape == (720, 1280, 3)
    assert first[:, 170:1110].any(axis=(0, 2)).all()  # the view of 4:3 in the middle of 16:9
    assert not first[:, :155].any() and not first[:, 1125:].any()
    # Row v of the view is row v of what was generated, scaled; nothing of the bars is left.
    height = video.frames.shape[1]
    assert video.frames[20, :, 5, 0] == pytest.approx(np.linspace(0, 255, height), abs=2)


def test_a_tall_view_gets_a_tall_clip(wan, request_for_video, asked):
    size = (160, 90)
    view = RgbdView(
        "camera", "optical", 1, np.full((*size, 3), 99, np.uint8), np.ones(size, np.float32),
        CameraModel(90, 160, 100.0, 100.0, 44.5, 79.5), np.eye(4),
    )  # fmt: skip
    tall = replace(request_for_video, scene=Scene("tall", "base", (view,)), goal_image=None)
    video = generate(wan(wan_width=128, wan_height=64), tall)
    assert (asked[0].width, asked[0].height) == (64, 128)
    assert video.frames.shape == (41, 160, 90, 3)


def test_it_stops_between_two_steps_and_goes_on_afterwards(wan, request_for_video):
    backend, steps = wan(wan_steps=5), []
    with pytest.raises(PlatformError) as error:
        generate(backend, request_for_video, steps.append, lambda: len(steps) == 2)
    assert error.value.code is Code.CANCELLED
    assert len(steps) == 2
    assert len(generate(backend, request_for_video).frames) == 41


def test_who_waits_for_its_turn_stops_when_told(wan, request_for_video):
    backend, busy, leave = wan(wan_steps=1), threading.Event(), threading.Event()

    def hold(_):
        busy.set()
        leave.wait(60)

    first = threading.Thread(target=generate, args=(backend, request_for_video, hold))
    first.start()
    try:
        assert busy.wait(60)
        with pytest.raises(PlatformError) as error:
            generate(backend, request_for_video, should_stop=lambda: True)
        assert error.value.code is Code.CANCELLED
    finally:
        leave.set()
        first.join()


def test_what_does_not_fit_is_refused_before_it_is_loaded(wan, request_for_video, monkeypatch):
    from diffusers import WanImageToVideoPipeline

    def load(*_, **__):
        raise AssertionError("it was loaded")

    monkeypatch.setattr(WanImageToVideoPipeline, "from_pretrained", load)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=2**30))
    with pytest.raises(VideoError) as error:
        generate(wan(wan_width=1280, wan_height=720), request_for_video)
    assert error.value.code is Code.VIDEO_OUT_OF_MEMORY
    assert "1.0 GiB are free" in error.value.reason
    assert "wan_width" in error.value.reason
    assert error.value.evidence["needed_gib"] > error.value.evidence["free_gib"] == 1.0


def test_memory_that_runs_out_later_is_a_code_and_frees_the_model(
    wan, request_for_video, monkeypatch
):
    import torch
    from diffusers import AutoencoderKLWan

    def decode(*_, **__):
        raise torch.OutOfMemoryError("tried to allocate 20.00 GiB")

    backend = wan()
    with monkeypatch.context() as patch:
        patch.setattr(AutoencoderKLWan, "decode", decode)
        with pytest.raises(VideoError) as error:
            generate(backend, request_for_video)
    assert error.value.code is Code.VIDEO_OUT_OF_MEMORY
    assert "20.00 GiB" in error.value.reason
    assert len(generate(backend, request_for_video).frames) == 41


def test_frames_that_are_not_finite_are_no_video(wan, request_for_video, monkeypatch):
    from diffusers import WanImageToVideoPipeline

    clip = np.full((41, 48, 64, 3), np.nan, np.float32)
    monkeypatch.setattr(
        WanImageToVideoPipeline, "__call__", lambda *_, **__: SimpleNamespace(frames=[clip])
    )
    with pytest.raises(VideoError) as error:
        generate(wan(), request_for_video)
    assert error.value.code is Code.VIDEO_MODEL_FAILED


def test_a_model_that_is_not_here_is_named(wan, request_for_video, tmp_path):
    for model, code in (
        ("some-maker/some-model", Code.UNAVAILABLE),
        (str(tmp_path / "nowhere"), Code.INVALID_SETTING),
        (str(tmp_path), Code.UNAVAILABLE),  # a folder without weights
        ("", Code.INVALID_SETTING),
    ):
        with pytest.raises(PlatformError) as error:
            generate(wan(wan_model=model), request_for_video)
        assert error.value.code is code
        assert model in error.value.reason


@pytest.mark.parametrize(
    ("parameters", "code", "says"),
    [
        ({"wan_width": 1000}, Code.INVALID_SETTING, "wan_width is 1000 px"),
        ({"wan_device": "tpu"}, Code.INVALID_SETTING, "wan_device is 'tpu'"),
        ({"wan_device": "cuda:77"}, Code.UNAVAILABLE, "CUDA devices"),
        ({"wan_offload": "model"}, Code.INVALID_SETTING, "wan_offload"),
    ],
)
def test_settings_that_cannot_be_are_refused_at_once(wan, parameters, code, says):
    with pytest.raises(PlatformError) as error:
        wan(**parameters)
    assert error.value.code is code
    assert says in error.value.reason


@pytest.mark.parametrize("library", ["torch", "diffusers", "transformers"])
def test_without_its_libraries_it_names_the_command(wan, monkeypatch, library):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(PlatformError) as error:
        wan()
    assert error.value.code is Code.UNAVAILABLE
    assert "./novaflow setup --with torch" in error.value.reason


class NoLifter:
    """Lifts nothing: this is about what happens before."""

    def lift(self, request, on_progress, should_stop) -> LiftResult:
        raise VideoError(Code.VIDEO_UNREADABLE, "not lifted here")


def test_a_generation_that_fails_is_a_failed_candidate(
    wan, request_for_video, monkeypatch, tmp_path
):
    from diffusers import WanTransformer3DModel

    forward, calls = WanTransformer3DModel.forward, []

    def fails_first(self, *args, **words):
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("no kernel image is available")
        return forward(self, *args, **words)

    monkeypatch.setattr(WanTransformer3DModel, "forward", fails_first)
    pool = CandidatePool(wan(), NoLifter(), workers=1)
    asked = PoolRequest(
        request_for_video.scene, request_for_video.grounding, 2, 4, 0, artifacts=tmp_path
    )
    made = pool.make(asked, lambda *_: None, lambda: False)
    assert [c.code for c in made.candidates] == [Code.VIDEO_MODEL_FAILED, Code.VIDEO_UNREADABLE]
    assert "no kernel image" in made.candidates[0].reason
    assert [p.name for p in tmp_path.glob("*.mp4")] == ["candidate_2.mp4"]  # and no dummy
