"""Rigid transforms: group axioms and round trips."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from novaflow_core import se3

rotation_vectors = arrays(np.float64, 3, elements=st.floats(-1.8, 1.8))  # of length below pi
translations = arrays(np.float64, 3, elements=st.floats(-2, 2))
transforms = st.builds(lambda w, t: se3.from_rt(se3.exp_so3(w), t), rotation_vectors, translations)
points = arrays(np.float64, (4, 3), elements=st.floats(-2, 2))


@given(rotation_vectors)
def test_exponentials_are_rotations(w: np.ndarray) -> None:
    rotation = se3.exp_so3(w)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(rotation) > 0


@given(rotation_vectors)
def test_log_undoes_exp(w: np.ndarray) -> None:
    np.testing.assert_allclose(se3.log_so3(se3.exp_so3(w)), w, atol=1e-7)


@given(rotation_vectors)
def test_quaternions_come_back(w: np.ndarray) -> None:
    rotation = se3.exp_so3(w)
    quaternion = se3.quaternion_xyzw(rotation)
    np.testing.assert_allclose(np.linalg.norm(quaternion), 1.0)
    np.testing.assert_allclose(se3.rotation_from_xyzw(quaternion), rotation, atol=1e-9)
    np.testing.assert_allclose(se3.rotation_from_xyzw(-3 * quaternion), rotation, atol=1e-9)


@given(transforms, transforms, points)
def test_transforms_compose_and_invert(a: np.ndarray, b: np.ndarray, p: np.ndarray) -> None:
    np.testing.assert_allclose(se3.apply(a @ b, p), se3.apply(a, se3.apply(b, p)), atol=1e-9)
    np.testing.assert_allclose(se3.apply(se3.inverse(a), se3.apply(a, p)), p, atol=1e-9)


@given(rotation_vectors)
def test_the_angle_is_the_length_of_the_vector(w: np.ndarray) -> None:
    angle = se3.rotation_angle(se3.exp_so3(w))
    np.testing.assert_allclose(angle, np.linalg.norm(w), atol=1e-7)


def test_half_turns() -> None:
    for axis in np.eye(3):
        w = se3.log_so3(se3.exp_so3(np.pi * axis))
        np.testing.assert_allclose(abs(w), np.pi * axis, atol=1e-7)


def test_batches_equal_single_calls() -> None:
    w = np.random.default_rng(0).normal(size=(5, 2, 3))
    batch = se3.exp_so3(w)
    assert batch.shape == (5, 2, 3, 3)
    np.testing.assert_allclose(batch[3, 1], se3.exp_so3(w[3, 1]))
    np.testing.assert_allclose(se3.log_so3(batch)[2, 0], se3.log_so3(batch[2, 0]))


def test_unknown_points_stay_unknown() -> None:
    out = se3.apply(np.eye(4), [[np.nan, 0, 0], [1, 2, 3]])
    assert np.isnan(out[0]).any()
    np.testing.assert_array_equal(out[1], [1, 2, 3])


def test_hat_is_the_cross_product() -> None:
    a, b = np.random.default_rng(1).normal(size=(2, 3))
    np.testing.assert_allclose(se3.hat(a) @ b, np.cross(a, b))
