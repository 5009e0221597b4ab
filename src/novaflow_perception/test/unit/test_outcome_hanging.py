"""The verdict on a mug that was to hang: seen on the peg, turned and leaning, and only there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from novaflow_core import se3, toy_scene
from novaflow_core.errors import Code
from novaflow_core.flow import ObjectFlow
from novaflow_core.relations import footprint_of
from novaflow_core.scene import Scene
from novaflow_core.task import Motion, ObjectPhrase, Relation, TaskSpec
from novaflow_core.toy_scene import CAMERA, EYE, TABLE, Solid
from novaflow_perception.core.evidence import Body
from novaflow_perception.core.hanging_model import hanging_model
from novaflow_perception.core.outcome import Outcome, observe
from novaflow_perception.core.registration import NewView, fit_of

WINDOW = replace(CAMERA, width=420, height=250, cx=CAMERA.cx - 110, cy=CAMERA.cy)
RED, DARK = (190, 50, 40), (60, 58, 62)
RADIUS, HEIGHT, ROD = 0.037, 0.095, 0.010
HOLE = np.array([RADIUS + 0.019, 0.0, 0.045])  # 38 mm wide and 40 mm high
FOOT, ROOT = np.array([0.5, 0.12, 0.0]), np.array([0.5, 0.12, 0.15])
PEG_YAW, PEG_RISE, PEG_LENGTH = -1.45, 0.2, 0.09
WAY = se3.exp_so3([0, 0, PEG_YAW]) @ np.array([np.cos(PEG_RISE), 0.0, np.sin(PEG_RISE)])
HOME = se3.from_rt(se3.exp_so3([0, 0, 0.75]), [0.48, -0.15, 0.0])
TASK = TaskSpec(
    "hang the mug on the tree",
    Motion.MOVE,
    ObjectPhrase("the mug", noun="cup"),
    relation=Relation.HANG,
    references=(ObjectPhrase("the tree", noun="tree"),),
)


def mug(T: np.ndarray) -> list[Solid]:
    """Body and handle of a mug at a pose (4, 4); the handle is towards its x axis."""
    bar = (0.048, ROD, ROD)
    middle = HOLE[0] + 0.005
    parts = [
        (Solid((2 * RADIUS, 2 * RADIUS, HEIGHT), is_round=True, wall=0.004), (0, 0, 0)),
        (Solid(bar), (middle, 0, HOLE[2] + 0.020)),
        (Solid(bar), (middle, 0, HOLE[2] - 0.020 - ROD)),
        (Solid((ROD, ROD, 0.060)), (HOLE[0] + 0.019 + ROD / 2, 0, HOLE[2] - 0.030)),
    ]
    return [
        Solid(s.size, T @ se3.from_rt(np.eye(3), at), RED, s.is_round, s.wall, 4) for s, at in parts
    ]


def tree() -> list[Solid]:
    """A stem and its peg."""
    across = np.cross([0, 0, 1.0], WAY / np.linalg.norm(WAY[:2]))
    turn = np.stack([np.cross(across, WAY), across, WAY], axis=1)
    stem = Solid((0.02, 0.02, 0.17), se3.from_rt(np.eye(3), FOOT), DARK, True, texture=7)
    peg = Solid((ROD, ROD, PEG_LENGTH), se3.from_rt(turn, ROOT), DARK, True, texture=8)
    return [stem, peg]


def hung(
    along_m: float, lean: float = 0.0, aside_m: float = 0.0, raised_m: float = 0.0
) -> np.ndarray:
    """T_base_mug with the hole's plane at a place on the peg, leant about the peg."""
    outward = np.cross(WAY / np.linalg.norm(WAY[:2]) * [1, 1, 0], [0, 0, 1.0])
    outward = outward if outward[0] > 0 else -outward  # the handle is on the camera's side
    rotation = np.stack([outward, np.cross([0, 0, 1.0], outward), [0, 0, 1.0]], axis=1)
    sinks = -np.sign(np.cross(WAY, -outward)[2])
    rotation = se3.exp_so3(sinks * lean * WAY) @ rotation
    at = ROOT + along_m * WAY + aside_m * outward + [0, 0, raised_m]
    on = HOLE + np.array([0.0, 0.0, 0.012])  # the peg is near the upper inside of the handle
    return se3.from_rt(rotation, at - rotation @ on)


def view(T: np.ndarray, seed: int):
    solids = {str(k): s for k, s in enumerate([*mug(T), *tree()])}
    seen, labels = toy_scene.render(solids, camera=WINDOW, noise_m=0.0015, seed=seed)
    target = (labels >= 2) & (labels < 6)
    return seen, np.where(target, 2, np.where(labels >= 6, 3, labels)).astype(np.uint8)


@pytest.fixture(scope="module")
def before():
    first, labels = view(HOME, 1)
    return toy_scene.ground({"mug": 0, "tree": 0}, first, labels, TASK, ["tree"])


def judged(before, T_after: np.ndarray) -> Outcome:
    """Observe a mug at a pose, having followed a flow onto the peg."""
    scene, grounding = before
    motion = hung(0.045) @ se3.inverse(HOME)
    start = grounding.points(scene, grounding.target)[::9]
    path = np.stack([start, se3.apply(motion, start)]).astype(np.float32)
    known = np.ones(path.shape[:2], bool)
    flow = ObjectFlow(path, known, known.astype(np.float32), 0.1, "base")
    outcome = observe(scene, grounding, flow, Scene("after", "base", (view(T_after, 2)[0],)))
    assert any(c.isdigit() for c in outcome.reason)
    return outcome


@pytest.mark.parametrize(("along_m", "lean"), [(0.045, 0.0), (0.05, 0.35)])
def test_a_mug_that_hangs_is_seen_upright_or_leaning(before, along_m, lean) -> None:
    outcome = judged(before, hung(along_m, lean))
    assert outcome.code is Code.OK, outcome.reason
    T = hung(along_m, lean) @ se3.inverse(HOME)
    middle = se3.apply(HOME, np.array([0.0, 0.0, 0.05]))
    assert np.linalg.norm(se3.apply(outcome.motion, middle) - se3.apply(T, middle)) < 0.012


@pytest.mark.parametrize(
    ("what", "pose"),
    [
        ("it was not moved", HOME),
        ("it is before the peg's tip", hung(0.12)),
        ("the peg passes outside of its handle", hung(0.045, aside_m=-0.035)),
        ("it stands under the peg", se3.from_rt(hung(0.09)[:3, :3], [0.46, 0.03, 0.0])),
    ],
)
def test_a_mug_that_does_not_hang_is_no_success(before, what, pose) -> None:
    assert judged(before, pose).code in {Code.OUTCOME_NOT_OBSERVED, Code.TARGET_LOST}, what


def test_what_looks_away_or_is_hidden_by_itself_contradicts_nothing(before) -> None:
    scene, grounding = before
    old = NewView(scene.main)
    mask = grounding.mask(grounding.target)
    foot = footprint_of(grounding.points(scene, grounding.target), TABLE, EYE)
    body = Body.from_view(old, mask, TABLE, foot)
    model = hanging_model(old, mask, body, None)
    leant = se3.exp_so3([0, 0, -0.4]) @ se3.exp_so3([0, -0.35, 0])
    T = se3.from_rt(leant, [0.45, -0.05, 0.05])
    after = NewView(view(T, 3)[0])
    motion = T @ se3.inverse(HOME)
    assert fit_of(model, motion, after).share > 0.85
    turned = motion @ se3.from_rt(np.eye(3), [0.0, 0.0, 0.03])
    assert fit_of(model, turned, after).share < 0.7
    # Its handle is part of what is known of it.
    away = np.linalg.norm(model.points @ TABLE.basis().T - foot.centre, axis=1)
    assert (away > RADIUS + 0.01).sum() > 80
