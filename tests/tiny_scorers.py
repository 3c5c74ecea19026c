"""Scorers of the published architectures with random weights of a few thousand numbers, and the model's own words."""

import shutil
from pathlib import Path

import numpy as np
import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from transformers import CLIPConfig, CLIPModel

from factory.diffusion.model_files import EMBEDDED
from factory.models.folder import read_json

WIDTH = 8  # of embeddings
SIDE = 32


def config() -> CLIPConfig:
    """A fresh one: a model writes into the configuration it is given."""
    words = read_json(EMBEDDED / "tokenizer" / "vocab.json")
    shape = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {"vocab_size": len(words), "bos_token_id": words["<|startoftext|>"], "eos_token_id": words["<|endoftext|>"]}
    vision = {"image_size": SIDE, "patch_size": 8}
    return CLIPConfig(text_config=shape | text, vision_config=shape | vision, projection_dim=WIDTH)


def write_clip(folder: Path, seed: int = 0) -> Path:
    """As `CLIPModel.save_pretrained` and its tokenizer's write it. Pictures differ more than in a fresh one."""
    torch.manual_seed(seed)
    model = CLIPModel(config())
    model.vision_model.embeddings.patch_embedding.weight.data.normal_()
    model.text_model.embeddings.token_embedding.weight.data.normal_()
    model.save_pretrained(folder)
    for name in ("vocab.json", "merges.txt", "tokenizer_config.json"):
        shutil.copyfile(EMBEDDED / "tokenizer" / name, folder / name)
    return folder


def write_checker(folder: Path) -> Path:
    """A safety checker that flags about half of all pictures."""
    torch.manual_seed(1)
    checker = StableDiffusionSafetyChecker(config())
    checker.vision_model.embeddings.patch_embedding.weight.data.normal_()
    checker.concept_embeds.data.normal_()
    checker.special_care_embeds.data.normal_()
    checker.concept_embeds_weights.data.fill_(0.58)
    checker.special_care_embeds_weights.data.fill_(0.4)
    checker.save_pretrained(folder)
    return folder


def write_head(file: Path, width: int = WIDTH) -> Path:
    """An affine map as an .npz."""
    np.savez(file, weight=np.random.default_rng(0).normal(size=width).astype(np.float32), bias=np.float32(5))
    return file
