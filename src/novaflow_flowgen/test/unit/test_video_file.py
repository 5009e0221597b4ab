"""Videos on disk: round trip, resampling, and clear refusals."""

import cv2
import numpy as np
import pytest
from ray_scene import Item, make_scene

from novaflow_core.errors import Code, VideoError
from novaflow_core.video import Video
from novaflow_flowgen.core.protocols import VideoRequest
from novaflow_flowgen.core.video_file import (
    VideoFiles,
    VideoReader,
    VideoSize,
    read_video,
    write_mp4,
)

SIZE = VideoSize(160, 120)


def gradient_video(frames=41, width=160, height=120):
    ramp = np.linspace(40, 200, width)[None, :, None] * np.ones((height, 1, 3))
    return Video(np.stack([(ramp * (1 - k / 200)).astype(np.uint8) for k in range(frames)]), 16.0)


def test_round_trip_keeps_frames_order_and_rate(tmp_path):
    video = gradient_video()
    write_mp4(video, tmp_path / "a.mp4")
    again = read_video(tmp_path / "a.mp4", SIZE)
    assert again.frames.shape == video.frames.shape
    assert again.fps == pytest.approx(16.0)
    assert abs(again.frames.astype(int) - video.frames).mean() < 3
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def test_any_length_and_size_of_the_same_shape_is_resampled(tmp_path):
    write_mp4(gradient_video(96, 320, 240), tmp_path / "a.mp4")
    video = read_video(tmp_path / "a.mp4", SIZE)
    assert video.frames.shape == (41, 120, 160, 3)
    assert video.fps == pytest.approx(16.0 * 40 / 95)


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda p: None, Code.VIDEO_UNREADABLE),
        (lambda p: p.write_bytes(b"not a video"), Code.VIDEO_UNREADABLE),
        (lambda p: write_mp4(gradient_video(5), p), Code.VIDEO_TOO_SHORT),
        (lambda p: write_mp4(gradient_video(20, 160, 160), p), Code.VIDEO_SIZE_MISMATCH),
    ],
)
def test_refusals_have_their_code(tmp_path, make, code):
    path = tmp_path / "a.mp4"
    make(path)
    with pytest.raises(VideoError) as error:
        read_video(path, SIZE)
    assert error.value.code is code


@pytest.mark.parametrize("share", [0.3, 0.7, 0.9])
def test_a_truncated_file_is_unreadable(tmp_path, share):
    path = tmp_path / "a.mp4"
    random = np.random.default_rng(0)
    frames = random.integers(0, 255, (41, 120, 160, 3)).astype(np.uint8)
    write_mp4(Video(cv2.blur(frames.reshape(-1, 160, 3), (5, 5)).reshape(frames.shape), 16.0), path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(VideoError) as error:
        read_video(path, SIZE)
    assert error.value.code is Code.VIDEO_UNREADABLE


def test_reading_in_order_gives_the_frames_of_the_whole_video(tmp_path):
    write_mp4(gradient_video(96, 320, 240), tmp_path / "a.mp4")
    reader = VideoReader(tmp_path / "a.mp4", SIZE)
    whole = read_video(tmp_path / "a.mp4", SIZE)
    grays = list(reader.grays())
    assert (reader.steps, reader.width, reader.height) == (41, 160, 120)
    assert reader.fps == pytest.approx(whole.fps)
    assert len(grays) == 41
    for gray, frame in zip(grays, whole.frames, strict=True):
        assert (gray == cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)).all()


def test_a_file_that_ends_before_the_frames_written_to_it_is_unreadable(tmp_path):
    write_mp4(gradient_video(20), tmp_path / "a.mp4")
    with pytest.raises(VideoError) as error:
        list(VideoReader(tmp_path / "a.mp4", SIZE, length=41).grays())
    assert error.value.code is Code.VIDEO_UNREADABLE


def test_a_folder_gives_one_video_per_candidate(tmp_path):
    scene, grounding = make_scene([Item((0.03, 0.03, 0.04), (0, 0))])
    write_mp4(gradient_video(20, 480, 360), tmp_path / "a.mp4")
    files = VideoFiles(str(tmp_path))
    video = files.generate(VideoRequest(scene, grounding), lambda _: None, lambda: False)
    assert video.frames.shape == (41, 360, 480, 3)
    with pytest.raises(VideoError):
        files.generate(VideoRequest(scene, grounding, candidate=1), lambda _: None, lambda: False)
    with pytest.raises(VideoError):
        VideoFiles("")
