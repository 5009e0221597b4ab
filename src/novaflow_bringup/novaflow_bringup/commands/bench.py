"""`novaflow bench`: how often the simulated cell succeeds, over tasks and seeds."""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from novaflow_bringup.commands.cell_run import run_in_cell
from novaflow_bringup.commands.exit_codes import CANCELLED, SUCCESS
from novaflow_bringup.commands.interrupts import Interrupts
from novaflow_bringup.commands.session import deliver
from novaflow_bringup.core import bench_plot, episodes
from novaflow_bringup.core.cell_tasks import INSTRUCTIONS
from novaflow_bringup.core.episodes import Conditions, EpisodeFile, Row
from novaflow_bringup.core.run_folder import given_folder, runs_root
from novaflow_bringup.core.run_record import Goal
from novaflow_core.errors import Cause, Code, PlatformError

EPISODES, CSV, PLOT, TERMINAL = "episodes.jsonl", "episodes.csv", "success.png", "terminal.log"
RENDERED = "rendered"
_RENDER_LIMIT_S = 300.0


def run(options: argparse.Namespace) -> int:
    """Run what is missing of the episodes, then count."""
    conditions = Conditions(
        options.spoiled,
        options.candidates,
        options.open_loop,
        options.no_judge,
        options.imagination,
        options.disturb,
        tuple(options.arguments),
    )
    if options.spoiled > options.candidates:
        raise PlatformError(
            Code.INVALID_SETTING,
            f"{options.spoiled} of {options.candidates} candidates cannot be spoiled",
        )
    other = None if options.against is None else _rows_in(options.against)
    out = given_folder(options.out if options.out is not None else runs_root() / "bench")
    kept, commit = EpisodeFile(out / EPISODES), _commit()
    wanted = [(task, seed) for task in options.tasks for seed in options.seeds]
    print(f"{len(wanted)} episodes; kept in {kept.path}", flush=True)
    rows: list[Row] = []
    with Interrupts() as interrupts:
        for number, (task, seed) in enumerate(wanted, start=1):
            row = kept.find(task, seed, conditions, commit)
            told = "already there"
            if row is None:
                row = _episode(task, seed, conditions, out, options, interrupts)
                if row is None:
                    break
                kept.add(row | {"conditions": conditions.key(), "commit": commit})
                told = f"{row['wall_s']:.0f} s"
            rows.append(row)
            print(_line(number, len(wanted), row, told), flush=True)
    if rows:
        _tell(rows, conditions, commit, out, options, other)
    if len(rows) < len(wanted):
        print("interrupted; the same command goes on where this one stopped", flush=True)
        return CANCELLED
    return SUCCESS


def _episode(
    task: str,
    seed: int,
    conditions: Conditions,
    out: Path,
    options: argparse.Namespace,
    interrupts: Interrupts,
) -> Row | None:
    """Run one episode; None when the user has interrupted."""
    began = time.monotonic()
    folder = given_folder(out / "runs" / _name(task, seed, conditions))
    arguments: dict[str, object] = {
        "task": task,
        "seed": seed,
        "record": False,
        "closed_loop": not conditions.open_loop,
        "selection": "first" if conditions.no_judge else "critic",
        "disturb": conditions.disturb,
        **dict(word.split(":=", 1) for word in conditions.settings),
    }
    spoiled = conditions.spoiled
    if conditions.imagination == RENDERED:
        try:
            videos = _rendered(task, seed, conditions, out)
        except PlatformError as error:
            return _no_setup(task, seed, error, began)
        arguments |= {"video": "file", "video_path": videos}
        spoiled = 0  # what is spoiled is in the files
    goal = Goal(INSTRUCTIONS[task], conditions.candidates, seed, spoiled)
    with (folder / TERMINAL).open("w") as stream, contextlib.redirect_stdout(stream):
        _, values = run_in_cell(
            goal, arguments, folder, interrupts, wait_s=options.wait, timeout_s=options.timeout
        )
    if interrupts.stop():
        return None
    wall_s = round(time.monotonic() - began, 1)
    return episodes.row_of(values, task=task, seed=seed, wall_s=wall_s)


def _rendered(task: str, seed: int, conditions: Conditions, out: Path) -> Path:
    """Folder with videos that somebody else than the storyboard has made.

    Raises:
        PlatformError: UNAVAILABLE with what the renderer said.
    """
    name = f"{task}_{seed}_{conditions.candidates}_{conditions.spoiled}_{conditions.disturb}"
    folder = out / "videos" / name
    words = ["--task", task, "--seed", str(seed), "--candidates", str(conditions.candidates)]
    words += ["--spoiled", str(conditions.spoiled), "--disturb", conditions.disturb]
    command = [sys.executable, "-m", "novaflow_sim.render_videos", *words, "--out", str(folder)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_RENDER_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise PlatformError(
            Code.UNAVAILABLE, f"rendering took longer than {_RENDER_LIMIT_S:.0f} s"
        ) from error
    if done.returncode:
        raise PlatformError(Code.UNAVAILABLE, f"rendering failed: {done.stderr.strip()[-300:]}")
    return folder


def _no_setup(task: str, seed: int, error: PlatformError, began: float) -> Row:
    values = {
        "outcome": False,
        "code": error.code.name,
        "cause": Cause.SETUP.value,
        "reason": error.reason,
    }
    wall_s = round(time.monotonic() - began, 1)
    return episodes.row_of(values, task=task, seed=seed, wall_s=wall_s)


def _tell(
    rows: list[Row],
    conditions: Conditions,
    commit: str,
    out: Path,
    options: argparse.Namespace,
    other: list[Row] | None,
) -> None:
    """Table, CSV, plot and JSON."""
    found = episodes.summary(rows)
    values: dict[str, Any] = {"tasks": found, "conditions": conditions.key(), "commit": commit}
    print(f"\n{episodes.table(rows)}")
    if conditions.disturb != "none":
        happened = sum(row["disturbed"] for row in rows)
        touched = sum(row["obstacle_contact_s"] > 0 for row in rows)
        what = f"{touched} touched it" if conditions.disturb == "obstacle" else f"{happened} times"
        print(f"{conditions.disturb}: {what}, of {len(rows)} episodes")
    if other is not None:
        paired = values["paired"] = episodes.comparison(rows, other)
        low, high = paired["interval_95"]
        print(
            f"paired over {paired['pairs']} episodes: {paired['first']} against "
            f"{paired['second']}, difference {100 * paired['difference']:+.0f} points "
            f"(95 %: {100 * low:+.0f} to {100 * high:+.0f})"
        )
    episodes.write_csv(rows, out / CSV)
    title = f"{_title(conditions)}; code {commit}"
    bench_plot.write(bench_plot.draw(found, title), out / PLOT)
    print(f"table: {out / CSV}\nplot: {out / PLOT}", flush=True)
    deliver(values, options.json)


def _rows_in(folder: Path) -> list[Row]:
    """Rows of another run of this command.

    Raises:
        PlatformError: INVALID_SETTING when there are none.
    """
    path = folder / EPISODES if folder.is_dir() else folder
    rows = EpisodeFile(path).rows if path.is_file() else []
    if not rows:
        raise PlatformError(Code.INVALID_SETTING, f"there are no episodes at {path}")
    return rows


def _line(number: int, count: int, row: Row, told: str) -> str:
    word = "success" if row["success"] else (row["code"] or "")
    if row["outcome"] and row["scored"] is False:
        word = f"FALSE SUCCESS: {'; '.join(row['scorer_failed'])}"
    elif not row["success"]:
        word += f": {row['reason'] or ''}"
    return f"  [{number}/{count}] {row['task']} {row['seed']}: {word[:110]} ({told})"


def _title(conditions: Conditions) -> str:
    parts = [
        "open loop" if conditions.open_loop else "closed loop",
        f"{conditions.spoiled} of {conditions.candidates} spoiled",
        conditions.imagination,
    ]
    parts += ["no judge"] if conditions.no_judge else []
    parts += [conditions.disturb] if conditions.disturb != "none" else []
    return ", ".join(parts + list(conditions.settings))


def _name(task: str, seed: int, conditions: Conditions) -> str:
    words = [task, str(seed), conditions.imagination]
    words += ["open"] if conditions.open_loop else []
    words += ["unjudged"] if conditions.no_judge else []
    words += [conditions.disturb] if conditions.disturb != "none" else []
    return f"{'_'.join(words)}-{time.strftime('%H%M%S')}"


def _commit() -> str:
    """State of the code, with a plus where files differ from it; "" outside of git."""
    here = str(Path(__file__).resolve().parent)
    words = ["git", "-C", here, "describe", "--always", "--abbrev=7", "--dirty=+", "--exclude=*"]
    try:
        told = subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return told.stdout.strip() if told.returncode == 0 else ""
