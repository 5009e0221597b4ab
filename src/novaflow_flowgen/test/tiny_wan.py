"""Models of Wan's architecture with a few thousand random weights, in the layout of the hub."""

from __future__ import annotations

import json

WORDS = "put lift push the a red box cup on static camera moves"


def save_tiny_wan(folder, *, with_goal: bool, seed: int = 0) -> None:
    """Write one: I2V, or FLF2V, whose transformer reads two pictures."""
    import torch
    from diffusers import (
        AutoencoderKLWan,
        UniPCMultistepScheduler,
        WanImageToVideoPipeline,
        WanTransformer3DModel,
    )
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import (
        CLIPImageProcessorPil,
        CLIPVisionConfig,
        CLIPVisionModel,
        PreTrainedTokenizerFast,
        UMT5Config,
        UMT5EncoderModel,
    )

    torch.manual_seed(seed)
    known = {word: i for i, word in enumerate(["<pad>", "</s>", "<unk>", *WORDS.split()])}
    tokens = Tokenizer(models.WordLevel(known, unk_token="<unk>"))
    tokens.pre_tokenizer = pre_tokenizers.Whitespace()
    pipeline = WanImageToVideoPipeline(
        tokenizer=PreTrainedTokenizerFast(
            tokenizer_object=tokens, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
        ),
        text_encoder=UMT5EncoderModel(
            UMT5Config(
                vocab_size=32, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2,
                feed_forward_proj="gated-gelu",
            )
        ),
        image_encoder=CLIPVisionModel(
            CLIPVisionConfig(
                hidden_size=4, num_hidden_layers=2, num_attention_heads=2, image_size=32,
                intermediate_size=8, patch_size=8,
            )
        ),
        image_processor=CLIPImageProcessorPil(
            size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
        ),
        transformer=WanTransformer3DModel(
            patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=12, in_channels=36,
            out_channels=16, text_dim=16, freq_dim=32, ffn_dim=16, num_layers=2,
            cross_attn_norm=True, qk_norm="rms_norm_across_heads", rope_max_seq_len=64,
            image_dim=4, pos_embed_seq_len=2 * (4 * 4 + 1) if with_goal else None,
        ),
        vae=AutoencoderKLWan(
            base_dim=3, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1,
            temperal_downsample=[False, True, True],
        ),
        scheduler=UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
        ),
    )  # fmt: skip
    pipeline.save_pretrained(folder)
    # As the hub's own models name it.
    index = folder / "model_index.json"
    parts = json.loads(index.read_text())
    parts["image_processor"] = ["transformers", "CLIPImageProcessor"]
    index.write_text(json.dumps(parts))
