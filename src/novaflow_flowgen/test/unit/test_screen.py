"""The screen: honest videos pass, spoiled ones end early, and what it rejects costs little."""

import hashlib

import numpy as np
import pytest
from ray_scene import Item, make_scene, render_motion, rigid_motion

from novaflow_core.errors import Code, NovaflowError, PlatformError
from novaflow_core.grounding import Role
from novaflow_core.task import Motion, ObjectPhrase, Relation, TaskSpec
from novaflow_flowgen.core.lift import make_klt
from novaflow_flowgen.core.pool import CandidatePool, PoolRequest
from novaflow_flowgen.core.protocols import Spoil, VideoRequest
from novaflow_flowgen.core.screen import CoarseScreen
from novaflow_flowgen.core.settings import FlowgenSettings
from novaflow_flowgen.core.storyboard import Storyboard

ON_PLATE = TaskSpec(
    "put the cup on the plate", Motion.MOVE, ObjectPhrase("the cup"), relation=Relation.ON,
    references=(ObjectPhrase("the plate"),),
)  # fmt: skip
ITEMS = [
    Item((0.04, 0.04, 0.045), (0.05, -0.12), is_round=True, seed=2),
    Item((0.08, 0.08, 0.008), (-0.05, 0.12), is_round=True, seed=4),
    Item((0.03, 0.03, 0.04), (-0.2, -0.05), is_round=True, seed=9),
]


@pytest.fixture(scope="module")
def table():
    roles = [Role.TARGET, Role.REFERENCE, Role.OTHER]
    return make_scene(ITEMS, depth_noise=0.001, roles=roles, task=ON_PLATE)


class Counted(Storyboard):
    """Counts the frames that are drawn."""

    def __init__(self):
        super().__init__()
        self.drawn = []

    def sketch(self, request):
        sketch = super().sketch(request)
        self.drawn.append(sketch._drawn)
        return sketch


def look(table, spoil, candidate=0):
    """What the screen says of a video, and how many of its frames it drew."""
    generator = Counted()
    sketch = generator.sketch(VideoRequest(*table, seed=5, candidate=candidate, spoil=spoil))
    try:
        CoarseScreen(*table).check(sketch, lambda: False)
    except NovaflowError as error:
        return error, sum(generator.drawn[0])
    return None, sum(generator.drawn[0])


@pytest.mark.parametrize("candidate", range(4))
def test_an_honest_video_passes_and_most_of_it_need_not_be_drawn(table, candidate):
    said, drawn = look(table, None, candidate)
    assert said is None
    assert drawn <= 21


@pytest.mark.parametrize("spoil", list(Spoil))
def test_every_kind_of_hallucination_is_rejected_with_a_code_and_a_frame(table, spoil):
    said, drawn = look(table, spoil)
    assert said is not None
    assert said.code in {
        Code.TRACKS_TOO_FEW, Code.LIFT_LOW_INLIERS, Code.LIFT_DIVERGED, Code.LIFT_UNCERTAIN,
        Code.VIDEO_GOAL_MISSED,
    }  # fmt: skip
    assert "frame" in said.reason or "camera" in said.reason
    assert drawn <= 21


def test_a_film_that_no_storyboard_made_is_looked_at_as_well(table):
    """A fast one: at every fourth frame it would be lost, which is not held against it."""

    class Film:
        fps = 16.0
        steps = 41

        def __init__(self, shift):
            centre = np.array([0.05, -0.12, 0.045])
            self.video = render_motion(ITEMS, rigid_motion(shift, 0.0, centre))

        def frame(self, step):
            return self.video.frames[step]

    screen = CoarseScreen(*table)
    screen.check(Film((-0.1, 0.24, 0.016)), lambda: False)
    with pytest.raises(NovaflowError) as error:
        screen.check(Film((0.15, 0.0, 0.05)), lambda: False)
    assert error.value.code is Code.VIDEO_GOAL_MISSED
    with pytest.raises(PlatformError) as error:
        screen.check(Film((0.15, 0.0, 0.05)), lambda: True)
    assert error.value.code is Code.CANCELLED


def made(table, folder, **options):
    pool = CandidatePool(Counted(), make_klt(FlowgenSettings()), workers=1, **options)
    request = PoolRequest(*table, 3, 5, 2, folder)
    return pool.make(request, lambda *_: None, lambda: False).candidates, pool._generator.drawn


def test_what_is_rejected_is_never_finished_nor_saved_and_the_rest_is_as_without(table, tmp_path):
    screened, drawn = made(table, tmp_path / "a")
    whole, _ = made(table, tmp_path / "b", screened=False)
    honest = [c for c in screened if c.code == Code.OK]
    assert len(honest) == 1
    (other,) = (c for c in whole if c.candidate_id == honest[0].candidate_id)
    assert honest[0].video_sha256 == other.video_sha256
    np.testing.assert_array_equal(honest[0].flow.points, other.flow.points)
    for candidate in screened:
        if candidate is not honest[0]:
            assert candidate.reason
            assert (candidate.video_uri, candidate.flow) == ("", None)
    assert len(list((tmp_path / "a").iterdir())) == 1
    assert sorted(sum(d) == 41 for d in drawn) == [False, False, True]


def test_a_video_that_is_there_as_a_whole_gets_no_coarse_look(table, tmp_path, monkeypatch):
    """It is made already, and a coarse look loses what a hand half hides."""
    monkeypatch.setattr(CoarseScreen, "check", lambda *_: pytest.fail("looked at"))

    class Made:
        reads_prompt = False

        def generate(self, request, on_progress, should_stop):
            return Storyboard().generate(request, on_progress, should_stop)

    pool = CandidatePool(Made(), make_klt(FlowgenSettings()), workers=1)
    request = PoolRequest(*table, 1, 5, 0, tmp_path)
    (candidate,) = pool.make(request, lambda *_: None, lambda: False).candidates
    assert candidate.code == Code.OK


def test_rejected_videos_are_kept_when_asked_for(table, tmp_path):
    kept, _ = made(table, tmp_path, keep_rejected=True)
    assert sum(c.code == Code.OK for c in kept) == 1
    for candidate in kept:
        path = tmp_path / f"{candidate.candidate_id}.mp4"
        assert candidate.video_uri == path.as_uri()
        assert hashlib.sha256(path.read_bytes()).hexdigest() == candidate.video_sha256
