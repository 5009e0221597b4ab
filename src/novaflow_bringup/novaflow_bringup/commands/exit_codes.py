"""What the shell is told."""

from __future__ import annotations

from novaflow_bringup.core.run_record import RunRecord
from novaflow_core.errors import Code

SUCCESS, FAILED, USAGE, PLATFORM, CANCELLED = 0, 1, 2, 3, 130
PLATFORM_BAND = 9


def exit_code(record: RunRecord) -> int:
    """Exit code of a run by the product's own verdict."""
    if record.verdict() != "failed":
        return SUCCESS
    return of_code(record.code)


def of_code(code: Code) -> int:
    """Exit code of a failure."""
    if code == Code.CANCELLED:
        return CANCELLED
    return PLATFORM if int(code) // 100 == PLATFORM_BAND else FAILED
