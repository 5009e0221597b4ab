"""Whom the screen rejects: honest videos it must let pass, and kinds of spoiled ones it finds.

    python benchmarks/screen.py [--tasks cup,insert,mug] [--seeds 1000:1010] [--candidates 4]

Each view of the simulated cell gets honest candidates and one of each kind of hallucination. An
honest one that the screen rejects is lifted in full, too, to tell whether the screen lost it.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter, defaultdict

import cv2
from cell_views import INSTRUCTIONS, cell_scene

from novaflow_core.errors import NovaflowError
from novaflow_core.grounding import Grounding
from novaflow_core.scene import Scene
from novaflow_flowgen.core.lift import make_klt
from novaflow_flowgen.core.protocols import LiftRequest, Spoil, VideoRequest
from novaflow_flowgen.core.screen import CoarseScreen
from novaflow_flowgen.core.settings import FlowgenSettings
from novaflow_flowgen.core.storyboard import Storyboard
from novaflow_perception.backends.tabletop import TabletopGrounder
from novaflow_perception.core.instruction import parse


class Tally:
    """What became of the videos of each kind."""

    def __init__(self) -> None:
        """Start empty."""
        self.seen: Counter[str] = Counter()
        self.rejected: Counter[str] = Counter()
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.lost: list[str] = []

    def add(self, kind: str, seconds: float, rejected: bool) -> None:
        """Count one video."""
        self.seen[kind] += 1
        self.rejected[kind] += rejected
        self.seconds[kind] += seconds

    def show(self) -> None:
        """Print the table."""
        for kind, count in sorted(self.seen.items()):
            spent = 1e3 * self.seconds[kind] / count
            print(
                f"{kind:16s} {self.rejected[kind]:4d} of {count:4d} rejected, {spent:4.0f} ms each"
            )
        print(
            f"honest ones that the lifter would have taken: {len(self.lost)} rejected", *self.lost
        )


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--tasks", default="cup,insert,mug")
    options.add_argument("--seeds", default="1000:1010")
    options.add_argument("--candidates", type=int, default=4)
    chosen = options.parse_args()
    cv2.setNumThreads(1)
    first, last = map(int, chosen.seeds.split(":"))
    tally = Tally()
    for task in chosen.tasks.split(","):
        for seed in range(first, last):
            scene = cell_scene(task, seed)
            try:
                grounding = TabletopGrounder().ground(scene, parse(INSTRUCTIONS[task]))
            except NovaflowError as error:
                print(f"{task} {seed}: not grounded, {error}")
                continue
            _look(f"{task} {seed}", scene, grounding, chosen.candidates, tally)
    tally.show()


def _look(name: str, scene: Scene, grounding: Grounding, candidates: int, tally: Tally) -> None:
    seed = int(name.split()[1])
    generator, screen = Storyboard(), CoarseScreen(scene, grounding)
    first = VideoRequest(scene, grounding, seed=seed)
    kinds: list[Spoil | None] = [*[None] * candidates, *generator.spoils(first)]
    for index, spoil in enumerate(kinds):
        request = VideoRequest(scene, grounding, seed=seed, candidate=index, spoil=spoil)
        try:
            sketch = generator.sketch(request)
        except NovaflowError as error:
            print(f"{name}: no video, {error.reason}")
            continue
        began = time.process_time()
        try:
            screen.check(sketch, lambda: False)
            why = ""
        except NovaflowError as error:
            why = f"{error.code.name}: {error.reason}"
        tally.add(spoil or "honest", time.process_time() - began, bool(why))
        if why and spoil is None:
            taken = _lifts(generator, request)
            print(
                f"{name} candidate {index}: {why}; the lifter {'takes' if taken else 'refuses'} it"
            )
            if taken:
                tally.lost.append(f"{name}/{index}")


def _lifts(generator: Storyboard, request: VideoRequest) -> bool:
    """Whether the lifter takes the whole video."""
    video = generator.generate(request, lambda _: None, lambda: False)
    grounding, view = request.grounding, request.scene.main
    mask = grounding.mask(grounding.target)
    lift = LiftRequest(video, view, mask, grounding.support, "", request.scene.planning_frame)
    try:
        make_klt(FlowgenSettings()).lift(lift, lambda _: None, lambda: False)
    except NovaflowError:
        return False
    return True


if __name__ == "__main__":
    main()
