"""Procedural meshes with texture coordinates.

A seam needs two texture coordinates at one vertex, so these have face indices of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class TexturedMesh:
    """A triangle mesh.

    Attributes:
        vertices: (V, 3) [m], body frame.
        faces: (F, 3) indices into `vertices`, counter-clockwise seen from outside.
        texcoords: (W, 2), u and v in 0..1.
        texfaces: (F, 3) indices into `texcoords`.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int32]
    texcoords: NDArray[np.float64]
    texfaces: NDArray[np.int32]


def revolve(profile: ArrayLike, sections: int = 48) -> TexturedMesh:
    """Turn a profile (P, 2), radius and height [m], about z; u runs around, v along the profile.

    The profile starts and ends on the axis and runs so that the material lies on its left.
    """
    p = np.asarray(profile, float)
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(p, axis=0), axis=1))])
    v = length / length[-1]
    angle = 2 * np.pi * np.arange(sections) / sections
    vertices = np.stack(
        [
            np.outer(np.cos(angle), p[:, 0]),
            np.outer(np.sin(angle), p[:, 0]),
            np.broadcast_to(p[:, 1], (sections, len(p))),
        ],
        -1,
    )
    u = np.arange(sections + 1) / sections
    texcoords = np.stack(np.broadcast_arrays(u[:, None], v[None, :]), -1)
    mesh = _grid(vertices.reshape(-1, 3), texcoords.reshape(-1, 2), sections, len(p))
    keep = _not_degenerate(mesh)
    # All copies of a point on the axis become one vertex, or shading there breaks.
    index = np.arange(len(mesh.vertices))
    for k in np.flatnonzero(p[:, 0] < 1e-9):
        index[k :: len(p)] = k
    return TexturedMesh(
        mesh.vertices, index[mesh.faces[keep]].astype(np.int32), mesh.texcoords, mesh.texfaces[keep]
    )


def sweep(path: ArrayLike, radius_m: float, sections: int = 12) -> TexturedMesh:
    """Sweep a circle along a path (P, 3) [m] in the plane y = 0, with caps."""
    p = np.asarray(path, float)
    tangent = np.gradient(p, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    side = np.array([0.0, 1.0, 0.0])
    normal = np.cross(tangent, side)
    angle = -2 * np.pi * np.arange(sections) / sections
    ring = np.cos(angle)[:, None, None] * normal + np.sin(angle)[:, None, None] * side
    vertices = p + radius_m * ring
    # Caps: one more ring of zero radius at each end.
    vertices = np.concatenate(
        [np.repeat(p[None, :1], sections, 0), vertices, np.repeat(p[None, -1:], sections, 0)], 1
    )
    count = vertices.shape[1]
    u = np.arange(sections + 1) / sections
    v = np.linspace(0.0, 1.0, count)
    texcoords = np.stack(np.broadcast_arrays(u[:, None], v[None, :]), -1)
    mesh = _grid(vertices.reshape(-1, 3), texcoords.reshape(-1, 2), sections, count)
    keep = _not_degenerate(mesh)
    return TexturedMesh(mesh.vertices, mesh.faces[keep], mesh.texcoords, mesh.texfaces[keep])


def box(half_extents: ArrayLike, repeat: float = 1.0) -> TexturedMesh:
    """Box whose faces each show their cell of a 3x2 texture atlas, or the whole texture repeated.

    Args:
        half_extents: (3,) [m].
        repeat: 0 for an atlas; otherwise how often the texture repeats on every face.
    """
    h = np.asarray(half_extents, float)
    vertices, faces, texcoords = [], [], []
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], float)
    for face in range(6):
        axis, sign = face // 2, 1.0 if face % 2 == 0 else -1.0
        a, b = (axis + 1) % 3, (axis + 2) % 3
        quad = np.zeros((4, 3))
        quad[:, axis] = sign
        quad[:, a] = corners[:, 0] * sign
        quad[:, b] = corners[:, 1]
        base = 4 * face
        vertices.append(quad * h)
        faces += [[base, base + 1, base + 2], [base, base + 2, base + 3]]
        uv = (corners + 1) / 2
        if repeat == 0.0:
            cell = np.array([face % 3, face // 3], float)
            uv = (cell + 0.02 + 0.96 * uv) / np.array([3.0, 2.0])
        else:
            uv = uv * repeat
        texcoords.append(uv)
    index = np.array(faces, np.int32)
    return TexturedMesh(np.concatenate(vertices), index, np.concatenate(texcoords), index.copy())


def join(first: TexturedMesh, second: TexturedMesh) -> TexturedMesh:
    """Two meshes as one."""
    return TexturedMesh(
        np.concatenate([first.vertices, second.vertices]),
        np.concatenate([first.faces, second.faces + len(first.vertices)]).astype(np.int32),
        np.concatenate([first.texcoords, second.texcoords]),
        np.concatenate([first.texfaces, second.texfaces + len(first.texcoords)]).astype(np.int32),
    )


def with_texture_window(mesh: TexturedMesh, low: ArrayLike, high: ArrayLike) -> TexturedMesh:
    """Map all texture coordinates into the window from `low` to `high`, both (u, v)."""
    a, b = np.asarray(low, float), np.asarray(high, float)
    return TexturedMesh(mesh.vertices, mesh.faces, a + mesh.texcoords * (b - a), mesh.texfaces)


def _grid(
    vertices: NDArray[np.float64], texcoords: NDArray[np.float64], sections: int, rows: int
) -> TexturedMesh:
    """Faces of a grid that closes on itself around: vertex (i, j) has index i * rows + j."""
    i, j = (a.ravel() for a in np.meshgrid(np.arange(sections), np.arange(rows - 1), indexing="ij"))
    after = (i + 1) % sections
    a, b = i * rows + j, after * rows + j
    faces = np.concatenate([np.c_[a, b, b + 1], np.c_[a, b + 1, a + 1]])
    c, d = i * rows + j, (i + 1) * rows + j
    texfaces = np.concatenate([np.c_[c, d, d + 1], np.c_[c, d + 1, c + 1]])
    return TexturedMesh(vertices, faces.astype(np.int32), texcoords, texfaces.astype(np.int32))


def _not_degenerate(mesh: TexturedMesh) -> NDArray[np.bool_]:
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    return np.asarray(np.linalg.norm(np.cross(b - a, c - a), axis=1) > 1e-12)
