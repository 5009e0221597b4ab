"""One goal in a simulated cell of its own, and what the scorer says: for `demo` and `bench`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from novaflow_bringup.commands.interrupts import Interrupts
from novaflow_bringup.commands.launching import LaunchedGraph
from novaflow_bringup.commands.session import LOG, as_json, await_graph, failed, send
from novaflow_bringup.core.domains import free_domains
from novaflow_bringup.core.run_folder import OUTCOME, write_json
from novaflow_bringup.core.run_record import Goal, RunRecord
from novaflow_bringup.ros.scorer_client import Score, ask_scorer
from novaflow_bringup.ros.task_client import TaskClient
from novaflow_core.errors import Code, NovaflowError

SCORER_VARIABLE = "NOVAFLOW_SCORER_DOMAIN"


def run_in_cell(
    goal: Goal,
    arguments: dict[str, object],
    folder: Path,
    interrupts: Interrupts,
    *,
    wait_s: float,
    timeout_s: float,
) -> tuple[RunRecord, dict[str, Any]]:
    """Start a cell, send the goal, ask the scorer, stop the cell.

    Args:
        goal: What to ask for.
        arguments: Of the launch file, with `task` and `seed`.
        folder: Of the run; gets everything.
        interrupts: Ctrl-C.
        wait_s: For the graph [s].
        timeout_s: For the goal [s].

    Returns:
        What happened, and the same as plain values with `scored` (None where the scorer was not
        asked or did not answer), `agree` and `scorer` added; they are also in the folder.
    """
    score: Score | None = None
    with free_domains(2) as (domain, scorer_domain):
        variables = {"ROS_DOMAIN_ID": str(domain), SCORER_VARIABLE: str(scorer_domain)}
        graph = LaunchedGraph("franka", {"approve": False, **arguments}, variables, folder / LOG)
        with graph, TaskClient(domain) as client:
            try:
                await_graph(client, graph, interrupts, wait_s, plan_only=False)
                record = send(client, goal, interrupts, folder=folder, timeout_s=timeout_s)
                score = _score(record, scorer_domain)
            except NovaflowError as error:
                record = failed(goal, folder, error)
    scored = None if score is None else score.success
    values = as_json(record) | {
        "task": arguments.get("task"),
        "scored": scored,
        "agree": None if scored is None else scored == record.success,
        "scorer": {} if score is None else score.details,
    }
    if record.folder is not None:
        write_json(record.folder / OUTCOME, values)
    return record, values


def _score(record: RunRecord, domain: int) -> Score | None:
    """Ask the scorer, unless the user is in a hurry to leave."""
    if record.code == Code.CANCELLED:
        return None
    try:
        return ask_scorer(domain)
    except NovaflowError as error:
        print(f"the scorer did not answer: {error}", flush=True)
        return None
