"""Noise statistics, steps, holes and slip of the depth sensor."""

import numpy as np
import pytest

from novaflow_sim.core.depth_sensor import ColourSensor, DepthNoise, DepthSensor

SIZE = (320, 240)


def flat(depth_m: float) -> np.ndarray:
    return np.full(SIZE[::-1], depth_m, np.float32)


def measured(sensor: DepthSensor, depth: np.ndarray) -> np.ndarray:
    out = sensor.measure(depth)
    assert out.dtype == np.uint16
    return out[2:, 2:] * 1e-3


@pytest.mark.parametrize("depth_m", [0.5, 0.7, 1.4])
def test_deviation_grows_with_depth_squared(depth_m: float) -> None:
    sensor = DepthSensor(DepthNoise(), *SIZE, seed=1)
    residual = np.stack([measured(sensor, flat(depth_m)) - depth_m for _ in range(8)])
    expected = np.hypot(0.002 * (depth_m / 0.7) ** 2, 0.001 / np.sqrt(12))
    assert residual.std() == pytest.approx(expected, rel=0.12)
    assert abs(residual.mean()) < 0.3 * expected


def test_noise_differs_between_frames_and_is_seeded() -> None:
    first, second = (DepthSensor(DepthNoise(), *SIZE, seed=3) for _ in range(2))
    a, b = measured(first, flat(0.7)), measured(first, flat(0.7))
    assert (a != b).mean() > 0.5
    assert np.array_equal(a, measured(second, flat(0.7)))


def test_holes_lie_along_edges_only() -> None:
    depth = flat(1.0)
    depth[:, 160:] = 0.6
    out = DepthSensor(DepthNoise(misregistration_px=0), *SIZE, seed=2).measure(depth)
    hole = out == 0
    assert 0.3 < hole[:, 158:163].mean() < 0.9
    assert not hole[:, :150].any()
    assert not hole[:, 170:].any()


def test_depth_slips_against_colour() -> None:
    depth = flat(1.0)
    depth[:, 160:] = 0.6
    quiet = DepthNoise(sigma_m=0.0, edge_hole_rate=0.0, misregistration_px=1)
    out = DepthSensor(quiet, *SIZE, seed=2).measure(depth)
    assert (out[1:, 160] == 1000).all()
    assert (out[1:, 161] == 600).all()


def test_out_of_range_is_zero() -> None:
    sensor = DepthSensor(DepthNoise(), *SIZE, seed=2)
    assert not sensor.measure(flat(0.1)).any()
    assert not sensor.measure(flat(9.0)).any()


def test_colour_grain_has_its_deviation_and_no_bias() -> None:
    grey = np.full((*SIZE[::-1], 3), 120, np.uint8)
    sensor = ColourSensor(1.5, *SIZE, seed=0)
    a, b = sensor.measure(grey).astype(float), sensor.measure(grey).astype(float)
    assert a.std() == pytest.approx(1.5, rel=0.1)
    assert abs(a.mean() - 120) < 0.05
    assert (a != b).any()
