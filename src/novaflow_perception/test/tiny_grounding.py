"""Grounding DINO and SAM 2 with a few thousand random weights, in the layout of the hub."""

from __future__ import annotations

WORDS = ("red", "blue", "green", "yellow", "box", "cup", "can", "bowl")
SIDE = 128  # of what SAM 2 reads [px]


def save_tiny_dino(folder, seed=0):
    """Write one; [CLS], '.' and the like have the numbers that the model counts on."""
    import torch
    from transformers import (
        BertConfig,
        BertTokenizer,
        GroundingDinoConfig,
        GroundingDinoForObjectDetection,
        GroundingDinoImageProcessorPil,
        GroundingDinoProcessor,
        SwinConfig,
    )

    known = ["[PAD]", *(f"[unused{i}]" for i in range(1, 1030))]
    special = {100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 103: "[MASK]", 1012: ".", 1029: "?"}
    for i, word in special.items():
        known[i] = word
    known += WORDS
    torch.manual_seed(seed)
    model = GroundingDinoForObjectDetection(
        GroundingDinoConfig(
            backbone_config=SwinConfig(
                image_size=64, embed_dim=16, depths=[1, 1, 1, 1], num_heads=[1, 2, 2, 4],
                window_size=4, out_features=["stage2", "stage3", "stage4"],
            ),
            text_config=BertConfig(
                vocab_size=len(known), hidden_size=32, num_hidden_layers=1,
                num_attention_heads=2, intermediate_size=32,
            ),
            num_queries=12, d_model=32, encoder_layers=1, decoder_layers=2,
            encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=32,
            decoder_ffn_dim=32, num_feature_levels=4,
        )
    )  # fmt: skip
    model.save_pretrained(folder)
    GroundingDinoProcessor(
        GroundingDinoImageProcessorPil(size={"shortest_edge": 96, "longest_edge": 128}),
        BertTokenizer(vocab={word: i for i, word in enumerate(known)}, do_lower_case=True),
    ).save_pretrained(folder)


def save_tiny_sam2(folder, seed=0):
    """Write one as the hub does: the model for videos, from which the one for images is read."""
    import torch
    from transformers import Sam2VideoConfig, Sam2VideoModel

    torch.manual_seed(seed)
    config = Sam2VideoConfig(
        vision_config={
            "model_type": "sam2_vision_model",
            "backbone_config": {
                "model_type": "sam2_hiera_det_model", "hidden_size": 12, "num_attention_heads": 1,
                "image_size": [SIDE, SIDE], "blocks_per_stage": [1, 2, 2, 1],
                "embed_dim_per_stage": [12, 24, 48, 96],
                "num_attention_heads_per_stage": [1, 2, 4, 8],
                "window_size_per_stage": [8, 4, 4, 2], "global_attention_blocks": [4],
                "window_positional_embedding_background_size": [2, 2],
            },
            "backbone_channel_list": [96, 48, 24, 12],
            "backbone_feature_sizes": [[SIDE // n, SIDE // n] for n in (4, 8, 16)],
            "fpn_hidden_size": 128,
        },
        image_size=SIDE,
        prompt_encoder_config={
            "hidden_size": 128, "image_size": SIDE, "patch_size": 16, "mask_input_channels": 8,
        },
        mask_decoder_config={
            "hidden_size": 128, "mlp_dim": 64, "num_attention_heads": 2,
            "iou_head_hidden_dim": 128,
        },
        memory_attention_hidden_size=128, memory_attention_num_layers=1,
        memory_attention_feed_forward_hidden_size=128,
        memory_attention_rope_feat_sizes=[SIDE // 16, SIDE // 16],
        memory_encoder_hidden_size=128, memory_encoder_output_channels=64,
        mask_downsampler_embed_dim=128, memory_fuser_embed_dim=128,
        memory_fuser_intermediate_dim=64,
    )  # fmt: skip
    Sam2VideoModel(config).save_pretrained(folder)
