"""What imagining and judging cost in processor time, and where it goes.

    python benchmarks/flow_cost.py [--task cup] [--seed 1000] [--candidates 8] [--spoiled 4]
                                   [--workers 2] [--profile FILE]

One view of the simulated cell, the cores of generation and selection in this process, no graph.
Processor time counts every thread and child process; wall time depends on what else runs.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import tempfile
import time
from pathlib import Path

import cv2
from cell_views import INSTRUCTIONS, cell_scene

from novaflow_flowgen.core.critic import Critic
from novaflow_flowgen.core.flow_image import draw_flow_image, write_png
from novaflow_flowgen.core.lift import make_klt
from novaflow_flowgen.core.pool import CandidatePool, PoolRequest
from novaflow_flowgen.core.settings import FlowgenSettings
from novaflow_flowgen.core.storyboard import Storyboard
from novaflow_perception.backends.tabletop import TabletopGrounder
from novaflow_perception.core.instruction import parse


class Stopwatch:
    """Prints processor and wall seconds of a block."""

    def __init__(self, name: str) -> None:
        """Keep the name."""
        self._name = name

    def __enter__(self) -> None:
        self._wall, self._spent = time.monotonic(), _spent()

    def __exit__(self, *_: object) -> None:
        print(
            f"{self._name:12s} processor {_spent() - self._spent:6.2f} s   "
            f"wall {time.monotonic() - self._wall:6.2f} s",
            flush=True,
        )


def _spent() -> float:
    """Processor seconds of this process and of its children that have ended."""
    t = os.times()
    return t.user + t.system + t.children_user + t.children_system


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--task", choices=list(INSTRUCTIONS), default="cup")
    options.add_argument("--seed", type=int, default=1000)
    options.add_argument("--size", default="1280x720")
    options.add_argument("--candidates", type=int, default=8)
    options.add_argument("--spoiled", type=int, default=4)
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--profile", type=Path, help="cProfile of all, with one worker")
    chosen = options.parse_args()
    cv2.setNumThreads(1)
    width, height = map(int, chosen.size.split("x"))
    scene = cell_scene(chosen.task, chosen.seed, width, height)
    grounding = TabletopGrounder().ground(scene, parse(INSTRUCTIONS[chosen.task]))
    profile = cProfile.Profile() if chosen.profile else None
    workers = 1 if profile else chosen.workers
    pool = CandidatePool(Storyboard(), make_klt(FlowgenSettings()), workers=workers)
    with tempfile.TemporaryDirectory() as folder:
        request = PoolRequest(
            scene, grounding, chosen.candidates, chosen.seed, chosen.spoiled, Path(folder)
        )
        if profile:
            profile.enable()
        with Stopwatch("generate"):
            made = pool.make(request, lambda *_: None, lambda: False)
        with Stopwatch("select"):
            choice = Critic().select(scene, grounding, made.candidates, ())
        with Stopwatch("flow image"):
            image = draw_flow_image(
                scene.main, "", made.candidates, choice.scores, choice.candidate_id
            )
            write_png(image, Path(folder) / "flow_image.png")
        if profile:
            profile.disable()
            profile.dump_stats(chosen.profile)
    for name, seconds in made.seconds.items():
        print(f"  {name:10s} {seconds:6.2f} s over all candidates")
    for candidate, score in zip(made.candidates, choice.scores, strict=True):
        gate = next((g for g in score.gates if not g.passed), None)
        said = f"score {score.score:.3f}" if gate is None else f"{gate.name}: {gate.reason}"
        print(f"  {candidate.candidate_id} {candidate.code.name:20s} {said[:100]}")
    print(choice.reason)


if __name__ == "__main__":
    main()
