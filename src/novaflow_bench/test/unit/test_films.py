"""Labelled videos: right ones end where they shall, wrong ones are wrong by what they say."""

from __future__ import annotations

import numpy as np
import pytest

from novaflow_bench.core.casting import MAJORITY, RIGHT, roles
from novaflow_bench.core.film import shoot
from novaflow_bench.core.stage import Ask, Stage
from novaflow_bench.core.ways import STEPS
from novaflow_bench.core.wrongs import FAR, KINDS, NEAR, SEVERITIES, right, wrong
from novaflow_core import se3, toy_scene
from novaflow_core.toy_scene import EYE, TABLE, Solid

CUP = Solid((0.08, 0.08, 0.095), is_round=True, wall=0.004).at(0.6, 0.1)
PLATE = Solid((0.16, 0.16, 0.008), is_round=True, colour=(220, 220, 190), texture=3).at(0.5, -0.15)
GOAL = np.array([-0.1, -0.25, 0.008])
TARGET = 2


class Backdrop:
    def __init__(self, solids: dict[str, Solid]) -> None:
        self._solids = solids

    def without(self, labels: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        kept = {n: s for k, (n, s) in enumerate(self._solids.items(), start=2) if k not in labels}
        view, _ = toy_scene.render(kept, noise_m=0.0)
        return view.color, view.depth


@pytest.fixture(scope="module")
def stage() -> Stage:
    solids = {"cup": CUP, "plate": PLATE}
    view, labels = toy_scene.render(solids, noise_m=0.0)
    ask = Ask(se3.from_rt(np.eye(3), GOAL), True, False, 0.05, 0.004, (0.0, 0.001), (0.045, 0.06))
    return Stage(
        "toy", view, "put the cup on the plate", view.color, view.depth, np.asarray(labels),
        TARGET, EYE, TABLE, ask, Backdrop(solids),
    )  # fmt: skip


def end_of(stage: Stage, motion: np.ndarray) -> np.ndarray:
    middle = stage.middle(TARGET)
    return se3.apply(motion, middle) - middle


def made(stage: Stage, kind: str, severity: str, seed: int) -> object:
    content, variation = np.random.default_rng([seed, 1]), np.random.default_rng([seed, 2])
    return wrong(kind, severity, stage, content, variation)


@pytest.mark.parametrize("seed", range(5))
def test_right_ways_end_at_the_goal_upright_and_never_dip(stage: Stage, seed: int) -> None:
    motions = right(stage, np.random.default_rng(seed)).mover.motions
    assert np.allclose(motions[0], np.eye(4)) and len(motions) == STEPS
    assert np.linalg.norm(end_of(stage, motions[-1]) - GOAL) < 0.006
    points = stage.points(TARGET)[::20]
    start = stage.support.height(points).min()
    assert all(stage.support.height(se3.apply(m, points)).min() > start - 1e-3 for m in motions)
    steps = np.linalg.norm(np.diff([end_of(stage, m) for m in motions], axis=0), axis=1)
    assert steps.max() < 0.06 and steps.max() < 0.25 * steps.sum()


def test_no_two_right_ways_are_alike(stage: Stage) -> None:
    first, second = (right(stage, np.random.default_rng(k)).mover.motions for k in (1, 2))
    assert np.abs(first - second).max() > 0.005


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("kind", ["wrong_place", "wrong_direction", "stops_short", "returns"])
def test_wrong_ends_are_clearly_off(stage: Stage, kind: str, severity: str) -> None:
    for seed in range(5):
        motions = made(stage, kind, severity, seed).mover.motions
        assert np.linalg.norm(end_of(stage, motions[-1]) - GOAL) > 0.035


@pytest.mark.parametrize(("severity", "least"), [(NEAR, 24.0), (FAR, 49.0)])
def test_leaning_ends_lean(stage: Stage, severity: str, least: float) -> None:
    motion = made(stage, "lean", severity, 0).mover.motions[-1]
    assert np.degrees(np.arccos(motion[2, 2])) > least


@pytest.mark.parametrize(("severity", "least"), [(NEAR, 0.03), (FAR, 0.07)])
def test_dips_go_below_the_table_and_end_right(stage: Stage, severity: str, least: float) -> None:
    motions = made(stage, "dip", severity, 0).mover.motions
    points = stage.points(TARGET)[::20]
    lowest = min(float(stage.support.height(se3.apply(m, points)).min()) for m in motions)
    assert lowest < -least
    assert np.linalg.norm(end_of(stage, motions[-1]) - GOAL) < 0.006


def test_teleports_jump_in_one_step(stage: Stage) -> None:
    motions = made(stage, "teleport", FAR, 0).mover.motions
    steps = np.linalg.norm(np.diff([end_of(stage, m) for m in motions], axis=0), axis=1)
    assert steps.max() > 0.9 * steps.sum()


def test_those_of_a_majority_are_wrong_alike_but_not_the_same(stage: Stage) -> None:
    cast = roles(stage, 1000)
    assert sum(not role.kind for role in cast) == RIGHT
    alike = [role.film(stage, 7).mover.motions for role in cast if role.like]
    assert len(alike) == MAJORITY
    ends = np.stack([end_of(stage, motions[-1]) for motions in alike])
    assert np.ptp(ends, axis=0).max() < 0.03
    assert all(np.abs(alike[0] - other).max() > 1e-3 for other in alike[1:])


def test_every_kind_shows_in_the_pixels(stage: Stage) -> None:
    honest = shoot(stage, right(stage, np.random.default_rng([0, 2])), np.random.default_rng(5))
    assert np.abs(honest.frames[0].astype(int) - stage.picture).mean() < 3.0
    for kind in KINDS:
        film = shoot(stage, made(stage, kind, FAR, 0), np.random.default_rng(5))
        difference = np.abs(film.frames.astype(int) - honest.frames).max(axis=(1, 2, 3))
        assert difference.max() > 60, kind
