"""Runs processes: their output, their return, and their end together."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence

from novaflow_bringup.standin_launch.nodes import ProcessStart

# As `ros2 launch` does: ask, insist, end.
ESCALATION = ((signal.SIGINT, 5.0), (signal.SIGTERM, 5.0), (signal.SIGKILL, 2.0))
_PR_SET_PDEATHSIG = 1
_LONGEST_LINE = 1 << 20
_EXIT_POLL_S = 0.02


class Supervisor:
    """Starts processes, starts them again where they ask for it, and stops them all."""

    def __init__(
        self,
        starts: Sequence[ProcessStart],
        say: Callable[[str], None] = lambda line: print(line, flush=True),
        escalation: Sequence[tuple[signal.Signals, float]] = ESCALATION,
    ) -> None:
        """Keep what is to run."""
        self._starts, self._say, self._escalation = list(starts), say, escalation
        self._live: dict[asyncio.subprocess.Process, str] = {}
        self._ended = asyncio.Event()
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()
        self._failed = False

    async def run(self) -> int:
        """Run until all processes have ended, or until SIGINT or SIGTERM and then their end.

        Returns:
            1 when a process could not be started or ended by itself with an error, otherwise 0.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.stop)
        keepers = [asyncio.create_task(self._keep(start)) for start in self._starts]
        stopper = asyncio.create_task(self._stop_all())
        try:
            await asyncio.gather(*keepers)
        finally:
            self._stopping.set()
            await stopper
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)
        return int(self._failed)

    def stop(self) -> None:
        """End all processes; said twice, do not wait for them to end themselves."""
        if self._stopping.is_set():
            self._hurry.set()
        self._stopping.set()

    async def _keep(self, start: ProcessStart) -> None:
        while not self._stopping.is_set():
            status = await self._run_once(start)
            if self._stopping.is_set():
                return
            if not start.respawn:
                self._failed = self._failed or status != 0
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), start.respawn_delay_s)

    async def _run_once(self, start: ProcessStart) -> int:
        try:
            process = await asyncio.create_subprocess_exec(
                *start.command,
                cwd=start.cwd,
                env=start.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                # A group, or Ctrl-C would arrive twice. Not a session: Linux divides the cores
                # between sessions first (docs/decisions/one-session.md).
                process_group=0,
                preexec_fn=_end_with_parent if sys.platform == "linux" else None,
                limit=_LONGEST_LINE,
            )
        except OSError as error:
            self._say(f"[ERROR] [{start.label}]: cannot start: {error}")
            return 1
        self._live[process] = start.label
        self._say(f"[INFO] [{start.label}]: process started with pid [{process.pid}]")
        await self._print_lines(process, start.label)
        status = await _exit_of(process)
        del self._live[process]
        self._ended.set()
        # What it started itself shall not outlive it.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        if status == 0:
            self._say(f"[INFO] [{start.label}]: process has finished cleanly [pid {process.pid}]")
        elif not self._stopping.is_set():
            self._say(
                f"[ERROR] [{start.label}]: process has died [pid {process.pid}, "
                f"exit code {status}, cmd '{' '.join(start.command)}']"
            )
        return status

    async def _print_lines(self, process: asyncio.subprocess.Process, label: str) -> None:
        """Pass the output on, until it ends or the process has ended and someone else holds it."""
        assert process.stdout is not None
        over = asyncio.create_task(_exit_of(process))
        while True:
            reading = asyncio.ensure_future(process.stdout.readline())
            await asyncio.wait({reading, over}, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                await asyncio.wait({reading}, timeout=0.5)
            if not reading.done():
                reading.cancel()
                return
            try:
                line = reading.result()
            except ValueError:
                self._say(f"[{label}] (a line longer than {_LONGEST_LINE} bytes was left out)")
                continue
            if not line:
                await over
                return
            self._say(f"[{label}] {line.decode(errors='replace').rstrip()}")

    async def _stop_all(self) -> None:
        await self._stopping.wait()
        for number, patience_s in self._escalation:
            if not self._live:
                return
            for process, label in list(self._live.items()):
                self._say(f"[INFO] [{label}]: sending {number.name} to pid [{process.pid}]")
                with contextlib.suppress(ProcessLookupError):
                    if number == signal.SIGKILL:
                        os.killpg(process.pid, number)
                    else:
                        process.send_signal(number)
            await self._wait_for_all(patience_s)

    async def _wait_for_all(self, patience_s: float) -> None:
        end = asyncio.get_running_loop().time() + patience_s
        while self._live and not self._hurry.is_set():
            left_s = end - asyncio.get_running_loop().time()
            if left_s <= 0:
                return
            self._ended.clear()
            waits = [
                asyncio.create_task(self._ended.wait()),
                asyncio.create_task(self._hurry.wait()),
            ]
            await asyncio.wait(waits, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()
        self._hurry.clear()


async def _exit_of(process: asyncio.subprocess.Process) -> int:
    """Wait for the process alone; `Process.wait` also waits for its children to close stdout."""
    while process.returncode is None:
        await asyncio.sleep(_EXIT_POLL_S)
    return process.returncode


def _end_with_parent() -> None:
    """Ask the kernel for SIGTERM when the launcher dies, even by SIGKILL; runs in the child."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
