"""Joint transformers are called as their pipelines in diffusers call them, and words are found in what these read."""

from itertools import pairwise
from typing import Any

import pytest
import small_joint
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, Flux2KleinPipeline, FluxPipeline
from diffusers.pipelines.flux2.pipeline_flux2_klein import compute_empirical_mu
from small_joint import FAMILIES
from tiny_pipelines import build
from torch import Tensor

from factory.diffusion.flow_latents import encode, feature_width, features, is_of_frames, unnormalised
from factory.diffusion.joint_models import velocity
from factory.diffusion.joint_text import READERS, own_length, read_text
from factory.diffusion.train import flow
from factory.errors import UsageError

torch.set_num_threads(1)
PROMPTS = ["green screen, a red feather", "a blue leaf on a green screen background", ""]
GREEN = [slice(0, 5), slice(17, 22), slice(0, 0)]
LENGTH = {"QwenImagePipeline": 512}
UNGUIDED = {
    "FluxPipeline": {"guidance_scale": 1.0},
    "ZImagePipeline": {"guidance_scale": 0.0},
    "QwenImagePipeline": {"true_cfg_scale": 1.0},
}


def length(name: str) -> int:
    return LENGTH.get(name, 96)


def as_the_pipeline_takes(name: str, z: Tensor) -> Tensor:
    if name in ("FluxPipeline", "QwenImagePipeline"):
        packed: Tensor = FluxPipeline._pack_latents(z, *z.shape)
        return packed
    if name == "Flux2KleinPipeline":
        patches: Tensor = Flux2KleinPipeline._patchify_latents(z)
        return patches
    return z


@pytest.mark.parametrize("name", READERS)
def test_stepping_by_the_velocity_paints_what_the_pipeline_does(name: str) -> None:
    pipeline: Any = build(name)
    pipeline.set_progress_bar_config(disable=True)
    for part in pipeline.components.values():
        if isinstance(part, torch.nn.Module):
            part.eval().requires_grad_(False)
    side = 64 // pipeline.vae_scale_factor
    z = torch.randn(2, 4, side, side, generator=torch.Generator().manual_seed(3))
    painted = pipeline(
        prompt=PROMPTS[:2], height=64, width=64, num_inference_steps=3, max_sequence_length=length(name),
        output_type="np", latents=as_the_pipeline_takes(name, z), **UNGUIDED.get(name, {"guidance_scale": 1.0}),
    ).images  # fmt: skip
    text = read_text(pipeline, PROMPTS[:2], GREEN[:2], length(name))
    for now, then in pairwise(pipeline.scheduler.sigmas):
        z = z + (then - now) * velocity(pipeline.transformer, z, now.expand(2), text)
    latents = unnormalised(pipeline.vae, z)
    if is_of_frames(pipeline.vae):
        picture = pipeline.vae.decode(latents[:, :, None]).sample[:, :, 0]
    else:
        picture = pipeline.vae.decode(latents).sample
    ours = (picture.clamp(-1, 1) / 2 + 0.5).permute(0, 2, 3, 1)
    torch.testing.assert_close(ours, torch.from_numpy(painted), atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", READERS)
def test_a_word_is_found_in_what_the_model_reads(name: str) -> None:
    """The byte tokenizers spell it in five tokens; CLIP's, which Stable Diffusion 3 reads beside, in one."""
    pipeline: Any = build(name)
    text = read_text(pipeline, PROMPTS, GREEN, length(name))
    assert text.words.shape == (*text.embeddings.shape[:2], 1)
    assert text.real.shape == text.embeddings.shape[:2]
    assert own_length(pipeline) in (256, 512)
    assert text.words.sum(dim=1).flatten().tolist() == ([6, 6, 0] if "3" in name else [5, 5, 0])
    assert not (text.words[..., 0] & ~text.real).any()
    first = text.words[0, :, 0].nonzero().flatten()
    if "3" in name:
        assert first.tolist() == [1, *range(77, 82)]
    elif name == "FluxPipeline":
        assert first.tolist() == list(range(5))
    other = read_text(pipeline, ["greed screen, a red feather"], [slice(0, 5)], length(name))
    changed = (other.embeddings[0] - text.embeddings[0, : other.embeddings.shape[1]]).abs().amax(dim=1)[first]
    assert changed[-1 if "3" not in name else 0] > 1e-3  # where the word stands, its embedding changes
    with pytest.raises(UsageError, match='no token "green" is left of the prompt'):
        read_text(pipeline, ["so many words " * 40 + "green"], [slice(560, 565)], length(name))


@pytest.mark.parametrize("family", FAMILIES)
def test_latents_and_features_are_the_autoencoders_own(family: str) -> None:
    vae = small_joint.autoencoder(family)
    x = 2 * torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)) - 1
    z0 = encode(vae, x)
    assert z0.shape == (2, 4, 8, 8)
    frames = is_of_frames(vae)
    mean = vae.encode(x[:, :, None] if frames else x).latent_dist.mean
    torch.testing.assert_close(unnormalised(vae, z0), mean[:, :, 0] if frames else mean, atol=1e-5, rtol=1e-5)
    if family == "flux2":
        pipeline: Any = build("Flux2KleinPipeline")
        pipeline.vae = vae
        theirs = Flux2KleinPipeline._unpatchify_latents(pipeline._encode_vae_image(x, torch.Generator()))
        torch.testing.assert_close(z0, theirs)
    f_decoder = features(vae, z0)
    assert f_decoder.shape == (2, feature_width(vae), 16, 16)
    if frames:
        decoded = vae.decode(mean).sample[:, :, 0]
        ours = vae.decoder.conv_out(f_decoder[:, :, None])[:, :, 0].clamp(-1, 1)
    else:
        decoded, ours = vae.decode(mean).sample, vae.decoder.conv_out(f_decoder)
    torch.testing.assert_close(ours, decoded, atol=1e-5, rtol=1e-5)


def test_an_estimate_from_the_true_velocity_is_the_picture() -> None:
    generator = torch.Generator().manual_seed(0)
    z0, epsilon = torch.randn(2, 4, 3, 8, 8, generator=generator)
    t = flow.logit_normal(4, generator)
    z_t = flow.noisy(z0, epsilon, t)
    torch.testing.assert_close(flow.estimate_z0(z_t, flow.velocity(z0, epsilon), t), z0, atol=1e-5, rtol=1e-5)


def test_the_weight_of_a_flow_is_the_diffusions_at_the_same_ratio_of_signal_to_noise() -> None:
    from factory.diffusion.train.losses import timestep_weight

    t = torch.linspace(0.01, 0.99, 99)
    alpha_bar = (1 - t) ** 2 / ((1 - t) ** 2 + t**2)
    torch.testing.assert_close(flow.timestep_weight(t), timestep_weight(alpha_bar), atol=1e-5, rtol=1e-4)


def test_a_schedules_shift_is_what_its_sampler_does() -> None:
    t = torch.linspace(0.01, 0.99, 9)
    fixed = FlowMatchEulerDiscreteScheduler(shift=3.0)
    assert flow.shift_of(fixed.config, 1024) == 3.0
    fixed.set_timesteps(sigmas=t.flip(0).tolist())
    torch.testing.assert_close(flow.shifted(t, 3.0), fixed.sigmas[:-1].flip(0).cpu(), atol=1e-6, rtol=1e-5)
    for kind in ("exponential", "linear"):
        moving = FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, time_shift_type=kind, max_shift=0.9)
        for tokens, mu in ((256, 0.5), (4096, 0.9), (2176, 0.7)):
            expected = moving.time_shift(mu, 1.0, t)
            torch.testing.assert_close(flow.shifted(t, flow.shift_of(moving.config, tokens)), expected)
    klein = FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True)  # of many steps, Flux 2's is the line again
    for tokens in (256, 1024, 4096):
        expected = torch.tensor(compute_empirical_mu(tokens, 200)).exp()
        torch.testing.assert_close(torch.tensor(flow.shift_of(klein.config, tokens)), expected, atol=1e-4, rtol=1e-4)
