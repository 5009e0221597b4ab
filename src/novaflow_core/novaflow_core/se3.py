"""Rigid transforms as 4x4 matrices: `p_a = T_a_b @ p_b`.

Shapes may be batched: `*B` leading dimensions broadcast.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Matrix = NDArray[np.float64]

_HALF_TURN = 1e-2  # twice the sine of angles that are taken to be near half a turn


def from_rt(rotation: ArrayLike, translation: ArrayLike) -> Matrix:
    """Build transforms (*B, 4, 4) from rotations (*B, 3, 3) and translations (*B, 3) [m]."""
    r = np.asarray(rotation, float)
    t = np.asarray(translation, float)
    batch = np.broadcast_shapes(r.shape[:-2], t.shape[:-1])
    out = np.zeros((*batch, 4, 4))
    out[..., :3, :3] = r
    out[..., :3, 3] = t
    out[..., 3, 3] = 1.0
    return out


def inverse(transform: ArrayLike) -> Matrix:
    """Invert rigid transforms (*B, 4, 4)."""
    m = np.asarray(transform, float)
    r_t = np.swapaxes(m[..., :3, :3], -1, -2)
    return from_rt(r_t, -np.einsum("...ij,...j->...i", r_t, m[..., :3, 3]))


def apply(transform: ArrayLike, points: ArrayLike) -> Matrix:
    """Transform points (*P, 3) by one transform (4, 4); NaN points stay NaN."""
    m = np.asarray(transform, float)
    out: Matrix = np.asarray(points, float) @ m[:3, :3].T + m[:3, 3]
    return out


def exp_so3(rotation_vector: ArrayLike) -> Matrix:
    """Rotation matrices (*B, 3, 3) of rotation vectors (*B, 3) [rad] (Rodrigues' formula)."""
    w = np.asarray(rotation_vector, float)
    half = np.sqrt(np.einsum("...i,...i->...", w, w))[..., None, None] / (2 * np.pi)
    k = hat(w)
    # sin(x) / x and (1 - cos(x)) / x^2, which need no care where x is small in this form.
    out: Matrix = np.eye(3) + np.sinc(2 * half) * k + 0.5 * np.sinc(half) ** 2 * (k @ k)
    return out


def log_so3(rotation: ArrayLike) -> Matrix:
    """Rotation vectors (*B, 3) [rad], of length at most pi, of rotation matrices (*B, 3, 3)."""
    m = np.asarray(rotation, float)
    # Twice the sine of the angle, along the axis. Near half a turn it says nothing of the axis.
    twice = np.empty(m.shape[:-1])
    twice[..., 0] = m[..., 2, 1] - m[..., 1, 2]
    twice[..., 1] = m[..., 0, 2] - m[..., 2, 0]
    twice[..., 2] = m[..., 1, 0] - m[..., 0, 1]
    sine = np.sqrt(np.einsum("...i,...i->...", twice, twice))
    cosine = m[..., 0, 0] + m[..., 1, 1] + m[..., 2, 2] - 1.0
    if np.any((sine < _HALF_TURN) & (cosine < 0)):
        return _log_by_quaternion(m)
    none = sine < 1e-9
    scale = np.where(none, 0.5, np.arctan2(sine, cosine) / np.where(none, 1.0, sine))
    return np.asarray(scale[..., None] * twice)


def _log_by_quaternion(rotation: Matrix) -> Matrix:
    """As `log_so3`, for any angle."""
    q = quaternion_xyzw(rotation)
    q = np.where(q[..., 3:] < 0, -q, q)
    s = np.linalg.norm(q[..., :3], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(s, q[..., 3:])
    return np.where(s < 1e-12, 2 * q[..., :3], q[..., :3] * (angle / np.where(s < 1e-12, 1.0, s)))


def hat(vector: ArrayLike) -> Matrix:
    """Skew matrices (*B, 3, 3) with `hat(a) @ b = cross(a, b)`."""
    v = np.asarray(vector, float)
    out = np.zeros((*v.shape, 3))
    out[..., 0, 1], out[..., 0, 2], out[..., 1, 2] = -v[..., 2], v[..., 1], -v[..., 0]
    out[..., 1, 0], out[..., 2, 0], out[..., 2, 1] = v[..., 2], -v[..., 1], v[..., 0]
    return out


def quaternion_xyzw(rotation: ArrayLike) -> Matrix:
    """Unit quaternions (*B, 4), x y z w, of rotation matrices (*B, 3, 3)."""
    m = np.asarray(rotation, float)
    xx, yy, zz = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    # Four equivalent forms; each row is q scaled by one of its components: the longest is safest.
    rows = np.stack(
        [
            np.stack(
                [
                    1 + xx - yy - zz,
                    m[..., 0, 1] + m[..., 1, 0],
                    m[..., 0, 2] + m[..., 2, 0],
                    m[..., 2, 1] - m[..., 1, 2],
                ],
                -1,
            ),
            np.stack(
                [
                    m[..., 0, 1] + m[..., 1, 0],
                    1 - xx + yy - zz,
                    m[..., 1, 2] + m[..., 2, 1],
                    m[..., 0, 2] - m[..., 2, 0],
                ],
                -1,
            ),
            np.stack(
                [
                    m[..., 0, 2] + m[..., 2, 0],
                    m[..., 1, 2] + m[..., 2, 1],
                    1 - xx - yy + zz,
                    m[..., 1, 0] - m[..., 0, 1],
                ],
                -1,
            ),
            np.stack(
                [
                    m[..., 2, 1] - m[..., 1, 2],
                    m[..., 0, 2] - m[..., 2, 0],
                    m[..., 1, 0] - m[..., 0, 1],
                    1 + xx + yy + zz,
                ],
                -1,
            ),
        ],
        -2,
    )
    best = np.argmax(np.linalg.norm(rows, axis=-1), axis=-1)
    q = np.take_along_axis(rows, best[..., None, None], axis=-2)[..., 0, :]
    unit: Matrix = q / np.linalg.norm(q, axis=-1, keepdims=True)
    return unit


def rotation_from_xyzw(quaternion: ArrayLike) -> Matrix:
    """Rotation matrices (*B, 3, 3) of quaternions (*B, 4), x y z w, of any length but zero."""
    q = np.asarray(quaternion, float)
    q = q / np.linalg.norm(q, axis=-1, keepdims=True)
    x, y, z, w = np.moveaxis(q, -1, 0)
    out = np.empty((*q.shape[:-1], 3, 3))
    out[..., 0, 0] = 1 - 2 * (y * y + z * z)
    out[..., 0, 1] = 2 * (x * y - w * z)
    out[..., 0, 2] = 2 * (x * z + w * y)
    out[..., 1, 0] = 2 * (x * y + w * z)
    out[..., 1, 1] = 1 - 2 * (x * x + z * z)
    out[..., 1, 2] = 2 * (y * z - w * x)
    out[..., 2, 0] = 2 * (x * z - w * y)
    out[..., 2, 1] = 2 * (y * z + w * x)
    out[..., 2, 2] = 1 - 2 * (x * x + y * y)
    return out


def rotation_angle(rotation: ArrayLike) -> Matrix:
    """Angle [rad] in 0..pi of rotation matrices (*B, 3, 3)."""
    angle: Matrix = np.linalg.norm(log_so3(rotation), axis=-1)
    return angle
