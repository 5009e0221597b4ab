"""The way onto a peg: to before its tip, along it, down; and what cannot be hung."""

from dataclasses import replace

import numpy as np
import pytest
from ray_scene import Item, make_scene

from novaflow_core import se3
from novaflow_core.errors import Code, VideoError
from novaflow_core.grounding import Role
from novaflow_core.task import Motion, ObjectPhrase, Relation, TaskSpec
from novaflow_flowgen.core.goal import Goal
from novaflow_flowgen.core.hallucination import misplace, reversed_roles
from novaflow_flowgen.core.motion_path import Variation, build_path
from novaflow_flowgen.core.protocols import Spoil, VideoRequest
from novaflow_flowgen.core.storyboard import Storyboard

UP, BASIS = np.array([0.0, 0.0, 1.0]), np.eye(3)[:2]
PIVOT = np.array([0.5, 0.1, 0.05])
ALONG, DOWN = np.array([-0.08, 0.0, -0.016]), np.array([0.0, 0.0, -0.01])
SHIFT = np.array([-0.1, 0.2, 0.1])
GOAL = Goal(
    PIVOT, SHIFT, 1.1 * UP, clearance_m=0.2, straight_down=True, legs=(ALONG, DOWN)
)  # fmt: skip


def way(goal=GOAL, variation=None):
    motions = build_path(goal, variation or Variation(), UP, BASIS, 41)
    return motions, motions[:, :3, :3] @ PIVOT + motions[:, :3, 3] - PIVOT


def test_the_last_legs_are_straight_and_end_at_the_goal():
    motions, path = way()
    assert np.allclose(path[-1], SHIFT, atol=1e-6)
    before = SHIFT - ALONG - DOWN
    at = int(np.argmin(np.linalg.norm(path - before, axis=1)))
    assert np.linalg.norm(path[at] - before) < 0.004
    # From there on it does not turn any more, and moves along the legs only.
    turns = se3.rotation_angle(motions[at:, :3, :3] @ motions[-1, :3, :3].T)
    assert np.degrees(turns.max()) < 1.0
    for point in path[at:]:
        to_end = point - (SHIFT - DOWN)
        aside = to_end - (to_end @ ALONG) / (ALONG @ ALONG) * ALONG
        lowering = abs(to_end[:2]).max() < 2e-3
        assert lowering or np.linalg.norm(aside) < 0.003
    assert np.linalg.norm(np.diff(path, axis=0), axis=1).max() < 0.06


def test_it_is_lifted_over_everything_before_it_comes_down_before_the_peg():
    _, path = way()
    assert path[:, 2].max() == pytest.approx(0.2, abs=0.005)
    over = path[path[:, 2] > 0.19]
    assert np.linalg.norm(over[-1, :2] - (SHIFT - ALONG - DOWN)[:2]) < 0.06


def test_hallucinations_do_not_go_onto_the_peg():
    class Support:
        normal = UP

        @staticmethod
        def basis():
            return BASIS

    random = np.random.default_rng(0)
    for kind in (Spoil.WRONG_GOAL, Spoil.WRONG_DIRECTION):
        assert misplace(GOAL, kind, random, Support()).legs == ()

    class Foot:
        centre, bottom_m, top_m = np.zeros(2), 0.0, 0.1

    support = Support()
    support.offset = 0.0
    assert reversed_roles(GOAL, Foot(), support).legs == ()


def test_what_has_no_handle_cannot_be_hung():
    items = [Item((0.03, 0.03, 0.05), (0.05, -0.12), is_round=True, seed=2),
             Item((0.01, 0.01, 0.09), (-0.05, 0.12), is_round=True, seed=4)]  # fmt: skip
    scene, grounding = make_scene(items, depth_noise=0.001, roles=[Role.TARGET, Role.REFERENCE])
    spec = TaskSpec(
        "hang it",
        Motion.MOVE,
        ObjectPhrase("the can"),
        relation=Relation.HANG,
        references=(ObjectPhrase("the tree"),),
    )
    with pytest.raises(VideoError, match="handle") as caught:
        Storyboard().script(VideoRequest(scene, replace(grounding, task=spec)))
    assert caught.value.code is Code.VIDEO_GOAL_UNREACHABLE
