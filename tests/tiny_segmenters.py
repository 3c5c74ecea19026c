"""Segmentation networks of transformers' architectures, of some thousand weights; one learns the ball of a clip."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy, interpolate
from transformers import (
    MaskFormerConfig,
    MaskFormerForInstanceSegmentation,
    MaskFormerImageProcessorPil,
    SegformerConfig,
    SegformerForSemanticSegmentation,
    SegformerImageProcessorPil,
)

Floats = NDArray[np.float32]
SIDE = 64  # of what they see


def write_segformer(
    folder: Path, names: tuple[str, ...], taken: Callable[[int], tuple[Floats, Floats]], steps: int = 0
) -> Path:
    """As `save_pretrained` writes it, its last label taught by pictures and their α. taken: of a number."""
    torch.manual_seed(0)
    labels = dict(enumerate(names))
    network = SegformerForSemanticSegmentation(
        SegformerConfig(
            num_encoder_blocks=2,
            depths=[1, 1],
            sr_ratios=[2, 1],
            hidden_sizes=[16, 16],
            patch_sizes=[7, 3],
            strides=[4, 2],
            num_attention_heads=[1, 2],
            mlp_ratios=[2, 2],
            decoder_hidden_size=16,
            id2label=labels,
            label2id={name: number for number, name in labels.items()},
        )
    )
    prepare = SegformerImageProcessorPil(size={"height": SIDE, "width": SIDE})
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3)
    for step in range(steps):
        pictures, alphas = zip(*(taken(4 * step + k) for k in range(4)), strict=True)
        inputs = prepare([np.uint8(p * 255) for p in pictures], return_tensors="pt", input_data_format="channels_last")
        truth = interpolate(torch.from_numpy(np.stack(alphas))[:, None], (SIDE, SIDE))[:, 0]
        scores = interpolate(network(**inputs).logits, (SIDE, SIDE), mode="bilinear")
        cross_entropy(scores, (truth > 0.5).long() * (len(names) - 1)).backward()
        optimizer.step()
        optimizer.zero_grad()
    network.save_pretrained(folder)
    prepare.save_pretrained(folder)
    return folder


def write_maskformer(folder: Path) -> Path:
    """One of the universal kind, untaught."""
    torch.manual_seed(0)
    config = MaskFormerConfig(
        fpn_feature_size=32,
        mask_feature_size=32,
        backbone_config={
            "model_type": "swin",
            "image_size": SIDE,
            "embed_dim": 8,
            "depths": [1, 1, 1, 1],
            "num_heads": [1, 1, 2, 2],
            "window_size": 4,
            "out_features": ["stage1", "stage2", "stage3", "stage4"],
        },
        decoder_config={
            "model_type": "detr",
            "d_model": 32,
            "encoder_layers": 1,
            "decoder_layers": 1,
            "encoder_attention_heads": 2,
            "decoder_attention_heads": 2,
            "encoder_ffn_dim": 16,
            "decoder_ffn_dim": 16,
            "num_queries": 4,
        },
        id2label={0: "wall", 1: "person", 2: "sky"},
        label2id={"wall": 0, "person": 1, "sky": 2},
    )
    MaskFormerForInstanceSegmentation(config).save_pretrained(folder)
    MaskFormerImageProcessorPil(size={"height": SIDE, "width": SIDE}).save_pretrained(folder)
    return folder
