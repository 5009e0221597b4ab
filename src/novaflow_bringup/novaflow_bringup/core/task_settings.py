"""Parameters of task_node."""

from __future__ import annotations

from dataclasses import dataclass

from novaflow_core.settings import setting


@dataclass(frozen=True)
class TaskSettings:
    """Parameters of task_node."""

    candidates: int = setting(8, "candidates of a goal that names no number", low=1, high=64)
    next_candidates: int = setting(
        1, "further candidates that are tried when no grasp of one holds", low=0, high=8
    )
    runs: str = setting("", "folder for runs; empty: $NOVAFLOW_RUNS, or runs here")
    record: bool = setting(True, "record the graph into each run's bag")
    approve: bool = setting(False, "a person must approve the plan before anything moves")
    approve_timeout: float = setting(120.0, "time to approve a plan", unit="s", low=1, high=3600)
    generate_timeout: float = setting(240.0, "limit of generating", unit="s", low=1, high=7200)
    score_timeout: float = setting(120.0, "limit of scoring", unit="s", low=1, high=3600)
    select_timeout: float = setting(60.0, "limit of selecting", unit="s", low=1, high=3600)
    execute_timeout: float = setting(240.0, "limit of moving", unit="s", low=1, high=3600)
    ready_timeout: float = setting(20.0, "wait for a needed process", unit="s", low=0, high=300)
    silent_timeout: float = setting(
        2.0, "silence of a process that counts as its loss", unit="s", low=0.3, high=60
    )
