"""How much memory a video model will need, told from its files before anything is loaded.

Weights are counted in the headers of the safetensors files. What is computed beside them is
estimated from the sizes of the networks; the factors are counts of arrays that live at the same
time, rounded up.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from novaflow_core.errors import Code, PlatformError, VideoError

GIB = 2**30
_FLOAT32 = 4  # bytes
_WIDE_ARRAYS = 8  # of a token's width, alive in one block of the transformer
_DECODER_ARRAYS = 6  # of full resolution, alive in the decoder's last block
_DECODED_AT_ONCE = 4  # frames
_LONGEST_HEADER = 100 * 2**20  # bytes


@dataclass(frozen=True)
class ClipSize:
    """What is to be generated.

    Attributes:
        frames: How many.
        width: [px].
        height: [px].
    """

    frames: int
    width: int
    height: int


@dataclass(frozen=True)
class MemoryNeed:
    """What generating one clip needs at most.

    Attributes:
        device: On the device that computes [bytes].
        host: In the machine's own memory, for parts that wait there [bytes].
    """

    device: int
    host: int


def weights_of(folder: Path) -> dict[str, int]:
    """Count the parameters of each part of a model in the layout of diffusers.

    Raises:
        PlatformError: UNAVAILABLE when a file is none, or when there are no weights at all.
    """
    counts = {}
    for part in sorted(path for path in folder.iterdir() if path.is_dir()):
        files = sorted(part.glob("*.safetensors"))
        if files:
            counts[part.name] = sum(_parameters(file) for file in files)
    if "transformer" not in counts or "vae" not in counts:
        raise PlatformError(
            Code.UNAVAILABLE,
            f"{folder} holds no transformer/*.safetensors or no vae/*.safetensors; a model in the "
            "layout of diffusers is needed",
        )
    return counts


def need_of(
    folder: Path, clip: ClipSize, bytes_each: Mapping[str, int], offload: str
) -> MemoryNeed:
    """Estimate the memory for one clip.

    Args:
        folder: The model.
        clip: What is generated.
        bytes_each: Of a parameter, by part; parts that are not named take those of "transformer".
        offload: "none", "model" or "sequential".

    Raises:
        PlatformError: UNAVAILABLE when the folder holds no such model.
    """
    usual = bytes_each["transformer"]
    weights = {
        part: count * bytes_each.get(part, usual) for part, count in weights_of(folder).items()
    }
    total = sum(weights.values())
    transformer = _config(folder / "transformer")
    denoising = _denoising(transformer, clip, usual)
    decoding = _decoding(_config(folder / "vae"), clip)
    if offload == "none":
        return MemoryNeed(total + max(denoising, decoding), 0)
    if offload == "model":
        busy = {"transformer": denoising, "vae": decoding}
        device = max(size + busy.get(part, 0) for part, size in weights.items())
        return MemoryNeed(device, total)
    layers = max(1, _number(transformer, "num_layers", 1))
    return MemoryNeed(
        max(weights["transformer"] // layers + denoising, weights["vae"] + decoding), total
    )


def refuse_beyond(need: MemoryNeed, device: str, free_device: int, free_host: int) -> None:
    """Refuse what would not fit.

    Args:
        need: What is needed.
        device: What the device is called.
        free_device: Free on it [bytes].
        free_host: Free in the machine's own memory [bytes].

    Raises:
        VideoError: VIDEO_OUT_OF_MEMORY, with both numbers and what helps.
    """
    for place, needed, free in ((device, need.device, free_device), ("host", need.host, free_host)):
        if needed > free:
            raise VideoError(
                Code.VIDEO_OUT_OF_MEMORY,
                f"about {needed / GIB:.1f} GiB are needed on {place}, {free / GIB:.1f} GiB are "
                "free; a smaller wan_width and wan_height, wan_offload:=model or sequential, or a "
                "smaller model would need less",
                {"needed_gib": needed / GIB, "free_gib": free / GIB},
            )


def _denoising(config: Mapping[str, object], clip: ClipSize, bytes_each: int) -> int:
    width = _number(config, "num_attention_heads", 40) * _number(config, "attention_head_dim", 128)
    inner = _number(config, "ffn_dim", 4 * width)
    tokens = ((clip.frames - 1) // 4 + 1) * (clip.height // 16) * (clip.width // 16)
    return tokens * (_WIDE_ARRAYS * width + 2 * inner) * bytes_each


def _decoding(config: Mapping[str, object], clip: ClipSize) -> int:
    pixels = clip.width * clip.height
    inside = _DECODER_ARRAYS * _DECODED_AT_ONCE * _number(config, "base_dim", 96) * pixels
    frames = 2 * 3 * clip.frames * pixels  # the decoded clip, and the clip that is joined from it
    return (inside + frames) * _FLOAT32


def _number(config: Mapping[str, object], name: str, default: int) -> int:
    value = config.get(name, default)
    return value if isinstance(value, int) else default


def _config(part: Path) -> dict[str, object]:
    try:
        held = json.loads((part / "config.json").read_text())
    except (OSError, ValueError) as error:
        raise PlatformError(
            Code.UNAVAILABLE, f"{part / 'config.json'} cannot be read ({type(error).__name__})"
        ) from None
    return held if isinstance(held, dict) else {}


def _parameters(file: Path) -> int:
    """Numbers in a safetensors file: 8 bytes with the header's length, then the header as JSON."""
    try:
        with file.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            header = json.loads(stream.read(min(length, _LONGEST_HEADER)))
        shapes = [entry["shape"] for name, entry in header.items() if name != "__metadata__"]
        return sum(math.prod(shape) for shape in shapes)
    except (OSError, ValueError, struct.error, KeyError, TypeError, AttributeError) as error:
        raise PlatformError(
            Code.UNAVAILABLE, f"{file} is no safetensors file ({type(error).__name__})"
        ) from None
