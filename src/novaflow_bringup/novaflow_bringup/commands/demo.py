"""`novaflow demo`: the simulated cell, one sentence, and whether the scorer agrees."""

from __future__ import annotations

import argparse

from novaflow_bringup.commands.cell_run import run_in_cell
from novaflow_bringup.commands.exit_codes import CANCELLED, FAILED, SUCCESS, exit_code
from novaflow_bringup.commands.interrupts import Interrupts
from novaflow_bringup.commands.progress import ending
from novaflow_bringup.commands.session import deliver, new_run
from novaflow_bringup.core.cell_tasks import INSTRUCTIONS
from novaflow_bringup.core.run_record import Goal


def run(options: argparse.Namespace) -> int:
    """Run one task from start to teardown."""
    goal = Goal(INSTRUCTIONS[options.task], options.candidates, options.seed, options.spoiled)
    folder = new_run()
    print(f"run folder: {folder}", flush=True)
    arguments: dict[str, object] = {
        "task": options.task,
        "seed": options.seed,
        "record": not options.no_record,
        **dict(word.split(":=", 1) for word in options.arguments),
    }
    with Interrupts() as interrupts:
        record, values = run_in_cell(
            goal, arguments, folder, interrupts, wait_s=options.wait, timeout_s=options.timeout
        )
    ending(record)
    deliver(values, options.json)
    if values["scored"] is not None:
        told = "agrees" if values["agree"] else "DISAGREES"
        print(
            f"scorer: {'success' if values['scored'] else 'no success'} ({told} with the product)"
        )
    if record.success:
        return SUCCESS if values["scored"] else FAILED
    code = exit_code(record)
    return code if code != SUCCESS else CANCELLED
