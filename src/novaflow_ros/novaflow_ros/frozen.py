"""End processes that hang, so that launch starts them again."""

from __future__ import annotations

import os
import signal
from pathlib import Path


def end_frozen(node: str, pid: int) -> bool:
    """Kill a process that fell silent, if it is one of this host and really that node.

    Pids of other hosts mean nothing here, and the kernel gives pids away again; therefore the
    process must be called as the node is, or have been given its name as launch does.

    Args:
        node: Name of the node, e.g. "tracker_node".
        pid: From its last heartbeat.

    Returns:
        Whether it was killed; False when there is no such process (any more).
    """
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        if not any(w == f"__node:={node}" or Path(w).name == node for w in words):
            return False
        os.kill(pid, signal.SIGKILL)
    except OSError:
        return False
    return True
