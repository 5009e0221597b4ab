"""Memory of a model, told from headers of files that hold no weights."""

from __future__ import annotations

import json
import struct

import pytest

from novaflow_core.errors import Code, PlatformError, VideoError
from novaflow_flowgen.core.model_memory import (
    GIB,
    ClipSize,
    MemoryNeed,
    need_of,
    refuse_beyond,
    weights_of,
)

MILLIONS = {"transformer": 16400, "text_encoder": 5680, "image_encoder": 632, "vae": 127}
PAPER = ClipSize(41, 1280, 720)
EACH = {"transformer": 2, "vae": 4, "image_encoder": 4}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Headers as of Wan 2.1 with 14 billion parameters, in two files each."""
    top = tmp_path_factory.mktemp("wan")
    for part, millions in MILLIONS.items():
        (top / part).mkdir()
        for i in range(2):
            header = {
                "__metadata__": {"format": "pt"},
                f"w{i}": {"dtype": "BF16", "shape": [millions // 2 + i * (millions % 2), 10**6]},
            }
            text = json.dumps(header).encode()
            (top / part / f"part-{i}.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
    config = {"num_attention_heads": 40, "attention_head_dim": 128, "ffn_dim": 13824}
    (top / "transformer" / "config.json").write_text(json.dumps({**config, "num_layers": 40}))
    (top / "vae" / "config.json").write_text(json.dumps({"base_dim": 96}))
    return top


def test_parameters_are_counted(folder):
    assert weights_of(folder) == {part: n * 10**6 for part, n in MILLIONS.items()}


def test_offloading_needs_less_of_the_device_and_more_of_the_host(folder):
    needs = [need_of(folder, PAPER, EACH, how) for how in ("none", "model", "sequential")]
    weights = (2 * (16400 + 5680) + 4 * (632 + 127)) * 10**6
    assert needs[0].device > weights and needs[0].host == 0
    assert needs[0].device > needs[1].device > needs[2].device > 0
    assert needs[1].host == needs[2].host == weights


def test_larger_clips_need_more(folder):
    small = need_of(folder, ClipSize(41, 832, 480), EACH, "none").device
    short = need_of(folder, ClipSize(21, 1280, 720), EACH, "none").device
    assert max(small, short) < need_of(folder, PAPER, EACH, "none").device


def test_the_refusal_holds_the_numbers():
    fits = MemoryNeed(10 * GIB, 20 * GIB)
    refuse_beyond(fits, "cuda:0", 10 * GIB, 20 * GIB)
    for free, says in (((9, 20), "cuda:0, 9.0 GiB"), ((10, 19), "host, 19.0 GiB")):
        with pytest.raises(VideoError) as error:
            refuse_beyond(fits, "cuda:0", free[0] * GIB, free[1] * GIB)
        assert error.value.code is Code.VIDEO_OUT_OF_MEMORY
        assert says in error.value.reason


@pytest.mark.parametrize("content", [b"", b"\0" * 8, struct.pack("<Q", 2) + b"[]", b"x" * 40])
def test_what_is_no_model_is_told(tmp_path, content):
    with pytest.raises(PlatformError) as error:
        weights_of(tmp_path)
    assert error.value.code is Code.UNAVAILABLE
    for part in ("transformer", "vae"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "weights.safetensors").write_bytes(content)
    with pytest.raises(PlatformError) as error:
        weights_of(tmp_path)
    assert error.value.code is Code.UNAVAILABLE
    assert "weights.safetensors" in error.value.reason
