"""Stand-in: what MegaSaM leaves in the end."""

import argparse
import os
from pathlib import Path

import geometry_utils  # noqa: F401
import numpy as np

parser = argparse.ArgumentParser()
parser.add_argument("--w_grad", type=float)
parser.add_argument("--w_normal", type=float)
parser.add_argument("--output_dir", default="outputs_cvd")
parser.add_argument("--scene_name")
chosen = parser.parse_args()

assert Path(f"cache_flow/{chosen.scene_name}").is_dir()
folder = Path("reconstructions") / chosen.scene_name
os.makedirs(chosen.output_dir)
with np.errstate(divide="ignore"):
    depth = np.float16(1.0 / np.load(folder / "disps.npy"))
depth[:, :3] = -1.0  # where the disparity fell below 0
np.savez(
    f"{chosen.output_dir}/{chosen.scene_name}_sgd_cvd_hr.npz",
    images=np.zeros((*depth.shape, 3), np.uint8),
    depths=np.clip(depth, 1e-3, 1e2),
    intrinsic=np.eye(3),
    cam_c2w=np.linalg.inv(np.load(folder / "poses.npy")),
)
