"""`novaflow do "INSTRUCTION"`: send a goal to the graph that is up."""

from __future__ import annotations

import argparse

from novaflow_bringup.commands.exit_codes import exit_code
from novaflow_bringup.commands.interrupts import Interrupts
from novaflow_bringup.commands.progress import ending, waiting_line
from novaflow_bringup.commands.session import as_json, deliver, failed, send
from novaflow_bringup.core.run_record import Goal
from novaflow_bringup.ros.task_client import TaskClient
from novaflow_core.errors import NovaflowError


def run(options: argparse.Namespace) -> int:
    """Send one goal and stay until it has ended."""
    goal = Goal(
        options.instruction, options.candidates, options.seed, options.spoiled, options.plan_only
    )
    with Interrupts() as interrupts, TaskClient() as client:
        try:
            client.wait_ready(
                options.wait,
                plan_only=goal.plan_only,
                should_stop=interrupts.stop,
                on_wait=waiting_line,
            )
        except NovaflowError as error:
            record = failed(goal, None, error)
        else:
            record = send(client, goal, interrupts, timeout_s=options.timeout)
    ending(record)
    deliver(as_json(record), options.json)
    return exit_code(record)
