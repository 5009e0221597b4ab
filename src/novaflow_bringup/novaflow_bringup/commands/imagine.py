"""`novaflow imagine --rgbd DIR "INSTRUCTION"`: candidate flows and the choice; no robot."""

from __future__ import annotations

import argparse
import sys

from novaflow_bringup.commands.exit_codes import USAGE, exit_code
from novaflow_bringup.commands.interrupts import Interrupts
from novaflow_bringup.commands.launching import LaunchedGraph
from novaflow_bringup.commands.progress import candidate_table, ending
from novaflow_bringup.commands.session import (
    LOG,
    as_json,
    await_graph,
    deliver,
    failed,
    new_run,
    send,
)
from novaflow_bringup.core.domains import free_domains
from novaflow_bringup.core.run_folder import FLOW_IMAGE
from novaflow_bringup.core.run_record import Goal
from novaflow_bringup.ros.task_client import TaskClient
from novaflow_core.errors import NovaflowError


def run(options: argparse.Namespace) -> int:
    """Imagine one instruction over one view."""
    if not options.rgbd.is_dir():
        print(f"{options.rgbd} is not a folder", file=sys.stderr)
        return USAGE
    goal = Goal(options.instruction, options.candidates, options.seed, options.spoiled, True)
    folder = new_run()
    with Interrupts() as interrupts, free_domains(1) as (domain,):
        graph = LaunchedGraph(
            "imagine",
            {
                "rgbd": options.rgbd.resolve(),
                **dict(word.split(":=", 1) for word in options.arguments),
            },
            {"ROS_DOMAIN_ID": str(domain)},
            folder / LOG,
        )
        with graph, TaskClient(domain) as client:
            try:
                await_graph(client, graph, interrupts, options.wait, plan_only=True)
                record = send(client, goal, interrupts, folder=folder, timeout_s=options.timeout)
            except NovaflowError as error:
                record = failed(goal, folder, error)
    values = as_json(record)
    if values["candidates"]:
        print("\n".join(candidate_table(values)))
        print("  reachability: not checked")
    if (folder / FLOW_IMAGE).exists():
        print(f"flow image: {folder / FLOW_IMAGE}")
    ending(record)
    deliver(values, options.json)
    return exit_code(record)
