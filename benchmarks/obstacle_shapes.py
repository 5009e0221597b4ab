"""What a round solid in the place of a box gains, and what planning among either costs.

Things of known shape are seen from one side, with depth noise, as things on the table are. For
each: the solid that perception chooses, its volume against the box's, how much of the true surface
sticks out of either, and how much nearer the arm may come: distances of free places around it to
the solid, less those to the box. Then whole picks of a block among six tall tins, once as boxes,
once as capsules, and among six balls.

Run inside the workspace's environment: `python benchmarks/obstacle_shapes.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from trajopt_problems import fr3

from novaflow_core import se3
from novaflow_core.candidate import FlowCandidate
from novaflow_core.errors import Code
from novaflow_core.flow import ObjectFlow
from novaflow_core.grounding import CollisionScene
from novaflow_core.obstacles import Box, Capsule, Obstacle, Sphere
from novaflow_core.scene import Plane
from novaflow_executor.backends.antipodal import Antipodal
from novaflow_executor.backends.trajopt import Trajopt
from novaflow_executor.core.collision import CollisionModel
from novaflow_executor.core.planner import MotionPlanner
from novaflow_executor.core.planner_settings import PlannerSettings
from novaflow_perception.core.geometry import box_of_corners, tightest, upright_box

Array = NDArray[np.float64]
Surface = tuple[Array, Array]  # points and outward normals

TABLE = Plane(np.array([0.0, 0.0, 1.0]), 0.0)
EYE = np.array([0.0, -0.7, 0.6])
POINTS = 12000
NOISE_M = 0.0015
AROUND_M = 0.06
ROUNDS = 15


def ball(rng: np.random.Generator, radius: float) -> Surface:
    """On the table."""
    normal = rng.normal(size=(POINTS, 3))
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    return normal * radius + [0, 0, radius], normal


def tin(rng: np.random.Generator, radius: float, height: float) -> Surface:
    """An upright cylinder with its lid."""
    angle = rng.uniform(-np.pi, np.pi, POINTS)
    out = np.c_[np.cos(angle), np.sin(angle), 0 * angle]
    side = radius * out + np.c_[0 * angle, 0 * angle, rng.uniform(0, height, POINTS)]
    lid = radius * np.sqrt(rng.uniform(0, 1, POINTS))[:, None] * out + [0, 0, height]
    return np.r_[side, lid], np.r_[out, np.tile([0, 0, 1.0], (POINTS, 1))]


def bottle(rng: np.random.Generator) -> Surface:
    """A body of 70 x 160 mm with a neck of 28 mm up to 250 mm."""
    body, neck = tin(rng, 0.035, 0.16), tin(rng, 0.014, 0.25)
    above = neck[0][:, 2] > 0.16
    return np.r_[body[0], neck[0][above]], np.r_[body[1], neck[1][above]]


THINGS: dict[str, Callable[[np.random.Generator], Surface]] = {
    "ball 70": lambda rng: ball(rng, 0.035),
    "bottle 70 x 250": bottle,
    "tall tin 66 x 250": lambda rng: tin(rng, 0.033, 0.25),
    "pole 30 x 300": lambda rng: tin(rng, 0.015, 0.3),
    "can 66 x 100": lambda rng: tin(rng, 0.033, 0.10),
    "cup 80 x 95": lambda rng: tin(rng, 0.04, 0.095),
}


def seen(rng: np.random.Generator, surface: Surface) -> Array:
    """The part that faces the camera, with noise along its rays."""
    points, normal = surface
    points = points[((EYE - points) * normal).sum(axis=1) > 0]
    ray = EYE - points
    ray /= np.linalg.norm(ray, axis=1, keepdims=True)
    return points + ray * rng.normal(0, NOISE_M, (len(points), 1))


def shapes() -> None:
    """Print a row per thing."""
    print(f"{'thing [mm]':19} {'solid':8} volume   sticks out [mm]   clearance gained [mm]")
    print(f"{'':19} {'':8} / box    box    solid     mean     best    worst")
    for name, make in THINGS.items():
        rng = np.random.default_rng(0)
        surface = make(rng)
        points = seen(rng, surface)
        box = box_of_corners("thing", upright_box(points, TABLE))
        solid = tightest(box, points, TABLE)
        true = surface[0]
        low, high = true.min(axis=0) - AROUND_M, true.max(axis=0) + AROUND_M
        around = rng.uniform([*low[:2], 0.0], high, (40000, 3))
        gap = np.linalg.norm(around[:, None] - true[:: len(true) // 400][None], axis=2).min(axis=1)
        free = around[(gap > 0.008) & (box.distance(around) > -0.03)]
        gain = 1e3 * (solid.distance(free) - box.distance(free))
        out = [1e3 * max(float(item.distance(true).max()), 0.0) for item in (box, solid)]
        print(
            f"{name:19} {type(solid).__name__:8} {solid.volume / box.volume:5.2f} "
            f"{out[0]:8.1f} {out[1]:8.1f} {gain.mean():8.1f} {gain.max():8.1f} {gain.min():8.1f}"
        )


def among(kind: str) -> CollisionScene:
    """Six tall tins around the way of a block, all of them boxes or all capsules."""
    spots = [(0.62, -0.2), (0.62, 0.0), (0.62, 0.2), (0.38, 0.0), (0.34, 0.22), (0.34, -0.3)]
    solids: list[Obstacle] = []
    for k, spot in enumerate(spots):
        foot = np.array([*spot, 0.0])
        if kind == "boxes":
            pose = se3.from_rt(np.eye(3), foot + 0.125 * TABLE.normal)
            solids.append(Box(f"other_{k}", pose, np.array([0.066, 0.066, 0.25])))
        elif kind == "capsules":
            solids.append(Capsule(f"other_{k}", foot, foot + 0.24 * TABLE.normal, 0.0335))
        else:
            solids.append(Sphere(f"other_{k}", foot + 0.035 * TABLE.normal, 0.035))
    return CollisionScene(f"{kind}", "fr3_link0", TABLE, tuple(solids))


def block_and_flow() -> tuple[Array, FlowCandidate]:
    """A block of 40 x 40 x 70 mm that is lifted, carried by 0.28 m and set down."""
    rng = np.random.default_rng(0)
    a, b = rng.uniform(-0.02, 0.02, (2, 1500))
    top = np.stack([a, b, np.full(1500, 0.07)], 1)
    side = np.stack([np.full(1500, 0.02), a, 0.035 + b * 1.75], 1)
    points = np.concatenate([top, side]) + rng.normal(0, 0.001, (3000, 3)) + [0.5, -0.15, 0.0]
    share = np.linspace(0, 1, 41)[:, None, None]
    u = 10 * share**3 - 15 * share**4 + 6 * share**5
    start = points[::25]
    moved = start + u * [-0.02, 0.28, 0.0] + 0.12 * np.sin(np.pi * u) * [0, 0, 1.0]
    known = np.ones(moved.shape[:2])
    flow = ObjectFlow(
        moved.astype(np.float32), known > 0, known.astype(np.float32), 1 / 16, "fr3_link0"
    )
    return points, FlowCandidate("c0", "scene", Code.OK, "", flow, "", "")


def picks() -> None:
    """Print the time of a whole plan, the kinds taking turns."""
    robot = fr3()
    planner = MotionPlanner(robot, Antipodal(), Trajopt(robot), PlannerSettings())
    planner.warm()
    points, candidate = block_and_flow()
    scenes = {kind: among(kind) for kind in ("boxes", "capsules", "balls")}
    times: dict[str, list[float]] = {kind: [] for kind in scenes}
    for k in range(ROUNDS):
        for kind, scene in scenes.items():
            fresh = replace(scene, scene_id=f"{kind} {k}")
            began = time.process_time()
            planner.plan(points, fresh, candidate, planner.home)
            times[kind].append(time.process_time() - began)
    for kind, values in times.items():
        print(
            f"a pick among six {kind}: {1e3 * float(np.median(values)):.0f} ms (median of {ROUNDS})"
        )
    q = robot.home + np.random.default_rng(0).normal(0, 0.4, (2000, robot.joint_count))
    for kind, scene in scenes.items():
        model = CollisionModel(robot, scene, 0.06)
        planner.solver.clearance(model, q)
        began = time.process_time()
        for _ in range(20):
            planner.solver.clearance(model, q)
        spent = (time.process_time() - began) / 20 / len(q)
        print(f"a distance among six {kind}: {1e6 * spent:.2f} us")


if __name__ == "__main__":
    shapes()
    picks()
