"""Definitions of message types for bags: from rosbags' store, else from the ament index."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from rosbags.interfaces import Nodetype
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from novaflow_core.errors import Code, PlatformError


def new_typestore() -> Any:
    """Return a store of the message types that every ROS 2 has."""
    return get_typestore(Stores.ROS2_KILTED)


def register(store: Any, name: str) -> None:
    """Make a type, e.g. "novaflow_msgs/msg/Heartbeat", and all in it known to the store.

    Raises:
        PlatformError: INVALID_MESSAGE when the ament index does not know it either.
    """
    if name in store.fielddefs:
        return
    package, kind, short = name.split("/")
    try:
        source = Path(get_package_share_directory(package)) / kind / f"{short}.msg"
        types = get_types_from_msg(source.read_text(encoding="utf-8"), name)
    except (PackageNotFoundError, OSError) as error:
        raise PlatformError(
            Code.INVALID_MESSAGE, f"the definition of {name} is not installed: {error}"
        ) from error
    for _constants, fields in types.values():
        for _field, description in fields:
            for inner in _names_in(description):
                register(store, inner)
    store.register(types)


def message_class(name: str) -> Any:
    """Return the Python class of a type, e.g. "novaflow_msgs/msg/Heartbeat".

    Raises:
        PlatformError: INVALID_MESSAGE when it is not installed.
    """
    package, kind, short = name.split("/")
    try:
        return getattr(importlib.import_module(f"{package}.{kind}"), short)
    except (ImportError, AttributeError) as error:
        raise PlatformError(Code.INVALID_MESSAGE, f"{name} is not installed: {error}") from error


def _names_in(description: Any) -> list[str]:
    """Names of the message types in a field's description."""
    kind, value = description
    if kind == Nodetype.NAME:
        return [value]
    return _names_in(value[0]) if kind in (Nodetype.ARRAY, Nodetype.SEQUENCE) else []
