"""What joint does a thing move on? Kind, axis and travel of a flow, and the flow led along them.

A slide moves every point along one direction; a hinge turns it about one line. Both are fitted to
all points of all steps by least squares; whichever explains the flow within what lifting errs by is
its kind. That a motion is straight does not prove a slide: whoever asks must know that there is a
joint.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from novaflow_core import se3
from novaflow_core.flow import MotionKind, ObjectFlow
from novaflow_core.kabsch import fit_sequence

Float = NDArray[np.float64]

_RIGID_M = 0.006  # points of a rigid thing keep their distances within this
_JOINT_M = 0.004  # RMS by which a lifted flow may leave its joint
_JOINT_SHARE = 0.03  # of the travel, in addition
_MIN_TRAVEL_M = 0.015
_MIN_TURN_RAD = float(np.radians(8.0))
_CLEARLY = 0.5  # a hinge has two unknowns more, so it must be this much better than a slide
_MOST_POINTS = 60


@dataclass(frozen=True)
class JointFit:
    """The joint that a flow moves on.

    Attributes:
        kind: PRISMATIC or REVOLUTE; RIGID where no joint explains the motion, DEFORMABLE where no
            rigid motion does.
        axis: (3,) unit: the direction of a slide, along positive values; the axis of a hinge,
            right-handed. NaN where there is no joint.
        point: (3,) a point on a hinge's axis, the nearest to the thing; the thing's middle for a
            slide [m].
        values: (T,) position on the joint, 0 at first [m or rad].
        rms_m: By which the flow leaves the joint.
        allowed_m: By which it may leave it to be on it.
    """

    kind: MotionKind
    axis: Float
    point: Float
    values: Float
    rms_m: float
    allowed_m: float = _RIGID_M

    @property
    def on_joint(self) -> bool:
        """Whether there is a joint."""
        return self.kind in (MotionKind.PRISMATIC, MotionKind.REVOLUTE)

    def poses(self, values: Float) -> Float:
        """Motions (T, 4, 4) of the thing at positions (T,) on the joint."""
        at = np.asarray(values, float)
        if self.kind is MotionKind.PRISMATIC:
            return se3.from_rt(np.broadcast_to(np.eye(3), (len(at), 3, 3)), at[:, None] * self.axis)
        if self.kind is MotionKind.REVOLUTE:
            turn = se3.exp_so3(at[:, None] * self.axis)
            return se3.from_rt(turn, self.point - turn @ self.point)
        raise ValueError(f"a {self.kind} motion is on no joint")

    def value_of(self, motion: Float, middle: Float) -> float:
        """Position on the joint that comes nearest to a motion (4, 4) of a thing about (3,)."""
        if self.kind is MotionKind.PRISMATIC:
            return float((se3.apply(motion, middle) - middle) @ self.axis)
        return float(se3.log_so3(motion[:3, :3]) @ self.axis)


def fit_joint(flow: ObjectFlow) -> JointFit:
    """Estimate the joint of a flow.

    Raises:
        TrackingError: POSE_SUPPORT_TOO_SMALL when the flow's points do not fix its poses.
    """
    sequence = fit_sequence(flow)
    first = flow.points[0].astype(float)
    first = first[np.isfinite(first).all(axis=1)]
    middle = np.median(first, axis=0)
    if float(np.median(sequence.residual_m)) > _RIGID_M:
        worst = float(np.median(sequence.residual_m))
        return JointFit(MotionKind.DEFORMABLE, np.full(3, np.nan), middle, _none(flow), worst)
    points = first[np.linspace(0, len(first) - 1, min(len(first), _MOST_POINTS)).astype(int)]
    return fit_joint_of_poses(sequence.poses, points)


def fit_joint_of_poses(poses: Float, points: Float) -> JointFit:
    """Estimate the joint of a rigid motion.

    Args:
        poses: (T, 4, 4), `p[t] = poses[t] @ p[0]`.
        points: (K, 3) of the thing at first [m].
    """
    middle = np.median(points, axis=0)
    there = np.einsum("tij,kj->tki", poses[:, :3, :3], points) + poses[:, None, :3, 3]
    slide, slide_rms = _slide(there, points, middle)
    travel = float(np.ptp(slide.values))
    turns = np.linalg.norm(se3.log_so3(poses[:, :3, :3]), axis=-1)
    hinge, hinge_rms = None, np.inf
    if turns.max() > _MIN_TURN_RAD:
        hinge, hinge_rms = _hinge(poses, there, points, middle)
    reach = float(np.linalg.norm(there - points, axis=2).max())
    allowed = _JOINT_M + _JOINT_SHARE * reach
    if hinge is not None and hinge_rms < allowed and hinge_rms < _CLEARLY * slide_rms:
        return replace(hinge, allowed_m=allowed)
    if slide_rms < allowed and travel > _MIN_TRAVEL_M:
        return replace(slide, allowed_m=allowed)
    return JointFit(
        MotionKind.RIGID, np.full(3, np.nan), middle, np.zeros(len(poses)),
        float(min(slide_rms, hinge_rms)), allowed,
    )  # fmt: skip


def on_joint(flow: ObjectFlow, joint: JointFit) -> ObjectFlow:
    """The flow led along its joint: every step is where the joint puts it.

    Args:
        flow: As lifted.
        joint: Fitted to it, PRISMATIC or REVOLUTE.
    """
    return replace(led(flow, joint.poses(joint.values)), kind=joint.kind)


def led(flow: ObjectFlow, poses: Float) -> ObjectFlow:
    """The flow of the same points, moved by poses (T, 4, 4) from where they are at first."""
    first = flow.points[0].astype(float)
    points = np.einsum("tij,kj->tki", poses[:, :3, :3], first) + poses[:, None, :3, 3]
    return replace(flow, points=points.astype(np.float32))


def _slide(there: Float, points: Float, middle: Float) -> tuple[JointFit, float]:
    """Fit one direction to displacements (T, K, 3): the same for all points of a step."""
    shift = (there - points).mean(axis=1)
    axis = np.linalg.svd(shift, full_matrices=False)[2][0]
    values = shift @ axis
    if values[int(np.argmax(np.abs(values)))] < 0:
        axis, values = -axis, -values
    values = values - values[0]
    left = there - points - values[:, None, None] * axis
    return JointFit(MotionKind.PRISMATIC, axis, middle, values, _rms(left)), _rms(left)


def _hinge(poses: Float, there: Float, points: Float, middle: Float) -> tuple[JointFit, float]:
    """Fit one line to turn about: its direction and its place, the angles in closed form."""
    turns = se3.log_so3(poses[:, :3, :3])
    axis = np.linalg.svd(turns, full_matrices=False)[2][0]
    axis = axis * np.sign(turns[int(np.argmax(np.linalg.norm(turns, axis=1)))] @ axis)
    across = np.linalg.svd(axis[None])[2][1:]  # two directions across the axis
    # (I - R) c = t for every step, in the plane across the axis
    design = np.einsum("ai,tij,bj->tab", across, np.eye(3) - poses[:, :3, :3], across)
    wanted = (poses[:, :3, 3] + poses[:, :3, :3] @ middle - middle) @ across.T
    start = np.linalg.lstsq(design.reshape(-1, 2), wanted.ravel(), rcond=None)[0]

    def line(x: Float) -> tuple[Float, Float]:
        turned = axis + x[:2] @ across
        return turned / np.linalg.norm(turned), middle + x[2:] @ across

    def left(x: Float) -> Float:
        way, at = line(x)
        values = _angles(way, at, there, points)
        turn = se3.exp_so3(values[:, None] * way)
        led = np.einsum("tij,kj->tki", turn, points - at) + at
        return np.asarray((there - led).ravel())

    found = least_squares(left, np.concatenate([np.zeros(2), start]), max_nfev=60)
    way, at = line(found.x)
    values = _angles(way, at, there, points)
    values = np.unwrap(values) - values[0]
    at = at + ((middle - at) @ way) * way
    rms = _rms(left(found.x).reshape(there.shape))
    return JointFit(MotionKind.REVOLUTE, way, at, values, rms), rms


def _angles(axis: Float, at: Float, there: Float, points: Float) -> Float:
    """Angles (T,) [rad] about a line that bring points (K, 3) nearest to `there` (T, K, 3)."""
    a = points - at
    a = a - (a @ axis)[:, None] * axis
    b = there - at
    b = b - (b @ axis)[..., None] * axis
    along = np.einsum("ki,tki->t", a, b)
    cross = np.einsum("tki,i->t", np.cross(a[None], b), axis)
    return np.asarray(np.arctan2(cross, along))


def _rms(left: Float) -> float:
    return float(np.sqrt(np.mean(np.sum(left**2, axis=-1))))


def _none(flow: ObjectFlow) -> Float:
    return np.zeros(flow.steps)
