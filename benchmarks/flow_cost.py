"""What imagining and judging cost in processor time, and where it goes.

    python benchmarks/flow_cost.py [--task cup] [--seed 1000] [--candidates 8] [--spoiled 4]
                                   [--workers 2] [--profile FILE] [--ratio 5] [--lifting]

With --ratio N, candidates against one honest candidate, N times in turn, medians. With --lifting,
what each stage takes beside the paper's, and what tracks to flow adds to the tracker's own time.

One view of the simulated cell, the cores of generation and selection in this process, no graph.
Processor time counts every thread and child process; wall time depends on what else runs.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np
from cell_views import INSTRUCTIONS, cell_scene

from novaflow_core.grounding import Grounding
from novaflow_core.scene import Scene
from novaflow_flowgen.core.background import BackgroundWatch
from novaflow_flowgen.core.critic import Critic
from novaflow_flowgen.core.flow_image import draw_flow_image, write_png
from novaflow_flowgen.core.lift import make_klt
from novaflow_flowgen.core.object_template import TemplateStore
from novaflow_flowgen.core.pool import CandidatePool, Pool, PoolRequest
from novaflow_flowgen.core.pose_fit import PixelAligner
from novaflow_flowgen.core.settings import FlowgenSettings
from novaflow_flowgen.core.storyboard import Storyboard
from novaflow_flowgen.core.tracks import KltTracker
from novaflow_flowgen.core.video_file import VideoReader
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


@dataclass(frozen=True)
class Goal:
    """One goal on one view."""

    scene: Scene
    grounding: Grounding
    seed: int
    workers: int

    def cost(
        self, candidates: int, spoiled: int, *, screened: bool = True
    ) -> tuple[float, float, Pool]:
        """Processor and wall seconds from view to verdict; nothing is kept from before."""
        lifter = make_klt(FlowgenSettings())
        pool = CandidatePool(Storyboard(), lifter, workers=self.workers, screened=screened)
        with tempfile.TemporaryDirectory() as folder:
            request = PoolRequest(
                self.scene, self.grounding, candidates, self.seed, spoiled, Path(folder)
            )
            wall, spent = time.monotonic(), _spent()
            made = pool.make(request, lambda *_: None, lambda: False)
            choice = Critic().select(self.scene, self.grounding, made.candidates, ())
            image = draw_flow_image(
                self.scene.main, "", made.candidates, choice.scores, choice.candidate_id
            )
            write_png(image, Path(folder) / "flow_image.png")
            return _spent() - spent, time.monotonic() - wall, made


def _show_ratio(goal: Goal, candidates: int, spoiled: int, times: int) -> None:
    """Print what several candidates cost against one honest one, in turn."""
    goal.cost(1, 0)  # imports and the caches of OpenCV
    rows = []
    for _ in range(times):
        one, many = goal.cost(1, 0), goal.cost(candidates, spoiled)
        rows.append((one[0], many[0], one[1], many[1]))
        print("  one {:.2f} s, all {:.2f} s; wall {:.2f} s, {:.2f} s".format(*rows[-1]), flush=True)
        died = Counter(c.code.name for c in many[2].candidates)
    table = np.array(rows)
    ratios = np.median(table[:, [1, 3]] / table[:, [0, 2]], axis=0)
    print(
        f"{candidates} candidates, {spoiled} spoiled, {goal.workers} workers, against one, median "
        f"of {times}: {ratios[0]:.2f} times the processor time, {ratios[1]:.2f} times the wall time"
    )
    print(dict(died))


def _show_lifting(goal: Goal) -> None:
    """Print each stage's time for one candidate, and the share of tracks to flow."""
    parts = {
        "measuring it, once a goal": (TemplateStore, "of"),
        "reading frames": (VideoReader, "grays"),
        "2D tracks": (KltTracker, "track"),
        "drawing what they start from": (PixelAligner, "look"),
        "alignment to the pixels": (PixelAligner, "__init__", "align"),
        "watching the background": (BackgroundWatch, "__init__", "see"),
    }
    spent = dict.fromkeys(parts, 0.0)
    within = [0.0]  # of the parts that are running, what those inside each took

    def timed(name: str, inner: Callable[..., Any]) -> Callable[..., Any]:
        def outer(self: Any, *given: Any) -> Any:
            began = time.process_time()
            within.append(0.0)
            try:
                return inner(self, *given)
            finally:
                took = time.process_time() - began
                spent[name] += took - within.pop()  # each second counts once
                within[-1] += took

        def each(self: Any) -> Iterator[Any]:
            began = time.process_time()
            for item in inner(self):
                spent[name] += time.process_time() - began
                yield item
                began = time.process_time()

        return each if inner is VideoReader.grays else outer

    goal.cost(1, 0)
    with ExitStack() as stack:
        for name, (holder, *attributes) in parts.items():
            for attribute in attributes:
                inner = getattr(holder, attribute)
                stack.enter_context(mock.patch.object(holder, attribute, timed(name, inner)))
        made = goal.cost(1, 0, screened=False)[2]
    print("one candidate, a CPU core here; the paper's numbers are of an H100, other hardware:")
    for name, seconds in made.seconds.items():
        print(f"  {name:10s} {seconds:6.2f} s")
    print("  paper: MegaSaM 100 s, TAPIP3D 5 s, SAM 2 8 s")
    rest = made.seconds["lift"] - sum(spent.values())
    print("of the lift:")
    for name, seconds in spent.items():
        print(f"  {name:30s} {seconds:5.2f} s")
    pixels = sum(list(spent.values())[2:])
    shares = [100 * rest / part for part in (pixels, spent["2D tracks"])]
    print(
        f"  {'tracks to flow':30s} {rest:5.2f} s (poses, checks, points): {shares[0]:.0f} % of "
        f"what follows pixels, {shares[1]:.0f} % of the 2D tracks alone"
    )


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
    options.add_argument("--ratio", type=int, default=0, help="repetitions against one candidate")
    options.add_argument("--lifting", action="store_true", help="one candidate, stage by stage")
    chosen = options.parse_args()
    cv2.setNumThreads(1)
    width, height = map(int, chosen.size.split("x"))
    scene = cell_scene(chosen.task, chosen.seed, width, height)
    grounding = TabletopGrounder().ground(scene, parse(INSTRUCTIONS[chosen.task]))
    if chosen.ratio or chosen.lifting:
        goal = Goal(scene, grounding, chosen.seed, chosen.workers)
        if chosen.ratio:
            _show_ratio(goal, chosen.candidates, chosen.spoiled, chosen.ratio)
        if chosen.lifting:
            _show_lifting(goal)
        return
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
