"""How far flows lifted from independently rendered videos are from the simulator's truth.

    python benchmarks/lift_rendered.py 1000:1005 [--tasks cup drawer] [--candidates 3]
                                       [--tracks klt] [--out DIR]

Clean candidates only: a hand hides part of the object, light drifts, the picture is small, noisy
and compressed. The view is the cell's noisy one, moved into the true camera frame for comparison,
so that calibration is not counted. A refusal is shown with its code. A seed range is half-open.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from cell_views import cell_scene
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_core.errors import NovaflowError
from novaflow_core.flow import ObjectFlow
from novaflow_core.kabsch import fit_sequence
from novaflow_core.registry import load_backend
from novaflow_flowgen.core.protocols import LiftRequest
from novaflow_flowgen.core.settings import FlowgenSettings
from novaflow_flowgen.core.video_file import VideoReader, VideoSize
from novaflow_perception.backends.tabletop import TabletopGrounder
from novaflow_perception.core.instruction import parse
from novaflow_sim.backends.cell import Cell
from novaflow_sim.backends.layout import true_camera_pose
from novaflow_sim.backends.rendered_videos import FRAMES, LABELS, render_videos
from novaflow_sim.core import objects

Float = NDArray[np.float64]


def compare(task: str, seed: int, candidates: int, tracks: str, folder: Path) -> list[dict]:
    """Lift the videos of a seed; one row a video."""
    render_videos(task, seed, candidates, 0, folder)
    films = json.loads((folder / LABELS).read_text())["films"]
    scene = cell_scene(task, seed)
    grounding = TabletopGrounder().ground(scene, parse(objects.TASKS[task].instruction))
    # p_published = error @ p_true: the same points, seen by a camera elsewhere.
    error = scene.main.T_planning_camera @ se3.inverse(true_camera_pose(Cell(task, seed).model))
    lifter = load_backend("tracks", tracks)(FlowgenSettings(tracks=tracks))
    size = VideoSize(scene.main.model.width, scene.main.model.height)
    rows = []
    for number, told in enumerate(films):
        video = VideoReader(folder / f"candidate_{number:02d}.mp4", size)
        request = LiftRequest(
            video, scene.main, grounding.mask(grounding.target), grounding.support, "it", "base"
        )
        row = {"task": task, "seed": seed, "candidate": number}
        began = time.process_time()
        try:
            flow = lifter.lift(request, lambda _: None, lambda: False).flow
        except NovaflowError as refusal:
            rows.append(row | {"code": refusal.code.name, "reason": refusal.reason})
        else:
            shift, turn = _apart(flow, np.array(told["poses"]), error)
            rows.append(
                row
                | {
                    "code": "OK",
                    "end_mm": round(1e3 * shift[-1], 1),
                    "median_mm": round(1e3 * float(np.median(shift)), 1),
                    "end_deg": round(float(np.degrees(turn[-1])), 1),
                    "median_deg": round(float(np.degrees(np.median(turn))), 1),
                }
            )
        rows[-1]["cpu_s"] = round(time.process_time() - began, 1)
        print(json.dumps(rows[-1]), flush=True)
    return rows


def _apart(flow: ObjectFlow, poses: Float, error: Float) -> tuple[Float, Float]:
    """Distance [m] of the points' middle and angle [rad], lifted from true motion, by step (T,)."""
    wanted = np.rint(np.linspace(0, FRAMES - 1, len(flow.points))).astype(int)
    true = np.stack([error @ p @ se3.inverse(poses[0]) @ se3.inverse(error) for p in poses[wanted]])
    middle = flow.points[0].mean(axis=0).astype(float)
    fit = fit_sequence(flow)
    shift = np.array([np.linalg.norm(se3.apply(a, middle) - se3.apply(b, middle))
                      for a, b in zip(fit.poses, true, strict=True)])  # fmt: skip
    turn = np.array([se3.rotation_angle(a[:3, :3].T @ b[:3, :3])
                     for a, b in zip(fit.poses, true, strict=True)])  # fmt: skip
    return shift, turn


def main() -> int:
    """Run and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("seeds", help="half-open range A:B")
    options.add_argument(
        "--tasks", nargs="+", choices=list(objects.TASKS), default=list(objects.TASKS)
    )
    options.add_argument("--candidates", type=int, default=3)
    options.add_argument("--tracks", default="klt")
    options.add_argument("--out", type=Path, help="where videos are kept for the next time")
    chosen = options.parse_args()
    cv2.setNumThreads(1)
    first, last = (int(part) for part in chosen.seeds.split(":"))
    with tempfile.TemporaryDirectory() as scratch:
        root = chosen.out or Path(scratch)
        for task in chosen.tasks:
            rows = []
            for seed in range(first, last):
                folder = root / f"{task}_{seed}_{chosen.candidates}"
                rows += compare(task, seed, chosen.candidates, chosen.tracks, folder)
            good = [row for row in rows if row["code"] == "OK"]
            told = f"{task}: {len(good)} of {len(rows)} lifted"
            if good:
                for key in ("median_mm", "end_mm", "median_deg", "end_deg"):
                    told += f", {key} {np.median([row[key] for row in good]):.1f}"
                told += f", worst end {max(row['end_mm'] for row in good):.1f} mm"
            print(told, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
