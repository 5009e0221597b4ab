"""Imagined drawers: they come straight out of their fronts, and what does not is not believed."""

from __future__ import annotations

import json

import numpy as np
import pytest

from novaflow_core import se3, toy_scene
from novaflow_core.errors import Code
from novaflow_core.flow import MotionKind, ObjectFlow
from novaflow_core.grounding import GroundedObject, Grounding, Role
from novaflow_core.scene import Scene
from novaflow_core.task import Motion, ObjectPhrase, TaskSpec
from novaflow_core.toy_chest import BODY, toy_chest
from novaflow_core.toy_scene import EYE, TABLE
from novaflow_flowgen.core.critic import Critic
from novaflow_flowgen.core.jointed import jointed
from novaflow_flowgen.core.lift import make_klt
from novaflow_flowgen.core.pool import CandidatePool, PoolRequest
from novaflow_flowgen.core.settings import FlowgenSettings
from novaflow_flowgen.core.storyboard import Storyboard

POSE = se3.from_rt(se3.exp_so3([0, 0, 0.3]), [0.40, -0.05, 0.0])
OUT = POSE[:3, 0]
TASK = TaskSpec("open the drawer", Motion.OPEN, ObjectPhrase("the drawer", "drawer"))


def drawer_scene() -> tuple[Scene, Grounding]:
    solids = toy_chest(POSE)
    view, drawn = toy_scene.render(solids, EYE, noise_m=0.001)
    names = list(solids)
    labels = np.where(drawn > 1, 3, drawn).astype(np.uint8)
    labels[np.isin(drawn, [2 + names.index(n) for n in names if n != BODY])] = 2
    points = view.points()
    objects = []
    for label, role in ((2, Role.TARGET), (3, Role.OTHER)):
        own = points[(labels == label) & np.isfinite(points).all(axis=2)]
        corners = np.stack([own.min(axis=0), own.max(axis=0)] * 4)
        objects.append(GroundedObject(label, role, f"item {label}", 0.9, corners))
    scene = Scene("scene", "base", (view,))
    return scene, Grounding("scene", TASK, TABLE, (labels,), tuple(objects))


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """Candidates, what each was told to show, and what the critic says of them."""
    folder = tmp_path_factory.mktemp("drawer")
    scene, grounding = drawer_scene()
    # The critic is under test, so it gets what the screen would keep from it.
    pool = CandidatePool(Storyboard(), make_klt(FlowgenSettings()), workers=1, screened=False)
    request = PoolRequest(scene, grounding, 9, 5, 7, folder, truth_dir=folder / "truth")
    candidates = pool.make(request, lambda *_: None, lambda: False).candidates
    spoils = [
        json.loads((folder / "truth" / f"{c.video_sha256}.json").read_text())["spoil"]
        for c in candidates
    ]
    return candidates, spoils, Critic().select(scene, grounding, candidates, [])


def test_honest_candidates_slide_along_the_outward_normal(judged) -> None:
    candidates, spoils, selection = judged
    honest = [i for i, spoil in enumerate(spoils) if spoil is None]
    assert len(honest) == 2
    for i in honest:
        flow, stats = candidates[i].flow, candidates[i].stats
        assert flow.kind is MotionKind.PRISMATIC
        axis = np.array([stats[f"joint_axis_{name}"] for name in "xyz"])
        assert np.degrees(np.arccos(min(axis @ OUT, 1.0))) < 3.0
        assert 0.10 < stats["joint_travel_m"] < 0.13
        assert selection.scores[i].valid


def test_no_spoiled_candidate_is_believed(judged) -> None:
    candidates, spoils, selection = judged
    believed = [s for s, score in zip(spoils, selection.scores, strict=True) if score.valid and s]
    assert believed == []
    chosen = [c.candidate_id for c in candidates].index(selection.candidate_id)
    assert spoils[chosen] is None


def test_a_carry_keeps_its_kind_and_is_led_nowhere() -> None:
    share = np.linspace(0.0, 1.0, 41)
    points = np.random.default_rng(0).uniform(-0.05, 0.05, (60, 3))
    way = np.stack([0.15 * share, 0 * share, 0.08 * np.sin(np.pi * share)], -1)
    moved = (points + way[:, None]).astype(np.float32)
    seen = np.ones(moved.shape[:2], bool)
    flow = ObjectFlow(moved, seen, seen.astype(np.float32), 1 / 16, "base")
    told, stats = jointed(flow, {"share_kept": 1.0})
    assert told.kind is MotionKind.RIGID
    np.testing.assert_array_equal(told.points, moved)
    assert stats["joint_rms_m"] > 0.01
    assert "joint_axis_x" not in stats


def test_a_drawer_without_a_handle_cannot_be_imagined(tmp_path) -> None:
    scene, grounding = drawer_scene()
    labels = np.where(grounding.labels[0] == 3, 2, 1).astype(np.uint8)
    bare = Grounding("scene", TASK, TABLE, (labels,), (grounding.objects[0],))
    pool = CandidatePool(Storyboard(), make_klt(FlowgenSettings()), workers=1)
    request = PoolRequest(scene, bare, 1, 5, 0, tmp_path)
    (candidate,) = pool.make(request, lambda *_: None, lambda: False).candidates
    assert candidate.code is Code.VIDEO_GOAL_UNREACHABLE
    assert "handle" in candidate.reason
