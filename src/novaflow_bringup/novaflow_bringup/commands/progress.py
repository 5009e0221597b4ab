"""Lines on the terminal while a goal runs, and what is said at its end."""

from __future__ import annotations

import math
import shutil
import sys
from typing import Any, TextIO

from novaflow_bringup.core.run_record import RunRecord, StageTime

MARKS = {"started": "..", "running": "..", "done": "ok", "failed": "!!"}


class StageLines:
    """One line a stage; on a terminal it is rewritten while the stage runs."""

    def __init__(self, stream: TextIO | None = None) -> None:
        """Write to `stream`; None: standard output as it is when a line comes."""
        self._stream = stream
        self._open = False

    def __call__(self, stage: StageTime, progress: float = math.nan) -> None:
        """Show a stage."""
        stream = self._stream or sys.stdout
        ended = stage.state in ("done", "failed")
        live = stream.isatty()
        if not ended and not live:
            return
        share = "" if math.isnan(progress) else f" {100 * progress:3.0f} %"
        line = (
            f"  [{MARKS[stage.state]}] {stage.stage:<9}{stage.seconds:7.2f} s{share}  {stage.text}"
        )
        if live:
            line = line[: shutil.get_terminal_size().columns - 1]
            stream.write(f"\r\x1b[2K{line}")
            self._open = not ended
            stream.write("\n" if ended else "")
        else:
            stream.write(f"{line}\n")
        stream.flush()


def waiting_line(missing: list[str]) -> None:
    """Say what is awaited."""
    names = ", ".join(item.split(" ", maxsplit=1)[0] for item in missing)
    print(f"  waiting for {names}", flush=True)


def ending(record: RunRecord) -> None:
    """Say how a run ended and where it is."""
    text = f"{record.verdict()}: {record.reason}" if record.reason else record.verdict()
    if record.verdict() == "failed":
        text = f"failed: {record.code.name} ({int(record.code)}): {record.reason}"
    print(text, flush=True)
    if record.folder is not None:
        print(f"run folder: {record.folder}", flush=True)


def candidate_table(values: dict[str, Any]) -> list[str]:
    """Rows of the candidates of an `outcome.json`."""
    rows = [f"  {'candidate':<14}{'lifted':<22}{'score':>6}  judged"]
    for item in values["candidates"]:
        score = item.get("score")
        failed = [gate["name"] for gate in item.get("gates", []) if not gate["passed"]]
        judged = "valid" if item.get("valid") else f"rejected: {', '.join(failed)}"
        mark = "*" if item["id"] == values["chosen"] else " "
        rows.append(
            f"{mark} {item['id']:<14}{item.get('code', ''):<22}"
            f"{'' if score is None else f'{score:.3f}':>6}  {judged if 'valid' in item else ''}"
        )
    return rows
