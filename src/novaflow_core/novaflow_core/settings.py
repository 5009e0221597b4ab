"""Parameters as a schema: type, default, unit, range, description.

A node's settings are one frozen dataclass whose fields are made with `setting`; `novaflow_ros`
declares them as ROS parameters and builds the dataclass again when the node is configured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, TypeVar

from novaflow_core.errors import Code, PlatformError

Value = bool | int | float | str | Sequence[float] | Sequence[str]
S = TypeVar("S")


@dataclass(frozen=True)
class SettingInfo:
    """What is known of one parameter besides its type and default.

    Attributes:
        description: A sentence.
        unit: e.g. "m"; "" for none.
        low: Smallest allowed number; None for no limit.
        high: Largest allowed number; None for no limit.
        choices: Allowed strings; empty for any.
    """

    description: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()


def setting(
    default: Any,
    description: str,
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """Declare a field of a settings dataclass; lists are given as tuples."""
    return field(
        default=default, metadata={"setting": SettingInfo(description, unit, low, high, choices)}
    )


def describe(settings_type: type) -> dict[str, tuple[Any, SettingInfo]]:
    """Default and description of every parameter, by name."""
    return {
        f.name: (f.default, f.metadata["setting"])
        for f in fields(settings_type)
        if "setting" in f.metadata
    }


def build(settings_type: type[S], values: Mapping[str, Any]) -> S:
    """Make a settings record from values, checking type, range and choices.

    Raises:
        PlatformError: INVALID_SETTING, naming the parameter, its value and what is allowed.
    """
    out: dict[str, Any] = {}
    for f in fields(settings_type):  # type: ignore[arg-type]
        if f.name not in values:
            continue
        out[f.name] = _checked(f.name, values[f.name], f.default, f.metadata["setting"])
    return settings_type(**out)


def _checked(name: str, value: Any, default: Any, info: SettingInfo) -> Any:
    if default is not MISSING and isinstance(default, tuple):
        value = tuple(value)
    elif isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    elif default is not MISSING and (
        not isinstance(value, type(default))
        or isinstance(value, bool) is not isinstance(default, bool)  # True is an int to Python
    ):
        raise PlatformError(
            Code.INVALID_SETTING,
            f"{name} is {value!r}; it must be of type {type(default).__name__}",
        )
    for number in value if isinstance(value, tuple) else (value,):
        if isinstance(number, int | float) and not isinstance(number, bool):
            too_low = info.low is not None and not number >= info.low  # NaN is neither
            too_high = info.high is not None and not number <= info.high
            if too_low or too_high:
                raise PlatformError(
                    Code.INVALID_SETTING,
                    f"{name} is {number} {info.unit}; allowed: {info.low} to {info.high}",
                )
        elif info.choices and number not in info.choices:
            raise PlatformError(
                Code.INVALID_SETTING, f"{name} is {number!r}; allowed: {', '.join(info.choices)}"
            )
    return value
