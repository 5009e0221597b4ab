"""Runs the demo over seeds and tasks with spoiled candidates, and prints how often it succeeds.

    python benchmarks/seeds.py 1000:1010 [--tasks cup insert] [--spoiled 4] [--out seeds.jsonl]

A seed range is half-open. Every run is one line of the JSONL file, with the commit it was made at;
runs that are there already are not repeated. Success counts only where the product's own verdict
and the simulator's scorer agree; the interval is Wilson's at 95 %.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TASKS = ("cup", "insert")
NORMAL_95 = 1.959964
LIMIT_S = 900.0


def wilson(successes: int, runs: int, z: float = NORMAL_95) -> tuple[float, float]:
    """Wilson's interval of a proportion.

    Source: E. B. Wilson (1927), Probable inference, the law of succession.
    """
    if runs == 0:
        return 0.0, 1.0
    p = successes / runs
    centre = p + z * z / (2 * runs)
    half = z * math.sqrt(p * (1 - p) / runs + z * z / (4 * runs * runs))
    scale = 1 + z * z / runs
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def commit() -> str:
    """Commit of the working tree, with a plus when it is not clean."""
    words = ["git", "-C", str(ROOT)]
    name = subprocess.run(
        [*words, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
    )
    dirty = subprocess.run(
        [*words, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True
    )
    return name.stdout.strip() + ("+" if dirty.stdout.strip() else "")


def run(command: list[str], task: str, seed: int, spoiled: int) -> dict[str, Any]:
    """One demo; a run that leaves no JSON is told as such."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        words = ["demo", "--task", task, "--seed", str(seed), "--spoiled", str(spoiled)]
        try:
            status = subprocess.run(
                [*command, *words, "--json", str(out)],
                stdout=subprocess.DEVNULL,
                timeout=LIMIT_S,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            status = -1
        if out.is_file():
            values = json.loads(out.read_text())
        else:
            values = {"code": f"no result (exit {status})", "cause": "setup", "outcome": False}
    keys = (
        "outcome",
        "scored",
        "agree",
        "code",
        "cause",
        "reason",
        "chosen",
        "stage_s",
        "total_s",
        "run",
    )
    kept = {key: values.get(key) for key in keys}
    return {
        "task": task,
        "seed": seed,
        "spoiled": spoiled,
        "exit": status,
        "commit": commit(),
    } | kept


def table(rows: list[dict[str, Any]]) -> str:
    """What a reader wants to see."""
    lines = [
        f"{'task':<8}{'seed':>5}  {'product':<8}{'scorer':<8}{'agree':<6}{'time':>7}  code, reason"
    ]
    word = {True: "yes", False: "no", None: "-"}
    for row in sorted(rows, key=lambda r: (r["task"], r["seed"])):
        told = f"{row['code']} {row.get('reason') or ''}"
        lines.append(
            f"{row['task']:<8}{row['seed']:>5}  {word[row['outcome']]:<8}{word[row['scored']]:<8}"
            f"{word[row['agree']]:<6}{row.get('total_s') or 0:6.1f}s  {told[:90]}"
        )
    for task in sorted({row["task"] for row in rows}):
        mine = [row for row in rows if row["task"] == task]
        good = sum(bool(row["outcome"] and row["scored"]) for row in mine)
        low, high = wilson(good, len(mine))
        causes = Counter(row["cause"] for row in mine if not row["outcome"])
        apart = [row["seed"] for row in mine if row["agree"] is False]
        lines += [
            "",
            f"{task}: {good} of {len(mine)} (95 %: {100 * low:.0f} to {100 * high:.0f} %)",
            f"  failures by cause: {dict(causes) or 'none'}",
            f"  product and scorer disagree at seeds: {apart or 'none'}",
        ]
    return "\n".join(lines)


def main() -> int:
    """Run what is missing, then print the table."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("seeds", help="half-open range A:B")
    options.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    options.add_argument("--spoiled", type=int, default=4)
    options.add_argument("--out", type=Path, default=Path("seeds.jsonl"))
    options.add_argument(
        "--command", nargs="+", default=[str(ROOT / "novaflow")], help="what runs `demo`"
    )
    chosen = options.parse_args()
    first, last = (int(part) for part in chosen.seeds.split(":"))
    rows = []
    if chosen.out.is_file():
        rows = [json.loads(line) for line in chosen.out.read_text().splitlines()]
    done = {(row["task"], row["seed"], row["spoiled"]) for row in rows}
    for task in chosen.tasks:
        for seed in range(first, last):
            if (task, seed, chosen.spoiled) in done:
                continue
            row = run(chosen.command, task, seed, chosen.spoiled)
            rows.append(row)
            with chosen.out.open("a") as stream:
                stream.write(json.dumps(row) + "\n")
            print(f"{task} {seed}: product {row['outcome']}, scorer {row['scored']}, {row['code']}")
    asked = [
        row
        for row in rows
        if row["task"] in chosen.tasks
        and first <= row["seed"] < last
        and row["spoiled"] == chosen.spoiled
    ]
    print(table(asked))
    return 0


if __name__ == "__main__":
    sys.exit(main())
