"""What every backend with an optional library checks when it is made."""

from __future__ import annotations

from urllib.parse import urlsplit

from novaflow_core.errors import Code, PlatformError


def missing_library(backend: str, error: ImportError, option: str = "cloud") -> PlatformError:
    """Return the error for a library that is not installed, naming the option that installs it."""
    what = "a client library" if option == "cloud" else "a library"
    return PlatformError(
        Code.UNAVAILABLE,
        f"backend '{backend}' needs {what} ({error}); "
        f"install it with `./novaflow setup --with {option}`",
    )


def check_url(url: str, parameter: str) -> None:
    """Refuse an address that no client can use.

    Raises:
        PlatformError: INVALID_SETTING.
    """
    parts = urlsplit(url)
    if url and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise PlatformError(
            Code.INVALID_SETTING, f"{parameter} must begin with http:// or https:// and a host"
        )
