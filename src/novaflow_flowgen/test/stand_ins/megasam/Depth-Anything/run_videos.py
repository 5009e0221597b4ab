"""Stand-in: disparity of each image, up to factor and shift."""

import argparse
import os
from pathlib import Path

import cv2
import depth_anything  # noqa: F401
import numpy as np
from truth import DEPTH, step_of

parser = argparse.ArgumentParser()
parser.add_argument("--img-path")
parser.add_argument("--outdir")
parser.add_argument("--encoder", default="vitl")
parser.add_argument("--load-from", required=True)
chosen = parser.parse_args()

assert Path(chosen.load_from).read_bytes() == b"depth_anything_vitl14.pth"
os.makedirs(chosen.outdir)
for path in sorted(Path(chosen.img_path).glob("*.png")):
    step = step_of(cv2.imread(str(path))[..., ::-1])
    np.save(Path(chosen.outdir) / f"{path.stem}.npy", np.float32(30.0 / DEPTH[step] + 4.0))
