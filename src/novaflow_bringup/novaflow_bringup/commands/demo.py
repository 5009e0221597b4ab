"""`novaflow demo`: the simulated cell, one sentence, and whether the scorer agrees."""

from __future__ import annotations

import argparse

from novaflow_bringup.commands.exit_codes import CANCELLED, FAILED, SUCCESS, exit_code
from novaflow_bringup.commands.interrupts import Interrupts
from novaflow_bringup.commands.launching import LaunchedGraph
from novaflow_bringup.commands.progress import ending
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
from novaflow_bringup.core.run_folder import OUTCOME, write_json
from novaflow_bringup.core.run_record import Goal, RunRecord
from novaflow_bringup.ros.scorer_client import Score, ask_scorer
from novaflow_bringup.ros.task_client import TaskClient
from novaflow_core.errors import Code, NovaflowError

INSTRUCTIONS = {
    "cup": "put the cup on the saucer",
    "insert": "insert the yellow block into the socket",
}
SCORER_VARIABLE = "NOVAFLOW_SCORER_DOMAIN"


def run(options: argparse.Namespace) -> int:
    """Run one task from start to teardown."""
    goal = Goal(INSTRUCTIONS[options.task], options.candidates, options.seed, options.spoiled)
    folder = new_run()
    print(f"run folder: {folder}", flush=True)
    with Interrupts() as interrupts, free_domains(2) as (domain, scorer_domain):
        graph = LaunchedGraph(
            "franka",
            {
                "task": options.task,
                "seed": options.seed,
                "record": not options.no_record,
                "approve": False,
                **dict(word.split(":=", 1) for word in options.arguments),
            },
            {"ROS_DOMAIN_ID": str(domain), SCORER_VARIABLE: str(scorer_domain)},
            folder / LOG,
        )
        score: Score | None = None
        with graph, TaskClient(domain) as client:
            try:
                await_graph(client, graph, interrupts, options.wait, plan_only=False)
                record = send(client, goal, interrupts, folder=folder, timeout_s=options.timeout)
                score = _score(record, scorer_domain)
            except NovaflowError as error:
                record = failed(goal, folder, error)
    ending(record)
    return _finish(record, score, options)


def _score(record: RunRecord, domain: int) -> Score | None:
    """Ask the scorer, unless the user is in a hurry to leave."""
    if record.code == Code.CANCELLED:
        return None
    try:
        return ask_scorer(domain)
    except NovaflowError as error:
        print(f"the scorer did not answer: {error}", flush=True)
        return None


def _finish(record: RunRecord, score: Score | None, options: argparse.Namespace) -> int:
    scored = None if score is None else score.success
    agree = None if scored is None else scored == record.success
    values = as_json(record) | {
        "task": options.task,
        "scored": scored,
        "agree": agree,
        "scorer": {} if score is None else score.details,
    }
    if record.folder is not None:
        write_json(record.folder / OUTCOME, values)
    deliver(values, options.json)
    if scored is not None:
        told = "agrees" if agree else "DISAGREES"
        print(f"scorer: {'success' if scored else 'no success'} ({told} with the product)")
    if record.success and scored:
        return SUCCESS
    if record.success:
        return FAILED
    code = exit_code(record)
    return code if code != SUCCESS else CANCELLED
