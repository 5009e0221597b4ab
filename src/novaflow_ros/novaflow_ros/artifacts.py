"""Files that messages point to: URIs and hashes instead of contents."""

from __future__ import annotations

import hashlib
from pathlib import Path
from urllib.parse import unquote, urlparse

from novaflow_core.errors import Code, PlatformError


def to_uri(path: Path) -> str:
    """Return the file:// URI of a path."""
    return path.resolve().as_uri()


def to_path(uri: str) -> Path:
    """Return the path of a file:// URI; a plain path is taken as it is.

    Raises:
        PlatformError: INVALID_MESSAGE for other schemes or an empty URI.
    """
    parts = urlparse(uri)
    if not uri or parts.scheme not in ("", "file"):
        raise PlatformError(Code.INVALID_MESSAGE, f"'{uri}' is not a file:// URI")
    return Path(unquote(parts.path))


def sha256(path: Path) -> str:
    """Return the lower-case hex SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
