"""How far lifted flows are from the truth, over motions and degradations, on films of a ray caster.

    python benchmarks/lift_truth.py [--tracks klt] [--shapes box,can,plain] [--harms
    clean,jpeg40,...]

The films share nothing with the storyboard: every frame is rendered from shapes whose motion is
known. A refusal is shown with its code; the bar is that no accepted flow is more than 50 mm off at
any step.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src/novaflow_flowgen/test"))
from ray_scene import Item, degrade, flow_error, make_scene, render_motion, rigid_motion

from novaflow_core.errors import TrackingError
from novaflow_core.registry import load_backend
from novaflow_flowgen.core.protocols import LiftRequest
from novaflow_flowgen.core.settings import FlowgenSettings

SHAPES = {
    "box": {"size": (0.03, 0.04, 0.05), "at": (0.0, 0.0), "yaw": 0.5, "seed": 1},
    "can": {"size": (0.04, 0.04, 0.05), "at": (0.0, 0.0), "is_round": True, "seed": 2},
    "plain": {"size": (0.03, 0.04, 0.05), "at": (0, 0), "yaw": 0.5, "seed": 1, "contrast": 0.05},
    "bare_can": {"size": (0.04, 0.04, 0.05), "at": (0, 0), "is_round": True, "contrast": 0.0},
}
MOTIONS = {
    "across 0.2": ((0.0, 0.2, 0.0), 0.0, 0.0),
    "up 0.12": ((0.0, 0.0, 0.12), 0.0, 0.0),
    "toward 0.15": ((0.15, 0.0, 0.05), 0.0, 0.0),
    "yaw 60": ((0.0, 0.05, 0.03), np.radians(60), 0.0),
    "yaw -40": ((0.1, -0.1, 0.05), np.radians(-40), 0.0),
    "tilt 30": ((0.0, 0.05, 0.05), 0.0, np.radians(30)),
}
HARMS = {
    "clean": {},
    "noise6": {"noise": 6.0},
    "jpeg40": {"jpeg": 40},
    "dim20": {"dim": 0.2},
    "hidden": {"occlude": (205, 216)},
    "all": {"noise": 4.0, "jpeg": 40, "dim": 0.2, "occlude": (205, 216)},
}


LIMIT_MM = 50.0


@dataclass(frozen=True)
class Row:
    """One lift: a code where it abstained, else its error at the end and at its worst [mm]."""

    shape: str
    harm: str
    code: str
    end_mm: float = 0.0
    worst_mm: float = 0.0


def main() -> int:
    """Print the table; the exit status says whether every accepted flow is within 50 mm."""
    cv2.setNumThreads(1)
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--tracks", default="klt")
    options.add_argument("--shapes", default=",".join(SHAPES))
    options.add_argument("--harms", default=",".join(HARMS))
    chosen = options.parse_args()
    lifter = load_backend("tracks", chosen.tracks)(FlowgenSettings())
    rows: list[Row] = []
    for shape in chosen.shapes.split(","):
        items = [Item(**SHAPES[shape]), Item((0.03, 0.03, 0.04), (-0.15, -0.12), seed=5)]
        scene, grounding = make_scene(items, depth_noise=0.002, seed=3)
        mask = grounding.mask(grounding.target)
        for motion, (shift, yaw, tilt) in MOTIONS.items():
            truth = rigid_motion(shift, yaw, (0.0, 0.0, 0.05), tilt=tilt)
            film = render_motion(items, truth)
            for harm in chosen.harms.split(","):
                video = degrade(film, **HARMS[harm])
                request = LiftRequest(video, scene.main, mask, grounding.support, "it", "base")
                began = time.process_time()
                try:
                    result = lifter.lift(request, lambda _: None, lambda: False)
                except TrackingError as error:
                    rows.append(Row(shape, harm, error.code.name))
                    told = f"refused  {error.code.name}: {error.reason[:60]}"
                else:
                    off = 1000 * flow_error(result.flow, truth)
                    rows.append(Row(shape, harm, "", float(off[-1]), float(off.max())))
                    told = f"end {off[-1]:5.1f} mm  worst {off.max():5.1f} mm"
                seconds = time.process_time() - began
                print(f"{shape:9s} {motion:12s} {harm:7s} {seconds:4.1f} s  {told}", flush=True)
    for shape in chosen.shapes.split(","):
        print(_line(shape, [row for row in rows if row.shape == shape]))
    for harm in chosen.harms.split(","):
        print(_line(harm, [row for row in rows if row.harm == harm]))
    print(_line("all", rows))
    return 0 if all(row.worst_mm <= LIMIT_MM for row in rows if not row.code) else 1


def _line(name: str, rows: list[Row]) -> str:
    accepted = [row for row in rows if not row.code]
    codes = Counter(row.code for row in rows if row.code)
    told = f"{name:9s} accepted {len(accepted):3d}  abstained {len(rows) - len(accepted):3d}"
    if accepted:
        told += f"  end median {np.median([row.end_mm for row in accepted]):4.1f} mm"
        told += f"  worst {max(row.worst_mm for row in accepted):5.1f} mm"
    return "  ".join([told, *(f"{code} {count}" for code, count in codes.most_common())])


if __name__ == "__main__":
    sys.exit(main())
