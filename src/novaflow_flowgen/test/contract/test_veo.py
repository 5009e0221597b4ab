"""The backend `veo` through its real client: what it asks for, and every way it can fail."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from model_server import Reply
from ray_scene import Item, make_scene

from novaflow_core.errors import Code, PlatformError, VideoError
from novaflow_core.registry import load_backend
from novaflow_core.video import Video
from novaflow_flowgen.core.pool import CandidatePool, PoolRequest
from novaflow_flowgen.core.protocols import LiftResult, VideoRequest
from novaflow_flowgen.core.settings import FlowgenSettings
from novaflow_flowgen.core.video_file import write_mp4

BUCKET = 8  # how far compressed greys may be off


@pytest.fixture(scope="module")
def request_for_video():
    return VideoRequest(*make_scene([Item((0.03, 0.04, 0.05), (0.0, 0.0), seed=1)]), seed=4)


@pytest.fixture(scope="module")
def movie(tmp_path_factory):
    """Bytes of 8 s at 24 FPS, 16:9, that become lighter; black bars beside the view's part."""
    frames = np.zeros((192, 360, 640, 3), np.uint8)
    frames[:, :, 80:560] = np.linspace(30, 220, 192)[:, None, None, None]
    path = tmp_path_factory.mktemp("movie") / "movie.mp4"
    write_mp4(Video(frames, 24.0), path)
    return path.read_bytes()


@pytest.fixture
def veo(model_server, google_credentials):
    """Return a function that makes the backend in front of the fake."""

    def make(**parameters):
        settings = {
            "veo_base_url": model_server.url, "veo_poll_s": 0.01, "veo_backoff_s": 0.01,
            "veo_retries": 1, "veo_request_timeout_s": 20.0, **parameters,
        }  # fmt: skip
        return load_backend("video", "veo")(FlowgenSettings(**settings))

    return make


def generate(backend, request, should_stop=lambda: False):
    return backend.generate(request, lambda _: None, should_stop)


def image_of(field) -> np.ndarray:
    data = base64.b64decode(field["bytesBase64Encoded"], altchars=b"-_")
    return cv2.imdecode(np.frombuffer(data, np.uint8), 1)[..., ::-1]


def test_eight_seconds_become_41_frames_of_the_view(veo, model_server, request_for_video, movie):
    model_server.replies = [Reply(videos=(movie,), polls=3)]
    video = generate(veo(), request_for_video)
    assert video.frames.shape == (41, *request_for_video.scene.main.color.shape)
    levels = video.frames.mean(axis=(1, 2, 3))
    assert abs(levels - np.linspace(30, 220, 41)).max() < BUCKET
    assert video.frames.min() > 30 - BUCKET  # nothing is left of the bars
    assert video.fps * (192 / 24) == pytest.approx(40, rel=0.02)


def test_what_the_service_is_asked_for(veo, model_server, request_for_video, movie):
    model_server.replies = [Reply(videos=(movie,))]
    told = replace(request_for_video, prompt="The box rises. Static camera.")
    generate(veo(veo_model="some-model", veo_location="europe-west4"), told)
    (asked,) = model_server.asked
    assert "/projects/some-project/locations/europe-west4/" in asked.path
    assert asked.path.endswith("/models/some-model:predictLongRunning")
    assert asked.headers["authorization"] == "Bearer ticket"
    (instance,), wanted = asked.body["instances"], asked.body["parameters"]
    assert instance["prompt"] == "The box rises. Static camera."
    assert (wanted["durationSeconds"], wanted["fps"], wanted["sampleCount"]) == (8, 24, 1)
    assert (wanted["aspectRatio"], wanted["generateAudio"]) == ("16:9", False)
    first = image_of(instance["image"])
    assert first.shape == (360, 640, 3)
    assert (first[:, 80:560] == told.scene.main.color).all()
    assert not first[:, :80].any()
    assert "lastFrame" not in instance


def test_a_goal_image_is_the_last_frame(veo, model_server, request_for_video, movie):
    model_server.replies = [Reply(videos=(movie,))]
    goal = np.full((720, 960, 3), 90, np.uint8)  # of another camera's size
    generate(veo(), replace(request_for_video, goal_image=goal))
    last = image_of(model_server.asked[0].body["instances"][0]["lastFrame"])
    assert last.shape == (360, 640, 3)
    assert (last[:, 80:560] == 90).all()


def test_candidates_have_seeds_of_their_own_that_repeat(
    veo, model_server, request_for_video, movie
):
    model_server.replies = [Reply(videos=(movie,))]
    for candidate in (0, 1, 0):
        generate(veo(), replace(request_for_video, candidate=candidate))
    seeds = [asked.body["parameters"]["seed"] for asked in model_server.asked]
    assert seeds[0] == seeds[2] != seeds[1]


TROUBLES = {
    "quota": (Reply(status=429), Code.VIDEO_SERVICE_QUOTA, 2),
    "overloaded": (Reply(status=503), Code.VIDEO_SERVICE_UNAVAILABLE, 2),
    "forbidden": (Reply(status=403), Code.VIDEO_SERVICE_REJECTED, 1),
    "no such model": (Reply(status=404), Code.VIDEO_SERVICE_REJECTED, 1),
    "broken JSON": (Reply(raw=b'{"name": '), Code.VIDEO_UNREADABLE, 1),
    "nothing in it": (Reply(), Code.VIDEO_EMPTY, 1),
    "empty file": (Reply(videos=(b"",)), Code.VIDEO_EMPTY, 1),
    "not a video": (Reply(videos=(b"no video",)), Code.VIDEO_UNREADABLE, 1),
    "withheld": (Reply(filtered=("a person",)), Code.VIDEO_BLOCKED, 1),
    "quota later": (Reply(failed=(8, "exhausted")), Code.VIDEO_SERVICE_QUOTA, 1),
    "outage later": (Reply(failed=(14, "try later")), Code.VIDEO_SERVICE_UNAVAILABLE, 1),
    "bad request later": (Reply(failed=(3, "bad seed")), Code.VIDEO_SERVICE_REJECTED, 1),
    "blocked": (
        Reply(failed=(3, "the prompt violates our usage guidelines")),
        Code.VIDEO_BLOCKED,
        1,
    ),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_trouble_is_a_code(veo, model_server, request_for_video, trouble):
    reply, code, attempts = TROUBLES[trouble]
    model_server.replies = [reply]
    with pytest.raises(VideoError) as error:
        generate(veo(), request_for_video)
    assert error.value.code is code
    assert error.value.reason
    assert len(model_server.asked) == attempts


def test_a_passing_outage_is_waited_out(veo, model_server, request_for_video, movie):
    model_server.replies = [Reply(status=429), Reply(status=503), Reply(videos=(movie,))]
    assert len(generate(veo(veo_retries=2), request_for_video).frames) == 41
    assert len(model_server.asked) == 3


def test_a_lost_submission_is_not_paid_for_twice(veo, model_server, request_for_video):
    model_server.replies = [Reply(hangs=True)]
    with pytest.raises(VideoError) as error:
        generate(veo(veo_request_timeout_s=0.3), request_for_video)
    assert error.value.code is Code.VIDEO_SERVICE_TIMEOUT
    assert len(model_server.asked) == 1


def test_a_generation_that_never_ends(veo, model_server, request_for_video):
    model_server.replies = [Reply(polls=10**9)]
    with pytest.raises(VideoError) as error:
        generate(veo(veo_timeout_s=1.0), request_for_video)
    assert error.value.code is Code.VIDEO_SERVICE_TIMEOUT
    assert "1 s" in error.value.reason


def test_it_stops_between_polls(veo, model_server, request_for_video):
    model_server.replies = [Reply(polls=10**9)]
    with pytest.raises(PlatformError) as error:
        generate(veo(veo_poll_s=60.0), request_for_video, lambda: bool(model_server.asked))
    assert error.value.code is Code.CANCELLED


def test_credentials_that_are_missing_or_none(veo, monkeypatch, google_credentials, tmp_path):
    for held in (
        "{}",
        "[]",
        "no JSON",
        '{"type": "external_account"}',
        '{"type": "service_account"}',
    ):
        google_credentials.write_text(held)
        with pytest.raises(PlatformError) as error:
            veo()
        assert error.value.code is Code.NO_API_KEY
    held = {"client_id": "i", "client_secret": "s", "refresh_token": "t"}
    google_credentials.write_text(json.dumps({"type": "authorized_user", **held}))
    with pytest.raises(PlatformError) as error:
        veo()
    assert error.value.code is Code.INVALID_SETTING  # such a file may name no project
    veo(veo_project="some-project")
    monkeypatch.setenv("OTHER", str(tmp_path / "nowhere"))
    with pytest.raises(PlatformError) as error:
        veo(veo_credentials_variable="OTHER")
    assert error.value.code is Code.NO_API_KEY
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS")
    with pytest.raises(PlatformError) as error:
        veo()
    assert error.value.code is Code.NO_API_KEY
    assert "GOOGLE_APPLICATION_CREDENTIALS" in error.value.reason


def test_without_the_client_library_it_names_the_command(veo, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "google", None)
    with pytest.raises(PlatformError) as error:
        veo()
    assert error.value.code is Code.UNAVAILABLE
    assert "./novaflow setup --with cloud" in error.value.reason


class NoLifter:
    """Lifts nothing: this is about what happens before."""

    def lift(self, request, on_progress, should_stop) -> LiftResult:
        raise VideoError(Code.VIDEO_UNREADABLE, "not lifted here")


def test_a_generation_that_fails_is_a_failed_candidate_and_the_prompt_is_kept(
    veo, model_server, request_for_video, movie, tmp_path
):
    model_server.replies = [Reply(filtered=("a person",)), Reply(videos=(movie,))]
    pool = CandidatePool(veo(), NoLifter(), workers=1)
    asked = PoolRequest(
        request_for_video.scene, request_for_video.grounding, 2, 4, 0, artifacts=tmp_path
    )
    made = pool.make(asked, lambda *_: None, lambda: False)
    assert [c.code for c in made.candidates] == [Code.VIDEO_BLOCKED, Code.VIDEO_UNREADABLE]
    assert [p.name for p in tmp_path.glob("*.mp4")] == ["candidate_2.mp4"]  # and no dummy
    assert made.prompt.author == "template"
    sent = {asked.body["instances"][0]["prompt"] for asked in model_server.asked}
    assert sent == {made.prompt.text}
