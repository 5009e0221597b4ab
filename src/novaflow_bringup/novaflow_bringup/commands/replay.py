"""`novaflow replay RUN`: feed a run's sensors and goal back, and compare the choice."""

from __future__ import annotations

import argparse

from novaflow_bringup.commands.exit_codes import FAILED, SUCCESS, exit_code
from novaflow_bringup.commands.interrupts import Interrupts
from novaflow_bringup.commands.launching import LaunchedGraph
from novaflow_bringup.commands.progress import StageLines, ending
from novaflow_bringup.commands.session import LOG, as_json, await_graph, deliver, failed
from novaflow_bringup.core.comparison import Comparison
from novaflow_bringup.core.domains import free_domains
from novaflow_bringup.ros.recorded_run import read_run
from novaflow_bringup.ros.replayed_goal import replay_goal
from novaflow_bringup.ros.task_client import TaskClient
from novaflow_core.errors import NovaflowError


def run(options: argparse.Namespace) -> int:
    """Replay one run."""
    folder = options.run.expanduser().resolve()
    recorded = read_run(folder)
    print(f'replaying {folder}\n"{recorded.goal.instruction}"', flush=True)
    found: Comparison | None = None
    with Interrupts() as interrupts, free_domains(1) as (domain,):
        graph = LaunchedGraph(
            "replay",
            {
                "run": folder,
                "send_goal": False,
                **dict(word.split(":=", 1) for word in options.arguments),
            },
            {"ROS_DOMAIN_ID": str(domain)},
            folder / f"replay_{LOG}",
        )
        with graph, TaskClient(domain) as client:
            try:
                await_graph(client, graph, interrupts, options.wait, plan_only=True)
                record, found = replay_goal(
                    client,
                    recorded,
                    timeout_s=options.timeout,
                    on_stage=StageLines(),
                    should_cancel=interrupts.stop,
                    should_leave=interrupts.leave,
                )
            except NovaflowError as error:
                record = failed(recorded.goal, None, error)
    ending(record)
    values = as_json(record) | {"replay": found.to_json() if found else None}
    deliver(values, options.json)
    if found is None:
        return exit_code(record)
    distance = found.flow_distance_m
    apart = "" if distance is None else f", flows {1e3 * distance:.1f} mm apart"
    same = "same selection" if found.same else "ANOTHER SELECTION"
    print(f"{same}: recorded {found.recorded}, replayed {found.replayed}{apart}")
    return SUCCESS if found.same else FAILED
