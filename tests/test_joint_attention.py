"""The probe on joint attention tells what the written-out softmax does, in every family, and changes nothing else."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import small_joint
import torch
from diffusers.models.transformers import (
    transformer_flux,
    transformer_flux2,
    transformer_qwenimage,
    transformer_z_image,
)
from small_joint import FAMILIES
from torch import Tensor, nn

from factory.diffusion.joint_attention import Among, JointAttention, jointly_probed
from factory.diffusion.joint_models import Text, velocity
from factory.diffusion.train.losses import green_background_loss
from factory.errors import UsageError

torch.set_num_threads(1)  # workers multiply, not threads
MODULES = {
    "flux": transformer_flux, "flux2": transformer_flux2, "qwen": transformer_qwenimage, "z": transformer_z_image,
}  # fmt: skip
PIXELS = 16
TEXT_AT = {"sd3": 16, "flux": 0, "flux2": 0, "qwen": 0, "z": 32}  # where in the joint sequence the text begins
LAYERS = {
    "sd3": ["transformer_blocks.0.attn", "transformer_blocks.1.attn"],
    "flux": ["transformer_blocks.0.attn", "single_transformer_blocks.0.attn"],
    "flux2": ["transformer_blocks.0.attn", "single_transformer_blocks.0.attn"],
    "qwen": ["transformer_blocks.0.attn", "transformer_blocks.1.attn"],
    "z": ["layers.0.attention", "layers.1.attention"],
}
Call = tuple[Tensor, Tensor, Tensor | None]


def watch(seen: JointAttention, z_t: Tensor, text: Text) -> None:
    seen.words, seen.text, seen.pixels = text.words, text.real, PIXELS


@contextmanager
def calls(family: str, model: nn.Module, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Call]]:
    """Q and K (B, heads, L, D) and the mask of each joint attention, taken where the family's own code has them."""
    taken: list[Call] = []
    with monkeypatch.context() as patched:
        if family == "sd3":
            for attention in (model.get_submodule(name) for name in LAYERS[family]):
                attention.forward = _of_sd3(attention, attention.forward, taken)  # type: ignore[method-assign]
        else:
            patched.setattr(MODULES[family], "dispatch_attention_fn", _taking(family, taken))
        yield taken


def _of_sd3(attention: Any, own: Callable[..., Any], taken: list[Call]) -> Callable[..., Any]:
    def forward(hidden_states: Tensor, encoder_hidden_states: Tensor, **more: Any) -> Any:
        def by_head(x: Tensor) -> Tensor:
            return x.view(len(x), -1, attention.heads, 8).transpose(1, 2)

        query, key = (
            torch.cat([norm(by_head(image(hidden_states))), its(by_head(text(encoder_hidden_states)))], dim=2)
            for norm, image, its, text in (
                (attention.norm_q, attention.to_q, attention.norm_added_q, attention.add_q_proj),
                (attention.norm_k, attention.to_k, attention.norm_added_k, attention.add_k_proj),
            )
        )
        taken.append((query, key, None))
        return own(hidden_states=hidden_states, encoder_hidden_states=encoder_hidden_states, **more)

    return forward


def _taking(family: str, taken: list[Call]) -> Callable[..., Any]:
    own = MODULES[family].dispatch_attention_fn

    def dispatch(query: Tensor, key: Tensor, value: Tensor, **more: Any) -> Any:
        mask = more.get("attn_mask")
        if family != "z" or query.shape[1] > 64:  # not Z-Image's layers for the picture or the text alone
            taken.append((query.transpose(1, 2), key.transpose(1, 2), mask))
        return own(query, key, value, **more)

    return dispatch


def written_out(family: str, call: Call, text: Text, among: Among) -> Tensor:
    """(B, pixels, K), the whole softmax."""
    query, key, mask = call
    logits = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
    if mask is not None:
        logits = logits.masked_fill(~mask, -torch.inf)
    attention = logits.softmax(dim=-1)
    image = slice(-PIXELS, None) if family in ("flux", "flux2", "qwen") else slice(0, PIXELS)
    start = TEXT_AT[family]
    to_text = attention[:, :, image, start : start + text.real.shape[1]] * text.real[:, None, None]
    if among == "text":
        to_text = to_text / to_text.sum(dim=-1, keepdim=True)
    return (to_text @ text.words[:, None].float()).mean(dim=1)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("among", ["text", "all"])
def test_the_maps_are_the_written_out_softmax_and_the_output_is_the_models(
    family: str, among: Among, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, (z_t, t, text) = small_joint.transformer(family), small_joint.inputs()
    plain = velocity(model, z_t, t, text)
    with jointly_probed(model, among) as seen, calls(family, model, monkeypatch) as taken:
        watch(seen, z_t, text)
        watched = velocity(model, z_t, t, text)
    assert torch.equal(watched, plain)
    assert list(seen.maps) == LAYERS[family]
    assert len(taken) == 2
    expected = {layer: written_out(family, call, text, among) for layer, call in zip(seen.maps, taken, strict=True)}
    for layer, A in seen.maps.items():
        assert A.shape == (2, PIXELS, 2)
        assert A.dtype == torch.float32
        torch.testing.assert_close(A, expected[layer], atol=1e-6, rtol=1e-5)
    mine, theirs = gradients(model, seen.maps), gradients(model, expected)
    assert mine.keys() >= theirs.keys()
    assert any("to_k" in name or "to_qkv" in name for name in theirs)
    for name, gradient in mine.items():  # V has no part in its own layer's map: its gradient there is 0
        torch.testing.assert_close(gradient, theirs.get(name, torch.zeros_like(gradient)), atol=1e-6, rtol=1e-4)


def gradients(model: nn.Module, maps: dict[str, Tensor]) -> dict[str, Tensor]:
    """Of all maps together, by parameter."""
    total = torch.stack([((A - 0.3) * torch.linspace(-1, 1, A.numel()).view_as(A)).sum() for A in maps.values()]).sum()
    names, parameters = zip(*model.named_parameters(), strict=True)
    found = torch.autograd.grad(total, parameters, allow_unused=True, retain_graph=True)
    return {name: gradient for name, gradient in zip(names, found, strict=True) if gradient is not None}


def supervised(model: Any, family: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Maps, and gradients by parameter of an output and attention loss, backward pass included."""
    z_t, t, text = small_joint.inputs()
    with jointly_probed(model) as seen:
        watch(seen, z_t, text)
        v = velocity(model, z_t, t, text)
        M = torch.linspace(0, 1, 128).view(2, 1, 8, 8)
        maps = {layer: A[..., 0] for layer, A in seen.maps.items()}
        total = v.square().mean() + green_background_loss(maps, M, torch.tensor([True, True]))
        names, parameters = zip(*model.named_parameters(), strict=True)
        found = torch.autograd.grad(total, parameters, allow_unused=True)
        # What the layers wrote while they ran again
        return dict(seen.maps), {n: g for n, g in zip(names, found, strict=True) if g is not None}


@pytest.mark.parametrize("family", FAMILIES)
def test_checkpointed_layers_give_the_same_maps_and_gradients(family: str) -> None:
    model, checkpointed = small_joint.transformer(family), small_joint.transformer(family)
    checkpointed.enable_gradient_checkpointing()
    (maps, plain), (its_maps, again) = supervised(model, family), supervised(checkpointed, family)
    assert maps.keys() == its_maps.keys()
    for layer, A in maps.items():
        torch.testing.assert_close(A, its_maps[layer], atol=1e-6, rtol=1e-6)
    assert plain.keys() == again.keys()
    assert any("to_k" in name or "to_qkv" in name for name in plain)
    for name, gradient in plain.items():
        torch.testing.assert_close(gradient, again[name], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_maps_are_float32_under_autocast(family: str) -> None:
    model, (z_t, t, text) = small_joint.transformer(family), small_joint.inputs()
    with jointly_probed(model) as seen, torch.autocast("cpu", torch.bfloat16):
        watch(seen, z_t, text)
        velocity(model, z_t, t, text)
    assert {A.dtype for A in seen.maps.values()} == {torch.float32}


def test_the_model_is_as_it_was_even_after_an_error() -> None:
    model, (z_t, t, text) = small_joint.transformer("flux2"), small_joint.inputs()
    attention = model.get_submodule(LAYERS["flux2"][0])
    attention.forward = laid_over = attention.forward  # as accelerate's hooks lie there

    def fail_inside() -> None:
        with jointly_probed(model):
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        fail_inside()
    assert attention.forward is laid_over
    assert all("forward" not in vars(module) for module in model.modules() if module is not attention)
    assert torch.isfinite(velocity(model, z_t, t, text)).all()


def test_a_prompt_without_text_keeps_the_others_finite() -> None:
    model, (z_t, t, text) = small_joint.transformer("flux"), small_joint.inputs()
    text.real[1] = text.words[1] = False
    with jointly_probed(model) as seen:
        watch(seen, z_t, text)
        velocity(model, z_t, t, text)
    for A in seen.maps.values():
        assert torch.isfinite(A).all()
        assert (A[1] == 0).all()
        A.sum().backward(retain_graph=True)
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())


def test_attention_that_is_not_pytorchs_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    model, (z_t, t, text) = small_joint.transformer("flux2"), small_joint.inputs()
    monkeypatch.setattr(transformer_flux2, "dispatch_attention_fn", lambda query, key, value, **more: query)
    with jointly_probed(model) as seen:
        watch(seen, z_t, text)
        with pytest.raises(UsageError, match=r"transformer_blocks\.0\.attn attends to cannot be read"):
            velocity(model, z_t, t, text)


def test_a_class_that_inherits_is_watched_as_well() -> None:
    """As sharding makes one of each model."""
    model, (z_t, t, text) = small_joint.transformer("qwen"), small_joint.inputs()
    model.__class__ = type("Sharded", (type(model),), {})
    with jointly_probed(model) as seen:
        watch(seen, z_t, text)
        velocity(model, z_t, t, text)
    assert list(seen.maps) == LAYERS["qwen"]


def test_a_resting_probe_reads_nothing() -> None:
    model, (z_t, t, text) = small_joint.transformer("z"), small_joint.inputs()
    other = small_joint.inputs(seed=2, lengths=(40,))  # of another number of prompts, as pictures in between are
    with jointly_probed(model) as seen:
        watch(seen, z_t, text)
        velocity(model, z_t, t, text)
        before = dict(seen.maps)
        with seen.resting_meanwhile():
            velocity(model, *other)
        assert seen.maps == before
