"""The command line behind `./novaflow`: `demo`, `do`, `up`, `imagine`, `replay`, `bench` ..."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from novaflow_bringup.commands.exit_codes import CANCELLED, PLATFORM, of_code
from novaflow_bringup.commands.launching import cells
from novaflow_bringup.core.cell_tasks import INSTRUCTIONS
from novaflow_core.errors import NovaflowError

EXIT_CODES = (
    "exit codes: 0 success, 1 the task failed, 2 usage, 3 set-up or platform, 130 cancelled"
)

TASKS = tuple(INSTRUCTIONS)
JUDGED_TASKS = ("cup", "insert")  # of which labelled videos can be made


def main(argv: Sequence[str] | None = None) -> int:
    """Carry out one command.

    Returns:
        The exit code.
    """
    options = parser().parse_args(argv)
    try:
        # Imported here: `--help` needs no ROS.
        name = options.command.replace("-", "_")
        command = import_module(f"novaflow_bringup.commands.{name}")
        return int(command.run(options))
    except NovaflowError as error:
        print(f"error: {error}", file=sys.stderr)
        return of_code(error.code)
    except KeyboardInterrupt:
        return CANCELLED
    except ImportError as error:
        print(f"error: {error}; run ./novaflow setup", file=sys.stderr)
        return PLATFORM


def parser() -> argparse.ArgumentParser:
    """Build the parser."""
    out = argparse.ArgumentParser(prog="novaflow", epilog=EXIT_CODES)
    commands = out.add_subparsers(dest="command", required=True, metavar="COMMAND")

    demo = commands.add_parser("demo", help="one sentence moves a simulated Franka")
    demo.add_argument("--task", choices=TASKS, default="cup", help="default: cup")
    demo.add_argument("--no-record", action="store_true", help="write no bag")
    _goal_options(demo, seed=1000)
    _graph_options(demo, wait_s=90.0)

    do = commands.add_parser("do", help="send an instruction to the graph that is up")
    do.add_argument("instruction", help='e.g. "put the cup on the saucer"')
    do.add_argument("--plan-only", action="store_true", help="stop after selection")
    _goal_options(do, seed=-1)
    _waiting_options(do, wait_s=15.0)

    up = commands.add_parser("up", help="start a cell and stay with it", epilog=_cells_text())
    up.add_argument("cell", help="name of a launch file, e.g. franka")
    up.add_argument("arguments", nargs=argparse.REMAINDER, metavar="name:=value | --show-args")

    imagine = commands.add_parser("imagine", help="candidate flows for one RGB-D view; no robot")
    imagine.add_argument("--rgbd", type=Path, required=True, metavar="DIR", help="the view")
    imagine.add_argument("instruction", help='e.g. "lift the red box"')
    _goal_options(imagine, seed=1000)
    _graph_options(imagine, wait_s=60.0)

    replay = commands.add_parser("replay", help="feed a run's bag back; compare the selection")
    replay.add_argument("run", type=Path, metavar="RUN", help="folder of the run")
    replay.add_argument("--json", type=Path, metavar="FILE", help="write the result as JSON")
    _graph_options(replay, wait_s=60.0)

    bench = commands.add_parser("bench", help="how often the tasks succeed, over seeds")
    _bench_options(bench)
    _graph_options(bench, wait_s=90.0)

    judge = commands.add_parser("bench-judge", help="how well the judge tells good videos from bad")
    _judge_options(judge)

    for sub in (demo, do, up, imagine, replay, bench, judge):
        sub.epilog = sub.epilog or EXIT_CODES
    return out


def _bench_options(bench: argparse.ArgumentParser) -> None:
    bench.add_argument(
        "--tasks",
        nargs="+",
        choices=TASKS,
        default=list(TASKS),
        help="default: all",
    )
    bench.add_argument(
        "--seeds", type=_seeds, default=range(1000, 1010), metavar="A:B",
        help="half-open range; default: 1000:1010",
    )  # fmt: skip
    bench.add_argument("--open-loop", action="store_true", help="carry plans out blindly")
    bench.add_argument("--no-judge", action="store_true", help="take the first candidate")
    bench.add_argument("--candidates", type=_count, default=8, help="per goal; default: 8")
    bench.add_argument(
        "--spoiled", type=_natural, default=4, help="of them hallucinated; default: 4"
    )
    bench.add_argument(
        "--imagination",
        choices=("storyboard", "rendered"),
        default="storyboard",
        help="who makes the videos: the product, or an independent renderer; default: storyboard",
    )
    bench.add_argument(
        "--disturb",
        choices=("none", "slip", "push", "obstacle"),
        default="none",
        help="what goes wrong on purpose; default: none",
    )
    bench.add_argument("--out", type=Path, metavar="DIR", help="default: bench among the runs")
    bench.add_argument(
        "--against", type=Path, metavar="DIR", help="another run's folder, to compare with in pairs"
    )
    bench.add_argument("--json", type=Path, metavar="FILE", help="write the counts as JSON")


def _judge_options(judge: argparse.ArgumentParser) -> None:
    judge.add_argument(
        "--tasks", nargs="*", choices=JUDGED_TASKS, default=list(JUDGED_TASKS),
        help="simulated ones; default: both",
    )  # fmt: skip
    judge.add_argument(
        "--seeds", type=_seeds, default=range(1000, 1006), metavar="A:B",
        help="half-open range; default: 1000:1006",
    )  # fmt: skip
    judge.add_argument("--views", type=Path, metavar="DIR", help="annotated RGB-D views")
    judge.add_argument(
        "--instructions", type=_count, default=1, help="of each view, at most; default: 1"
    )
    judge.add_argument("--workers", type=_count, default=2, help="processes; default: 2")
    judge.add_argument(
        "--out", type=Path, metavar="DIR", help="default: bench_judge among the runs"
    )
    judge.add_argument("--json", type=Path, metavar="FILE", help="write the counts as JSON")


def _seeds(text: str) -> range:
    first, colon, last = text.partition(":")
    try:
        seeds = range(int(first), int(last) if colon else int(first) + 1)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not of the form A:B") from None
    if not seeds or seeds[0] < 0:
        raise argparse.ArgumentTypeError(f"'{text}' holds no seeds")
    return seeds


def _goal_options(command: argparse.ArgumentParser, *, seed: int) -> None:
    chosen = "the node chooses" if seed < 0 else str(seed)
    command.add_argument("--candidates", type=_count, default=8, help="imagined; default: 8")
    command.add_argument("--seed", type=int, default=seed, help=f"default: {chosen}")
    command.add_argument(
        "--spoiled", type=_natural, default=0, help="of them hallucinated, to test the judge"
    )
    command.add_argument("--json", type=Path, metavar="FILE", help="write the result as JSON")


def _graph_options(command: argparse.ArgumentParser, *, wait_s: float) -> None:
    _waiting_options(command, wait_s=wait_s)
    command.add_argument(
        "--set",
        dest="arguments",
        action="append",
        default=[],
        type=_assignment,
        metavar="name:=value",
        help="argument of the launch file",
    )


def _waiting_options(command: argparse.ArgumentParser, *, wait_s: float) -> None:
    command.add_argument(
        "--wait", type=float, default=wait_s, help=f"for the graph [s]; default: {wait_s:.0f}"
    )
    command.add_argument(
        "--timeout", type=float, default=900.0, help="for the goal [s]; default: 900"
    )


def _cells_text() -> str:
    try:
        return f"cells: {', '.join(cells())}. {EXIT_CODES}"
    except NovaflowError as error:
        return f"cells: {error.reason}"


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _natural(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("must not be negative")
    return number


def _assignment(text: str) -> str:
    if ":=" not in text:
        raise argparse.ArgumentTypeError(f"'{text}' is not of the form name:=value")
    return text


if __name__ == "__main__":
    sys.exit(main())
