"""The command: as `ros2 launch`, which it becomes where that is installed."""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence

from novaflow_bringup.standin_launch.actions import (
    DeclareLaunchArgument,
    LaunchDescription,
    load_description,
)
from novaflow_bringup.standin_launch.context import Context
from novaflow_bringup.standin_launch.errors import LaunchError, UnsupportedError
from novaflow_bringup.standin_launch.modules import real_launch_present, register
from novaflow_bringup.standin_launch.substitutions import FindPackageShare
from novaflow_bringup.standin_launch.supervisor import Supervisor


def main(argv: Sequence[str]) -> int:
    """Carry out a launch file.

    Args:
        argv: `[PACKAGE] FILE [name:=value ...] [--show-args]`.

    Returns:
        The exit status: 0, 1 for a failed process, 2 for a faulty file or argument.
    """
    if real_launch_present() and shutil.which("ros2"):
        os.execvp("ros2", ["ros2", "launch", *argv])
    options = _parser().parse_args(argv)
    if options.show_args:
        return _show_arguments(options.what)
    print("[INFO] [launch]: stand-in launcher (ROS 2's launch is not installed)", flush=True)
    with tempfile.TemporaryDirectory(prefix="novaflow_launch_") as folder:
        try:
            context = describe(options.what, folder)
        except (LaunchError, UnsupportedError) as error:
            print(f"[ERROR] [launch]: {error}", file=sys.stderr, flush=True)
            return 2
        return asyncio.run(_supervise(context))


def describe(what: Sequence[str], folder: str) -> Context:
    """Evaluate a launch file without starting anything.

    Args:
        what: `[PACKAGE] FILE [name:=value ...]`.
        folder: For the parameter files of its nodes.

    Raises:
        LaunchError: If the file or an argument is faulty.
        UnsupportedError: If the file needs the real launch.
    """
    values = dict(word.split(":=", 1) for word in what if ":=" in word)
    context = Context(configurations=values, folder=folder)
    _load(what, context).visit(context)
    for name in sorted(set(values) - set(context.declared)):
        known = ", ".join(context.declared)
        raise LaunchError(f"argument '{name}' is not known; known are: {known}")
    return context


def _load(what: Sequence[str], context: Context) -> LaunchDescription:
    if not real_launch_present():
        register()
    path = _find_file(context, [word for word in what if ":=" not in word])
    context.directory = os.path.dirname(path)
    return load_description(path)


def _find_file(context: Context, names: Sequence[str]) -> str:
    if len(names) == 1:
        return os.path.abspath(names[0])
    if len(names) != 2:
        raise LaunchError("say PACKAGE and FILE, or the path of a launch file")
    share = FindPackageShare(names[0]).perform(context)
    for folder in (os.path.join(share, "launch"), share):
        path = os.path.join(folder, names[1])
        if os.path.isfile(path):
            return path
    raise LaunchError(f"package '{names[0]}' has no launch file '{names[1]}'")


async def _supervise(context: Context) -> int:
    return await Supervisor(context.starts).run()


def _show_arguments(what: Sequence[str]) -> int:
    """Print the file's own arguments; nothing else of it is carried out."""
    context = Context()
    try:
        entities = _load(what, context).entities
    except (LaunchError, UnsupportedError) as error:
        print(f"[ERROR] [launch]: {error}", file=sys.stderr, flush=True)
        return 2
    print("Arguments (pass arguments as 'name:=value'):")
    for action in entities:
        if isinstance(action, DeclareLaunchArgument):
            argument = action.argument(context)
            context.configurations.setdefault(argument.name, argument.default or "")
            default = "required" if argument.default is None else f"default: {argument.default}"
            choices = f"; one of: {', '.join(argument.choices)}" if argument.choices else ""
            print(f"\n    {argument.name}:\n        {argument.description} ({default}{choices})")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="novaflow_bringup.standin_launch", description="Carries out a launch file."
    )
    parser.add_argument("what", nargs="+", metavar="[PACKAGE] FILE [name:=value ...]")
    parser.add_argument(
        "-s", "--show-args", action="store_true", help="print the file's arguments and end"
    )
    return parser
