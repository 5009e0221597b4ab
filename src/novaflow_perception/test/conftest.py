"""Makes the test package's own modules importable."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"  # read where the hub's client is imported
HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
REPOSITORY = HERE.parents[2]


@pytest.fixture(scope="session")
def real_views():
    """Folder of annotated real views; a skip with its reason when it is not there."""
    folder = Path(
        os.environ.get("NOVAFLOW_REAL_RGBD", REPOSITORY.parent / "shared" / "data" / "real_rgbd")
    )
    if not (folder / "instructions.json").is_file():
        pytest.skip(f"no real views at {folder}; set NOVAFLOW_REAL_RGBD")
    return folder
