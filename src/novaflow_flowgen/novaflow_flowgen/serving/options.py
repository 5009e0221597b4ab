"""Options of a model's factory: its keyword arguments, given as words on the command line."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any


def read_option(words: str) -> tuple[str, str, str]:
    """Model, name and value of `model.name=value`.

    Raises:
        ValueError: If it is not of that form.
    """
    target, is_given, value = words.partition("=")
    model, _, name = target.partition(".")
    if not (model and name and is_given):
        raise ValueError(f"option '{words}' is not of the form model.name=value")
    return model, name, value


def fit_options(
    model: str, factory: Callable[..., Any], given: Mapping[str, str]
) -> dict[str, Any]:
    """The given words as the factory's keywords: numbers where its default is one, text elsewhere.

    Raises:
        ValueError: For an unknown option, one that is missing, or a value of another type.
    """
    known = inspect.signature(factory).parameters
    for name in given:
        if name not in known:
            raise ValueError(f"'{model}' has no option '{name}'; there are: {', '.join(known)}")
    for name, parameter in known.items():
        if parameter.default is inspect.Parameter.empty and name not in given:
            raise ValueError(f"'{model}' needs --option {model}.{name}=...")
    return {
        name: _read(f"{model}.{name}", text, known[name].default) for name, text in given.items()
    }


def _read(name: str, text: str, default: Any) -> str | int | float:
    if not isinstance(default, int | float):
        return text
    kind = type(default)
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"option {name}={text} is no {kind.__name__}") from None
