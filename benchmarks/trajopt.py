"""Our trajectory optimisation and PyRoki on the same problems, each in processes of its own.

PyRoki runs as its authors' examples do at their fastest: the whole function in one jit, converged,
with each of its linear solvers; the better one counts, figure by figure. An independent judge
scores both. Times are medians of wall-clock or processor time, whichever is less: on a busy machine
waiting for a core is nobody's fault.

Run inside the workspace's environment: `python benchmarks/trajopt.py [--json FILE] [--quick]`.
PyRoki comes with `./novaflow setup --with pyroki`; it compiles for minutes and takes 2 GB.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

COUNT = 100
STEPS, LONG_STEPS = 41, 200
WARM = 20  # problems that are timed
SOLVERS = ("conjugate_gradient", "dense_cholesky")
TARGETS = {
    "warm_T41": 1 / 200,
    "warm_T200": 1 / 400,
    "replan_T41": 1 / 200,
    "cold_start": 1 / 40,
    "memory": 1 / 10,
    "cost_T41": 1.001,
    "cost_T41_p95": 1.01,
}


class Clock:
    """Medians of wall-clock and processor time [s]."""

    def __init__(self) -> None:
        """Start without a measurement."""
        self.wall: list[float] = []
        self.cpu: list[float] = []

    def time(self, action, *arguments):
        """Result of an action, timed."""
        wall, cpu = time.perf_counter(), time.process_time()
        out = action(*arguments)
        self.wall.append(time.perf_counter() - wall)
        self.cpu.append(time.process_time() - cpu)
        return out

    @property
    def result(self) -> dict[str, float]:
        """Both medians, and the lesser one."""
        wall, cpu = float(np.median(self.wall)), float(np.median(self.cpu))
        return {"wall_s": wall, "cpu_s": cpu, "s": min(wall, cpu)}


def work(name: str, linear_solver: str, count: int, began: float, out: Path) -> None:
    """Measure one solver in this process; it has solved nothing before."""
    from dataclasses import replace

    sys.path.insert(0, str(Path(__file__).parent))
    from trajopt_problems import fr3, grasp_pairs, make_case

    robot = fr3()
    if name == "kernel":
        from novaflow_executor.backends.trajopt import Trajopt

        kernel = Trajopt(robot)
        solve = lambda problem: kernel.solve(problem).q  # noqa: E731
    else:
        from novaflow_executor.backends.pyroki import Pyroki

        pyroki = Pyroki(robot, linear_solver=linear_solver)
        solve = lambda problem: pyroki.optimise(problem)[0]  # noqa: E731

    first = make_case(robot, 1000, STEPS)
    solve(first.problem)
    wall, cpu = time.time() - began, time.process_time()
    figures: dict[str, object] = {"cold_start": {"wall_s": wall, "cpu_s": cpu, "s": min(wall, cpu)}}
    cases = [make_case(robot, 1000 + k, STEPS) for k in range(count)]
    paths = [solve(case.problem) for case in cases]
    repeats = 20 if name == "kernel" else 1
    warm, again = Clock(), Clock()
    for case, path in zip(cases[:WARM], paths, strict=False):
        moved = replace(case.moved, q_initial=path)
        for _ in range(repeats):
            warm.time(solve, case.problem)
            again.time(solve, moved)
    figures["warm_T41"], figures["replan_T41"] = warm.result, again.result
    figures["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    np.save(out / f"{name}_{linear_solver}.npy", np.stack(paths))
    long = [make_case(robot, 1000 + k, LONG_STEPS).problem for k in range(4)]
    solve(long[0])
    warm = Clock()
    for problem in long:
        for _ in range(repeats):
            warm.time(solve, problem)
    figures["warm_T200"] = warm.result
    if name == "kernel":
        batch, pairs = Clock(), Clock()
        problems = [case.problem for case in cases]
        for _ in range(5):
            batch.time(kernel.solve_batch, problems)
        figures["batch_per_path_s"] = batch.result["s"] / len(problems)
        feasibility = grasp_pairs(robot, 50, 8)
        kernel.solve_batch(feasibility[:1])
        pairs.time(kernel.solve_batch, feasibility)
        figures["50_grasps_8_flows_s"] = pairs.result["s"]
        figures["instruction_set"] = kernel.instruction_set
    (out / f"{name}_{linear_solver}.json").write_text(json.dumps(figures))


def run_worker(name: str, linear_solver: str, count: int, out: Path) -> tuple[dict, np.ndarray]:
    """Figures and paths (count, T, N) of a solver in a fresh process."""
    print(f"{name} {linear_solver} ...", flush=True)
    command = [sys.executable, __file__, "--worker", name, linear_solver, str(time.time())]
    subprocess.run(
        [*command, "--count", str(count), "--out", str(out)],
        check=True,
        env={**os.environ, "JAX_ENABLE_COMPILATION_CACHE": "false"},
    )
    stem = out / f"{name}_{linear_solver}"
    return json.loads(stem.with_suffix(".json").read_text()), np.load(stem.with_suffix(".npy"))


def compare(count: int, solvers: tuple[str, ...], out: Path) -> dict:
    """Run everything; returns the figures and ratios (ours over PyRoki)."""
    from trajopt_problems import Judge, fr3, make_case

    ours, our_paths = run_worker("kernel", "banded", count, out)
    theirs = {name: run_worker("pyroki", name, count, out) for name in solvers}
    robot = fr3()
    judge = Judge(robot)
    problems = [make_case(robot, 1000 + k, STEPS).problem for k in range(count)]
    score = lambda paths: np.array(  # noqa: E731
        [judge.cost(p, q) for p, q in zip(problems, paths, strict=True)]
    )
    our_cost = score(our_paths)
    their_cost = np.min([score(paths) for _, paths in theirs.values()], axis=0)
    ratio = our_cost / their_cost
    ratios = {
        name: ours[name]["s"] / min(figures[name]["s"] for figures, _ in theirs.values())
        for name in ("warm_T41", "warm_T200", "replan_T41", "cold_start")
    }
    ratios["memory"] = ours["memory"] / min(figures["memory"] for figures, _ in theirs.values())
    ratios["cost_T41"] = float(np.median(ratio))
    ratios["cost_T41_p95"] = float(np.quantile(ratio, 0.95))
    best_warm = min(figures["warm_T41"]["s"] for figures, _ in theirs.values())
    return {
        "ratios": ratios,
        "targets": TARGETS,
        "kernel": ours,
        "pyroki": {name: figures for name, (figures, _) in theirs.items()},
        "cost": {
            "kernel_median": float(np.median(our_cost)),
            "pyroki_median": float(np.median(their_cost)),
            "ratio_uncluttered": float(np.median(ratio[::2])),
            "ratio_cluttered": float(np.median(ratio[1::2])) if count > 1 else None,
            "ratio_max": float(ratio.max()),
        },
        "50_grasps_8_flows_per_warm_T41": ours["50_grasps_8_flows_s"] / best_warm,
        "problems": count,
        "load_average": os.getloadavg()[0],
        "cores": os.cpu_count(),
    }


def report(result: dict) -> None:
    """Print the figures, and each ratio beside what was asked for."""
    rows = {"kernel": result["kernel"], **{f"pyroki {k}": v for k, v in result["pyroki"].items()}}
    print(f"\n{'':28}{'cold start':>12}{'warm T=41':>12}{'re-plan':>12}{'warm T=200':>12}{'MB':>8}")
    for name, figures in rows.items():
        for kind in ("wall_s", "cpu_s"):
            cells = [
                figures[k][kind] for k in ("cold_start", "warm_T41", "replan_T41", "warm_T200")
            ]
            texts = [f"{cells[0]:.2f} s", *(f"{1e3 * cell:.3f} ms" for cell in cells[1:])]
            memory = f"{figures['memory']:.0f}" if kind == "wall_s" else ""
            label = f"{name} ({'wall' if kind == 'wall_s' else 'processor'})"
            print(f"{label:<36.36}"[:36] + "".join(f"{t:>12}" for t in texts) + f"{memory:>8}")
    kernel = result["kernel"]
    print(f"\nkernel: {kernel['instruction_set']}")
    print(f"in a batch {1e6 * kernel['batch_per_path_s']:.0f} us a path")
    print(f"50 grasps x 8 flows: {1e3 * kernel['50_grasps_8_flows_s']:.0f} ms")
    print(f"load {result['load_average']:.1f} on {result['cores']} cores\n")
    for name, value in result["ratios"].items():
        asked = result["targets"][name]
        shown = f"{value:.5f}" if asked > 1 else f"1/{1 / value:.0f}"
        wanted = f"{asked:.3f}" if asked > 1 else f"1/{1 / asked:.0f}"
        verdict = "met" if value <= asked else "MISSED"
        print(f"{name:<14}{shown:>10}   asked {wanted:>6}   {verdict}")


def main() -> int:
    """Exit status: 0 if all targets are met, 1 if not, 3 without PyRoki."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--json", type=Path, help="write all figures here")
    options.add_argument("--count", type=int, default=COUNT, help="problems that costs are of")
    options.add_argument("--quick", action="store_true", help="one linear solver of PyRoki only")
    options.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    options.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.worker:
        name, linear_solver, began = given.worker
        work(name, linear_solver, given.count, float(began), given.out)
        return 0
    if importlib.util.find_spec("pyroki") is None:
        print("PyRoki is not installed: ./novaflow setup --with pyroki", file=sys.stderr)
        return 3
    sys.path.insert(0, str(Path(__file__).parent))
    with tempfile.TemporaryDirectory() as folder:
        result = compare(given.count, SOLVERS[:1] if given.quick else SOLVERS, Path(folder))
    report(result)
    if given.json:
        given.json.write_text(json.dumps(result, indent=2))
    met = all(value <= TARGETS[name] for name, value in result["ratios"].items())
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
