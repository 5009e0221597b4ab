"""What `demo`, `imagine` and `replay` share: a graph of their own, a goal, a run folder."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from novaflow_bringup.commands.interrupts import Interrupts
from novaflow_bringup.commands.launching import LaunchedGraph
from novaflow_bringup.commands.progress import StageLines, waiting_line
from novaflow_bringup.core.run_folder import OUTCOME, new_folder, runs_root, write_json, write_run
from novaflow_bringup.core.run_record import Goal, RunRecord
from novaflow_bringup.ros.task_client import TaskClient
from novaflow_core.errors import Code, NovaflowError, PlatformError

LOG = "graph.log"


def new_run() -> Path:
    """Create a run folder for a command that starts its own graph."""
    return new_folder(runs_root(), datetime.now(UTC))


def await_graph(
    client: TaskClient,
    graph: LaunchedGraph,
    interrupts: Interrupts,
    timeout_s: float,
    *,
    plan_only: bool,
    camera: bool = True,
) -> None:
    """Wait for the graph, telling what is missing; give up early when its launcher ends.

    Raises:
        PlatformError: CANCELLED, UNAVAILABLE.
    """
    began = time.monotonic()

    def should_stop() -> bool:
        return interrupts.stop() or bool(graph.ended())

    try:
        client.wait_ready(
            timeout_s,
            plan_only=plan_only,
            camera=camera,
            should_stop=should_stop,
            on_wait=waiting_line,
        )
    except PlatformError as error:
        if not interrupts.stop() and (told := graph.ended()):
            raise PlatformError(Code.UNAVAILABLE, told) from error
        if error.code == Code.UNAVAILABLE:
            told = f"{error.reason}; log {graph.log}: {graph.last_words()}"
            raise PlatformError(Code.UNAVAILABLE, told) from error
        raise
    print(f"  ready after {time.monotonic() - began:.1f} s", flush=True)


def send(
    client: TaskClient,
    goal: Goal,
    interrupts: Interrupts,
    *,
    folder: Path | None = None,
    timeout_s: float = 900.0,
) -> RunRecord:
    """Send a goal with live lines; what the client alone finds out is a failed record, too."""
    print(f'"{goal.instruction}"', flush=True)
    try:
        return client.perform(
            goal,
            folder=folder,
            timeout_s=timeout_s,
            on_stage=StageLines(),
            should_cancel=interrupts.stop,
            should_leave=interrupts.leave,
        )
    except NovaflowError as error:
        return failed(goal, folder, error)


def failed(goal: Goal, folder: Path | None, error: NovaflowError) -> RunRecord:
    """Record of a run that never came to a task node; its folder is closed with a report."""
    record = RunRecord(goal, folder)
    record.fail(error)
    if folder is not None and not (folder / OUTCOME).exists():
        write_run(record)
    return record


def as_json(record: RunRecord) -> dict[str, Any]:
    """Everything known of a run: the task node's own file, or what was heard of it."""
    if record.folder is not None and (path := record.folder / OUTCOME).is_file():
        values = json.loads(path.read_text(encoding="utf-8"))
        if values["code"] == record.code.name:
            return dict(values)
    return record.to_json()


def deliver(values: dict[str, Any], path: Path | None) -> None:
    """Write the JSON that the user asked for."""
    if path is not None:
        write_json(path, values)
