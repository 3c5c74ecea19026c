"""The recipe `parity` trains the paper's Eqs. 1 to 8 and 10, computed here from the paper alone, in numpy."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from small_training import NETWORKS, SIZE, course_of, make_set, small_settings
from torch import Tensor, nn

from factory.diffusion.matting_head import decoder_features
from factory.diffusion.train import data as training_data
from factory.diffusion.train.generation import GenerationTask
from factory.diffusion.train.settings import TrainingFolder, TrainSettings
from factory.jobs.recipes import read_yaml
from factory.jobs.registry import parse
from factory.jobs.train import TrainRecipe

Array = NDArray[np.float64]
PIPELINES = Path(__file__).parents[1] / "pipelines"
S_X = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
torch.set_num_threads(1)  # workers multiply, not threads


def shipped(name: str) -> TrainSettings:
    recipe = parse({"out": "runs/here", **read_yaml(PIPELINES / f"{name}.yaml")})
    assert isinstance(recipe, TrainRecipe)
    return recipe.train


def test_parity_differs_from_sd15_in_the_fields_that_it_says() -> None:
    parity, ours = dataclasses.asdict(shipped("parity")), dataclasses.asdict(shipped("sd15"))
    assert {name for name in ours if parity[name] != ours[name]} == {
        "networks", "caption_dropout", "detail_form", "detail_weight", "detail_timestep_weight", "binary_as_soft",
        "head_timestep", "sampler",
    }  # fmt: skip


def test_a_step_of_parity_is_the_papers_sum_of_losses(tmp_path: Path) -> None:
    data = make_set(tmp_path / "data")
    networks = dataclasses.replace(NETWORKS, head_activation=shipped("parity").networks.head_activation)
    small = small_settings(data, networks=networks, bf16="off")
    settings = dataclasses.replace(
        shipped("parity"), base="", data=(TrainingFolder(folder=str(data)),), size=SIZE, networks=networks, bf16="off"
    )
    changed = dataclasses.replace(settings, phases=small.phases, gradient_checkpointing=False)
    run = course_of(changed, tmp_path / "run")
    c = run.components
    tokens = training_data.tokenize(c.tokenizer, run.data.captions, settings.template, settings.key)
    task = GenerationTask(c, run.data, run.latents(), tokens, settings, 0, run.device, with_head=True)
    b = task.batch(0, 12)
    assert set(run.data.soft_alpha) == {True, False}
    with torch.no_grad(), task.watching():
        found = {name: float(value) for name, value in task.losses(b).items()}
        maps = [numbers(A_j)[..., 0] for A_j in task.attention.maps.values()]  # of the one token that is watched
        alpha_bar = c.scheduler.alphas_cumprod[b.t].view(-1, 1, 1, 1)
        z_t = alpha_bar.sqrt() * b.z0 + (1 - alpha_bar).sqrt() * b.epsilon
        predicted = task.predict(z_t, b)
        z0_hat = (z_t - (1 - alpha_bar).sqrt() * predicted) / alpha_bar.sqrt()
        f_decoder = decoder_features(c.vae, z0_hat / c.vae.config.scaling_factor)
        M_cp = nn.functional.silu(c.head.conv_out(nn.functional.silu(c.head.conv_in(f_decoder))))
    M = numbers(b.M)[:, 0]
    M_z = area_means(M, b.z0.shape[-1])
    expected = {
        "noise": np.mean((numbers(b.epsilon) - numbers(predicted)) ** 2),  # Eq. 1
        "green": np.mean([np.abs(A_j - background_like(M, A_j)).mean() for A_j in maps]),  # Eq. 3
        "detail": np.abs(equation_4(numbers(z0_hat), M_z) - equation_4(numbers(b.z0), M_z)).mean(),  # Eq. 5
        "latent": np.mean([equation_8(*pair) for pair in zip(numbers(M_cp)[:, 0], M, strict=True)]),
    }
    assert len(maps) == len([name for name in c.unet.attn_processors if ".attn2." in name])  # u, all of them
    assert found == pytest.approx(expected, rel=1e-4)


def numbers(tensor: Tensor) -> Array:
    return tensor.numpy().astype(np.float64)


def area_means(M: Array, side: int) -> Array:
    """(B, H, H) → (B, side, side)."""
    block = M.shape[-1] // side
    means: Array = M.reshape(len(M), side, block, side, block).mean(axis=(2, 4))
    return means


def background_like(M: Array, A_j: Array) -> Array:
    """1 − M at the size of a layer's attention: (B, h·w)."""
    side = round(A_j.shape[1] ** 0.5)
    return 1 - area_means(M, side).reshape(len(M), -1)


def equation_4(images: Array, M: Array) -> Array:
    """H of each channel of (B, C, h, w): (I⊗S_x + I⊗S_y) ⊙ I ⊙ M; beyond the border the nearest pixel counts."""
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    gradients: Array = np.einsum("bchwij,ij->bchw", windows, S_X) + np.einsum("bchwij,ij->bchw", windows, S_X.T)
    return gradients * images * M[:, None]


def equation_8(M_cp: Array, M: Array) -> float:
    """Of one mask: the mean absolute difference, and one minus the dice coefficient."""
    intersection = np.minimum(M_cp, M).sum()
    return float(np.abs(M_cp - M).mean() + 1 - 2 * intersection / (np.abs(M_cp).sum() + np.abs(M).sum()))
