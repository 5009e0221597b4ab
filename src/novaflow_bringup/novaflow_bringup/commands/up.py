"""`novaflow up CELL`: start a launch file and stay with it."""

from __future__ import annotations

import argparse
import os
import sys

from novaflow_bringup.commands.exit_codes import USAGE
from novaflow_bringup.commands.launching import cells, launch_command


def run(options: argparse.Namespace) -> int:
    """Become the launcher."""
    if options.cell not in cells():
        print(f"no cell '{options.cell}'; there are: {', '.join(cells())}", file=sys.stderr)
        return USAGE
    wrong = [word for word in options.arguments if ":=" not in word and word != "--show-args"]
    if wrong:
        print(f"'{wrong[0]}' is not of the form name:=value", file=sys.stderr)
        return USAGE
    command = [*launch_command(options.cell, {}), *options.arguments]
    sys.stdout.flush()
    os.execv(command[0], command)
