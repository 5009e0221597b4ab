"""Which way a surface of points is turned."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Float = NDArray[np.float64]

_NEIGHBOURS = 16


def normals_of(points: Float, eye: Float) -> Float:
    """Unit normals (K, 3) of points (K, 3), turned to the eye (3,) that saw them.

    A plane is fitted to each point's neighbours: single depths are too noisy.
    """
    count = min(_NEIGHBOURS, len(points))
    near = points[cKDTree(points).query(points, k=count)[1].reshape(len(points), count)]
    off = near - near.mean(axis=1, keepdims=True)
    normals = np.linalg.eigh(np.einsum("kni,knj->kij", off, off))[1][:, :, 0]
    away = np.einsum("kd,kd->k", normals, eye - points) < 0
    return np.asarray(np.where(away[:, None], -normals, normals))
