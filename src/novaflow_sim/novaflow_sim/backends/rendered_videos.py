"""Videos of a task as a generator might make them, independent of the product's storyboard.

MuJoCo renders the cell with a hand in it that hides part of what it carries; then light drifts, the
picture is made small, noisy and compressed. Truth goes in: these videos are for testing what reads
videos, and stand for a generator that knows the task.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import mujoco
import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_core.errors import Code, PlatformError
from novaflow_sim.backends.cell import Cell
from novaflow_sim.backends.layout import apply_looks, layout_of
from novaflow_sim.backends.rendering import Renderer
from novaflow_sim.core import objects
from novaflow_sim.core.disturbance import NONE
from novaflow_sim.core.filmed_motion import PART_SPOILS, SPOILS, Film, film
from novaflow_sim.core.task_endings import grip_of, manner_of, over, wanted_end

SIZE = (854, 480)
FRAMES, FPS = 37, 14.0
LABELS = "labels.json"  # for the harness; what reads videos does not look at it
_SKIN = np.array([0.78, 0.58, 0.46, 1.0], np.float32)


def render_videos(
    task: str, seed: int, candidates: int, spoiled: int, folder: Path, disturb: str = NONE
) -> list[str]:
    """Write `candidates` MP4 files and what is wrong with each; does nothing where all are there.

    Args:
        task: Name of a task.
        seed: Of the layout, and of everything random.
        candidates: How many videos.
        spoiled: How many of them to spoil.
        folder: Gets the videos.
        disturb: As of the cell: an obstacle is in the picture, too.

    Returns:
        What is wrong with each video, "" where nothing is; with the true motions also in `LABELS`.

    Raises:
        PlatformError: INVALID_SETTING for a task without such videos, UNAVAILABLE when a file
            cannot be written.
    """
    random = np.random.default_rng([seed, objects.TASKS[task].stream, 0xF11A])
    spoils = PART_SPOILS if objects.TASKS[task].part else SPOILS
    kinds = [spoils[i] for i in random.permutation(len(spoils))]
    labels = [kinds[k % len(kinds)] if k < spoiled else "" for k in range(candidates)]
    labels = [labels[i] for i in random.permutation(candidates)]
    done = folder / LABELS
    if done.is_file() and json.loads(done.read_text())["spoils"] == labels:
        return labels
    films = []
    folder.mkdir(parents=True, exist_ok=True)
    cell = Cell(task, seed, disturb=disturb)
    apply_looks(cell.model, layout_of(cell.model, task, seed))
    renderer = Renderer(cell.model, *SIZE)
    try:
        for number, spoil in enumerate(labels):
            motion = _film(cell, task, spoil, random)
            frames = _filmed(cell, renderer, motion, random)
            _write(folder / f"candidate_{number:02d}.mp4", frames)
            films.append({"moves": motion.moves, "poses": motion.poses.round(6).tolist()})
    finally:
        renderer.close()
    done.write_text(json.dumps({"spoils": labels, "films": films}))
    return labels


def _film(cell: Cell, task: str, spoil: str, random: np.random.Generator) -> Film:
    cast, poses = objects.TASKS[task], cell.truth().poses
    end, start = wanted_end(task, poses), poses[cast.moves]
    if spoil != "other_object":
        grip, manner = grip_of(task, poses), manner_of(task, poses)
        return film(cast.moves, start, end, grip, FRAMES, random, spoil, manner)
    prop = cast.distractors[int(random.integers(len(cast.distractors)))]
    other = poses[prop.name]
    goal = se3.from_rt(other[:3, :3], [*end[:2, 3], prop.rest_height_m + 0.02])
    return film(prop.name, other, goal, over(prop), FRAMES, random, spoil)


def _filmed(
    cell: Cell, renderer: Renderer, motion: Film, random: np.random.Generator
) -> list[NDArray[np.uint8]]:
    model, data = cell.model, cell.data
    put = _mover(cell, motion.moves)
    before = data.qpos.copy()
    finger = random.uniform(0.006, 0.008)
    gain_end = random.uniform(0.92, 1.06) * (1.0 + random.uniform(-0.04, 0.04, 3))
    frames = []
    for k, pose in enumerate(motion.poses):
        put(pose)
        mujoco.mj_kinematics(model, data)
        mujoco.mj_camlight(model, data)
        palm = motion.hand[k]
        colour, _ = renderer.render(data, lambda scene, palm=palm: _add_hand(scene, palm, finger))
        frames.append(_worn(colour, gain_end, k / (len(motion.poses) - 1), random))
    data.qpos[:] = before
    mujoco.mj_forward(model, data)
    return frames


def _mover(cell: Cell, name: str) -> Callable[[NDArray[np.float64]], None]:
    """What puts a thing, or a part on its slide, at a pose (4, 4) in the base frame."""
    data, cast = cell.data, objects.TASKS[cell.task]
    if name == cast.part:
        slide = int(cell.model.joint(name).qposadr[0])
        to_whole = se3.inverse(cell.truth().poses[cast.target.name])
        shut = float((to_whole @ cell.truth().poses[name])[0, 3]) - float(data.qpos[slide])

        def pull(pose: NDArray[np.float64]) -> None:
            data.qpos[slide] = (to_whole @ pose)[0, 3] - shut

        return pull
    at = int(cell.model.joint(f"{name}_free").qposadr[0])

    def place(pose: NDArray[np.float64]) -> None:
        data.qpos[at : at + 3] = pose[:3, 3]
        mujoco.mju_mat2Quat(data.qpos[at + 3 : at + 7], pose[:3, :3].ravel())

    return place


def _add_hand(scene: mujoco.MjvScene, palm: NDArray[np.float64], finger_m: float) -> None:
    """A palm with thumb, three fingers and forearm, over what it holds."""
    across, along, up = np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), np.array([0, 0, 1.0])
    base = palm + 0.045 * up
    parts = [(base - 0.02 * along, palm - 0.24 * along + 0.20 * up, 0.026)]
    parts += [
        (base + s * across, palm + 0.012 * along + s * across, 1.6 * finger_m)
        for s in (-0.02, 0.02)
    ]
    for s in (-0.022, 0.0, 0.022):
        tip = palm + 0.030 * along + s * across - 0.035 * up
        parts += [(base + s * across, palm + 0.038 * along + s * across, finger_m)]
        parts += [(palm + 0.038 * along + s * across, tip, finger_m)]
    parts += [(base - 0.01 * along, palm - 0.040 * along - 0.02 * up, finger_m)]
    for a, b, radius in parts:
        if scene.ngeom >= scene.maxgeom:
            raise PlatformError(Code.INTERNAL, "the scene holds no more geoms for a hand")
        geom = scene.geoms[scene.ngeom]
        mujoco.mjv_initGeom(
            geom, mujoco.mjtGeom.mjGEOM_CAPSULE, np.zeros(3), np.zeros(3), np.zeros(9), _SKIN
        )
        mujoco.mjv_connector(geom, mujoco.mjtGeom.mjGEOM_CAPSULE, radius, a, b)
        scene.ngeom += 1


def _worn(
    colour: NDArray[np.uint8],
    gain_end: NDArray[np.float64],
    share: float,
    random: np.random.Generator,
) -> NDArray[np.uint8]:
    """The picture with drifting light, a softer focus and noise."""
    gain = 1.0 + share * (gain_end - 1.0)
    soft = cv2.GaussianBlur(colour, (0, 0), 0.6).astype(np.float32)
    noise = random.standard_normal((colour.shape[0] // 2, colour.shape[1] // 2, 3), np.float32)
    grain = cv2.resize(2.5 * noise, colour.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return np.clip(soft * gain.astype(np.float32) + grain, 0, 255).astype(np.uint8)


def _write(path: Path, frames: list[NDArray[np.uint8]]) -> None:
    part = path.with_suffix(".part.mp4")
    writer = cv2.VideoWriter(str(part), cv2.VideoWriter.fourcc(*"mp4v"), FPS, SIZE)
    if not writer.isOpened():
        raise PlatformError(Code.UNAVAILABLE, f"cannot write {path}: no MP4 encoder or no access")
    for frame in frames:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    writer.release()
    part.replace(path)
