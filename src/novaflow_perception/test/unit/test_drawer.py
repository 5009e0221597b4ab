"""A drawer is grounded as its front and handle, and judged open by what is seen of it."""

from __future__ import annotations

import numpy as np
import pytest

from novaflow_core import se3, toy_scene
from novaflow_core.errors import Code, PerceptionError
from novaflow_core.flow import ObjectFlow
from novaflow_core.front import find_front
from novaflow_core.grounding import Grounding, Role
from novaflow_core.scene import Scene
from novaflow_core.toy_chest import BODY, toy_chest
from novaflow_core.toy_scene import EYE, Solid
from novaflow_perception.backends.tabletop import TabletopGrounder
from novaflow_perception.core.holder import find_holder
from novaflow_perception.core.instruction import parse
from novaflow_perception.core.outcome import Outcome, observe

POSE = se3.from_rt(se3.exp_so3([0, 0, 0.25]), [0.42, -0.05, 0.0])
OUT = POSE[:3, 0]
CAN = Solid((0.066, 0.066, 0.1), colour=(40, 130, 60), is_round=True, texture=30).at(0.55, 0.28)


def scene_of(
    pose: np.ndarray = POSE, opened_m: float = 0.0, seed: int = 1
) -> tuple[Scene, np.ndarray]:
    """What is seen, and which pixels (H, W) show the drawer's front and handle."""
    solids = {**toy_chest(pose, opened_m), "can": CAN}
    view, labels = toy_scene.render(solids, EYE, noise_m=0.002, seed=seed)
    names = list(solids)
    own = np.isin(labels, [2 + names.index(n) for n in ("front", "bar", "post_a", "post_b")])
    return Scene(f"scene_{seed}", "base", (view,)), own


@pytest.fixture(scope="module")
def grounded() -> tuple[Scene, Grounding, np.ndarray]:
    scene, own = scene_of()
    return scene, TabletopGrounder().ground(scene, parse("open the drawer")), own


def test_front_and_handle_are_the_target_and_the_rest_stays(grounded) -> None:
    scene, grounding, own = grounded
    mask = grounding.mask(grounding.target)
    assert (mask & own).sum() > 0.9 * own.sum()
    assert (mask & own).sum() > 0.9 * mask.sum()
    front = find_front(grounding.points(scene, grounding.target), grounding.support, EYE[:3, 3])
    assert np.degrees(np.arccos(min(front.normal @ OUT, 1.0))) < 1.0
    holder = find_holder(scene, grounding, front)
    assert holder is not None
    assert holder.role is Role.OTHER
    assert {item.role for item in grounding.objects} == {Role.TARGET, Role.OTHER}
    assert len(grounding.objects) == 3


def test_the_target_is_the_drawer_by_its_colour_as_well() -> None:
    scene, own = scene_of()
    grounding = TabletopGrounder().ground(scene, parse("open the drawer on the left"))
    assert (grounding.mask(grounding.target) & own).any()


def test_a_box_without_a_handle_is_no_drawer() -> None:
    view, _ = toy_scene.render({BODY: toy_chest(POSE)[BODY]}, EYE, noise_m=0.002)
    with pytest.raises(PerceptionError) as error:
        TabletopGrounder().ground(Scene("s", "base", (view,)), parse("open the drawer"))
    assert error.value.code is Code.TARGET_NOT_FOUND
    assert "handle" in error.value.reason


def judged(grounded, opened_m: float, dragged_m: float = 0.0, turned_deg: float = 0.0) -> Outcome:
    """Observe a drawer that was to come 115 mm out."""
    scene, grounding, _ = grounded
    start = grounding.points(scene, grounding.target)[::9]
    path = np.stack([start, start + 0.115 * OUT]).astype(np.float32)
    seen = np.ones(path.shape[:2], bool)
    flow = ObjectFlow(path, seen, seen.astype(np.float32), 1 / 16, "base")
    turn = se3.exp_so3([0, 0, np.radians(turned_deg)])
    pose = se3.from_rt(POSE[:3, :3] @ turn, POSE[:3, 3] + dragged_m * OUT)
    after, _ = scene_of(pose, opened_m, seed=2)
    return observe(scene, grounding, flow, after)


@pytest.mark.parametrize("opened_m", [0.092, 0.115, 0.135])
def test_an_open_drawer_is_seen(grounded, opened_m: float) -> None:
    outcome = judged(grounded, opened_m)
    assert outcome.code is Code.OK, outcome.reason
    assert outcome.motion[:3, 3] @ OUT == pytest.approx(opened_m, abs=0.006)


@pytest.mark.parametrize(
    ("opened_m", "dragged_m", "turned_deg"),
    [
        (0.0, 0.0, 0.0),
        (0.03, 0.0, 0.0),
        (0.065, 0.0, 0.0),
        (0.0, 0.115, 0.0),
        (0.115, 0.035, 0.0),
        (0.115, 0.0, 12.0),
    ],
    ids=["shut", "a little", "half", "dragged", "open and dragged", "open and turned"],
)
def test_nothing_else_is_taken_for_open(
    grounded, opened_m: float, dragged_m: float, turned_deg: float
) -> None:
    outcome = judged(grounded, opened_m, dragged_m, turned_deg)
    assert outcome.code in (Code.OUTCOME_NOT_OBSERVED, Code.TARGET_LOST)
    assert outcome.reason
