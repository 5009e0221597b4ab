"""Whole episodes without a graph: perception, imagination, planning and execution in one process.

    python benchmarks/offline_episode.py 1000:1010 [--tasks cup insert] [--open-loop]
                                         [--candidates 8 --spoiled 4]
                                         [--disturb push|slip|obstacle] [--json FILE]

For trying things out: no guard, no DDS, and simulated time that runs as fast as the machine allows
(about 10 s an episode on one core with one candidate). With several candidates the critic chooses.
The product's verdict is told beside the scorer's. What counts is `novaflow bench`; this says in
which part an idea fails. A seed range is half-open.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from offline_cell import OfflineCell

from novaflow_core import se3
from novaflow_core.errors import Code, NovaflowError
from novaflow_executor.core.closed_loop import ClosedLoop, FollowTask
from novaflow_executor.core.execution import ExecutionLimits, PlanRunner
from novaflow_executor.core.plan import Phase
from novaflow_executor.core.planner import MotionPlanner
from novaflow_executor.core.sight import Sighting
from novaflow_executor.core.validator import PlanValidator
from novaflow_flowgen.core.critic import Critic
from novaflow_flowgen.core.lift import make_klt
from novaflow_flowgen.core.pool import CandidatePool, PoolRequest
from novaflow_flowgen.core.settings import FlowgenSettings
from novaflow_flowgen.core.storyboard import Storyboard
from novaflow_perception.backends.tabletop import TabletopGrounder
from novaflow_perception.core.fitting import find_fits
from novaflow_perception.core.geometry import collision_scene
from novaflow_perception.core.instruction import parse
from novaflow_perception.core.outcome import observe
from novaflow_perception.core.tracking import Carried, ObjectTracker
from novaflow_sim.core import objects
from novaflow_sim.core.description import urdf
from novaflow_sim.core.disturbance import KINDS, NONE
from novaflow_sim.core.scoring import score

_HOLD_S = 2.5  # what is poured from is held, and the scorer wants to see it held
ROBOT = Path(__file__).resolve().parents[1] / "src/novaflow_executor/config/fr3_robotiq.yaml"


class Calm:
    """A supervision that never ends anything: there is no guard here."""

    def check(self) -> None:
        """All is well."""

    def explain(self, timeout_s: float) -> None:
        """Nothing to say."""


class Eyes:
    """The tracker, fed by the cell's camera; remembers what it saw and how wrong it was."""

    def __init__(self, cell: OfflineCell, tracker: ObjectTracker) -> None:
        """Listen to the camera."""
        self._cell, self._tracker = cell, tracker
        self._seen: list[Sighting] = []
        self._start = cell.target_pose()
        self.errors_m: list[float] = []
        self._carried: Carried | None = None
        cell.on_frame = self._frame

    def since(self, time_s: float) -> list[Sighting]:
        """Sightings of images taken at `time_s` or later."""
        return [s for s in self._seen if s.time_s >= time_s]

    def expect(self, time_s: float, T_moved: Any, carry: int) -> None:
        """Remember the newest hint."""
        self._carried = Carried(T_moved, str(carry))

    def _frame(self, colour: Any, depth: Any, time_s: float) -> None:
        track = self._tracker.update(colour, depth, 1e-3, self._carried)
        self._seen.append(Sighting(time_s, track.pose, track.visible))
        error = self._cell.camera_error
        true = error @ self._cell.target_pose() @ se3.inverse(self._start) @ se3.inverse(error)
        at = se3.apply(error, self._start[:3, 3])
        away = np.linalg.norm(se3.apply(true, at) - se3.apply(track.pose, at))
        self.errors_m.append(float(away))


def episode(
    planner: MotionPlanner, validator: PlanValidator, task: str, seed: int, chosen: Any
) -> dict[str, Any]:
    """Run one; returns what happened."""
    began = time.monotonic()
    cell = OfflineCell(task, seed, disturb=chosen.disturb)
    row: dict[str, Any] = {"task": task, "seed": seed, "code": "OK"}
    runner = None
    try:
        cell.advance(0.2)
        scene = cell.capture(f"{task}_{seed}")
        grounding = TabletopGrounder().ground(scene, parse(objects.TASKS[task].instruction))
        obstacles = collision_scene(scene, grounding)
        cloud = grounding.points(scene, grounding.target)
        fits = find_fits(scene, grounding)
        with tempfile.TemporaryDirectory() as folder:
            pool = CandidatePool(Storyboard(), make_klt(FlowgenSettings()), workers=1)
            request = PoolRequest(
                scene, grounding, chosen.candidates, seed, chosen.spoiled, Path(folder)
            )
            candidates = pool.make(request, lambda *_: None, lambda: False).candidates
            candidate = candidates[0]
            if chosen.candidates > 1:
                q = cell.state().q
                scores = planner.score(cloud, obstacles, candidates, q, fits=fits)
                selection = Critic().select(scene, grounding, candidates, scores)
                if selection.candidate_id is None:
                    raise NovaflowError(Code.NO_VALID_CANDIDATE, selection.reason)
                candidate = next(c for c in candidates if c.candidate_id == selection.candidate_id)
        if candidate.flow is None:
            raise NovaflowError(candidate.code, candidate.reason)
        planned = time.monotonic()
        plan = planner.plan(cloud, obstacles, candidate, cell.state().q, fits=fits)
        row["plan_s"] = time.monotonic() - planned
        eyes = Eyes(cell, ObjectTracker(scene, grounding))
        runner = PlanRunner(
            cell,
            lambda part, q: validator.check(part, q, obstacles),
            Calm(),
            ExecutionLimits(own_gap_s=1e9),
            lambda _segment, _share: None,
            lambda: cell.time_s,
            cell.advance,
        )
        goal = FollowTask(cloud, obstacles, candidate, fits)
        loop = ClosedLoop(runner, planner, eyes, cell, lambda: cell.time_s, goal)
        try:
            if chosen.open_loop:
                runner.run(plan)
            else:
                loop.run(plan)
        finally:
            row["corrections"] = [c.text for c in loop.corrections]
            row["regrasps"], row["disturbed"] = loop.regrasps, cell.cell.disturbance.done
            row["track_mm"] = round(1e3 * float(np.median(eyes.errors_m)), 2)
        held = None
        if (plan if chosen.open_loop else loop.plan).held:
            held = loop.T_moved if loop.T_moved is not None else _held(planner, plan, cell)
        cell.advance(0.5 if held is None else _HOLD_S)
        cell.on_frame = None
        seen = observe(scene, grounding, candidate.flow, cell.capture("after"), held=held)
        row["verdict"] = seen.code.name
        if seen.code is not Code.OK:
            row["reason"] = seen.reason
    except NovaflowError as error:
        row["code"], row["reason"] = error.code.name, error.reason
        row["phase"] = Phase(runner.phase).name if runner is not None else ""
    truth = score(task, cell.cell.truth())
    row |= {"scored": truth.success, "failed": list(truth.failed)}
    row["agree"] = (row.get("verdict") == Code.OK.name) == truth.success
    row["obstacle_contact_s"] = round(cell.cell.obstacle_contact_s, 3)
    row |= {key: round(value, 4) for key, value in truth.numbers.items()}
    row["wall_s"] = round(time.monotonic() - began, 1)
    cell.close()
    return row


def _held(planner: MotionPlanner, plan: Any, cell: OfflineCell) -> Any:
    return planner.held_motion(plan, cell.state().q)


def main() -> int:
    """Run and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("seeds", help="half-open range A:B")
    options.add_argument("--tasks", nargs="+", choices=list(objects.TASKS), default=["insert"])
    options.add_argument("--open-loop", action="store_true")
    options.add_argument("--disturb", choices=KINDS, default=NONE)
    options.add_argument("--candidates", type=int, default=1)
    options.add_argument("--spoiled", type=int, default=0, help="of the candidates")
    options.add_argument("--json", type=Path, help="write the rows there")
    chosen = options.parse_args()
    cv2.setNumThreads(1)
    planner = MotionPlanner.from_files(urdf(), str(ROBOT))
    validator = PlanValidator.from_files(urdf(), str(ROBOT))
    first, last = (int(part) for part in chosen.seeds.split(":"))
    rows = []
    for task in chosen.tasks:
        for seed in range(first, last):
            row = episode(planner, validator, task, seed, chosen)
            rows.append(row)
            print(json.dumps({k: v for k, v in row.items() if v not in ([], "", 0.0)}), flush=True)
        mine = [row for row in rows if row["task"] == task]
        done, agree = (sum(row[key] for row in mine) for key in ("scored", "agree"))
        print(f"{task}: {done} of {len(mine)}; the verdict agrees on {agree}", flush=True)
    if chosen.json:
        chosen.json.write_text(json.dumps(rows, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
