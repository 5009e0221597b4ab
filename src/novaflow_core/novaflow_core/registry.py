"""Backends by name, so that a third party can add one.

A package registers a backend as an entry point in the group `novaflow.<stage>`, e.g.
`novaflow.grounding`.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

from novaflow_core.errors import Code, PlatformError


def backend_names(stage: str) -> list[str]:
    """Names of the installed backends of a stage, sorted."""
    return sorted({entry.name for entry in entry_points(group=f"novaflow.{stage}")})


def load_backend(stage: str, name: str) -> Any:
    """Return the factory that is registered under a name; it is imported here and not before.

    Raises:
        PlatformError: UNKNOWN_BACKEND, listing the names that exist.
    """
    for entry in entry_points(group=f"novaflow.{stage}"):
        if entry.name == name:
            return entry.load()
    raise PlatformError(
        Code.UNKNOWN_BACKEND,
        f"no {stage} backend is called '{name}'; installed: {', '.join(backend_names(stage))}",
    )
