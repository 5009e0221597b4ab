"""Where things are."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STATE = VENV / "novaflow"
INSTALL = ROOT / "install"
FALLBACKS = ("tf2_msgs", "control_msgs")
DDS_PROFILE = ROOT / "src" / "novaflow_bringup" / "config" / "fastdds_local.xml"
