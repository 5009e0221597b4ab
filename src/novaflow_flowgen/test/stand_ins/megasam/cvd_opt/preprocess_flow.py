"""Stand-in: says that it was here."""

import argparse
import os
from pathlib import Path

import raft  # noqa: F401

parser = argparse.ArgumentParser()
parser.add_argument("--datapath")
parser.add_argument("--model")
parser.add_argument("--scene_name")
parser.add_argument("--mixed_precision", action="store_true")
chosen = parser.parse_args()

assert Path(chosen.model).read_bytes() == b"raft-things.pth"
assert list(Path(chosen.datapath).glob("*.png"))
os.makedirs(f"cache_flow/{chosen.scene_name}")
