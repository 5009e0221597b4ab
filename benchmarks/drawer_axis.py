"""How far the axis of an imagined drawer is from the slide's, from perception alone.

    python benchmarks/drawer_axis.py 1000:1010 [--candidates 4]

Per seed: the angle between the true slide and the front's normal (from depth), and the median over
honest candidates of that to the axis estimated from the lifted flow. "Seen" angles leave out the
camera's error: they are to the slide as a camera without one would report it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from offline_cell import OfflineCell

from novaflow_core.front import find_front
from novaflow_flowgen.core.lift import make_klt
from novaflow_flowgen.core.pool import CandidatePool, PoolRequest
from novaflow_flowgen.core.settings import FlowgenSettings
from novaflow_flowgen.core.storyboard import Storyboard
from novaflow_perception.backends.tabletop import TabletopGrounder
from novaflow_perception.core.instruction import parse
from novaflow_sim.core import objects


def angle_deg(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Angle between unit vectors."""
    return float(np.degrees(np.arccos(np.clip(a @ b, -1.0, 1.0))))


def main() -> int:
    """Run and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("seeds", help="half-open range A:B")
    options.add_argument("--candidates", type=int, default=4)
    chosen = options.parse_args()
    first, last = (int(part) for part in chosen.seeds.split(":"))
    cv2.setNumThreads(1)
    flows, kinds = [], []
    for seed in range(first, last):
        cell = OfflineCell("drawer", seed)
        cell.advance(0.2)
        scene = cell.capture(f"drawer_{seed}")
        true = cell.cell.truth().poses[objects.CHEST.name][:3, 0]
        seen = cell.camera_error[:3, :3] @ true
        cell.close()
        grounding = TabletopGrounder().ground(scene, parse(objects.TASKS["drawer"].instruction))
        points = grounding.points(scene, grounding.target)
        normal = find_front(points, grounding.support, scene.main.T_planning_camera[:3, 3]).normal
        pool = CandidatePool(Storyboard(), make_klt(FlowgenSettings()), workers=1)
        with tempfile.TemporaryDirectory() as folder:
            request = PoolRequest(scene, grounding, chosen.candidates, seed, 0, Path(folder))
            made = pool.make(request, lambda *_: None, lambda: False).candidates
        kinds += [str(c.flow.kind) if c.flow else c.code.name for c in made]
        axes = [
            np.array([c.stats[f"joint_axis_{name}"] for name in "xyz"])
            for c in made
            if "joint_axis_x" in c.stats
        ]
        off = [angle_deg(axis, true) for axis in axes]
        flows += off
        print(
            f"{seed}: front {angle_deg(normal, true):.2f} deg (seen {angle_deg(normal, seen):.2f}),"
            f" flow {np.median(off):.2f} deg"
            f" (seen {np.median([angle_deg(axis, seen) for axis in axes]):.2f})",
            flush=True,
        )
    told = ", ".join(f"{kinds.count(kind)} {kind}" for kind in sorted(set(kinds)))
    print(
        f"flows: {told}; axis off by {np.median(flows):.2f} deg in the median, "
        f"{np.max(flows):.2f} deg at most"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
