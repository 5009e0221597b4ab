"""The candidate pool: failures are candidates, and nothing tells how one was made."""

import json

import numpy as np
import pytest
from ray_scene import Item, make_scene

from novaflow_core.errors import Code, PlatformError, VideoError
from novaflow_core.flow import ObjectFlow
from novaflow_flowgen.core.pool import CandidatePool, PoolRequest
from novaflow_flowgen.core.protocols import LiftResult, Spoil
from novaflow_flowgen.core.storyboard import Storyboard


class StillLifter:
    """Answers at once."""

    def lift(self, request, on_progress, should_stop):
        points = np.zeros((41, 3, 3), np.float32)
        seen = np.ones((41, 3), bool)
        return LiftResult(
            ObjectFlow(points, seen, seen.astype(np.float32), 0.1, "base"), {"a_m": 1.0}
        )


class FailsAtTwo(Storyboard):
    """Cannot imagine candidate 2."""

    def generate(self, request, on_progress, should_stop):
        if request.candidate == 2:
            raise VideoError(Code.VIDEO_GOAL_UNREACHABLE, "no", {"share": 0.1})
        return super().generate(request, on_progress, should_stop)


@pytest.fixture(scope="module")
def scene():
    items = [
        Item((0.03, 0.04, 0.05), (0, 0), seed=1),
        Item((0.03, 0.03, 0.03), (0.1, 0.12), seed=2),
    ]
    return make_scene(items)


def test_a_failed_candidate_keeps_its_code_and_no_dummy_is_made(scene, tmp_path):
    pool = CandidatePool(FailsAtTwo(), StillLifter())
    out = pool.make(PoolRequest(*scene, 4, 1, 0, tmp_path), lambda *_: None, lambda: False)
    assert [c.code for c in out.candidates] == [0, 0, Code.VIDEO_GOAL_UNREACHABLE, 0]
    bad = out.candidates[2]
    assert bad.flow is None
    assert bad.video_uri == ""
    assert not (tmp_path / "candidate_3.mp4").exists()
    assert {"video", "encode", "decode", "lift"} <= set(out.seconds)


def test_truth_is_written_apart_and_nothing_else_knows_it(scene, tmp_path):
    artifacts, truth = tmp_path / "run", tmp_path / "truth"
    pool = CandidatePool(Storyboard(), StillLifter())
    request = PoolRequest(*scene, 4, 1, 2, artifacts, truth_dir=truth)
    out = pool.make(request, lambda *_: None, lambda: False)
    told = [json.loads((truth / f"{c.video_sha256}.json").read_text()) for c in out.candidates]
    assert sum(t["spoil"] is not None for t in told) == 2
    words = " ".join(
        [str(p) for p in artifacts.rglob("*")]
        + [f"{c.candidate_id} {c.reason} {c.video_uri} {sorted(c.stats)}" for c in out.candidates]
    )
    assert not any(kind.value in words for kind in Spoil)


def test_a_generator_that_reads_no_prompt_gets_none_and_nobody_writes_one(scene, tmp_path):
    pool = CandidatePool(Storyboard(), StillLifter(), expander=None)
    out = pool.make(PoolRequest(*scene, 1, 1, 0, tmp_path), lambda *_: None, lambda: False)
    assert out.prompt is None
    assert "prompt" not in out.seconds


def test_cancelling_and_nonsense_are_errors(scene, tmp_path):
    pool = CandidatePool(Storyboard(), StillLifter())
    with pytest.raises(PlatformError) as error:
        pool.make(PoolRequest(*scene, 2, 1, 0, tmp_path), lambda *_: None, lambda: True)
    assert error.value.code is Code.CANCELLED
    with pytest.raises(PlatformError):
        pool.make(PoolRequest(*scene, 0, 1, 0, tmp_path), lambda *_: None, lambda: False)
