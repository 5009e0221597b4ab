"""The codes of the vocabulary are those of the interface."""

from __future__ import annotations

from novaflow_core.errors import Code
from novaflow_msgs.msg import ErrorCode


def test_codes_equal_the_interface() -> None:
    interface = {
        name: value
        for name in dir(ErrorCode)
        if name.isupper() and isinstance(value := getattr(ErrorCode, name), int)
    }
    assert {code.name: int(code) for code in Code} == interface
