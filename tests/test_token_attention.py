"""The probe sees one token's attention exactly, changes nothing else, and leaves no trace."""

import copy
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor2_0
from torch import Tensor, nn

from factory.diffusion.token_attention import ProbeProcessor, TokenAttention, probed
from factory.diffusion.train.losses import green_background_loss
from factory.diffusion.train.networks import build_unet
from factory.diffusion.train.settings import NetworkSettings

TINY = NetworkSettings(
    unet_channels=(8, 16, 16), unet_layers=1, unet_heads=2, text_width=12, text_length=7, norm_groups=4
)
torch.set_num_threads(1)  # workers multiply, not threads
TOKEN = torch.tensor([1, 3])  # each prompt has its own index


@pytest.fixture(scope="module")
def unet() -> UNet2DConditionModel:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_unet(TINY, 8).train()


def inputs() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, 4, 8, 8, generator=generator), torch.tensor([10, 700]), 3 * torch.randn(
        2, 7, 12, generator=generator
    )  # fmt: skip


def cross_attentions(unet: UNet2DConditionModel) -> dict[str, nn.Module]:
    return {name: module for name, module in unet.named_modules() if name.endswith(".attn2")}


@contextmanager
def softmax_columns(unet: UNet2DConditionModel) -> Iterator[dict[str, Tensor]]:
    """A_j of Eq. 2, the whole softmax written out from what to_q and to_k put out."""
    queries: dict[str, Tensor] = {}
    columns: dict[str, Tensor] = {}

    def watch(name: str, attn: Any) -> list[torch.utils.hooks.RemovableHandle]:
        def on_query(module: nn.Module, args: object, out: Tensor) -> None:
            queries[name] = out

        def on_key(module: nn.Module, args: object, out: Tensor) -> None:
            q, k = (x.view(*x.shape[:2], attn.heads, -1).transpose(1, 2) for x in (queries[name], out))
            maps = torch.softmax(q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5, dim=-1).mean(dim=1)
            columns[f"{name}.processor"] = maps[torch.arange(2), :, TOKEN]

        return [attn.to_q.register_forward_hook(on_query), attn.to_k.register_forward_hook(on_key)]

    with ExitStack() as stack:
        for name, attn in cross_attentions(unet).items():
            for handle in watch(name, attn):
                stack.callback(handle.remove)
        yield columns


def gradients(unet: UNet2DConditionModel, total: Tensor) -> dict[str, Tensor]:
    """By parameter; those the total does not reach are left out."""
    names, parameters = zip(*unet.named_parameters(), strict=True)
    found = torch.autograd.grad(total, parameters, allow_unused=True, retain_graph=True)
    return {name: gradient for name, gradient in zip(names, found, strict=True) if gradient is not None}


def supervised(unet: UNet2DConditionModel) -> dict[str, Tensor]:
    """Gradients of an output and attention loss under the probe, backward pass included."""
    with probed(unet) as seen:
        seen.tokens = TOKEN[:, None]
        out = unet(*inputs()).sample
        M = torch.linspace(0, 1, 128).view(2, 1, 8, 8)
        maps = {layer: A_j[..., 0] for layer, A_j in seen.maps.items()}
        total = out.square().mean() + green_background_loss(maps, M, torch.tensor([True, True]))
        return gradients(unet, total)


def test_the_output_is_the_plain_processors(unet: UNet2DConditionModel) -> None:
    assert {type(processor) for processor in unet.attn_processors.values()} == {AttnProcessor2_0}
    plain = unet(*inputs()).sample
    with probed(unet) as seen:
        seen.tokens = TOKEN[:, None]
        watched = unet(*inputs()).sample
    assert torch.allclose(watched, plain, atol=2e-6)


def test_the_maps_are_the_softmaxs_columns_and_so_are_their_gradients(unet: UNet2DConditionModel) -> None:
    with softmax_columns(unet) as columns, probed(unet) as seen:
        seen.tokens = TOKEN[:, None]
        unet(*inputs())
    assert seen.maps.keys() == columns.keys() == {f"{name}.processor" for name in cross_attentions(unet)}
    assert {A_j.shape for A_j in seen.maps.values()} == {(2, 64, 1), (2, 16, 1), (2, 4, 1)}
    for name, A_j in seen.maps.items():
        assert torch.allclose(A_j[..., 0], columns[name], atol=1e-6)
        assert 0 <= A_j.min().item() <= A_j.max().item() <= 1

    def objective(maps: dict[str, Tensor]) -> Tensor:
        return torch.stack([(A_j.flatten() - 0.3).abs().mean() for A_j in maps.values()]).sum()

    mine, theirs = gradients(unet, objective(seen.maps)), gradients(unet, objective(columns))
    assert mine.keys() >= theirs.keys()
    assert any("to_k" in name for name in theirs)
    for name, gradient in mine.items():  # V has no part in its own layer's map: its gradient there is 0
        assert torch.allclose(gradient, theirs.get(name, torch.zeros(1)), atol=1e-6), name


def test_checkpointed_layers_give_the_same_gradients(unet: UNet2DConditionModel) -> None:
    checkpointed = copy.deepcopy(unet)
    checkpointed.enable_gradient_checkpointing()
    plain, again = supervised(unet), supervised(checkpointed)
    assert plain.keys() == again.keys() == dict(unet.named_parameters()).keys()
    for name, gradient in plain.items():
        assert torch.allclose(gradient, again[name], atol=1e-7), name


def test_the_maps_are_float32_under_autocast(unet: UNet2DConditionModel) -> None:
    with probed(unet) as seen, torch.autocast("cpu", torch.bfloat16):
        seen.tokens = TOKEN[:, None]
        out = unet(*inputs()).sample
    assert out.dtype == torch.bfloat16
    assert {A_j.dtype for A_j in seen.maps.values()} == {torch.float32}


def test_the_networks_own_processors_come_back_even_after_an_error(unet: UNet2DConditionModel) -> None:
    own, keys = dict(unet.attn_processors), list(unet.state_dict())
    plain = unet(*inputs()).sample

    def fail_inside() -> None:
        with probed(unet):
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        fail_inside()
    assert unet.attn_processors == own
    assert list(unet.state_dict()) == keys
    assert torch.equal(unet(*inputs()).sample, plain)


def test_all_sixteen_cross_attentions_of_stable_diffusion_are_watched() -> None:
    with torch.device("meta"):
        big = build_unet(NetworkSettings(), 64)
    with probed(big) as seen:
        watched = [name for name, processor in big.attn_processors.items() if isinstance(processor, ProbeProcessor)]
    assert isinstance(seen, TokenAttention)
    assert len(watched) == 16
    assert all(".attn2." in name for name in watched)


def test_several_tokens_are_seen_as_one_by_one(unet: UNet2DConditionModel) -> None:
    with probed(unet) as seen:
        seen.tokens = torch.tensor([[1, 4], [3, 0]])
        out = unet(*inputs()).sample
        both = seen.maps
        for index in range(2):
            seen.maps, seen.tokens = {}, torch.tensor([[1, 4], [3, 0]])[:, index : index + 1]
            assert torch.allclose(unet(*inputs()).sample, out, atol=2e-6)
            for layer, A_j in seen.maps.items():
                assert torch.allclose(A_j[..., 0], both[layer][..., index], atol=1e-6)
