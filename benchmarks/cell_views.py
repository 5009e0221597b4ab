"""The first view of the simulated cell, rendered in this process: no graph, no robot.

Images carry the sensors' noise and the camera's pose its calibration error, as on the topics.
"""

from __future__ import annotations

import mujoco
import numpy as np
from numpy.typing import NDArray

from novaflow_core.scene import RgbdView, Scene
from novaflow_perception.core.capture import CaptureLimits, RawView, assemble
from novaflow_sim.backends import layout
from novaflow_sim.backends.cell import Cell
from novaflow_sim.backends.rendering import Renderer, camera_model
from novaflow_sim.core import objects
from novaflow_sim.core.calibration import miscalibrated
from novaflow_sim.core.depth_sensor import ColourSensor, DepthNoise, DepthSensor
from novaflow_sim.core.settings import CellSettings

DEPTH_FRAMES = 5  # perception_node's default

INSTRUCTIONS = {task: cast.instruction for task, cast in objects.TASKS.items()}


def cell_scene(task: str, seed: int, width: int = 1280, height: int = 720) -> Scene:
    """What the cell's camera sees of a seed's layout before the arm moves."""
    s = CellSettings(task=task, seed=seed, image_width=width, image_height=height)
    cell = Cell(task, seed)
    layout.apply_looks(cell.model, layout.layout_of(cell.model, task, seed))
    renderer = Renderer(cell.model, width, height)
    try:
        mujoco.mj_kinematics(cell.model, cell.data)
        mujoco.mj_camlight(cell.model, cell.data)
        colour, depth = renderer.render(cell.data)
    finally:
        renderer.close()
    pose = miscalibrated(
        layout.true_camera_pose(cell.model), s.extrinsic_error_m, s.extrinsic_error_deg, seed
    )
    view = captured_view(colour, depth, *sensors_of(s), pose, 0)
    return Scene(f"{task}_{seed}", "base", (view,))


def sensors_of(s: CellSettings) -> tuple[ColourSensor, DepthSensor]:
    """The noise that a cell's camera puts on what is rendered."""
    width, height = s.image_width, s.image_height
    noise = DepthNoise(
        sigma_m=s.depth_noise_m,
        edge_hole_rate=s.depth_edge_hole_rate,
        misregistration_px=s.depth_misregistration_px,
    )
    return (
        ColourSensor(s.colour_noise, width, height, seed=s.seed),
        DepthSensor(noise, width, height, seed=s.seed),
    )


def captured_view(
    colour: NDArray[np.uint8],
    depth_m: NDArray[np.float32],
    colour_sensor: ColourSensor,
    depth_sensor: DepthSensor,
    T_planning_camera: NDArray[np.float64],
    stamp_ns: int,
) -> RgbdView:
    """What perception_node captures of a rendered image: noisy, several depth frames merged.

    Args:
        colour: (H, W, 3) RGB as rendered.
        depth_m: (H, W) as rendered [m].
        colour_sensor: Its noise.
        depth_sensor: Its noise.
        T_planning_camera: (4, 4) the camera's pose as it is published.
        stamp_ns: Of the images [ns].
    """
    frames = []
    for _ in range(DEPTH_FRAMES):
        raw = depth_sensor.measure(depth_m).astype(np.float32) * np.float32(0.001)
        raw[raw == 0] = np.nan
        frames.append(raw)
    model = camera_model(colour.shape[1], colour.shape[0])
    raw_view = RawView(
        "camera",
        "camera_color_optical_frame",
        stamp_ns,
        colour_sensor.measure(colour),
        frames,
        model,
        model,
    )
    return assemble(raw_view, T_planning_camera, stamp_ns, CaptureLimits())
