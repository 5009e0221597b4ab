"""The folder that a run leaves behind."""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from novaflow_bringup.core.report import report_text
from novaflow_bringup.core.run_record import RunRecord
from novaflow_core.errors import Code, PlatformError

RUNS_VARIABLE = "NOVAFLOW_RUNS"
REPORT, OUTCOME, FLOW = "report.md", "outcome.json", "chosen_flow.npz"
BAG, VIDEOS, FLOW_IMAGE, EXECUTION = "bag", "videos", "flow_image.png", "execution.mp4"


def runs_root(setting: str = "") -> Path:
    """Return where runs go: the setting, or the environment's choice, or `runs` here."""
    return Path(setting or os.environ.get(RUNS_VARIABLE, "") or "runs").expanduser().resolve()


def new_folder(root: Path, now: datetime) -> Path:
    """Create and return an empty folder named after the time, with a number where that is taken.

    Raises:
        PlatformError: INVALID_SETTING when it cannot be created.
    """
    stamp = now.strftime("%Y%m%d-%H%M%S")
    try:
        root.mkdir(parents=True, exist_ok=True)
        for number in range(1000):
            folder = root / (stamp if number == 0 else f"{stamp}-{number}")
            try:
                folder.mkdir()
            except FileExistsError:
                continue
            return folder
    except OSError as error:
        raise PlatformError(
            Code.INVALID_SETTING, f"cannot write runs to {root}: {error.strerror}"
        ) from error
    raise PlatformError(Code.INVALID_SETTING, f"{root} holds 1000 runs of this second")


def given_folder(folder: Path) -> Path:
    """Create and return the folder that a goal named.

    Raises:
        PlatformError: INVALID_SETTING when it cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PlatformError(
            Code.INVALID_SETTING, f"cannot write the run to {folder}: {error.strerror}"
        ) from error
    return folder.resolve()


def write_run(record: RunRecord) -> None:
    """Write report, outcome and chosen flow into the record's folder; does nothing without one."""
    if record.folder is None:
        return
    chosen = record.chosen
    if chosen is not None and chosen.flow is not None:
        np.savez_compressed(
            record.folder / FLOW,
            points=chosen.flow.points,
            visible=chosen.flow.visible,
            candidate_id=np.array(chosen.candidate_id),
            video_sha256=np.array(chosen.video_sha256),
        )
    write_json(record.folder / OUTCOME, record.to_json())
    text = report_text(record, files=files_in(record.folder))
    (record.folder / REPORT).write_text(text, encoding="utf-8")


def files_in(folder: Path) -> dict[str, str]:
    """Return what a reader may open, as relative paths by description; only what is there."""
    known = {
        "numbered flow image": FLOW_IMAGE,
        "chosen flow": FLOW,
        "candidate videos": VIDEOS,
        "execution video": EXECUTION,
        "bag of the graph (MCAP)": BAG,
        "machine-readable outcome": OUTCOME,
    }
    return {what: name for what, name in known.items() if (folder / name).exists()}


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write JSON so that a reader never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    partial.replace(path)
