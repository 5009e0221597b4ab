"""Stand-in of `moge.model.v2`."""

import numpy as np
import torch


class MoGeModel:
    loaded = 0

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path, model_kwargs=None, **hf_kwargs):
        if pretrained_model_name_or_path == "nobody/nothing":
            raise OSError("404: nobody/nothing")
        MoGeModel.loaded += 1
        return cls()

    def to(self, device):
        self.device = device
        return self

    def eval(self):
        return self

    def infer(
        self,
        image,
        num_tokens=None,
        resolution_level=9,
        force_projection=True,
        apply_mask=True,
        fov_x=None,
        use_fp16=True,
    ):
        from truth import depth_seen_at, step_of

        if MoGeModel.loaded != 1:
            raise RuntimeError(f"loaded {MoGeModel.loaded} times")
        colors = image.array
        if image.device != self.device or colors.dtype != np.float32 or colors.shape[0] != 3:
            raise ValueError(f"{colors.dtype} {colors.shape} on {image.device}")
        if use_fp16 and self.device == "cpu":
            raise ValueError("half precision on a CPU")
        depth = 1.1 * depth_seen_at(step_of(255.0 * colors.transpose(1, 2, 0)), fov_x)
        mask = np.ones(depth.shape, bool)
        mask[:20] = False
        depth = np.where(mask, depth, np.inf).astype(np.float32)
        return {
            "depth": torch.Tensor(depth, self.device),
            "mask": torch.Tensor(mask, self.device),
        }
