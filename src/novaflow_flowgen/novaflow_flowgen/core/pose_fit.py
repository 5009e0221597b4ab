"""Pose of a rigid object, aligned to the pixels.

Tracks give a pose that survives large steps and outliers. The alignment compares each frame with
the object's first frame, moved by the pose over the known background, so that errors do not add up
and outlines count as well as texture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_core.camera import CameraModel
from novaflow_flowgen.core.object_template import AlignmentTemplate
from novaflow_flowgen.core.shading import Shading, fit_light
from novaflow_flowgen.core.track_fit import TrackFit
from novaflow_flowgen.core.unseen_sides import UnseenSides
from novaflow_flowgen.core.warp import Warp, forward_warp

Float = NDArray[np.float64]
Image32 = NDArray[np.float32]

_BLUR_PX = 1.0
_SHRUNK_BLUR_PX = 0.6  # an image that was shrunk is smooth already
_HIDDEN_M = 0.010  # points this far behind the first frame's depth are taken as hidden
_MIN_SIGMA = 3.0  # grey levels; below this compression and interpolation rule
_SHIFT_PX = 0.5  # by which what is expected may lie beside what is seen, pixel by pixel
_CUT = 3.0  # scatters from what is expected at which a pixel shows something else
_SCATTER_GROWTH = 1.05  # of one frame's scatter over the last's, at most
_TRACK_STD_PX = 1.0  # of a track between two frames, when it is weighed against the pixels
# Neighbouring tracks share their errors, and those of one frame are passed on to the next.
_TRACKS_PER_ERROR = 150.0
_CORRELATED_PX = 12.0  # pixels that share one independent error, after blur and compression
_SHRUNK_CORRELATED_PX = 5.0
_TONE_SAMPLES = 1000  # pixels that gain and bias are fitted to
_MIN_USABLE = 60
_SMALL_M, _SMALL_RAD = 5e-4, 5e-3  # steps of the alignment
_BOX3, _BOX5 = np.ones((3, 3), np.uint8), np.ones((5, 5), np.uint8)


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
        scatter: Of the grey values about what was expected.
        covariance: (6, 6) of x y z [m] of the object's centre and of rotations about it [rad], in
            the camera's axes.
        shade: (3,) light on turned surfaces.
    """

    T_camera_motion: Float
    correlation: float
    seen_share: float
    point_std_m: float
    weight: Image32
    warp: Warp
    cost: float
    scatter: float
    covariance: Float
    shade: Float


@dataclass(frozen=True)
class _Trial:
    """One pose compared with a frame; arrays (N,) are of the pixels that can be compared."""

    motion: Float
    warp: Warp
    covered: NDArray[np.bool_]
    index: NDArray[np.intp]  # of the pixels in the warp's flattened region
    expected: Image32
    now: Image32
    weight: Image32
    covariance: Float
    cost: float
    scatter: float
    shade: Float


class Look(NamedTuple):
    """An object as expected at a pose, and the frame in the same region, grey (h, w)."""

    warp: Warp
    expected: NDArray[np.uint8]
    now: NDArray[np.uint8]


class _Light(NamedTuple):
    """What lies between the first frame's grey values and this one's.

    Attributes:
        tones: Gain and bias.
        sigma: Scatter of the difference.
        shade: (3,) light on turned surfaces, see `shading`.
    """

    tones: tuple[float, float]
    sigma: float
    shade: Float


class PixelAligner:
    """Aligns one object, cut from the first frame, to later frames."""

    def __init__(
        self, first: NDArray[np.uint8], template: AlignmentTemplate, track_share: float = 1.0
    ) -> None:
        """Take the first frame apart.

        Args:
            first: (h, w) grey image of the template's size.
            template: The object in it.
            track_share: Of the object's points, how many are tracked; the fewer there are, the
                farther apart they lie and the less they share their errors.
        """
        self._first = first.astype(np.float32)
        self._surface, self._model = template.surface, template.model
        self._depth_behind = template.depth_behind
        self._behind = self._first.copy()
        hole = cv2.dilate(template.mask.astype(np.uint8), np.ones((7, 7), np.uint8))
        self._known = hole == 0
        u, v, width, height = cv2.boundingRect(hole)
        self._hole = (slice(v, v + height), slice(u, u + width))
        self._learned = False
        self._scatter_most = np.inf
        points = template.surface.points
        self._probes = points[:: max(1, len(points) // 40)]
        self._centre = points.mean(axis=0)
        self._sides = UnseenSides(template.surface, template.model)
        self._shading = Shading(template.surface, template.model)
        self._shade = np.zeros(3)
        whole = template.shrink == 1
        self._blur_px = _BLUR_PX if whole else _SHRUNK_BLUR_PX
        self._correlated_px = _CORRELATED_PX if whole else _SHRUNK_CORRELATED_PX
        model = template.model
        self._ray_u = ((np.arange(model.width) - model.cx) / model.fx).astype(np.float32)
        self._ray_v = ((np.arange(model.height) - model.cy) / model.fy).astype(np.float32)
        # In units of the shrunk image a track's error is smaller.
        shared = max(_TRACKS_PER_ERROR * track_share, 1.0)
        self._track_variance = (_TRACK_STD_PX / template.shrink) ** 2 * shared

    def align(
        self,
        frame: NDArray[np.uint8],
        guess: Float,
        fit: TrackFit | None = None,
        iterations: int = 5,
    ) -> Alignment | None:
        """Align to a grey frame (h, w), starting from a motion.

        Args:
            frame: Grey image of the template's size.
            guess: (4, 4) motion to start from.
            fit: Tracks that hold the directions which the pixels leave open; None: nothing but a
                weak prior does.
            iterations: At most.

        Returns:
            The motion that explains the frame best, None when nothing of the object can be
            compared.
        """
        hold = self._hold(fit, guess)
        first = self._try(frame, guess, hold, np.zeros(6), None)
        if first is None:
            return None
        best, twist, light = first
        travelled = np.zeros(6)
        for _ in range(iterations):
            motion = self._motion_of(twist, best.motion) @ best.motion
            step = self._try(frame, motion, hold, travelled + twist, light)
            if step is None or step[0].cost > best.cost:
                twist = 0.35 * twist
            else:
                gain = best.cost - step[0].cost
                travelled = travelled + twist
                best, twist, light = step
                if gain < 1e-3 * best.cost:
                    break
            if np.abs(twist[:3]).max() < _SMALL_M and np.abs(twist[3:]).max() < _SMALL_RAD:
                # So small a step is as good as its linear model: taken without looking again.
                return self._alignment(best, self._motion_of(twist, best.motion) @ best.motion)
        return self._alignment(best, best.motion)

    def look(self, frame: NDArray[np.uint8], motion: Float) -> Look | None:
        """Draw the object at a motion (4, 4), lit as a grey frame (h, w) is.

        Returns:
            None when too little of it lies inside the image.
        """
        warp = forward_warp(self._surface, motion, self._model)
        if warp is None:
            return None
        shown = warp.sample(self._first)
        behind = self._behind[warp.window]
        expected = behind + warp.alpha * (shown - behind)
        now = frame[warp.window]
        index = np.flatnonzero(warp.alpha > 0.99)
        if len(index) < _MIN_USABLE:
            return None
        seen = now.ravel()[index].astype(np.float32)
        gain, bias = _match_tones(expected.ravel()[index].astype(np.float32), seen, None)
        tinted = np.clip(gain * expected + bias, 0, 255).astype(np.uint8)
        return Look(warp, tinted, np.ascontiguousarray(now))

    @property
    def model(self) -> CameraModel:
        """Intrinsics of the template's size."""
        return self._model

    def learn_scatter(self, alignment: Alignment) -> None:
        """Bound the next frame's scatter by this one's.

        A guess that is off scatters much; were that taken for noise, what hides the object would
        no longer stand out, and would be followed.
        """
        self._scatter_most = _SCATTER_GROWTH * alignment.scatter
        self._shade = alignment.shade

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
        return np.asarray(weak + design.T @ design / self._track_variance)

    def learn_background(self, frame: NDArray[np.uint8], warp: Warp) -> None:
        """Remember what a frame shows where the object stood at first and now no longer is."""
        if self._learned:
            return
        rows, columns = self._hole
        known = self._known[self._hole]
        covered = np.zeros(known.shape, np.uint8)
        u0, v0, u1, v1 = warp.roi
        top, bottom = max(v0, rows.start), min(v1, rows.stop)
        left, right = max(u0, columns.start), min(u1, columns.stop)
        if top < bottom and left < right:
            there = warp.alpha[top - v0 : bottom - v0, left - u0 : right - u0] > 0.05
            covered[top - rows.start : bottom - rows.start, left - columns.start :][
                :, : right - left
            ] = there
        new = (cv2.dilate(covered, np.ones((9, 9), np.uint8)) == 0) & ~known
        self._behind[self._hole][new] = frame[self._hole][new]
        known |= new
        self._learned = bool(known.all())

    def _motion_of(self, twist: Float, motion: Float) -> Float:
        """Motion (4, 4) of a twist about the object's present centre."""
        centre = se3.apply(motion, self._centre)
        rotation = se3.exp_so3(twist[3:6])
        return se3.from_rt(rotation, centre - rotation @ centre + twist[:3])

    def _try(
        self,
        frame: NDArray[np.uint8],
        motion: Float,
        hold: Float,
        travelled: Float,
        known: _Light | None,
    ) -> tuple[_Trial, Float, _Light] | None:
        """Compare a pose with a frame: the trial, the twist (6,) to a better one, the light."""
        warp = forward_warp(self._surface, motion, self._model)
        if warp is None:
            return None
        window = warp.window
        covered = warp.alpha > 0.5
        near = cv2.dilate(covered.astype(np.uint8), _BOX5) > 0
        # Beyond the outline the object's depth is that of the nearest of its pixels.
        depth = np.where(covered, warp.depth, cv2.erode(warp.depth, _BOX5))
        hidden = near & (depth > self._depth_behind[window] + _HIDDEN_M)
        usable = near & ((warp.alpha > 0.99) | self._known[window])
        alpha = warp.alpha
        if hidden.any():
            hidden = cv2.dilate(hidden.astype(np.uint8), _BOX3) > 0
            alpha = np.where(hidden, np.float32(0), alpha)
            usable &= ~hidden
        usable &= ~self._sides.may_show(warp, motion)
        index = np.flatnonzero(usable)
        if len(index) < _MIN_USABLE:
            return None
        behind = self._behind[window]
        shown: Image32 = warp.sample(self._first)
        model_image = self._blurred(behind + alpha * (shown - behind))
        frame_image = self._blurred(frame[window].astype(np.float32))
        model, now = model_image.ravel()[index], frame_image.ravel()[index]
        tones, shade = known.tones if known else None, known.shade if known else self._shade
        change = self._shading.change(warp, motion, index)
        if change is None:
            tones = _match_tones(model, now, tones)
        else:
            thin = slice(None, None, max(1, len(model) // _TONE_SAMPLES))
            plain = model
            for _ in range(2 if known is None else 1):
                tones = _match_tones(_shaded(plain, change, shade), now, tones)
                shade = fit_light(plain[thin], now[thin], change[thin], tones, self._shade)
            model = _shaded(plain, change, shade)
            tones = _match_tones(model, now, tones)
        gain, bias = tones
        expected = gain * model + bias
        residual = now - expected
        design, slope = self._design(
            index, depth.ravel()[index], 0.5 * (gain * model_image + frame_image), warp, motion
        )
        design[6] = expected / 100.0
        design[7] = 1.0
        # Where the picture is steep, a fraction of a pixel makes a large difference of grey.
        steep = np.square(_SHIFT_PX * slope)
        # The scatter is measured once a frame, so that the costs of all trials compare.
        sigma = known.sigma if known else min(_scatter(residual, steep), self._scatter_most)
        trust = 1.0 / (1.0 + steep / sigma**2)
        weight = np.square(1 - np.minimum(np.square(residual) * trust / (_CUT * sigma) ** 2, 1.0))
        weighted = design * (weight * trust)
        noise = sigma**2 * self._correlated_px
        prior = np.zeros((8, 8))
        prior[:6, :6] = noise * hold
        normal = (weighted @ design.T).astype(float) + prior + 1e-9 * np.eye(8)
        pull = np.concatenate([prior[:6, :6] @ travelled, [0.0, 0.0]])
        inverse = np.linalg.inv(normal)
        twist = inverse @ (weighted @ residual - pull)
        cost = _cost(weight, int(np.count_nonzero(covered)), travelled, hold)
        trial = _Trial(
            motion, warp, covered, index, expected, now, weight, inverse[:6, :6] * noise, cost,
            min(_scatter(residual, steep), sigma), shade,
        )  # fmt: skip
        return trial, twist[:6], _Light(tones, sigma, shade)

    def _design(
        self,
        index: NDArray[np.intp],
        depth: Image32,
        image: Image32,
        warp: Warp,
        motion: Float,
    ) -> tuple[Image32, Image32]:
        """Change of the grey value (8, N) per metre and radian of the object about its centre.

        The last two rows are left for the tones. With it the picture's slope (N,) [grey levels/px].
        """
        model = self._model
        slope_u = (cv2.Scharr(image, cv2.CV_32F, 1, 0) / 32).ravel()[index]
        slope_v = (cv2.Scharr(image, cv2.CV_32F, 0, 1) / 32).ravel()[index]
        v, u = np.divmod(index, image.shape[1])
        ray_u, ray_v = self._ray_u[u + warp.roi[0]], self._ray_v[v + warp.roi[1]]
        centre = se3.apply(motion, self._centre).astype(np.float32)
        arm_x, arm_y = ray_u * depth - centre[0], ray_v * depth - centre[1]
        arm_z = depth - centre[2]
        out = np.empty((8, len(index)), np.float32)
        # The picture moves with the object, so the value at a fixed pixel changes against the
        # slope.
        gx = out[0] = slope_u * np.float32(-model.fx) / depth
        gy = out[1] = slope_v * np.float32(-model.fy) / depth
        gz = out[2] = -(gx * ray_u + gy * ray_v)
        out[3] = arm_y * gz - arm_z * gy
        out[4] = arm_z * gx - arm_x * gz
        out[5] = arm_x * gy - arm_y * gx
        return out, np.hypot(slope_u, slope_v)

    def _alignment(self, trial: _Trial, motion: Float) -> Alignment:
        covered = trial.covered.ravel()
        full = np.zeros(covered.shape, np.float32)
        full[trial.index] = trial.weight
        shown = covered[trial.index]
        return Alignment(
            motion,
            _correlation(trial.expected[shown], trial.now[shown], trial.weight[shown]),
            float((full[covered] > 0.1).mean()) if covered.any() else 0.0,
            self._point_std(trial.covariance, trial.motion),
            full.reshape(trial.covered.shape),
            trial.warp,
            trial.cost,
            trial.scatter,
            trial.covariance,
            trial.shade,
        )

    def _point_std(self, covariance: Float, motion: Float) -> float:
        arms = se3.apply(motion, self._probes) - se3.apply(motion, self._centre)
        design = np.concatenate(
            [np.broadcast_to(np.eye(3), (len(arms), 3, 3)), -se3.hat(arms)], axis=2
        )
        spread = np.einsum("pij,jk,pik->p", design, covariance, design)
        return float(np.sqrt(max(spread.max(), 0.0)))

    def _blurred(self, image: Image32) -> Image32:
        return np.asarray(cv2.GaussianBlur(image, (0, 0), self._blur_px), np.float32)


def _shaded(model: Image32, change: Image32, shade: Float) -> Image32:
    return np.asarray(model * (1 + change @ shade.astype(np.float32)), np.float32)


def _scatter(residual: Image32, steep: Image32) -> float:
    """Of grey values, where `steep` (N,) is the variance that the picture's slopes explain."""
    flat = np.abs(residual) / np.sqrt(1.0 + steep / _MIN_SIGMA**2)
    return max(1.4826 * _median(flat), _MIN_SIGMA)


def _cost(weight: Image32, covered: int, travelled: Float, hold: Float) -> float:
    """Mean robust misfit; incomparable pixels count half, so that hiding does not pay."""
    missing = max(covered - len(weight), 0)
    misfit = (len(weight) - float(weight.sum()) + 0.5 * missing) / (len(weight) + missing)
    return misfit + 0.1 * float(travelled @ hold @ travelled) / len(weight)


def _match_tones(
    model: Image32, now: Image32, tones: tuple[float, float] | None
) -> tuple[float, float]:
    """Gain and bias from the model's grey values to the frame's; occluders have no say.

    `tones` are those of a pose nearby, if there is one.
    """
    thin = slice(None, None, max(1, len(model) // _TONE_SAMPLES))
    model, now = model[thin], now[thin]
    gain, bias = tones or (1.0, _median(now - model))
    for _ in range(4 if tones is None else 2):
        residual = np.abs(now - gain * model - bias)
        scale = max(4.0 * 1.4826 * _median(residual), 12.0)
        weight = np.square(1 - np.square(np.minimum(residual / scale, 1.0)))
        total = max(float(weight.sum()), 1e-6)
        mean_m, mean_n = float(weight @ model) / total, float(weight @ now) / total
        centred = weight * (model - mean_m)
        spread = float(centred @ (model - mean_m)) / total
        shared = float(centred @ (now - mean_n)) / total
        # Little contrast says little about the gain: pulled to 1 by what noise alone would explain.
        gain = float(np.clip((shared + 20.0) / (spread + 20.0), 0.5, 1.6))
        bias = mean_n - gain * mean_m
    return gain, bias


def _median(values: Image32) -> float:
    """Upper median: NumPy's own costs more than the rest of a tone fit."""
    return float(np.partition(values, len(values) // 2)[len(values) // 2])


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
