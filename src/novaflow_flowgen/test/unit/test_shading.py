"""A face that turns away from the light darkens; that is not another thing in front of it."""

import numpy as np
import pytest
from ray_scene import Item, make_scene, render_motion, rigid_motion

from novaflow_core import se3
from novaflow_core.camera import CameraModel
from novaflow_flowgen.core.lift import make_klt
from novaflow_flowgen.core.protocols import LiftRequest
from novaflow_flowgen.core.settings import FlowgenSettings
from novaflow_flowgen.core.shading import Shading, fit_light
from novaflow_flowgen.core.warp import forward_warp, surface_of

LIGHT = np.array([0.3, -0.2, -0.5])


@pytest.fixture
def pixels():
    random = np.random.default_rng(4)
    model = random.uniform(60, 200, 900).astype(np.float32)
    change = random.normal(0, 0.25, (900, 3)).astype(np.float32)
    now = 0.9 * model * (1 + change @ LIGHT) + 7 + random.normal(0, 3, 900)
    return model, change, now.astype(np.float32)


def followed(model, change, now, tones=(0.9, 7.0)):
    """Light after some frames: it may change by little from one to the next."""
    light = np.zeros(3)
    for _ in range(8):
        light = fit_light(model, now, change, tones, light)
    return light


def test_the_light_is_found(pixels):
    np.testing.assert_allclose(followed(*pixels), LIGHT, atol=0.05)


def test_a_hand_in_front_has_no_say(pixels):
    model, change, now = pixels
    now[:250] = 220.0
    np.testing.assert_allclose(followed(model, change, now), LIGHT, atol=0.08)


def test_light_is_asked_for_where_the_thing_turns_and_not_where_it_slides():
    random = np.random.default_rng(5)
    model = CameraModel(64, 48, 60.0, 60.0, 31.5, 23.5)
    depth = np.full((48, 64), 0.7) + random.normal(0, 1e-4, (48, 64))
    surface = surface_of(depth, np.ones((48, 64), bool), model)
    shading, centre = Shading(surface, model), surface.points.mean(axis=0)
    for angle, dn_x in ((0.0, None), (0.3, -np.sin(0.3))):
        rotation = se3.exp_so3(np.array([0.0, angle, 0.0]))
        motion = se3.from_rt(rotation, centre - rotation @ centre)
        warp = forward_warp(surface, motion, model)
        change = shading.change(warp, motion, np.flatnonzero(warp.alpha > 0.99))
        if dn_x is None:
            assert change is None
        else:
            assert np.median(abs(change[:, 0])) == pytest.approx(abs(dn_x), abs=0.02)
            assert np.median(abs(change[:, 1])) < 0.02


def test_a_box_that_tilts_under_a_lamp_is_seen_as_a_whole(monkeypatch):
    def lit(self, local, normal):
        pattern = np.sign(np.sin(local @ self._waves.T + self._phases)).sum(-1) / 10
        lamp = 0.25 + 0.75 * np.clip(normal @ np.array([0.37, 0.0, 0.93]), 0, 1)
        return np.array(self.colour) * (lamp * (1 + 0.45 * pattern))[..., None]

    monkeypatch.setattr(Item, "shade", lit)
    items = [Item((0.03, 0.04, 0.05), (0.0, 0.0), yaw=0.5, seed=1)]
    scene, grounding = make_scene(items, depth_noise=0.002, seed=3)
    film = render_motion(items, rigid_motion((0.0, 0.1, 0.03), np.radians(40), (0, 0, 0.05)))
    request = LiftRequest(
        film, scene.main, grounding.mask(grounding.target), grounding.support, "it", "base"
    )
    stats = make_klt(FlowgenSettings()).lift(request, lambda _: None, lambda: False).stats
    assert stats["seen_share_min"] > 0.8
