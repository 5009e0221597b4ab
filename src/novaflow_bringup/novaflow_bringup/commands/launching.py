"""Starts a launch file as a child and leaves nothing of it behind."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory

from novaflow_core.errors import Code, PlatformError

PACKAGE = "novaflow_bringup"
MARK = "NOVAFLOW_GRAPH"  # environment variable that every process of one launched graph inherits
POLITE_S = 12.0  # the launcher itself gives its children 5 s after SIGINT and 5 s after SIGTERM
PR_SET_PDEATHSIG = 1


def launch_folder() -> Path:
    """Return where the launch files are installed.

    Raises:
        PlatformError: UNAVAILABLE when the workspace is not built or not sourced.
    """
    try:
        return Path(get_package_share_directory(PACKAGE)) / "launch"
    except PackageNotFoundError as error:
        raise PlatformError(
            Code.UNAVAILABLE, "novaflow_bringup is not installed here; run ./novaflow setup"
        ) from error


def cells() -> list[str]:
    """Names of the launch files that can be started."""
    return sorted(
        path.name.removesuffix(".launch.py") for path in launch_folder().glob("*.launch.py")
    )


def launch_command(cell: str, arguments: Mapping[str, object]) -> list[str]:
    """Return the command that carries out a launch file."""
    words = [f"{name}:={_word(value)}" for name, value in arguments.items()]
    return [
        sys.executable, "-m", f"{PACKAGE}.standin_launch", PACKAGE, f"{cell}.launch.py", *words,
    ]  # fmt: skip


class LaunchedGraph:
    """A launched graph in a process group of its own; the context's end stops it all, and waits."""

    def __init__(
        self, cell: str, arguments: Mapping[str, object], environment: Mapping[str, str], log: Path
    ) -> None:
        """Remember what to start.

        Args:
            cell: Name of the launch file.
            arguments: Of the launch file.
            environment: Added to that of this process.
            log: File for everything that the graph prints.
        """
        self._command = launch_command(cell, arguments)
        self._mark = uuid.uuid4().hex
        self._environment = {**os.environ, **environment, MARK: self._mark}
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> LaunchedGraph:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as stream:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                process_group=0,  # not a session: docs/decisions/one-session.md
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - no thread runs yet
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def ended(self) -> str:
        """Say that the launcher has ended, with its last words; "" while it runs."""
        process = self._process
        if process is None or process.poll() is None:
            return ""
        return f"the launcher ended with status {process.returncode}; {self.last_words()}"

    def last_words(self, lines: int = 5) -> str:
        """Last lines of the log that speak of errors."""
        text = self.log.read_text(errors="replace").splitlines()
        told = [line for line in text if "ERROR" in line or "Error" in line] or text
        return " / ".join(line.strip() for line in told[-lines:])

    def close(self) -> None:
        """Stop the launcher politely, then whatever is left."""
        process = self._process
        if process is None:
            return
        for number, patience_s in ((signal.SIGINT, POLITE_S), (signal.SIGTERM, 3.0)):
            if process.poll() is None:
                process.send_signal(number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(patience_s)
        if process.poll() is None:
            process.kill()
            process.wait()
        for number, patience_s in ((signal.SIGTERM, 1.0), (signal.SIGKILL, 1.0)):
            end = time.monotonic() + patience_s
            if not self._signal_rest(number):
                break
            while self._rest() and time.monotonic() < end:
                time.sleep(0.05)
        self._process = None

    def _signal_rest(self, number: signal.Signals) -> int:
        rest = self._rest()
        for pid in rest:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        return len(rest)

    def _rest(self) -> list[int]:
        """Processes that carry this graph's mark: a launcher that was killed leaves some."""
        mark = f"{MARK}={self._mark}".encode()
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
        return [pid for pid in found if pid != os.getpid()]


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _end_with_parent() -> None:
    """Let the kernel interrupt the launcher when this process dies without saying goodbye."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)
