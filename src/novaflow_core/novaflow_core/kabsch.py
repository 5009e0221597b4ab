"""Rigid pose from corresponding points, robust against points that moved otherwise.

Minimises `sum_k w_k rho(|T @ source_k - target_k|)` by iteratively re-weighted Kabsch: first with
`rho(r) = r`, which outliers pull on but do not own, then with Tukey's biweight, which forgets them.
The plain sum of squares errs by centimetres when a fifth of the tracks are wrong.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from novaflow_core import se3
from novaflow_core.errors import Code, ShapeError, TrackingError
from novaflow_core.flow import ObjectFlow

Float = NDArray[np.float64]

MIN_SUPPORT = 6
_ABSOLUTE_ITERATIONS = 8
_BIWEIGHT_ITERATIONS = 10
_BIWEIGHT_WIDTH = 4.685  # 95 % efficiency for Gaussian noise
_SCALE_FLOOR_M = 2e-4  # below the best tracks' noise, so that perfect data is no special case
_SETTLED_M = 1e-7
_MIN_SPREAD_M = 1e-3  # of the second principal axis: points on a line do not fix a rotation


@dataclass(frozen=True)
class RigidFit:
    """A rigid motion between two point sets.

    Attributes:
        T: (4, 4); `target ~ T @ source`.
        residual_m: RMS distance of the points that agree [m].
        support: Number of points that agree.
        agrees: (K,) which points agree.
    """

    T: Float
    residual_m: float
    support: int
    agrees: NDArray[np.bool_]


@dataclass(frozen=True)
class SequenceFit:
    """The rigid motion of a flow, step by step.

    Attributes:
        poses: (T, 4, 4) in the flow's frame; `points[t] ~ poses[t] @ points[0]`; poses[0] is the
            identity.
        residual_m: (T,) RMS distance of the points that agree [m].
        support: (T,) number of points that agree.
        share: (T,) support over the number of points that were visible; 0 where none was.
    """

    poses: Float
    residual_m: Float
    support: NDArray[np.int64]
    share: Float


def fit_rigid(
    source: ArrayLike,
    target: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    min_support: int = MIN_SUPPORT,
) -> RigidFit:
    """Fit one rigid motion.

    Args:
        source: (K, 3) [m]; rows with NaN are left out.
        target: (K, 3) [m], corresponding; rows with NaN are left out.
        weights: (K,) at least 0; None: all 1.
        min_support: Fewest points that must agree.

    Raises:
        TrackingError: POSE_SUPPORT_TOO_SMALL when too few points are given or agree, or when they
            lie on a line.
        ShapeError: If the arrays disagree.
    """
    a, b = np.asarray(source, float), np.asarray(target, float)
    w = np.ones(len(a)) if weights is None else np.asarray(weights, float)
    if a.ndim != 2 or a.shape[1:] != (3,) or a.shape != b.shape or w.shape != a.shape[:1]:
        raise ShapeError(f"source {a.shape}, target {b.shape}, weights {w.shape} disagree")
    poses, residual, agrees = _fit(a[None], b[None], w[None], min_support, "")
    return RigidFit(poses[0], float(residual[0]), int(agrees[0].sum()), agrees[0])


def fit_sequence(flow: ObjectFlow, min_support: int = MIN_SUPPORT) -> SequenceFit:
    """Fit the motion of a flow against its step 0, from visible points only.

    A step in which nothing was seen is fitted to where its points are thought to be, with a share
    of 0; where the flow does not say where they are, it cannot be fitted.

    Raises:
        TrackingError: POSE_SUPPORT_TOO_SMALL, naming the step and the numbers.
    """
    points = flow.points.astype(float)
    unseen = np.asarray(~flow.visible.any(axis=1))
    usable = (flow.visible | unseen[:, None]) & flow.visible[:1]
    usable &= np.isfinite(points).all(axis=2)
    usable &= usable[:1]
    weights = np.where(usable, np.maximum(flow.confidence, 1e-3), 0.0).astype(float)
    poses, residual, agrees = _fit(
        np.broadcast_to(points[:1], points.shape), points, weights, min_support, "step {}: "
    )
    support = agrees.sum(axis=1)
    poses[0] = np.eye(4)
    share = np.where(unseen, 0.0, support / np.maximum(usable.sum(axis=1), 1))
    return SequenceFit(poses, residual, support, share)


def _fit(
    source: Float, target: Float, weights: Float, min_support: int, place: str
) -> tuple[Float, Float, NDArray[np.bool_]]:
    """Fit a batch (B, K, 3): poses (B, 4, 4), residuals (B,) [m], agrees (B, K)."""
    valid = np.isfinite(source).all(axis=2) & np.isfinite(target).all(axis=2)
    valid &= np.isfinite(weights) & (weights > 0)
    counts = valid.sum(axis=1)
    _demand(counts, valid.shape[1], min_support, place, "points are visible")
    a = np.where(valid[..., None], source, 0.0)
    b = np.where(valid[..., None], target, 0.0)
    w = np.where(valid, weights, 0.0)
    robust = w
    poses = _kabsch(a, b, robust)
    distance = _distance(poses, a, b)
    for i in range(_ABSOLUTE_ITERATIONS + _BIWEIGHT_ITERATIONS):
        scale = np.maximum(_median(distance, valid) * 1.4826, _SCALE_FLOOR_M)[:, None]
        if i < _ABSOLUTE_ITERATIONS:
            robust = w / np.maximum(distance, 0.3 * scale)
        else:
            ratio = np.minimum(distance / (_BIWEIGHT_WIDTH * scale), 1.0)
            robust = w * (1.0 - ratio**2) ** 2
        poses = _kabsch(a, b, robust)
        before, distance = distance, _distance(poses, a, b)
        settled = np.abs(distance - before).max() < _SETTLED_M
        if settled and (i >= _ABSOLUTE_ITERATIONS or distance.max() < _SCALE_FLOOR_M):
            break
    scale = np.maximum(_median(distance, valid) * 1.4826, _SCALE_FLOOR_M)[:, None]
    agrees = valid & (distance <= 3.0 * scale)
    _demand(agrees.sum(axis=1), counts, min_support, place, "visible points agree")
    _demand_spread(a, agrees, place)
    squares = np.where(agrees, distance, 0.0) ** 2
    return poses, np.sqrt(squares.sum(axis=1) / agrees.sum(axis=1)), agrees


def _kabsch(a: Float, b: Float, w: Float) -> Float:
    total = np.maximum(w.sum(axis=1), 1e-12)[:, None]
    centre_a = np.einsum("bk,bkd->bd", w, a) / total
    centre_b = np.einsum("bk,bkd->bd", w, b) / total
    spread = np.matmul(
        np.swapaxes((a - centre_a[:, None]) * w[..., None], 1, 2), b - centre_b[:, None]
    )
    u, _, v_t = np.linalg.svd(spread)
    v, u_t = np.swapaxes(v_t, 1, 2), np.swapaxes(u, 1, 2)
    # A reflection fits flat objects as well as the rotation does: keep the rotation.
    v[:, :, 2] *= np.sign(np.linalg.det(v @ u_t))[:, None]
    rotation = v @ u_t
    return se3.from_rt(rotation, centre_b - np.einsum("bij,bj->bi", rotation, centre_a))


def _distance(poses: Float, a: Float, b: Float) -> Float:
    moved = a @ np.swapaxes(poses[:, :3, :3], 1, 2) + poses[:, None, :3, 3]
    return np.asarray(np.linalg.norm(moved - b, axis=2))


def _median(values: Float, valid: NDArray[np.bool_]) -> Float:
    # np.nanmedian does the same through masked arrays, in ten times as long
    ranked = np.sort(np.where(valid, values, np.inf), axis=1)
    count = valid.sum(axis=1)
    rows = np.arange(len(ranked))
    return np.asarray(0.5 * (ranked[rows, (count - 1) // 2] + ranked[rows, count // 2]))


def _demand(
    have: NDArray[np.int64],
    of: NDArray[np.int64] | int,
    min_support: int,
    place: str,
    what: str,
) -> None:
    need = max(min_support, 3)
    worst = int(np.argmin(have))
    if have[worst] < need:
        total = int(np.broadcast_to(of, have.shape)[worst])
        raise TrackingError(
            Code.POSE_SUPPORT_TOO_SMALL,
            f"{place.format(worst)}{int(have[worst])} of {total} {what}; a pose needs {need}",
            {"step": worst, "support": int(have[worst]), "points": total, "needed": need},
        )


def _demand_spread(a: Float, agrees: NDArray[np.bool_], place: str) -> None:
    w = agrees[..., None].astype(float)
    count = w.sum(axis=1)
    centred = (a - ((a * w).sum(axis=1) / count)[:, None]) * w
    covariance = np.matmul(np.swapaxes(centred, 1, 2), centred) / count[..., None]
    second = np.sqrt(np.maximum(np.linalg.eigvalsh(covariance)[:, 1], 0.0))
    worst = int(np.argmin(second))
    if second[worst] < _MIN_SPREAD_M:
        raise TrackingError(
            Code.POSE_SUPPORT_TOO_SMALL,
            f"{place.format(worst)}the {int(count[worst, 0])} points that agree lie within "
            f"{1e3 * second[worst]:.2f} mm of a line; "
            f"a rotation needs {1e3 * _MIN_SPREAD_M:.0f} mm",
            {"step": worst, "spread_m": float(second[worst])},
        )
