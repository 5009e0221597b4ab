"""A pytest plugin of `./novaflow test`: graph tests get a second try, and the summary says so."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Try a failed graph test once more, visibly: its processes share a noisy machine."""
    for item in items:
        if item.get_closest_marker("graph"):
            item.add_marker(pytest.mark.flaky(reruns=1))
