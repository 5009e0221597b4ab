"""What planning costs inside executor_node's core, and how much of it is the solver.

    python benchmarks/planning_parts.py [--tasks cup insert] [--seed 1000] [--candidates 8]
                                        [--times 5] [--json FILE]

The same calls as executor_node makes, on a view of the simulated cell and honest storyboards:
scoring all candidates, planning the first that can be executed, following the rest of its flow, and
planning anew for an object that was moved by 15 mm. Medians in milliseconds of wall time, one
thread.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np
from cell_views import INSTRUCTIONS, cell_scene

import novaflow_trajopt
from novaflow_core import se3
from novaflow_core.errors import Code, NovaflowError
from novaflow_executor.backends.antipodal import Antipodal
from novaflow_executor.core.feasibility import FeasibilityCheck
from novaflow_executor.core.plan import Phase
from novaflow_executor.core.planner import MotionPlanner
from novaflow_executor.core.validator import PlanValidator
from novaflow_flowgen.core.lift import make_klt
from novaflow_flowgen.core.pool import CandidatePool, PoolRequest
from novaflow_flowgen.core.settings import FlowgenSettings
from novaflow_flowgen.core.storyboard import Storyboard
from novaflow_perception.backends.tabletop import TabletopGrounder
from novaflow_perception.core.fitting import find_fits
from novaflow_perception.core.geometry import collision_scene
from novaflow_perception.core.instruction import parse
from novaflow_sim.core.description import urdf

ROBOT = Path(__file__).resolve().parents[1] / "src/novaflow_executor/config/fr3_robotiq.yaml"
PARTS = {
    "solver": (novaflow_trajopt, "follow"),
    "distances": (novaflow_trajopt, "clearance"),
    "grasps": (Antipodal, "propose"),
    "reach": (FeasibilityCheck, "starts"),
}


@contextmanager
def timed(spent: dict[str, float], calls: dict[str, int]) -> Iterator[None]:
    """Add up what the parts take; solver and distances are also within reach."""

    def watch(name: str, inner: Callable[..., Any]) -> Callable[..., Any]:
        def outer(*given: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return inner(*given, **named)
            finally:
                spent[name] += time.perf_counter() - began
                calls[name] += 1

        return outer

    with ExitStack() as stack:
        for name, (holder, attribute) in PARTS.items():
            inner = getattr(holder, attribute)
            stack.enter_context(mock.patch.object(holder, attribute, watch(name, inner)))
        yield


def measure(task: str, seed: int, candidates: int, times: int) -> dict[str, dict[str, float]]:
    """Medians [ms] by call and part."""
    scene = cell_scene(task, seed)
    grounding = TabletopGrounder().ground(scene, parse(INSTRUCTIONS[task]))
    obstacles = collision_scene(scene, grounding)
    cloud = grounding.points(scene, grounding.target)
    fits = find_fits(scene, grounding)
    with tempfile.TemporaryDirectory() as folder:
        pool = CandidatePool(Storyboard(), make_klt(FlowgenSettings()), workers=1)
        request = PoolRequest(scene, grounding, candidates, seed, 0, Path(folder))
        made = pool.make(request, lambda *_: None, lambda: False).candidates
    planner = MotionPlanner.from_files(urdf(), str(ROBOT))
    validator = PlanValidator.from_files(urdf(), str(ROBOT))
    planner.warm()
    q, moved = planner.home, se3.from_rt(np.eye(3), [0.0, 0.015, 0.0])
    rows: dict[str, list[dict[str, float]]] = defaultdict(list)

    def note(name: str, call: Callable[[], Any]) -> Any:
        spent: dict[str, float] = defaultdict(float)
        calls: dict[str, int] = defaultdict(int)
        with timed(spent, calls):
            began = time.perf_counter()
            out = call()
            whole = time.perf_counter() - began
        row = {"all": 1e3 * whole} | {part: 1e3 * s for part, s in spent.items()}
        rows[name].append(row | {f"{part} calls": float(n) for part, n in calls.items()})
        return out

    for _ in range(times):
        scores = note("score", lambda: planner.score(cloud, obstacles, made, q, fits=fits))
        good = [s.candidate_id for s in scores if s.code == Code.OK]
        if not good:
            raise SystemExit(f"{task} {seed}: no candidate can be executed: {scores[0].reason}")
        candidate = next(c for c in made if c.candidate_id == good[0])
        plan = note("plan", lambda c=candidate: planner.plan(cloud, obstacles, c, q, fits=fits))
        note("validate", lambda p=plan: validator.check(p, q, obstacles))
        carry = next(s.trajectory for s in plan.segments if s.phase == Phase.CARRY and s.trajectory)
        q_held = np.asarray(carry.position[0])
        held = planner.held_motion(plan, q_held)
        note(
            "rest of the flow",
            lambda p=plan, h=held, at=q_held: planner.carry_on(p, obstacles, h, at, 0),
        )
        try:
            note(
                "anew, moved",
                lambda c=candidate: planner.replan(cloud, obstacles, c, moved, q, fits=fits),
            )
        except NovaflowError as error:
            print(f"{task} {seed}: moved, it is {error.code.name}", file=sys.stderr)
    return {
        name: {
            part: float(np.median([row.get(part, 0.0) for row in found]))
            for part in sorted({part for row in found for part in row})
        }
        for name, found in rows.items()
    }


def main() -> int:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument(
        "--tasks", nargs="+", choices=list(INSTRUCTIONS), default=["cup", "insert"]
    )
    options.add_argument("--seed", type=int, default=1000)
    options.add_argument("--candidates", type=int, default=8)
    options.add_argument("--times", type=int, default=5)
    options.add_argument("--json", type=Path)
    chosen = options.parse_args()
    cv2.setNumThreads(1)
    found = {}
    for task in chosen.tasks:
        found[task] = measure(task, chosen.seed, chosen.candidates, chosen.times)
        for name, parts in found[task].items():
            told = ", ".join(
                f"{part} {value:.2f}"
                + (f" ({parts[f'{part} calls']:.0f} calls)" if f"{part} calls" in parts else "")
                for part, value in parts.items()
                if part != "all" and not part.endswith(" calls")
            )
            print(
                f"{task}: {name} {parts['all']:.1f} ms, of it {told or 'nothing told'}", flush=True
            )
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
