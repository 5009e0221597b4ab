"""The front of a drawer or a door: an upright face with a handle before it, from points alone.

Seen from above, upright faces are lines. The face is the line with the most points before which
something stands out; its normal, on the handle's side, is the way that a drawer comes out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from novaflow_core.errors import Code, PerceptionError
from novaflow_core.scene import Plane

Float = NDArray[np.float64]
Mask = NDArray[np.bool_]

FACE_M = 0.008  # depth noise about the face
HANDLE_M = (0.014, 0.085)  # how far a handle stands out
_TOP_M = 0.010  # under the highest points: the top of a chest is no face
_LOW_M = 0.006
_HANDLE_LOW_M = 0.020  # above the support, which lies before the face as well
_MARGIN_M = 0.010  # a handle may reach beyond its face by this
_MIN_FACE = 150
_MIN_HANDLE = 30
_FACES = 3  # that are looked at before giving up
_MOST_POINTS = 6000
_BIN_M = 0.003
_REFINE = 12


@dataclass(frozen=True)
class Front:
    """An upright face with a handle, planning frame.

    Attributes:
        normal: (3,) unit, along the support, out of the face.
        offset: `normal . p = offset` on the face [m].
        along: (3,) unit, along the face and the support.
        span: (2,) ends of the face along `along` [m].
        rise: (2,) heights of the face's ends above the support [m].
        support: What it stands on.
    """

    normal: Float
    offset: float
    along: Float
    span: Float
    rise: Float
    support: Plane

    def beyond(self, points: Float) -> Float:
        """How far (N,) points (N, 3) stand out of the face [m]."""
        return np.asarray(points @ self.normal - self.offset)

    def before(self, points: Float) -> Mask:
        """Which points (N, 3) lie in the room that the face would sweep, or in it."""
        at, height = points @ self.along, self.support.height(points)
        inside = (at > self.span[0] - _MARGIN_M) & (at < self.span[1] + _MARGIN_M)
        inside &= (height > self.rise[0] - _MARGIN_M) & (height < self.rise[1] + _MARGIN_M)
        return np.asarray(inside)

    def is_face(self, points: Float) -> Mask:
        """Which points (N, 3) lie on the face."""
        return self.before(points) & (np.abs(self.beyond(points)) < FACE_M)

    def is_handle(self, points: Float) -> Mask:
        """Which points (N, 3) stand out of the face as a handle does."""
        out, height = self.beyond(points), self.support.height(points)
        far = (out > HANDLE_M[0]) & (out < HANDLE_M[1])
        return self.before(points) & far & (height > _HANDLE_LOW_M)


def find_front(
    points: Float,
    support: Plane,
    toward: Float | None = None,
    code: Code = Code.TARGET_NOT_FOUND,
) -> Front:
    """Find the front of a thing.

    Args:
        points: (N, 3) [m] of its visible surface, planning frame.
        support: What it stands on.
        toward: (3,) where it is seen from; None where only the handle tells the sides apart.
        code: Of the error.

    Raises:
        PerceptionError: `code`, with numbers, when no upright face with a handle is seen.
    """
    known = points[np.isfinite(points).all(axis=1)]
    known = known[:: max(1, len(known) // _MOST_POINTS)]
    height = support.height(known)
    if len(known) < _MIN_FACE:
        raise PerceptionError(
            code, f"{len(known)} points are known of it; a front needs {_MIN_FACE}"
        )
    upright = (height > _LOW_M) & (height < np.percentile(height, 99) - _TOP_M)
    left = known[upright]
    seen: list[str] = []
    for _ in range(_FACES):
        if len(left) < _MIN_FACE:
            break
        normal, offset = _line(left, support)
        own = np.abs(left @ normal - offset) < FACE_M
        for way in _ways(normal, offset, known, toward):
            front = _front(left[own], way, support)
            handle = int(front.is_handle(known).sum())
            # A face before which the thing goes on is its inside, or no face of it at all.
            far = int((front.before(known) & (front.beyond(known) > HANDLE_M[1])).sum())
            seen.append(f"{int(own.sum())} points with {handle} before them")
            if own.sum() >= _MIN_FACE and handle >= max(_MIN_HANDLE, 2 * far):
                return front
        left = left[~own]
    raise PerceptionError(
        code,
        f"no upright face with a handle is seen ({'; '.join(seen) or 'no face at all'}; "
        f"{_MIN_FACE} and {_MIN_HANDLE} are needed)",
    )


def _ways(normal: Float, offset: float, points: Float, toward: Float | None) -> tuple[Float, ...]:
    """Which side of a face may be its outside: the viewer's, or that with fewer points first."""
    if toward is not None:
        return (normal if toward @ normal > offset else -normal,)
    beyond = points @ normal - offset
    more = (beyond > HANDLE_M[0]).sum() > (beyond < -HANDLE_M[0]).sum()
    return (normal, -normal) if more else (-normal, normal)


def _line(points: Float, support: Plane) -> tuple[Float, float]:
    """Normal (3,) and offset of the upright face with the most points."""
    basis = support.basis()
    flat = points @ basis.T
    angles = np.radians(np.arange(0.0, 180.0, 2.0))
    ways = np.stack([np.cos(angles), np.sin(angles)], -1)
    at = flat @ ways.T
    low = at.min()
    best, most = (ways[0], 0.0), 0.0
    for k, way in enumerate(ways):
        count = np.bincount(((at[:, k] - low) / _BIN_M).astype(int)).astype(float)
        wide = np.convolve(count, np.ones(3), "same")
        peak = int(np.argmax(wide))
        if wide[peak] > most:
            most, best = wide[peak], (way, low + (peak + 0.5) * _BIN_M)
    way, offset = best
    for _ in range(_REFINE):
        error = (flat @ way - offset) / FACE_M
        weight = np.square(1 - np.square(np.minimum(np.abs(error), 1.0)))
        total = max(float(weight.sum()), 1e-9)
        middle = weight @ flat / total
        centred = (flat - middle) * np.sqrt(weight)[:, None]
        new = np.linalg.eigh(centred.T @ centred)[1][:, 0]
        way = new if new @ way > 0 else -new
        offset = float(middle @ way)
    return np.asarray(way @ basis), offset


def _front(points: Float, normal: Float, support: Plane) -> Front:
    """Measure a face of points (N, 3) with a normal (3,)."""
    along = np.cross(support.normal, normal)
    at, height = points @ along, support.height(points)
    return Front(
        normal,
        float(np.median(points @ normal)),
        along,
        np.percentile(at, [1.0, 99.0]),
        np.array([np.percentile(height, 1.0), np.percentile(height, 99.0) + _TOP_M]),
        support,
    )
