"""A recorded goal, sent once more to a graph that is fed with the recorded sensors."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from novaflow_bringup.core.comparison import Comparison, compare
from novaflow_bringup.core.run_folder import new_folder, write_json
from novaflow_bringup.core.run_record import RunRecord
from novaflow_bringup.ros.recorded_run import RecordedRun
from novaflow_bringup.ros.task_client import TaskClient
from novaflow_core.errors import Code

COMPARISON = "comparison.json"


def replay_goal(
    client: TaskClient, recorded: RecordedRun, **watching: Any
) -> tuple[RunRecord, Comparison | None]:
    """Send the recorded goal, planning only, and compare; the replay is written beside the run.

    Args:
        client: In the domain of the graph.
        recorded: What was recorded.
        watching: Passed on to `TaskClient.perform`.

    Returns:
        The replayed run, and the comparison where there is a recorded outcome to compare with.
    """
    folder = new_folder(recorded.folder / "replays", datetime.now(UTC))
    record = client.perform(replace(recorded.goal, plan_only=True), folder=folder, **watching)
    if not recorded.outcome or record.code == Code.CANCELLED:
        return record, None
    found = compare(recorded.outcome, record.to_json(), recorded.folder, folder)
    write_json(folder / COMPARISON, found.to_json())
    return record, found
