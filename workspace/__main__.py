"""Chooses the subcommand: sets up what is missing, then hands over to the project's own code."""

from __future__ import annotations

import os
import sys

from workspace import checks, environment, install, manual
from workspace.layout import ROOT
from workspace.problems import SetupError

INTERRUPTED = 130


def main(arguments: list[str]) -> int:
    """Carry out `./novaflow ARGUMENTS`; returns the exit status."""
    command, rest = (arguments[0], arguments[1:]) if arguments else ("--help", [])
    if command in ("-h", "--help", "help"):
        print(manual.overview() if not rest else manual.page(rest[0]))
        return 0
    if command not in manual.PAGES:
        print(f"'{command}' is not a command.\n\n{manual.overview()}", file=sys.stderr)
        return 2
    if "-h" in rest or "--help" in rest:
        print(manual.page(command))
        return 0
    try:
        return _carry_out(command, rest)
    except SetupError as problem:
        print(f"\n{problem}", file=sys.stderr)
        return problem.status
    except KeyboardInterrupt:
        print("\nInterrupted; the same command goes on where this one stopped.", file=sys.stderr)
        return INTERRUPTED


def _carry_out(command: str, rest: list[str]) -> int:
    if command == "setup":
        return install.setup(options=_options(rest), say_ready=True)
    if command == "test":
        install.setup(with_checks=True)
        return checks.run_all(rest)
    if command == "up":
        if not rest:
            print(manual.page("up"), file=sys.stderr)
            return 2
        _require_cell(rest[0])
    install.setup()
    variables = environment.runtime()
    python = variables["NOVAFLOW_VENV_PYTHON"]
    sys.stdout.flush()
    os.execve(python, [python, "-P", "-m", "novaflow_bringup.cli", command, *rest], variables)


def _options(rest: list[str]) -> list[str]:
    """Names after each --with."""
    names = rest[1::2]
    known = ", ".join(install.OPTIONS)
    if any(word != "--with" for word in rest[::2]) or len(names) < len(rest) - len(names):
        raise SetupError(f"setup takes only --with NAME; names: {known}", status=2)
    for name in names:
        if name not in install.OPTIONS:
            raise SetupError(f"there is no option '{name}'; there are: {known}", status=2)
    return names


def _require_cell(name: str) -> None:
    """Find out before the set-up, which takes minutes."""
    known = sorted(p.name.removesuffix(".launch.py") for p in ROOT.glob("launch/*.launch.py"))
    if name not in known:
        raise SetupError(f"there is no cell '{name}'; there are: {', '.join(known)}", status=2)


sys.exit(main(sys.argv[1:]))
