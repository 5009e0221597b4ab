"""Meshes are closed, face outwards and have texture coordinates in range."""

import numpy as np
import pytest

from novaflow_sim.core import objects, shapes


def volume(mesh: shapes.TexturedMesh) -> float:
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


def test_box_volume() -> None:
    assert volume(shapes.box((0.1, 0.2, 0.3))) == pytest.approx(8 * 0.1 * 0.2 * 0.3)


def test_cylinder_volume() -> None:
    mesh = shapes.revolve([[0, 0], [0.05, 0], [0.05, 0.2], [0, 0.2]], 128)
    assert volume(mesh) == pytest.approx(np.pi * 0.05**2 * 0.2, rel=2e-3)


def test_tube_volume() -> None:
    path = np.c_[np.linspace(0, 0.3, 30), np.zeros(30), np.zeros(30)]
    assert volume(shapes.sweep(path, 0.01, 64)) == pytest.approx(np.pi * 1e-4 * 0.3, rel=1e-2)


@pytest.mark.parametrize(
    "mesh",
    [
        shapes.revolve(objects.CUP_VESSEL.profile()),
        shapes.revolve(objects.saucer_profile()),
        shapes.sweep(objects.mug_handle(20), 0.005),
        shapes.box((0.1, 0.1, 0.1), 0.0),
    ],
)
def test_texture_coordinates_are_in_range_and_indexed(mesh: shapes.TexturedMesh) -> None:
    assert mesh.texcoords.min() >= 0.0
    assert mesh.texcoords.max() <= 1.0
    assert mesh.faces.shape == mesh.texfaces.shape
    assert mesh.texfaces.max() < len(mesh.texcoords)
    assert mesh.faces.max() < len(mesh.vertices)
