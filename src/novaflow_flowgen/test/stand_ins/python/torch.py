"""The few names of PyTorch that the wrappers use, over NumPy, strict about where a tensor lies."""

import os
from types import SimpleNamespace

import numpy as np

__version__ = "0.stand-in"
float16, bfloat16, float32 = "float16", "bfloat16", "float32"
cuda = SimpleNamespace(is_available=lambda: os.environ.get("NOVAFLOW_STAND_IN_GPU") == "1")
precision = [float32]  # of the innermost autocast


class Tensor:
    def __init__(self, array, device="cpu"):
        self.array, self.device, self.shape = array, device, array.shape

    def to(self, device):
        return Tensor(self.array, device)

    def cpu(self):
        return self.to("cpu")

    def float(self):
        return Tensor(self.array.astype(np.float32), self.device)

    def numpy(self):
        if self.device != "cpu":
            raise TypeError("a tensor on a GPU has no NumPy array")
        return self.array


def from_numpy(array):
    if not isinstance(array, np.ndarray) or any(step < 0 for step in array.strides):
        raise TypeError("no array, or one with negative strides")
    return Tensor(array)


class autocast:
    def __init__(self, device_type, dtype):
        if device_type != "cuda":
            raise ValueError(device_type)
        self.dtype = dtype

    def __enter__(self):
        precision.append(self.dtype)

    def __exit__(self, *_):
        precision.pop()
