"""What every model of torch needs: its libraries, a device, and weights by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from novaflow_core.errors import Code, PlatformError


def libraries(backend: str) -> tuple[Any, Any]:
    """Return torch and transformers for a backend; they are imported here and not before.

    Raises:
        PlatformError: UNAVAILABLE, naming the command that installs them.
    """
    try:
        import torch
        import transformers
    except ImportError as error:
        raise PlatformError(
            Code.UNAVAILABLE,
            f"backend '{backend}' needs a library ({error}); "
            "install it with `./novaflow setup --with torch`",
        ) from error
    return torch, transformers


def device_named(torch: Any, parameter: str, name: str) -> Any:
    """Return the device that a parameter names.

    Raises:
        PlatformError: INVALID_SETTING for another kind of device, UNAVAILABLE for one that is not
            there.
    """
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cuda", "cpu"):
        raise PlatformError(
            Code.INVALID_SETTING, f"{parameter} is '{name}'; allowed: cuda, cuda:N, cpu"
        )
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device.type == "cuda" and (device.index or 0) >= found:
        raise PlatformError(
            Code.UNAVAILABLE,
            f"{parameter} is '{name}', but torch {torch.__version__} sees {found} CUDA "
            f"devices; {parameter}:=cpu needs none",
        )
    return device


def loaded(parameter: str, name: str, load: Callable[[], Any]) -> Any:
    """Return what `load` makes of the id or folder that a parameter names.

    Raises:
        PlatformError: UNAVAILABLE, in the library's words.
    """
    try:
        return load()
    except (OSError, ValueError, RuntimeError) as error:
        said = " ".join(str(error).split())[:300]
        raise PlatformError(
            Code.UNAVAILABLE, f"{parameter}: '{name}' cannot be loaded ({said})"
        ) from error
