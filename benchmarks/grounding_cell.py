"""Grounding in the simulated cell: rewordings of its tasks, and how far perceived places are off.

    python benchmarks/grounding_cell.py [--seeds 1000:1020] [--words] [--places]

Rendered with the sensor's default noise and without an error of the camera's pose. The truth is
read here only: which label an object has, and where its axis stands. An offset is positive toward
the camera.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from dataclasses import dataclass

import cv2
import mujoco
import numpy as np
from numpy.typing import NDArray

from novaflow_core.errors import NovaflowError
from novaflow_core.grounding import GroundedObject, Grounding
from novaflow_core.relations import footprint_of
from novaflow_core.scene import RgbdView, Scene
from novaflow_perception.backends.tabletop import TabletopGrounder
from novaflow_perception.core.geometry import centre_of
from novaflow_perception.core.instruction import parse
from novaflow_sim.backends import layout, scene
from novaflow_sim.backends.rendering import Renderer, camera_model
from novaflow_sim.core import objects, robot_model
from novaflow_sim.core.depth_sensor import ColourSensor, DepthNoise, DepthSensor
from novaflow_sim.core.placements import Layout
from novaflow_sim.core.settings import CellSettings

# {colour} is that of the cup, which the seed decides.
REWORDINGS = {
    "cup": (
        "put the cup on the saucer",
        "place the mug onto the plate",
        "set the {colour} cup down on top of the saucer",
        "could you please move the {colour} mug onto the saucer?",
        "stand the mug on the saucer",
        "pick up the cup and place it on the saucer",
        "the cup goes on the saucer",
        "I would like the {colour} cup to be on the plate",
        "pop the mug on that saucer, thanks",
        "take the cup with the handle and set it down on the dish",
        "Cup on saucer.",
    ),
    "insert": (
        "insert the yellow block into the socket",
        "put the yellow brick in the hole",
        "the block goes into the socket",
        "place the yellow peg inside the holder",
        "plug the yellow block into the slot",
        "fit the yellow cuboid into the socket",
        "please slot the tall yellow block into the socket",
        "pick up the yellow block and drop it into the hole",
        "lower the yellow block into the recess",
        "I want the yellow block in the socket",
        "push the yellow brick down into the fixture",
    ),
    "mug": (
        "hang the mug on the tree",
        "hang the red cup onto the mug tree",
        "please hang the mug by its handle on the rack",
        "take the mug and hang it on the peg",
        "suspend the red mug from above on the tree",
    ),
}


@dataclass(frozen=True)
class Rendered:
    """One seed's view, and the truth about it.

    Attributes:
        scene: The view; planning frame is the robot's base.
        layout: Where things stand.
        label: (H, W) 1 the target, 2 the reference, 0 anything else.
    """

    scene: Scene
    layout: Layout
    label: NDArray[np.uint8]


class CellViews:
    """Renders the first view of any seed of a task."""

    def __init__(self, task: str) -> None:
        """Load the model."""
        self._task, self._settings = task, CellSettings()
        self._model = scene.load(task)
        size = self._settings.image_width, self._settings.image_height
        self._camera, self._renderer = camera_model(*size), Renderer(self._model, *size)
        self._pose = layout.true_camera_pose(self._model)

    def view(self, seed: int) -> Rendered:
        """Render one seed."""
        drawn = layout.layout_of(self._model, self._task, seed)
        layout.apply_looks(self._model, drawn)
        everything = self._rendered(drawn)
        props = objects.TASKS[self._task].props
        label = np.zeros(everything[1].shape, np.uint8)
        for k, prop in enumerate(props[:2]):
            without = self._rendered(drawn, gone=prop.name)[1]
            label[np.abs(without - everything[1]) > 5e-4] = k + 1
        s = self._settings
        noise = DepthNoise(
            sigma_m=s.depth_noise_m,
            edge_hole_rate=s.depth_edge_hole_rate,
            misregistration_px=s.depth_misregistration_px,
        )
        size = s.image_width, s.image_height
        raw = DepthSensor(noise, *size, seed=seed).measure(everything[1])
        color = ColourSensor(s.colour_noise, *size, seed=seed).measure(everything[0])
        depth = np.where(raw > 0, raw.astype(np.float32) / 1000.0, np.nan).astype(np.float32)
        view = RgbdView("camera", "optical", 1, color, depth, self._camera, self._pose)
        return Rendered(Scene(f"{self._task}_{seed}", "base", (view,)), drawn, label)

    def _rendered(
        self, drawn: Layout, gone: str = ""
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        data = mujoco.MjData(self._model)
        layout.apply_poses(self._model, data, self._task, drawn)
        joints = [self._model.joint(j).qposadr[0] for j in robot_model.ARM_JOINTS]
        data.qpos[joints] = robot_model.HOME_RAD
        for prop in objects.TASKS[self._task].props:
            if prop.name == gone and prop.fixed:
                data.mocap_pos[self._model.body(gone).mocapid[0]] = [0, 0, -5.0]
            elif prop.name == gone:
                data.qpos[self._model.joint(f"{gone}_free").qposadr[0] + 2] = -5.0
        mujoco.mj_kinematics(self._model, data)
        mujoco.mj_camlight(self._model, data)
        return self._renderer.render(data)


def words(task: str, views: CellViews, seeds: range) -> None:
    """Ground every rewording at some seeds."""
    grounder, times = TabletopGrounder(), []
    good: dict[str, int] = defaultdict(int)
    for seed in seeds:
        shown = views.view(seed)
        colour = shown.layout.cup_look.removeprefix("cup_")
        for text in REWORDINGS[task]:
            said = text.format(colour=colour)
            began = time.process_time()
            try:
                grounding = grounder.ground(shown.scene, parse(said))
            except NovaflowError as error:
                print(f"  {seed} {said}: {error.code.name} {error.reason[:150]}")
                continue
            times.append(time.process_time() - began)
            pairs = [(grounding.target, 1), *((r, 2) for r in grounding.references)]
            right = all((shown.label[grounding.mask(item)] == k).mean() > 0.8 for item, k in pairs)
            good[text] += right and len(pairs) == 2
            if not right:
                print(f"  {seed} {said}: took {[item.description for item, _ in pairs]}")
    for text in REWORDINGS[task]:
        print(f"  {good[text]:2d} of {len(seeds)}  {text}")
    print(f"  time of ground: median {np.median(times):.2f} s CPU, slowest {max(times):.2f} s")


def places(task: str, views: CellViews, seeds: range) -> None:
    """Compare perceived places of target and reference with the truth."""
    rows: dict[tuple[str, str], list[tuple[float, float, float]]] = defaultdict(list)
    cast = objects.TASKS[task]
    for seed in seeds:
        shown = views.view(seed)
        try:
            grounding = TabletopGrounder().ground(shown.scene, parse(cast.instruction))
        except NovaflowError as error:
            print(f"  {seed}: {error}")
            continue
        for item, prop in (
            (grounding.target, cast.target),
            (grounding.references[0], cast.reference),
        ):
            at = shown.layout.placements[prop.name]
            truth = np.array([at.x_m, at.y_m])
            eye = shown.scene.main.T_planning_camera[:2, 3]
            for way, (centre, yaw) in _perceived(grounding, shown.scene, item).items():
                off = centre - truth
                toward = (eye - truth) / np.linalg.norm(eye - truth)
                aside = off @ np.array([-toward[1], toward[0]])
                turn = (yaw - at.yaw_rad + np.pi / 4) % (np.pi / 2) - np.pi / 4
                rows[prop.name, way].append((off @ toward, aside, turn))
    for (name, way), offs in rows.items():
        v = np.array(offs)
        length = 1e3 * np.hypot(v[:, 0], v[:, 1])
        turn = "" if name in ("cup", "saucer") else f"  turn {_spread(np.degrees(v[:, 2]), 'deg')}"
        print(
            f"  {name:13s} {way:10s} toward camera {_spread(1e3 * v[:, 0], 'mm')}  aside "
            f"{_spread(1e3 * v[:, 1], 'mm')}  length median {np.median(length):.1f} worst "
            f"{length.max():.1f} mm{turn}"
        )


def _spread(values: NDArray[np.float64], unit: str) -> str:
    return f"{values.mean():+.1f} +- {values.std():.1f} {unit}"


def _perceived(
    grounding: Grounding, scene_: Scene, item: GroundedObject
) -> dict[str, tuple[NDArray[np.float64], float]]:
    """Places (2,) [m] and yaws [rad] in the base frame, by what makes them."""
    foot = footprint_of(
        grounding.points(scene_, item), grounding.support, scene_.main.T_planning_camera
    )
    basis = grounding.support.basis()
    centre = foot.centre @ basis - grounding.support.offset * grounding.support.normal
    along = np.array([np.cos(foot.yaw_rad), np.sin(foot.yaw_rad)]) @ basis
    edge = item.corners[1] - item.corners[0]
    cloud = grounding.points(scene_, item)
    return {
        "cloud mean": (cloud.mean(axis=0)[:2], 0.0),
        "box": (centre_of(item)[:2], float(np.arctan2(edge[1], edge[0]))),
        "footprint": (centre[:2], float(np.arctan2(along[1], along[0]))),
    }


def main() -> int:
    """Print the tables."""
    cv2.setNumThreads(1)
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seeds", default="1000:1020", help="half-open range")
    options.add_argument("--words", action="store_true", help="only the rewordings")
    options.add_argument("--places", action="store_true", help="only the places")
    chosen = options.parse_args()
    seeds = range(*map(int, chosen.seeds.split(":")))
    for task in objects.TASKS:
        print(f"{task}, seeds {chosen.seeds}")
        views = CellViews(task)
        if chosen.words or not chosen.places:
            words(task, views, seeds[:3])
        if chosen.places or not chosen.words:
            places(task, views, seeds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
