"""The forward warp: identity, known shifts, nearest surface first."""

import numpy as np

from novaflow_core.camera import CameraModel
from novaflow_flowgen.core.warp import fill_nearest, forward_warp, smooth_depth, surface_of

MODEL = CameraModel(120, 90, 100.0, 100.0, 59.5, 44.5)


def _square():
    mask = np.zeros((90, 120), bool)
    mask[30:60, 40:80] = True
    depth = np.where(mask, np.float32(0.5), np.float32(np.nan))
    image = np.random.default_rng(0).integers(0, 255, (90, 120, 3)).astype(np.uint8)
    return mask, depth, image


def test_identity_returns_the_image_unchanged():
    mask, depth, image = _square()
    warp = forward_warp(surface_of(depth, mask, MODEL), np.eye(4), MODEL)
    out = warp.sample(image)
    inside = warp.alpha > 0.99
    assert inside.sum() == mask.sum()
    assert (out[inside] == image[warp.window][inside]).all()


def test_a_shift_moves_every_pixel_by_what_the_pinhole_says():
    mask, depth, image = _square()
    motion = np.eye(4)
    motion[0, 3] = 0.05  # 10 px at half a metre
    warp = forward_warp(surface_of(depth, mask, MODEL), motion, MODEL)
    out = np.zeros_like(image)
    out[warp.window][warp.alpha > 0.99] = warp.sample(image)[warp.alpha > 0.99]
    assert (out[30:60, 50:90] == image[30:60, 40:80]).all()
    assert out[:, :50].sum() == 0


def test_nothing_is_left_of_an_object_outside_the_image():
    mask, depth, _ = _square()
    motion = np.eye(4)
    motion[0, 3] = 5.0
    assert forward_warp(surface_of(depth, mask, MODEL), motion, MODEL) is None


def test_depth_outside_the_mask_never_bleeds_in():
    mask, depth, _ = _square()
    noisy = np.where(mask, depth, np.float32(3.0))
    noisy[40:43, 50:53] = np.nan
    smooth = smooth_depth(noisy, mask)
    assert np.allclose(smooth[mask], 0.5)
    assert np.isnan(smooth[~mask]).all()


def test_holes_take_the_nearest_value():
    values = np.array([[1.0, 0.0, 0.0, 5.0]], np.float32)
    assert fill_nearest(values, values > 0).tolist() == [[1.0, 1.0, 5.0, 5.0]]
