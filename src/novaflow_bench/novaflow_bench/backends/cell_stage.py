"""Stages of the simulated cell: what its camera sees, and the truth beside it."""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

from novaflow_bench.core.stage import Ask, Depth, Image, Stage
from novaflow_core import se3
from novaflow_core.errors import Code, PlatformError
from novaflow_core.scene import Plane, RgbdView
from novaflow_perception.core.capture import CaptureLimits, RawView, assemble
from novaflow_sim.backends.cell import Cell
from novaflow_sim.backends.layout import apply_looks, layout_of, true_camera_pose
from novaflow_sim.backends.rendering import Renderer, camera_model
from novaflow_sim.core import objects
from novaflow_sim.core.calibration import miscalibrated
from novaflow_sim.core.depth_sensor import ColourSensor, DepthNoise, DepthSensor
from novaflow_sim.core.settings import CellSettings
from novaflow_sim.core.task_endings import wanted_end

Float = NDArray[np.float64]

# What follows the end in `Ask` [m]. The cup's foot may be 25 mm off the middle of the well; the
# block has 3 mm a side, is in when 15 mm are, and a hand that lets go leaves some of it out.
_MARGINS = {
    "cup": (0.05, 0.008, (0.0, 0.002), (0.045, 0.06)),
    "insert": (0.075, 0.001, (0.004, 0.016), (0.02, 0.028)),
}
TASKS = tuple(_MARGINS)
_DEPTH_FRAMES = 5  # perception_node's default
_AWAY_M = 5.0
_DIFFERS_M = 2e-4


def cell_stage(task: str, seed: int) -> Stage:
    """Stage of a task's layout.

    Raises:
        PlatformError: INVALID_SETTING for a task that no videos are known of.
    """
    if task not in _MARGINS:
        raise PlatformError(
            Code.INVALID_SETTING, f"no labelled videos of '{task}'; only of {', '.join(TASKS)}"
        )
    settings = CellSettings(task=task, seed=seed)
    size = settings.image_width, settings.image_height
    cell = Cell(task, seed)
    apply_looks(cell.model, layout_of(cell.model, task, seed))
    renderer = Renderer(cell.model, *size)
    try:
        backdrop = _Rendered(cell, renderer)
        picture, depth = backdrop.without(())
        names = [prop.name for prop in objects.TASKS[task].props]
        labels = np.zeros(depth.shape, np.uint8)
        for k, name in enumerate(names):
            labels[np.abs(backdrop.hidden((name,))[1] - depth) > _DIFFERS_M] = k + 2
            backdrop.names[k + 2] = name
        backdrop.keep()
    finally:
        renderer.close()
    pose = true_camera_pose(cell.model)
    poses = cell.truth().poses
    start = poses[objects.TASKS[task].target.name]
    ask = Ask(wanted_end(task, poses) @ se3.inverse(start), True, False, *_MARGINS[task])
    return Stage(
        f"{task}_{seed}", _seen(picture, depth, settings, pose), objects.TASKS[task].instruction,
        picture, depth, labels, 2, pose, Plane(np.array([0.0, 0.0, 1.0]), 0.0), ask, backdrop,
    )  # fmt: skip


class _Rendered:
    """Renders the cell without some of its things; keeps what was rendered."""

    def __init__(self, cell: Cell, renderer: Renderer) -> None:
        self._cell, self._renderer = cell, renderer
        self._kept: dict[tuple[str, ...], tuple[Image, Depth]] = {}
        self.names: dict[int, str] = {}

    def without(self, labels: tuple[int, ...]) -> tuple[Image, Depth]:
        return self.hidden(tuple(sorted(self.names[k] for k in labels)))

    def keep(self) -> None:
        """Render all that a film may need: without each thing, and without the target and it."""
        target = self.names[min(self.names)]
        for name in self.names.values():
            self.hidden(tuple(sorted({target, name})))

    def hidden(self, names: tuple[str, ...]) -> tuple[Image, Depth]:
        if names not in self._kept:
            self._kept[names] = self._render(names)
        return self._kept[names]

    def _render(self, names: tuple[str, ...]) -> tuple[Image, Depth]:
        model, data = self._cell.model, self._cell.data
        positions, mocaps = data.qpos.copy(), data.mocap_pos.copy()
        for name in names:
            mocap = int(model.body(name).mocapid[0])
            if mocap >= 0:
                data.mocap_pos[mocap, 2] -= _AWAY_M
            else:
                data.qpos[int(model.joint(f"{name}_free").qposadr[0]) + 2] -= _AWAY_M
        mujoco.mj_kinematics(model, data)
        mujoco.mj_camlight(model, data)
        colour, depth = self._renderer.render(data)
        data.qpos[:], data.mocap_pos[:] = positions, mocaps
        mujoco.mj_forward(model, data)
        return colour, np.array(depth, np.float32)


def _seen(picture: Image, depth: Depth, s: CellSettings, pose: Float) -> RgbdView:
    """What perception captures of it: noisy, several depth frames merged, miscalibrated."""
    size = s.image_width, s.image_height
    noise = DepthNoise(
        sigma_m=s.depth_noise_m,
        edge_hole_rate=s.depth_edge_hole_rate,
        misregistration_px=s.depth_misregistration_px,
    )
    sensor, frames = DepthSensor(noise, *size, seed=s.seed), []
    for _ in range(_DEPTH_FRAMES):
        raw = sensor.measure(depth).astype(np.float32) * np.float32(0.001)
        frames.append(np.where(raw > 0, raw, np.float32(np.nan)))
    model = camera_model(*size)
    colour = ColourSensor(s.colour_noise, *size, seed=s.seed).measure(picture)
    raw_view = RawView("camera", "camera_color_optical_frame", 1, colour, frames, model, model)
    published = miscalibrated(pose, s.extrinsic_error_m, s.extrinsic_error_deg, s.seed)
    return assemble(raw_view, published, 1, CaptureLimits())
