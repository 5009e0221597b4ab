"""Settings check themselves."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from novaflow_core.errors import Code, PlatformError
from novaflow_core.settings import build, describe, setting


@dataclass(frozen=True)
class Example:
    """Settings of the test."""

    speed: float = setting(0.5, "of the arm", unit="m/s", low=0.0, high=1.0)
    count: int = setting(8, "of candidates", low=1)
    name: str = setting("klt", "of the backend", choices=("klt", "dis"))
    record: bool = setting(False, "whether to record")
    joints: tuple[str, ...] = setting(("a",), "names")


def test_defaults_and_descriptions() -> None:
    assert build(Example, {}) == Example()
    default, info = describe(Example)["speed"]
    assert (default, info.unit, info.high) == (0.5, "m/s", 1.0)


def test_values_are_taken_with_their_type() -> None:
    made = build(Example, {"speed": 1, "joints": ["b", "c"], "name": "dis", "unknown": 3})
    assert made.speed == 1.0 and isinstance(made.speed, float)
    assert made.joints == ("b", "c")
    assert made.name == "dis"


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"speed": 1.5}, "1.5"),
        ({"speed": "fast"}, "speed"),
        ({"speed": float("nan")}, "speed"),
        ({"count": 0}, "count"),
        ({"count": 2.5}, "count"),
        ({"count": True}, "count"),
        ({"name": "raft"}, "klt, dis"),
        ({"record": 1}, "record"),
    ],
)
def test_what_is_wrong_is_named(values: dict, says: str) -> None:
    with pytest.raises(PlatformError, match=says) as caught:
        build(Example, values)
    assert caught.value.code is Code.INVALID_SETTING
