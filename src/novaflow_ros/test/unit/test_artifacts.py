"""Files that messages point to."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from novaflow_core.errors import Code, PlatformError
from novaflow_ros.artifacts import sha256, to_path, to_uri


@pytest.mark.parametrize("name", ["a.mp4", "with space.mp4", "ümlaut#1%.mp4"])
def test_a_path_comes_back(tmp_path: Path, name: str) -> None:
    assert to_path(to_uri(tmp_path / name)) == tmp_path / name


@pytest.mark.parametrize("uri", ["", "http://host/a.mp4"])
def test_others_are_refused(uri: str) -> None:
    with pytest.raises(PlatformError) as caught:
        to_path(uri)
    assert caught.value.code is Code.INVALID_MESSAGE


def test_hash(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(b"flow" * 100_000)
    assert sha256(file) == hashlib.sha256(b"flow" * 100_000).hexdigest()
