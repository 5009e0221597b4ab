"""Stand-in: depth and the camera's way in a unit of its own, in a world of its own."""

import argparse
import os
import sys
import time
from pathlib import Path

import cv2
import droid  # noqa: F401
import numpy as np
from truth import POSES, depth_seen_at

parser = argparse.ArgumentParser()
parser.add_argument("--datapath")
parser.add_argument("--weights")
parser.add_argument("--scene_name")
parser.add_argument("--mono_depth_path")
parser.add_argument("--metric_depth_path")
parser.add_argument("--disable_vis", action="store_true")
is_copy = (Path(__file__).parents[1] / "inference.py").is_file()
if is_copy:
    parser.add_argument("--fov_x", required=True)
chosen = parser.parse_args()

trouble = os.environ.get("NOVAFLOW_STAND_IN_TROUBLE", "")
if trouble == "fails":
    raise RuntimeError("CUDA out of memory")
if trouble:  # a file to tell one's id in
    Path(trouble).write_text(str(os.getpid()))
    time.sleep(120.0)
assert Path(chosen.weights).read_bytes() == b"megasam_final.pth"
images = sorted(Path(chosen.datapath).glob("*.png"))
relative = sorted((Path(chosen.mono_depth_path) / chosen.scene_name).glob("*.npy"))
metric = sorted((Path(chosen.metric_depth_path) / chosen.scene_name).glob("*.npz"))
if not len(images) == len(relative) == len(metric):
    sys.exit(f"{len(images)} images, {len(relative)} and {len(metric)} files of depth")
view_deg = float(np.median([np.load(path)["fov"] for path in metric]))
if is_copy:
    view_deg = float(chosen.fov_x)

disparity = np.stack([np.load(path) for path in relative])
real = 1.0 / np.stack([np.load(path)["depth"] for path in metric])
factor, shift = np.polyfit(disparity.ravel(), real.ravel(), 1)
unit = float(np.percentile(factor * disparity + shift, 98) / 2.0)
poses = np.linalg.inv([[0, -1, 0, 5], [1, 0, 0, 6], [0, 0, 1, 7], [0, 0, 0, 1]]) @ POSES
poses[:, :3, 3] *= 1.2 * unit

disparities = []
for step, image in enumerate(images):
    height, width = cv2.imread(str(image)).shape[:2]
    ratio = np.sqrt(384 * 512 / (height * width))
    h, w = int(height * ratio), int(width * ratio)
    if is_copy:
        h, w = h - h % 8, w - w % 8
    depth = 1.2 * unit * depth_seen_at(step, view_deg)
    small = cv2.resize(depth, (w, h), interpolation=cv2.INTER_NEAREST_EXACT)
    disparities.append(1.0 / small[: h - h % 8, : w - w % 8])
folder = Path("reconstructions") / chosen.scene_name
os.makedirs(folder)
np.save(folder / "disps.npy", np.stack(disparities))
np.save(folder / "poses.npy", np.linalg.inv(poses))  # of the world in each camera
