"""What the stand-ins know of the film."""

import os

import numpy as np

_TRUTH = np.load(os.environ["NOVAFLOW_STAND_IN_TRUTH"])
FRAMES, DEPTH = _TRUTH["frames"], _TRUTH["depth"]
POSES, INTRINSICS = _TRUTH["T_world_camera"], _TRUTH["intrinsics"]
FOCAL_PX = float(INTRINSICS[0, 0])


def step_of(image):
    """Step whose frame this RGB image (H, W, 3) of 0..255 is, in size and colours."""
    coarse = np.abs(FRAMES[:, ::8, ::8] - image[::8, ::8].astype(float)).mean(axis=(1, 2, 3))
    step = int(np.argmin(coarse))
    off = np.abs(image.astype(float) - FRAMES[step]).mean()
    if off > 0.6:
        raise ValueError(f"an image like none of the film: {off:.1f} grey levels off")
    return step


def depth_seen_at(step, view_deg):
    """Depth [m] of a step; an angle of view that is not the camera's moves and bends it."""
    focal = FRAMES.shape[2] / (2 * np.tan(np.radians(view_deg) / 2))
    return DEPTH[step] ** (focal / FOCAL_PX)
