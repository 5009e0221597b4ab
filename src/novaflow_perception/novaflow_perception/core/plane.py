"""The plane that things stand on, found in one view."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from novaflow_core.errors import Code, PerceptionError
from novaflow_core.scene import Plane

_SAMPLE = 6000
_TRIALS = 300
_REFINE_BANDS_M = (0.010, 0.006)


def fit_support(
    points: NDArray[np.floating], *, band_m: float = 0.008, least_share: float = 0.15, seed: int = 0
) -> Plane:
    """Fit the plane that most points lie on, by sampling triples and refining on the inliers.

    Args:
        points: (N, 3) [m], camera frame (origin at the camera), without NaN.
        band_m: Distance within which a point supports a plane [m].
        least_share: Share of the points that must support the plane.
        seed: Of the sampling; the result repeats.

    Returns:
        The plane in the same frame; its normal points to the camera's side.

    Raises:
        PerceptionError: NO_SUPPORT_PLANE, with the share that was found.
    """
    rng = np.random.default_rng(seed)
    if len(points) < 100:
        raise PerceptionError(
            Code.NO_SUPPORT_PLANE, f"{len(points)} points with depth are too few for a plane"
        )
    sample = points[rng.choice(len(points), min(_SAMPLE, len(points)), replace=False)].astype(float)
    triples = sample[rng.integers(len(sample), size=(_TRIALS, 3))]
    normals = np.cross(triples[:, 1] - triples[:, 0], triples[:, 2] - triples[:, 0])
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    normals = normals / np.maximum(length, 1e-12)
    offsets = -np.einsum("ij,ij->i", normals, triples[:, 0])
    support = np.zeros(_TRIALS)
    for begin in range(0, _TRIALS, 50):  # in parts, to keep the distance table small
        part = slice(begin, begin + 50)
        distance = np.abs(sample @ normals[part].T + offsets[part])
        support[part] = (distance < band_m).mean(axis=0)
    support[length[:, 0] < 1e-9] = 0.0
    best = int(np.argmax(support))
    if support[best] < least_share:
        raise PerceptionError(
            Code.NO_SUPPORT_PLANE,
            f"the largest plane holds {support[best]:.0%} of the points, at least "
            f"{least_share:.0%} are needed; is a table in view?",
            {"share": float(support[best])},
        )
    normal, offset = normals[best], float(offsets[best])
    for band in _REFINE_BANDS_M:
        near = sample[np.abs(sample @ normal + offset) < band]
        centre = near.mean(axis=0)
        normal = np.linalg.svd(near - centre, full_matrices=False)[2][2]
        offset = -float(normal @ centre)
    if offset < 0:  # the camera, at the origin, is above the plane
        normal, offset = -normal, -offset
    return Plane(normal, offset)


def to_frame(plane: Plane, T_target_source: NDArray[np.float64]) -> Plane:
    """Express a plane of the source frame in the target frame."""
    normal = T_target_source[:3, :3] @ plane.normal
    return Plane(normal, plane.offset - float(normal @ T_target_source[:3, 3]))
