"""Reaching a model's own code, with words for what is missing."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from novaflow_flowgen.serving.errors import SetupError

CPU = "cpu"


def find_checkout(folder: str, needed: str, where: str) -> Path:
    """The folder of a model's code.

    Args:
        folder: As it was given.
        needed: A file in it, by which it is told.
        where: Its home, for people.

    Raises:
        SetupError: If it holds no such file.
    """
    checkout = Path(folder).expanduser().resolve()
    if not (checkout / needed).is_file():
        raise SetupError(f"{checkout} has no {needed}: it is no checkout of {where}")
    return checkout


def need_file(path: Path, where: str) -> Path:
    """A file that a model needs.

    Raises:
        SetupError: If it is not there, with where to get it.
    """
    if not path.is_file():
        raise SetupError(f"{path} is missing; get it from {where}")
    return path


def load_upstream(module: str, install: str, checkout: Path | None = None) -> Any:
    """Import a module of a model's code.

    Args:
        module: Its name.
        install: What to install if it cannot be imported, for people.
        checkout: Folder that holds it, where it is not installed.

    Raises:
        SetupError: If it, or what it needs, cannot be imported.
    """
    if checkout is not None and str(checkout) not in sys.path:
        sys.path.insert(0, str(checkout))  # its packages have names like `utils`
    try:
        return importlib.import_module(module)
    except (ImportError, OSError) as error:  # a compiled extension may miss a library
        raise SetupError(
            f"{module} cannot be imported ({error}); install {install} "
            f"in the environment of {sys.executable}"
        ) from error


def load_torch(device: str) -> Any:
    """PyTorch, with the device that is wanted.

    Raises:
        SetupError: If it is not installed, or there is no such device.
    """
    torch = load_upstream("torch", "PyTorch")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise SetupError(
            f"PyTorch {torch.__version__} finds no GPU for the device '{device}'; "
            "install a build for CUDA and its driver, or choose another device"
        )
    return torch
