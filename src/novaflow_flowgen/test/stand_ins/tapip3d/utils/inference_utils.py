"""Stand-in of TAPIP3D's `utils.inference_utils`: Lucas-Kanade, lifted by the depth it is given."""

from pathlib import Path

import cv2
import numpy as np
import torch

SEQ_LEN = 16


class Model:
    image_size, seq_len, device = (384, 512), SEQ_LEN, "cpu"

    def to(self, device):
        self.device = device
        return self

    def set_image_size(self, image_size):
        self.image_size = image_size


def load_model(checkpoint_path):
    if Path(checkpoint_path).read_bytes() != b"weights":
        raise RuntimeError("invalid magic number")
    return Model()


def resize_depth_bilinear(depth, new_shape):
    if not np.isfinite(depth).all():
        raise ValueError("depth that is no number; 0 stands for unknown")
    return cv2.resize(depth, new_shape, interpolation=cv2.INTER_NEAREST)


def inference(
    *,
    model,
    video,
    depths,
    intrinsics,
    extrinsics,
    query_point,
    num_iters=6,
    grid_size=8,
    bidrectional=True,
    vis_threshold=0.9,
):
    given = (video, depths, intrinsics, extrinsics, query_point)
    if any(tensor.device != model.device for tensor in given):
        raise ValueError("tensors elsewhere than the model")
    if torch.precision[-1] != (torch.bfloat16 if model.device == "cuda" else torch.float32):
        raise ValueError(f"runs in {torch.precision[-1]}")
    colors, depth, K, T_camera_world, queries = (tensor.array for tensor in given)
    steps, _, height, width = colors.shape
    if (height, width) != tuple(model.image_size) or depth.shape != (steps, height, width):
        raise ValueError(f"images {colors.shape}, depth {depth.shape}, model {model.image_size}")
    if steps < SEQ_LEN or not (colors.min() >= 0 and 0.5 < colors.max() <= 1):
        raise ValueError(f"{steps} frames, colours up to {colors.max()}")
    if queries.shape[1:] != (4,) or queries[:, 0].any() or (num_iters, grid_size) != (6, 16):
        raise ValueError(f"queries {queries.shape}, {num_iters} iterations, grid {grid_size}")
    return _track(np.rint(255 * colors).astype(np.uint8), depth, K, T_camera_world, queries[:, 1:])


def _track(colors, depth, K, T_camera_world, queries):
    gray = [cv2.cvtColor(image.transpose(1, 2, 0), cv2.COLOR_RGB2GRAY) for image in colors]
    seen = queries @ T_camera_world[0, :3, :3].T + T_camera_world[0, :3, 3]
    at = seen @ K[0].T
    at = (at[:, :2] / at[:, 2:]).astype(np.float32)
    alive, points, visible = np.ones(len(at), bool), [], []
    for step, image in enumerate(gray):
        if step:
            there, ok, _ = cv2.calcOpticalFlowPyrLK(gray[step - 1], image, at, None)
            back, ok2, _ = cv2.calcOpticalFlowPyrLK(image, gray[step - 1], there, None)
            alive &= (ok[:, 0] & ok2[:, 0] > 0) & (np.linalg.norm(back - at, axis=1) < 0.5)
            at = np.where(alive[:, None], there, at).astype(np.float32)
        u, v = np.clip(np.rint(at).astype(int), 0, np.array(image.shape[::-1]) - 1).T
        z = depth[step, v, u]
        seen = (
            np.concatenate([at, np.ones((len(at), 1))], 1) @ np.linalg.inv(K[step]).T * z[:, None]
        )
        T_world_camera = np.linalg.inv(T_camera_world[step])
        points.append(seen @ T_world_camera[:3, :3].T + T_world_camera[:3, 3])
        visible.append(alive & (z > 0))
    device = "cpu"
    return (
        torch.Tensor(np.stack(points).squeeze(), device),
        torch.Tensor(np.stack(visible).squeeze(), device),
    )
