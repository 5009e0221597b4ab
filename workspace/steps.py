"""Steps that are done once: a stamp is written after success, so an interruption costs one step."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from workspace.layout import ROOT, STATE
from workspace.problems import SetupError

QUIET_S = 2.0
REPORT_EVERY_S = 10.0
SHOWN_LINES = 25


@dataclass(frozen=True)
class Step:
    """Something to do once.

    Attributes:
        name: Of its stamp.
        title: What the user reads.
        inputs: What it depends on; it is done again when this changes.
        action: Does it.
    """

    name: str
    title: str
    inputs: str
    action: Callable[[], None]


def carry_out(steps: Sequence[Step]) -> bool:
    """Do the steps that are not done; a step that is done makes all later ones outdated.

    Returns:
        Whether anything was done.
    """
    key, worked = "", False
    for number, step in enumerate(steps, 1):
        key = hashlib.sha256(f"{key}\n{step.name}\n{step.inputs}".encode()).hexdigest()
        stamp = STATE / f"{step.name}.done"
        if stamp.is_file() and stamp.read_text() == key:
            continue
        worked = True
        began = time.monotonic()
        print(f"[{number}/{len(steps)}] {step.title} ...", flush=True)
        stamp.unlink(missing_ok=True)
        step.action()
        STATE.mkdir(parents=True, exist_ok=True)
        stamp.write_text(key)
        print(f"[{number}/{len(steps)}] done in {time.monotonic() - began:.0f} s", flush=True)
    return worked


def digest(paths: Iterable[Path]) -> str:
    """Hash of names and contents of files."""
    total = hashlib.sha256()
    for path in sorted(paths):
        total.update(str(path.relative_to(ROOT)).encode())
        total.update(path.read_bytes())
    return total.hexdigest()


def run(command: Sequence[str], log: str, variables: Mapping[str, str] | None = None) -> None:
    """Run a program with its output in a log, and show from time to time how far it is.

    Raises:
        SetupError: If it fails, with the end of its output.
    """
    path = ROOT / "log" / "setup" / f"{log}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    (ROOT / "log" / "COLCON_IGNORE").touch()
    began = shown = time.monotonic()
    with path.open("w") as stream:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=None if variables is None else dict(variables),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
        try:
            while process.poll() is None:
                time.sleep(0.1)
                if time.monotonic() - shown > (QUIET_S if shown == began else REPORT_EVERY_S):
                    shown = time.monotonic()
                    print(f"      {shown - began:4.0f} s  {_last_line(path)}", flush=True)
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if process.returncode:
        end = "\n".join(path.read_text(errors="replace").splitlines()[-SHOWN_LINES:])
        raise SetupError(
            f"{end}\n\n`{' '.join(command[:4])} ...` failed with status {process.returncode}; "
            f"all of its output: {path}\nRun the same command again to go on here."
        )


def retry(action: Callable[[], None], waits_s: Sequence[float] = (5.0, 20.0)) -> None:
    """Do something that depends on the network, again after each wait."""
    for wait_s in waits_s:
        try:
            action()
            return
        except SetupError as problem:
            print(f"{problem}\nTrying again in {wait_s:.0f} s.", file=sys.stderr, flush=True)
            time.sleep(wait_s)
    action()


def _last_line(path: Path) -> str:
    with path.open("rb") as stream:
        stream.seek(0, 2)
        stream.seek(max(0, stream.tell() - 2000))
        lines = stream.read().decode(errors="replace").replace("\r", "\n").split("\n")
    line = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return line[:90]
