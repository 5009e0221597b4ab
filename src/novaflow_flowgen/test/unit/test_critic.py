"""The critic: every kind of hallucination falls at a gate that says why; honest motions pass."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
import pytest

from novaflow_core import se3, toy_scene
from novaflow_core.candidate import CandidateFeasibility, FlowCandidate
from novaflow_core.errors import Code, SelectionError
from novaflow_core.flow import ObjectFlow
from novaflow_core.grounding import Grounding
from novaflow_core.relations import direction_vector
from novaflow_core.scene import Scene
from novaflow_core.task import Direction, Motion, ObjectPhrase, Relation, TaskSpec
from novaflow_core.toy_scene import EYE, TABLE, Solid
from novaflow_core.video import Video
from novaflow_flowgen.core.critic import Critic
from novaflow_flowgen.core.flow_image import draw_flow_image, write_png
from novaflow_flowgen.core.video_file import write_mp4

STEPS = 41
CUP = Solid((0.08, 0.08, 0.095), is_round=True, wall=0.004).at(0.6, 0.1)
PLATE = Solid((0.16, 0.16, 0.008), is_round=True, colour=(220, 220, 190), texture=3).at(0.5, -0.15)
CAN = Solid((0.06, 0.06, 0.1), is_round=True, colour=(30, 140, 60), texture=7).at(0.4, 0.15)
SOLIDS = {"cup": CUP, "plate": PLATE, "can": CAN}
ON = TaskSpec(
    "put the cup on the plate",
    Motion.MOVE,
    ObjectPhrase("the cup"),
    relation=Relation.ON,
    references=(ObjectPhrase("the plate"),),
)
GOAL = np.array([-0.1, -0.25, 0.008])


@dataclass(frozen=True)
class Bench:
    """A grounded scene and points on its target."""

    scene: Scene
    grounding: Grounding
    points: np.ndarray

    def flow(self, poses: np.ndarray, points: np.ndarray | None = None) -> ObjectFlow:
        start = self.points if points is None else points
        path = np.stack([se3.apply(pose, start) for pose in poses]).astype(np.float32)
        known = np.ones(path.shape[:2], bool)
        return ObjectFlow(path, known, known.astype(np.float32), 1 / 16, "base")

    def candidate(self, name: str, poses: np.ndarray, **more: object) -> FlowCandidate:
        made = FlowCandidate(name, "scene", Code.OK, "", self.flow(poses), "", "")
        return replace(made, **more)

    def failed_gates(self, candidate: FlowCandidate, task: TaskSpec = ON) -> list[str]:
        grounding = replace(self.grounding, task=task)
        score = Critic().select(self.scene, grounding, [candidate], []).scores[0]
        assert all(gate.reason for gate in score.gates)
        return [gate.name for gate in score.gates if not gate.passed]


@pytest.fixture(scope="module")
def bench() -> Bench:
    view, labels = toy_scene.render(SOLIDS, noise_m=0.002)
    scene, grounding = toy_scene.ground(SOLIDS, view, labels, ON, ["plate"])
    points = grounding.points(scene, grounding.target)
    return Bench(scene, grounding, np.random.default_rng(0).permutation(points)[:300])


def ease() -> np.ndarray:
    s = np.clip(np.linspace(-0.05, 1.1, STEPS), 0, 1)
    return s * s * (3 - 2 * s)


def off(x: float, y: float, z: float) -> np.ndarray:
    """A way that ends beside the goal."""
    return np.add(GOAL, (x, y, z))


def carry(shift: np.ndarray, rise_m: float = 0.08) -> np.ndarray:
    """A smooth arc (T, 4, 4)."""
    s = ease()[:, None]
    return se3.from_rt(np.eye(3), s * shift + rise_m * np.sin(np.pi * s) * [0, 0, 1])


def test_an_honest_motion_passes_and_the_reasons_hold_numbers(bench: Bench) -> None:
    choice = Critic().select(bench.scene, bench.grounding, [bench.candidate("a", carry(GOAL))], [])
    assert choice.candidate_id == "a"
    assert choice.require() == "a"
    assert 0.3 < choice.scores[0].score <= 1.0
    assert any("mm" in gate.reason for gate in choice.scores[0].gates)


def test_wrong_ends(bench: Bench) -> None:
    aside = carry(off(0.1, 0.05, 0.0))
    assert bench.failed_gates(bench.candidate("a", aside)) == ["relation_m"]
    backwards = carry(GOAL * [-1, -1, 1])
    assert bench.failed_gates(bench.candidate("a", backwards)) == ["relation_m"]
    still = np.repeat(np.eye(4)[None], STEPS, axis=0)
    assert bench.failed_gates(bench.candidate("a", still)) == ["relation_m"]
    hovering = carry(off(0, 0, 0.08))
    assert bench.failed_gates(bench.candidate("a", hovering)) == ["relation_m"]


def test_teleport(bench: Bench) -> None:
    poses = np.repeat(np.eye(4)[None], STEPS, axis=0)
    poses[20:] = carry(GOAL)[-1]
    assert "step_m" in bench.failed_gates(bench.candidate("a", poses))
    near = np.repeat(np.eye(4)[None], STEPS, axis=0)
    near[20:, :3, 3] = 0.05 * direction_vector(Direction.LEFT, EYE, TABLE)
    task = TaskSpec("", Motion.MOVE, ON.target, Direction.LEFT)
    assert "step_share" in bench.failed_gates(bench.candidate("a", near), task)


def test_jumping_rotation(bench: Bench) -> None:
    poses = carry(GOAL)
    poses[25:, :3, :3] = se3.exp_so3([0, 0, 1.2])
    middle = bench.points.mean(axis=0)
    poses[25:, :3, 3] += middle - se3.exp_so3([0, 0, 1.2]) @ middle
    assert "turn_rad" in bench.failed_gates(bench.candidate("a", poses))


def test_growing_and_melting(bench: Bench) -> None:
    flow = bench.flow(carry(GOAL))
    middle = flow.points.mean(axis=1, keepdims=True)
    factor = (1 + 0.3 * ease())[:, None, None].astype(np.float32)
    grown = replace(flow, points=(flow.points - middle) * factor + middle)
    candidate = bench.candidate("a", carry(GOAL), flow=grown)
    assert {"rigidity_m", "scale"} & set(bench.failed_gates(candidate))
    noise = np.random.default_rng(1).normal(0, 0.02, flow.points.shape) * ease()[:, None, None]
    melted = replace(flow, points=(flow.points + noise).astype(np.float32))
    assert "rigidity_m" in bench.failed_gates(bench.candidate("a", carry(GOAL), flow=melted))


def test_a_thing_that_gets_longer(bench: Bench) -> None:
    """Its flow is rigid, as lifted: only what the lifter saw of the pixels tells."""
    longer = bench.candidate("a", carry(GOAL), stats={"stretch": 0.04})
    assert bench.failed_gates(longer) == ["stretch"]
    for told in ({}, {"stretch": 0.01}, {"stretch": -0.03}, {"stretch": float("nan")}):
        assert not bench.failed_gates(bench.candidate("a", carry(GOAL), stats=told))


def test_wrong_object_moves(bench: Bench) -> None:
    other = bench.grounding.objects[2]
    points = bench.grounding.points(bench.scene, other)[::5]
    moved = bench.flow(carry(GOAL), points)
    assert bench.failed_gates(bench.candidate("a", carry(GOAL), flow=moved)) == ["start"]


def test_drifting_camera_and_sinking(bench: Bench) -> None:
    drifting = bench.candidate("a", carry(GOAL), stats={"background_motion_px": 30.0})
    assert bench.failed_gates(drifting) == ["background_px"]
    sinking = bench.candidate("a", carry(GOAL, rise_m=-0.06))
    assert bench.failed_gates(sinking) == ["below_support_m"]


def test_vanishing_points(bench: Bench) -> None:
    flow = bench.flow(carry(GOAL))
    visible = flow.visible.copy()
    visible[30:, 40:] = False
    gone = bench.candidate("a", carry(GOAL), flow=replace(flow, visible=visible))
    assert bench.failed_gates(gone) == ["support"]
    visible[30:] = False
    gone = bench.candidate("a", carry(GOAL), flow=replace(flow, visible=visible))
    assert bench.failed_gates(gone) == ["hidden_steps"]


@pytest.mark.parametrize(("count", "failed"), [(6, []), (7, ["hidden_steps"])])
def test_a_hidden_moment_is_allowed_and_a_long_one_is_not(bench: Bench, count, failed) -> None:
    flow = bench.flow(carry(GOAL))
    visible = flow.visible.copy()
    visible[20 : 20 + count] = False
    hidden = bench.candidate("a", carry(GOAL), flow=replace(flow, visible=visible))
    assert bench.failed_gates(hidden) == failed


def test_pushing_must_not_fly(bench: Bench) -> None:
    task = TaskSpec("", Motion.PUSH, ON.target, Direction.LEFT)
    way = 0.12 * direction_vector(Direction.LEFT, EYE, TABLE)
    assert bench.failed_gates(bench.candidate("a", carry(way, rise_m=0.0)), task) == []
    assert bench.failed_gates(bench.candidate("a", carry(way)), task) == ["slide_m"]


def test_unlifted_and_foreign_candidates(bench: Bench) -> None:
    lost = FlowCandidate("a", "scene", Code.TRACKS_TOO_FEW, "3 tracks", None, "", "")
    assert bench.failed_gates(lost) == ["lifted"]
    foreign = bench.candidate("a", carry(GOAL), scene_id="another")
    assert bench.failed_gates(foreign) == ["lifted"]


def test_what_the_robot_cannot_do_is_rejected(bench: Bench) -> None:
    candidates = [bench.candidate(n, carry(GOAL)) for n in ("a", "b")]
    answers = [
        CandidateFeasibility("a", True, Code.IK_FAILED, "no IK at step 12", 0.0),
        CandidateFeasibility("b", True, Code.OK, "", 0.9),
    ]
    choice = Critic().select(bench.scene, bench.grounding, candidates, answers)
    assert choice.candidate_id == "b"
    assert choice.scores[0].gates[-1].reason == "no IK at step 12"


def test_a_coherent_wrong_majority_does_not_win(bench: Bench) -> None:
    wrong = [bench.candidate(f"w{i}", carry(off(0.1, 0.0, 0.0))) for i in range(7)]
    candidates = [*wrong[:4], bench.candidate("right", carry(GOAL)), *wrong[4:]]
    choice = Critic().select(bench.scene, bench.grounding, candidates, [])
    assert choice.candidate_id == "right"


def test_consensus_breaks_ties_only(bench: Bench) -> None:
    ends = [GOAL, off(0.001, 0, 0), off(0, 0.009, 0)]
    candidates = [bench.candidate(f"c{i}", carry(end)) for i, end in enumerate(ends)]
    choice = Critic().select(bench.scene, bench.grounding, candidates, [])
    assert choice.candidate_id in ("c0", "c1")


def test_none_valid_is_a_verdict_with_counts_and_no_candidates_an_error(bench: Bench) -> None:
    wrong = [bench.candidate(f"w{i}", carry(off(0.1, 0.0, 0.0))) for i in range(2)]
    lost = FlowCandidate("l", "scene", Code.LIFT_DIVERGED, "it jumps", None, "", "")
    choice = Critic().select(bench.scene, bench.grounding, [*wrong, lost], [])
    assert choice.candidate_id is None
    with pytest.raises(SelectionError, match="2 by 'relation_m', 1 by 'lifted'") as caught:
        choice.require()
    assert caught.value.code is Code.NO_VALID_CANDIDATE
    with pytest.raises(SelectionError) as caught:
        Critic().select(bench.scene, bench.grounding, [], [])
    assert caught.value.code is Code.NO_CANDIDATES


@pytest.fixture(scope="module")
def ends(bench: Bench) -> dict[str, np.ndarray]:
    """Last frames of videos that share one flow and differ in what they show."""
    done = CUP.moved(carry(GOAL)[-1])
    solids = {
        "honest": {**SOLIDS, "cup": done},
        "vanished": {"plate": PLATE, "can": CAN},
        "copied": {**SOLIDS, "again": done},
        "other_moved": {**SOLIDS, "cup": done, "can": CAN.at(0.35, -0.05)},
    }
    return {name: toy_scene.render(shown)[0].color for name, shown in solids.items()}


@pytest.mark.parametrize(
    ("name", "gates"),
    [
        ("honest", []),
        ("dimmed", []),
        ("vanished", ["present"]),
        ("copied", ["left"]),
        ("other_moved", ["others_changed"]),
    ],
)
def test_the_pixels_are_looked_at(
    bench: Bench, ends: dict, tmp_path, name: str, gates: list
) -> None:
    last = ends["honest"] if name == "dimmed" else ends[name]
    if name == "dimmed":
        last = (last * 0.85).astype(np.uint8)
    frames = np.stack([bench.scene.main.color] * 8 + [last] * 4)
    path = tmp_path / "candidate.mp4"
    write_mp4(Video(frames, 16.0), path)
    candidate = bench.candidate("a", carry(GOAL), video_uri=path.as_uri())
    assert bench.failed_gates(candidate) == gates


def test_a_video_that_is_not_the_one_lifted_is_refused(bench: Bench, tmp_path) -> None:
    path = tmp_path / "candidate.mp4"
    write_mp4(Video(np.stack([bench.scene.main.color] * 6), 16.0), path)
    wrong = hashlib.sha256(b"something else").hexdigest()
    candidate = bench.candidate("a", carry(GOAL), video_uri=path.as_uri(), video_sha256=wrong)
    assert bench.failed_gates(candidate) == ["video"]
    path.unlink()
    assert bench.failed_gates(candidate) == ["video"]


def test_the_flow_image_shows_every_candidate_and_marks_the_chosen(bench: Bench, tmp_path) -> None:
    candidates = [
        bench.candidate("a", carry(off(0.1, 0, 0))),
        bench.candidate("b", carry(GOAL)),
        FlowCandidate("c", "scene", Code.TRACKS_TOO_FEW, "3 tracks", None, "", ""),
    ]
    choice = Critic().select(bench.scene, bench.grounding, candidates, [])
    image = draw_flow_image(bench.scene.main, ON.instruction, candidates, choice.scores, "b")
    assert image.dtype == np.uint8
    assert image.shape[1] == 3 * 480
    borders = image[200, [1, 481, 961]].tolist()
    assert borders[0] == borders[2] != borders[1]
    write_png(image, tmp_path / "deep" / "flow_image.png")
    assert (tmp_path / "deep" / "flow_image.png").stat().st_size > 10_000
    assert draw_flow_image(bench.scene.main, "", [], [], None).ndim == 3
