"""Models of the Hugging Face hub: a folder on this machine for an id or a path."""

from __future__ import annotations

from pathlib import Path

from novaflow_core.errors import Code, PlatformError


def model_folder(model: str, parameter: str) -> Path:
    """Return the folder of a model, downloading it where that is allowed.

    `HF_HUB_OFFLINE` forbids it, as everywhere; then only what the cache holds is found.

    Args:
        model: A folder, or an id on the hub.
        parameter: Its name, for errors.

    Raises:
        PlatformError: INVALID_SETTING for an empty or malformed name, UNAVAILABLE when the model is
            neither here nor to be had.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    if not model.strip():
        raise PlatformError(Code.INVALID_SETTING, f"{parameter} is empty; it names an id or folder")
    path = Path(model).expanduser()
    if path.is_dir():
        return path
    try:
        return Path(snapshot_download(model))
    except HFValidationError:
        raise PlatformError(
            Code.INVALID_SETTING, f"{parameter}: '{model}' is neither a folder nor an id on the hub"
        ) from None
    except OSError as error:
        raise PlatformError(
            Code.UNAVAILABLE,
            f"{parameter}: '{model}' is not on this machine and was not downloaded "
            f"({type(error).__name__}; HF_HUB_OFFLINE=1 forbids it)",
        ) from None
