"""How often the product's verdict agrees with the simulator's scorer, over staged endings.

    python benchmarks/outcome_truth.py [1000:1008] [--tasks cup insert] [--kinds WORD ...]
    [--json FILE]

The view before is rendered as the cell's camera does (depth noise, five depth frames merged,
miscalibrated extrinsic) and grounded by `tabletop`; objects are then put where a run may leave
them, physics settles them, and the view after is judged against what the plan wanted. The arm is
at rest, or has stopped on its way with the hand in view; the light may have changed. What counts
is whether `observe` says success exactly where the scorer does. A seed range is half-open.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import mujoco
import numpy as np
from cell_views import captured_view
from hanging_endings import HANGING, planned_hanging
from numpy.typing import NDArray
from outcome_endings import Ending, Place, endings, planned

from novaflow_core.errors import Code, NovaflowError
from novaflow_core.flow import ObjectFlow
from novaflow_core.grounding import Grounding
from novaflow_core.scene import RgbdView, Scene
from novaflow_core.se3 import apply, exp_so3, from_rt, inverse
from novaflow_perception.backends.tabletop import TabletopGrounder
from novaflow_perception.core.instruction import parse
from novaflow_perception.core.outcome import observe
from novaflow_sim.backends.cell import Cell
from novaflow_sim.backends.layout import apply_looks, layout_of, true_camera_pose
from novaflow_sim.backends.rendering import Renderer
from novaflow_sim.core import objects, robot_model
from novaflow_sim.core.calibration import miscalibrated
from novaflow_sim.core.depth_sensor import ColourSensor, DepthNoise, DepthSensor
from novaflow_sim.core.scoring import Score, score
from novaflow_sim.core.settings import CellSettings

Float = NDArray[np.float64]

_STAMP_NS = 10**9
_SETTLE_STEPS, _MOST_STEPS = 250, 1500
_STILL_M_S = 0.002
_FREE_STEPS, _FREE_M = 80, 0.001
_FLOW_POINTS = 150
_PLAN_ERROR_M, _PLAN_ERROR_DEG = 0.003, 2.0
_ARM_SHARE, _LIGHT_SHARE = 0.3, 0.3


@dataclass(frozen=True)
class Case:
    """What `observe` is given, and what the scorer says of it."""

    task: str
    seed: int
    kind: str
    setting: str
    before: Scene
    grounding: Grounding
    flow: ObjectFlow
    after: Scene
    truth: Score


@dataclass(frozen=True)
class Row:
    """Verdict on one case."""

    task: str
    seed: int
    kind: str
    setting: str
    scored: bool
    code: str
    reason: str
    truth: str
    fit: float
    seconds: float

    @property
    def said(self) -> bool:
        """Whether the product said success."""
        return self.code == Code.OK.name


class Stage:
    """One task's cell with its camera; endings are staged in it, seed after seed."""

    def __init__(self, task: str) -> None:
        """Build cell and renderer."""
        self.task, self.settings = task, CellSettings(task=task)
        self.cell = Cell(task, self.settings.seed)
        size = self.settings.image_width, self.settings.image_height
        self.renderer = Renderer(self.cell.model, *size)
        self._lights = self.cell.model.light_diffuse.copy()
        self._headlight = self.cell.model.vis.headlight.diffuse.copy()

    def cases(self, seed: int, kinds: Sequence[str]) -> Iterator[Case]:
        """All endings of a seed whose name holds one of the words."""
        s = self.settings
        model, data, size = self.cell.model, self.cell.data, (s.image_width, s.image_height)
        self.cell.reset(seed)
        self._light(1.0, 1.0)
        apply_looks(model, layout_of(model, self.task, seed))
        noise = DepthNoise(s.depth_noise_m, edge_hole_rate=s.depth_edge_hole_rate)
        self._depth_sensor = DepthSensor(noise, *size, seed=seed)
        self._colour_sensor = ColourSensor(s.colour_noise, *size, seed=seed)
        actual = true_camera_pose(model)
        self._published = miscalibrated(actual, s.extrinsic_error_m, s.extrinsic_error_deg, seed)
        start = {p.name: self._pose(p.name) for p in objects.TASKS[self.task].props}
        before = Scene("before", robot_model.BASE_FRAME, (self._view(),))
        task = parse(objects.TASKS[self.task].instruction)
        grounding = TabletopGrounder().ground(before, task)
        first = data.qpos.copy()
        for index, (kind, place) in enumerate(_endings(self.task).items()):
            if kinds and not any(word in kind for word in kinds):
                continue
            random = np.random.default_rng([seed, index])
            ending = place(random, start)
            setting = self._set(random, first, ending, _planned(self.task, start))
            truth = score(self.task, self.cell.truth())
            after = Scene("after", robot_model.BASE_FRAME, (self._view(),))
            flow = self._flow(random, before, grounding, start, self._published @ inverse(actual))
            self._light(1.0, 1.0)
            yield Case(self.task, seed, kind, setting, before, grounding, flow, after, truth)

    def _set(self, random: np.random.Generator, first: Float, ending: Ending, goal: Float) -> str:
        """Put objects and arm there, let physics settle; returns what else was changed."""
        model, data = self.cell.model, self.cell.data
        arm = robot_model.HOME_RAD + random.normal(0.0, 0.01, 7)
        told = []
        if random.random() < _ARM_SHARE:
            arm = _reaching(random, goal[:3, 3], true_camera_pose(model)[:3, 3])
            told.append("arm in view")
        if random.random() < _LIGHT_SHARE:
            self._light(random.uniform(0.75, 1.2), random.uniform(0.9, 1.1))
            told.append("other light")
        data.qpos[:], data.qvel[:], data.act[:] = first, 0.0, 0.0
        for name, pose in ending.poses.items():
            self._put(name, pose)
        for joint, angle in zip(robot_model.ARM_JOINTS, arm, strict=True):
            data.qpos[model.joint(joint).qposadr[0]] = angle
        self.cell.arm.reset(arm)
        self.cell.gripper.reset()
        mujoco.mj_forward(model, data)
        for name in ending.poses:
            self._free(name)
        if ending.settles:
            for steps in range(_SETTLE_STEPS, _MOST_STEPS, _SETTLE_STEPS):
                self.cell.advance(_SETTLE_STEPS)
                speeds = self.cell.truth().speeds
                if steps >= _SETTLE_STEPS and max(speeds.values()) < _STILL_M_S:
                    break
        return ", ".join(told) or "plain"

    def _pose(self, name: str) -> Float:
        body = self.cell.data.body(name)
        return from_rt(body.xmat.reshape(3, 3), body.xpos)

    def _put(self, name: str, pose: Float) -> None:
        quaternion = np.zeros(4)
        mujoco.mju_mat2Quat(quaternion, pose[:3, :3].ravel())
        at = int(self.cell.model.joint(f"{name}_free").qposadr[0])
        self.cell.data.qpos[at : at + 7] = [*pose[:3, 3], *quaternion]

    def _free(self, name: str) -> None:
        """Raise an object until it is in nothing: physics would shoot it out."""
        model, data = self.cell.model, self.cell.data
        body = model.body(name).id
        at = int(model.joint(f"{name}_free").qposadr[0])
        for _ in range(_FREE_STEPS):
            depths = [
                contact.dist
                for contact in data.contact
                if body in (model.geom_bodyid[contact.geom1], model.geom_bodyid[contact.geom2])
            ]
            if min(depths, default=0.0) > -_FREE_M:
                return
            data.qpos[at + 2] += _FREE_M
            mujoco.mj_forward(model, data)

    def _light(self, gain: float, warmth: float) -> None:
        tint = gain * np.array([warmth, 1.0, 1.0 / warmth])
        self.cell.model.light_diffuse[:] = self._lights * tint
        self.cell.model.vis.headlight.diffuse[:] = self._headlight * tint

    def _view(self) -> RgbdView:
        """What perception_node captures now."""
        model, data = self.cell.model, self.cell.data
        mujoco.mj_kinematics(model, data)
        mujoco.mj_camlight(model, data)
        colour, depth = self.renderer.render(data)
        return captured_view(
            colour, depth, self._colour_sensor, self._depth_sensor, self._published, _STAMP_NS
        )

    def _flow(
        self,
        random: np.random.Generator,
        before: Scene,
        grounding: Grounding,
        start: dict[str, Float],
        error: Float,
    ) -> ObjectFlow:
        """A flow that ends where the plan wanted the target, as perception saw it."""
        target = objects.TASKS[self.task].target.name
        goal = _planned(self.task, start)
        shift = random.normal(0.0, _PLAN_ERROR_M, 3) * [1.0, 1.0, 0.5]
        turn = np.radians(_PLAN_ERROR_DEG) * random.normal(0.0, 1.0, 3) * [0.3, 0.3, 1.0]
        goal = from_rt(exp_so3(turn) @ goal[:3, :3], goal[:3, 3] + shift)
        motion = error @ goal @ inverse(start[target]) @ inverse(error)
        points = grounding.points(before, grounding.target)
        points = points[:: max(1, len(points) // _FLOW_POINTS)]
        path = np.stack([points, apply(motion, points)]).astype(np.float32)
        known = np.ones(path.shape[:2], bool)
        return ObjectFlow(path, known, known.astype(np.float32), 0.1, before.planning_frame)


def _endings(task: str) -> dict[str, Place]:
    return HANGING if task == "mug" else endings(task)


def _planned(task: str, start: dict[str, Float]) -> Float:
    return planned_hanging(start) if task == "mug" else planned(task, start)


def _reaching(random: np.random.Generator, goal: Float, eye: Float) -> Float:
    """Joints (7,) with the hand above and before the goal: the arm stopped on its way back."""
    way = (eye - goal) / np.linalg.norm(eye - goal)
    for _ in range(20000):
        q = robot_model.HOME_RAD + random.normal(0.0, 0.25, 7)
        hand = (robot_model.link_poses(q)[-1] @ robot_model.tcp_on_flange())[:3, 3] - goal
        aside = float(np.linalg.norm(hand - (hand @ way) * way))
        if aside < 0.12 and 0.14 < hand[2] < 0.30 and (q < robot_model.POSITION_HIGH_RAD).all():
            return q
    return robot_model.HOME_RAD


def judged(case: Case) -> Row:
    """Observe one case."""
    began = time.perf_counter()
    try:
        outcome = observe(case.before, case.grounding, case.flow, case.after)
        code, reason, fit = outcome.code, outcome.reason, outcome.fit
    except NovaflowError as error:
        code, reason, fit = error.code, error.reason, 0.0
    seconds = time.perf_counter() - began
    numbers = ", ".join(f"{name} {value:.3f}" for name, value in case.truth.numbers.items())
    return Row(
        case.task,
        case.seed,
        case.kind,
        case.setting,
        case.truth.success,
        code.name,
        reason,
        f"{numbers}; {'; '.join(case.truth.failed) or 'success'}",
        fit,
        seconds,
    )


def report(rows: Sequence[Row]) -> int:
    """Print the tables; returns the number of false successes."""
    print(f"\n{'task':7s} {'kind':22s}  n  done  said  false+  false-  s/verdict")
    for task, kind in dict.fromkeys((row.task, row.kind) for row in rows):
        own = [row for row in rows if (row.task, row.kind) == (task, kind)]
        print(_line(f"{task:7s} {kind:22s}", own))
    for setting in sorted({row.setting for row in rows}):
        print(_line(f"{'':7s} {setting:22s}", [row for row in rows if row.setting == setting]))
    print(_line(f"{'all':30s}", rows))
    for title, wrong in (
        ("false successes", [row for row in rows if row.said and not row.scored]),
        ("false failures", [row for row in rows if row.scored and not row.said]),
    ):
        print(f"\n{title}: {len(wrong)}")
        for row in wrong:
            print(f"  {row.task} {row.seed} '{row.kind}' ({row.setting}), fit {row.fit:.2f}")
            print(f"    product: {row.code}: {row.reason}\n    scorer:  {row.truth}")
    return sum(row.said and not row.scored for row in rows)


def _line(name: str, rows: Sequence[Row]) -> str:
    done, said = sum(row.scored for row in rows), sum(row.said for row in rows)
    wrong = sum(row.said and not row.scored for row in rows)
    missed = sum(row.scored and not row.said for row in rows)
    seconds = float(np.median([row.seconds for row in rows]))
    return f"{name} {len(rows):3d} {done:5d} {said:5d} {wrong:7d} {missed:7d} {seconds:10.2f}"


def main() -> int:
    """Print the table; the exit status says whether at most 1 in 50 successes is false."""
    cv2.setNumThreads(1)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seeds", nargs="?", default="1000:1004")
    parser.add_argument("--tasks", nargs="+", default=list(objects.TASKS))
    parser.add_argument("--kinds", nargs="+", default=[], help="words; only endings that hold one")
    parser.add_argument("--json", type=Path, help="one line per verdict")
    options = parser.parse_args()
    low, high = (int(number) for number in options.seeds.split(":"))
    rows: list[Row] = []
    for task in options.tasks:
        stage = Stage(task)
        for seed in range(low, high):
            for case in stage.cases(seed, options.kinds):
                rows.append(judged(case))
                row = rows[-1]
                mark = "ok" if row.said == row.scored else "WRONG"
                print(f"{task} {seed} {row.kind:22s} {mark:5s} {row.code}", flush=True)
        stage.renderer.close()
    if options.json:
        options.json.write_text("".join(json.dumps(asdict(row)) + "\n" for row in rows))
    wrong = report(rows)
    return 0 if wrong <= 0.02 * max(1, sum(row.said for row in rows)) else 1


if __name__ == "__main__":
    sys.exit(main())
