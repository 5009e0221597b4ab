"""Follows one rigid object through live colour and depth images, in a crop around it.

Pixels are followed by pyramidal Lucas-Kanade from image to image, which bears fast motion but
drifts; the pose that they and their depths give is therefore refined against the first view, drawn
where that pose puts the object. What the gripper hides becomes an outlier or is not followed; it is
taken up again where the pose says it must be, once depth and colour agree. Where the gripper has
taken the object along since the last image is a hint where to look, and nothing more. Where hand
and eye disagree, the whole picture decides: a pose that it contradicts was followed wrongly,
however well its few points agree.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_core.camera import CameraModel
from novaflow_core.errors import Code, PerceptionError, ShapeError, TrackingError
from novaflow_core.grounding import Grounding
from novaflow_core.kabsch import fit_rigid
from novaflow_core.scene import RgbdView, Scene
from novaflow_core.settings import setting
from novaflow_perception.core.appearance import Appearance, detail
from novaflow_perception.core.normals import normals_of
from novaflow_perception.core.pose_refinement import ImagePose, refine_pose
from novaflow_perception.core.registration import NewView, ObjectModel, aligned, fit_of, search

Float = NDArray[np.float64]
Mask = NDArray[np.bool_]
Gray = NDArray[np.uint8]

_LK_WINDOW = (17, 17)
_LK_LEVELS = 3
_LK_CRITERIA = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 12, 0.03)
_PAD_PX = 64
_DEPTH_AGREES_M = 0.012
_STRAYED_PX = 2.5
_FIND_MODEL_POINTS = 600
_SHOWN = 0.6  # of the window around a pixel must show the object
_CORRECTED_PX = 6.0
_LEAP_PX = 8.0  # a shorter way is found without a hint
_FIND_HINTED_EVERY = 3  # images between two searches where it is known where to look
_DOUBT_M = 0.006  # hand and eye farther apart disagree
_DOUBT_RAD = 0.1
_SURE = 0.85  # share of what is open; above, the eye is right whatever the hand says
_BETTER = 0.1  # by so much another pose must explain more to be taken instead
_NEAR_M, _NEAR_RAD = 0.03, 0.5  # farther from eye and hand it is not looked for
_CONTRADICTED = 0.5  # with less, a pose has been followed wrongly
_FOUND, _HIDDEN = 0.6, 0.7  # shares that a found pose needs: open points that agree; hidden at most


@dataclass(frozen=True)
class TrackerSettings:
    """Parameters of tracker_node; see each field's description."""

    points: int = setting(160, "pixels that are followed", low=20, high=2000)
    min_support: int = setting(10, "points that must agree with a pose", low=4, high=1000)
    max_residual_m: float = setting(
        0.008, "RMS distance of the points that agree", unit="m", low=0.0, high=0.1
    )
    max_step_m: float = setting(
        0.10, "largest motion from one image to the next", unit="m", low=0.0, high=1.0
    )
    forward_backward_px: float = setting(
        1.0, "how far a pixel may be off when it is followed back", unit="px", low=0.1, high=10.0
    )
    find_every: int = setting(
        10, "images between two searches for a lost object; 0: never", low=0, high=1000
    )
    find_reach_m: float = setting(
        0.06, "how far from its last place a lost object is searched", unit="m", low=0.0, high=0.5
    )


@dataclass(frozen=True)
class Track:
    """Where the object is.

    Attributes:
        pose: (4, 4) motion since the scene, planning frame: `p_now = pose @ p_scene`.
        covariance: (6, 6) of x y z [m^2] and of rotations about them [rad^2].
        visible: False: the pose is the last one seen.
        support: Points that agree with the pose.
    """

    pose: Float
    covariance: Float
    visible: bool
    support: int


class Carried(NamedTuple):
    """Where whatever carries the object would have taken it by the time of an image.

    Attributes:
        T_moved: (4, 4) motion since the scene, planning frame.
        carry: Which motion that is; only poses of one carry are compared with one another.
    """

    T_moved: Float
    carry: str


class ObjectTracker:
    """Tracks the target of a grounded scene; the camera must not move meanwhile."""

    def __init__(
        self, scene: Scene, grounding: Grounding, settings: TrackerSettings | None = None
    ) -> None:
        """Choose the points to follow.

        Raises:
            PerceptionError: TARGET_LOST when the target has too few points with depth.
        """
        self._settings = settings or TrackerSettings()
        self._support_plane = grounding.support
        view = scene.main
        mask = grounding.mask(grounding.target)
        self._T_planning_camera = view.T_planning_camera
        self._model: CameraModel = view.model
        self._pixels, self._points = _seeds(view, mask, self._settings.points)
        if len(self._points) < self._settings.min_support:
            raise PerceptionError(
                Code.TARGET_LOST,
                f"the target has {len(self._points)} points with depth to follow; "
                f"{self._settings.min_support} are needed",
            )
        self._appearance = Appearance(view, mask)
        self._shape = ObjectModel.from_view(view, mask, _FIND_MODEL_POINTS)
        normals = normals_of(self._shape.points, view.T_planning_camera[:3, 3])
        self._faces = replace(self._shape, normals=normals)
        self._view = view
        self._gray = np.asarray(cv2.cvtColor(view.color, cv2.COLOR_RGB2GRAY), np.uint8)
        self._alive = np.ones(len(self._points), bool)
        self._pose = np.eye(4)
        self._covariance = np.eye(6) * 1e-6
        self._missed = 0
        self._carried: Carried | None = None  # as of the last image that showed the object

    def update(
        self,
        color: NDArray[np.uint8],
        depth: NDArray[np.generic],
        depth_unit_m: float = 1.0,
        carried: Carried | None = None,
    ) -> Track:
        """Take one image.

        Args:
            color: (H, W, 3) RGB.
            depth: (H, W) along optical +z in units of `depth_unit_m`; 0 or NaN where unknown.
            depth_unit_m: Length of one unit of `depth` [m].
            carried: Of it only the change since the last image that showed the object counts.
                None: nothing is known to carry it.

        Raises:
            ShapeError: If the images are not of the scene's size.
        """
        size = (self._model.height, self._model.width)
        if color.shape[:2] != size or depth.shape != size:
            raise ShapeError(f"images {color.shape}, {depth.shape} are not of the scene's {size}")
        hint, last = None, self._carried
        if carried is not None and last is not None and carried.carry == last.carry:
            hint = carried.T_moved @ se3.inverse(last.T_moved) @ self._pose
        gray = self._follow(color, hint)
        fit = self._fit(depth, depth_unit_m, hint=hint)
        if fit is not None:
            fit = self._corrected(gray, depth, depth_unit_m, fit)
        found = None
        if fit is not None and carried is not None and self._disagree(fit.T, carried.T_moved):
            fit, found = self._decided(self._seen(color, depth, depth_unit_m), fit, carried.T_moved)
        if fit is None:
            self._missed += 1
            if found is None:
                found = self._search(color, depth, depth_unit_m, hint)
            if found is not None:
                self._pose = found
                self._alive[:] = False
                gray = np.asarray(cv2.cvtColor(color, cv2.COLOR_RGB2GRAY), np.uint8)
                self._carried = carried
        else:
            self._pose, self._missed, self._carried = fit.T, 0, carried
            self._covariance = fit.covariance
        self._reseed(depth, depth_unit_m, trusted=fit is not None)
        self._gray = gray
        support = fit.support if fit is not None else 0
        return Track(self._pose, self._covariance, fit is not None, support)

    def _follow(self, color: NDArray[np.uint8], hint: Float | None) -> Gray:
        """Move the pixels to the new image; returns its grey image, made in the crop only."""
        leap = np.zeros_like(self._pixels)
        if hint is not None:
            far = self._seen_at(hint) - self._seen_at(self._pose)
            if np.median(np.linalg.norm(far, axis=1)) > _LEAP_PX:
                leap = far
        rows, columns = self._crop(leap)
        gray = self._gray.copy()
        gray[rows, columns] = cv2.cvtColor(
            np.ascontiguousarray(color[rows, columns]), cv2.COLOR_RGB2GRAY
        )
        index = np.flatnonzero(self._alive)
        if index.size == 0:
            return gray
        corner = np.array([columns.start, rows.start], np.float32)
        start = (self._pixels[index].astype(np.float32) - corner)[:, None]
        before = np.ascontiguousarray(self._gray[rows, columns])
        now = np.ascontiguousarray(gray[rows, columns])
        away = leap[index].astype(np.float32)[:, None]
        end, there = _lucas_kanade(before, now, start, start + away)
        back, again = _lucas_kanade(now, before, end, end - away)
        off = np.linalg.norm((back - start)[:, 0], axis=1)
        good = there & again & (off < self._settings.forward_backward_px)
        self._pixels[index] = end[:, 0] + corner
        self._alive[index[~good]] = False
        return gray

    def _seen_at(self, pose: Float) -> Float:
        """Pixels (K, 2) of the points at a pose."""
        local = se3.apply(se3.inverse(self._T_planning_camera), se3.apply(pose, self._points))
        return np.asarray(self._model.project(local), float)

    def _crop(self, leap: Float | None = None) -> tuple[slice, slice]:
        """Around the pixels that are followed, and where a leap (K, 2) takes them."""
        alive = self._alive if self._alive.any() else np.ones_like(self._alive)
        known = self._pixels[alive]
        if leap is not None:
            known = np.concatenate([known, known + leap[alive]])
        low = np.floor(known.min(axis=0)).astype(int) - _PAD_PX
        high = np.ceil(known.max(axis=0)).astype(int) + _PAD_PX
        low = np.clip(low, 0, [self._model.width - 64, self._model.height - 64])
        high = np.clip(high, low + 64, [self._model.width, self._model.height])
        return slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))

    def _depth_at(self, pixels: Float, depth: NDArray[np.generic], unit_m: float) -> Float:
        """Median depth (K,) [m] of the 3x3 pixels around; NaN where unknown or outside."""
        at = np.rint(np.clip(np.nan_to_num(pixels, nan=-9.0), -9, 1e6)).astype(int)
        inside = (at >= 1).all(axis=1)
        inside &= (at[:, 0] < self._model.width - 1) & (at[:, 1] < self._model.height - 1)
        at = np.where(inside[:, None], at, 1)
        offsets = np.array([[dx, dy] for dy in (-1, 0, 1) for dx in (-1, 0, 1)])
        near = at[:, None] + offsets
        values = depth[near[..., 1], near[..., 0]].astype(float) * unit_m
        values[~(values > 0) | ~inside[:, None]] = np.nan
        known = np.isfinite(values).sum(axis=1) >= 3
        out = np.full(len(pixels), np.nan)
        if known.any():
            out[known] = np.nanmedian(values[known], axis=1)
        return out

    def _fit(
        self,
        depth: NDArray[np.generic],
        unit_m: float,
        first: Float | None = None,
        hint: Float | None = None,
    ) -> ImagePose | None:
        z = self._depth_at(self._pixels, depth, unit_m)
        if self._alive.sum() < self._settings.min_support:
            return None
        fit = refine_pose(
            self._first_guess(z) if first is None else first,
            self._points,
            self._pixels,
            z,
            self._alive,
            self._model,
            self._T_planning_camera,
        )
        if fit is None or fit.support < self._settings.min_support:
            return None
        middle = self._points.mean(axis=0)
        here = se3.apply(fit.T, middle)
        known = [self._pose] if hint is None else [self._pose, hint]
        step = min(float(np.linalg.norm(here - se3.apply(pose, middle))) for pose in known)
        if step > self._settings.max_step_m or not fit.depth_rms_m < self._settings.max_residual_m:
            return None
        self._alive &= fit.agrees
        return fit

    def _first_guess(self, z: Float) -> Float:
        """Robust fit of lifted pixels where enough have depth, else the last pose."""
        now = se3.apply(self._T_planning_camera, self._model.lift_pixels(self._pixels, z))
        usable = self._alive & np.isfinite(z)
        # Depth noise grows with the square of the distance.
        weights = np.where(usable, 1.0 / np.maximum(np.nan_to_num(z, nan=1.0), 0.1) ** 4, 0.0)
        try:
            return fit_rigid(self._points, now, weights, min_support=self._settings.min_support).T
        except TrackingError:
            return self._pose

    def _corrected(
        self, gray: Gray, depth: NDArray[np.generic], unit_m: float, rough: ImagePose
    ) -> ImagePose | None:
        """Compare with the first view, drawn at the rough pose: what has added up is taken out."""
        there = self._seen_at(rough.T)
        rows, columns = self._crop()
        drawn, known = self._appearance.drawn(rough.T, rows, columns)
        corner = np.array([columns.start, rows.start], np.float32)
        wanted = detail(drawn, known)
        now = detail(np.ascontiguousarray(gray[rows, columns]), known)
        start = (there.astype(np.float32) - corner)[:, None]
        end, found = _lucas_kanade(wanted, now, start)
        back, again = _lucas_kanade(now, wanted, end)
        off = np.linalg.norm((back - start)[:, 0], axis=1)
        shown = cv2.blur(known.astype(np.float32), _LK_WINDOW)
        at = np.clip(np.rint(start[:, 0]).astype(int), 0, np.array(known.shape[::-1]) - 1)
        good = found & again & (off < self._settings.forward_backward_px)
        good &= shown[at[:, 1], at[:, 0]] > _SHOWN
        good &= np.linalg.norm((end - start)[:, 0], axis=1) < _CORRECTED_PX
        if good.sum() < self._settings.min_support:
            return rough
        pixels, alive = self._pixels.copy(), self._alive.copy()
        self._pixels = np.where(good[:, None], end[:, 0] + corner, self._pixels)
        self._alive = good
        better = self._fit(depth, unit_m, rough.T, rough.T)
        if better is None:
            self._pixels, self._alive = pixels, alive
            return rough
        return better

    def _reseed(self, depth: NDArray[np.generic], unit_m: float, *, trusted: bool) -> None:
        """Take up points again where the pose puts them, if the depth there agrees."""
        local = se3.apply(se3.inverse(self._T_planning_camera), se3.apply(self._pose, self._points))
        there = self._model.project(local)
        agrees = abs(self._depth_at(there, depth, unit_m) - local[:, 2]) < _DEPTH_AGREES_M
        strayed = np.linalg.norm(self._pixels - there, axis=1) > _STRAYED_PX
        back = agrees & (~self._alive | strayed) if trusted else agrees & ~self._alive
        self._pixels[back] = there[back]
        self._alive |= back

    def _disagree(
        self, T_a: Float, T_b: Float, far_m: float = _DOUBT_M, far_rad: float = _DOUBT_RAD
    ) -> bool:
        """Whether two poses of the object are farther apart than a way and an angle."""
        middle = self._points.mean(axis=0)
        shift = np.linalg.norm(se3.apply(T_a, middle) - se3.apply(T_b, middle))
        turn = se3.rotation_angle(T_a[:3, :3].T @ T_b[:3, :3])
        return bool(shift > far_m or turn > far_rad)

    def _decided(
        self, new: NewView, fit: ImagePose, T_hand: Float
    ) -> tuple[ImagePose | None, Float | None]:
        """Hold the eye's pose and the hand's against the whole picture, which decides.

        Returns:
            The fit if it stands, and a pose to go on from where the picture shows one.
        """
        mine = fit_of(self._shape, fit.T, new).share
        if mine >= _SURE:
            return fit, None
        found, best = None, mine + _BETTER
        for start in (fit.T, T_hand):
            other = aligned(self._shape, start, new)
            told = fit_of(self._shape, other, new)
            near = not self._disagree(other, start, _NEAR_M, _NEAR_RAD)
            if near and told.share > max(best, _FOUND) and told.hidden_share < _HIDDEN:
                found, best = other, told.share
        # What a turn hides from the camera says nothing against it.
        if found is None and fit_of(self._faces, fit.T, new).share >= _CONTRADICTED:
            return fit, None
        return None, found

    def _seen(self, color: NDArray[np.uint8], depth: NDArray[np.generic], unit_m: float) -> NewView:
        metres = depth.astype(np.float32) * np.float32(unit_m)
        metres[~(metres > 0)] = np.nan
        view = RgbdView(
            self._view.camera, self._view.frame_id, 0, np.asarray(color), metres, self._model,
            self._T_planning_camera,
        )  # fmt: skip
        return NewView(view)

    def _search(
        self,
        color: NDArray[np.uint8],
        depth: NDArray[np.generic],
        unit_m: float,
        hint: Float | None,
    ) -> Float | None:
        """Look for a lost object near its last place, or where it was carried; now and then.

        It costs 0.1 s.
        """
        every = self._settings.find_every
        if every and hint is not None:
            every = min(every, _FIND_HINTED_EVERY)
        if not every or self._missed % every:
            return None
        new = self._seen(color, depth, unit_m)
        place = self._pose if hint is None else hint
        motion, fit = place, fit_of(self._shape, place, new)
        if fit.share < 0.7:
            motion, fit = search(
                self._shape, place, new, self._support_plane,
                reach_m=self._settings.find_reach_m,
            )  # fmt: skip
        return motion if fit.share > _FOUND and fit.hidden_share < _HIDDEN else None


def _lucas_kanade(
    before: Gray, now: Gray, start: NDArray[np.float32], guess: NDArray[np.float32] | None = None
) -> tuple[NDArray[np.float32], Mask]:
    """Follow pixels (K, 1, 2), perhaps from a guess where they are; which were found (K,)."""
    end, found, _ = cv2.calcOpticalFlowPyrLK(
        before, now, start, (start if guess is None else guess).copy(), winSize=_LK_WINDOW,
        maxLevel=_LK_LEVELS, criteria=_LK_CRITERIA, flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
    )  # fmt: skip
    return np.asarray(end, np.float32), np.asarray(found[:, 0] > 0)


def _seeds(view: RgbdView, mask: Mask, count: int) -> tuple[Float, Float]:
    """Pixels (K, 2) worth following, spread over the mask, and their points (K, 3)."""
    inner = cv2.erode(mask.astype(np.uint8), np.ones((5, 5), np.uint8))
    inner = inner if inner.sum() > 0.4 * mask.sum() else mask.astype(np.uint8)
    gray = cv2.cvtColor(view.color, cv2.COLOR_RGB2GRAY)
    spacing = max(2.0, 0.5 * float(np.sqrt(inner.sum() / max(count, 1))))
    corners = cv2.goodFeaturesToTrack(gray, count, 0.002, spacing, mask=inner)
    pixels = np.zeros((0, 2)) if corners is None else corners[:, 0].astype(float)
    if len(pixels) < count:
        # Plain surfaces have few corners; the rest is spread evenly.
        v, u = np.nonzero(inner)
        pick = np.linspace(0, len(v) - 1, count - len(pixels) if len(v) else 0).astype(int)
        pixels = np.concatenate([pixels, np.stack([u[pick], v[pick]], -1).astype(float)])
    smooth = cv2.medianBlur(np.nan_to_num(view.depth, nan=0.0).astype(np.float32), 5)
    u, v = np.rint(pixels).astype(int).T
    z = smooth[v, u].astype(float)
    pixels, z = pixels[z > 0], z[z > 0]
    return pixels, se3.apply(view.T_planning_camera, view.model.lift_pixels(pixels, z))
