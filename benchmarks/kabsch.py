"""The rigid motion of a flow whose tracks are partly wrong: plain and robust Kabsch.

Prints, per share of outliers, the error against the truth and the time of a flow of T steps and K
points. Run inside the workspace's environment: `python benchmarks/kabsch.py [--json FILE]`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from novaflow_core import se3
from novaflow_core.flow import ObjectFlow
from novaflow_core.kabsch import fit_sequence

Array = NDArray[np.float64]

STEPS, POINTS = 41, 1024
NOISE_M, OUTLIER_M = 0.002, 0.08
FLOWS, REPEATS = 5, 3
OUTLIERS = (0.0, 0.1, 0.2, 0.4)


def make_flow(seed: int, outliers: float) -> tuple[ObjectFlow, Array]:
    """A flow and its true poses (T, 4, 4) against step 0."""
    rng = np.random.default_rng(seed)
    start = rng.normal(0, 0.04, (POINTS, 3)) + np.array([0.45, -0.2, 0.1])
    share = np.linspace(0, 1, STEPS)[:, None]
    rotation = se3.exp_so3(share * rng.normal(0, 0.6, 3))
    centre = start.mean(axis=0)
    shift = share * rng.normal(0, 0.2, 3)
    truth = se3.from_rt(rotation, centre - rotation @ centre + shift)
    points = start @ np.swapaxes(rotation, 1, 2) + truth[:, None, :3, 3]
    points[1:] += rng.normal(0, NOISE_M, points[1:].shape)
    wrong = rng.random((STEPS, POINTS)) < outliers
    wrong[0] = False
    points[wrong] += rng.normal(0, OUTLIER_M, (int(wrong.sum()), 3)) + 0.05
    seen = np.ones((STEPS, POINTS))
    flow = ObjectFlow(
        points.astype(np.float32), seen > 0, seen.astype(np.float32), 1 / 16, "fr3_link0"
    )
    return flow, truth


def plain(flow: ObjectFlow) -> Array:
    """Poses (T, 4, 4) by one singular value decomposition per step, all points alike."""
    points = flow.points.astype(float)
    a, b = points[0] - points[0].mean(axis=0), points - points.mean(axis=1, keepdims=True)
    u, _, v_t = np.linalg.svd(np.einsum("ki,tkj->tij", a, b))
    v = np.swapaxes(v_t, 1, 2)
    v[:, :, 2] *= np.sign(np.linalg.det(v @ np.swapaxes(u, 1, 2)))[:, None]
    rotation = v @ np.swapaxes(u, 1, 2)
    return se3.from_rt(rotation, points.mean(axis=1) - rotation @ points[0].mean(axis=0))


def measure(fit: Callable[[ObjectFlow], Array], outliers: float) -> dict[str, float]:
    """Mean errors of all steps but the first, and the median time of a flow."""
    away, turned, times = [], [], []
    for seed in range(FLOWS):
        flow, truth = make_flow(1000 + seed, outliers)
        for _ in range(REPEATS):
            began = time.process_time()
            poses = fit(flow)
            times.append(time.process_time() - began)
        centre = np.append(flow.points[0].mean(axis=0), 1.0)
        away.append(np.linalg.norm(((poses - truth) @ centre)[1:, :3], axis=1).mean())
        left = poses[1:, :3, :3] @ np.swapaxes(truth[1:, :3, :3], 1, 2)
        turned.append(se3.rotation_angle(left).mean())
    return {
        "position_mm": 1e3 * float(np.mean(away)),
        "orientation_deg": float(np.degrees(np.mean(turned))),
        "ms": 1e3 * float(np.median(times)),
    }


def main() -> None:
    """Print the table; write it where asked."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--json", type=Path, help="write the figures here")
    given = options.parse_args()
    ways = {"plain": plain, "robust": lambda flow: fit_sequence(flow).poses}
    rows = [
        {"fit": name, "outliers": outliers, **measure(fit, outliers)}
        for outliers in OUTLIERS
        for name, fit in ways.items()
    ]
    print(f"{STEPS} steps, {POINTS} points, noise {1e3 * NOISE_M:.0f} mm; processor time")
    for row in rows:
        print(
            f"{100 * row['outliers']:3.0f} % wrong  {row['fit']:<7}"
            f"{row['position_mm']:8.2f} mm{row['orientation_deg']:7.2f} deg{row['ms']:8.1f} ms"
        )
    if given.json:
        given.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
