"""Robust Kabsch: exact on clean data, unmoved by outliers, equivariant, honest about support."""

from __future__ import annotations

import numpy as np
import pytest

from novaflow_core import se3
from novaflow_core.errors import Code, TrackingError
from novaflow_core.flow import ObjectFlow
from novaflow_core.kabsch import fit_rigid, fit_sequence


def _cloud(random: np.random.Generator, count: int = 300) -> np.ndarray:
    corner, opposite = [0.45, 0.07, 0.0], [0.55, 0.13, 0.08]
    return random.uniform(corner, opposite, (count, 3))


def _pose(random: np.random.Generator) -> np.ndarray:
    return se3.from_rt(se3.exp_so3(random.normal(0, 0.7, 3)), random.normal(0, 0.2, 3))


def _errors(found: np.ndarray, true: np.ndarray, at: np.ndarray) -> tuple[float, float]:
    moved = se3.apply(found, at) - se3.apply(true, at)
    angle = se3.rotation_angle(found[:3, :3].T @ true[:3, :3])
    return float(np.linalg.norm(moved.mean(axis=0))), float(np.degrees(angle))


@pytest.mark.parametrize("seed", range(5))
def test_clean_points_give_the_exact_motion(seed: int) -> None:
    random = np.random.default_rng(seed)
    source, true = _cloud(random), _pose(random)
    fit = fit_rigid(source, se3.apply(true, source))
    np.testing.assert_allclose(fit.T, true, atol=1e-9)
    assert fit.support == len(source)
    assert fit.residual_m < 1e-9


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("coherent", [False, True])
def test_a_fifth_of_outliers_does_not_move_the_fit(seed: int, coherent: bool) -> None:
    random = np.random.default_rng(seed)
    source, true = _cloud(random, 500), _pose(random)
    target = se3.apply(true, source) + random.normal(0, 0.001, source.shape)
    wrong = random.permutation(500)[:100]
    target[wrong] += [0.08, 0.02, 0.0] if coherent else random.normal(0, 0.08, (100, 3))
    fit = fit_rigid(source, target)
    shift, angle = _errors(fit.T, true, source)
    assert shift < 5e-4
    assert angle < 0.5
    assert not fit.agrees[wrong].any() or fit.agrees[wrong].mean() < 0.05
    assert fit.residual_m < 0.003


def test_the_fit_does_not_depend_on_the_frame() -> None:
    random = np.random.default_rng(7)
    source, true = _cloud(random), _pose(random)
    target = se3.apply(true, source) + random.normal(0, 0.002, source.shape)
    target[:40] += random.normal(0, 0.05, (40, 3))
    move = _pose(random)
    here = fit_rigid(source, target).T
    there = fit_rigid(se3.apply(move, source), se3.apply(move, target)).T
    np.testing.assert_allclose(there, move @ here @ se3.inverse(move), atol=1e-6)


def test_weights_and_nan_rows_are_respected() -> None:
    random = np.random.default_rng(8)
    source, true = _cloud(random), _pose(random)
    target = se3.apply(true, source)
    target[:200] += 0.1  # the majority is wrong, but carries no weight
    weights = np.ones(len(source))
    weights[:200] = 0.0
    target[200:220] = np.nan
    source[220:230, 1] = np.nan
    fit = fit_rigid(source, target, weights)
    np.testing.assert_allclose(fit.T, true, atol=1e-9)
    assert fit.support == 70


def test_flat_objects_are_not_mirrored() -> None:
    random = np.random.default_rng(9)
    source = _cloud(random) * [1, 1, 0]
    true = _pose(random)
    fit = fit_rigid(source, se3.apply(true, source) + random.normal(0, 0.001, source.shape))
    assert np.linalg.det(fit.T[:3, :3]) == pytest.approx(1.0)
    assert _errors(fit.T, true, source)[1] < 0.5


def test_too_few_points_and_points_on_a_line_are_errors_with_numbers() -> None:
    random = np.random.default_rng(10)
    source = _cloud(random, 40)
    target = source.copy()
    target[5:] = np.nan
    with pytest.raises(TrackingError, match="5 of 40") as caught:
        fit_rigid(source, target)
    assert caught.value.code is Code.POSE_SUPPORT_TOO_SMALL
    line = np.outer(np.linspace(0, 0.1, 40), [1.0, 0.5, 0.2])
    with pytest.raises(TrackingError, match="line"):
        fit_rigid(line, line + 0.1)


def _flow(points: np.ndarray, visible: np.ndarray) -> ObjectFlow:
    return ObjectFlow(
        points=points.astype(np.float32),
        visible=visible,
        confidence=np.ones(visible.shape, np.float32),
        dt_s=1 / 16,
        frame_id="world",
    )


def test_a_sequence_is_fitted_step_by_step_from_visible_points() -> None:
    random = np.random.default_rng(11)
    source = _cloud(random, 256)
    steps = np.linspace(0, 1, 41)[:, None]
    true = se3.from_rt(se3.exp_so3(steps * [0.1, 0.2, 0.9]), steps * [0.2, -0.1, 0.1])
    points = np.stack([se3.apply(pose, source) for pose in true])
    points[1:] += random.normal(0, 0.001, points[1:].shape)
    visible = random.uniform(size=points.shape[:2]) < 0.8
    visible[0] = True
    points[~visible] += random.normal(0, 0.5, 3)  # what is not seen may be anything
    points[30, 10] = np.nan
    fit = fit_sequence(_flow(points, visible))
    np.testing.assert_array_equal(fit.poses[0], np.eye(4))
    for t in range(41):
        shift, angle = _errors(fit.poses[t], true[t], source)
        assert shift < 5e-4
        assert angle < 0.5
    assert (fit.support[1:] > 150).all()
    assert (fit.share > 0.9).all()


def test_a_step_without_support_is_named() -> None:
    random = np.random.default_rng(12)
    points = np.repeat(_cloud(random, 50)[None], 10, axis=0)
    visible = np.ones((10, 50), bool)
    visible[7, 3:] = False
    with pytest.raises(TrackingError, match=r"step 7: 3 of 50 points are visible"):
        fit_sequence(_flow(points, visible))


def test_a_step_that_shows_nothing_is_fitted_to_where_the_thing_is_thought_to_be() -> None:
    random = np.random.default_rng(13)
    points = np.stack([_cloud(random, 50)] * 10) + np.linspace(0, 0.1, 10)[:, None, None]
    visible = np.ones((10, 50), bool)
    visible[4:6] = False
    fit = fit_sequence(_flow(points, visible))
    np.testing.assert_allclose(fit.poses[:, 0, 3], np.linspace(0, 0.1, 10), atol=1e-4)
    np.testing.assert_array_equal(fit.share[4:6], 0.0)
    points[5] = np.nan
    with pytest.raises(TrackingError, match=r"step 5: 0 of 50 points are visible"):
        fit_sequence(_flow(points, visible))
