"""What a benchmark's episodes gave: kept line by line, counted per task."""

from __future__ import annotations

import csv
import json
import math
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from novaflow_bringup.core.statistics import paired_difference, wilson
from novaflow_core.errors import Cause, Code, PlatformError

CAUSES = tuple(cause.value for cause in Cause if cause != Cause.NONE)
_CSV = (
    "task", "seed", "success", "outcome", "scored", "code", "cause", "reason", "scorer_failed",
    "chosen", "disturbed", "obstacle_contact_s", "total_s", "wall_s", "commit",
)  # fmt: skip

Row = dict[str, Any]


@dataclass(frozen=True)
class Conditions:
    """Under which episodes are comparable.

    Attributes:
        spoiled: How many of the candidates hallucinate.
        candidates: How many are imagined.
        open_loop: The plan is carried out blindly.
        no_judge: The first candidate is taken.
        imagination: Who makes the videos.
        disturb: What goes wrong on purpose.
        settings: Further arguments of the launch file.
    """

    spoiled: int = 4
    candidates: int = 8
    open_loop: bool = False
    no_judge: bool = False
    imagination: str = "storyboard"
    disturb: str = "none"
    settings: tuple[str, ...] = ()

    def key(self) -> dict[str, Any]:
        """As it stands in every row."""
        return asdict(self) | {"settings": list(self.settings)}


class EpisodeFile:
    """Rows as JSON lines; an interrupted run goes on where it stopped."""

    def __init__(self, path: Path) -> None:
        """Read what is there.

        Raises:
            PlatformError: INVALID_SETTING when the file holds something else, or cannot be made.
        """
        self.path = path
        self.rows: list[Row] = []
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
        except OSError as error:
            raise PlatformError(
                Code.INVALID_SETTING, f"cannot keep episodes in {path}: {error.strerror}"
            ) from error
        for number, line in enumerate(lines, start=1):
            try:
                row = json.loads(line)
                row["task"], row["seed"], row["conditions"]
            except (ValueError, TypeError, KeyError) as error:
                if number == len(lines):
                    break  # cut short by the end of the last run; that episode is run again
                raise PlatformError(
                    Code.INVALID_SETTING, f"{path}, line {number}, is not an episode: {error}"
                ) from error
            self.rows.append(row)

    def find(self, task: str, seed: int, conditions: Conditions, commit: str) -> Row | None:
        """Episode that is there already; one of another state of the code does not count."""
        wanted = (task, seed, conditions.key(), commit)
        for row in reversed(self.rows):
            if (row["task"], row["seed"], row["conditions"], row.get("commit", "")) == wanted:
                return row
        return None

    def add(self, row: Row) -> None:
        """Keep a row, on the disk at once."""
        self.rows.append(row)
        text = "".join(json.dumps(r, sort_keys=True) + "\n" for r in self.rows)
        part = self.path.with_suffix(".part")
        part.write_text(text, encoding="utf-8")
        part.replace(self.path)


def row_of(values: dict[str, Any], **more: Any) -> Row:
    """Row of an episode from the run's own JSON with the scorer's verdict in it."""
    kept = ("outcome", "scored", "agree", "code", "cause", "reason", "failed_stage", "chosen",
            "loop", "stage_s", "total_s", "run")  # fmt: skip
    scorer = values.get("scorer") or {}
    row = {key: values.get(key) for key in kept} | {
        "scorer_failed": list(scorer.get("failed", ())),
        "numbers": scorer.get("numbers", {}),
        "disturbed": bool(scorer.get("disturbed", False)),
        "obstacle_contact_s": float(scorer.get("obstacle_contact_s", 0.0)),
    }
    row["success"] = bool(row["outcome"] and row["scored"])
    return row | more


def cause_of_row(row: Row) -> str:
    """What a failure is counted under; a success that the scorer denies is one of execution."""
    if row["success"]:
        return ""
    if row["outcome"]:
        return Cause.SETUP.value if row["scored"] is None else Cause.EXECUTION.value
    return row["cause"] or Cause.SETUP.value


def summary(rows: Iterable[Row]) -> dict[str, dict[str, Any]]:
    """Counts per task, as they go into the JSON."""
    by_task: dict[str, list[Row]] = {}
    for row in rows:
        by_task.setdefault(row["task"], []).append(row)
    return {task: _of_task(sorted(mine, key=_seed)) for task, mine in by_task.items()}


def _of_task(rows: Sequence[Row]) -> dict[str, Any]:
    successes = sum(row["success"] for row in rows)
    low, high = wilson(successes, len(rows))
    counted = Counter(cause_of_row(row) for row in rows if not row["success"])
    stages = sorted({name for row in rows for name in row["stage_s"] or {}})
    delays = [
        row["loop"]["delay_median"] for row in rows if (row["loop"] or {}).get("delay_median")
    ]
    worst = [row["loop"]["delay_worst"] for row in rows if (row["loop"] or {}).get("delay_worst")]
    rates = [row["loop"]["images_per_s"] for row in rows if (row["loop"] or {}).get("images_per_s")]
    return {
        "trials": len(rows),
        "successes": successes,
        "false_successes": sum(bool(row["outcome"] and row["scored"] is False) for row in rows),
        "false_failures": sum(bool(row["scored"] and not row["outcome"]) for row in rows),
        "causes": {cause: counted.get(cause, 0) for cause in CAUSES},
        "success_rate": round(successes / len(rows), 4) if rows else None,
        "wilson_95": [round(low, 4), round(high, 4)],
        "seeds": [row["seed"] for row in rows],
        "failed_seeds": [row["seed"] for row in rows if not row["success"]],
        "disturbed": sum(row["disturbed"] for row in rows),
        "obstacle_contacts": sum(row["obstacle_contact_s"] > 0 for row in rows),
        "stage_median_s": {
            name: _median(row["stage_s"][name] for row in rows if name in (row["stage_s"] or {}))
            for name in stages
        },
        "goal_median_s": _median(row["total_s"] for row in rows if row["total_s"]),
        "episode_median_s": _median(row["wall_s"] for row in rows if row.get("wall_s")),
        "image_to_command_median_s": _median(delays),
        "image_to_command_worst_s": max(worst) if worst else None,
        "tracked_images_per_s": _median(rates),
    }


def table(rows: Iterable[Row]) -> str:
    """What a reader wants to see of a summary."""
    found = summary(rows)
    lines = [f"{'task':<8}{'success':>9}  {'95 %':<12}{'false':>6}  {'goal':>6}  failures (seeds)"]
    for task, t in found.items():
        low, high = t["wilson_95"]
        causes = ", ".join(f"{n} {c}" for c, n in t["causes"].items() if n) or "none"
        seeds = f" ({', '.join(map(str, t['failed_seeds']))})" if t["failed_seeds"] else ""
        goal = f"{t['goal_median_s']:.0f} s" if t["goal_median_s"] else "-"
        lines.append(
            f"{task:<8}{t['successes']:>3} of {t['trials']:<3} {100 * low:3.0f} to "
            f"{100 * high:3.0f} %{t['false_successes']:>6}  {goal:>6}  {causes}{seeds}"
        )
    for task, t in found.items():
        stages = ", ".join(f"{k} {v:.1f}" for k, v in t["stage_median_s"].items() if v is not None)
        lines.append(f"{task}: median seconds by stage: {stages or 'none'}")
        if t["image_to_command_median_s"] is not None:
            lines.append(
                f"{task}: from image to corrected command: median "
                f"{1e3 * t['image_to_command_median_s']:.0f} ms, worst "
                f"{1e3 * t['image_to_command_worst_s']:.0f} ms"
            )
        if t["tracked_images_per_s"] is not None:
            rate = t["tracked_images_per_s"]
            lines.append(f"{task}: images tracked a second: median {rate:.1f}")
    return "\n".join(lines)


def comparison(rows: Iterable[Row], others: Iterable[Row]) -> dict[str, Any]:
    """Success over the tasks and seeds that both have, pooled: first minus second."""
    theirs = {(row["task"], row["seed"]): row for row in others}
    pairs = [(row, theirs[key]) for row in rows if (key := (row["task"], row["seed"])) in theirs]
    mine = [row["success"] for row, _ in pairs]
    other = [row["success"] for _, row in pairs]
    difference, low, high = paired_difference(mine, other)
    return {
        "pairs": len(pairs),
        "first": sum(mine),
        "second": sum(other),
        "difference": round(difference, 4),
        "interval_95": [round(low, 4), round(high, 4)],
    }


def write_csv(rows: Iterable[Row], path: Path) -> None:
    """Write one line an episode, for spreadsheets."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, _CSV, extrasaction="ignore")
        writer.writeheader()
        for row in sorted(rows, key=lambda r: (r["task"], r["seed"])):
            failed = "; ".join(row["scorer_failed"])
            writer.writerow(row | {"scorer_failed": failed, "cause": cause_of_row(row)})


def _seed(row: Row) -> int:
    return int(row["seed"])


def _median(values: Iterable[float | None]) -> float | None:
    known = [v for v in values if v is not None and math.isfinite(v)]
    return round(statistics.median(known), 3) if known else None
