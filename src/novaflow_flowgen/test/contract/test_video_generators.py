"""What every video generator owes: frames of the view's size, progress, coded errors."""

from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
from model_server import Reply
from ray_scene import Item, flow_error, make_scene

from novaflow_core.errors import Code, PlatformError
from novaflow_core.registry import backend_names, load_backend
from novaflow_core.video import Video
from novaflow_flowgen.core.protocols import LiftRequest, VideoRequest
from novaflow_flowgen.core.settings import FlowgenSettings
from novaflow_flowgen.core.storyboard import Storyboard
from novaflow_flowgen.core.video_file import write_mp4

# Its autoencoder has random weights here: what it makes of the view is of another colour.
UNTRAINED = {"wan"}
# Where PyTorch is not installed, its backend is left out.
NAMES = [n for n in backend_names("video") if n != "wan" or find_spec("diffusers")]


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """A scene, and a film of it on disk."""
    items = [Item((0.03, 0.04, 0.05), (0.0, 0.0), yaw=0.5, seed=1)]
    scene, grounding = make_scene(items, depth_noise=0.001)
    request = VideoRequest(scene, grounding, seed=4)
    folder = tmp_path_factory.mktemp("films")
    film = Storyboard().generate(request, lambda _: None, lambda: False)
    write_mp4(film, folder / "film.mp4")
    # As services make it: 8 s at 24 FPS, 16:9, so that a view of 4:3 has bars at its sides.
    pick = np.rint(np.linspace(0, 40, 192)).astype(int)
    wide = np.pad(film.frames[pick], ((0, 0), (0, 0), (80, 80), (0, 0)))
    write_mp4(Video(wide, 24.0), folder / "wide.mp4")
    return request, folder


@pytest.fixture
def made(film, model_server, google_credentials, request):
    """The film as a file, and as what a service on loopback generates; a tiny model."""
    tiny_wan = request.getfixturevalue("tiny_wan") if "wan" in NAMES else {}
    request, folder = film
    model_server.replies = [Reply(videos=((folder / "wide.mp4").read_bytes(),), polls=1)]
    settings = FlowgenSettings(video_path=str(folder / "film.mp4"))
    return request, replace(settings, veo_base_url=model_server.url, veo_poll_s=0.01, **tiny_wan)


@pytest.mark.parametrize("name", NAMES)
def test_frames_have_the_size_of_the_view_and_start_with_it(made, name):
    request, settings = made
    steps = []
    generator = load_backend("video", name)(settings)
    video = generator.generate(request, steps.append, lambda: False)
    assert video.frames.shape == (41, *request.scene.main.color.shape)
    if name not in UNTRAINED:
        assert abs(video.frames[0].astype(int) - request.scene.main.color).mean() < 4
    assert steps[-1] == 1.0
    assert steps == sorted(steps)


@pytest.mark.parametrize("name", NAMES)
def test_it_stops_when_told(made, name):
    request, settings = made
    with pytest.raises(PlatformError) as error:
        load_backend("video", name)(settings).generate(request, lambda _: None, lambda: True)
    assert error.value.code is Code.CANCELLED


def test_a_storyboard_saved_and_read_back_yields_the_same_flow(made):
    request, settings = made
    grounding, view = request.grounding, request.scene.main
    lifter = load_backend("tracks", "klt")(settings)
    script = Storyboard().script(request)
    ends = []
    for name in ("storyboard", "file"):
        video = load_backend("video", name)(settings).generate(
            request, lambda _: None, lambda: False
        )
        flow = lifter.lift(
            LiftRequest(video, view, grounding.mask(grounding.target), grounding.support),
            lambda _: None,
            lambda: False,
        ).flow
        assert flow_error(flow, script.motions).max() < 0.006
        ends.append(flow.displacement())
    assert np.linalg.norm(ends[0] - ends[1]) < 0.003
