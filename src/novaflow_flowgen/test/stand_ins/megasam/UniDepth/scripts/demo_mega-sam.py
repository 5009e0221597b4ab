"""Stand-in: metric depth of each image, and a wrong guess of the angle of view."""

import argparse
import os
from pathlib import Path

import cv2
import numpy as np
import unidepth  # noqa: F401
from truth import DEPTH, step_of

parser = argparse.ArgumentParser()
parser.add_argument("--img-path")
parser.add_argument("--outdir")
parser.add_argument("--scene-name")
chosen = parser.parse_args()

folder = Path(chosen.outdir) / chosen.scene_name
os.makedirs(folder)
for path in sorted(Path(chosen.img_path).glob("*.png")):
    step = step_of(cv2.imread(str(path))[..., ::-1])
    np.savez(folder / f"{path.stem}.npz", depth=np.float32(1.2 * DEPTH[step]), fov=80.0)
