"""Pose of a rigid object from 2D tracks and first-frame depth, aligned to the pixels.

Tracks give a pose that survives large steps and outliers. The alignment compares each frame with
the object's first frame, moved by the pose over the known background, so that errors do not add up
and outlines count as well as texture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_core.camera import CameraModel
from novaflow_flowgen.core.warp import Surface, Warp, fill_nearest, forward_warp

Float = NDArray[np.float64]
Image32 = NDArray[np.float32]

INLIER_PX = 2.0
_BLUR_PX = 1.0
_HIDDEN_M = 0.010  # points this far behind the first frame's depth are taken as hidden
_MIN_SIGMA = 3.0  # grey levels; below this compression and interpolation rule
_TRACK_STD_PX = 1.0  # of a track between two frames, when it is weighed against the pixels
_TRACKS_PER_ERROR = 10.0  # neighbouring tracks share their errors
_CORRELATED_PX = 12.0  # pixels that share one independent error, after blur and compression


@dataclass(frozen=True)
class TrackFit:
    """Pose from tracks.

    Attributes:
        T_camera_motion: (4, 4) motion of the object's points in the optical frame.
        inliers: (P,) bool.
        points: (P, 3) that it was fitted to, at that motion [m].
    """

    T_camera_motion: Float
    inliers: NDArray[np.bool_]
    points: Float


def fit_tracks(
    points: Float, pixels: Float, model: CameraModel, guess: Float, seed: int = 0
) -> TrackFit | None:
    """PnP with RANSAC and a last Levenberg-Marquardt step over the inliers.

    Args:
        points: (P, 3) [m], optical frame of the first image.
        pixels: (P, 2) where they are now [px].
        model: Intrinsics.
        guess: (4, 4) motion to start from.
        seed: Of the sampling, so that the same tracks give the same pose.

    Returns:
        None when too few points agree.
    """
    if len(points) < 6:
        return None
    cv2.setRNGSeed(seed)
    rotation: Any
    translation: Any
    rotation, translation = cv2.Rodrigues(guess[:3, :3])[0], guess[:3, 3:].copy()
    ok, rotation, translation, index = cv2.solvePnPRansac(
        points, pixels, model.matrix, None, rvec=rotation, tvec=translation, useExtrinsicGuess=True,
        iterationsCount=120, reprojectionError=INLIER_PX, flags=cv2.SOLVEPNP_ITERATIVE,
    )  # fmt: skip
    if not ok or index is None or len(index) < 6:
        return None
    used = index.ravel()
    rotation, translation = cv2.solvePnPRefineLM(
        points[used], pixels[used], model.matrix, None, rotation, translation
    )
    motion = se3.from_rt(cv2.Rodrigues(rotation)[0], translation.ravel())
    error = np.linalg.norm(model.project(se3.apply(motion, points)) - pixels, axis=1)
    inliers = error < INLIER_PX
    if inliers.sum() < 6:
        return None
    return TrackFit(motion, inliers, se3.apply(motion, points))


@dataclass(frozen=True)
class Alignment:
    """Pose aligned to a frame's pixels.

    Attributes:
        T_camera_motion: (4, 4).
        correlation: -1..1 between the moved object and the frame; 1 is the same picture.
        seen_share: Share of the object's pixels that are neither hidden nor contradicted.
        point_std_m: Standard deviation of the worst object point, from the pixels' own scatter.
        weight: (h, w) of each pixel of the warp's region, 0..1.
        warp: The object at this pose.
        cost: Mean robust misfit, and how far it strays from the tracks.
    """

    T_camera_motion: Float
    correlation: float
    seen_share: float
    point_std_m: float
    weight: Image32
    warp: Warp
    cost: float


class PixelAligner:
    """Aligns one object, cut from the first frame, to later frames."""

    def __init__(
        self,
        first: NDArray[np.uint8],
        surface: Surface,
        depth_behind: Image32,
        mask: NDArray[np.bool_],
        model: CameraModel,
    ) -> None:
        """Take the first frame apart.

        Args:
            first: (H, W) grey image.
            surface: The object's pixels and points.
            depth_behind: (H, W) [m] of everything else; very large where unknown.
            mask: (H, W) the object.
            model: Intrinsics.
        """
        self._first = first.astype(np.float32)
        self._surface, self._model = surface, model
        self._depth_behind = depth_behind
        self._behind = self._first.copy()
        self._known = cv2.dilate(mask.astype(np.uint8), np.ones((7, 7), np.uint8)) == 0
        pick = slice(None, None, max(1, len(surface.points) // 40))
        self._probes = surface.points[pick]
        self._centre = surface.points.mean(axis=0)

    def align(
        self,
        frame: NDArray[np.uint8],
        guess: Float,
        fit: TrackFit | None = None,
        iterations: int = 5,
    ) -> Alignment | None:
        """Align to a grey frame (H, W), starting from a motion.

        Args:
            frame: Grey image.
            guess: (4, 4) motion to start from.
            fit: Tracks that hold the directions which the pixels leave open; None: nothing but a
                weak prior does.
            iterations: At most.

        Returns:
            The motion that explains the frame best, None when nothing of the object can be
            compared.
        """
        hold = self._hold(fit, guess)
        first = self._step(frame, guess, hold, np.zeros(6), None)
        if first is None:
            return None
        # The scatter is measured once a frame, so that the costs of all trials compare.
        best, twist, sigma = first
        motion, travelled = guess, np.zeros(6)
        for _ in range(iterations):
            trial = self._motion_of(twist, motion) @ motion
            step = self._step(frame, trial, hold, travelled + twist, sigma)
            if step is None or step[0].cost > best.cost:
                twist = 0.35 * twist
            else:
                gain = best.cost - step[0].cost
                motion, travelled = trial, travelled + twist
                best, twist, _ = step
                if gain < 1e-3 * best.cost:
                    break
            if np.abs(twist[:3]).max() < 1e-4 and np.abs(twist[3:]).max() < 1e-3:
                break
        return best

    def _hold(self, fit: TrackFit | None, guess: Float) -> Float:
        """Information (6, 6) of the guess about the object's centre, per metre and radian."""
        weak = np.diag([1 / 0.03**2] * 3 + [1 / 0.3**2] * 3)
        if fit is None:
            return weak
        p = fit.points[fit.inliers]
        arm = p - se3.apply(guess, self._centre)
        f, z = self._model.fx, p[:, 2]
        zero = np.zeros_like(z)
        rows = [
            np.stack([f / z, zero, -f * p[:, 0] / z**2], -1),
            np.stack([zero, f / z, -f * p[:, 1] / z**2], -1),
        ]
        design = np.concatenate([np.hstack([g, np.cross(arm, g)]) for g in rows])
        return np.asarray(weak + design.T @ design / (_TRACK_STD_PX**2 * _TRACKS_PER_ERROR))

    def learn_background(self, frame: NDArray[np.uint8], warp: Warp) -> None:
        """Remember what a frame shows where the object stood at first and now no longer is."""
        covered = np.zeros(self._known.shape, np.uint8)
        covered[warp.window] = warp.alpha > 0.05
        free = cv2.dilate(covered, np.ones((9, 9), np.uint8)) == 0
        new = free & ~self._known
        if new.any():
            self._behind[new] = frame[new]
            self._known |= new

    def _motion_of(self, twist: Float, motion: Float) -> Float:
        """Motion (4, 4) of a twist about the object's present centre."""
        centre = se3.apply(motion, self._centre)
        rotation = se3.exp_so3(twist[3:6])
        return se3.from_rt(rotation, centre - rotation @ centre + twist[:3])

    def _step(
        self,
        frame: NDArray[np.uint8],
        motion: Float,
        hold: Float,
        travelled: Float,
        sigma: float | None,
    ) -> tuple[Alignment, Float, float] | None:
        warp = forward_warp(self._surface, motion, self._model)
        if warp is None:
            return None
        window = warp.window
        now = _blurred(frame[window])
        covered = warp.alpha > 0.5
        near = cv2.dilate(covered.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        depth = fill_nearest(warp.depth, covered) if covered.any() else warp.depth
        hidden = depth > self._depth_behind[window] + _HIDDEN_M
        hidden = cv2.dilate(hidden.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        alpha = np.where(hidden, 0.0, warp.alpha)
        model_image = alpha * warp.sample(self._first) + (1 - alpha) * self._behind[window]
        usable = near & ~hidden & ((warp.alpha > 0.99) | self._known[window])
        if usable.sum() < 60:
            return None
        model_image = _blurred(model_image)
        gain, bias = _match_tones(model_image[usable], now[usable])
        expected = gain * model_image + bias
        residual = (now - expected)[usable].astype(float)
        slope = 0.5 * (_gradient(expected) + _gradient(now))[usable].astype(float)
        if sigma is None:
            sigma = max(1.4826 * float(np.median(abs(residual))), _MIN_SIGMA)
        weight = (1 - np.minimum(np.abs(residual) / (5.0 * sigma), 1.0) ** 2) ** 2

        jacobian = self._jacobian(np.nonzero(usable), depth[usable], slope, warp, motion)
        design = np.hstack([jacobian, expected[usable][:, None] / 100.0, np.ones((len(slope), 1))])
        weighted = design * weight[:, None]
        noise = sigma**2 * _CORRELATED_PX
        prior = np.zeros((8, 8))
        prior[:6, :6] = noise * hold
        normal = weighted.T @ design + prior + 1e-9 * np.eye(8)
        pull = np.concatenate([prior[:6, :6] @ travelled, [0.0, 0.0]])
        solution = np.linalg.solve(normal, weighted.T @ residual - pull)
        covariance = np.linalg.inv(normal) * noise
        shown = usable & covered
        full = np.zeros(usable.shape, np.float32)
        full[usable] = weight
        alignment = Alignment(
            motion,
            _correlation(expected[shown], now[shown], full[shown]),
            float((full[covered] > 0.1).mean()) if covered.any() else 0.0,
            self._point_std(covariance[:6, :6], motion),
            full,
            warp,
            self._cost(weight, covered.sum(), travelled, hold),
        )
        return alignment, solution[:6], sigma

    def _jacobian(
        self,
        where: tuple[NDArray[np.int64], ...],
        depth: Image32,
        slope: Float,
        warp: Warp,
        motion: Float,
    ) -> Float:
        """Change of the grey value (N, 6) per metre and radian of the object about its centre."""
        model = self._model
        v, u = where[0] + warp.roi[1], where[1] + warp.roi[0]
        z = depth.astype(float)
        x, y = (u - model.cx) / model.fx * z, (v - model.cy) / model.fy * z
        # The picture moves with the object, so the value at a fixed pixel changes against the
        # slope.
        gx, gy = -slope[:, 0] * model.fx / z, -slope[:, 1] * model.fy / z
        gz = -(gx * x + gy * y) / z
        g = np.stack([gx, gy, gz], -1)
        arm = np.stack([x, y, z], -1) - se3.apply(motion, self._centre)
        return np.hstack([g, np.cross(arm, g)])

    def _cost(self, weight: Float, covered: float, travelled: Float, hold: Float) -> float:
        """Mean robust misfit; incomparable pixels count half, so that hiding does not pay."""
        missing = max(float(covered) - len(weight), 0.0)
        misfit = ((1 - weight).sum() + 0.5 * missing) / (len(weight) + missing)
        return float(misfit + 0.1 * (travelled @ hold @ travelled) / len(weight))

    def _point_std(self, covariance: Float, motion: Float) -> float:
        arms = se3.apply(motion, self._probes) - se3.apply(motion, self._centre)
        design = np.concatenate(
            [np.broadcast_to(np.eye(3), (len(arms), 3, 3)), -se3.hat(arms)], axis=2
        )
        spread = np.einsum("pij,jk,pik->p", design, covariance, design)
        return float(np.sqrt(max(spread.max(), 0.0)))


def _match_tones(model: Image32, now: Image32) -> tuple[float, float]:
    """Gain and bias from the model's grey values to the frame's; occluders have no say."""
    gain, bias = 1.0, float(np.median(now - model))
    for _ in range(4):
        residual = now - gain * model - bias
        scale = max(4.0 * 1.4826 * float(np.median(np.abs(residual))), 12.0)
        weight = (1 - np.minimum(np.abs(residual) / scale, 1.0) ** 2) ** 2
        total = max(float(weight.sum()), 1e-6)
        mean_m, mean_n = float((weight * model).sum()) / total, float((weight * now).sum()) / total
        spread = float((weight * (model - mean_m) ** 2).sum()) / total
        shared = float((weight * (model - mean_m) * (now - mean_n)).sum()) / total
        # Little contrast says little about the gain: pulled to 1 by what noise alone would explain.
        gain = float(np.clip((shared + 20.0) / (spread + 20.0), 0.5, 1.6))
        bias = mean_n - gain * mean_m
    return gain, bias


def _blurred(image: NDArray[Any]) -> Image32:
    return np.asarray(cv2.GaussianBlur(image.astype(np.float32), (0, 0), _BLUR_PX), np.float32)


def _gradient(image: Image32) -> Image32:
    return np.dstack(
        [cv2.Scharr(image, cv2.CV_32F, 1, 0) / 32, cv2.Scharr(image, cv2.CV_32F, 0, 1) / 32]
    )


def _correlation(a: Image32, b: Image32, weight: Image32) -> float:
    """Correlation of the pixels that are not contradicted; those are counted by the share seen."""
    total = float(weight.sum())
    if total < 30:
        return 0.0
    a = a - (a * weight).sum() / total
    b = b - (b * weight).sum() / total
    # A little noise in the norm: a patch without texture must not divide by zero.
    power_a, power_b = (weight * a * a).sum() / total + 1, (weight * b * b).sum() / total + 1
    return float((weight * a * b).sum() / total / np.sqrt(power_a * power_b))
